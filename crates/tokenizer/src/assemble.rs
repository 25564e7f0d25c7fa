//! From pieces to an encoding: truncation and template, in the manner of the mode.

use std::sync::Arc;

use crate::encoding::Encoding;
use crate::engine::{Cache, Engine, Pieces};
use crate::error::Error;
use crate::options::{EncodeOptions, Input, PadTo, Sequence, Side, Strategy};
use crate::sampling::Sampler;
use crate::template::{Template, Windows, apply};
use crate::truncate;

/// The options of a call with the tokenizer's own settings filled in.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) slow: bool,
    pub(crate) add_special_tokens: bool,
    pub(crate) strategy: Strategy,
    pub(crate) max_length: Option<usize>,
    pub(crate) stride: usize,
    pub(crate) side: Side,
    pub(crate) overflow: bool,
    pub(crate) type_ids: bool,
}

/// What the tokenizer says where a call says nothing.
pub(crate) struct Defaults {
    pub(crate) slow: bool,
    pub(crate) model_max_length: Option<usize>,
    pub(crate) truncation_side: Side,
    pub(crate) type_ids: bool,
}

impl Plan {
    pub(crate) fn new(
        options: &EncodeOptions,
        defaults: &Defaults,
        template: &Template,
    ) -> Result<Self, Error> {
        let mut plan = Self {
            slow: defaults.slow,
            add_special_tokens: options.add_special_tokens,
            strategy: options.truncation.strategy,
            max_length: options.truncation.max_length,
            stride: options.truncation.stride,
            side: options.truncation.side.unwrap_or(defaults.truncation_side),
            overflow: options.return_overflowing_tokens,
            type_ids: options.return_token_type_ids.unwrap_or(defaults.type_ids),
        };
        if plan.slow && !plan.add_special_tokens && options.return_token_type_ids == Some(true) {
            return Err(Error::options(
                "token types without special tokens have no meaning in this mode, as in \
                 transformers: add special tokens, or do not ask for token types"
                    .into(),
            ));
        }
        if plan.strategy == Strategy::DoNotTruncate {
            return Ok(plan);
        }
        plan.max_length = plan.max_length.or(defaults.model_max_length);
        let Some(max_length) = plan.max_length else {
            plan.strategy = Strategy::DoNotTruncate;
            return Ok(plan);
        };
        let multiple = options.padding.multiple_of.filter(|multiple| *multiple > 0);
        if let (Some(multiple), false) = (multiple, options.padding.to == PadTo::None)
            && max_length % multiple != 0
        {
            return Err(Error::options(format!(
                "truncation to {max_length} tokens and padding to a multiple of {multiple} \
                 contradict each other: choose a max_length that is such a multiple"
            )));
        }
        let room = max_length.checked_sub(template.added(false));
        if let (Some(room), false) = (room, plan.slow)
            && room < plan.stride
        {
            return Err(Error::options(format!(
                "a stride of {} tokens does not fit into max_length {max_length}, which leaves \
                 {room} without special tokens: choose a smaller stride",
                plan.stride
            )));
        }
        Ok(plan)
    }
}

/// Encodes one input, without padding; with a `sampler`, one segmentation of many.
pub(crate) fn encode(
    engine: &Arc<dyn Engine>,
    template: &Template,
    plan: &Plan,
    cache: &mut Cache,
    input: &Input<'_>,
    mut sampler: Option<&mut Sampler>,
) -> Result<Encoding, Error> {
    let mut pieces = |sequence| pieces(engine.as_ref(), cache, sequence, sampler.as_deref_mut());
    let first = pieces(&input.first);
    let second = input.second.as_ref().map(pieces);
    let empty = Encoding::empty(engine.clone());
    let mut encoding = if plan.slow {
        slow(template, plan, first, second, empty)?
    } else {
        fast(template, plan, first, second, empty)?
    };
    if !plan.type_ids {
        encoding.drop_type_ids();
    }
    Ok(encoding)
}

