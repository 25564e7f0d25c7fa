//! The files of the destination: weights in one of the formats, configuration, the vocabulary's name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use albert_formats::{
    FormatError, TensorSink, TensorSpec, write_atomically, write_hdf5, write_msgpack,
    write_safetensors, write_tf_bundle, write_torch,
};

use super::Target;
use super::plan::{Item, Plan};
use crate::checkpoint::{Parameter, Stored, View};
use crate::config::{AlbertConfig, ConfigDialect, ModelClass};
use crate::error::{Error, Result};
use crate::names::{self, Dialect, Field, Site};

/// Keras' version whose files the HDF5 form is that of: it has not changed since.
const KERAS_VERSION: &str = "2.15.0";

/// Writes the weights to `file`.
pub(super) fn weights(
    file: &Path,
    to: Target,
    class: ModelClass,
    view: &View<'_>,
    plan: &Plan<'_>,
) -> Result<()> {
    let named = match to {
        Target::Hdf5 => datasets(class, &plan.items, |item| (item.site, item.name.as_str())),
        _ => plan
            .items
            .iter()
            .map(|item| (item.name.clone(), item))
            .collect(),
    };
    let items: BTreeMap<&str, &Item<'_>> = named
        .iter()
        .map(|(name, item)| (name.as_str(), *item))
        .collect();
    let spec =
        |(name, item): &'_ (String, &Item<'_>)| (name.clone(), item.dtype, item.shape.clone());
    let owned: Vec<_> = named.iter().map(spec).collect();
    let specs: Vec<TensorSpec<'_>> = owned
        .iter()
        .map(|(name, dtype, shape)| TensorSpec {
            name,
            dtype: *dtype,
            shape,
        })
        .collect();
    let fill = |spec: &TensorSpec<'_>, sink: &mut dyn TensorSink| {
        sink.write_f32(&elements(view, items[spec.name])?)
    };
    match to {
        Target::Safetensors => {
            let metadata = [("format".to_owned(), "pt".to_owned())].into();
            write_safetensors(file, &metadata, &specs, fill)?;
        }
        Target::Torch => {
            let ties = ties(plan);
            let ties: Vec<(&str, &str)> =
                ties.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            write_torch(file, &specs, &ties, fill)?;
        }
        Target::Tf1 => write_tf_bundle(file, &specs, fill)?,
        Target::Hdf5 => {
            let names = plan.items.iter().map(|item| item.name.as_str());
            write_hdf5(file, &attributes(), &layers(names), &specs, fill)?;
        }
        Target::Flax => write_msgpack(file, &specs, fill)?,
    }
    Ok(())
}

/// All elements of a tensor, as the destination has them.
fn elements(view: &View<'_>, item: &Item<'_>) -> std::result::Result<Vec<f32>, FormatError> {
    let mut values = vec![0.0; item.shape.iter().product()];
    if let (Stored::Turned(info), true) = (item.stored, item.turned) {
        view.checkpoint.read_f32(info, 0, &mut values)?;
        return Ok(values);
    }
    let reader = view.reader(item.stored)?;
    let [inputs, outputs] = match item.shape[..] {
        [inputs, outputs] if item.turned => [inputs, outputs],
        _ => {
            reader.read(0, &mut values)?;
            return Ok(values);
        }
    };
    let mut row = vec![0.0; inputs];
    for output in 0..outputs {
        reader.read(output * inputs, &mut row)?;
        for (input, x) in row.iter().enumerate() {
            values[input * outputs + output] = *x;
        }
    }
    Ok(values)
}

/// Names that share a tensor in PyTorch's classes.
fn ties(plan: &Plan<'_>) -> Vec<(String, String)> {
    let name = |site: Site, field: Field| {
        let mut items = plan.items.iter();
        let item = items.find(|item| (item.site, item.field) == (site, field));
        item.map(|item| item.name.clone())
    };
    // Without a bias there is no masked language model.
    if name(Site::MlmBias, Field::Bias).is_none() {
        return Vec::new();
    }
    let pairs = [
        (Site::WordEmbeddings, Field::Weight),
        (Site::MlmBias, Field::Bias),
    ];
    let free = pairs
        .into_iter()
        .filter(|(_, field)| name(Site::Decoder, *field).is_none());
    free.filter_map(|(site, field)| Some((Site::Decoder.name(field), name(site, field)?)))
        .collect()
}

