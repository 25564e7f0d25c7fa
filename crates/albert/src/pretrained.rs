//! A model of any class: configuration, encoder, head, and the device they live on.

use std::path::Path;

use albert_formats::{Checkpoint, Dtype, write_atomically};

use crate::calibrate;
use crate::checkpoint::{LoadOptions, LoadReport, Loader, ModelFolder, Parameter, Saver};
use crate::config::{AlbertConfig, ConfigDialect, ConfigReport};
use crate::error::{Error, Result};
use crate::inputs::{Inputs, Packed};
use crate::model::{Encoded, Keep, encode};
use crate::ops::{Backend, Care, Cpu, ReadRows};
use crate::params::{Block, Encoder, Linear};

/// Most bytes of a file of weights, as transformers has it.
pub(crate) const SHARD_BYTES: u64 = 50_000_000_000;

/// Fills elements first, first + 1, … of the tensor of this name.
pub(crate) type Exact<'a> = dyn Fn(&str, usize, &mut [f32]) + 'a;

/// What a class adds to the encoder.
pub trait Head<B: Backend>: Sized {
    /// Name of the class in `architectures`.
    const CLASS: &'static str;
    /// Whether the class has a pooler; `None`: where the checkpoint has one.
    const POOLER: Option<bool>;
    /// Whether it reads the last hidden state itself, not the pooled output alone.
    const READS_HIDDEN: bool = true;
    /// What its loss is measured against.
    type Labels;
    /// What forward returns.
    type Output;

    /// Rows of its classifier.
    fn labels(config: &AlbertConfig) -> usize {
        config.num_labels()
    }

    /// Reads the head's tensors.
    ///
    /// # Errors
    /// Wrong shapes, unreadable files; missing tensors are collected by the loader.
    fn load(loader: &mut Loader<'_, B>) -> Result<Self>;

    /// Lists the head's tensors.
    fn save<'a>(&'a self, saver: &mut Saver<'a, B>);

    /// Whether the loss reads positions that the mask hides: then no position is dropped.
    fn needs_hidden_positions(_inputs: &Inputs, _labels: &Self::Labels) -> bool {
        false
    }

    /// From the encoder's output to the class's.
    ///
    /// # Errors
    /// Labels that do not fit.
    fn forward(&self, pass: Pass<'_, B>, labels: Option<&Self::Labels>) -> Result<Self::Output>;

    /// Follows a change of the vocabulary to what `config` says now; new rows are drawn with `seed`.
    fn resize_vocabulary(&mut self, _device: &B, _config: &AlbertConfig, _seed: u64) {}
}

/// One forward pass, as a head sees it.
pub struct Pass<'a, B: Backend> {
    /// Where to compute.
    pub device: &'a B,
    /// The model's configuration.
    pub config: &'a AlbertConfig,
    /// Everything below the head.
    pub encoder: &'a Encoder<B>,
    /// The batch as given …
    pub inputs: &'a Inputs,
    /// … and packed.
    pub packed: &'a Packed,
    /// What the encoder computed.
    pub encoded: &'a Encoded<B>,
}

/// An ALBERT model with head `H` on device `B`. See the aliases [`crate::AlbertModel`], [`crate::AlbertForMaskedLM`], …
pub struct Albert<H: Head<B>, B: Backend = Cpu> {
    device: B,
    config: AlbertConfig,
    encoder: Encoder<B>,
    head: H,
}

/// What loading found.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// About config.json.
    pub config: ConfigReport,
    /// About the tensors.
    pub tensors: LoadReport,
}

impl<B: Backend, H: Head<B>> Albert<H, B> {
    /// Loads a model's folder: its configuration ([`AlbertConfig::from_folder`]) and its checkpoint in any format and under
    /// any names: transformers' PyTorch, TensorFlow and Flax classes, Google's code for TensorFlow 1 (docs/formats.md).
    ///
    /// # Errors
    /// Wrong configuration, wrong or missing tensors, unreadable files. A missing head is an error unless
    /// [`LoadOptions::fresh_head`] asks for one.
    pub fn from_pretrained(
        folder: &Path,
        device: B,
        options: LoadOptions,
    ) -> Result<(Self, Loaded)> {
        let ModelFolder {
            config,
            report,
            checkpoint,
        } = ModelFolder::open(folder)?;
        let (model, tensors) = Self::from_checkpoint(config, &checkpoint, folder, device, options)?;
        Ok((
            model,
            Loaded {
                config: report,
                tensors,
            },
        ))
    }

