//! What the fast way may do with each byte of a text, for one model.

use crate::{
    normalizer::{Normalizer, SPACE},
    unigram::{PieceKind, Unigram},
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Class {
    /// Part of longer pieces; the normaliser copies it before ASCII.
    Inner,
    /// The normaliser copies it before ASCII, and no piece crosses it.
    Cut,
    /// A space that the normaliser copies before ASCII.
    Space,
    /// The normaliser has to look.
    Other,
}

/// What each byte may do.
pub(super) struct Bytes {
    pub(super) class: [Class; 256],
    /// For ASCII bytes that no longer piece holds: their piece and its score.
    pub(super) single: [(u32, f32); 128],
    /// One bit for each character of the basic plane that longer pieces hold.
    inner: Vec<u64>,
    /// Do longer pieces hold characters beyond the basic plane?
    inner_beyond: bool,
}

impl Bytes {
    /// The table, or `None` if words of this model cannot be looked at one by one.
    pub(super) fn new(
        model: &Unigram,
        normalizer: &Normalizer,
        byte_fallback: bool,
    ) -> Option<Self> {
        let usual = normalizer.add_dummy_prefix
            && normalizer.remove_extra_whitespaces
            && normalizer.escape_whitespaces
            && !normalizer.treat_whitespace_as_suffix;
        if !usual || byte_fallback || normalizer.charsmap.has_inside(b' ') {
            return None;
        }
        model.id(SPACE)?;
        let mut table = Self {
            class: [Class::Other; 256],
            single: [(0, 0.0); 128],
            inner: vec![0; 1024],
            inner_beyond: false,
        };
        for piece in &model.pieces {
            let text = &*piece.text;
            if !matches!(piece.kind, PieceKind::Normal | PieceKind::UserDefined) {
                continue;
            }
            if text.chars().nth(1).is_none() {
                continue;
            }
            // Longer symbols may hold what the normaliser would change; pieces that hold `▁`
            // inside or spaces cross words.
            if piece.kind == PieceKind::UserDefined
                || text.contains(' ')
                || text
                    .char_indices()
                    .any(|(at, c)| at > 0 && SPACE.starts_with(c))
            {
                return None;
            }
            for character in text.chars() {
                table.set_inner(character);
            }
        }
        let unk = (model.unk_id?, model.unk_score as f32);
        for byte in 0..128_u8 {
            let character = char::from(byte);
            let text = character.to_string();
            table.single[usize::from(byte)] = model
                .trie()
                .get(text.as_bytes())
                .map_or(unk, |id| (id, model.score_f32(id)));
            table.class[usize::from(byte)] = if !normalizer.charsmap.is_plain(byte) {
                Class::Other
            } else if byte == b' ' {
                Class::Space
            } else if table.is_inner(character) {
                Class::Inner
            } else {
                Class::Cut
            };
        }
        (table.class[usize::from(b' ')] == Class::Space).then_some(table)
    }

    /// Does the text end here, or go on with a byte that the normaliser copies before ASCII?
    #[inline]
    pub(super) fn copied(&self, text: &[u8], at: usize) -> bool {
        match text.get(at) {
            None => true,
            Some(&byte) => self.class[usize::from(byte)] != Class::Other,
        }
    }

    fn set_inner(&mut self, character: char) {
        let code = character as usize;
        match self.inner.get_mut(code / 64) {
            Some(word) => *word |= 1 << (code % 64),
            None => self.inner_beyond = true,
        }
    }

    pub(super) fn is_inner(&self, character: char) -> bool {
        let code = character as usize;
        match self.inner.get(code / 64) {
            Some(word) => word >> (code % 64) & 1 != 0,
            None => self.inner_beyond,
        }
    }
}
