//! Mode `sentencepiece`: what Google's SentencePiece does with `spiece.model`, release 0.2.3.

mod bytes;
mod fast;
mod sink;

use crate::{
    Error,
    engine::{Cache, Engine, Pieces},
    normalizer::{Normalizer, SPACE},
    sampling::Sampler,
    spiece::SpieceModel,
    unigram::{PieceKind, Step, Unigram},
};
use bytes::Bytes;
use sink::{Ids, Sink, Spans};
use std::sync::Arc;

/// A model ready for use.
pub(crate) struct SentencePiece {
    pub model: Unigram,
    pub normalizer: Normalizer,
    denormalizer: Option<Normalizer>,
    unk_id: u32,
    unk_surface: String,
    byte_fallback: bool,
    /// Ids of the 256 byte pieces, with byte fallback.
    byte_ids: Vec<u32>,
    /// What each byte may do in the fast path, if there is one for this model.
    bytes: Option<Box<Bytes>>,
    /// The file, for saving.
    pub file: Arc<SpieceModel>,
}

impl SentencePiece {
    /// From a model file.
    pub(crate) fn new(file: Arc<SpieceModel>) -> Result<Self, Error> {
        let model = Unigram::sentencepiece(file.pieces.clone(), file.unk_id);
        let normalizer = Normalizer::new(&file)?;
        let byte_ids = if file.byte_fallback {
            (0..=255_u8)
                .map(|byte| model.id(&format!("<0x{byte:02X}>")).unwrap_or(file.unk_id))
                .collect()
        } else {
            Vec::new()
        };
        let bytes = Bytes::new(&model, &normalizer, file.byte_fallback).map(Box::new);
        Ok(Self {
            denormalizer: Normalizer::denormalizer(&file)?,
            unk_id: file.unk_id,
            unk_surface: file.unk_surface.clone(),
            byte_fallback: file.byte_fallback,
            byte_ids,
            bytes,
            model,
            normalizer,
            file,
        })
    }

    /// Appends the ids of `text`.
    pub(crate) fn ids(&self, text: &str, cache: &mut Cache, out: &mut Vec<u32>) {
        self.run(text, cache, &mut Ids(out));
    }

    /// Appends the pieces of `text`, with offsets into it, and texts of unknown runs.
    pub(crate) fn pieces(&self, text: &str, cache: &mut Cache, out: &mut Pieces) {
        let mut sink = Spans {
            out,
            run: String::new(),
        };
        self.run(text, cache, &mut sink);
    }

    fn run<S: Sink>(&self, text: &str, cache: &mut Cache, sink: &mut S) {
        if let Some(bytes) = &self.bytes {
            let start = sink.len();
            if fast::encode(self, bytes, text, cache, sink) {
                sink.finish();
                return;
            }
            sink.truncate(start);
        }
        self.plain(text, cache, sink);
        sink.finish();
    }

    /// Step by step, as the reference does it; right for every model.
    fn plain<S: Sink>(&self, text: &str, cache: &mut Cache, sink: &mut S) {
        let Cache {
            scratch,
            normalized,
            origins,
            ..
        } = cache;
        self.normalizer.normalize(text, normalized, origins);
        self.model.encode_f32(normalized.as_bytes(), 0.0, scratch);
        let mut after_unknown = false;
        for step in scratch.path.iter().rev() {
            self.emit(
                step.id,
                &normalized[step.start..step.end],
                (origins[step.start], origins[step.end]),
                &mut after_unknown,
                sink,
            );
        }
    }

    /// Appends the pieces of a path through a normalised text.
    pub(crate) fn path(
        &self,
        path: &[Step],
        normalized: &str,
        origins: &[usize],
        out: &mut Pieces,
    ) {
        let mut sink = Spans {
            out,
            run: String::new(),
        };
        let mut after_unknown = false;
        for step in path {
            self.emit(
                step.id,
                &normalized[step.start..step.end],
                (origins[step.start], origins[step.end]),
                &mut after_unknown,
                &mut sink,
            );
        }
        sink.finish();
    }

    /// Hands one piece on: unknown ones become bytes or join the run of unknown ones before them.
    #[inline]
    fn emit<S: Sink>(
        &self,
        id: u32,
        text: &str,
        (start, end): (usize, usize),
        after_unknown: &mut bool,
        sink: &mut S,
    ) {
        if id != self.unk_id {
            *after_unknown = false;
            sink.piece(id, start, end);
        } else if self.byte_fallback {
            for (index, byte) in text.bytes().enumerate() {
                // The last byte of a character holds its place in the text.
                let end = if index + 1 == text.len() { end } else { start };
                sink.piece(self.byte_ids[usize::from(byte)], start, end);
            }
        } else {
            sink.unknown(id, text, start, end, *after_unknown);
            *after_unknown = true;
        }
    }