    /// A model that knows nothing yet: matrices and tables from N(0, initializer_range), biases 0, norms the identity, all
    /// by the seed and the tensor's name.
    ///
    /// # Errors
    /// A configuration that cannot be.
    pub fn from_config(config: AlbertConfig, device: B, seed: u64) -> Result<Self> {
        let options = LoadOptions {
            fresh_head: Some(seed),
            fresh_body: true,
            ..LoadOptions::default()
        };
        let nothing = Checkpoint::empty();
        let path = Path::new("a new model");
        Ok(Self::from_checkpoint(config, &nothing, path, device, options)?.0)
    }

    /// Loads the tensors of an open checkpoint; `path` is for messages.
    ///
    /// # Errors
    /// As [`Albert::from_pretrained`].
    pub fn from_checkpoint(
        config: AlbertConfig,
        checkpoint: &Checkpoint,
        path: &Path,
        device: B,
        options: LoadOptions,
    ) -> Result<(Self, LoadReport)> {
        config.validate()?;
        let mut loader = Loader::new(&device, &config, checkpoint, path, options);
        loader.labels = H::labels(&config);
        let pooler = H::POOLER.unwrap_or_else(|| {
            use crate::names::{Field, Site};
            [Field::Weight, Field::Bias]
                .into_iter()
                .any(|field| loader.has(Site::Pooler, field))
        });
        let mut encoder = loader.encoder(pooler)?;
        if loader.wants_moments() {
            let sample = calibrate::sample(&config);
            encoder.blocks = calibrated(&config, checkpoint, path, &device, &encoder, &sample)?;
        }
        let head = H::load(&mut loader)?;
        if H::POOLER.is_none() && !pooler {
            loader
                .report
                .notes
                .push("the checkpoint has no pooler: there is no pooler_output".to_owned());
        }
        let report = loader.finish(H::CLASS)?;
        Ok((
            Self {
                device,
                config,
                encoder,
                head,
            },
            report,
        ))
    }

    /// Rounds the matrices of the blocks anew, with regard to what they are applied to for `inputs`: see
    /// [`Care::Known`]. `checkpoint` is the one that the model was loaded from; loading did the same with a sample of
    /// its own. Without effect on a device that does not round, and on a checkpoint of whole numbers.
    ///
    /// # Errors
    /// Inputs that do not fit the model; a checkpoint that does not, or cannot be read.
    pub fn calibrate(
        &mut self,
        checkpoint: &Checkpoint,
        path: &Path,
        inputs: &Inputs,
    ) -> Result<()> {
        inputs.check(&self.config)?;
        let options = LoadOptions::default();
        let loader = Loader::new(&self.device, &self.config, checkpoint, path, options);
        if loader.wants_moments() {
            let Self {
                device,
                config,
                encoder,
                ..
            } = self;
            encoder.blocks = calibrated(config, checkpoint, path, device, encoder, inputs)?;
        }
        Ok(())
    }

    /// Writes config.json and model.safetensors (in shards above 50 GB) as transformers does: tied tensors once.
    ///
    /// # Errors
    /// When a file cannot be written; complete files replace old ones, incomplete ones never appear.
    pub fn save_pretrained(&self, folder: &Path, dtype: Dtype) -> Result<()> {
        self.save_sharded(folder, dtype, SHARD_BYTES)
    }

    /// As [`Albert::save_pretrained`], with a limit for the size of a file.
    ///
    /// # Errors
    /// As [`Albert::save_pretrained`].
    pub fn save_sharded(&self, folder: &Path, dtype: Dtype, max_shard_bytes: u64) -> Result<()> {
        self.save_as(folder, dtype, max_shard_bytes, None)
    }

