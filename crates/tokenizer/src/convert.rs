//! From `spiece.model`, and from one reference's `tokenizer.json` to another's behaviour: what
//! `hf-fast` and `hf5` make of files that do not state their whole pipeline.

use crate::{
    Error, SpieceModel,
    charsmap::Charsmap,
    error::shown,
    json::{
        AddedToken as JsonToken, Decoder, Model, Normalizer, Pattern, PreTokenizer, PrependScheme,
        Spec, Template, UnigramSpec,
    },
    token::AddedToken,
    unigram::PieceKind,
};

/// The mark of a word's beginning.
const MARK: char = '\u{2581}';

/// What `tokenizer_config.json` decides.
pub(crate) struct ClassOptions<'a> {
    pub do_lower_case: bool,
    pub keep_accents: bool,
    /// Put the mark before a text (`hf5` alone; the converter always does).
    pub add_prefix_space: bool,
    /// Special tokens in transformers' order: bos, eos, unk, sep, pad, cls, mask, others.
    pub specials: Vec<&'a AddedToken>,
    /// Content of the token at the beginning of an input.
    pub cls: &'a str,
    /// Content of the token after each sequence.
    pub sep: &'a str,
}

/// A `spiece.model` as transformers 4.26's converter made the published `tokenizer.json`: scores
/// of pieces that end in a digit and a comma lowered by 100, runs of spaces collapsed, and the
/// special tokens alone added. (Later converters also add the user-defined symbols, after which
/// the following text then gets a `▁`; the published files do not.)
pub(crate) fn hf_fast(model: &SpieceModel, options: &ClassOptions) -> Result<Spec, Error> {
    let score = |text: &str, score: f64| {
        let mut end = text.chars().rev();
        match (end.next(), end.next()) {
            (Some(','), Some(digit)) if is_digit(digit) => score - 100.0,
            _ => score,
        }
    };
    let mut spec = base(model, score, options)?;
    spec.normalizer.push(Normalizer::Replace {
        pattern: Pattern::Spaces,
        content: " ".to_owned(),
    });
    spec.pre_tokenizer = vec![metaspace(PrependScheme::Always)];
    spec.decoder = Some(vec![decoder(PrependScheme::Always)]);
    add_all(&mut spec, options.specials.iter().copied());
    spec.added_tokens.sort_by_key(|token| token.id);
    finish(spec, options)
}

/// A `spiece.model` as transformers 5's class `AlbertTokenizer` loads it: raw scores, control
/// pieces as special tokens, user-defined pieces as ordinary added tokens.
pub(crate) fn hf5_from_spiece(model: &SpieceModel, options: &ClassOptions) -> Result<Spec, Error> {
    let mut spec = base(model, |_, score| score, options)?;
    let extra: Vec<AddedToken> = model
        .pieces
        .iter()
        .filter(|piece| !piece.text.is_empty())
        .filter_map(|piece| {
            let special = match piece.kind {
                PieceKind::Control => true,
                PieceKind::UserDefined => false,
                _ => return None,
            };
            Some(AddedToken {
                normalized: false,
                ..AddedToken::new(&*piece.text, special)
            })
        })
        .collect();
    // The class adds those of the model first, so a mask token of the configuration that takes
    // the space before it comes too late: the reference loses that flag, and so does this.
    add_all(
        &mut spec,
        extra.iter().chain(options.specials.iter().copied()),
    );
    spec.added_tokens.sort_by_key(|token| token.id);
    class_pipeline(&mut spec, options);
    finish(spec, options)
}

/// A `tokenizer.json` as transformers 5's class loads it: vocabulary, charsmap, added tokens,
/// template, truncation and padding are the file's, everything else is the class's own.
pub(crate) fn hf5_from_json(file: &Spec, options: &ClassOptions) -> Result<Spec, Error> {
    let Model::Unigram(model) = &file.model else {
        return Err(refuse(
            "model",
            "mode hf5 is transformers' AlbertTokenizer, which needs a Unigram; a WordPiece \
             tokenizer.json runs in mode hf-fast",
        ));
    };
    if model.vocab.len() < 2 {
        return Err(refuse(
            "model.vocab",
            "mode hf5 takes piece 1 for unknown text",
        ));
    }
    let charsmap = file.normalizer.iter().find_map(|step| match step {
        Normalizer::Precompiled(map) => Some(map.clone()),
        _ => None,
    });
    let mut spec = Spec {
        normalizer: normalizer(options, charsmap),
        model: Model::Unigram(UnigramSpec {
            unk_id: 1,
            byte_fallback: false,
            vocab: model.vocab.clone(),
        }),
        ..file.clone()
    };
    add_all(&mut spec, options.specials.iter().copied());
    class_pipeline(&mut spec, options);
    if spec.template.is_none() {
        return finish(spec, options);
    }
    Ok(spec)
}