/// Writes a model in memory as transformers' TensorFlow class does: `tf_model.h5` and `config.json` in `folder`, which may
/// be new. Where there is one bias of the masked language model, it is written under both names that Keras has.
///
/// # Errors
/// A tensor that these classes have no place for; a file that cannot be written.
pub fn save_keras(
    folder: &Path,
    class: ModelClass,
    config: &AlbertConfig,
    tensors: &[Parameter<'_>],
) -> Result<()> {
    let homeless = |tensor: &&Parameter<'_>| {
        let name = Dialect::Keras.name_of(tensor.site, tensor.field);
        name.is_none()
    };
    if let Some(tensor) = tensors.iter().find(homeless) {
        return Err(Error::Folder {
            path: folder.to_owned(),
            problem: format!(
                "tensor {} has no place in {}; write safetensors",
                tensor.name,
                Dialect::Keras.name()
            ),
        });
    }
    let items = keras_items(config, tensors);
    let named = datasets(class, &items, |item| (item.tensor.site, item.name.as_str()));
    let by_name: BTreeMap<&str, &KerasItem<'_>> = named
        .iter()
        .map(|(name, item)| (name.as_str(), *item))
        .collect();
    let specs: Vec<TensorSpec<'_>> = named
        .iter()
        .map(|(name, item)| TensorSpec {
            name,
            dtype: albert_formats::Dtype::F32,
            shape: &item.shape,
        })
        .collect();
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    let file = folder.join(Target::Hdf5.file());
    let layers = layers(items.iter().map(|item| item.name.as_str()));
    write_hdf5(&file, &attributes(), &layers, &specs, |spec, sink| {
        sink.write_f32(&by_name[spec.name].elements())
    })?;
    let mut config = config.clone();
    config.architectures = vec![class.name().to_owned()];
    config.set_quantization(None);
    write_config(folder, &mut config, "float32")
}

/// A tensor of a model in memory, and what Keras makes of it.
struct KerasItem<'a> {
    tensor: &'a Parameter<'a>,
    name: String,
    shape: Vec<usize>,
    turned: bool,
}

impl KerasItem<'_> {
    fn elements(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.shape.iter().product()];
        self.tensor.read(0, &mut values);
        match self.shape[..] {
            [inputs, outputs] if self.turned => {
                let turned = (0..inputs).flat_map(|i| (0..outputs).map(move |o| o * inputs + i));
                turned.map(|at| values[at]).collect()
            }
            _ => values,
        }
    }
}