    /// Writes the tensors of `exact` instead of its own, when there are any.
    pub(crate) fn save_as(
        &self,
        folder: &Path,
        dtype: Dtype,
        max_shard_bytes: u64,
        exact: Option<&Exact<'_>>,
    ) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|source| Error::System {
            action: "create the folder to save to",
            source,
        })?;
        let mut config = self.config.clone();
        config.architectures = vec![H::CLASS.to_owned()];
        let name = match dtype {
            Dtype::F16 => "float16",
            Dtype::BF16 => "bfloat16",
            Dtype::F64 => "float64",
            _ => "float32",
        };
        config.set_quantization(None);
        config.extra.remove("torch_dtype");
        config.extra.insert("dtype".to_owned(), name.into());
        let json = config.to_json(ConfigDialect::HuggingFace)?;
        self.saver().write(folder, dtype, max_shard_bytes, exact)?;
        write_atomically(&folder.join("config.json"), json.as_bytes())?;
        Ok(())
    }

    pub(crate) fn saver(&self) -> Saver<'_, B> {
        let labels = H::labels(&self.config);
        let prefixed = H::CLASS != "AlbertModel";
        let mut saver = Saver::new(&self.device, &self.config, labels, prefixed);
        saver.encoder(&self.encoder);
        self.head.save(&mut saver);
        saver
    }

    /// Every tensor that [`Albert::save_pretrained`] writes: tied ones once.
    pub fn tensors(&self) -> Vec<Parameter<'_>> {
        self.saver().into_tensors()
    }

    /// Runs the model.
    ///
    /// # Shapes
    /// As the fields of [`Inputs`] and of the class's output say.
    ///
    /// # Errors
    /// Inputs or labels that do not fit the model; nothing is cut or ignored silently.
    pub fn forward(
        &self,
        inputs: &Inputs,
        labels: Option<&H::Labels>,
        keep: Keep,
    ) -> Result<H::Output> {
        inputs.check(&self.config)?;
        let keep_all = labels.is_some_and(|labels| H::needs_hidden_positions(inputs, labels));
        let packed = inputs.pack(&self.config, keep_all);
        let encoded = encode(
            &self.device,
            &self.config,
            &self.encoder,
            inputs,
            &packed,
            (!H::READS_HIDDEN).then(Vec::new),
            keep,
        );
        let pass = Pass {
            device: &self.device,
            config: &self.config,
            encoder: &self.encoder,
            inputs,
            packed: &packed,
            encoded: &encoded,
        };
        self.head.forward(pass, labels)
    }

    /// Runs the encoder alone and leaves its output packed on the device, for heads that need few positions.
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn encode(&self, inputs: &Inputs) -> Result<(Packed, Encoded<B>)> {
        self.encode_reads(inputs, |_| Ok(None))
    }

    /// As [`Albert::encode`], of the last hidden state only the rows of these places (sequence, position), and of the first
    /// positions where there is a pooler: most of the last layer is left out.
    ///
    /// # Errors
    /// As [`Albert::forward`]; a place outside the batch or hidden by the mask.
    pub fn encode_at(
        &self,
        inputs: &Inputs,
        places: &[(usize, usize)],
    ) -> Result<(Packed, Encoded<B>)> {
        self.encode_reads(inputs, |packed| {
            let rows = places.iter().map(|&place| packed.row_at(inputs, place));
            rows.collect::<Result<_>>().map(Some)
        })
    }

    fn encode_reads(
        &self,
        inputs: &Inputs,
        reads: impl FnOnce(&Packed) -> Result<Option<Vec<u32>>>,
    ) -> Result<(Packed, Encoded<B>)> {
        inputs.check(&self.config)?;
        let packed = inputs.pack(&self.config, false);
        let encoded = encode(
            &self.device,
            &self.config,
            &self.encoder,
            inputs,
            &packed,
            reads(&packed)?,
            Keep::default(),
        );
        Ok((packed, encoded))
    }

    /// The configuration.
    pub fn config(&self) -> &AlbertConfig {
        &self.config
    }

    /// The device.
    pub fn device(&self) -> &B {
        &self.device
    }

    /// Everything below the head.
    pub fn encoder(&self) -> &Encoder<B> {
        &self.encoder
    }

    /// The head.
    pub fn head(&self) -> &H {
        &self.head
    }

    /// What changes with the parameters, beside what does not.
    pub(crate) fn parts(&mut self) -> (&B, &AlbertConfig, &mut Encoder<B>, &mut H) {
        (
            &self.device,
            &self.config,
            &mut self.encoder,
            &mut self.head,
        )
    }

    /// Removes attention heads: distinct block (g·N + n) and the heads of it, numbered as in the unpruned model.
    /// Query, key and value lose rows, the output loses columns (transformers 4, `prune_heads`).
    ///
    /// # Errors
    /// A block or head that is not there, or nothing left of a block.
    pub fn prune_heads(
        &mut self,
        heads: &std::collections::BTreeMap<usize, Vec<usize>>,
    ) -> Result<()> {
        let total = self.config.num_attention_heads;
        let mut config = self.config.clone();
        for (&block, list) in heads {
            if block >= self.encoder.blocks.len() {
                return Err(Error::input(
                    "prune_heads block",
                    format!("0 to {}", self.encoder.blocks.len() - 1),
                    block,
                ));
            }
            let pruned = config.pruned_heads.entry(block).or_default();
            for &head in list {
                if head >= total {
                    return Err(Error::input(
                        format!("prune_heads block {block}"),
                        format!("heads 0 to {}", total - 1),
                        head,
                    ));
                }
                pruned.push(head);
            }
            pruned.sort_unstable();
            pruned.dedup();
        }
        config.validate()?;
        for &block in heads.keys() {
            let before = self
                .config
                .pruned_heads
                .get(&block)
                .cloned()
                .unwrap_or_default();
            let after = &config.pruned_heads[&block];
            let kept: Vec<usize> = (0..total)
                .filter(|h| !before.contains(h))
                .enumerate()
                .filter(|(_, h)| !after.contains(h))
                .map(|(i, _)| i)
                .collect();
            prune_block(
                &self.device,
                &mut self.encoder.blocks[block],
                config.head_size(),
                &kept,
            );
        }
        self.config = config;
        Ok(())
    }

    /// Grows or shrinks the vocabulary; new words are drawn from a normal distribution around the mean of the old ones
    /// with `initializer_range` as deviation, and have an output bias of 0.
    ///
    /// # Errors
    /// A size the configuration does not allow.
    pub fn resize_token_embeddings(&mut self, vocab_size: usize, seed: u64) -> Result<()> {
        let mut config = self.config.clone();
        config.vocab_size = vocab_size;
        config.validate()?;
        self.encoder.embeddings.word = resize_rows(
            &self.device,
            &self.encoder.embeddings.word,
            vocab_size,
            seed,
            config.initializer_range,
        );
        self.head.resize_vocabulary(&self.device, &config, seed);
        self.config = config;
        Ok(())
    }
}

