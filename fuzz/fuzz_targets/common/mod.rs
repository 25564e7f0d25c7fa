//! What must hold for a tokenizer from any file that was accepted.

use albert_tokenizer::{AlbertTokenizer, EncodeOptions, LoadOptions, Mode, Truncation};

/// Texts that reach the corners of every mode.
const TEXTS: [&str; 8] = [
    "",
    " \t\u{3000} ",
    "The capital of France is [MASK]. (\"3.14\", 2,000,)",
    "``quoted''  \r\n\u{0}\u{7f}\u{ad}ﬁn½ ÉÀ e\u{301}\u{327} \u{200d}\u{fe0f}",
    "[CLS] <pad>▁ ▁▁a [SEP]<unk>",
    "中文字符 한국어 ไทย עברית हिन्दी 👩‍👩‍👧‍👦",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "x",
];

/// Loads `bytes` as the file `name` in each mode: no panic, whatever it holds; and of what is accepted, the fast way
/// equals the full one and offsets are places in the text.
pub fn check(name: &str, bytes: &[u8], modes: &[Mode]) {
    let folder = std::env::temp_dir().join(format!("albert-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the input");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("the input as a file");
    let own = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(96)..]).into_owned();
    for &mode in modes {
        let Ok(tokenizer) = AlbertTokenizer::from_pretrained(&path, LoadOptions::mode(mode)) else { continue };
        let options = EncodeOptions { add_special_tokens: false, ..EncodeOptions::default() };
        let cut = EncodeOptions { truncation: Truncation::to(5), ..EncodeOptions::default() };
        for text in TEXTS.into_iter().chain([own.as_str()]) {
            let mut ids = Vec::new();
            tokenizer.encode_ids(text, false, &mut ids);
            let Ok(encoding) = tokenizer.encode(text, &options) else { continue };
            assert_eq!(encoding.ids, ids, "{mode:?} {text:?}");
            for &(start, end) in &encoding.offsets {
                assert!(text.get(start..end).is_some(), "{mode:?} {text:?}: offsets {start} {end}");
            }
            assert_eq!(encoding.tokens().len(), ids.len());
            tokenizer.decode(&ids, false);
            tokenizer.decode(&ids, true);
            // Too short for its special tokens, or shortened.
            if let Ok(short) = tokenizer.encode(text, &cut) {
                assert!(short.ids.len() <= 5, "{mode:?} {text:?}: {} tokens", short.ids.len());
            }
        }
    }
}
