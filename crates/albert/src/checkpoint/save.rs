//! Writes the parameters of a model.

use std::collections::BTreeMap;
use std::path::Path;

use albert_formats::{Dtype, TensorSpec, write_safetensors_sharded};

use crate::config::AlbertConfig;
use crate::error::Result;
use crate::names::{self, BlockSite, Field, Site};
use crate::ops::{Backend, Norm};
use crate::params::{Embeddings, Encoder, Linear};
use crate::pretrained::Exact;

/// Collects a model's tensors and writes them.
pub struct Saver<'a, B: Backend> {
    device: &'a B,
    config: &'a AlbertConfig,
    labels: usize,
    /// Tensor names carry `albert.`.
    prefixed: bool,
    tensors: Vec<Parameter<'a>>,
}

/// One tensor of a model: its place, and its elements as the device holds them.
pub struct Parameter<'a> {
    /// Where it stands in the model.
    pub site: Site,
    /// Weight or bias.
    pub field: Field,
    /// Hugging Face name, with the prefix `albert.` in classes with a head.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    elements: Elements<'a>,
    /// Of a matrix alone.
    integers: Option<Integers<'a>>,
}

/// Rows of one tensor of a model: fills `out` with elements first, first + 1, …
type Elements<'a> = Box<dyn Fn(usize, &mut [f32]) + 'a>;

/// The whole numbers of a row, and their scale.
type Integers<'a> = Box<dyn Fn(usize, &mut [i8]) -> Option<f32> + 'a>;

impl Parameter<'_> {
    /// A tensor with these elements, whose name and shape are those of the model's table.
    pub fn of(site: Site, field: Field, shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self {
            site,
            field,
            name: site.name(field),
            shape,
            elements: Box::new(move |first, out| {
                out.copy_from_slice(&values[first..][..out.len()])
            }),
            integers: None,
        }
    }

    /// Fills `out` with elements `first`, `first` + 1, …; of a matrix both are whole rows.
    ///
    /// # Panics
    /// When there are not as many elements.
    pub fn read(&self, first: usize, out: &mut [f32]) {
        (self.elements)(first, out);
    }

    /// Fills `out` with the whole numbers of row `row` of a matrix and gives their scale; `None` where the device does not
    /// hold it so.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn integers(&self, row: usize, out: &mut [i8]) -> Option<f32> {
        self.integers.as_ref()?(row, out)
    }
}

impl<'a, B: Backend> Saver<'a, B> {
    pub(crate) fn new(
        device: &'a B,
        config: &'a AlbertConfig,
        labels: usize,
        prefixed: bool,
    ) -> Self {
        Self {
            device,
            config,
            labels,
            prefixed,
            tensors: Vec::new(),
        }
    }

    fn add(&mut self, site: Site, field: Field, elements: Elements<'a>) {
        let tensor = site
            .tensors(self.config, self.labels)
            .into_iter()
            .find(|t| t.field == field)
            .expect("the table has this field");
        let name = if self.prefixed {
            tensor.name
        } else {
            tensor.name.replacen(names::BASE_PREFIX, "", 1)
        };
        self.tensors.push(Parameter {
            site,
            field,
            name,
            shape: tensor.shape,
            elements,
            integers: None,
        });
    }

    pub(crate) fn vector(
        &mut self,
        site: Site,
        field: Field,
        vector: &B::Vector,
        part: std::ops::Range<usize>,
    ) {
        let values = self.device.vector_values(vector);
        self.add(
            site,
            field,
            Box::new(move |first, out| {
                out.copy_from_slice(&values[part.start + first..][..out.len()])
            }),
        );
    }

    fn whole(&mut self, site: Site, field: Field, vector: &B::Vector) {
        let values = self.device.vector_values(vector);
        self.add(
            site,
            field,
            Box::new(move |first, out| out.copy_from_slice(&values[first..][..out.len()])),
        );
    }

    /// Rows `first_row …` of a matrix.
    pub(crate) fn weight(&mut self, site: Site, weight: &'a B::Weight, first_row: usize) {
        let device = self.device;
        let cols = device.weight_shape(weight).1;
        self.add(
            site,
            Field::Weight,
            Box::new(move |first, out| {
                // The writer asks for whole rows: see `save`.
                for (i, row) in out.chunks_exact_mut(cols).enumerate() {
                    device.weight_row(weight, first_row + first / cols + i, row);
                }
            }),
        );
        let added = self.tensors.last_mut().expect("just added");
        added.integers = Some(Box::new(move |row, out| {
            device.weight_integers(weight, first_row + row, out)
        }));
    }

