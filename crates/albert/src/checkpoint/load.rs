//! Reads the parameters of a model, and accounts for every tensor of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use albert_formats::{Checkpoint, Dtype, TensorInfo};

use super::reader::Reader;
use super::view::{Stored, View};
use super::{LoadOptions, LoadReport, integers, is_in, refusal, repeats};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::names::{self, BlockSite, Field, HEAD_MODULES, Place, Site, Tensor};
use crate::ops::{Backend, Care, Moments, Norm};
use crate::params::{Block, Embeddings, Encoder, Linear};

/// Reads the tensors of one class out of a checkpoint and keeps account.
pub struct Loader<'a, B: Backend> {
    pub(crate) device: &'a B,
    pub(crate) config: &'a AlbertConfig,
    view: View<'a>,
    path: PathBuf,
    pub(crate) options: LoadOptions,
    /// C of the head that is being loaded.
    pub(crate) labels: usize,
    pub(crate) report: LoadReport,
    missing: Vec<String>,
    /// What is known about the inputs of a site's matrix.
    pub(crate) moments: BTreeMap<Site, Moments>,
}

/// Where the elements of one tensor come from.
enum Source<'a> {
    File(Reader<'a>),
    /// Whole numbers, each times the scale of its row, and a difference.
    Scaled(&'a TensorInfo, Vec<f32>, Option<Delta>),
    /// Seed of a normal distribution with this standard deviation.
    Normal(u64, f64),
    Zero,
}

/// Σ over r of left\[i, r\] · right\[r, j\], added to element (i, j).
struct Delta {
    left: Vec<f32>,
    right: Vec<f32>,
}

impl<'a, B: Backend> Loader<'a, B> {
    pub(crate) fn new(
        device: &'a B,
        config: &'a AlbertConfig,
        checkpoint: &'a Checkpoint,
        path: &Path,
        options: LoadOptions,
    ) -> Self {
        Self {
            device,
            config,
            view: View::new(checkpoint),
            path: path.to_owned(),
            options,
            labels: config.num_labels(),
            report: LoadReport::default(),
            missing: Vec::new(),
            moments: BTreeMap::new(),
        }
    }

    /// The file's tensor for a table entry, under whichever of its names.
    fn find(&self, tensor: &Tensor) -> Option<Stored<'a>> {
        self.view.get(&tensor.name)
    }

    /// Whether the checkpoint holds this tensor.
    pub(crate) fn has(&self, site: Site, field: Field) -> bool {
        site.tensors(self.config, self.labels)
            .iter()
            .any(|t| t.field == field && self.find(t).is_some())
    }

    /// Chooses where a tensor's elements come from, checks its shape, and accounts for it. A missing tensor is
    /// noted and read as zeros; [`Loader::finish`] then refuses.
    fn source(&mut self, tensor: &Tensor) -> Result<Source<'a>> {
        if let Some(stored) = self.find(tensor) {
            if stored.shape() != tensor.shape {
                return Err(stored.misshapen(&self.path, &tensor.shape));
            }
            self.count(stored);
            for repeat in repeats::of(&self.path, &self.view, &tensor.name, stored)? {
                self.count(repeat);
            }
            return match stored {
                Stored::Plain(info) if info.dtype == Dtype::I8 => self.scaled(info),
                _ => Ok(Source::File(self.view.reader(stored)?)),
            };
        }
        let fresh = self.options.fresh_body
            || !tensor.name.starts_with(names::BASE_PREFIX)
            || tensor.site == Site::Pooler;
        if let (Some(seed), true) = (self.options.fresh_head, fresh) {
            self.report.fresh.push(tensor.name.clone());
            // A norm starts as the identity, a bias at zero.
            return Ok(match (tensor.site, tensor.field) {
                (_, Field::Bias) => Source::Zero,
                _ => Source::Normal(seed, self.config.initializer_range),
            });
        }
        self.missing.push(tensor.name.clone());
        Ok(Source::Zero)
    }

    /// Counts a tensor of the file as loaded.
    fn count(&mut self, stored: Stored<'_>) {
        let names = stored.infos().map(|info| info.name.clone());
        self.report.loaded.extend(names);
    }

    /// A matrix X of dtype I8 [N, K] comes with `X_scale` [N, 1]: row i of the matrix is X\[i\] · scale\[i\]. Where there
    /// are `X_delta_left` [N, R] and `X_delta_right` [R, K], their product is added: a table that was fine-tuned is
    /// often that close to the one that it came from, which another checkpoint holds.
    fn scaled(&mut self, info: &'a TensorInfo) -> Result<Source<'a>> {
        let [rows, cols] = *info.shape else {
            return Err(integers::not_a_matrix(&self.path, info));
        };
        let scales = self.companion(info, names::SCALE, [rows, 1])?;
        let left = format!("{}{}", info.name, names::DELTA_LEFT);
        let rank = match self.view.checkpoint.get(&left).map(|left| &left.shape[..]) {
            Some([_, rank]) => *rank,
            _ => 1,
        };
        let left = self.companion(info, names::DELTA_LEFT, [rows, rank])?;
        let right = self.companion(info, names::DELTA_RIGHT, [rank, cols])?;
        let missing = |suffix: &str, [rows, cols]: [usize; 2]| Error::Companion {
            path: self.path.clone(),
            name: info.name.clone(),
            companion: format!("{}{suffix} of shape [{rows}, {cols}]", info.name),
        };
        let scales = scales.ok_or_else(|| missing(names::SCALE, [rows, 1]))?;
        integers::check_scales(&self.path, info, &scales)?;
        let delta = match (left, right) {
            (Some(left), Some(right)) => Some(Delta { left, right }),
            (None, None) => None,
            (None, Some(_)) => return Err(missing(names::DELTA_LEFT, [rows, rank])),
            (Some(_), None) => return Err(missing(names::DELTA_RIGHT, [rank, cols])),
        };
        Ok(Source::Scaled(info, scales, delta))
    }

    /// The values of the tensor that belongs to another one, if there is one.
    fn companion(
        &mut self,
        info: &TensorInfo,
        suffix: &str,
        shape: [usize; 2],
    ) -> Result<Option<Vec<f32>>> {
        let name = format!("{}{suffix}", info.name);
        let Some(found) = self.view.checkpoint.get(&name) else {
            return Ok(None);
        };
        if found.shape != shape {
            return Err(integers::wrong_companion(&self.path, info, found, shape));
        }
        let mut values = vec![0.0; found.elements()];
        self.view.checkpoint.read_f32(found, 0, &mut values)?;
        self.report.loaded.push(name);
        Ok(Some(values))
    }

    fn tensor(&self, site: Site, field: Field) -> Tensor {
        site.tensors(self.config, self.labels)
            .into_iter()
            .find(|t| t.field == field)
            .expect("the table has this field")
    }

    fn read(
        &self,
        tensor: &Tensor,
        source: &Source<'_>,
        first: usize,
        out: &mut [f32],
    ) -> Result<()> {
        match source {
            Source::File(reader) => reader.read(first, out)?,
            Source::Scaled(info, scales, delta) => {
                let cols = info.elements() / scales.len();
                let mut whole = vec![0; out.len()];
                self.view.checkpoint.read_i8(info, first, &mut whole)?;
                for (at, (x, q)) in (first..).zip(out.iter_mut().zip(whole)) {
                    let (i, j) = (at / cols, at % cols);
                    if let Some(problem) = integers::wrong_element(q, scales[i]) {
                        return Err(integers::damaged(&self.path, &info.name, i, problem));
                    }
                    *x = f32::from(q) * scales[i];
                    if let Some(Delta { left, right }) = delta {
                        let rank = left.len() / scales.len();
                        for (r, factor) in left[i * rank..][..rank].iter().enumerate() {
                            *x += factor * right[r * cols + j];
                        }
                    }
                }
            }
            Source::Zero => out.fill(0.0),
            // γ of a norm.
            Source::Normal(_, _) if tensor.shape.len() == 1 => out.fill(1.0),
            Source::Normal(seed, std) => {
                crate::random::fill_normal(*seed, &tensor.name, first, *std, out)
            }
        }
        Ok(())
    }

    /// A vector or a small table, whole.
    pub(crate) fn vector(&mut self, site: Site, field: Field) -> Result<B::Vector> {
        let values = self.values(site, field)?;
        Ok(self.device.vector(values))
    }

    fn values(&mut self, site: Site, field: Field) -> Result<Vec<f32>> {
        let tensor = self.tensor(site, field);
        let source = self.source(&tensor)?;
        let mut values = vec![0.0; tensor.shape.iter().product()];
        self.read(&tensor, &source, 0, &mut values)?;
        Ok(values)
    }

    /// γ and β.
    pub(crate) fn norm(&mut self, site: Site) -> Result<Norm<B::Vector>> {
        let gamma = self.vector(site, Field::Weight)?;
        Ok(Norm {
            gamma,
            beta: self.vector(site, Field::Bias)?,
            epsilon: self.config.layer_norm_eps,
        })
    }

    /// Weights of several sites above one another, [Σ rows, K].
    pub(crate) fn weights(&mut self, sites: &[Site]) -> Result<B::Weight> {
        let mut parts = Vec::new();
        let mut total = 0;
        for &site in sites {
            let tensor = self.tensor(site, Field::Weight);
            let source = self.source(&tensor)?;
            total += tensor.shape[0];
            parts.push((total, tensor, source));
        }
        let cols = parts[0].1.shape[1];
        let read = |first: usize, out: &mut [f32]| {
            let (mut row, mut out) = (first, out);
            while !out.is_empty() {
                let (end, tensor, source) = parts
                    .iter()
                    .find(|(end, ..)| row < *end)
                    .expect("rows inside the matrix");
                let count = (end - row).min(out.len() / cols);
                let (now, rest) = out.split_at_mut(count * cols);
                self.read(tensor, source, (row + tensor.shape[0] - end) * cols, now)?;
                (row, out) = (row + count, rest);
            }
            Ok(())
        };
        let care = match (sites[0].quantized_bits(), self.moments.get(&sites[0])) {
            (8, Some(moments)) => Care::Known(moments),
            (8, None) => Care::Plain,
            (16, _) => Care::Half,
            _ => Care::Exact,
        };
        self.device.weight(total, cols, care, &read)
    }

    /// A linear layer.
    pub(crate) fn linear(&mut self, site: Site) -> Result<Linear<B>> {
        Ok(Linear {
            weight: self.weights(&[site])?,
            bias: self.vector(site, Field::Bias)?,
        })
    }

    fn block(&mut self, place: Place) -> Result<Block<B>> {
        let at = |part| Site::Block(part, place);
        let qkv = [BlockSite::Query, BlockSite::Key, BlockSite::Value].map(at);
        let weight = self.weights(&qkv)?;
        let mut bias = Vec::new();
        for site in qkv {
            bias.extend(self.values(site, Field::Bias)?);
        }
        let relative =
            self.config.position_embedding_type != crate::PositionEmbeddingType::Absolute;
        Ok(Block {
            heads: names::heads_of(self.config, place),
            qkv: Linear {
                weight,
                bias: self.device.vector(bias),
            },
            output: self.linear(at(BlockSite::AttentionOutput))?,
            attention_norm: self.norm(at(BlockSite::AttentionNorm))?,
            distance: if relative {
                Some(self.vector(at(BlockSite::Distance), Field::Weight)?)
            } else {
                None
            },
            ffn: self.linear(at(BlockSite::Ffn))?,
            ffn_output: self.linear(at(BlockSite::FfnOutput))?,
            norm: self.norm(at(BlockSite::LayerNorm))?,
        })
    }

    /// The distinct blocks, group by group.
    pub(crate) fn blocks(&mut self) -> Result<Vec<Block<B>>> {
        let mut blocks = Vec::new();
        for place in names::places(self.config) {
            blocks.push(self.block(place)?);
        }
        Ok(blocks)
    }

    /// Whether a matrix of a block is stored as whole numbers.
    fn is_quantized(&self) -> bool {
        let place = Place { group: 0, inner: 0 };
        let ffn = self.tensor(Site::Block(BlockSite::Ffn, place), Field::Weight);
        self.find(&ffn).is_some_and(|stored| stored.is_integer())
    }

    /// Whether the blocks should be loaded again with moments of their inputs.
    pub(crate) fn wants_moments(&self) -> bool {
        self.device.wants_moments() && !self.is_quantized() && self.missing.is_empty()
    }

    /// Everything below the heads; the pooler only when wanted.
    pub(crate) fn encoder(&mut self, pooler: bool) -> Result<Encoder<B>> {
        if let Some(problem) = self.view.refusal() {
            return Err(Error::Folder {
                path: self.path.clone(),
                problem,
            });
        }
        let note = integers::agree(&self.path, self.config, &self.view)?;
        self.report.notes.extend(note);
        // A file that holds only the decoder's copy of the word table is complete.
        let word = if self.has(Site::WordEmbeddings, Field::Weight)
            || !self.has(Site::Decoder, Field::Weight)
        {
            Site::WordEmbeddings
        } else {
            Site::Decoder
        };
        let embeddings = Embeddings {
            word: self.weights(&[word])?,
            position: self.vector(Site::PositionEmbeddings, Field::Weight)?,
            token_type: self.vector(Site::TokenTypeEmbeddings, Field::Weight)?,
            norm: self.norm(Site::EmbeddingNorm)?,
        };
        let mapping = self.linear(Site::Mapping)?;
        let blocks = self.blocks()?;
        let pooler = if pooler {
            Some(self.linear(Site::Pooler)?)
        } else {
            None
        };
        Ok(Encoder {
            embeddings,
            mapping,
            blocks,
            pooler,
        })
    }

    /// Counts a tensor as loaded that is equal to another one which was read.
    pub(crate) fn account_for(&mut self, site: Site, field: Field) {
        let Some(stored) = self.find(&self.tensor(site, field)) else {
            return;
        };
        self.count(stored);
        let Stored::Plain(info) = stored else {
            return;
        };
        let suffixes = [names::SCALE, names::DELTA_LEFT, names::DELTA_RIGHT];
        let names = suffixes.map(|suffix| format!("{}{suffix}", info.name));
        let held = |name: &String| self.view.checkpoint.get(name).is_some();
        self.report.loaded.extend(names.into_iter().filter(held));
    }

    /// Whether two tensors of the file differ in any element; they have the same shape.
    pub(crate) fn differ(&self, a: (Site, Field), b: (Site, Field)) -> Result<bool> {
        let [a, b] = [a, b].map(|(site, field)| self.find(&self.tensor(site, field)));
        match (a, b) {
            (Some(a), Some(b)) => repeats::differ(&self.view, a, b),
            _ => Ok(false),
        }
    }

    /// The account, or the refusal: tensors that the class needs and the file lacks.
    pub(crate) fn finish(mut self, class: &'static str) -> Result<LoadReport> {
        if !self.missing.is_empty() {
            return Err(refusal(class, &self.path, &self.missing, &self.view));
        }
        let loaded: BTreeSet<String> = self.report.loaded.iter().cloned().collect();
        let known = self.view.known().chain(self.view.all_repeats());
        let known = known.flat_map(|(name, stored)| stored.infos().map(move |info| (name, info)));
        let unknown = self
            .view
            .unknown
            .iter()
            .map(|info| (info.name.as_str(), *info));
        let (mut unused, mut unexpected) = (Vec::new(), Vec::new());
        for (name, info) in known.chain(unknown) {
            if loaded.contains(&info.name) {
                continue;
            }
            let in_head = HEAD_MODULES.iter().any(|(module, _)| is_in(name, module));
            let list = if in_head {
                &mut unused
            } else {
                &mut unexpected
            };
            list.push(info.name.clone());
        }
        let ignored = self.view.ignored.iter().map(|info| info.name.clone());
        self.report.ignored = ignored.collect();
        for (list, mut found) in [
            (&mut self.report.unused, unused),
            (&mut self.report.unexpected, unexpected),
        ] {
            found.sort();
            *list = found;
        }
        Ok(self.report)
    }
}