/// What conversions of a `spiece.model` share; without added tokens.
fn base(
    model: &SpieceModel,
    score: impl Fn(&str, f64) -> f64,
    options: &ClassOptions,
) -> Result<Spec, Error> {
    let charsmap = match model.charsmap.is_empty() {
        true => None,
        false => Some(Box::new(Charsmap::parse(&model.charsmap)?)),
    };
    let pieces = model.pieces.iter();
    let vocab = pieces.map(|p| (p.text.to_string(), score(&p.text, p.score)));
    Ok(Spec {
        truncation: None,
        padding: None,
        added_tokens: Vec::new(),
        normalizer: normalizer(options, charsmap),
        pre_tokenizer: Vec::new(),
        model: Model::Unigram(UnigramSpec {
            unk_id: model.unk_id,
            vocab: vocab.collect(),
            byte_fallback: false,
        }),
        template: None,
        decoder: None,
    })
}

fn normalizer(options: &ClassOptions, charsmap: Option<Box<Charsmap>>) -> Vec<Normalizer> {
    let quote = |pattern: &str| Normalizer::Replace {
        pattern: Pattern::Text(pattern.to_owned()),
        content: "\"".to_owned(),
    };
    let mut steps = vec![quote("``"), quote("''")];
    if !options.keep_accents {
        steps.extend([Normalizer::Nfkd, Normalizer::StripAccents]);
    }
    if options.do_lower_case {
        steps.push(Normalizer::Lowercase);
    }
    steps.extend(charsmap.map(Normalizer::Precompiled));
    steps
}

/// Pre-tokeniser and decoder of transformers 5's class.
fn class_pipeline(spec: &mut Spec, options: &ClassOptions) {
    let prepend = match options.add_prefix_space {
        true => PrependScheme::Always,
        false => PrependScheme::Never,
    };
    spec.pre_tokenizer = vec![PreTokenizer::WhitespaceSplit, metaspace(prepend)];
    spec.decoder = Some(vec![decoder(prepend)]);
}

fn metaspace(prepend: PrependScheme) -> PreTokenizer {
    PreTokenizer::Metaspace {
        replacement: MARK,
        prepend,
        split: true,
    }
}

fn decoder(prepend: PrependScheme) -> Decoder {
    Decoder::Metaspace {
        replacement: MARK,
        prepend,
        split: true,
    }
}

/// Adds tokens that are not there, with the number that the library gives them.
fn add_all<'a>(spec: &mut Spec, tokens: impl Iterator<Item = &'a AddedToken>) {
    for token in tokens {
        if spec.added_tokens.iter().any(|t| t.content == token.content) {
            continue;
        }
        let id = id_of(spec, &token.content).unwrap_or_else(|| {
            let beyond = spec.added_tokens.iter().map(|t| t.id as usize + 1);
            beyond.fold(vocab_len(spec), usize::max) as u32
        });
        spec.added_tokens.push(JsonToken {
            id,
            content: token.content.clone(),
            single_word: token.single_word,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            normalized: token.normalized,
            special: token.special,
        });
    }
}

fn vocab_len(spec: &Spec) -> usize {
    match &spec.model {
        Model::Unigram(model) => model.vocab.len(),
        Model::WordPiece(model) => model.vocab.len(),
    }
}

/// The number of a token: an added one's, else the last entry of the vocabulary with this text.
fn id_of(spec: &Spec, content: &str) -> Option<u32> {
    let added = spec.added_tokens.iter().find(|t| t.content == content);
    let in_vocab = || match &spec.model {
        Model::Unigram(model) => {
            let place = model.vocab.iter().rposition(|(piece, _)| piece == content);
            place.map(|place| place as u32)
        }
        Model::WordPiece(model) => {
            let entry = model.vocab.iter().find(|(token, _)| token == content);
            entry.map(|(_, id)| *id)
        }
    };
    added.map(|t| t.id).or_else(in_vocab)
}

/// Puts BERT's template around it.
fn finish(mut spec: Spec, options: &ClassOptions) -> Result<Spec, Error> {
    let id = |content: &str| {
        id_of(&spec, content).ok_or_else(|| {
            let text = format!(
                "the special token {} is neither in the vocabulary nor an added token",
                shown(content)
            );
            refuse("post_processor", &text)
        })
    };
    let (cls, sep) = (id(options.cls)?, id(options.sep)?);
    spec.template = Some(Template::bert((options.cls, cls), (options.sep, sep)));
    Ok(spec)
}

/// Is this what Python's `str.isdigit` accepts? Decimal digits of every script, superscripts and
/// the like: what has a digit value. Fractions and number letters do not.
fn is_digit(c: char) -> bool {
    use unicode_categories::UnicodeCategories;
    c.is_ascii_digit()
        || c.is_number_decimal_digit()
        || matches!(c, '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{1369}'..='\u{1371}' | '\u{19da}'
            | '\u{2070}' | '\u{2074}'..='\u{2079}' | '\u{2080}'..='\u{2089}'
            | '\u{2460}'..='\u{2468}' | '\u{2474}'..='\u{247c}' | '\u{2488}'..='\u{2490}'
            | '\u{24ea}' | '\u{24f5}'..='\u{24fd}' | '\u{24ff}' | '\u{2776}'..='\u{277e}'
            | '\u{2780}'..='\u{2788}' | '\u{278a}'..='\u{2792}')
}

fn refuse(place: &str, problem: &str) -> Error {
    Error::TokenizerJson {
        place: place.to_owned(),
        problem: problem.to_owned(),
    }
}
