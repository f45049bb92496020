//! The parent process: it takes up namespaces and devices, starts the gateway process, and gives
//! everything back when that has ended, however it ended. Meanwhile it hands a changed file over when
//! SIGHUP says so. It does nothing else, and it alone keeps the rights to do that: CAP_SYS_ADMIN to
//! enter and remove namespaces, CAP_NET_ADMIN to move devices.

mod child;
mod reload;
mod signals;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::thread::sleep;
use std::time::Duration;

use portcullis_config::Config;
use portcullis_os::privileges::Privileges;
use portcullis_os::process::LockError;
use portcullis_os::threads::{ConfineError, Role, confine_this_thread};
use rustix::process::Signal;
use sd_notify::NotifyState;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use crate::estate::{Estate, EstateError};
use crate::locks::{self, What};
use crate::state::RUN_DIRECTORY;
use crate::status::Status;
use child::GatewayProcess;
use reload::Reloads;
use signals::Signals;

/// How long the gateway process may take to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long after a request to stop another one is the same again: `timeout`, for one, sends two. One
/// that comes later means it.
const SAME_AGAIN: Duration = Duration::from_secs(1);

/// How long a supervisor that was killed or is done may take to end.
const SUPERVISOR_ENDS: Duration = Duration::from_millis(500);

/// How long the gateway process of a supervisor that was killed may take to end.
const LAST_ONE_ENDS: Duration = Duration::from_secs(5);

/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(20);

/// What to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The configuration file, to be shown.
    pub config: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// What the gateway process is to log, if that was said.
    pub log_level: Option<String>,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
enum SupervisorError {
    #[error(
        "missing rights: {missing}. A gateway makes and enters namespaces (CAP_SYS_ADMIN), moves and \
         configures devices (CAP_NET_ADMIN) and opens packet sockets (CAP_NET_RAW): start it as root"
    )]
    Rights { missing: String },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("{0}, left by a run that was killed, and does not end")]
    LastOneLives(LockError),
    #[error(transparent)]
    Estate(#[from] EstateError),
    #[error("rights could not be given up: {0}")]
    Confine(#[from] ConfineError),
    #[error("{what}: {error}")]
    System { what: &'static str, error: io::Error },
    #[error("the gateway process {0}")]
    Ended(String),
    #[error("the supervisor panicked")]
    Panicked,
    #[error("not everything could be given back, as said above; the next start tries again")]
    NotGivenBack,
}

fn system(what: &'static str) -> impl Fn(io::Error) -> SupervisorError {
    move |error| SupervisorError::System { what, error }
}

/// Runs a gateway until it is told to stop, or fails.
#[must_use]
pub fn supervise(config: &Config, options: &RunOptions) -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .map_err(system("the supervisor's event loop"))
        .and_then(|runtime| live(&runtime, config, options));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn live(runtime: &Runtime, config: &Config, options: &RunOptions) -> Result<(), SupervisorError> {
    check_rights()?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(RUN_DIRECTORY)
        .map_err(system("the directory /run/portcullis"))?;
    // From here on a signal waits until it is asked for: nothing is left half done.
    let mut signals = {
        let _context = runtime.enter();
        Signals::new().map_err(system("signal handlers"))?
    };
    let _locks = patiently(SUPERVISOR_ENDS, || locks::take_all(config))?;
    let process = What::Process(config.gateway().name.as_str());
    drop(patiently(LAST_ONE_ENDS, || process.take()).map_err(SupervisorError::LastOneLives)?);
    let estate = Estate::take_up(config)?;
    // Whatever happens to this process, short of being killed, everything goes back.
    let ended =
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(oversee(config, options, &mut signals))));
    let _deaf = sd_notify::notify(&[NotifyState::Stopping]);
    let all_back = estate.give_back();
    clear_socket(&options.socket);
    ended.unwrap_or(Err(SupervisorError::Panicked))?;
    if !all_back {
        return Err(SupervisorError::NotGivenBack);
    }
    info!("stopped; everything was given back");
    Ok(())
}

fn check_rights() -> Result<(), SupervisorError> {
    let have = Privileges::of_this_thread().map_err(|e| system("own rights")(e.into()))?;
    let needed = [
        (Privileges::SYS_ADMIN, "CAP_SYS_ADMIN"),
        (Privileges::NET_ADMIN, "CAP_NET_ADMIN"),
        (Privileges::NET_RAW, "CAP_NET_RAW"),
    ];
    let missing: Vec<_> =
        needed.iter().filter(|(right, _)| !have.contains(*right)).map(|&(_, name)| name).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(SupervisorError::Rights { missing: missing.join(", ") })
    }
}

