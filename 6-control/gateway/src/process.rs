//! The gateway process: it starts the threads, gives its own rights up, answers the control socket, and
//! stops when it is told to, or when a thread ends.

use std::io::{self, Read};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use portcullis_api::Greeting;
use portcullis_api::server::{ControlSocket, Limits, SocketError, serve};
use portcullis_config::{Config, Host, ThreadsPerWorker};
use portcullis_manager::Handle;
use portcullis_os::cpus::{CpuId, CpuSet};
use portcullis_os::placement::{self, Plan, PlanError, WorkerThreads};
use portcullis_os::privileges::Privileges;
use portcullis_os::process::{self, LockError};
use portcullis_os::threads::{ConfineError, Role, ThreadEnd, confine_this_thread};
use portcullis_os::topology::{Topology, TopologyError};
use portcullis_tables::Publisher;
use rustix::process::getppid;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use crate::assemble::{AssembleError, Assembly};
use crate::control::Control;
use crate::inspect::Inspector;
use crate::journal::Journal;
use crate::locks::What;
use crate::pulse::Pulse;
use crate::running::Configurations;
use crate::status::Status;

/// How often the supervisor hears that all is well, unless systemd wants to hear it more often.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Threads need some time to be seen to get on.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(300);

/// How many heartbeats there are in the time that systemd waits for one.
const PER_WATCHDOG_TIME: u32 = 3;

/// How often it is looked whether the kernel's tables have been read for the first time.
const LOOK: Duration = Duration::from_millis(10);

/// What the supervisor says on the command line.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// Where the status goes.
    pub status: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// The file that the configuration came from, to be shown.
    pub file: PathBuf,
}

/// Why the gateway does not run, or no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("{what}: {error}")]
    System { what: &'static str, error: io::Error },
    #[error("the configuration that the supervisor passed on: {0}")]
    Config(String),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error("`cpus` and `workers`: {0}")]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("the main thread could not give its rights up: {0}")]
    Confine(#[from] ConfineError),
    #[error("{0}")]
    ThreadEnded(ThreadEnd),
}

fn system(what: &'static str) -> impl Fn(io::Error) -> ProcessError {
    move |error| ProcessError::System { what, error }
}

/// Runs the gateway process until it is told to stop.
#[must_use]
pub fn gateway_process(options: &ProcessOptions) -> ExitCode {
    match prepare(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(options: &ProcessOptions) -> Result<(), ProcessError> {
    // Started by way of /proc/self/exe, the process would be called "exe".
    if let Err(errno) = rustix::thread::set_name(c"portcullis") {
        info!("the process keeps its name: {errno}");
    }
    let parent =
        getppid().ok_or_else(|| system("the supervisor")(io::ErrorKind::NotFound.into()))?;
    process::end_with_parent(parent)
        .map_err(|error| system("the tie to the supervisor")(io::Error::other(error)))?;
    if let Err(errno) = process::forbid_dumps() {
        info!("core dumps stay allowed: {errno}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("the event loop"))?;
    let context = runtime.enter();
    // It can't be opened if the supervisor was gone before the tie to it was made.
    let status = pipe::OpenOptions::new()
        .open_sender(&options.status)
        .map_err(system("the way to the supervisor"))?;
    drop(context);
    // What a library prints is no status, and is to be read.
    rustix::stdio::dup2_stdout(io::stderr())
        .map_err(|errno| system("the standard output")(errno.into()))?;
    let config = read_config()?;
    // Held until the last thread and its sockets are gone.
    let _lock = What::Process(config.gateway().name.as_str()).take()?;
    let plan = place(&config)?;
    info!("{}", plan.sentence());
    let (ended, ends) = mpsc::unbounded_channel();
    let mut assembly = Assembly::start(&config, &plan, move |end| {
        // Nobody listens any more once the process stops.
        let _ = ended.send(end);
    })?;
    // The socket is made, and signals are caught, while there are rights to do so.
    let context = runtime.enter();
    let socket = ControlSocket::bind(&options.socket)?;
    let duty = Duty {
        status,
        signals: Signals::new().map_err(system("signal handlers"))?,
        ends,
        manager: assembly.manager.clone(),
        pulse: Pulse::new(assembly.counters.workers.clone(), worker_threads(&config)),
    };
    drop(context);
    plan.housekeeping
        .pin_this_thread()
        .map_err(|errno| system("the CPUs of the main thread")(errno.into()))?;
    confine_this_thread(Role::Control, Privileges::NONE)?;
    let configurations = Configurations::new(
        config.clone(),
        Arc::clone(&assembly.policy),
        assembly.manager.clone(),
        assembly.inspector.take().unwrap_or_else(|| Inspector::new(Vec::new())),
        assembly.steering.take().unwrap_or_else(|| Publisher::new(None)),
        assembly.seed,
    );
    let journal = Journal {
        events: std::mem::take(&mut assembly.events),
        interfaces: assembly.counters.interfaces.clone(),
        policy: configurations.watch(),
    };
    let control = Arc::new(Control::new(configurations, &options.file, &assembly));
    let greeting = Greeting::new(env!("CARGO_PKG_VERSION"), config.gateway().name.as_str());
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = duty.wait() => ended,
            () = serve(socket.listener(), greeting, control, Limits::default()) => Ok(()),
            () = journal.write() => Ok(()),
        }
    });
    info!("stopping");
    let stopped = assembly.stop();
    ended?;
    Ok(stopped?)
}

fn read_config() -> Result<Config, ProcessError> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(system("the configuration"))?;
    // What is passed on names everything, the host's name is not asked for.
    Config::parse("the configuration", &text, &Host { name: "" })
        .map_err(|report| ProcessError::Config(report.to_string()))
}

