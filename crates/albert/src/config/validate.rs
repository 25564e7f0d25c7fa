//! What no model can have, and the count of parameters that says so.

use super::{AlbertConfig, ConfigError, ModelClass, PositionEmbeddingType, ProblemType};

/// The most parameters a configuration may ask for: 2⁴⁰, four tebibytes in f32.
pub const MAX_PARAMETERS: u64 = 1 << 40;

/// The most blocks one forward pass may run, L·N.
pub const MAX_BLOCK_APPLICATIONS: usize = 1 << 16;

/// The most classes a classifier may have.
pub const MAX_LABELS: usize = 1 << 20;

/// See [`AlbertConfig::validate`].
pub(super) fn validate(config: &AlbertConfig) -> Result<(), ConfigError> {
    sizes(config)?;
    numbers(config)?;
    labels(config)?;
    pruned_heads(config)
}

fn sizes(config: &AlbertConfig) -> Result<(), ConfigError> {
    let sizes = [
        ("vocab_size", config.vocab_size),
        ("embedding_size", config.embedding_size),
        ("hidden_size", config.hidden_size),
        ("num_hidden_layers", config.num_hidden_layers),
        ("num_hidden_groups", config.num_hidden_groups),
        ("num_attention_heads", config.num_attention_heads),
        ("intermediate_size", config.intermediate_size),
        ("inner_group_num", config.inner_group_num),
        ("max_position_embeddings", config.max_position_embeddings),
        ("type_vocab_size", config.type_vocab_size),
    ];
    for (field, value) in sizes {
        if value == 0 {
            return Err(ConfigError::wrong(
                field,
                0,
                "at least 1",
                "take the value from the checkpoint's own configuration or from a preset",
            ));
        }
    }
    if config.num_hidden_groups > config.num_hidden_layers {
        return Err(ConfigError::wrong(
            "num_hidden_groups",
            config.num_hidden_groups,
            format!("at most `num_hidden_layers` {}", config.num_hidden_layers),
            "groups beyond the layers would never be used; lower it",
        ));
    }
    let blocks = config.num_hidden_layers.checked_mul(config.inner_group_num);
    if blocks.is_none_or(|blocks| blocks > MAX_BLOCK_APPLICATIONS) {
        let (field, value, other) = if config.num_hidden_layers >= config.inner_group_num {
            (
                "num_hidden_layers",
                config.num_hidden_layers,
                "inner_group_num",
            )
        } else {
            (
                "inner_group_num",
                config.inner_group_num,
                "num_hidden_layers",
            )
        };
        return Err(ConfigError::wrong(
            field,
            value,
            format!("at most {MAX_BLOCK_APPLICATIONS} blocks in all, times `{other}`"),
            "lower it; published models run 12 or 24 blocks",
        ));
    }
    parameters_fit(config)?;
    if !config
        .hidden_size
        .is_multiple_of(config.num_attention_heads)
    {
        return Err(ConfigError::wrong(
            "num_attention_heads",
            config.num_attention_heads,
            format!("a divisor of `hidden_size` {}", config.hidden_size),
            format!(
                "use {}, or change `hidden_size`",
                closest_divisor(config.hidden_size, config.num_attention_heads)
            ),
        ));
    }
    Ok(())
}

/// Refuses sizes whose product overflows or exceeds [`MAX_PARAMETERS`], naming the largest.
fn parameters_fit(config: &AlbertConfig) -> Result<(), ConfigError> {
    // Pruned heads only make a model smaller, and are checked against sizes known to be sane.
    let count = unpruned_count(config, ModelClass::PreTraining);
    if count.is_some_and(|count| count <= MAX_PARAMETERS) {
        return Ok(());
    }
    let (field, value) = [
        ("vocab_size", config.vocab_size),
        ("embedding_size", config.embedding_size),
        ("hidden_size", config.hidden_size),
        ("intermediate_size", config.intermediate_size),
        ("max_position_embeddings", config.max_position_embeddings),
        ("type_vocab_size", config.type_vocab_size),
        ("num_hidden_groups", config.num_hidden_groups),
        ("inner_group_num", config.inner_group_num),
    ]
    .into_iter()
    .max_by_key(|&(_, value)| value)
    .unwrap_or(("vocab_size", config.vocab_size));
    Err(ConfigError::wrong(
        field,
        value,
        format!("sizes that together need at most {MAX_PARAMETERS} parameters"),
        match count {
            Some(count) => {
                format!("they need {count}; lower it (the largest model has 223 million)")
            }
            None => String::from(
                "their product does not fit in 64 bits; lower it (the largest model has 223 million)",
            ),
        },
    ))
}

