//! Masked language model: logits = LayerNorm(act(W_d·h + b_d))·Wordᵀ + bias.

use super::{
    HeadGradient, HeadStep, Trainable, check_count, count_labels, labels_hidden_token,
    logits_output, token_output, weight,
};
use crate::checkpoint::{Loader, MlmBias, Saver};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::inputs::{Inputs, Packed};
use crate::loss::IGNORE_INDEX;
use crate::model::{Encoded, plain};
use crate::names::{Field, Site};
use crate::ops::{Backend, Epilogue, Gradient, LinearGradient, Norm, To};
use crate::output::{Array, LogitsOutput};
use crate::params::{Encoder, Linear};
use crate::pretrained::{Head, Pass, resize_rows};
use crate::variables::{Gradients, Values};

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
        let decoder = self.decoder.as_ref().unwrap_or(&encoder.embeddings.word);
        self.decode(device, config, decoder, &z, n)
    }

    /// Logits [n, V] at n places (sequence, position).
    ///
    /// # Errors
    /// A place outside the batch, hidden by the mask or not encoded.
    pub(super) fn logits_at(
        &self,
        pass: &Pass<'_, B>,
        places: &[(usize, usize)],
    ) -> Result<Array<B::Scalar>> {
        let row = |&place: &(usize, usize)| {
            let row = pass.packed.row_at(pass.inputs, place)?;
            pass.encoded.reads.place(row).ok_or_else(|| {
                let expected = "a place that was given to encode_at";
                Error::input("place", expected, format!("{place:?}"))
            })
        };
        let rows: Vec<u32> = places.iter().map(row).collect::<Result<_>>()?;
        let hidden = pass.device.gather_rows(&pass.encoded.hidden, &rows);
        let logits = self.logits(pass.device, pass.config, pass.encoder, &hidden, rows.len());
        Ok(Array::new(
            vec![rows.len(), pass.config.vocab_size],
            pass.device.values(&logits),
        ))
    }

    /// z·Wordᵀ + bias [n, V]
    fn decode(
        &self,
        device: &B,
        config: &AlbertConfig,
        decoder: &B::Weight,
        z: &B::Buffer,
        n: usize,
    ) -> B::Buffer {
        let mut logits = device.buffer(n, config.vocab_size);
        let bias = Epilogue {
            bias: Some(&self.bias),
            activation: albert_kernels::Activation::Linear,
            dropout: None,
            residual: None,
            norm: None,
            kept: None,
        };
        device.linear(z, decoder, bias, &mut logits);
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
            loader.account_for(Site::MlmBias, Field::Bias);
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
        let (packed, encoded) = self.encode_at(inputs, places)?;
        self.logits_of(inputs, &packed, &encoded, places)
    }

    /// As [`logits_at`](Self::logits_at), of a batch that was encoded before: [`encode`](Self::encode), or
    /// [`encode_at`](Self::encode_at) these places and perhaps others.
    ///
    /// # Errors
    /// A place outside the batch, hidden by the mask or not encoded.
    pub fn logits_of(
        &self,
        inputs: &Inputs,
        packed: &Packed,
        encoded: &Encoded<B>,
        places: &[(usize, usize)],
    ) -> Result<Array<B::Scalar>> {
        let pass = Pass {
            device: self.device(),
            config: self.config(),
            encoder: self.encoder(),
            inputs,
            packed,
            encoded,
        };
        self.head().logits_at(&pass, places)
    }
}

/// Packed rows of tokens that have a label.
pub(super) fn labelled(inputs: &Inputs, packed: &Packed, labels: &[i64]) -> Vec<u32> {
    let has = |&(b, s): &(usize, usize)| {
        let label = labels.get(b * inputs.length + s);
        label.is_some_and(|&label| label != IGNORE_INDEX)
    };
    (0..)
        .zip(&packed.rows)
        .filter(|(_, place)| has(place))
        .map(|(row, _)| row)
        .collect()
}

impl<B: Gradient> MaskedLm<B> {
    fn bias_site(&self) -> Site {
        match (&self.other_bias, self.kind) {
            (Some(_), MlmBias::Decoder) => Site::Decoder,
            _ => Site::MlmBias,
        }
    }

