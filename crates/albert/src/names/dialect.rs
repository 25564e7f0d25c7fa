//! Whose names a checkpoint's tensors have: from a place of the model to its name in each dialect, and back.

use std::collections::BTreeMap;

use super::table::{BLOCK_SITES, Kind, SITES};
use super::{BASE_PREFIX, BlockSite, Field, Place, Site};

/// Whose names the tensors of a checkpoint have, and how its matrices lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// transformers' PyTorch classes; matrices [out, in].
    Torch,
    /// google-research/albert's code for TensorFlow 1, also as modules of TF-Hub; kernels [in, out].
    Google,
    /// transformers' TensorFlow classes; kernels [in, out].
    Keras,
    /// transformers' Flax classes; kernels [in, out].
    Flax,
    /// The first networks of brightmart's albert_zh: BERT's names, a word table in two factors; kernels [in, out].
    Zh,
}

/// A place of the model, which of its two tensors, and whether the file holds it as [in, out].
type Known = (Site, Field, bool);

impl Dialect {
    /// All, the likeliest first.
    pub const ALL: [Self; 5] = [Self::Torch, Self::Google, Self::Keras, Self::Flax, Self::Zh];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Torch => "transformers (PyTorch)",
            Self::Google => "google-research/albert (TensorFlow 1)",
            Self::Keras => "transformers (TensorFlow)",
            Self::Flax => "transformers (Flax)",
            Self::Zh => "brightmart/albert_zh, first layout (TensorFlow 1)",
        }
    }

    /// What this dialect calls the tensors of such a place: weight and bias. A matrix that is called `kernel` is [in, out].
    fn leaves(self, kind: Kind) -> [Option<&'static str>; 2] {
        let (linear, norm, table) = match self {
            Self::Torch => (["weight", "bias"], ["weight", "bias"], "weight"),
            Self::Google | Self::Zh => (["kernel", "bias"], ["gamma", "beta"], ""),
            Self::Keras => (["kernel", "bias"], ["gamma", "beta"], "embeddings"),
            Self::Flax => (["kernel", "bias"], ["scale", "bias"], "embedding"),
        };
        let google = matches!(self, Self::Google | Self::Zh);
        match kind {
            Kind::Words if self == Self::Keras => [Some("weight"), None],
            Kind::Words | Kind::Table => [Some(table), None],
            Kind::Norm => norm.map(Some),
            Kind::Output if google => [Some("output_weights"), Some("output_bias")],
            Kind::Bias if google => [None, Some("output_bias")],
            Kind::Linear | Kind::Output => linear.map(Some),
            Kind::Matrix => [Some(linear[0]), None],
            Kind::Bias => [None, Some(linear[1])],
            Kind::Decoder => match self {
                Self::Torch => linear.map(Some),
                Self::Flax => [Some(linear[0]), None],
                Self::Keras => [None, Some(linear[1])],
                Self::Google | Self::Zh => [None, None],
            },
            Kind::Distance if self == Self::Torch => [Some("weight"), None],
            Kind::Distance => [None, None],
        }
    }

    /// Names of the module and of what is in it, joined as in this dialect.
    fn join(self, module: &str, leaf: &str) -> String {
        let separator = match self {
            Self::Torch | Self::Flax => ".",
            Self::Google | Self::Keras | Self::Zh => "/",
        };
        let module = module.replace('.', separator);
        match (module.is_empty(), leaf.is_empty()) {
            (true, _) => leaf.to_owned(),
            (_, true) => module,
            _ => format!("{module}{separator}{leaf}"),
        }
    }

    /// What stands before, between and after the two numbers of a block.
    fn block_parts(self) -> [&'static str; 3] {
        match self {
            Self::Torch | Self::Flax => ["encoder.albert_layer_groups.", ".albert_layers.", "."],
            Self::Keras => ["encoder/albert_layer_groups_._", "/albert_layers_._", "/"],
            Self::Google => ["bert/encoder/transformer/group_", "/inner_group_", "/"],
            Self::Zh => ["bert/encoder/layer_", "", "/"],
        }
    }

    /// The name of a tensor in this dialect, with the prefix of the base model, and whether the file holds it as [in, out].
    /// `None`: the dialect has no such tensor.
    pub fn name_of(self, site: Site, field: Field) -> Option<(String, bool)> {
        let pick = |[weight, bias]: [Option<&'static str>; 2]| match field {
            Field::Weight => weight,
            Field::Bias => bias,
        };
        let (name, leaf, base) = if let Site::Block(part, Place { group, inner }) = site {
            let row = BLOCK_SITES.iter().find(|row| row.part == part)?;
            let module = match self {
                Self::Google => row.google,
                Self::Zh => row.zh,
                _ => row.module,
            };
            let leaf = pick(self.leaves(row.kind))?;
            let [before, between, after] = self.block_parts();
            let local = self.join(module, leaf);
            let name = match self {
                Self::Zh => format!("{before}{group}{after}{local}"),
                _ => format!("{before}{group}{between}{inner}{after}{local}"),
            };
            (name, leaf, true)
        } else {
            let row = SITES.iter().find(|row| row.site == site)?;
            let (google, all) = (matches!(self, Self::Google | Self::Zh), self == Self::Torch);
            if !google && !all && !row.everywhere {
                return None;
            }
            let leaf = pick(self.leaves(row.kind))?;
            let module = if google { row.google } else { row.module };
            (self.join(module, leaf), leaf, row.base)
        };
        let prefix = match self {
            _ if !base => "",
            Self::Torch | Self::Flax => BASE_PREFIX,
            Self::Keras => "albert/",
            Self::Google | Self::Zh => "",
        };
        Some((format!("{prefix}{name}"), leaf == "kernel"))
    }

    /// Whether a tensor of this name means nothing to a model: buffers of numbers, the state of an optimiser, counters.
    pub fn ignores(self, name: &str) -> bool {
        match self {
            Self::Torch | Self::Flax => {
                let name = name.strip_prefix(BASE_PREFIX).unwrap_or(name);
                matches!(
                    name,
                    "embeddings.position_ids" | "embeddings.token_type_ids"
                )
            }
            Self::Keras => false,
            Self::Google | Self::Zh => {
                const COUNTERS: [&str; 8] = [
                    "global_step",
                    "beta1_power",
                    "beta2_power",
                    "loss_scale",
                    "good_steps",
                    "bad_steps",
                    "current_loss_scale",
                    "_CHECKPOINTABLE_OBJECT_GRAPH",
                ];
                const SLOTS: [&str; 10] = [
                    "adam_m", "adam_v", "Adam", "Adam_1", "AdamW", "AdamW_1", "lamb_m", "lamb_v",
                    "LAMB", "LAMB_1",
                ];
                let name = name.strip_prefix("module/").unwrap_or(name);
                let last = name.rsplit('/').next().unwrap_or(name);
                COUNTERS.contains(&name) || name.contains('/') && SLOTS.contains(&last)
            }
        }
    }
}