/// The divisor of `n` closest to `wanted`, the larger one when two are equally close.
fn closest_divisor(n: usize, wanted: usize) -> usize {
    // sizes() has bounded n by 2^20 before this runs.
    (1..=n)
        .filter(|d| n.is_multiple_of(*d))
        .min_by_key(|d| (d.abs_diff(wanted), std::cmp::Reverse(*d)))
        .unwrap_or(1)
}

fn numbers(config: &AlbertConfig) -> Result<(), ConfigError> {
    let dropouts = [
        ("hidden_dropout_prob", Some(config.hidden_dropout_prob)),
        (
            "attention_probs_dropout_prob",
            Some(config.attention_probs_dropout_prob),
        ),
        ("classifier_dropout_prob", config.classifier_dropout_prob),
    ];
    for (field, value) in dropouts {
        if let Some(value) = value
            && !(0.0..1.0).contains(&value)
        {
            return Err(ConfigError::wrong(
                field,
                value,
                "a probability from 0 up to but not including 1",
                "use 0 for no dropout; published models have 0 or 0.1",
            ));
        }
    }
    if !(config.initializer_range.is_finite() && config.initializer_range >= 0.0) {
        return Err(ConfigError::wrong(
            "initializer_range",
            config.initializer_range,
            "a standard deviation: finite, 0 or more",
            "published models have 0.02",
        ));
    }
    // Computation is in f32, where an epsilon that rounds to zero protects nothing.
    let eps = config.layer_norm_eps;
    if !(eps.is_finite() && eps > 0.0 && eps as f32 > 0.0 && (eps as f32).is_finite()) {
        return Err(ConfigError::wrong(
            "layer_norm_eps",
            format!("{eps:?}"),
            "a number above 0 that f32 can hold",
            "published models have 1e-12",
        ));
    }
    if let Some(pad) = config.pad_token_id
        && !usize::try_from(pad).is_ok_and(|pad| pad < config.vocab_size)
    {
        return Err(ConfigError::wrong(
            "pad_token_id",
            pad,
            format!("an id of the vocabulary, 0 to {}", config.vocab_size - 1),
            "published models have 0; use null for a model without padding",
        ));
    }
    Ok(())
}

fn labels(config: &AlbertConfig) -> Result<(), ConfigError> {
    let count = config.num_labels();
    if count == 0 || count > MAX_LABELS {
        return Err(ConfigError::wrong(
            "id2label",
            format!("a map of {count} classes"),
            format!("1 to {MAX_LABELS} classes"),
            "leave it out for a model without a classifier",
        ));
    }
    if config.problem_type == Some(ProblemType::SingleLabelClassification) && count == 1 {
        return Err(ConfigError::wrong(
            "problem_type",
            "\"single_label_classification\" with one class",
            "two or more classes",
            "name both classes in `id2label`, or use \"regression\" for one number",
        ));
    }
    Ok(())
}

fn pruned_heads(config: &AlbertConfig) -> Result<(), ConfigError> {
    let blocks = config.num_hidden_groups * config.inner_group_num;
    let heads = config.num_attention_heads;
    for (&block, pruned) in &config.pruned_heads {
        let field = format!("pruned_heads[{block}]");
        if block >= blocks {
            return Err(ConfigError::wrong(
                field,
                format!("{pruned:?}"),
                format!("block numbers 0 to {}", blocks - 1),
                "blocks count distinct weights, group · inner_group_num + inner index, not layers",
            ));
        }
        if let Some(head) = pruned.iter().find(|&&head| head >= heads) {
            return Err(ConfigError::wrong(
                field,
                format!("a list with head {head}"),
                format!("heads 0 to {}", heads - 1),
                "remove it from the list",
            ));
        }
        let mut sorted = pruned.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ConfigError::wrong(
                field,
                format!("a list with head {} twice", pair[0]),
                "every head once",
                "remove one of them",
            ));
        }
        if pruned.len() == heads {
            return Err(ConfigError::wrong(
                field,
                format!("a list of all {heads} heads"),
                "at least one head left",
                "keep a head",
            ));
        }
    }
    Ok(())
}

