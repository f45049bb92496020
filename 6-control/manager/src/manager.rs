//! The thread `pc-vpc`: sockets, timers and questions around the core that has none.
//!
//! One task on a runtime of one thread. It may block on nothing but the runtime's own wait: sockets
//! are read until they are empty, requests are answered while they are being sent.

use std::collections::HashSet;
use std::future;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use portcullis_packet::{IfIndex, Instant};
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::change::{ApplyError, Change};
use crate::configure::Configuration;
use crate::cycle::{Cycle, Next};
use crate::foreign::{self, DeviceChange, DeviceReport, ForeignDevices};
use crate::handle::{Handle, Inbox, Query, Status};
use crate::listen::{LinkListener, Read, VpcListener};
use crate::mirror::Mirror;
use crate::netlink::{NetlinkSocket, Requests};
use crate::request::{LinkChange, Request, Side};
use crate::resolve::{Asked, in_doubt};
use crate::setup::{Resolve, ResolveQueue, Setup};
use crate::show;

/// How often workers are looked at while something waits for them.
const POLL: Duration = Duration::from_millis(1);
/// How often there is time for what is not urgent.
const TICK: Duration = Duration::from_secs(1);
/// Of so many ticks, one is for prefixes that a FIB refused.
const RETRY_TICKS: u64 = 10;
/// Requests of workers that are taken at a time.
const RESOLVE_BATCH: usize = 256;
/// Changes to follow a link's other end at a time; more would mean that they chase each other.
const MAX_STEPS: usize = 256;

/// How devices are told what is to become of them.
type Tell = Box<dyn FnMut(IfIndex, DeviceChange) + Send>;

