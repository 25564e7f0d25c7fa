//! `tf.train.Example`: named lists of numbers or bytes, one message for each sample of training data.
//!
//! The numbers of fields are those of tensorflow/core/example/example.proto and feature.proto.

use std::collections::BTreeMap;

use prost::Message;

/// A sample: lists by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    /// In the order of their names, so that equal samples have equal bytes.
    pub features: BTreeMap<String, Values>,
}

/// The values of a feature.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Texts, images, ….
    Bytes(Vec<Vec<u8>>),
    /// 32 bits.
    Floats(Vec<f32>),
    /// Whole numbers.
    Int64s(Vec<i64>),
}

impl Example {
    /// The message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let feature = |values: &Values| Feature {
            kind: Some(match values {
                Values::Bytes(value) => Kind::Bytes(BytesList {
                    value: value.clone(),
                }),
                Values::Floats(value) => Kind::Floats(FloatList {
                    value: value.clone(),
                }),
                Values::Int64s(value) => Kind::Int64s(Int64List {
                    value: value.clone(),
                }),
            }),
        };
        let features = self.features.iter();
        let message = Root {
            features: Some(Features {
                feature: features
                    .map(|(name, values)| (name.clone(), feature(values)))
                    .collect(),
            }),
        };
        message.encode_to_vec()
    }

    /// Reads a message. A feature without values is an empty list of bytes. Takes at most eight times the memory of `bytes`.
    ///
    /// # Errors
    /// Says why it is no such message.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let root = Root::decode(bytes).map_err(|error| format!("no tf.train.Example: {error}"))?;
        let values = |feature: Feature| match feature.kind {
            Some(Kind::Floats(list)) => Values::Floats(list.value),
            Some(Kind::Int64s(list)) => Values::Int64s(list.value),
            Some(Kind::Bytes(list)) => Values::Bytes(list.value),
            None => Values::Bytes(Vec::new()),
        };
        let features = root.features.unwrap_or_default().feature.into_iter();
        Ok(Self {
            features: features
                .map(|(name, feature)| (name, values(feature)))
                .collect(),
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct Root {
    #[prost(message, optional, tag = "1")]
    features: Option<Features>,
}

#[derive(Clone, PartialEq, Message)]
struct Features {
    #[prost(btree_map = "string, message", tag = "1")]
    feature: BTreeMap<String, Feature>,
}

#[derive(Clone, PartialEq, Message)]
struct Feature {
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Bytes(BytesList),
    #[prost(message, tag = "2")]
    Floats(FloatList),
    #[prost(message, tag = "3")]
    Int64s(Int64List),
}

#[derive(Clone, PartialEq, Message)]
struct BytesList {
    #[prost(bytes = "vec", repeated, tag = "1")]
    value: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct FloatList {
    #[prost(float, repeated, tag = "1")]
    value: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct Int64List {
    #[prost(int64, repeated, tag = "1")]
    value: Vec<i64>,
}
