//! `albert convert`: a model's folder in another program's format, checked bit for bit.

use std::io::Write;
use std::path::{Path, PathBuf};

use albert::config::ModelClass;
use albert::convert::{ConvertOptions, Converted, Target, convert_into, home_of};
use albert::quantize::Draft;
use albert::{MlmBias, Precision};
use anyhow::Result;

use crate::device::DeviceFlags;
use crate::hub;
use crate::stream::{Voice, interrupt, short};

/// Write a model's folder in the format and under the names of another program
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert convert DIR tensorflow --to h5
  albert convert DIR google --to tf1 --tensors
  albert convert DIR pytorch --to torch --json",
    after_help = "\
SOURCE is read in any of these formats and under any of these names. Tokenizer and other files are copied. What was
written is read back: every tensor, and the model's outputs on a sample, must be equal to the source's bit for bit."
)]
pub(crate) struct Convert {
    /// Model folder, a checkpoint in one (DIR/model.ckpt-1000), or ORG/NAME of the Hugging Face Hub
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Folder to write: new or empty; it appears when it is complete
    #[arg(value_name = "DESTINATION")]
    destination: PathBuf,
    /// What to write: safetensors, torch (pytorch_model.bin), tf1 (model.ckpt-best), h5 (tf_model.h5), flax
    /// (flax_model.msgpack)
    #[arg(long, value_name = "FORMAT", value_parser = Named::<Target>::parser(), required = true)]
    to: Target,
    /// Class of the model [default: the first of the configuration's architectures, else as the heads say]
    #[arg(long, value_name = "NAME", value_parser = Named::<ModelClass>::parser())]
    class: Option<ModelClass>,
    /// Configuration, where it does not lie beside the weights
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which of two different biases of the masked language model to write where FORMAT has one: decoder, which
    /// transformers adds, or google
    #[arg(long, value_enum, value_name = "WHICH")]
    mlm_bias: Option<Bias>,
    /// Leave out tensors that no ALBERT has
    #[arg(long)]
    ignore_unknown: bool,
    /// List every tensor with its old and its new name
    #[arg(long)]
    tensors: bool,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceFlags,
    #[command(flatten)]
    voice: Voice,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Bias {
    /// predictions.decoder.bias
    Decoder,
    /// predictions.bias, Google's output_bias
    Google,
}

/// A value by its name in a table of the library.
struct Named<T>(std::marker::PhantomData<T>);

impl Named<Target> {
    fn parser() -> impl clap::builder::TypedValueParser<Value = Target> {
        use clap::builder::TypedValueParser as _;
        let names = Target::ALL.map(Target::name);
        clap::builder::PossibleValuesParser::new(names).map(|name| {
            let named = |target: &Target| target.name() == name;
            Target::ALL
                .into_iter()
                .find(named)
                .unwrap_or(Target::Safetensors)
        })
    }
}

impl Named<ModelClass> {
    fn parser() -> impl clap::builder::TypedValueParser<Value = ModelClass> {
        use clap::builder::TypedValueParser as _;
        clap::builder::PossibleValuesParser::new(super::forward::CLASSES)
            .map(|name| ModelClass::from_name(&name).unwrap_or(ModelClass::Model))
    }
}

impl Convert {
    pub(crate) fn run(mut self) -> Result<()> {
        // The prefix of a checkpoint is no file, but its folder is there.
        let prefix = |path: &Path| path.parent().is_some_and(Path::is_dir);
        if self.source.exists() || !prefix(&self.source) {
            self.source = hub::folder(&self.source, self.voice)?;
        }
        let options = ConvertOptions {
            to: self.to,
            class: self.class,
            config: self.config.clone(),
            mlm_bias: self.mlm_bias.map(|bias| match bias {
                Bias::Decoder => MlmBias::Decoder,
                Bias::Google => MlmBias::Google,
            }),
            ignore_unknown: self.ignore_unknown,
        };
        let device = self.device.open(Precision::F32)?;
        let home = home_of(&self.source)?;
        let draft = interrupt::create_folder(|| Ok(Draft::apart(&home, &self.destination)?))?;
        let converted = match convert_into(&self.source, draft.path(), &options, &device) {
            Ok(converted) => converted,
            Err(error) => {
                interrupt::finish_folder(draft, drop);
                return Err(error.into());
            }
        };
        interrupt::finish_folder(draft, Draft::publish)?;
        for note in &converted.notes {
            self.voice.note(note);
        }
        self.print(&converted)
    }

    fn print(&self, converted: &Converted) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(converted)?)?;
            return Ok(());
        }
        let Converted {
            class,
            from,
            to,
            tensors,
            repeated,
            ignored,
            unknown,
            left_out,
            check,
            ..
        } = converted;
        writeln!(out, "class      {class}")?;
        writeln!(out, "from       {from}")?;
        writeln!(out, "to         {to}")?;
        writeln!(out, "written    {} tensors", tensors.len())?;
        for (title, names) in [
            ("repeated", repeated),
            ("ignored", ignored),
            ("unknown", unknown),
        ] {
            if !names.is_empty() {
                writeln!(out, "{title:<9}  {}", few(names))?;
            }
        }
        for file in left_out {
            writeln!(out, "left out   {}", short(file))?;
        }
        let outputs: Vec<String> = check
            .outputs
            .iter()
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        writeln!(
            out,
            "checked    {} numbers of tensors, {}: equal bit for bit",
            check.elements,
            outputs.join(", ")
        )?;
        if self.tensors {
            writeln!(out)?;
            for tensor in tensors {
                let from = match &tensor.from[..] {
                    [] => "(the identity)".to_owned(),
                    names => names.join(" · "),
                };
                writeln!(out, "{from} -> {} {:?}", tensor.to, tensor.shape)?;
            }
        }
        Ok(())
    }
}

/// A number of tensors and the first of them.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| short(name)).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}: {}{more}", names.len(), shown.join(", "))
}
