//! What no usable `spiece.model` can say.

use super::{Denormalizer, SpieceModel, proto};
use crate::{
    Error,
    error::shown,
    unigram::{Piece, PieceKind},
};
use std::collections::HashSet;

/// A million pieces is thirty times ALBERT's vocabulary, and an id must fit in 31 bits.
const MAX_PIECES: usize = 1 << 20;
/// SentencePiece refuses pieces of 8000 bytes and more.
const MAX_PIECE: usize = 7999;

/// Numbers in the file, names, kinds.
pub(super) const KINDS: [(i32, &str, PieceKind); 6] = [
    (1, "normal", PieceKind::Normal),
    (2, "unknown", PieceKind::Unknown),
    (3, "control", PieceKind::Control),
    (4, "user_defined", PieceKind::UserDefined),
    (5, "unused", PieceKind::Unused),
    (6, "byte", PieceKind::Byte),
];

pub(super) fn damaged(problem: String) -> Error {
    Error::Spiece { problem }
}

/// An empty piece costs two bytes in the file and fifty in memory, so pieces are counted first.
pub(super) fn before_decoding(bytes: &[u8]) -> Result<(), Error> {
    if bytes.is_empty() {
        return Err(damaged("the file is empty; download it again".into()));
    }
    let mut rest = bytes;
    let mut pieces = 0_usize;
    while !rest.is_empty() {
        let Some((tag, wire, after)) = key(rest) else {
            break; // prost reports what is wrong
        };
        let Some(after) = skip(wire, after) else {
            break;
        };
        if tag == 1 {
            pieces += 1;
            if pieces > MAX_PIECES {
                return Err(damaged(format!(
                    "more than {MAX_PIECES} pieces, ALBERT's have 30000"
                )));
            }
        }
        rest = after;
    }
    Ok(())
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7F).checked_shl(7 * index as u32)?;
        if byte < 0x80 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

fn key(bytes: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (key, rest) = varint(bytes)?;
    Some((key >> 3, key & 7, rest))
}

fn skip(wire: u64, bytes: &[u8]) -> Option<&[u8]> {
    match wire {
        0 => varint(bytes).map(|(_, rest)| rest),
        1 => bytes.get(8..),
        2 => {
            let (length, rest) = varint(bytes)?;
            rest.get(usize::try_from(length).ok()?..)
        }
        5 => bytes.get(4..),
        _ => None,
    }
}

/// From the decoded message to the checked model.
pub(super) fn model(model: proto::ModelProto, bytes: Vec<u8>) -> Result<SpieceModel, Error> {
    let trainer = model.trainer_spec.unwrap_or_default();
    let kind = trainer.model_type.unwrap_or(1);
    if kind != 1 {
        let name = match kind {
            2 => "BPE",
            3 => "WORD",
            4 => "CHAR",
            _ => "of an unknown type",
        };
        return Err(damaged(format!(
            "model_type is {kind} ({name}), expected 1 (UNIGRAM): ALBERT's vocabularies are \
             unigram models, this one belongs to another model"
        )));
    }
    let byte_fallback = trainer.byte_fallback.unwrap_or(false);
    let pieces = pieces(model.pieces, byte_fallback)?;
    let unk_id = structure(&pieces, byte_fallback)?;
    let unk_surface = match trainer.unk_surface {
        None => " \u{2047} ".to_owned(),
        Some(bytes) => text(bytes, "unk_surface")?,
    };
    let normalizer = model.normalizer_spec.unwrap_or_default();
    let denormalizer = model
        .denormalizer_spec
        .filter(|spec| {
            spec.precompiled_charsmap
                .as_ref()
                .is_some_and(|map| !map.is_empty())
        })
        .map(|spec| Denormalizer {
            charsmap: spec.precompiled_charsmap.unwrap_or_default(),
            add_dummy_prefix: spec.add_dummy_prefix.unwrap_or(true),
            remove_extra_whitespaces: spec.remove_extra_whitespaces.unwrap_or(true),
            escape_whitespaces: spec.escape_whitespaces.unwrap_or(true),
        });
    let model = SpieceModel {
        pieces,
        unk_id,
        unk_surface,
        charsmap: normalizer.precompiled_charsmap.unwrap_or_default(),
        add_dummy_prefix: normalizer.add_dummy_prefix.unwrap_or(true),
        remove_extra_whitespaces: normalizer.remove_extra_whitespaces.unwrap_or(true),
        escape_whitespaces: normalizer.escape_whitespaces.unwrap_or(true),
        treat_whitespace_as_suffix: trainer.treat_whitespace_as_suffix.unwrap_or(false),
        byte_fallback,
        denormalizer,
        bytes,
    };
    crate::charsmap::Charsmap::parse(&model.charsmap)?;
    if let Some(denormalizer) = &model.denormalizer {
        crate::charsmap::Charsmap::parse(&denormalizer.charsmap)?;
    }
    Ok(model)
}

