//! Which tensor becomes which: names, orientation and type of everything that the destination holds.

use std::path::Path;

use albert_formats::Dtype;

use super::{ConvertOptions, Renamed, Target};
use crate::checkpoint::{MlmBias, Stored, View, repeats};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::names::{self, BASE_PREFIX, Dialect, Field, Site};

/// A tensor of the destination.
pub(super) struct Item<'a> {
    pub(super) site: Site,
    pub(super) field: Field,
    /// Where it comes from.
    pub(super) stored: Stored<'a>,
    /// Its name in the destination's dialect.
    pub(super) name: String,
    /// Its shape in the destination.
    pub(super) shape: Vec<usize>,
    /// Whether it lies there as [in, out].
    pub(super) turned: bool,
    pub(super) dtype: Dtype,
}

impl Item<'_> {
    pub(super) fn renamed(&self) -> Renamed {
        Renamed {
            from: self.stored.infos().map(|info| info.name.clone()).collect(),
            to: self.name.clone(),
            shape: self.shape.clone(),
        }
    }
}

/// What is written, and what is not.
pub(super) struct Plan<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// Tensors of the source that are not written, since others say the same.
    pub(super) repeated: Vec<String>,
    pub(super) notes: Vec<String>,
}

struct Planner<'p, 'a> {
    path: &'p Path,
    config: &'p AlbertConfig,
    view: &'p View<'a>,
    to: Target,
    plan: Plan<'a>,
}

/// Decides what becomes of every tensor of the source.
///
/// # Errors
/// Wrong shapes, unknown tensors, and what the target's programs have no place for.
pub(super) fn plan<'a>(
    path: &Path,
    config: &AlbertConfig,
    view: &View<'a>,
    options: &ConvertOptions,
) -> Result<Plan<'a>> {
    if let Some(problem) = view.refusal() {
        return Err(refused(path, problem));
    }
    refuse_unknown(path, view, options)?;
    if !config.pruned_heads.is_empty() && options.to.dialect() != Dialect::Torch {
        return Err(refused(
            path,
            format!(
                "attention heads were pruned, which {} has no place for; write safetensors or torch",
                options.to.dialect().name()
            ),
        ));
    }
    let mut planner = Planner {
        path,
        config,
        view,
        to: options.to,
        plan: Plan {
            items: Vec::new(),
            repeated: Vec::new(),
            notes: Vec::new(),
        },
    };
    for site in names::base_sites(config)
        .into_iter()
        .chain(names::head_sites())
    {
        match site {
            Site::WordEmbeddings => planner.words()?,
            Site::MlmBias => planner.biases(options.mlm_bias)?,
            Site::Decoder => {}
            Site::Mapping if planner.leaves_out_mapping()? => {}
            _ => planner.copy(site)?,
        }
    }
    Ok(planner.finish())
}

fn refused(path: &Path, problem: String) -> Error {
    Error::Folder {
        path: path.to_owned(),
        problem,
    }
}

fn refuse_unknown(path: &Path, view: &View<'_>, options: &ConvertOptions) -> Result<()> {
    let Some(first) = view.unknown.first() else {
        return Ok(());
    };
    if options.ignore_unknown {
        return Ok(());
    }
    Err(refused(
        path,
        format!(
            "{} of its tensors belong to no ALBERT, {} first; take the checkpoint of an ALBERT, or leave them out (--ignore-unknown)",
            view.unknown.len(),
            first.name
        ),
    ))
}

