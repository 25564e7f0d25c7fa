//! The clean-up of decoded text that transformers calls `clean_up_tokenization_spaces`.

/// Removes the space before punctuation and before English contractions, in transformers' order.
pub(crate) fn clean_up(text: &str) -> String {
    const RULES: [(&str, &str); 10] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    let mut text = text.to_owned();
    for (from, to) in RULES {
        if text.contains(from) {
            text = text.replace(from, to);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_before_punctuation_go() {
        let text = "do n't stop , he 's here . i 'm ! we 've ? they 're ' ok ' .";
        assert_eq!(
            clean_up(text),
            "don't stop, he's here. i'm! we've? they're'ok '."
        );
    }
}
