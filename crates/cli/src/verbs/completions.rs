//! `albert completions`: what a shell needs to complete verbs and flags.

use std::io::Write;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

/// Print a script with which a shell completes verbs and flags
#[derive(clap::Args)]
#[command(
    before_help = "\
Examples:
  albert completions bash
  albert completions zsh
  albert completions fish",
    after_help = "\
Bash: albert completions bash > ~/.local/share/bash-completion/completions/albert
Zsh:  albert completions zsh > _albert, in a folder of $fpath
Fish: albert completions fish > ~/.config/fish/completions/albert.fish"
)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<()> {
        let mut script = Vec::new();
        let mut command = crate::Arguments::command();
        clap_complete::generate(self.shell, &mut command, "albert", &mut script);
        Ok(std::io::stdout().write_all(&script)?)
    }
}
