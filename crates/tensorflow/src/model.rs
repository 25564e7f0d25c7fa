//! A TFAlbert model: load from any folder, run by TensorFlow, save as `tf_model.h5`.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use albert::config::ModelClass;
use albert::convert::save_keras;
use albert::names::{Dialect, Field, Site};
use albert::output::{Array, Trace};
use albert::{AlbertConfig, Inputs, Keep, LoadOptions, Loaded, MlmBias, Parameter};
use albert_export::saved_model::session::{SessionGraph, with_graph};

use crate::error::{Error, Result, input};
use crate::heads::TfHead;
use crate::library::{Data, Feed, Session};
use crate::tensorflow::TensorFlow;

/// One of transformers' TensorFlow classes, with its weights in a session of TensorFlow. See the aliases
/// [`crate::TFAlbertModel`], [`crate::TFAlbertForMaskedLM`], …
///
/// It may be used by several threads at a time.
pub struct TfAlbert<H> {
    config: AlbertConfig,
    session: Session,
    variables: Vec<Variable>,
    outputs: BTreeMap<String, String>,
    mlm_bias: MlmBias,
    head: PhantomData<fn() -> H>,
}

/// A variable of the session.
struct Variable {
    site: Site,
    field: Field,
    transposed: bool,
    /// The operation that gives its value.
    read: String,
}

impl<H: TfHead> fmt::Debug for TfAlbert<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables = &self.variables.len();
        f.debug_struct(H::TF_CLASS)
            .field("variables", variables)
            .finish_non_exhaustive()
    }
}

impl<H: TfHead> TfAlbert<H> {
    /// Loads a model's folder in any dialect, as [`albert::Albert::from_pretrained`] does, and hands its weights to TensorFlow.
    ///
    /// # Errors
    /// Those of [`albert::Albert::from_pretrained`]; a classifier that was trained as another class; a model that
    /// TensorFlow's classes have no place for: relative positions, a decoder of its own, pruned heads.
    pub fn from_pretrained(
        folder: &Path,
        tensorflow: &TensorFlow,
        options: LoadOptions,
    ) -> Result<(Self, Loaded)> {
        with_graph(folder, H::MODEL, options, |config, graph| {
            check_places(folder, config, &graph)?;
            let session = tensorflow.session(&graph.graph_def)?;
            for variable in &graph.variables {
                let values = variable.elements();
                let feed = Feed {
                    name: &variable.value,
                    shape: &variable.shape,
                    data: Data::Floats(&values),
                };
                session.run(&[feed], &[], &[&variable.assign])?;
            }
            let variables = graph.variables.into_iter().map(|variable| Variable {
                site: variable.site,
                field: variable.field,
                transposed: variable.transposed,
                read: variable.read,
            });
            Ok(Self {
                config: config.clone(),
                session,
                variables: variables.collect(),
                outputs: graph.outputs,
                mlm_bias: options.mlm_bias,
                head: PhantomData,
            })
        })
    }

    /// Runs the model, without dropout.
    ///
    /// The mask may have values between 0 and 1. `keep` asks for L + 1 hidden states and L·N attentions.
    ///
    /// # Shapes
    /// As the fields of [`Inputs`] and of the class's output say; the loss is `[B]` or `[1]`. Masked positions have outputs
    /// too. For multiple choice, hidden states and attentions are those of B·K sequences.
    ///
    /// # Errors
    /// Inputs or labels that do not fit the model, a head mask (TensorFlow's classes have none), or what TensorFlow says.
    pub fn forward(
        &self,
        inputs: &Inputs,
        labels: Option<&H::Labels>,
        keep: Keep,
    ) -> Result<H::Output> {
        inputs.check(&self.config)?;
        let batch = Batch::new(inputs, H::MODEL)?;
        let known = |name: &String| self.outputs.contains_key(name);
        let own = H::OUTPUTS
            .iter()
            .map(|name| (*name).to_owned())
            .filter(known);
        let own: Vec<String> = own.collect();
        let list = |kept: bool, name: &str| -> Vec<String> {
            let names = (0..).map(|i| format!("{name}.{i}")).take_while(known);
            names.take(if kept { usize::MAX } else { 0 }).collect()
        };
        let states = list(keep.hidden_states, "hidden_states");
        let attentions = list(keep.attentions, "attentions");
        let names = own.iter().chain(&states).chain(&attentions);
        let fetches: Vec<&str> = names.map(|name| self.outputs[name].as_str()).collect();

        let mut results = self
            .session
            .run(&batch.feeds(&self.outputs), &fetches, &[])?;
        let mut inner = results.split_off(own.len());
        let trace = Trace {
            attentions: inner.split_off(states.len()),
            hidden_states: inner,
        };
        let loss = match labels {
            Some(labels) => H::loss(&self.config, &results, labels)?,
            None => None,
        };
        Ok(H::output(loss, results, trace))
    }

