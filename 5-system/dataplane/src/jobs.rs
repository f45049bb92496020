//! The loops as jobs of threads: what is opened with all rights, and what runs with few.

use std::sync::Arc;

use portcullis_drivers::Port;
use portcullis_os::threads::{Job, JobError};
use portcullis_pipeline::{State, StateConfig, Worker, WorkerCounters, WorkerLimits};

use crate::{
    IdlePolicy, IoConfig, IoCounters, IoLinks, IoLoop, PipelineCounters, PipelineLinks,
    PipelineLoop, Stop,
};

/// Opens a port, on the thread that will use it.
pub type OpenPort = Box<dyn FnOnce() -> Result<Box<dyn Port>, JobError> + Send>;

/// The job of an I/O thread. It runs in `link`.
pub struct IoJob {
    config: IoConfig,
    counters: Arc<IoCounters>,
    stop: Stop,
    state: IoState,
}

enum IoState {
    New { ports: Vec<OpenPort>, links: Box<IoLinks> },
    Open(Box<IoLoop>),
    Failed,
}

impl IoJob {
    /// A job over `ports`.
    #[must_use]
    pub fn new(
        config: IoConfig,
        ports: Vec<OpenPort>,
        links: IoLinks,
        stop: Stop,
        counters: Arc<IoCounters>,
    ) -> Self {
        Self { config, counters, stop, state: IoState::New { ports, links: Box::new(links) } }
    }
}

impl Job for IoJob {
    fn open(&mut self) -> Result<(), JobError> {
        if let IoState::New { ports, links } = std::mem::replace(&mut self.state, IoState::Failed) {
            let ports = ports.into_iter().map(|open| open()).collect::<Result<_, _>>()?;
            let (stop, counters) = (self.stop.clone(), Arc::clone(&self.counters));
            let io = IoLoop::new(self.config, ports, *links, stop, counters);
            self.state = IoState::Open(Box::new(io));
        }
        Ok(())
    }

    fn run(self: Box<Self>) {
        match self.state {
            IoState::Open(io) => io.run(),
            IoState::New { .. } | IoState::Failed => {}
        }
    }
}

/// The job of a pipeline thread. It runs in a namespace without any device.
pub struct PipelineJob {
    limits: WorkerLimits,
    idle: IdlePolicy,
    worker_counters: Arc<WorkerCounters>,
    counters: Arc<PipelineCounters>,
    links: PipelineLinks,
    /// What flows are remembered in, if they are.
    state: Option<StateConfig>,
    worker: Option<Worker>,
}

impl PipelineJob {
    /// A job around a worker with these limits.
    #[must_use]
    pub const fn new(
        limits: WorkerLimits,
        idle: IdlePolicy,
        links: PipelineLinks,
        state: Option<StateConfig>,
        worker_counters: Arc<WorkerCounters>,
        counters: Arc<PipelineCounters>,
    ) -> Self {
        Self { limits, idle, worker_counters, counters, links, state, worker: None }
    }
}

impl PipelineJob {
    /// The loop, if there is a worker for it.
    fn into_loop(self) -> Option<PipelineLoop> {
        let Self { idle, worker_counters, counters, links, worker, .. } = self;
        worker.map(|worker| PipelineLoop::new(links, worker, worker_counters, counters, idle))
    }
}

impl Job for PipelineJob {
    fn open(&mut self) -> Result<(), JobError> {
        // Here and not before, so that the memory is near the CPU that uses it.
        let mut worker = Worker::new(Arc::clone(&self.worker_counters), self.limits);
        if let Some(config) = self.state {
            worker.equip(Box::new(State::new(config)));
        }
        self.worker = Some(worker);
        Ok(())
    }

    fn run(self: Box<Self>) {
        if let Some(pipeline) = self.into_loop() {
            pipeline.run();
        }
    }
}

/// Both jobs on one thread, which runs each batch to completion. It runs in `link`.
pub struct WorkerJob {
    io: IoJob,
    pipeline: PipelineJob,
}

impl WorkerJob {
    /// Of these two, whose ends are those of an [`exchange_on_one_thread`](crate::exchange_on_one_thread).
    #[must_use]
    pub const fn new(io: IoJob, pipeline: PipelineJob) -> Self {
        Self { io, pipeline }
    }
}

impl Job for WorkerJob {
    fn open(&mut self) -> Result<(), JobError> {
        self.pipeline.open()?;
        self.io.open()
    }

    fn run(self: Box<Self>) {
        let Self { io, pipeline } = *self;
        if let (IoState::Open(io), Some(pipeline)) = (io.state, pipeline.into_loop()) {
            io.run_to_completion(pipeline);
        }
    }
}
