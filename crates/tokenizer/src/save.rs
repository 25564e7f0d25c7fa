//! A tokenizer as the files that transformers and SentencePiece read.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config::PARTS;
use crate::error::Error;
use crate::files::{Source, Vocabulary, read};
use crate::mode::Mode;
use crate::token::AddedToken;
use crate::tokenizer::Inner;

/// Writes all files into `folder`, the configuration last.
pub(crate) fn save(inner: &Inner, folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
    let Source {
        vocabulary, beside, ..
    } = &inner.source;
    for path in beside
        .iter()
        .map(|path| path.as_path())
        .chain([vocabulary.path()])
    {
        match path.extension().and_then(|extension| extension.to_str()) {
            // The one that was loaded need not be a file.
            Some("model") if inner.source.spiece.is_some() => {}
            Some("model") => files.push(("spiece.model", read(path)?)),
            Some("json") => {}
            _ => files.push(("vocab.txt", read(path)?)),
        }
    }
    if let Some(model) = &inner.source.spiece {
        files.push(("spiece.model", model.bytes().to_vec()));
    }
    match (&inner.source.spec, vocabulary) {
        (_, Vocabulary::Json(path)) if !inner.source.changed => {
            files.push(("tokenizer.json", read(path)?));
        }
        (Some(spec), _) => files.push(("tokenizer.json", spec.to_bytes())),
        (None, _) => {}
    }
    let added = added_tokens(inner);
    if !added.is_empty() || folder.join("added_tokens.json").exists() {
        files.push(("added_tokens.json", text(&Value::Object(added))?));
    }
    files.push(("special_tokens_map.json", text(&special_tokens_map(inner))?));
    files.push(("tokenizer_config.json", text(&config(inner))?));
    for (name, bytes) in files {
        write(&folder.join(name), &bytes)?;
    }
    Ok(())
}

fn text(value: &Value) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| Error::Stream {
        action: "write JSON",
        source: error.into(),
    })?;
    text.push(b'\n');
    Ok(text)
}

/// Writes a file under another name and renames it, so that it is there complete or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".albert-").suffix(".tmp");
    // The default is 0600, and rename would keep it: nobody else could read the file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder
        .tempfile_in(folder)
        .map_err(Error::io("create", path))?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    file.as_file()
        .sync_all()
        .map_err(Error::io("write", path))?;
    file.persist(path)
        .map_err(|error| Error::io("replace", path)(error.error))?;
    Ok(())
}

/// Tokens beside the vocabulary, with their numbers.
fn added_tokens(inner: &Inner) -> Map<String, Value> {
    let size = u32::try_from(inner.base_size).unwrap_or(u32::MAX);
    let beyond = inner.added.iter().filter(|(id, _)| *id >= size);
    beyond
        .map(|(id, token)| (token.content.clone(), json!(id)))
        .collect()
}

fn flags(token: &AddedToken, typed: bool) -> Value {
    let mut value = json!({
        "content": token.content,
        "lstrip": token.lstrip,
        "normalized": token.normalized,
        "rstrip": token.rstrip,
        "single_word": token.single_word,
    });
    if typed {
        value["__type"] = json!("AddedToken");
    }
    value
}

/// A token as text, or as an object where the text alone would mean other flags.
fn named(token: &AddedToken, typed: bool) -> Value {
    let plain = AddedToken::new(token.content.as_str(), true);
    if *token == plain {
        json!(token.content)
    } else {
        flags(token, typed)
    }
}

fn special_tokens_map(inner: &Inner) -> Value {
    let special = &inner.special;
    let mut map = Map::new();
    if !special.additional.is_empty() {
        let list = special.additional.iter().map(|token| named(token, false));
        map.insert("additional_special_tokens".into(), list.collect());
    }
    for name in PARTS {
        if let Some(token) = special.part(name) {
            // The class gives a mask as text other flags in each release.
            let value = match name {
                "mask_token" => flags(token, false),
                _ => named(token, false),
            };
            map.insert(name.into(), value);
        }
    }
    Value::Object(map)
}

fn config(inner: &Inner) -> Value {
    let config = &inner.config;
    let mut map = config.raw.clone();
    let wordpiece = inner.source.wordpiece;
    let class = if wordpiece {
        "BertTokenizer"
    } else {
        "AlbertTokenizer"
    };
    map.entry("tokenizer_class").or_insert_with(|| json!(class));
    let mut set = |name: &str, value: Option<bool>, default: bool| {
        map.insert(name.into(), json!(value.unwrap_or(default)));
    };
    set("do_lower_case", config.do_lower_case, true);
    if !wordpiece {
        set("keep_accents", config.keep_accents, false);
        set("remove_space", config.remove_space, true);
    }
    // Releases have different defaults.
    set(
        "clean_up_tokenization_spaces",
        config.clean_up_tokenization_spaces,
        inner.mode == Mode::HfSlow,
    );
    for name in PARTS {
        match inner.special.part(name) {
            Some(token) if name == "mask_token" => {
                map.insert(name.into(), flags(token, true));
            }
            Some(token) => {
                map.insert(name.into(), named(token, true));
            }
            None if map.contains_key(name) => {
                map.insert(name.into(), Value::Null);
            }
            None => {}
        }
    }
    if let Some(Value::Object(decoder)) = map.get_mut("added_tokens_decoder") {
        for (id, token) in &inner.added {
            let mut value = flags(token, false);
            value["special"] = json!(token.special);
            decoder.insert(id.to_string(), value);
        }
    }
    Value::Object(map)
}
