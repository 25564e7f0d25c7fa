//! The program `albert`: reads flags, calls the library, prints. Data go to stdout, everything else to stderr.

mod arrays;
mod demo;
mod device;
mod hub;
mod labelled;
mod lines;
mod ranks;
mod stream;
mod text;
mod training;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use stream::say;

/// Fills masks, labels, tags, answers and embeds texts with ALBERT models; a small demo model is inside.
#[derive(Parser)]
#[command(
    name = "albert",
    version,
    arg_required_else_help = true,
    before_help = "\
Examples:
  albert fill-mask \"The capital of France is [MASK].\"
  albert embed \"A sentence.\" \"Another one.\" --model DIR --pooling mean
  albert inspect DIR",
    after_help = "\
Exit codes: 0 done, 1 failed (or some inputs failed), 2 wrong use of a flag, 130 training stopped by Ctrl-C."
)]
struct Arguments {
    #[command(subcommand)]
    verb: verbs::Verb,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.verb.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // A mistake in the flags that clap could not see.
            if let Some(mistake) = error.downcast_ref::<clap::Error>() {
                let _ = mistake.print();
                return ExitCode::from(2);
            }
            if let Some(ranks::Told(code)) = error.downcast_ref() {
                return ExitCode::from(*code);
            }
            if error.chain().any(|cause| cause.is::<verbs::Interrupted>()) {
                say(&error);
                return ExitCode::from(130);
            }
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether the reader of our output went away, as `albert … | head` does: no failure of ours.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