/// Why a manager could not be made, or stopped.
#[derive(Debug, Error)]
pub enum ManagerError {
    /// A socket or the runtime.
    #[error("rtnetlink: {0}")]
    Io(#[from] io::Error),
}

/// The vpc-manager, before and while it runs.
pub struct Manager {
    core: Core,
    vpc: NetlinkSocket,
    link: Option<NetlinkSocket>,
    resolve: Option<Resolve>,
    reports: Option<UnboundedReceiver<(IfIndex, DeviceReport)>>,
    inbox: Inbox,
    published: Box<dyn Fn() + Send>,
    runtime: Runtime,
}

/// All but what is waited for.
struct Core {
    mirror: Mirror,
    cycle: Cycle,
    configuration: Configuration,
    asked: Asked,
    vpc: VpcListener,
    link: Option<LinkListener>,
    vpc_requests: Requests,
    link_requests: Option<Requests>,
    /// How devices are told that no kernel knows.
    tell: Option<Tell>,
    start: std::time::Instant,
    ticks: u64,
    /// It is time to look whether all is in the kernel that should be.
    configure: bool,
    /// Those who wait until all workers judge by the policy that they gave.
    applying: Vec<oneshot::Sender<Result<(), ApplyError>>>,
}

impl Manager {
    /// Opens all that is needed. The calling thread must be in the `vpc` namespace.
    ///
    /// # Errors
    /// No socket, or no memory for the tables.
    pub fn new(setup: Setup) -> Result<(Self, Handle), ManagerError> {
        let vpc = NetlinkSocket::watching_all(setup.receive_buffer)?;
        let vpc_requests = Requests::new(NetlinkSocket::open()?);
        let mut mirror = Mirror::new(setup.interfaces, seed()?);
        let cycle = Cycle::new(setup.dataplane, setup.policy);
        mirror.resync.request();
        let (link, link_requests) = match setup.link {
            Some(sockets) => (Some(sockets.watch), Some(Requests::new(sockets.requests))),
            None => (None, None),
        };
        let (reports, tell) = match setup.foreign {
            Some(ForeignDevices { reports, tell }) => (Some(reports), Some(tell)),
            None => (None, None),
        };
        let core = Core {
            mirror,
            cycle,
            configuration: Configuration::new(setup.routes),
            asked: Asked::default(),
            vpc: VpcListener::default(),
            link: link.as_ref().map(|_| LinkListener::default()),
            vpc_requests,
            link_requests,
            tell,
            start: std::time::Instant::now(),
            ticks: 0,
            configure: true,
            applying: Vec::new(),
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (handle, inbox) = Handle::new();
        let (resolve, published) = (setup.resolve, Box::new(|| ()));
        Ok((Self { core, vpc, link, resolve, reports, inbox, published, runtime }, handle))
    }

    /// Has `published` called after each publication, so that workers that sleep are woken: packets
    /// may be waiting for what it says.
    #[must_use]
    pub fn telling(self, published: impl Fn() + Send + 'static) -> Self {
        Self { published: Box::new(published), ..self }
    }

    /// Runs until it is told to stop, or all handles are gone.
    ///
    /// # Errors
    /// A socket broke.
    pub fn run(self) -> Result<(), ManagerError> {
        let Self { mut core, vpc, link, resolve, mut reports, mut inbox, published, runtime } =
            self;
        let mut told = core.cycle.epoch();
        runtime.block_on(async {
            let vpc = watch(vpc)?;
            let link = link.map(watch).transpose()?;
            let (mut queue, doorbell) = match resolve {
                Some(Resolve { queue, doorbell }) => (Some(queue), Some(watch(doorbell)?)),
                None => (None, None),
            };
            let mut tick = interval(TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // Requests of workers are left in the queue.
            let mut more = false;
            loop {
                core.vpc.ask(vpc.get_ref(), &mut core.mirror);
                if let (Some(listener), Some(socket)) = (&mut core.link, &link) {
                    listener.ask(socket.get_ref(), &mut core.mirror);
                }
                core.follow();
                let next = core.cycle.turn(&mut core.mirror);
                if core.cycle.epoch() != told {
                    told = core.cycle.epoch();
                    published();
                }
                core.answer_applying();
                let wait = async {
                    match next {
                        _ if more => tokio::task::yield_now().await,
                        Next::Idle => future::pending().await,
                        Next::Poll => sleep(POLL).await,
                        Next::Continue => tokio::task::yield_now().await,
                    }
                };
                tokio::select! {
                    guard = vpc.readable() => {
                        let mut guard = guard?;
                        if core.vpc.read(vpc.get_ref(), &mut core.mirror)? == Read::All {
                            guard.clear_ready();
                        }
                    }
                    guard = readable(link.as_ref()) => {
                        let mut guard = guard?;
                        if let (Some(listener), Some(socket)) = (&mut core.link, &link)
                            && listener.read(socket.get_ref(), &mut core.mirror)? == Read::All
                        {
                            guard.clear_ready();
                        }
                    }
                    guard = readable(doorbell.as_ref()) => {
                        let mut guard = guard?;
                        let mut count = [0; 8];
                        // The count says nothing that the queue does not.
                        let _ = rustix::io::read(guard.get_inner(), &mut count);
                        guard.clear_ready();
                    }
                    report = reported(reports.as_mut()) => match report {
                        Some((interface, report)) => {
                            foreign::take(&mut core.mirror, interface, report);
                        }
                        None => reports = None,
                    },
                    query = inbox.queries.recv() => match query {
                        Some(query) => core.answer(query),
                        None => return Ok(()),
                    },
                    _ = inbox.stop.changed() => return Ok(()),
                    _ = tick.tick() => core.tick(),
                    () = wait => {}
                }
                core.forget();
                more = queue.as_mut().is_some_and(|queue| core.resolve(queue.as_mut()));
            }
        })
    }
}

/// Registers a descriptor with the runtime.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types whose descriptor can change; those used here own \
              theirs for as long as they live"
)]
fn watch<T: AsRawFd>(fd: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// Waits for a descriptor that may not be there.
async fn readable<T: AsRawFd>(fd: Option<&AsyncFd<T>>) -> io::Result<AsyncFdReadyGuard<'_, T>> {
    match fd {
        Some(fd) => fd.readable().await,
        None => future::pending().await,
    }
}

/// Waits for a report, if any will come.
async fn reported(
    reports: Option<&mut UnboundedReceiver<(IfIndex, DeviceReport)>>,
) -> Option<(IfIndex, DeviceReport)> {
    match reports {
        Some(reports) => reports.recv().await,
        None => future::pending().await,
    }
}

/// A number that nobody can guess.
fn seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

impl Core {
    fn now(&self) -> Instant {
        let elapsed = self.start.elapsed().as_nanos();
        // Zero would be before the first second.
        Instant(u64::try_from(elapsed).unwrap_or(u64::MAX)) + TICK
    }

    /// Makes the ends of each interface agree, and the kernel's state what the file says.
    fn follow(&mut self) {
        let devices_known = self.link.as_ref().is_none_or(LinkListener::is_ready);
        if !self.mirror.is_ready() || !devices_known {
            return;
        }
        for _ in 0..MAX_STEPS {
            let Some((interface, side, request)) = self.mirror.ports.step() else { break };
            let accepted = match request {
                // If it can't be, that is reported.
                Request::SetLink { index, change } if foreign::is_foreign(index) => {
                    self.tell(interface, change)
                }
                _ => self.ask(side, &request),
            };
            if let Request::SetLink { change, .. } = request {
                self.mirror.ports.answered(interface, side, change, accepted);
                self.mirror.interface_changed(interface);
            }
        }
        let possible = std::mem::take(&mut self.mirror.reachability_changed);
        if !std::mem::take(&mut self.configure) && !possible {
            return;
        }
        let now = self.now();
        let mut accepted = HashSet::new();
        for request in self.configuration.requests(&self.mirror, now, possible) {
            if self.ask(Side::Tap, &request)
                && let Request::SetRoute { route, .. } = request
            {
                accepted.insert(route.to);
            }
        }
        if !accepted.is_empty() {
            self.configuration.accepted(&accepted);
        }
    }

