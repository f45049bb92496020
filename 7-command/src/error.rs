//! What can go wrong, and how it is said.

use std::io;
use std::process::ExitCode;

use portcullis_api::ClientError;
use portcullis_config::LoadError;

use crate::log::BadFilter;
use crate::output::Paint;
use crate::socket::NoSocket;

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] LoadError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    NoSocket(#[from] NoSocket),
    #[error(transparent)]
    Log(#[from] BadFilter),
    #[error("which flows? say it by a filter (see --help), or --all")]
    WhichFlows,
    #[error("stdout: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// Whether the reader of stdout has had enough, as `head` has: no reason to complain.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// 2 for what clap would have refused if it knew how, 1 for the rest.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Log(_) | Self::WhichFlows => ExitCode::from(2),
            Self::Config(_) | Self::Client(_) | Self::NoSocket(_) | Self::Output(_) => {
                ExitCode::from(1)
            }
        }
    }

    /// Says it on stderr.
    pub(crate) fn print(&self, paint: Paint) {
        match (self, paint) {
            // It names the file in every line already.
            (Self::Config(LoadError::Invalid(report)), Paint::Ansi) => {
                eprintln!("{}", report.colored());
            }
            (Self::Config(LoadError::Invalid(report)), Paint::Plain) => eprintln!("{report}"),
            // Lines that are one below the other belong at the beginning of lines.
            (Self::Client(ClientError::Refused(reasons)), _) if reasons.contains('\n') => {
                eprintln!("portcullis: the gateway says:\n{reasons}");
            }
            (error, _) => eprintln!("portcullis: {error}"),
        }
    }
}
