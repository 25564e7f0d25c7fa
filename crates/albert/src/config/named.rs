//! The enums of a configuration, each with the names of its variants in JSON.

use std::fmt;

/// A name in JSON for each variant of an enum, in both directions, from one table.
macro_rules! named_enum {
    (
        $(#[$meta:meta])*
        $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[$variant_meta])* $variant, )* }

        impl $name {
            /// Every variant, in the order of the table.
            pub const ALL: &'static [$name] = &[$( $name::$variant ),*];

            /// The name that transformers uses for it.
            pub fn name(self) -> &'static str {
                match self { $( $name::$variant => $text, )* }
            }

            /// The variant of exactly this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $( $text => Some($name::$variant), )* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named_enum! {
    /// An element-wise activation: every name in transformers' `ACT2FN` (5.23) without weights of
    /// its own. Several names share a formula: see [`Activation::canonical`].
    Activation {
        /// ½x(1 + erf(x/√2)); in Google's files this name means [`Activation::GeluNew`].
        Gelu = "gelu",
        /// The same as [`Activation::Gelu`], under the name of its Python form.
        GeluPython = "gelu_python",
        /// ½x(1 + tanh(√(2/π)(x + 0.044715x³))).
        GeluNew = "gelu_new",
        /// The formula of [`Activation::GeluNew`], under PyTorch's name.
        GeluPytorchTanh = "gelu_pytorch_tanh",
        /// The formula of [`Activation::GeluNew`], under another name.
        GeluPythonTanh = "gelu_python_tanh",
        /// The formula of [`Activation::GeluNew`], under MEGA's name.
        GeluAccurate = "gelu_accurate",
        /// ½x(1 + tanh(0.7978845608·x(1 + 0.044715x²))).
        GeluFast = "gelu_fast",
        /// x·σ(1.702x).
        QuickGelu = "quick_gelu",
        /// [`Activation::Gelu`] clipped to −10 … 10.
        Gelu10 = "gelu_10",
        /// max(x, 0).
        Relu = "relu",
        /// max(x, 0)².
        Relu2 = "relu2",
        /// min(max(x, 0), 6).
        Relu6 = "relu6",
        /// x for x ≥ 0, else 0.01x.
        LeakyRelu = "leaky_relu",
        /// x·σ(x).
        Silu = "silu",
        /// The same as [`Activation::Silu`], under its other name.
        Swish = "swish",
        /// tanh(x).
        Tanh = "tanh",
        /// σ(x) = 1/(1 + e⁻ˣ).
        Sigmoid = "sigmoid",
        /// x.
        Linear = "linear",
        /// x·tanh(ln(1 + eˣ)).
        Mish = "mish",
        /// x·min(max(x + 3, 0), 6)/6.
        Hardswish = "hardswish",
        /// ½(1 + erf((x − 0.707107)/(0.282095·√2))).
        Laplace = "laplace",
        /// √(ln(1 + eˣ)).
        SqrtSoftplus = "sqrtsoftplus",
    }
}

impl Activation {
    /// The one variant that stands for all names of the same formula, for kernels to match on:
    /// `Gelu`, `GeluNew`, `GeluFast`, `QuickGelu`, `Gelu10`, `Relu`, `Relu2`, `Relu6`, `LeakyRelu`,
    /// `Silu`, `Tanh`, `Sigmoid`, `Linear`, `Mish`, `Hardswish`, `Laplace`, `SqrtSoftplus`.
    pub fn canonical(self) -> Activation {
        match self {
            Activation::GeluPython => Activation::Gelu,
            Activation::GeluPytorchTanh | Activation::GeluPythonTanh | Activation::GeluAccurate => {
                Activation::GeluNew
            }
            Activation::Swish => Activation::Silu,
            other => other,
        }
    }
}

named_enum! {
    /// How positions enter the model.
    PositionEmbeddingType {
        /// A learned row per position is added to the embeddings.
        Absolute = "absolute",
        /// A learned vector per distance is multiplied by the query and added to the scores.
        RelativeKey = "relative_key",
        /// As `RelativeKey`, and the same vectors multiplied by the key too.
        RelativeKeyQuery = "relative_key_query",
    }
}

named_enum! {
    /// The loss of a sequence classifier.
    ProblemType {
        /// Mean squared error.
        Regression = "regression",
        /// Cross-entropy over C classes, exactly one of which is right.
        SingleLabelClassification = "single_label_classification",
        /// A yes or no for each of the C classes.
        MultiLabelClassification = "multi_label_classification",
    }
}

named_enum! {
    /// A model with or without a head, by the name of its class in transformers.
    ModelClass {
        /// Encoder and pooler.
        Model = "AlbertModel",
        /// Encoder without the pooler (`AlbertModel(config, add_pooling_layer=False)`).
        ModelWithoutPooler = "AlbertModel(add_pooling_layer=False)",
        /// Masked-language head; no pooler.
        MaskedLM = "AlbertForMaskedLM",
        /// Masked-language and sentence-order heads.
        PreTraining = "AlbertForPreTraining",
        /// A classifier on the pooled first token.
        SequenceClassification = "AlbertForSequenceClassification",
        /// A classifier on every token; no pooler.
        TokenClassification = "AlbertForTokenClassification",
        /// Start and end scores on every token; no pooler.
        QuestionAnswering = "AlbertForQuestionAnswering",
        /// Start and end scores and one for "no answer", as google-research/albert has them for SQuAD 2.0; no pooler.
        JointQuestionAnswering = "AlbertForJointQuestionAnswering",
        /// One score per choice on the pooled first token.
        MultipleChoice = "AlbertForMultipleChoice",
    }
}