/// Finds places by their names in one dialect.
pub(crate) struct Places {
    dialect: Dialect,
    outside: BTreeMap<String, Known>,
    block: BTreeMap<String, (BlockSite, Field, bool)>,
}

impl Places {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let fields = [Field::Weight, Field::Bias];
        let mut outside = BTreeMap::new();
        for site in SITES.iter().map(|row| row.site) {
            for field in fields {
                if let Some((name, turned)) = dialect.name_of(site, field) {
                    outside.insert(name, (site, field, turned));
                }
            }
        }
        let mut block = BTreeMap::new();
        let place = Place { group: 0, inner: 0 };
        for part in BLOCK_SITES.iter().map(|row| row.part) {
            for field in fields {
                if let Some((name, turned)) = dialect.name_of(Site::Block(part, place), field)
                    && let Some((_, local)) = split_block(dialect, without_base(dialect, &name))
                {
                    block.insert(local.to_owned(), (part, field, turned));
                }
            }
        }
        Self {
            dialect,
            outside,
            block,
        }
    }

    /// The place of a tensor.
    pub(crate) fn find(&self, name: &str) -> Option<Known> {
        match self.dialect {
            Dialect::Torch => self.exact(name).or_else(|| self.exact(&modern(name)?)),
            Dialect::Flax => self.exact(name.strip_prefix("params.").unwrap_or(name)),
            Dialect::Google | Dialect::Zh => {
                self.exact(name.strip_prefix("module/").unwrap_or(name))
            }
            Dialect::Keras => {
                // The layer's group in the file and the name of the model may stand in front.
                let mut name = name.strip_suffix(":0")?;
                for _ in 0..3 {
                    if let Some(known) = self.exact(name) {
                        return Some(known);
                    }
                    name = name.split_once('/')?.1;
                }
                None
            }
        }
    }

    /// The place of a name with the prefix of the base model or without it.
    fn exact(&self, name: &str) -> Option<Known> {
        if let Some(known) = self.outside.get(name) {
            return Some(*known);
        }
        let bare = without_base(self.dialect, name);
        if let Some((place, local)) = split_block(self.dialect, bare) {
            let (part, field, turned) = *self.block.get(local)?;
            return Some((Site::Block(part, place), field, turned));
        }
        // A file of the base model alone.
        let whole = match self.dialect {
            Dialect::Torch | Dialect::Flax => format!("{BASE_PREFIX}{name}"),
            Dialect::Keras | Dialect::Google | Dialect::Zh => return None,
        };
        self.outside.get(&whole).copied()
    }
}

