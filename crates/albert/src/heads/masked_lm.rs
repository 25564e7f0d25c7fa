//! Masked language model: logits = LayerNorm(act(W_d·h + b_d))·Wordᵀ + bias.

use super::{labels_hidden_token, logits_output, token_output};
use crate::checkpoint::{Loader, MlmBias, Saver};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::inputs::{Inputs, Packed};
use crate::model::{Encoded, plain};
use crate::names::{Field, Site};
use crate::ops::{Backend, Epilogue, Norm};
use crate::output::{Array, LogitsOutput};
use crate::params::{Encoder, Linear};
use crate::pretrained::{Head, Pass, resize_rows};

/// Of `AlbertForMaskedLM` and, in part, `AlbertForPreTraining`.
pub struct MaskedLm<B: Backend> {
    dense: Linear<B>,
    norm: Norm<B::Vector>,
    /// [V, E]; absent: the word table.
    decoder: Option<B::Weight>,
    /// The bias that is added `[V]`.
    bias: B::Vector,
    /// The other one, when the checkpoint holds two that differ `[V]`.
    other_bias: Option<B::Vector>,
    /// Which one `bias` is.
    kind: MlmBias,
}

impl<B: Backend> MaskedLm<B> {
    /// The transform of some rows [n, H] and the decoder: [n, V] on the device.
    pub(crate) fn logits(
        &self,
        device: &B,
        config: &AlbertConfig,
        encoder: &Encoder<B>,
        rows: &B::Buffer,
        n: usize,
    ) -> B::Buffer {
        let mut z = device.buffer(n, config.embedding_size);
        let transform = Epilogue {
            activation: config.hidden_act.kernel(),
            norm: Some(&self.norm),
            ..plain(&self.dense)
        };
        device.linear(rows, &self.dense.weight, transform, &mut z);
        let mut logits = device.buffer(n, config.vocab_size);
        let decoder = self.decoder.as_ref().unwrap_or(&encoder.embeddings.word);
        let bias = Epilogue {
            bias: Some(&self.bias),
            activation: albert_kernels::Activation::Linear,
            residual: None,
            norm: None,
        };
        device.linear(&z, decoder, bias, &mut logits);
        logits
    }
}

impl<B: Backend> Head<B> for MaskedLm<B> {
    const CLASS: &'static str = "AlbertForMaskedLM";
    const POOLER: Option<bool> = Some(false);
    type Labels = Vec<i64>;
    type Output = LogitsOutput<B::Scalar>;

    fn load(loader: &mut Loader<'_, B>) -> Result<Self> {
        let dense = loader.linear(Site::MlmDense)?;
        let norm = loader.norm(Site::MlmNorm)?;
        // The decoder is a matrix of its own when the configuration or the file says so (transformers 5 keeps two
        // different tensors apart; 4 would overwrite one).
        let stored = loader.has(Site::Decoder, Field::Weight)
            && loader.has(Site::WordEmbeddings, Field::Weight);
        let different = stored
            && loader.differ(
                (Site::Decoder, Field::Weight),
                (Site::WordEmbeddings, Field::Weight),
            )?;
        if different && loader.config.tie_word_embeddings {
            loader.report.notes.push("predictions.decoder.weight differs from the word table: kept as a matrix of its own".to_owned());
        }
        let untied = different || !loader.config.tie_word_embeddings;
        let decoder = if untied {
            Some(loader.weights(&[Site::Decoder])?)
        } else {
            if stored {
                loader.account_for(Site::Decoder, Field::Weight);
            }
            None
        };
        let both = loader.has(Site::Decoder, Field::Bias) && loader.has(Site::MlmBias, Field::Bias);
        let different =
            both && loader.differ((Site::Decoder, Field::Bias), (Site::MlmBias, Field::Bias))?;
        let kind = loader.options.mlm_bias;
        let (used, other) = match kind {
            MlmBias::Decoder => (Site::Decoder, Site::MlmBias),
            MlmBias::Google => (Site::MlmBias, Site::Decoder),
        };
        if different {
            loader.report.notes.push(
                "predictions.bias and predictions.decoder.bias differ: transformers adds the second, Google's code the first; the option mlm_bias chooses"
                    .to_owned(),
            );
            let bias = loader.vector(used, Field::Bias)?;
            return Ok(Self {
                dense,
                norm,
                decoder,
                bias,
                other_bias: Some(loader.vector(other, Field::Bias)?),
                kind,
            });
        }
        // Equal, or only one of them there.
        let site = if loader.has(Site::Decoder, Field::Bias) {
            Site::Decoder
        } else {
            Site::MlmBias
        };
        let bias = loader.vector(site, Field::Bias)?;
        if both {
            loader.report.loaded.push("predictions.bias".to_owned());
        }
        Ok(Self {
            dense,
            norm,
            decoder,
            bias,
            other_bias: None,
            kind,
        })
    }

