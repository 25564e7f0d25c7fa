//! config.json from anyone: no panic, and what we accept survives being written and read again.
#![no_main]

use albert::AlbertConfig;
use albert::config::ConfigDialect;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for dialect in [None, Some(ConfigDialect::HuggingFace), Some(ConfigDialect::Google)] {
        let Ok((config, _)) = AlbertConfig::from_json(text, dialect) else { continue };
        config.validate().expect("from_json validates");
        if let Ok(json) = config.to_json(ConfigDialect::HuggingFace) {
            let (mut again, _) = AlbertConfig::from_json(&json, Some(ConfigDialect::HuggingFace)).expect("our own JSON");
            let mut config = config;
            // `extra` also keeps a file's spelling of known keys; the meaning is in the fields.
            config.extra.clear();
            again.extra.clear();
            assert_eq!(config, again);
        }
    }
});
