//! What a sentence-transformers folder says: `modules.json` and the configurations that it names. One file,
//! because every module is a few fields of JSON and a few lines that apply them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use albert_formats::Checkpoint;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::normalize;
use crate::error::{Error, Result};

/// From token vectors to one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolingMode {
    /// The vector of `[CLS]`.
    Cls,
    /// The largest number at each place.
    Max,
    /// The mean.
    Mean,
    /// The sum divided by the square root of the number of tokens.
    MeanSqrtLen,
    /// The mean, token i (from 1) weighted with i.
    WeightedMean,
    /// The vector of the last token, `[SEP]`.
    LastToken,
    /// The trained pooler, tanh of a layer over `[CLS]`. Not of sentence-transformers.
    Pooler,
}

/// Names in `pooling_mode`, and the older switches, in the order in which their vectors are joined.
const MODES: [(&str, &str, PoolingMode); 6] = [
    ("cls", "pooling_mode_cls_token", PoolingMode::Cls),
    ("max", "pooling_mode_max_tokens", PoolingMode::Max),
    ("mean", "pooling_mode_mean_tokens", PoolingMode::Mean),
    (
        "mean_sqrt_len_tokens",
        "pooling_mode_mean_sqrt_len_tokens",
        PoolingMode::MeanSqrtLen,
    ),
    (
        "weightedmean",
        "pooling_mode_weightedmean_tokens",
        PoolingMode::WeightedMean,
    ),
    (
        "lasttoken",
        "pooling_mode_lasttoken",
        PoolingMode::LastToken,
    ),
];

/// How token vectors become one.
#[derive(Clone, Debug, PartialEq)]
pub struct Pooling {
    /// The vectors of several modes are joined, one behind the other.
    pub modes: Vec<PoolingMode>,
    /// Whether the tokens of a prompt are pooled too.
    pub include_prompt: bool,
}

/// What follows the pooling.
#[derive(Clone, Debug, PartialEq)]
enum Module {
    Normalize,
    /// activation(W·x + b); weight [out, in] row-major.
    Dense {
        inputs: usize,
        weight: Vec<f64>,
        bias: Vec<f64>,
        activation: Activation,
    },
    /// γ·(x − mean)/√(variance + 1e-5) + β
    LayerNorm {
        gamma: Vec<f64>,
        beta: Vec<f64>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Activation {
    Identity,
    Tanh,
    Relu,
    Gelu,
    Sigmoid,
    Silu,
}

impl Activation {
    fn named(class: &str) -> Option<Self> {
        Some(match class {
            "torch.nn.modules.linear.Identity" => Self::Identity,
            "torch.nn.modules.activation.Tanh" => Self::Tanh,
            "torch.nn.modules.activation.ReLU" => Self::Relu,
            "torch.nn.modules.activation.GELU" => Self::Gelu,
            "torch.nn.modules.activation.Sigmoid" => Self::Sigmoid,
            "torch.nn.modules.activation.SiLU" => Self::Silu,
            _ => return None,
        })
    }

    fn of(self, x: f64) -> f64 {
        let sigmoid = crate::pipeline::scores::sigmoid;
        match self {
            Self::Identity => x,
            Self::Tanh => x.tanh(),
            Self::Relu => x.max(0.0),
            Self::Gelu => x * 0.5 * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)),
            Self::Sigmoid => sigmoid(x),
            Self::Silu => x * sigmoid(x),
        }
    }
}

/// The modules of a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceModules {
    /// Whether there is a `modules.json`.
    pub found: bool,
    /// Where the encoder is, from the folder.
    encoder: PathBuf,
    /// The first module behind the encoder.
    pub pooling: Pooling,
    rest: Vec<Module>,
    /// Whether the last module is Normalize; it is not in `rest`.
    normalizes: bool,
    /// Most tokens of a text (`max_seq_length`).
    pub max_tokens: Option<usize>,
    /// Whether texts are lower-cased before the tokenizer.
    lower_case: bool,
    /// Texts to put before a text, by their names.
    pub prompts: BTreeMap<String, String>,
    /// Name of the prompt that is used unasked.
    pub default_prompt_name: Option<String>,
}