    fn save<'a>(&'a self, saver: &mut Saver<'a, B>) {
        saver.linear(Site::MlmDense, &self.dense);
        saver.norm(Site::MlmNorm, &self.norm);
        if let Some(decoder) = &self.decoder {
            saver.weight(Site::Decoder, decoder, 0);
        }
        match (&self.other_bias, self.kind) {
            (None, _) => saver.bias(Site::MlmBias, &self.bias),
            (Some(other), MlmBias::Decoder) => {
                saver.bias(Site::Decoder, &self.bias);
                saver.bias(Site::MlmBias, other);
            }
            (Some(other), MlmBias::Google) => {
                saver.bias(Site::MlmBias, &self.bias);
                saver.bias(Site::Decoder, other);
            }
        }
    }

    fn needs_hidden_positions(inputs: &Inputs, labels: &Vec<i64>) -> bool {
        labels_hidden_token(inputs, labels)
    }

    fn forward(&self, pass: Pass<'_, B>, labels: Option<&Vec<i64>>) -> Result<Self::Output> {
        let logits = self.logits(
            pass.device,
            pass.config,
            pass.encoder,
            &pass.encoded.hidden,
            pass.packed.rows.len(),
        );
        let (logits, loss) = token_output(&pass, &pass.device.values(&logits), labels)?;
        Ok(logits_output(&pass, logits, loss))
    }

    fn resize_vocabulary(&mut self, device: &B, config: &AlbertConfig, seed: u64) {
        let v = config.vocab_size;
        if let Some(decoder) = &self.decoder {
            self.decoder = Some(resize_rows(
                device,
                decoder,
                v,
                seed,
                config.initializer_range,
            ));
        }
        for bias in [Some(&mut self.bias), self.other_bias.as_mut()]
            .into_iter()
            .flatten()
        {
            let mut values = device.vector_values(bias);
            values.resize(v, 0.0);
            *bias = device.vector(values);
        }
    }
}

impl<B: Backend> crate::Albert<MaskedLm<B>, B> {
    /// Logits [n, V] at n places (sequence, position) alone: what filling masks needs, without the other rows of V.
    ///
    /// # Errors
    /// Inputs that do not fit the model; a place outside the batch or hidden by the mask.
    pub fn logits_at(
        &self,
        inputs: &Inputs,
        places: &[(usize, usize)],
    ) -> Result<Array<B::Scalar>> {
        let (packed, encoded) = self.encode(inputs)?;
        self.logits_of(inputs, &packed, &encoded, places)
    }

    /// As [`logits_at`](Self::logits_at), of a batch that was encoded before.
    ///
    /// # Errors
    /// A place outside the batch or hidden by the mask.
    pub fn logits_of(
        &self,
        inputs: &Inputs,
        packed: &Packed,
        encoded: &Encoded<B>,
        places: &[(usize, usize)],
    ) -> Result<Array<B::Scalar>> {
        let row = |place: &(usize, usize)| {
            let row = packed.rows.iter().position(|row| row == place);
            row.filter(|_| inputs.keeps(place.0, place.1))
                .map(|row| row as u32)
                .ok_or_else(|| {
                    Error::input(
                        "place",
                        format!(
                            "a token of the batch [{}, {}] that the mask keeps",
                            inputs.batch, inputs.length
                        ),
                        format!("{place:?}"),
                    )
                })
        };
        let rows: Vec<u32> = places.iter().map(row).collect::<Result<_>>()?;
        let hidden = self.device().gather_rows(&encoded.hidden, &rows);
        let logits = self.head().logits(
            self.device(),
            self.config(),
            self.encoder(),
            &hidden,
            rows.len(),
        );
        Ok(Array::new(
            vec![rows.len(), self.config().vocab_size],
            self.device().values(&logits),
        ))
    }
}
