//! The gateway process: it starts the threads, gives its own rights up, answers the control socket, and
//! stops when it is told to, or when a thread ends.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use portcullis_api::Greeting;
use portcullis_api::server::{ControlSocket, Limits, SocketError, serve};
use portcullis_config::{Config, Host};
use portcullis_manager::Handle;
use portcullis_os::cpus::{CpuId, CpuSet};
use portcullis_os::placement::{self, Plan, PlanError};
use portcullis_os::privileges::Privileges;
use portcullis_os::process;
use portcullis_os::threads::{ConfineError, Role, ThreadEnd, confine_this_thread};
use portcullis_os::topology::{Topology, TopologyError};
use rustix::process::getppid;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info};

use crate::assemble::{AssembleError, Assembly};
use crate::control::Control;
use crate::status::Status;

/// How often the supervisor hears that all is well.
const HEARTBEAT: Duration = Duration::from_secs(1);

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
    System { what: &'static str, error: std::io::Error },
    #[error("the configuration that the supervisor passed on: {0}")]
    Config(String),
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

fn system(what: &'static str) -> impl Fn(std::io::Error) -> ProcessError {
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
        getppid().ok_or_else(|| system("the supervisor")(std::io::ErrorKind::NotFound.into()))?;
    process::end_with_parent(parent)
        .map_err(|error| system("the tie to the supervisor")(std::io::Error::other(error)))?;
    if let Err(errno) = process::forbid_dumps() {
        info!("core dumps stay allowed: {errno}");
    }
    let config = read_config()?;
    let plan = place(&config)?;
    info!("{}", plan.sentence());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("the event loop"))?;
    let (ended, ends) = mpsc::unbounded_channel();
    let assembly = Assembly::start(&config, &plan, move |end| {
        // Nobody listens any more once the process stops.
        let _ = ended.send(end);
    })?;
    // The socket is made, and signals are caught, while there are rights to do so.
    let context = runtime.enter();
    let socket = ControlSocket::bind(&options.socket)?;
    let duty = Duty::new(&options.status, ends, assembly.manager.clone())?;
    drop(context);
    plan.housekeeping
        .pin_this_thread()
        .map_err(|errno| system("the CPUs of the main thread")(errno.into()))?;
    confine_this_thread(Role::Control, Privileges::NONE)?;
    let control = Arc::new(Control::new(&config, &options.file, &assembly));
    let greeting = Greeting::new(env!("CARGO_PKG_VERSION"), config.gateway().name.as_str());
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = duty.wait() => ended,
            () = serve(socket.listener(), greeting, control, Limits::default()) => Ok(()),
        }
    });
    info!("stopping");
    let stopped = assembly.stop();
    ended?;
    Ok(stopped?)
}

fn read_config() -> Result<Config, ProcessError> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(system("the configuration"))?;
    // What is passed on names everything, the host's name is not asked for.
    Config::parse("the configuration", &text, &Host { name: "" })
        .map_err(|report| ProcessError::Config(report.to_string()))
}

fn place(config: &Config) -> Result<Plan, ProcessError> {
    let topology = Topology::of_this_machine()?;
    let gateway = config.gateway();
    let allowed: CpuSet = match &gateway.cpus {
        Some(list) => list.iter().filter_map(|cpu| u16::try_from(cpu).ok()).map(CpuId).collect(),
        None => placement::default_cpus(&topology),
    };
    let workers = gateway.workers.map(|workers| usize::from(workers.get().get()));
    Ok(placement::plan(&topology, &allowed, workers)?)
}

/// What the main thread watches while it serves.
struct Duty {
    status: pipe::Sender,
    terminate: tokio::signal::unix::Signal,
    ends: mpsc::UnboundedReceiver<ThreadEnd>,
    manager: Handle,
}

impl Duty {
    fn new(
        status: &Path,
        ends: mpsc::UnboundedReceiver<ThreadEnd>,
        manager: Handle,
    ) -> Result<Self, ProcessError> {
        let status = pipe::OpenOptions::new()
            .open_sender(status)
            .map_err(system("the way to the supervisor"))?;
        let terminate = signal(SignalKind::terminate()).map_err(system("signal handlers"))?;
        Ok(Self { status, terminate, ends, manager })
    }

    /// Until it is to stop. A thread that ends before that is an error.
    async fn wait(mut self) -> Result<(), ProcessError> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        let mut look = tokio::time::interval(LOOK);
        let mut ready = false;
        loop {
            tokio::select! {
                _ = look.tick(), if !ready => {
                    ready = self.manager.status().await.is_ok_and(|status| status.ready);
                    if ready {
                        self.report(Status::Ready).await?;
                    }
                }
                _ = self.terminate.recv() => return Ok(()),
                Some(end) = self.ends.recv() => return Err(ProcessError::ThreadEnded(end)),
                _ = heartbeat.tick() => self.report(Status::Alive).await?,
            }
        }
    }

    async fn report(&mut self, status: Status) -> Result<(), ProcessError> {
        let line = format!("{status}\n");
        self.status.write_all(line.as_bytes()).await.map_err(system("the supervisor is gone"))
    }
}
