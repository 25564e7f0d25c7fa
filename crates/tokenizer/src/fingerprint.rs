//! One number for all that decides which ids a text gets.

use crate::AlbertTokenizer;

/// FNV-1a of 64 bits.
struct Hash(u64);

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in (bytes.len() as u64).to_le_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl AlbertTokenizer {
    /// A number that differs, but for chance, between tokenizers that give some text other ids: of the mode, the
    /// vocabulary, the model, the normaliser, the settings and the added tokens. It does not depend on where the files are,
    /// and says nothing of padding, truncation and decoding.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let inner = self.inner();
        let mut hash = Hash(0xcbf2_9ce4_8422_2325);
        hash.bytes(inner.mode.name().as_bytes());
        for id in 0..u32::try_from(self.vocab_size()).unwrap_or(u32::MAX) {
            hash.bytes(self.id_to_token(id).unwrap_or_default().as_bytes());
        }
        match (&inner.source.spec, &inner.source.spiece) {
            (Some(spec), _) => hash.bytes(&spec.to_bytes()),
            (None, Some(model)) => hash.bytes(model.bytes()),
            (None, None) => {}
        }
        let config = &inner.config;
        for (flag, default) in [
            (config.do_lower_case, true),
            (config.keep_accents, false),
            (config.remove_space, true),
        ] {
            hash.bytes(&[u8::from(flag.unwrap_or(default))]);
        }
        for (id, token) in &inner.added {
            hash.bytes(&id.to_le_bytes());
            hash.bytes(token.content.as_bytes());
            let flags = [
                token.single_word,
                token.lstrip,
                token.rstrip,
                token.normalized,
                token.special,
            ];
            hash.bytes(&flags.map(u8::from));
        }
        for token in inner.special.all() {
            hash.bytes(token.content.as_bytes());
        }
        hash.0
    }
}

#[cfg(test)]
mod tests {
    use crate::{AlbertTokenizer, LoadOptions, Mode};

    #[test]
    fn equal_for_equal_tokenizers_alone() {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/");
        let of = |name: &str, options: LoadOptions| {
            let tokenizer = AlbertTokenizer::from_pretrained(format!("{fixtures}{name}"), options);
            tokenizer.expect("a tokenizer").fingerprint()
        };
        let google = LoadOptions::mode(Mode::Google);
        let cased = LoadOptions {
            do_lower_case: Some(false),
            ..google
        };
        let all = [
            of("tokenizer/albert.model", google),
            of("tokenizer/albert.model", cased),
            of("tokenizer/albert.model", LoadOptions::mode(Mode::HfSlow)),
            of("tokenizer/albert.model", LoadOptions::default()),
            of("demo", LoadOptions::default()),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(!all[..i].contains(a), "{i}: {all:x?}");
        }
        assert_eq!(of("tokenizer/albert.model", google), all[0]);
        // The same tokenizer in another folder.
        let folder = tempfile::tempdir().expect("a folder");
        let demo =
            AlbertTokenizer::from_pretrained(format!("{fixtures}demo"), LoadOptions::default());
        let demo = demo.expect("a tokenizer");
        demo.save_pretrained(folder.path()).expect("saved");
        let again = AlbertTokenizer::from_pretrained(folder.path(), LoadOptions::default());
        assert_eq!(
            again.expect("a tokenizer").fingerprint(),
            demo.fingerprint()
        );
    }
}
