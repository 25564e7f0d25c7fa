//! `albert man`: the manual, from the same definitions as `--help`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};

use crate::stream::{Target, usage};

/// Print a page of the manual, or write all of them
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  albert man
  albert man embed
  albert man --dir man")]
pub(crate) struct Man {
    /// The verb [default: the program itself]
    #[arg(conflicts_with = "dir")]
    verb: Option<String>,
    /// Write every page to this folder: albert.1, albert-embed.1, …
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

fn page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}

/// Its name with that of the program: albert-embed.
fn name(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

impl Man {
    pub(crate) fn run(self) -> Result<()> {
        let mut program = crate::Arguments::command().disable_help_subcommand(true);
        // Gives the verbs their full names.
        program.build();
        let verbs: Vec<&Command> = program.get_subcommands().collect();
        if let Some(folder) = self.dir {
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
            for command in std::iter::once(&program).chain(verbs) {
                let path = folder.join(format!("{}.1", name(command)));
                let mut file = Target::open(Some(&path))?;
                file.write_all(&page(command)?)?;
                file.finish()?;
            }
            return Ok(());
        }
        let command = match &self.verb {
            None => &program,
            Some(verb) => {
                let known = verbs.iter().find(|command| command.get_name() == verb);
                known.copied().ok_or_else(|| {
                    let names: Vec<&str> = verbs.iter().map(|verb| verb.get_name()).collect();
                    usage(format!(
                        "no verb {verb:?}: the verbs are {}",
                        names.join(", ")
                    ))
                })?
            }
        };
        Ok(std::io::stdout().write_all(&page(command)?)?)
    }
}