fn text(bytes: Vec<u8>, what: &str) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
        let lossy = String::from_utf8_lossy(error.as_bytes()).into_owned();
        damaged(format!(
            "{what} is not UTF-8 at byte {}: {}",
            error.utf8_error().valid_up_to(),
            shown(&lossy)
        ))
    })
}

fn pieces(pieces: Vec<proto::SentencePiece>, byte_fallback: bool) -> Result<Vec<Piece>, Error> {
    let mut out = Vec::with_capacity(pieces.len());
    for (id, piece) in pieces.into_iter().enumerate() {
        let bytes = piece.piece.unwrap_or_default();
        if bytes.is_empty() {
            return Err(damaged(format!("piece {id} is empty")));
        }
        if bytes.len() > MAX_PIECE {
            return Err(damaged(format!(
                "piece {id} has {} bytes, expected at most {MAX_PIECE}",
                bytes.len()
            )));
        }
        let text = text(bytes, &format!("piece {id}"))?;
        let number = piece.kind.unwrap_or(1);
        let Some(&(_, _, mut kind)) = KINDS.iter().find(|(known, ..)| *known == number) else {
            return Err(damaged(format!(
                "piece {id} ({}) has type {number}, expected 1 to 6",
                shown(&text)
            )));
        };
        if text.contains('\0') {
            // Some converters write a piece of NUL beside <0x00>; SentencePiece passes over it.
            if text == "\0" && (byte_fallback || kind == PieceKind::Unused) {
                kind = PieceKind::Unused;
            } else {
                return Err(damaged(format!(
                    "piece {id} ({}) holds the character NUL, which SentencePiece refuses",
                    shown(&text)
                )));
            }
        }
        let score = piece.score.unwrap_or(0.0);
        if !score.is_finite() {
            return Err(damaged(format!(
                "piece {id} ({}) has the score {score}, expected a finite number",
                shown(&text)
            )));
        }
        out.push(Piece {
            text: text.into_boxed_str(),
            score: f64::from(score),
            kind,
        });
    }
    Ok(out)
}

/// Duplicates, the unknown piece, byte pieces. Returns the id of the unknown piece.
fn structure(pieces: &[Piece], byte_fallback: bool) -> Result<u32, Error> {
    let mut unknown = None;
    let mut seen: [HashSet<&str>; 2] = Default::default();
    let mut bytes = [false; 256];
    let mut any = false;
    for (id, piece) in pieces.iter().enumerate() {
        let text = &*piece.text;
        if text == "\0" {
            continue;
        }
        let in_text = matches!(
            piece.kind,
            PieceKind::Normal | PieceKind::UserDefined | PieceKind::Unused
        );
        any |= in_text;
        // A control piece may be spelled as a normal one: they are looked up apart.
        if !seen[usize::from(in_text)].insert(text) {
            return Err(damaged(format!(
                "piece {id} ({}) occurs twice",
                shown(text)
            )));
        }
        match piece.kind {
            PieceKind::Unknown if unknown.is_some() => {
                return Err(damaged(format!(
                    "piece {id} ({}) is a second unknown piece, expected one",
                    shown(text)
                )));
            }
            PieceKind::Unknown => unknown = Some(id as u32),
            PieceKind::Byte if !byte_fallback => {
                return Err(damaged(format!(
                    "piece {id} ({}) is a byte piece, but byte_fallback is off",
                    shown(text)
                )));
            }
            PieceKind::Byte => match byte(text) {
                Some(value) => bytes[usize::from(value)] = true,
                None => {
                    return Err(damaged(format!(
                        "piece {id} ({}) is a byte piece, expected a text like <0x0A>",
                        shown(text)
                    )));
                }
            },
            _ => {}
        }
    }
    if byte_fallback && let Some(missing) = bytes.iter().position(|found| !found) {
        return Err(damaged(format!(
            "byte_fallback is on, but there is no piece <0x{missing:02X}>: expected all 256"
        )));
    }
    if !any {
        return Err(damaged(
            "there is no piece that a text could hold; is this a spiece.model?".into(),
        ));
    }
    unknown.ok_or_else(|| {
        damaged(
            "there is no unknown piece (type 2, usually <unk>), expected one; \
             is this a spiece.model?"
                .into(),
        )
    })
}

/// The byte that a piece like `<0x0A>` stands for.
pub(crate) fn byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let upper = |digit: u8| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit);
    if digits.len() != 2 || !digits.bytes().all(upper) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}