/// The number of trained values, or `None` where it does not fit.
pub(super) fn parameter_count(config: &AlbertConfig, class: ModelClass) -> Option<u64> {
    // A pruned head takes its rows of query, key and value and its columns of the output with it.
    let h = u64::try_from(config.hidden_size).ok()?;
    let head_size = h.checked_div(u64::try_from(config.num_attention_heads).ok()?)?;
    let per_head = head_size.checked_mul(h.checked_mul(4)?.checked_add(3)?)?;
    let pruned = config.pruned_heads.values().map(Vec::len).sum::<usize>();
    unpruned_count(config, class)?.checked_sub(u64::try_from(pruned).ok()?.checked_mul(per_head)?)
}

/// [`parameter_count`] with every head in place.
///
/// An untied decoder has its own matrix and its own bias, as in transformers 5.
fn unpruned_count(config: &AlbertConfig, class: ModelClass) -> Option<u64> {
    let size = |value: usize| u64::try_from(value).ok();
    let (v, e, h) = (
        size(config.vocab_size)?,
        size(config.embedding_size)?,
        size(config.hidden_size)?,
    );
    let (f, p, u) = (
        size(config.intermediate_size)?,
        size(config.max_position_embeddings)?,
        size(config.type_vocab_size)?,
    );
    let labels = size(config.num_labels())?;
    let blocks = size(config.num_hidden_groups)?.checked_mul(size(config.inner_group_num)?)?;
    // A layer from `inputs` to `outputs` with its bias.
    let linear = |inputs: u64, outputs: u64| inputs.checked_add(1)?.checked_mul(outputs);
    let sum = |parts: &[u64]| {
        parts
            .iter()
            .try_fold(0u64, |sum, &part| sum.checked_add(part))
    };

    let rows = sum(&[v, p, u, 2])?;
    let norm_h = h.checked_mul(2)?;
    let mut block = sum(&[
        linear(h, h)?.checked_mul(4)?,
        norm_h,
        linear(h, f)?,
        linear(f, h)?,
        norm_h,
    ])?;
    let head_size = h.checked_div(size(config.num_attention_heads)?)?;
    if config.position_embedding_type != PositionEmbeddingType::Absolute {
        let distances = p.checked_mul(2)?.checked_sub(1)?;
        block = block.checked_add(distances.checked_mul(head_size)?)?;
    }
    let encoder = sum(&[
        rows.checked_mul(e)?,
        linear(e, h)?,
        blocks.checked_mul(block)?,
    ])?;

    let pooler = linear(h, h)?;
    let decoder = if config.tie_word_embeddings {
        0
    } else {
        linear(e, v)?
    };
    let mlm = sum(&[linear(h, e)?, e.checked_mul(2)?, v, decoder])?;
    let classifier = linear(h, labels)?;
    sum(&match class {
        ModelClass::Model => vec![encoder, pooler],
        ModelClass::ModelWithoutPooler => vec![encoder],
        ModelClass::MaskedLM => vec![encoder, mlm],
        ModelClass::PreTraining => vec![encoder, pooler, mlm, classifier],
        ModelClass::SequenceClassification => vec![encoder, pooler, classifier],
        ModelClass::TokenClassification | ModelClass::QuestionAnswering => {
            vec![encoder, classifier]
        }
        ModelClass::JointQuestionAnswering => {
            let pair = linear(h.checked_mul(2)?, h)?;
            let ends = linear(h, 1)?;
            vec![encoder, ends, pair, norm_h, ends, pair, h]
        }
        ModelClass::MultipleChoice => vec![encoder, pooler, linear(h, 1)?],
    })
}
