//! The gateway process, as its parent sees it.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use portcullis_config::Config;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tracing::warn;

use super::RunOptions;
use crate::status::Status;

/// A gateway process. It does not outlive this.
pub(super) struct GatewayProcess {
    child: Child,
    status: pipe::Receiver,
}

impl GatewayProcess {
    /// Starts the gateway process: the same program, told so by its first argument. It gets the file's
    /// content by its standard input, so that it runs what was checked, and reports on its
    /// standard output.
    pub(super) fn start(config: &Config, options: &RunOptions) -> io::Result<Self> {
        let (status, report) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let status = pipe::Receiver::from_owned_fd(status)?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(crate::GATEWAY_COMMAND)
            .args(["--status", "/proc/self/fd/1"])
            .arg("--socket")
            .arg(&options.socket)
            .arg("--file")
            .arg(&options.config)
            .args(options.log_level.iter().flat_map(|level| ["--log-level", level]))
            // systemd hears from the supervisor alone.
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::piped())
            .stdout(report)
            // Ctrl-C is for the supervisor.
            .process_group(0);
        let mut child = command.spawn()?;
        let written = match child.stdin.take() {
            Some(mut stdin) => stdin.write_all(config.to_toml().as_bytes()),
            None => Ok(()),
        };
        if let Err(error) = written {
            // It ended, and says why.
            warn!("the gateway process did not take its configuration: {error}");
        }
        Ok(Self { child, status })
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends it a signal. That it has ended by now is no matter.
    pub(super) fn signal(&self, signal: Signal) {
        let _gone_already = kill_process(Pid::from_child(&self.child), signal);
    }

    /// What it has to say next; pends for ever once it has no more.
    pub(super) async fn status(&mut self) -> Status {
        loop {
            match self.status.read_u8().await {
                Ok(byte) => {
                    if let Some(status) = Status::of(byte) {
                        return status;
                    }
                }
                Err(_closed) => std::future::pending().await,
            }
        }
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        if !matches!(self.ended(), Ok(Some(_))) {
            let _gone_already = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}