    fn tell(&mut self, interface: IfIndex, change: LinkChange) -> bool {
        match (&mut self.tell, foreign::change(change)) {
            (Some(tell), Some(change)) => {
                tell(interface, change);
                true
            }
            _ => false,
        }
    }

    /// Neighbours that the kernel has forgotten may be asked for at once.
    fn forget(&mut self) {
        for (interface, address) in self.mirror.forgotten.drain(..) {
            self.asked.forget(interface, address);
        }
    }

    /// Takes requests of workers. True if there may be more.
    fn resolve(&mut self, queue: &mut dyn ResolveQueue) -> bool {
        let now = self.now();
        for _ in 0..RESOLVE_BATCH {
            let Some((interface, address)) = queue.pop() else { return false };
            if let Some(request) = self.asked.wanted(&self.mirror, interface, address, now)
                && !self.ask(Side::Tap, &request)
            {
                self.asked.has_entry(interface, address);
            }
        }
        true
    }

    fn ask(&mut self, side: Side, request: &Request) -> bool {
        let requests = match side {
            Side::Tap => &mut self.vpc_requests,
            Side::Device => match &mut self.link_requests {
                Some(requests) => requests,
                None => return false,
            },
        };
        match requests.ask(request) {
            Ok(()) => {
                tracing::debug!(?request, "done");
                true
            }
            // An address that is there already is what was wanted, and so is what is gone already.
            Err(refused) if matches!(request, Request::AddAddress { .. }) && refused.exists() => {
                true
            }
            // Somebody else has begun, or has set it by hand.
            Err(refused) if matches!(request, Request::Resolve(_)) && refused.exists() => false,
            Err(refused)
                if matches!(request, Request::RemoveAddress(_) | Request::RemoveRoute(_))
                    && refused.is_gone() =>
            {
                true
            }
            Err(refused) => {
                tracing::warn!(?request, "the kernel refuses: {refused}");
                false
            }
        }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        self.configure = true;
        VpcListener::tick(&mut self.mirror);
        if let Some((count, error)) = self.cycle.take_refused() {
            tracing::error!(count, "routes are not in the forwarding table: {error}");
        }
        if self.ticks.is_multiple_of(RETRY_TICKS) {
            self.mirror.rib4.retry_refused();
            self.mirror.rib6.retry_refused();
        }
        for key in in_doubt(&self.mirror) {
            self.ask(Side::Tap, &Request::Probe(key));
        }
    }

    /// Takes another configuration. Who gave it is answered when all workers have its policy.
    fn apply(&mut self, change: Change, answer: oneshot::Sender<Result<(), ApplyError>>) {
        if let Err(error) = change.check(self.mirror.interfaces().len()) {
            let _ = answer.send(Err(error));
            return;
        }
        let Change { policy, routes, addresses, mtus } = change;
        self.cycle.judge_by(policy);
        // Before the kernel is asked for anything, which may take a while.
        self.cycle.turn(&mut self.mirror);
        self.configuration.change_routes(routes, self.now());
        self.mirror.configure(addresses, mtus);
        self.configure = true;
        self.applying.push(answer);
    }

    fn answer_applying(&mut self) {
        if !self.applying.is_empty() && self.cycle.all_judge() {
            for answer in self.applying.drain(..) {
                // Who asked may have gone meanwhile.
                let _ = answer.send(Ok(()));
            }
        }
    }

    fn answer(&mut self, query: Query) {
        // Who asked may have gone meanwhile.
        match query {
            Query::Routes { filter, cursor, answer } => {
                let _ = answer.send(show::routes(&self.mirror, &filter, cursor));
            }
            Query::Neighbors { filter, answer } => {
                let _ = answer.send(show::neighbors(&self.mirror, &filter));
            }
            Query::Interfaces { answer } => {
                let _ = answer.send(self.mirror.interfaces().to_vec());
            }
            Query::Status { answer } => {
                let _ = answer.send(self.status());
            }
            Query::Apply { change, answer } => self.apply(*change, answer),
        }
    }

    fn status(&self) -> Status {
        let (fib4, fib6) = self.cycle.sizes();
        Status {
            ready: self.mirror.is_ready() && self.cycle.has_applied(),
            routes4: self.mirror.rib4.len(),
            routes6: self.mirror.rib6.len(),
            fib4,
            fib6,
            resyncs: self.mirror.resync.finished(),
            listened: self.vpc.counters,
            resolve_refused: self.asked.refused(),
        }
    }
}