    /// Writes `tf_model.h5` and `config.json` as transformers' class does, into a folder that may be new.
    ///
    /// A masked language model that was loaded with [`MlmBias::Google`] is written with that bias as
    /// `predictions/decoder/bias`, which TensorFlow's classes add.
    ///
    /// # Errors
    /// When a file cannot be written; complete files replace old ones, incomplete ones never appear.
    pub fn save_pretrained(&self, folder: &Path) -> Result<()> {
        let names: Vec<&str> = self.variables.iter().map(|one| one.read.as_str()).collect();
        let values = self.session.run(&[], &names, &[])?;
        let variables = self.variables.iter().zip(values);
        let tensors: Vec<Parameter<'_>> = variables
            .filter(|(one, _)| {
                let decoder = (one.site, one.field) == (Site::Decoder, Field::Bias);
                self.mlm_bias != MlmBias::Google || !decoder
            })
            .map(|(one, value)| parameter(one, value))
            .collect();
        Ok(save_keras(folder, H::MODEL, &self.config, &tensors)?)
    }

    /// The configuration.
    pub fn config(&self) -> &AlbertConfig {
        &self.config
    }
}

/// A variable as the model has it: matrices [N, K].
fn parameter(variable: &Variable, value: Array) -> Parameter<'static> {
    let Array {
        mut shape,
        mut data,
    } = value;
    if let ([inputs, outputs], true) = (&shape[..], variable.transposed) {
        let (inputs, outputs) = (*inputs, *outputs);
        let turned = (0..outputs).flat_map(|o| (0..inputs).map(move |i| i * outputs + o));
        data = turned.map(|at| data[at]).collect();
        shape.reverse();
    }
    Parameter::of(variable.site, variable.field, shape, data)
}

/// Refuses what transformers' TensorFlow classes cannot say.
fn check_places(folder: &Path, config: &AlbertConfig, graph: &SessionGraph<'_>) -> Result<()> {
    let problem = |found: String| {
        Error::Model(albert::Error::Folder {
            path: folder.to_owned(),
            problem: format!(
                "expected what transformers' TensorFlow classes have a place for, found {found}; take albert::Albert, or another model"
            ),
        })
    };
    if !config.pruned_heads.is_empty() {
        return Err(problem("pruned heads (config pruned_heads)".to_owned()));
    }
    let homeless = graph.variables.iter().find(|variable| {
        let name = Dialect::Keras.name_of(variable.site, variable.field);
        name.is_none()
    });
    match homeless {
        Some(variable) => Err(problem(match variable.site {
            Site::Decoder => "a decoder that is not the word table".to_owned(),
            Site::Block(..) => "relative positions (config position_embedding_type)".to_owned(),
            other => format!("{other:?}"),
        })),
        None => Ok(()),
    }
}

/// A batch with everything that may be left out.
struct Batch<'a> {
    /// [B, S], or [B, K, S].
    shape: Vec<usize>,
    ids: Vec<i64>,
    mask: Vec<f32>,
    types: Vec<i64>,
    positions: Vec<i64>,
    /// Word embeddings and their shape [B, S, E].
    embeds: Option<(&'a [f32], [usize; 3])>,
}