fn never<T>(result: std::result::Result<T, std::convert::Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => match error {},
    }
}

/// The blocks of a checkpoint, rounded with regard to what `encoder` applies them to.
fn calibrated<B: Backend>(
    config: &AlbertConfig,
    checkpoint: &Checkpoint,
    path: &Path,
    device: &B,
    encoder: &Encoder<B>,
    inputs: &Inputs,
) -> Result<Vec<Block<B>>> {
    let mut loader = Loader::new(device, config, checkpoint, path, LoadOptions::default());
    loader.moments = calibrate::moments(device, config, encoder, inputs);
    loader.blocks()
}

/// A matrix whose row i is `fill(i, out)`.
fn rebuild<B: Backend>(
    device: &B,
    rows: usize,
    cols: usize,
    fill: &dyn Fn(usize, &mut [f32]),
) -> B::Weight {
    let mut values = vec![0.0; rows * cols];
    for (i, row) in values.chunks_exact_mut(cols).enumerate() {
        fill(i, row);
    }
    let read: &ReadRows<'_, std::convert::Infallible> = &|first, out| {
        out.copy_from_slice(&values[first * cols..][..out.len()]);
        Ok(())
    };
    never(device.weight(rows, cols, Care::Plain, read))
}

fn prune_block<B: Backend>(
    device: &B,
    block: &mut crate::params::Block<B>,
    d: usize,
    kept: &[usize],
) {
    let (old_width, width) = (block.heads * d, kept.len() * d);
    let (_, h) = device.weight_shape(&block.qkv.weight);
    // Row i of the new q, k or v part comes from this row of the old part.
    let source = |i: usize| kept[i / d] * d + i % d;
    let old_row = |i: usize| i / width * old_width + source(i % width);
    let weight = rebuild(device, 3 * width, h, &|i, row| {
        device.weight_row(&block.qkv.weight, old_row(i), row)
    });
    let bias = device.vector_values(&block.qkv.bias);
    let bias = device.vector((0..3 * width).map(|i| bias[old_row(i)]).collect());
    let output = rebuild(device, h, width, &|i, row| {
        let mut old = vec![0.0; old_width];
        device.weight_row(&block.output.weight, i, &mut old);
        for (j, x) in row.iter_mut().enumerate() {
            *x = old[source(j)];
        }
    });
    block.qkv = Linear { weight, bias };
    block.output.weight = output;
    block.heads = kept.len();
}

/// The first `rows` rows, and new ones drawn around the mean of the old.
pub(crate) fn resize_rows<B: Backend>(
    device: &B,
    weight: &B::Weight,
    rows: usize,
    seed: u64,
    std: f64,
) -> B::Weight {
    let (old, cols) = device.weight_shape(weight);
    let mut mean = vec![0.0; cols];
    if rows > old {
        let mut row = vec![0.0; cols];
        for i in 0..old {
            device.weight_row(weight, i, &mut row);
            for (sum, x) in mean.iter_mut().zip(&row) {
                *sum += f64::from(*x) / old as f64;
            }
        }
    }
    rebuild(device, rows, cols, &|i, row| {
        if i < old {
            device.weight_row(weight, i, row);
        } else {
            crate::random::fill_normal(seed, "resize", (i - old) * cols, std, row);
            for (x, mean) in row.iter_mut().zip(&mean) {
                *x += *mean as f32;
            }
        }
    })
}