fn without_base(dialect: Dialect, name: &str) -> &str {
    let prefix = match dialect {
        Dialect::Torch | Dialect::Flax => BASE_PREFIX,
        Dialect::Keras => "albert/",
        Dialect::Google | Dialect::Zh => "",
    };
    name.strip_prefix(prefix).unwrap_or(name)
}

/// The block of a name without the base model's prefix, and the rest of the name.
fn split_block(dialect: Dialect, name: &str) -> Option<(Place, &str)> {
    let [before, between, after] = dialect.block_parts();
    let rest = name.strip_prefix(before)?;
    if dialect == Dialect::Zh {
        let (group, local) = rest.split_once(after)?;
        let group = if group == "shared" { 0 } else { number(group)? };
        return Some((Place { group, inner: 0 }, local));
    }
    let (group, rest) = rest.split_once(between)?;
    let (inner, local) = rest.split_once(after)?;
    let (group, inner) = (number(group)?, number(inner)?);
    Some((Place { group, inner }, local))
}

/// A number as programs write it: no sign, no zeros in front.
fn number(text: &str) -> Option<usize> {
    let number: usize = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The name of a LayerNorm's tensor that old files call γ or β.
fn modern(name: &str) -> Option<String> {
    let (module, leaf) = name.rsplit_once('.')?;
    let norm = module.ends_with("LayerNorm") || module.ends_with("layer_norm");
    let leaf = match leaf {
        "gamma" if norm => "weight",
        "beta" if norm => "bias",
        _ => return None,
    };
    Some(format!("{module}.{leaf}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every place with both of its tensors, blocks of several groups among them.
    fn all() -> Vec<(Site, Field)> {
        let mut sites: Vec<Site> = SITES.iter().map(|row| row.site).collect();
        for place in [(0, 0), (11, 3)] {
            let (group, inner) = place;
            let parts = BLOCK_SITES.iter().map(|row| row.part);
            sites.extend(parts.map(|part| Site::Block(part, Place { group, inner })));
        }
        let both = |site| [(site, Field::Weight), (site, Field::Bias)];
        sites.into_iter().flat_map(both).collect()
    }

    #[test]
    fn from_a_place_to_its_name_and_back() {
        for dialect in Dialect::ALL {
            let places = Places::new(dialect);
            let mut names = Vec::new();
            for (site, field) in all() {
                let zh = dialect == Dialect::Zh;
                if zh && matches!(site, Site::Block(_, Place { inner, .. }) if inner > 0) {
                    continue;
                }
                let Some((name, turned)) = dialect.name_of(site, field) else {
                    continue;
                };
                let around = match dialect {
                    Dialect::Torch => vec![name.clone()],
                    Dialect::Google | Dialect::Zh => vec![name.clone(), format!("module/{name}")],
                    Dialect::Flax => vec![name.clone(), format!("params.{name}")],
                    Dialect::Keras => ["", "layer/", "layer/tf_albert_model_1/"]
                        .map(|before| format!("{before}{name}:0"))
                        .into(),
                };
                for written in around {
                    assert_eq!(
                        places.find(&written),
                        Some((site, field, turned)),
                        "{written}"
                    );
                }
                if matches!(dialect, Dialect::Torch | Dialect::Flax) {
                    let bare = name.strip_prefix(BASE_PREFIX).unwrap_or(&name);
                    assert_eq!(places.find(bare), Some((site, field, turned)), "{bare}");
                }
                names.push(name);
            }
            assert!(names.len() > 40, "{dialect:?}: {}", names.len());
            names.sort();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "{dialect:?}: two places of one name");
        }
    }

    #[test]
    fn what_is_no_name() {
        let find = |dialect, name| Places::new(dialect).find(name);
        for name in [
            "encoder.albert_layer_groups.00.albert_layers.0.ffn.weight",
            "encoder.albert_layer_groups.0.albert_layers.+1.ffn.weight",
            "encoder.albert_layer_groups.0.albert_layers.0.ffn.weight.",
            "albert.albert.pooler.weight",
            "albert.classifier.weight",
            "predictions.weight",
            "",
        ] {
            assert_eq!(find(Dialect::Torch, name), None, "{name}");
        }
        assert_eq!(find(Dialect::Keras, "albert/pooler/kernel"), None);
        assert_eq!(find(Dialect::Keras, "a/b/c/albert/pooler/kernel:0"), None);
        assert_eq!(
            find(Dialect::Google, "bert/pooler/dense/kernel/adam_m"),
            None
        );
        for name in [
            "bert/pooler/dense/kernel/adam_m",
            "global_step",
            "module/global_step",
        ] {
            assert!(Dialect::Google.ignores(name), "{name}");
        }
        assert!(!Dialect::Google.ignores("bert/pooler/dense/kernel"));
        assert!(!Dialect::Google.ignores("Adam"));
    }
}
