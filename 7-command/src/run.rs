//! `portcullis run`, and the process that it starts.

use std::process::ExitCode;

use portcullis_config::{Config, Host};
use portcullis_gateway::{ProcessOptions, RunOptions, gateway_process, supervise};

use crate::cli::{GatewayProcessArgs, RunArgs};
use crate::error::Error;
use crate::{host, log, socket};

/// Reads the configuration, and runs the gateway until it is told to stop.
pub(crate) fn run(args: RunArgs) -> Result<ExitCode, Error> {
    log::start(args.log_level.as_deref())?;
    let config = Config::load(&args.config, &Host { name: &host::name() })?;
    let socket = args.socket.unwrap_or_else(|| socket::of_gateway(&config.gateway().name));
    // Shown to people who may be somewhere else.
    let file = std::path::absolute(&args.config).unwrap_or(args.config);
    let options = RunOptions { config: file, socket, log_level: args.log_level };
    Ok(supervise(&config, &options))
}

/// The gateway process; its log goes where the supervisor's goes.
pub(crate) fn gateway(args: GatewayProcessArgs) -> Result<ExitCode, Error> {
    log::start(args.log_level.as_deref())?;
    let GatewayProcessArgs { status, socket, file, .. } = args;
    Ok(gateway_process(&ProcessOptions { status, socket, file }))
}