/// Takes a lock that may be held by somebody who is about to end. A signal waits meanwhile: what a run
/// that was killed left is to go back even then.
fn patiently<T>(
    patience: Duration,
    take: impl Fn() -> Result<T, LockError>,
) -> Result<T, LockError> {
    let deadline = Instant::now() + patience;
    loop {
        match take() {
            Err(LockError::Held { .. }) if Instant::now() < deadline => {}
            taken => return taken,
        }
        sleep(LOOK);
    }
}

/// The gateway process, from its start to its end.
async fn oversee(
    config: &Config,
    options: &RunOptions,
    signals: &mut Signals,
) -> Result<(), SupervisorError> {
    if let Some(signal) = signals.stop.already().await {
        info!("{signal}: not starting");
        return Ok(());
    }
    // Caught before there is a child, so that its end is not missed.
    let children = signal(SignalKind::child()).map_err(system("signal handlers"))?;
    let process = GatewayProcess::start(config, options)
        .map_err(system("the gateway process could not be started"))?;
    confine_this_thread(Role::Supervisor, Role::Supervisor.privileges())?;
    attend(process, children, signals, Reloads::new(&options.config, &options.socket)).await
}

async fn attend(
    mut process: GatewayProcess,
    mut children: tokio::signal::unix::Signal,
    signals: &mut Signals,
    mut reloads: Reloads,
) -> Result<(), SupervisorError> {
    let mut kill_at = None;
    loop {
        let patience_ends = sleep_until(kill_at.unwrap_or_else(Instant::now));
        tokio::select! {
            // In this order: systemd tells all processes to stop at once, and the gateway
            // process may be the first to be ready.
            biased;
            signal = signals.stop.next() => {
                if let Some(kill_at) = kill_at {
                    if kill_at > Instant::now() + (PATIENCE - SAME_AGAIN) {
                        continue;
                    }
                    warn!("{signal} again: killing the gateway process");
                    process.signal(Signal::KILL);
                } else {
                    info!("{signal}: stopping");
                    let _deaf = sd_notify::notify(&[NotifyState::Stopping]);
                    process.signal(Signal::TERM);
                    kill_at = Some(Instant::now() + PATIENCE);
                }
            }
            _ = children.recv() => {
                let ended = process.ended().map_err(system("waiting for the gateway process"))?;
                if let Some(status) = ended {
                    return judge(status, kill_at.is_some());
                }
            }
            () = patience_ends, if kill_at.is_some() => {
                error!("the gateway process does not stop: killing it");
                process.signal(Signal::KILL);
                kill_at = Some(Instant::now() + PATIENCE);
            }
            _ = signals.hangup.recv(), if kill_at.is_none() => reloads.want(),
            () = reloads.attend(), if kill_at.is_none() => {}
            status = process.status() => {
                heed(status);
                if status == Status::Ready {
                    reloads.set_ready();
                }
            }
        }
    }
}

/// Passes on to systemd what the gateway process reports. Without systemd nobody listens.
fn heed(status: Status) {
    let _deaf = match status {
        Status::Ready => {
            info!("ready");
            sd_notify::notify(&[NotifyState::Ready])
        }
        Status::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
    };
}

/// Whether the gateway process ended as it should.
fn judge(status: ExitStatus, stopping: bool) -> Result<(), SupervisorError> {
    let terminated = status.signal() == Some(Signal::TERM.as_raw());
    // While it starts it does not catch the signal, and need not.
    if stopping && (status.success() || terminated) {
        return Ok(());
    }
    Err(SupervisorError::Ended(match (status.signal(), status.code()) {
        (Some(signal), _) if signal == Signal::SYS.as_raw() => {
            "made a system call that its filter forbids (SIGSYS)".to_owned()
        }
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(0)) => "stopped, but not because of this one".to_owned(),
        (None, Some(1)) => "failed, as said above".to_owned(),
        (None, _) => format!("ended by itself: {status}"),
    }))
}

/// A gateway process that was killed leaves its control socket behind, where nobody answers any more.
fn clear_socket(path: &Path) {
    let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket
        && UnixStream::connect(path).is_err_and(refused)
        && let Err(error) = std::fs::remove_file(path)
    {
        warn!("{}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn only_an_end_that_was_asked_for_is_a_clean_one() {
        let (terminated, killed) = (ExitStatus::from_raw(15), ExitStatus::from_raw(9));
        assert!(judge(exit(0), true).is_ok());
        assert!(judge(terminated, true).is_ok(), "it was told to stop while it started");
        for (status, stopping) in
            [(exit(0), false), (terminated, false), (exit(1), true), (killed, true)]
        {
            assert!(judge(status, stopping).is_err(), "{status}, stopping: {stopping}");
        }
    }

    #[test]
    fn a_forbidden_system_call_is_named() {
        let error = judge(ExitStatus::from_raw(31), false).expect_err("no clean end");
        assert!(error.to_string().contains("SIGSYS"), "{error}");
    }
}
