//! A model as something to train: its parameters as one vector, its loss and the gradient of that.

use std::path::Path;

use albert_formats::Dtype;

use crate::backward::Backward;
use crate::config::PositionEmbeddingType;
use crate::dropout::DropoutPlan;
use crate::error::{Error, Result};
use crate::heads::{HeadStep, Trainable};
use crate::inputs::Inputs;
use crate::model::{Keep, Tape, Taping, encode_watched};
use crate::names::{BlockSite, Field, Site, places};
use crate::ops::Gradient;
use crate::params::Encoder;
use crate::pretrained::{Albert, Pass, SHARD_BYTES};
use crate::variables::{Gradients, Values, Variable, arrange};

/// How to compute a gradient.
#[derive(Clone, Debug)]
pub struct Training {
    /// [`Trainable::terms`] of the whole batch, when `inputs` are only a part of it.
    pub terms: [usize; 2],
    /// What is dropped; none: nothing.
    pub dropout: Option<DropoutPlan>,
    /// Keep only the inputs of blocks and compute the rest twice: a third more work, and memory for one block.
    pub checkpointing: bool,
}

impl<B: Gradient, H: Trainable<B>> Albert<H, B> {
    /// All parameters, in the layout of the variables.
    pub fn parameters(&self) -> (Vec<Variable>, Vec<f32>) {
        let saver = self.saver();
        let variables = arrange(saver.list());
        let len = variables.last().map_or(0, |v| v.range.end);
        let mut values = vec![0.0; len];
        for variable in &variables {
            saver.read(&variable.name, &mut values[variable.range.clone()]);
        }
        (variables, values)
    }

    /// Takes in other parameters, in the layout that [`Albert::parameters`] gave.
    pub fn assign(&mut self, variables: &[Variable], values: &[f32]) {
        let values = Values { variables, values };
        let (device, config, encoder, head) = self.parts();
        reload_encoder(device, config, encoder, &values);
        head.reload(device, &values);
    }

    /// As [`Albert::save_pretrained`], in f32, with these parameters instead of those that the device holds, which may be
    /// rounded.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save_parameters(
        &self,
        folder: &Path,
        variables: &[Variable],
        values: &[f32],
    ) -> Result<()> {
        let exact = |name: &str, first: usize, out: &mut [f32]| {
            let variable = variables.iter().find(|v| v.name == name);
            let start = variable.expect("a variable of this model").range.start + first;
            out.copy_from_slice(&values[start..][..out.len()]);
        };
        self.save_as(folder, Dtype::F32, SHARD_BYTES, Some(&exact))
    }

    /// The loss of a batch, or its share of it, and the gradient of that with respect to all parameters, which is added to
    /// `gradient` in the layout of [`Albert::parameters`]. The loss is the sum of two: of words and of the order of sentences in
    /// pre-training, elsewhere the second is 0.
    ///
    /// # Errors
    /// Inputs or labels that do not fit the model; a device or model that cannot be trained.
    pub fn gradients(
        &self,
        inputs: &Inputs,
        labels: &H::Labels,
        how: &Training,
        variables: &[Variable],
        gradient: &mut [B::Scalar],
    ) -> Result<[f64; 2]> {
        let (device, config) = (self.device(), self.config());
        if let Some(refusal) = device.refusal() {
            return Err(Error::input("training", "a device with gradients", refusal));
        }
        if config.position_embedding_type != PositionEmbeddingType::Absolute {
            let found = "relative positions, whose gradient is not built";
            return Err(Error::input(
                "training",
                "position_embedding_type absolute",
                found,
            ));
        }
        inputs.check(config)?;
        if let Some(plan) = &how.dropout
            && plan.samples.len() != inputs.batch
        {
            let expected = format!("{} numbers, one for each sequence", inputs.batch);
            return Err(Error::input(
                "dropout samples",
                expected,
                plan.samples.len(),
            ));
        }
        let packed = inputs.pack(config, H::needs_hidden_positions(inputs, labels));
        let mut tape = Tape {
            embeddings: None,
            blocks: Vec::new(),
            pooler: None,
        };
        let dropout = how.dropout.as_ref();
        let reads = H::reads(inputs, &packed, labels);
        let encoded = encode_watched(
            device,
            config,
            self.encoder(),
            inputs,
            &packed,
            reads,
            Keep::default(),
            &mut |_, _, _| {},
            Some(Taping {
                dropout,
                checkpointing: how.checkpointing,
                tape: &mut tape,
            }),
        );
        let pass = Pass {
            device,
            config,
            encoder: self.encoder(),
            inputs,
            packed: &packed,
            encoded: &encoded,
        };
        let step = HeadStep {
            terms: how.terms,
            dropout,
        };
        let mut gradients = Gradients {
            variables,
            values: gradient,
        };
        let head = self.head().backward(pass, labels, step, &mut gradients)?;
        let reads = encoded.reads.clone();
        drop(encoded);
        let backward = Backward {
            device,
            config,
            encoder: self.encoder(),
            inputs,
            packed: &packed,
            reads: &reads,
            dropout,
        };
        backward.run(tape, head.hidden, head.pooled, &mut gradients);
        Ok(head.losses)
    }
}

fn reload_encoder<B: Gradient>(
    device: &B,
    config: &crate::AlbertConfig,
    encoder: &mut Encoder<B>,
    values: &Values<'_>,
) {
    let table = |site: Site| values.vector(device, site, Field::Weight);
    let embeddings = &mut encoder.embeddings;
    device.reload(
        &mut embeddings.word,
        values.get(Site::WordEmbeddings, Field::Weight),
    );
    embeddings.position = table(Site::PositionEmbeddings);
    embeddings.token_type = table(Site::TokenTypeEmbeddings);
    values.norm(device, Site::EmbeddingNorm, &mut embeddings.norm);
    values.linear(device, Site::Mapping, &mut encoder.mapping);
    for (place, block) in places(config).zip(&mut encoder.blocks) {
        let at = |part| Site::Block(part, place);
        values.linear(device, at(BlockSite::Query), &mut block.qkv);
        values.linear(device, at(BlockSite::AttentionOutput), &mut block.output);
        values.norm(
            device,
            at(BlockSite::AttentionNorm),
            &mut block.attention_norm,
        );
        values.linear(device, at(BlockSite::Ffn), &mut block.ffn);
        values.linear(device, at(BlockSite::FfnOutput), &mut block.ffn_output);
        values.norm(device, at(BlockSite::LayerNorm), &mut block.norm);
        if block.distance.is_some() {
            block.distance = Some(table(at(BlockSite::Distance)));
        }
    }
    if let Some(pooler) = &mut encoder.pooler {
        values.linear(device, Site::Pooler, pooler);
    }
}
