//! Threads of the operating system.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use rustix::thread::{Pid, UnshareFlags, gettid, unshare_unsafe};

use super::handle::panic_message;
use super::signals::leave_to_main;
use super::{
    Job, NamespaceChoice, StartError, StartStep, ThreadEnd, ThreadHandle, ThreadSpec, Threads,
    confine_this_thread,
};

type Observer = Arc<dyn Fn(ThreadEnd) + Send + Sync>;

/// Starts plain threads of this process.
#[derive(Clone)]
pub struct SystemThreads {
    observer: Observer,
}

impl SystemThreads {
    /// `observer` is told of each job's end, well or in a panic, so that the gateway can stop as a
    /// whole. It runs on the ending thread and under its filter: let it store a flag and write to
    /// an eventfd.
    pub fn new(observer: impl Fn(ThreadEnd) + Send + Sync + 'static) -> Self {
        prime_backtraces();
        Self { observer: Arc::new(observer) }
    }
}

impl fmt::Debug for SystemThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemThreads").finish_non_exhaustive()
    }
}

impl Threads for SystemThreads {
    fn start(&self, spec: ThreadSpec, job: Box<dyn Job>) -> Result<ThreadHandle, StartError> {
        let (name, role) = (spec.name.clone(), spec.role);
        let failed = |step| StartError { thread: name.clone(), step };
        let observer = Arc::clone(&self.observer);
        let (ready, outcome) = sync_channel(1);
        let inner = std::thread::Builder::new()
            .name(name.as_str().to_owned())
            .spawn(move || thread_main(spec, job, ready, &observer))
            .map_err(|error| failed(StartStep::Spawn(error)))?;
        match outcome.recv() {
            Ok(Ok(tid)) => Ok(ThreadHandle::new(tid, name, role, inner)),
            Ok(Err(step)) => {
                // It ends by itself; waiting makes "did not start" true when it is said.
                let _ended = inner.join();
                Err(failed(step))
            }
            Err(_gone) => Err(failed(StartStep::Vanished)),
        }
    }
}

/// All of a thread's life. The answer is what a panic of the job said.
fn thread_main(
    spec: ThreadSpec,
    mut job: Box<dyn Job>,
    ready: SyncSender<Result<Pid, StartStep>>,
    observer: &Observer,
) -> Result<(), String> {
    // The receiver is the starter, who waits: a send cannot fail.
    if let Err(step) = prepare(&spec, &mut *job) {
        drop(job);
        let _sent = ready.send(Err(step));
        return Ok(());
    }
    let tid = gettid();
    let _sent = ready.send(Ok(tid));
    drop(ready);
    let ThreadSpec { role, name, .. } = spec;
    let result =
        catch_unwind(AssertUnwindSafe(|| job.run())).map_err(|panic| panic_message(&*panic));
    observer(ThreadEnd { name, tid, role, panicked: result.clone().err() });
    result
}

fn prepare(spec: &ThreadSpec, job: &mut dyn Job) -> Result<(), StartStep> {
    leave_to_main().map_err(StartStep::Signals)?;
    spec.cpus
        .pin_this_thread()
        .map_err(|errno| StartStep::Pin { cpus: spec.cpus.clone(), errno })?;
    enter(&spec.namespace)
        .map_err(|errno| StartStep::Namespace { namespace: spec.namespace.to_string(), errno })?;
    catch_unwind(AssertUnwindSafe(|| job.open()))
        .map_err(|panic| StartStep::OpenPanicked(panic_message(&*panic)))?
        .map_err(StartStep::Open)?;
    confine_this_thread(spec.role, spec.privileges)?;
    Ok(())
}

fn enter(namespace: &NamespaceChoice) -> rustix::io::Result<()> {
    match namespace {
        NamespaceChoice::At(netns) => netns.enter(),
        // SAFETY: the file table is not unshared (no CLONE_FILES), so every thread keeps seeing the
        // same descriptors.
        NamespaceChoice::Private => unsafe { unshare_unsafe(UnshareFlags::NEWNET) },
        NamespaceChoice::Inherit => Ok(()),
    }
}

/// Under the filters no file can be opened, and the first backtrace opens the program's debug
/// information. If backtraces are wanted at all (`RUST_BACKTRACE`), take one now: the symboliser
/// keeps what it has read.
fn prime_backtraces() {
    let _names = std::backtrace::Backtrace::capture().to_string();
}