fn pieces(
    engine: &dyn Engine,
    cache: &mut Cache,
    sequence: &Sequence<'_>,
    mut sampler: Option<&mut Sampler>,
) -> Pieces {
    let mut pieces = Pieces::default();
    let mut encode = |text: &str, pieces: &mut Pieces| match sampler.as_deref_mut() {
        Some(sampler) => {
            let drawn = engine.sample(text, sampler, cache, pieces);
            debug_assert!(drawn, "only modes that draw are asked");
        }
        None => engine.encode(text, cache, pieces),
    };
    match sequence {
        Sequence::Text(text) => encode(text, &mut pieces),
        Sequence::Words(words) => {
            for (i, word) in words.iter().enumerate() {
                let start = pieces.ids.len();
                encode(word, &mut pieces);
                pieces.words[start..].fill(u32::try_from(i).ok());
            }
        }
    }
    pieces
}

fn fast(
    template: &Template,
    plan: &Plan,
    first: Pieces,
    second: Option<Pieces>,
    empty: Encoding,
) -> Result<Encoding, Error> {
    let pair = second.is_some();
    let lengths = (first.ids.len(), second.as_ref().map(|s| s.ids.len()));
    let (keep_first, keep_second) = match plan.max_length {
        Some(max_length) if plan.strategy != Strategy::DoNotTruncate => {
            let added = match plan.add_special_tokens {
                true => template.added(pair),
                false => 0,
            };
            let budget = max_length.checked_sub(added).ok_or_else(|| {
                Error::options(format!(
                    "max_length {max_length} leaves no room for {added} special tokens: allow more"
                ))
            })?;
            truncate::fast(lengths, budget, plan.strategy)?
        }
        _ => (lengths.0, lengths.1.unwrap_or(0)),
    };
    let windows = |pieces, length, keep| {
        let ranges = truncate::windows(length, keep, plan.stride, plan.side, plan.overflow)?;
        Ok::<_, Error>(Windows { pieces, ranges })
    };
    let mut sequences = vec![windows(&first, lengths.0, keep_first)?];
    if let Some(second) = &second {
        sequences.push(windows(second, second.ids.len(), keep_second)?);
    }
    let parts = template.parts(pair);
    Ok(apply(parts, &sequences, plan.add_special_tokens, &empty))
}

fn slow(
    template: &Template,
    plan: &Plan,
    first: Pieces,
    second: Option<Pieces>,
    empty: Encoding,
) -> Result<Encoding, Error> {
    let pair = second.is_some();
    if pair && plan.overflow && plan.strategy == Strategy::LongestFirst {
        return Err(Error::options(
            "in this mode, as in transformers, a pair that is truncated longest first gives no \
             overflowing tokens: truncate only the first or only the second sequence"
                .into(),
        ));
    }
    let lengths = (first.ids.len(), second.as_ref().map(|s| s.ids.len()));
    let added = match plan.add_special_tokens {
        true => template.added(pair),
        false => 0,
    };
    let total = lengths.0 + lengths.1.unwrap_or(0) + added;
    // Zero means "no limit" to transformers.
    let remove = match plan.max_length {
        Some(limit @ 1..) if plan.strategy != Strategy::DoNotTruncate => {
            total.saturating_sub(limit)
        }
        _ => 0,
    };
    let cut = match remove {
        0 => truncate::slow(lengths, 0, Strategy::DoNotTruncate, 0, plan.side),
        _ => truncate::slow(lengths, remove, plan.strategy, plan.stride, plan.side),
    };
    let mut sequences = vec![Windows {
        pieces: &first,
        ranges: vec![cut.first],
    }];
    if let Some(second) = &second {
        sequences.push(Windows {
            pieces: second,
            ranges: vec![cut.second],
        });
    }
    let parts = template.parts(pair);
    let mut encoding = apply(parts, &sequences, plan.add_special_tokens, &empty);
    if !plan.add_special_tokens {
        encoding.type_ids.fill(0);
    }
    if plan.overflow {
        if let Some((which, range)) = cut.overflow {
            let pieces = second.as_ref().filter(|_| which == 1).unwrap_or(&first);
            encoding.overflowing_tokens = pieces.ids[range].to_vec();
        }
        let difference = |limit| Some(i64::try_from(total).ok()? - i64::try_from(limit).ok()?);
        encoding.num_truncated_tokens = plan.max_length.and_then(difference);
    }
    Ok(encoding)
}