    pub(crate) fn linear(&mut self, site: Site, linear: &'a Linear<B>) {
        self.weight(site, &linear.weight, 0);
        self.whole(site, Field::Bias, &linear.bias);
    }

    pub(crate) fn norm(&mut self, site: Site, norm: &Norm<B::Vector>) {
        self.whole(site, Field::Weight, &norm.gamma);
        self.whole(site, Field::Bias, &norm.beta);
    }

    pub(crate) fn bias(&mut self, site: Site, bias: &B::Vector) {
        self.whole(site, Field::Bias, bias);
    }

    pub(crate) fn encoder(&mut self, encoder: &'a Encoder<B>) {
        let Embeddings {
            word,
            position,
            token_type,
            norm,
        } = &encoder.embeddings;
        self.weight(Site::WordEmbeddings, word, 0);
        self.whole(Site::PositionEmbeddings, Field::Weight, position);
        self.whole(Site::TokenTypeEmbeddings, Field::Weight, token_type);
        self.norm(Site::EmbeddingNorm, norm);
        self.linear(Site::Mapping, &encoder.mapping);
        for (place, block) in names::places(self.config).zip(&encoder.blocks) {
            let at = |part| Site::Block(part, place);
            let width = block.heads * self.config.head_size();
            for (i, part) in [BlockSite::Query, BlockSite::Key, BlockSite::Value]
                .into_iter()
                .enumerate()
            {
                self.weight(at(part), &block.qkv.weight, i * width);
                self.vector(
                    at(part),
                    Field::Bias,
                    &block.qkv.bias,
                    i * width..(i + 1) * width,
                );
            }
            self.linear(at(BlockSite::AttentionOutput), &block.output);
            self.norm(at(BlockSite::AttentionNorm), &block.attention_norm);
            if let Some(distance) = &block.distance {
                self.whole(at(BlockSite::Distance), Field::Weight, distance);
            }
            self.linear(at(BlockSite::Ffn), &block.ffn);
            self.linear(at(BlockSite::FfnOutput), &block.ffn_output);
            self.norm(at(BlockSite::LayerNorm), &block.norm);
        }
        if let Some(pooler) = &encoder.pooler {
            self.linear(Site::Pooler, pooler);
        }
    }

    /// Place, name and shape of each tensor.
    pub(crate) fn list(&self) -> Vec<(Site, Field, String, Vec<usize>)> {
        let one = |t: &Parameter<'_>| (t.site, t.field, t.name.clone(), t.shape.clone());
        self.tensors.iter().map(one).collect()
    }

    /// All tensors.
    pub(crate) fn into_tensors(self) -> Vec<Parameter<'a>> {
        self.tensors
    }

    /// All elements of a tensor.
    pub(crate) fn read(&self, name: &str, out: &mut [f32]) {
        let tensor = self.tensors.iter().find(|t| t.name == name);
        (tensor.expect("listed").elements)(0, out);
    }

    /// Writes model.safetensors (or shards of at most `max_shard_bytes` and their index) into `folder`, with the elements of
    /// `exact` where it is given.
    pub(crate) fn write(
        self,
        folder: &Path,
        dtype: Dtype,
        max_shard_bytes: u64,
        exact: Option<&Exact<'_>>,
    ) -> Result<()> {
        let specs: Vec<TensorSpec<'_>> = self
            .tensors
            .iter()
            .map(|Parameter { name, shape, .. }| TensorSpec { name, dtype, shape })
            .collect();
        let by_name: BTreeMap<&str, (&Vec<usize>, &Elements<'_>)> = self
            .tensors
            .iter()
            .map(|t| (t.name.as_str(), (&t.shape, &t.elements)))
            .collect();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let mut buffer = Vec::new();
        write_safetensors_sharded(
            folder,
            "model",
            max_shard_bytes,
            &metadata,
            &specs,
            |spec, sink| {
                let (shape, elements) = by_name[spec.name];
                let (len, cols) = (
                    shape.iter().product::<usize>(),
                    shape.last().copied().unwrap_or(1).max(1),
                );
                let step = (1_usize << 16).div_ceil(cols) * cols;
                buffer.resize(step, 0.0);
                for first in (0..len).step_by(step) {
                    let out = &mut buffer[..step.min(len - first)];
                    match exact {
                        Some(exact) => exact(spec.name, first, out),
                        None => elements(first, out),
                    }
                    sink.write_f32(out)?;
                }
                Ok(())
            },
        )?;
        Ok(())
    }
}