/// In the order in which these classes make their variables.
fn keras_items<'a>(config: &AlbertConfig, tensors: &'a [Parameter<'a>]) -> Vec<KerasItem<'a>> {
    let find = |site, field| {
        let mut all = tensors.iter();
        all.find(|tensor| (tensor.site, tensor.field) == (site, field))
    };
    let sites = names::base_sites(config)
        .into_iter()
        .chain(names::head_sites());
    let places = sites.flat_map(|site| [(site, Field::Weight), (site, Field::Bias)]);
    let item = |(site, field)| {
        let (name, turned) = Dialect::Keras.name_of(site, field)?;
        let other = match site {
            Site::MlmBias => find(Site::Decoder, field),
            Site::Decoder => find(Site::MlmBias, field),
            _ => None,
        };
        let tensor = find(site, field).or(other)?;
        let mut shape = tensor.shape.clone();
        if turned {
            shape.reverse();
        }
        Some(KerasItem {
            tensor,
            name,
            shape,
            turned,
        })
    };
    places.filter_map(item).collect()
}

/// What a Keras file says of itself.
fn attributes() -> BTreeMap<String, String> {
    let attributes = [("backend", "tensorflow"), ("keras_version", KERAS_VERSION)];
    attributes
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// The layer of a Keras model that a tensor belongs to.
fn layer(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

/// The layers of a Keras model, each once.
fn layers<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut layers: Vec<&str> = names.map(layer).collect();
    layers.dedup();
    layers
}

/// The datasets of a Keras file, layer by layer: LAYER/MODEL/NAME:0. The masked language model lists the embeddings, too,
/// since it uses them.
fn datasets<T>(
    class: ModelClass,
    items: &[T],
    about: impl Fn(&T) -> (Site, &str),
) -> Vec<(String, &T)> {
    let model = snake_case(&format!("TF{}", class.name()));
    let path = |layer: &str, name: &str| format!("{layer}/{model}/{name}:0");
    let mut all: Vec<(String, &T)> = items
        .iter()
        .map(|item| (path(layer(about(item).1), about(item).1), item))
        .collect();
    let last = items
        .iter()
        .rposition(|item| layer(about(item).1) == "predictions");
    if let Some(last) = last {
        let embeddings = items.iter().filter(|item| {
            use Site::{EmbeddingNorm, PositionEmbeddings, TokenTypeEmbeddings, WordEmbeddings};
            let own = [
                WordEmbeddings,
                TokenTypeEmbeddings,
                PositionEmbeddings,
                EmbeddingNorm,
            ];
            own.contains(&about(item).0)
        });
        let repeated: Vec<_> = embeddings
            .map(|item| (path("predictions", about(item).1), item))
            .collect();
        all.splice(last + 1..last + 1, repeated);
    }
    all
}

/// A class as Keras calls its first model: `TFAlbertForMaskedLM` is `tf_albert_for_masked_lm`.
fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().collect();
    let mut name = String::new();
    for (i, letter) in letters.iter().enumerate() {
        let begins = letter.is_uppercase() && i > 0;
        let before = i > 0 && letters[i - 1].is_lowercase();
        let after = letters.get(i + 1).is_some_and(|next| next.is_lowercase());
        if begins && (before || after) {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// Writes config.json, and Google's file beside it where its programs shall read the model.
pub(super) fn configuration(
    folder: &Path,
    to: Target,
    config: &mut AlbertConfig,
    plan: &Plan<'_>,
) -> Result<()> {
    use albert_formats::Dtype::{BF16, F16};
    let holds = |dtype| plan.items.iter().any(|item| item.dtype == dtype);
    let dtype = match (holds(F16), holds(BF16)) {
        (true, false) => "float16",
        (false, true) => "bfloat16",
        _ => "float32",
    };
    if to == Target::Tf1 {
        // It has no place for labels and tokens, which config.json keeps.
        let json = config.to_json(ConfigDialect::Google)?;
        write_atomically(&folder.join("albert_config.json"), json.as_bytes())?;
    }
    write_config(folder, config, dtype)
}

fn write_config(folder: &Path, config: &mut AlbertConfig, dtype: &str) -> Result<()> {
    config.extra.remove("torch_dtype");
    config.extra.insert("dtype".to_owned(), dtype.into());
    let json = config.to_json(ConfigDialect::HuggingFace)?;
    write_atomically(&folder.join("config.json"), json.as_bytes())?;
    Ok(())
}

/// Gives Google's vocabularies the names that transformers looks for.
pub(super) fn rename_vocabulary(folder: &Path, to: Target) -> Result<()> {
    if to == Target::Tf1 {
        return Ok(());
    }
    for (google, usual) in [
        ("30k-clean.model", "spiece.model"),
        ("vocab_chinese.txt", "vocab.txt"),
    ] {
        let (from, to) = (folder.join(google), folder.join(usual));
        if from.is_file() && !to.exists() {
            fs::rename(&from, &to).map_err(Error::file("rename", &from))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    /// As `keras.utils.to_snake_case`, by the files of transformers' classes.
    #[test]
    fn classes_in_snake_case() {
        for (class, name) in [
            ("TFAlbertModel", "tf_albert_model"),
            ("TFAlbertForMaskedLM", "tf_albert_for_masked_lm"),
            ("TFAlbertForPreTraining", "tf_albert_for_pre_training"),
            (
                "TFAlbertForSequenceClassification",
                "tf_albert_for_sequence_classification",
            ),
        ] {
            assert_eq!(snake_case(class), name);
        }
    }
}
