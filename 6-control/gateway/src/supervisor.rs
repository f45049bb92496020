//! The parent process: it takes up namespaces and devices, starts the gateway process, and gives
//! everything back when that has ended, however it ended. It does nothing else, and it alone keeps the
//! rights to do that: CAP_SYS_ADMIN to enter and remove namespaces, CAP_NET_ADMIN to move devices.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use portcullis_config::Config;
use portcullis_os::privileges::Privileges;
use portcullis_os::process::{LockError, LockFile};
use portcullis_os::threads::{ConfineError, Role, confine_this_thread};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};
use sd_notify::NotifyState;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::estate::{Estate, EstateError};
use crate::state::RUN_DIRECTORY;
use crate::status::Status;

/// How long the gateway process may take to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

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
    #[error("{0}")]
    Lock(#[from] LockError),
    #[error("{0}")]
    Estate(#[from] EstateError),
    #[error("rights could not be given up: {0}")]
    Confine(#[from] ConfineError),
    #[error("{what}: {error}")]
    System { what: &'static str, error: io::Error },
}

fn system(what: &'static str) -> impl Fn(io::Error) -> SupervisorError {
    move |error| SupervisorError::System { what, error }
}

/// Runs a gateway until it is told to stop, or fails.
#[must_use]
pub fn supervise(config: &Config, options: &RunOptions) -> ExitCode {
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("the supervisor's event loop"))
        .and_then(|runtime| runtime.block_on(live(config, options)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn live(config: &Config, options: &RunOptions) -> Result<(), SupervisorError> {
    check_rights()?;
    std::fs::create_dir_all(RUN_DIRECTORY).map_err(system("the directory /run/portcullis"))?;
    let _locks = lock(config)?;
    // From here on a signal waits until it is asked for: nothing is left half done.
    let mut signals = Signals::new().map_err(system("signal handlers"))?;
    let estate = Estate::take_up(config)?;
    let ended = oversee(config, options, &mut signals).await;
    let all_back = estate.give_back();
    ended?;
    if all_back {
        info!("stopped; namespaces and devices are as they were");
    }
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

/// One gateway of a name, and one in a namespace.
fn lock(config: &Config) -> Result<[LockFile; 3], SupervisorError> {
    let gateway = config.gateway();
    let take =
        |file: String, what: String| LockFile::take(&Path::new(RUN_DIRECTORY).join(file), &what);
    let namespace = |name: &str| take(format!("netns-{name}.lock"), format!("namespace {name}"));
    Ok([
        take(format!("{}.lock", gateway.name), format!("gateway {}", gateway.name))?,
        namespace(gateway.link_namespace.as_str())?,
        namespace(gateway.vpc_namespace.as_str())?,
    ])
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    child: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            child: signal(SignalKind::child())?,
        })
    }
}

/// The next request to stop.
async fn stop(
    terminate: &mut tokio::signal::unix::Signal,
    interrupt: &mut tokio::signal::unix::Signal,
    hangup: &mut tokio::signal::unix::Signal,
) -> &'static str {
    loop {
        tokio::select! {
            _ = terminate.recv() => return "SIGTERM",
            _ = interrupt.recv() => return "SIGINT",
            _ = hangup.recv() => {
                warn!("SIGHUP: this version does not take a changed file while it runs");
            }
        }
    }
}

/// The gateway process, from its start to its end.
async fn oversee(
    config: &Config,
    options: &RunOptions,
    signals: &mut Signals,
) -> Result<(), SupervisorError> {
    let (mut child, status) = start(config, options)?;
    let ended = attend(&mut child, status, signals).await;
    if !matches!(child.try_wait(), Ok(Some(_))) {
        let _gone_already = child.kill();
        let _reaped = child.wait();
    }
    ended
}

async fn attend(
    child: &mut Child,
    status: OwnedFd,
    signals: &mut Signals,
) -> Result<(), SupervisorError> {
    confine_this_thread(Role::Supervisor, Role::Supervisor.privileges())?;
    let pid = Pid::from_child(child);
    let status = pipe::Receiver::from_owned_fd(status).map_err(system("the status pipe"))?;
    let mut status = BufReader::new(status).lines();
    let mut stopping = false;
    loop {
        tokio::select! {
            _ = signals.child.recv() => {
                let ended = child.try_wait().map_err(system("waiting for the gateway process"))?;
                if let Some(code) = ended {
                    return judge(code, stopping);
                }
            }
            line = next_status(&mut status) => heed(line),
            signal = stop(&mut signals.terminate, &mut signals.interrupt, &mut signals.hangup) => {
                if stopping {
                    warn!("{signal} again: killing the gateway process");
                    let _gone_already = kill_process(pid, Signal::KILL);
                }
                info!("{signal}: stopping");
                let _deaf = sd_notify::notify(&[NotifyState::Stopping]);
                stopping = true;
                let _gone_already = kill_process(pid, Signal::TERM);
            }
            () = tokio::time::sleep(PATIENCE), if stopping => {
                error!("the gateway process does not stop: killing it");
                let _gone_already = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// What the gateway process has to say; pends for ever once it has no more.
async fn next_status(lines: &mut Lines<BufReader<pipe::Receiver>>) -> Status {
    loop {
        match lines.next_line().await {
            Ok(Some(line)) => match line.parse() {
                Ok(status) => return status,
                Err(()) => warn!("the gateway process says something unknown: {line:?}"),
            },
            Ok(None) | Err(_) => std::future::pending().await,
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

fn judge(code: ExitStatus, stopping: bool) -> Result<(), SupervisorError> {
    if code.success() && stopping {
        return Ok(());
    }
    let error = match code.signal() {
        Some(libc_sigsys) if libc_sigsys == Signal::SYS.as_raw() => {
            "it made a system call that its filter forbids (SIGSYS)".to_owned()
        }
        Some(signal) => format!("it was killed by signal {signal}"),
        None => format!("it ended by itself: {code}"),
    };
    Err(SupervisorError::System { what: "the gateway process", error: io::Error::other(error) })
}

/// Starts the gateway process: the same program, told so by its first argument. It gets the file's
/// content by its standard input, so that it runs what was checked.
fn start(config: &Config, options: &RunOptions) -> Result<(Child, OwnedFd), SupervisorError> {
    let cannot = system("starting the gateway process");
    let (status, report) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .map_err(|errno| cannot(errno.into()))?;
    fcntl_setfd(&report, FdFlags::empty()).map_err(|errno| cannot(errno.into()))?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(crate::GATEWAY_COMMAND)
        .arg("--status")
        .arg(format!("/proc/self/fd/{}", report.as_raw_fd()))
        .arg("--socket")
        .arg(&options.socket)
        .arg("--file")
        .arg(&options.config)
        .args(options.log_level.iter().flat_map(|level| ["--log-level", level]))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0);
    let mut child = command.spawn().map_err(&cannot)?;
    drop(report);
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(config.to_toml().as_bytes()),
        None => Ok(()),
    };
    if let Err(error) = written {
        warn!("the gateway process did not take its configuration: {error}");
    }
    Ok((child, status))
}
