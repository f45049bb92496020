//! The `portcullis` command: checks configurations, runs the gateway, changes the configuration of a
//! running one, and asks it how things are.
//!
//! Exit codes: 0, all is well; 1, it is not, and stderr says why; 2, the command was not understood.

#![forbid(unsafe_code)]

mod change;
mod check;
mod cli;
mod error;
mod flush;
mod host;
mod log;
mod output;
mod run;
mod show;
mod socket;
mod table;
mod text;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use error::Error;
use output::Paint;
use portcullis_os::process::HugeAlloc;

/// Large tables and buffer pools in huge pages.
#[global_allocator]
static GLOBAL: HugeAlloc = HugeAlloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            error.print(Paint::of_stderr());
            error.exit_code()
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Check(args) => check::check(&args.file)?,
        Command::Run(args) => return run::run(args),
        Command::GatewayProcess(args) => return run::gateway(args),
        Command::Apply(args) => change::apply(&args)?,
        Command::Diff(args) => change::diff(&args)?,
        Command::Show(args) => show::show(&args)?,
        Command::Flush(args) => flush::flush(&args)?,
        Command::Schema => print(&format!("{:#}\n", portcullis_config::schema()))?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
            output::stdout().write_all(&script)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> Result<(), Error> {
    Ok(output::stdout().write_all(text.as_bytes())?)
}