impl Default for SentenceModules {
    /// The mean, and nothing else.
    fn default() -> Self {
        Self {
            found: false,
            encoder: PathBuf::new(),
            pooling: Pooling {
                modes: vec![PoolingMode::Mean],
                include_prompt: true,
            },
            rest: Vec::new(),
            normalizes: false,
            max_tokens: None,
            lower_case: false,
            prompts: BTreeMap::new(),
            default_prompt_name: None,
        }
    }
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    r#type: String,
}

#[derive(Default, Deserialize)]
struct TransformerFile {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: Option<bool>,
}

#[derive(Default, Deserialize)]
struct PromptFile {
    #[serde(default)]
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
}

#[derive(Deserialize)]
struct DenseFile {
    in_features: usize,
    out_features: usize,
    #[serde(default)]
    bias: Option<bool>,
    activation_function: Option<String>,
    #[serde(default)]
    use_residual: bool,
}

impl SentenceModules {
    /// Reads the folder; one without `modules.json` means the mean over all tokens.
    ///
    /// # Errors
    /// A file that cannot be read, or that asks for what is not known here.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("modules.json");
        let mut modules = Self::default();
        if path.symlink_metadata().is_err() {
            return Ok(modules);
        }
        modules.found = true;
        let entries: Vec<Entry> = json(&path)?;
        let mut kinds = entries.iter().map(|entry| {
            let kind = entry.r#type.rsplit('.').next().unwrap_or_default();
            (kind, entry)
        });
        match kinds.next() {
            Some(("Transformer", entry)) => modules.encoder = inside(&path, &entry.path)?,
            other => {
                let found = other.map_or("nothing", |(_, entry)| &entry.r#type);
                return Err(wrong(
                    &path,
                    format!("the first module must be a Transformer, found {found:?}"),
                ));
            }
        }
        let encoder = folder.join(&modules.encoder);
        let settings: TransformerFile = optional(&encoder.join("sentence_bert_config.json"))?;
        modules.max_tokens = settings.max_seq_length;
        modules.lower_case = settings.do_lower_case.unwrap_or(false);
        let prompts: PromptFile = optional(&folder.join("config_sentence_transformers.json"))?;
        modules.prompts = prompts
            .prompts
            .into_iter()
            .map(|(name, text)| (name, text.unwrap_or_default()))
            .collect();
        modules.default_prompt_name = prompts.default_prompt_name;
        if let (Some(name), None) = (&modules.default_prompt_name, modules.default_prompt()) {
            return Err(wrong(
                &folder.join("config_sentence_transformers.json"),
                format!("default_prompt_name {name:?} is none of its prompts"),
            ));
        }
        match kinds.next() {
            Some(("Pooling", entry)) => {
                let file = folder.join(inside(&path, &entry.path)?).join("config.json");
                modules.pooling = pooling(&file)?;
            }
            other => {
                let found = other.map_or("nothing", |(_, entry)| &entry.r#type);
                return Err(wrong(
                    &path,
                    format!("the second module must be Pooling, found {found:?}"),
                ));
            }
        }
        for (kind, entry) in kinds {
            let home = folder.join(inside(&path, &entry.path)?);
            match kind {
                "Normalize" => modules.rest.push(Module::Normalize),
                "Dense" => modules.rest.push(dense(&home)?),
                "LayerNorm" => modules.rest.push(layer_norm(&home)?),
                // It does nothing but in training.
                "Dropout" => (),
                _ => {
                    return Err(wrong(
                        &path,
                        format!(
                            "module {:?} is not known here: expected Transformer, Pooling, Dense, LayerNorm, Normalize, Dropout; choose a pooling to leave all modules out",
                            entry.r#type
                        ),
                    ));
                }
            }
        }
        modules.normalizes = modules.rest.last() == Some(&Module::Normalize);
        if modules.normalizes {
            modules.rest.pop();
        }
        Ok(modules)
    }

    /// Where the encoder and its tokenizer are.
    pub fn model_folder(&self, folder: &Path) -> PathBuf {
        if self.encoder.as_os_str().is_empty() {
            folder.to_owned()
        } else {
            folder.join(&self.encoder)
        }
    }

    /// Whether vectors are scaled to length 1 at the end.
    pub fn normalizes(&self) -> bool {
        self.normalizes
    }

    /// The prompt that is used unasked.
    pub fn default_prompt(&self) -> Option<&str> {
        let name = self.default_prompt_name.as_ref()?;
        self.prompts.get(name).map(String::as_str)
    }

    /// A text as the tokenizer gets it. sentence-transformers strips blanks: up to 5 itself, since then by its tokenizer.
    pub(super) fn prepare(&self, prompt: &str, text: &str) -> String {
        let mut text = format!("{prompt}{text}");
        if self.found {
            text = text.trim().to_owned();
        }
        if self.lower_case {
            text.to_lowercase()
        } else {
            text
        }
    }

    /// Numbers of a vector, for an encoder H numbers wide.
    pub(super) fn width(&self, h: usize) -> usize {
        let pooled = h * self.pooling.modes.len();
        let dense = |module: &Module| match module {
            Module::Dense { bias, .. } => Some(bias.len()),
            _ => None,
        };
        self.rest.iter().rev().find_map(dense).unwrap_or(pooled)
    }

    /// Refuses layers that do not fit the encoder, H numbers wide, or one another.
    pub(super) fn check(&self, h: usize) -> Result<()> {
        let mut width = h * self.pooling.modes.len();
        for module in &self.rest {
            let (expected, next) = match module {
                Module::Normalize => (width, width),
                Module::Dense { inputs, bias, .. } => (*inputs, bias.len()),
                Module::LayerNorm { gamma, .. } => (gamma.len(), gamma.len()),
            };
            if expected != width {
                return Err(Error::input(
                    "modules.json",
                    format!("a layer for vectors of {width} numbers"),
                    format!("one for {expected}"),
                ));
            }
            width = next;
        }
        Ok(())
    }

    /// Runs the modules behind the pooling, but for a Normalize at the end.
    pub(super) fn apply(&self, mut vector: Vec<f64>) -> Vec<f64> {
        for module in &self.rest {
            match module {
                Module::Normalize => normalize(&mut vector),
                Module::Dense {
                    inputs,
                    weight,
                    bias,
                    activation,
                } => {
                    let row = |(row, bias): (&[f64], &f64)| {
                        let products = row.iter().zip(&vector).map(|(w, x)| w * x);
                        activation.of(products.sum::<f64>() + bias)
                    };
                    vector = weight.chunks_exact(*inputs).zip(bias).map(row).collect();
                }
                Module::LayerNorm { gamma, beta } => {
                    let n = vector.len() as f64;
                    let mean = vector.iter().sum::<f64>() / n;
                    let variance = vector.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                    // The ε that PyTorch's LayerNorm has unasked.
                    let scale = 1.0 / (variance + 1e-5).sqrt();
                    for (x, (gamma, beta)) in vector.iter_mut().zip(gamma.iter().zip(beta)) {
                        *x = gamma * (*x - mean) * scale + beta;
                    }
                }
            }
        }
        vector
    }
}

fn wrong(path: &Path, problem: impl Into<String>) -> Error {
    Error::Modules {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

/// A folder named by `modules.json`: below its own, never elsewhere.
fn inside(modules: &Path, path: &str) -> Result<PathBuf> {
    let ok = !path.contains(['\\', ':'])
        && !path.starts_with('/')
        && path.split('/').all(|part| part != "..");
    if ok {
        Ok(PathBuf::from(path))
    } else {
        Err(wrong(
            modules,
            format!("the path {path:?} leaves the folder: expected a name of a folder inside"),
        ))
    }
}

/// Reads a file of settings.
fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    /// Published files have some hundred bytes.
    const LIMIT: u64 = 1 << 20;
    // Before it is opened: a pipe would wait for a writer.
    let regular = std::fs::metadata(path).map_err(|source| wrong(path, source.to_string()))?;
    if !regular.is_file() {
        return Err(wrong(path, "expected a regular file"));
    }
    let file = File::open(path).map_err(|source| wrong(path, source.to_string()))?;
    let mut text = String::new();
    let read = file.take(LIMIT + 1).read_to_string(&mut text);
    match read {
        Err(error) => Err(wrong(path, error.to_string())),
        Ok(_) if text.len() as u64 > LIMIT => Err(wrong(
            path,
            format!("expected a regular file of at most {LIMIT} bytes"),
        )),
        Ok(_) => serde_json::from_str(&text).map_err(|error| wrong(path, error.to_string())),
    }
}

/// As [`json`], or nothing where there is no such file.
fn optional<T: DeserializeOwned + Default>(path: &Path) -> Result<T> {
    if path.symlink_metadata().is_ok() {
        json(path)
    } else {
        Ok(T::default())
    }
}

fn pooling(path: &Path) -> Result<Pooling> {
    let settings: serde_json::Map<String, serde_json::Value> = json(path)?;
    let named = |name: &str| {
        let mode = MODES.iter().find(|(own, ..)| *own == name);
        mode.map(|(.., mode)| *mode).ok_or_else(|| {
            let known: Vec<&str> = MODES.iter().map(|(name, ..)| *name).collect();
            wrong(
                path,
                format!(
                    "pooling_mode {name:?}: expected one of {}",
                    known.join(", ")
                ),
            )
        })
    };
    let modes = match settings.get("pooling_mode") {
        Some(serde_json::Value::String(name)) => vec![named(name)?],
        Some(serde_json::Value::Array(names)) => names
            .iter()
            .map(|name| named(name.as_str().unwrap_or_default()))
            .collect::<Result<_>>()?,
        Some(other) => {
            return Err(wrong(
                path,
                format!("pooling_mode: expected a name or a list of names, found {other}"),
            ));
        }
        None => MODES
            .iter()
            .filter(|(_, switch, _)| settings.get(*switch) == Some(&true.into()))
            .map(|(.., mode)| *mode)
            .collect(),
    };
    let include_prompt = settings.get("include_prompt") != Some(&false.into());
    Ok(Pooling {
        // No switch on means the mean, as sentence-transformers has it.
        modes: if modes.is_empty() {
            vec![PoolingMode::Mean]
        } else {
            modes
        },
        include_prompt,
    })
}

/// Reads one tensor of a module in f64.
fn tensor(checkpoint: &Checkpoint, home: &Path, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
    let info = checkpoint
        .get(name)
        .ok_or_else(|| wrong(home, format!("no tensor {name:?} in its weights")))?;
    if info.shape != shape {
        return Err(wrong(
            home,
            format!(
                "tensor {name:?}: expected shape {shape:?}, found {:?}",
                info.shape
            ),
        ));
    }
    let mut values = vec![0.0; info.elements()];
    checkpoint.read_f64(info, 0, &mut values)?;
    Ok(values)
}

fn dense(home: &Path) -> Result<Module> {
    let path = home.join("config.json");
    let settings: DenseFile = json(&path)?;
    if settings.use_residual {
        return Err(wrong(&path, "use_residual is not known here"));
    }
    let class = settings
        .activation_function
        .as_deref()
        .unwrap_or("torch.nn.modules.activation.Tanh");
    let activation = Activation::named(class).ok_or_else(|| {
        wrong(
            &path,
            format!("activation_function {class:?}: expected Identity, Tanh, ReLU, GELU, Sigmoid or SiLU of torch.nn"),
        )
    })?;
    let (inputs, outputs) = (settings.in_features, settings.out_features);
    let checkpoint = Checkpoint::open(home)?;
    let weight = tensor(&checkpoint, home, "linear.weight", &[outputs, inputs])?;
    let bias = if settings.bias.unwrap_or(true) {
        tensor(&checkpoint, home, "linear.bias", &[outputs])?
    } else {
        vec![0.0; outputs]
    };
    Ok(Module::Dense {
        inputs,
        weight,
        bias,
        activation,
    })
}

fn layer_norm(home: &Path) -> Result<Module> {
    #[derive(Deserialize)]
    struct Settings {
        dimension: usize,
    }
    let Settings { dimension } = json(&home.join("config.json"))?;
    let checkpoint = Checkpoint::open(home)?;
    Ok(Module::LayerNorm {
        gamma: tensor(&checkpoint, home, "norm.weight", &[dimension])?,
        beta: tensor(&checkpoint, home, "norm.bias", &[dimension])?,
    })
}
