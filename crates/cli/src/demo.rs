//! The models inside the program, so that it does something on a machine without any: see assets/README.md.

use albert::{Albert, Cpu, Head};
use albert_tokenizer::LoadOptions;
use anyhow::Result;

use crate::verbs::Opened;

/// What a verb runs without `--model`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demo {
    /// The pre-trained model: masked words, sentence order, vectors.
    Language,
    /// The classifier of sentiment.
    Sentiment,
    /// Nothing: there is no demo for the task, which this names.
    None(&'static str),
}

#[cfg(not(feature = "demo"))]
pub(crate) fn open<H: Head<Cpu>>(_: Demo, _: Cpu, _: LoadOptions) -> Result<Opened<H>> {
    anyhow::bail!(
        "no model: give --model DIR, a folder with config.json, weights and the tokenizer's files (this program was built without its demo model)"
    );
}

/// The model of a demo.
#[cfg(feature = "demo")]
pub(crate) fn open<H: Head<Cpu>>(
    demo: Demo,
    device: Cpu,
    options: LoadOptions,
) -> Result<Opened<H>> {
    use std::path::Path;

    use albert::AlbertConfig;
    use albert_formats::Checkpoint;
    use albert_tokenizer::{AlbertTokenizer, SpieceModel};

    const SPIECE: &[u8] = include_bytes!("../assets/demo/spiece.model");
    const LANGUAGE: (&str, &[u8]) = (
        include_str!("../assets/demo/config.json"),
        include_bytes!("../assets/demo/model.safetensors"),
    );
    const SENTIMENT: (&str, &[u8]) = (
        include_str!("../assets/sentiment/config.json"),
        include_bytes!("../assets/sentiment/model.safetensors"),
    );
    let name = "the demo model";
    let language = || Checkpoint::from_bytes(name, LANGUAGE.1);
    let (json, checkpoint) = match demo {
        Demo::Language => (LANGUAGE.0, language()?),
        // Its word table is that of the language model.
        Demo::Sentiment => {
            let own = Checkpoint::from_bytes(name, SENTIMENT.1)?;
            (SENTIMENT.0, own.over(language()?))
        }
        Demo::None(task) => anyhow::bail!(
            "no model: give --model DIR, a folder of a model that was trained for {task}; the demo inside the program is not"
        ),
    };
    let (config, _) = AlbertConfig::from_json(json, None).map_err(albert::Error::from)?;
    let (model, _) = Albert::from_checkpoint(
        config,
        &checkpoint,
        Path::new(name),
        device,
        albert::LoadOptions::default(),
    )?;
    // As assets/demo/tokenizer_config.json says.
    let options = LoadOptions {
        clean_up_tokenization_spaces: Some(true),
        ..options
    };
    let tokenizer = AlbertTokenizer::from_spiece(SpieceModel::parse(SPIECE)?, options)?;
    Ok(Opened { model, tokenizer })
}
