//! Made-up models of awkward sizes, written to a temporary folder.

use std::collections::BTreeMap;
use std::path::Path;

use albert::AlbertConfig;
use albert::names::{self, Field, Site, Tensor};
use albert_formats::{Dtype, TensorSpec, write_safetensors};
use albert_testing::Random;
use tempfile::TempDir;

/// All eight classes.
pub(crate) const CLASSES: [&str; 8] = [
    "AlbertModel",
    "AlbertForPreTraining",
    "AlbertForMaskedLM",
    "AlbertForSequenceClassification",
    "AlbertForTokenClassification",
    "AlbertForQuestionAnswering",
    "AlbertForJointQuestionAnswering",
    "AlbertForMultipleChoice",
];

/// Sizes of a model, as config.json says them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// V, E, H, A, I, L, G, N, P
    pub(crate) sizes: [usize; 9],
    /// `hidden_act`
    pub(crate) act: &'static str,
    /// `position_embedding_type`
    pub(crate) positions: &'static str,
}

/// D = 26, I no multiple of a vector, V prime.
pub(crate) const NARROW: Sizes = Sizes {
    sizes: [97, 20, 52, 2, 100, 3, 1, 1, 320],
    act: "gelu_new",
    positions: "absolute",
};

/// D = 32, two groups of two blocks, several chains of K.
pub(crate) const WIDE: Sizes = Sizes {
    sizes: [131, 33, 96, 3, 200, 3, 2, 2, 320],
    act: "gelu",
    positions: "absolute",
};

/// Relative positions of queries and keys; D = 15.
pub(crate) const RELATIVE: Sizes = Sizes {
    sizes: [50, 17, 45, 3, 70, 2, 1, 1, 64],
    act: "silu",
    positions: "relative_key_query",
};

impl Sizes {
    /// The configuration of a class; multiple choice has one score, the others two labels.
    pub(crate) fn config(self, class: &str) -> AlbertConfig {
        let [v, e, h, a, i, l, g, n, p] = self.sizes;
        let (act, positions) = (self.act, self.positions);
        let text = format!(
            r#"{{"model_type": "albert", "architectures": ["{class}"], "vocab_size": {v}, "embedding_size": {e},
                "hidden_size": {h}, "num_attention_heads": {a}, "intermediate_size": {i}, "num_hidden_layers": {l},
                "num_hidden_groups": {g}, "inner_group_num": {n}, "max_position_embeddings": {p}, "type_vocab_size": 3,
                "hidden_act": "{act}", "position_embedding_type": "{positions}"}}"#
        );
        let read = AlbertConfig::from_json(&text, None);
        read.unwrap_or_else(|error| panic!("{error}")).0
    }

    /// A checkpoint of this class.
    pub(crate) fn folder(self, class: &str) -> TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(folder.path(), &self.config(class), class);
        folder
    }
}

/// The tensors of a class under the names that transformers gives them.
pub(crate) fn tensors(config: &AlbertConfig, class: &str) -> Vec<Tensor> {
    let labels = if class == "AlbertForMultipleChoice" {
        1
    } else {
        config.num_labels()
    };
    let head: &[Site] = match class {
        "AlbertModel" => &[Site::Pooler],
        "AlbertForPreTraining" => &[
            Site::Pooler,
            Site::MlmDense,
            Site::MlmNorm,
            Site::MlmBias,
            Site::SentenceOrder,
        ],
        "AlbertForMaskedLM" => &[Site::MlmDense, Site::MlmNorm, Site::MlmBias],
        "AlbertForSequenceClassification" | "AlbertForMultipleChoice" => {
            &[Site::Pooler, Site::Classifier]
        }
        "AlbertForTokenClassification" => &[Site::Classifier],
        "AlbertForQuestionAnswering" => &[Site::QaOutputs],
        "AlbertForJointQuestionAnswering" => &[
            Site::StartLogits,
            Site::EndDense,
            Site::EndNorm,
            Site::EndLogits,
            Site::AnswerDense,
            Site::AnswerLogit,
        ],
        other => panic!("no class {other}"),
    };
    let sites = names::base_sites(config)
        .into_iter()
        .chain(head.iter().copied());
    let mut tensors: Vec<Tensor> = sites
        .flat_map(|site| site.tensors(config, labels))
        .collect();
    if class == "AlbertModel" {
        for tensor in &mut tensors {
            tensor.name = tensor.name.replacen("albert.", "", 1);
        }
    }
    tensors
}

/// Writes config.json and model.safetensors. The values of a tensor depend on its name alone, so that all classes share
/// an encoder.
pub(crate) fn write(folder: &Path, config: &AlbertConfig, class: &str) {
    let json = config
        .to_json(albert::ConfigDialect::HuggingFace)
        .expect("a valid configuration");
    std::fs::write(folder.join("config.json"), json).expect("written");
    write_tensors(folder, &tensors(config, class), &|_, _| ());
}

/// Changes a tensor's values by its name.
pub(crate) type Edit<'a> = dyn Fn(&str, &mut [f32]) + 'a;

/// Writes model.safetensors of these tensors; `edit` changes values by name.
pub(crate) fn write_tensors(folder: &Path, tensors: &[Tensor], edit: &Edit) {
    let values: BTreeMap<&str, Vec<f32>> = tensors
        .iter()
        .map(|tensor| {
            let mut values = values(tensor);
            edit(&tensor.name, &mut values);
            (tensor.name.as_str(), values)
        })
        .collect();
    let specs: Vec<TensorSpec<'_>> = tensors
        .iter()
        .map(|tensor| TensorSpec {
            name: &tensor.name,
            dtype: Dtype::F32,
            shape: &tensor.shape,
        })
        .collect();
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let path = folder.join("model.safetensors");
    let written = write_safetensors(&path, &metadata, &specs, |spec, sink| {
        sink.write_f32(&values[spec.name])
    });
    written.unwrap_or_else(|error| panic!("{error}"));
}

/// Values that keep activations near 1 in every layer: matrices of deviation 1/√K, tables of 0.6, norms around 1.
fn values(tensor: &Tensor) -> Vec<f32> {
    let name = tensor.name.trim_start_matches("albert.");
    let seed = name.bytes().fold(7_u64, |hash, byte| {
        hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
    });
    let count = tensor.shape.iter().product();
    let mut random = Random::new(seed);
    let table = matches!(
        tensor.site,
        Site::WordEmbeddings | Site::PositionEmbeddings | Site::TokenTypeEmbeddings
    );
    match (tensor.shape.as_slice(), tensor.field) {
        ([_], Field::Weight) => random.values(count, 1.0, 0.3),
        ([_], Field::Bias) => random.values(count, 0.0, 0.3),
        _ if table => random.values(count, 0.0, 1.0),
        (shape, _) => random.values(count, 0.0, (3.0 / shape[1] as f32).sqrt()),
    }
}
