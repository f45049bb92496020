//! `portcullis run`.

use portcullis_config::{Config, Host};

use crate::cli::RunArgs;
use crate::error::Error;
use crate::gateway::{self, Options};
use crate::{host, log, socket};

/// Reads the configuration, and runs the gateway until it is told to stop.
pub(crate) fn run(args: RunArgs) -> Result<(), Error> {
    log::start(args.log_level.as_deref())?;
    let config = Config::load(&args.config, &Host { name: &host::name() })?;
    let socket = args.socket.unwrap_or_else(|| socket::of_gateway(&config.gateway().name));
    Ok(gateway::run(&config, &Options { file: args.config, socket })?)
}