    /// The path step by step without the fast way; for tests.
    #[cfg(test)]
    pub(crate) fn pieces_plain(&self, text: &str, cache: &mut Cache, out: &mut Pieces) {
        let mut sink = Spans {
            out,
            run: String::new(),
        };
        self.plain(text, cache, &mut sink);
        sink.finish();
    }

    /// Does this model have the fast way?
    #[cfg(test)]
    pub(crate) fn is_fast(&self) -> bool {
        self.bytes.is_some()
    }

    /// Text of pieces by name: the names of unknown pieces are printed as they are.
    pub(crate) fn decode_pieces<'a>(&self, pieces: impl IntoIterator<Item = &'a str>) -> String {
        let named = pieces
            .into_iter()
            .map(|piece| (piece, self.piece_to_id(piece)));
        self.decode_named(named)
    }

    /// The id of the unknown piece.
    pub(crate) fn unk_id(&self) -> u32 {
        self.unk_id
    }

    /// The id of a piece; that of the unknown piece for every text that is none.
    pub(crate) fn piece_to_id(&self, piece: &str) -> u32 {
        self.model.id(piece).unwrap_or(self.unk_id)
    }

    fn decode_named<'a>(&self, pieces: impl Iterator<Item = (&'a str, u32)>) -> String {
        let mut out = String::new();
        let mut bytes = Vec::new();
        let strips = self.normalizer.add_dummy_prefix || self.normalizer.remove_extra_whitespaces;
        let mut at_start = true;
        for (text, id) in pieces {
            let piece = &self.model.pieces[id as usize];
            if piece.kind == PieceKind::Byte {
                bytes.extend(crate::spiece::byte(text));
                continue;
            }
            flush(&mut bytes, &mut out);
            at_start &= out.is_empty();
            if piece.kind == PieceKind::Control {
                continue;
            }
            if id == self.unk_id {
                // A name of our own is printed as the unknown mark, other texts as they are.
                let known = *piece.text == *text;
                out.push_str(if known { &self.unk_surface } else { text });
                at_start &= out.is_empty();
                continue;
            }
            let mut rest = text;
            let mut stripped = false;
            if at_start
                && strips
                && let Some(after) = rest.strip_prefix(SPACE)
            {
                rest = after;
                // Without remove_extra_whitespaces only one space is the dummy prefix.
                stripped = !self.normalizer.remove_extra_whitespaces;
            }
            for (index, part) in rest.split(SPACE).enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                out.push_str(part);
            }
            at_start &= !stripped && out.is_empty();
        }
        flush(&mut bytes, &mut out);
        match &self.denormalizer {
            None => out,
            Some(rules) => {
                let mut text = String::new();
                rules.normalize(&out, &mut text, &mut Vec::new());
                text
            }
        }
    }
}

/// Bytes of byte pieces become characters; what is not UTF-8 becomes U+FFFD, byte by byte.
fn flush(bytes: &mut Vec<u8>, out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| '\u{FFFD}'));
    }
    bytes.clear();
}

impl Engine for SentencePiece {
    fn encode(&self, text: &str, cache: &mut Cache, out: &mut Pieces) {
        self.pieces(text, cache, out);
    }

    fn encode_ids(&self, text: &str, cache: &mut Cache, out: &mut Vec<u32>) {
        self.ids(text, cache, out);
    }

    fn sample(
        &self,
        text: &str,
        sampler: &mut Sampler,
        cache: &mut Cache,
        out: &mut Pieces,
    ) -> bool {
        self.sample(text, sampler, cache, out);
        true
    }

    /// As SentencePiece's Decode. With `skip_special`, unknown pieces vanish too; control pieces
    /// are invisible in any case.
    fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let pieces = ids.iter().filter_map(|&id| {
            let piece = self.model.pieces.get(id as usize)?;
            let skipped = skip_special && piece.kind == PieceKind::Unknown;
            (!skipped).then_some((&*piece.text, id))
        });
        self.decode_named(pieces)
    }

    fn join(&self, tokens: &[&str]) -> String {
        self.decode_pieces(tokens.iter().copied())
    }

    fn token(&self, id: u32) -> Option<&str> {
        self.model.pieces.get(id as usize).map(|piece| &*piece.text)
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.model.id(token)
    }

    fn vocab_size(&self) -> usize {
        self.model.pieces.len()
    }
}