impl<'a> Batch<'a> {
    fn new(inputs: &'a Inputs, class: ModelClass) -> Result<Self> {
        if let Some(mask) = &inputs.head_mask {
            let found = format!("{} elements", mask.len());
            return Err(input(
                "head_mask",
                "none: TensorFlow's classes have none",
                found,
            ));
        }
        let (batch, length) = (inputs.batch, inputs.length);
        let shape = match class {
            ModelClass::MultipleChoice => {
                let choices = inputs.choices.unwrap_or(batch);
                if choices == 0 || !batch.is_multiple_of(choices) {
                    let expected = format!("a divisor of the {batch} sequences");
                    return Err(input("choices", expected, choices));
                }
                vec![batch / choices, choices, length]
            }
            _ => vec![batch, length],
        };
        let tokens = batch * length;
        let whole = |given: &Option<Vec<i64>>| given.clone().unwrap_or_else(|| vec![0; tokens]);
        let positions = match &inputs.position_ids {
            Some(positions) => positions.iter().copied().cycle().take(tokens).collect(),
            None => (0..tokens).map(|token| (token % length) as i64).collect(),
        };
        let mask = inputs.attention_mask.clone();
        Ok(Self {
            shape,
            ids: whole(&inputs.input_ids),
            mask: mask.unwrap_or_else(|| vec![1.0; tokens]),
            types: whole(&inputs.token_type_ids),
            positions,
            embeds: inputs
                .inputs_embeds
                .as_ref()
                .map(|embeds| (embeds.as_slice(), [batch, length, embeds.len() / tokens])),
        })
    }

    /// `outputs`: names of the graph.
    fn feeds<'f>(&'f self, outputs: &'f BTreeMap<String, String>) -> Vec<Feed<'f>> {
        let feed = |name, data| Feed {
            name,
            shape: &self.shape,
            data,
        };
        let mut feeds = vec![
            feed("input_ids", Data::Integers(&self.ids)),
            feed("attention_mask", Data::Floats(&self.mask)),
            feed("token_type_ids", Data::Integers(&self.types)),
            feed("position_ids", Data::Integers(&self.positions)),
        ];
        if let Some((embeds, shape)) = &self.embeds {
            feeds.push(Feed {
                name: &outputs["inputs_embeds"],
                shape,
                data: Data::Floats(embeds),
            });
        }
        feeds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out() {
        let mut inputs = Inputs::new(2, 3, vec![5; 6]);
        let batch = Batch::new(&inputs, ModelClass::MaskedLM).expect("a batch");
        assert_eq!(batch.shape, [2, 3]);
        assert_eq!(batch.mask, [1.0; 6]);
        assert_eq!(batch.types, [0; 6]);
        assert_eq!(batch.positions, [0, 1, 2, 0, 1, 2]);
        assert!(batch.embeds.is_none());

        inputs.position_ids = Some(vec![2, 1, 0]);
        inputs.choices = Some(1);
        let batch = Batch::new(&inputs, ModelClass::MultipleChoice).expect("a batch");
        assert_eq!(batch.shape, [2, 1, 3]);
        assert_eq!(batch.positions, [2, 1, 0, 2, 1, 0]);
    }

    #[test]
    fn what_tensorflow_has_not() {
        let mut inputs = Inputs::new(2, 3, vec![5; 6]);
        inputs.choices = Some(4);
        let error = Batch::new(&inputs, ModelClass::MultipleChoice)
            .err()
            .expect("refused");
        assert!(
            error.to_string().contains("divisor of the 2 sequences"),
            "{error}"
        );
        inputs.head_mask = Some(vec![1.0; 2]);
        let error = Batch::new(&inputs, ModelClass::MaskedLM)
            .err()
            .expect("refused");
        assert!(
            error.to_string().starts_with("head_mask: expected none"),
            "{error}"
        );
    }
}