impl<'a> Planner<'_, 'a> {
    /// Adds what there is at a place.
    fn copy(&mut self, site: Site) -> Result<()> {
        for field in [Field::Weight, Field::Bias] {
            if let Some(stored) = self.view.get(&site.name(field)) {
                self.add(site, field, stored)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, site: Site, field: Field, stored: Stored<'a>) -> Result<()> {
        let shape = self.shape(site, field, stored)?;
        let Some((name, turned)) = self.to.dialect().name_of(site, field) else {
            return Err(refused(
                self.path,
                format!(
                    "tensor {} has no place in {}; write safetensors or torch",
                    site.name(field),
                    self.to.dialect().name()
                ),
            ));
        };
        for repeat in repeats::of(self.path, self.view, &site.name(field), stored)? {
            self.repeat(repeat);
        }
        self.plan.items.push(Item {
            site,
            field,
            stored,
            name,
            shape: if turned {
                shape.into_iter().rev().collect()
            } else {
                shape
            },
            turned,
            dtype: self.dtype(stored),
        });
        Ok(())
    }

    /// The shape in our order, as the configuration says.
    fn shape(&self, site: Site, field: Field, stored: Stored<'_>) -> Result<Vec<usize>> {
        let found = stored.shape();
        let labels = match site {
            // Multiple choice has one row, whatever the number of classes.
            Site::Classifier => found.first().copied().unwrap_or(0),
            _ => self.config.num_labels(),
        };
        let classes = [1, self.config.num_labels()];
        let mut tensors = site.tensors(self.config, labels).into_iter();
        let expected = tensors.find(|tensor| tensor.field == field);
        let expected = expected.map_or_else(Vec::new, |tensor| tensor.shape);
        if found != expected || (site == Site::Classifier && !classes.contains(&labels)) {
            return Err(stored.misshapen(self.path, &expected));
        }
        Ok(expected)
    }

    /// Formats of PyTorch keep the type; the others' programs make f32.
    fn dtype(&self, stored: Stored<'_>) -> Dtype {
        let own = stored.infos().map(|info| info.dtype).next();
        match (stored, own) {
            (Stored::Plain(_) | Stored::Turned(_), Some(dtype @ (Dtype::F16 | Dtype::BF16)))
                if self.to.dialect() == Dialect::Torch =>
            {
                dtype
            }
            _ => Dtype::F32,
        }
    }

    /// The word table, and a decoder where it is another matrix.
    fn words(&mut self) -> Result<()> {
        let get = |site: Site| self.view.get(&site.name(Field::Weight));
        let (words, decoder) = (get(Site::WordEmbeddings), get(Site::Decoder));
        match (words, decoder) {
            (None, Some(decoder)) => self.add(Site::WordEmbeddings, Field::Weight, decoder),
            (Some(words), Some(decoder)) => {
                self.add(Site::WordEmbeddings, Field::Weight, words)?;
                let other = repeats::differ(self.view, words, decoder)?;
                if other || !self.config.tie_word_embeddings {
                    return self.add(Site::Decoder, Field::Weight, decoder);
                }
                self.repeat(decoder);
                Ok(())
            }
            (Some(words), None) => self.add(Site::WordEmbeddings, Field::Weight, words),
            (None, None) => Ok(()),
        }
    }

    fn repeat(&mut self, stored: Stored<'_>) {
        let names = stored.infos().map(|info| info.name.clone());
        self.plan.repeated.extend(names);
    }

    /// The bias of the masked language model, under one name or two.
    fn biases(&mut self, choice: Option<MlmBias>) -> Result<()> {
        let get = |site: Site| self.view.get(&site.name(Field::Bias));
        let (bias, decoder) = (get(Site::MlmBias), get(Site::Decoder));
        let (Some(one), dialect) = (bias.or(decoder), self.to.dialect()) else {
            return Ok(());
        };
        let differ = match (bias, decoder) {
            (Some(a), Some(b)) => repeats::differ(self.view, a, b)?,
            _ => false,
        };
        let both = dialect.name_of(Site::Decoder, Field::Bias).is_some();
        if differ && !both {
            let chosen = match choice {
                Some(MlmBias::Decoder) => decoder,
                Some(MlmBias::Google) => bias,
                None => {
                    return Err(refused(
                        self.path,
                        format!(
                            "predictions.bias and predictions.decoder.bias differ, and {} has one: choose decoder, which transformers adds, or google (--mlm-bias)",
                            dialect.name()
                        ),
                    ));
                }
            };
            if let Some(chosen) = chosen {
                self.add(Site::MlmBias, Field::Bias, chosen)?;
            }
            self.plan.notes.push(
                "of two biases of the masked language model, which differ, one was written"
                    .to_owned(),
            );
            return Ok(());
        }
        self.add(Site::MlmBias, Field::Bias, one)?;
        // Keras always has both; in PyTorch's classes the second is tied to the first, unless it is another one.
        let untied = differ || decoder.is_some() && !self.config.tie_word_embeddings;
        match decoder {
            Some(decoder) if both && (untied || dialect == Dialect::Keras) => {
                self.add(Site::Decoder, Field::Bias, decoder)
            }
            None if dialect == Dialect::Keras => self.add(Site::Decoder, Field::Bias, one),
            Some(decoder) if bias.is_some() => {
                self.repeat(decoder);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether the target's code has no mapping: Google's, where E = H.
    fn leaves_out_mapping(&mut self) -> Result<bool> {
        let (narrow, wide) = (self.config.embedding_size, self.config.hidden_size);
        if self.to != Target::Tf1 || narrow != wide {
            return Ok(false);
        }
        let get = |field| self.view.get(&Site::Mapping.name(field));
        let (Some(weight), Some(bias)) = (get(Field::Weight), get(Field::Bias)) else {
            return Ok(false);
        };
        self.shape(Site::Mapping, Field::Weight, weight)?;
        self.shape(Site::Mapping, Field::Bias, bias)?;
        let nothing = self.view.same(weight, Stored::Identity(wide))?
            && self.view.same(bias, Stored::Zeros(wide))?;
        if !nothing {
            return Err(refused(
                self.path,
                "embedding_size is hidden_size, where Google's code has no embedding_hidden_mapping_in, but here it is not the identity; write safetensors, torch, h5 or flax".to_owned(),
            ));
        }
        self.repeat(weight);
        self.repeat(bias);
        Ok(true)
    }

    fn finish(mut self) -> Plan<'a> {
        let narrowed = self.plan.items.iter().filter(|item| {
            let mut infos = item.stored.infos();
            infos.any(|info| info.dtype == Dtype::F64)
        });
        let count = narrowed.count();
        if count > 0 {
            let note =
                format!("{count} tensors of type F64 are rounded to F32, as when they are loaded");
            self.plan.notes.push(note);
        }
        let base_alone = self
            .plan
            .items
            .iter()
            .all(|item| item.name.starts_with(BASE_PREFIX));
        // transformers' base class has no prefix.
        if base_alone {
            for item in &mut self.plan.items {
                if let Some(bare) = item.name.strip_prefix(BASE_PREFIX) {
                    item.name = bare.to_owned();
                }
            }
        }
        self.plan
    }
}