    /// As [`Trainable::backward`]; the vocabulary's logits are computed at labelled positions only.
    pub(super) fn gradient(
        &self,
        pass: &Pass<'_, B>,
        labels: &[i64],
        terms: usize,
        gradients: &mut Gradients<'_, B::Scalar>,
    ) -> Result<(f64, B::Buffer)> {
        let Pass {
            device,
            config,
            encoder,
            inputs,
            packed,
            encoded,
        } = *pass;
        check_count(
            "labels",
            labels.len(),
            "[B, S]",
            inputs.batch * inputs.length,
        )?;
        let rows = labelled(inputs, packed, labels);
        let target = |&row: &u32| {
            let (b, s) = packed.rows[row as usize];
            let (i, v) = (b * inputs.length + s, config.vocab_size);
            let target = u32::try_from(labels[i]).ok().filter(|t| (*t as usize) < v);
            target.ok_or_else(|| {
                let expected = format!("0 to {} or {IGNORE_INDEX}", v - 1);
                Error::input(format!("labels, element {i}"), expected, labels[i])
            })
        };
        let targets: Vec<u32> = rows.iter().map(target).collect::<Result<_>>()?;
        let rows = encoded.reads.places(&rows);
        let mut hidden = device.zeros(encoded.reads.count(), config.hidden_size);
        let n = rows.len();
        if n == 0 {
            return Ok((0.0, hidden));
        }
        let e = config.embedding_size;
        // z = LayerNorm(act(W_d·h + b_d)), logits = z·Wordᵀ + bias
        let activation = config.hidden_act.kernel();
        let inputs = device.gather_rows(&encoded.hidden, &rows);
        let mut sum = device.buffer(n, e);
        device.linear(&inputs, &self.dense.weight, plain(&self.dense), &mut sum);
        let activated = device.activate(activation, &sum);
        let mut z = device.buffer(n, e);
        let transform = Epilogue {
            activation,
            norm: Some(&self.norm),
            ..plain(&self.dense)
        };
        device.linear(&inputs, &self.dense.weight, transform, &mut z);
        let decoder = self.decoder.as_ref().unwrap_or(&encoder.embeddings.word);
        let mut logits = self.decode(device, config, decoder, &z, n);

        let scale = weight(terms);
        let loss = device.cross_entropy(&mut logits, &targets, scale) * scale;
        // The bias stands apart from the matrix, which may be the word table's.
        let bias = gradients.table(self.bias_site(), Field::Bias);
        device.add_sums(&logits, bias);
        let decoder_site = match self.decoder {
            Some(_) => Site::Decoder,
            None => Site::WordEmbeddings,
        };
        let into = LinearGradient {
            weight: gradients.table(decoder_site, Field::Weight),
            bias: None,
        };
        let mut gradient = device.buffer(n, e);
        device.linear_backward(&z, decoder, &logits, into, Some(To::Set(&mut gradient)));
        drop(logits);
        let into = gradients.norm(Site::MlmNorm);
        device.norm_backward(&activated, &self.norm, &mut gradient, into);
        device.activation_backward(activation, &sum, &mut gradient);
        let mut inputs_gradient = device.buffer(n, config.hidden_size);
        let into = gradients.linear(Site::MlmDense);
        let to = Some(To::Set(&mut inputs_gradient));
        device.linear_backward(&inputs, &self.dense.weight, &gradient, into, to);
        device.add_rows(&inputs_gradient, &rows, &mut hidden);
        Ok((loss, hidden))
    }
}

impl<B: Gradient> Trainable<B> for MaskedLm<B> {
    fn terms(_: &AlbertConfig, inputs: &Inputs, labels: &Vec<i64>) -> Result<[usize; 2]> {
        check_count(
            "labels",
            labels.len(),
            "[B, S]",
            inputs.batch * inputs.length,
        )?;
        Ok([count_labels(labels), 0])
    }

    fn reads(inputs: &Inputs, packed: &Packed, labels: &Vec<i64>) -> Option<Vec<u32>> {
        Some(labelled(inputs, packed, labels))
    }

    fn reload(&mut self, device: &B, values: &Values<'_>) {
        values.linear(device, Site::MlmDense, &mut self.dense);
        values.norm(device, Site::MlmNorm, &mut self.norm);
        if let Some(decoder) = &mut self.decoder {
            device.reload(decoder, values.get(Site::Decoder, Field::Weight));
        }
        self.bias = values.vector(device, self.bias_site(), Field::Bias);
    }

    fn backward(
        &self,
        pass: Pass<'_, B>,
        labels: &Vec<i64>,
        step: HeadStep<'_>,
        gradients: &mut Gradients<'_, B::Scalar>,
    ) -> Result<HeadGradient<B>> {
        let (loss, hidden) = self.gradient(&pass, labels, step.terms[0], gradients)?;
        Ok(HeadGradient {
            losses: [loss, 0.0],
            hidden: Some(hidden),
            pooled: None,
        })
    }
}