fn worker_threads(config: &Config) -> WorkerThreads {
    match config.gateway().threads_per_worker {
        ThreadsPerWorker::One => WorkerThreads::One,
        ThreadsPerWorker::Two => WorkerThreads::Two,
    }
}

fn place(config: &Config) -> Result<Plan, ProcessError> {
    let topology = Topology::of_this_machine()?;
    let gateway = config.gateway();
    let threads = worker_threads(config);
    let allowed: CpuSet = match &gateway.cpus {
        Some(list) => list.iter().filter_map(|cpu| u16::try_from(cpu).ok()).map(CpuId).collect(),
        None => placement::default_cpus(&topology, threads),
    };
    let workers = gateway.workers.map(|workers| usize::from(workers.get().get()));
    Ok(placement::plan(&topology, &allowed, workers, threads)?)
}

/// The signals that this process has handlers for.
struct Signals {
    terminate: Signal,
    /// They are the supervisor's affair, but may be sent to all processes of a service or terminal.
    _ignored: [Signal; 2],
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            _ignored: [signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?],
        })
    }
}

/// What the main thread watches while it serves.
struct Duty {
    status: pipe::Sender,
    signals: Signals,
    ends: mpsc::UnboundedReceiver<ThreadEnd>,
    manager: Handle,
    pulse: Pulse,
}

impl Duty {
    /// Until it is to stop. A thread that ends before that is an error.
    async fn wait(mut self) -> Result<(), ProcessError> {
        let mut heartbeat = interval(heartbeat());
        // Ticks that were missed while the machine or the process was stopped say nothing.
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let manager = self.manager.clone();
        let mut has_read_all = pin!(has_read_all(&manager));
        let (mut ready, mut announced) = (false, false);
        let mut healthy = true;
        loop {
            tokio::select! {
                () = &mut has_read_all, if !ready => ready = true,
                // Before the pipe was seen to be writable once, nothing can be written to it.
                _ = self.status.writable(), if ready && !announced => {
                    announced = self.report(Status::Ready)?;
                }
                _ = self.signals.terminate.recv() => return Ok(()),
                Some(end) = self.ends.recv() => return Err(ProcessError::ThreadEnded(end)),
                _ = heartbeat.tick() => healthy = self.beat(healthy)?,
            }
        }
    }

    /// Reports that all is well, if it is.
    fn beat(&mut self, healthy: bool) -> Result<bool, ProcessError> {
        let hung = self.pulse.look();
        if hung.is_empty() {
            if !healthy {
                warn!("all threads get on again");
            }
            self.report(Status::Alive)?;
        } else if healthy {
            let names: Vec<_> = hung.iter().map(ToString::to_string).collect();
            error!(
                "{} does not get on: the watchdog is not told that all is well",
                names.join(", ")
            );
        }
        Ok(hung.is_empty())
    }

    /// Does not wait for a supervisor that does not listen. False if it could not be told.
    fn report(&self, status: Status) -> Result<bool, ProcessError> {
        match self.status.try_write(&[status.byte()]) {
            Ok(written) => Ok(written == 1),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(system("the supervisor is gone")(error)),
        }
    }
}

/// How often to say that all is well. systemd's wish is in the environment, for the supervisor.
fn heartbeat() -> Duration {
    let microseconds = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
    let wanted = microseconds.map(|time| Duration::from_micros(time) / PER_WATCHDOG_TIME);
    wanted.unwrap_or(HEARTBEAT).clamp(SHORTEST_HEARTBEAT, HEARTBEAT)
}

/// Waits until the manager has read all of the kernel's tables once.
async fn has_read_all(manager: &Handle) {
    while !manager.status().await.is_ok_and(|status| status.ready) {
        sleep(LOOK).await;
    }
}
