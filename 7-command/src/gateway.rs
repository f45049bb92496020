//! The gateway itself.

use std::path::PathBuf;

use portcullis_config::Config;

/// How to run the gateway, beside what the file says.
#[derive(Debug)]
pub(crate) struct Options {
    /// The file that the configuration was read from.
    pub(crate) file: PathBuf,
    /// Where the control socket goes.
    pub(crate) socket: PathBuf,
}

/// Why the gateway does not run, or no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    /// This version can't.
    #[error("{}: running a gateway is not built yet", file.display())]
    NotBuilt { file: PathBuf },
}

/// Runs a gateway until it is told to stop.
pub(crate) fn run(config: &Config, options: &Options) -> Result<(), GatewayError> {
    let (gateway, socket) = (&config.gateway().name, options.socket.display());
    tracing::debug!(%gateway, %socket, "the configuration is good");
    Err(GatewayError::NotBuilt { file: options.file.clone() })
}
