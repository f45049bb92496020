//! A trap thread with real taps in a namespace of its own, whose wire is the test.

use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use portcullis_dataplane::{Doorbell, Receiver, Stop, TrapSender, ring, trap_queue};
use portcullis_os::cpus::CpuSet;
use portcullis_os::tap::TapName;
use portcullis_os::threads::{
    Job, JobError, NamespaceChoice, Role, SystemThreads, ThreadHandle, ThreadName, ThreadSpec,
    Threads,
};
use portcullis_packet::{IfIndex, Mac, Packet, PuntClass};
use portcullis_tables::Publisher;
use portcullis_trap::{TapSpec, TrapConfig, TrapCounters, TrapJob};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The first tap, `lan`.
pub(crate) const LAN: IfIndex = IfIndex(0);
/// The second tap, `wan`.
pub(crate) const WAN: IfIndex = IfIndex(1);

pub(crate) const LAN_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub(crate) const WAN_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
/// The MAC address of the station that the test plays.
pub(crate) const PEER_MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

/// How long anything that must happen may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running trap thread, and a pipeline's ends of its queues.
pub(crate) struct Vpc {
    pub(crate) punts: TrapSender,
    pub(crate) counters: Arc<TrapCounters>,
    pub(crate) thread: Option<ThreadHandle>,
    lane: Receiver<Packet>,
    doorbell: Doorbell,
    stop: Stop,
}

/// A trap job that has something else done in its namespace, once its taps are open.
struct Prepared<F> {
    job: Box<TrapJob>,
    prepare: Option<F>,
}

impl<F: FnOnce() + Send> Job for Prepared<F> {
    fn open(&mut self) -> Result<(), JobError> {
        self.job.open()?;
        if let Some(prepare) = self.prepare.take() {
            prepare();
        }
        Ok(())
    }

    fn run(self: Box<Self>) {
        self.job.run();
    }
}

impl Vpc {
    /// Starts a trap thread in a namespace that ends with it. `prepare` is run in there, when the
    /// taps are open and all rights are still at hand.
    pub(crate) fn start<T: Send + 'static>(
        prepare: impl FnOnce() -> T + Send + 'static,
    ) -> (Self, T) {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes a namespace: run it as root"
        );
        let doorbell = Doorbell::new().unwrap();
        let (sender, lane) = ring(1024, &doorbell);
        let (punts, punts_out) = trap_queue(Doorbell::new().unwrap());
        let counters = Arc::new(TrapCounters::new(2));
        let stop = Stop::new();
        let config = TrapConfig {
            taps: vec![tap(LAN, "lan", LAN_MAC), tap(WAN, "wan", WAN_MAC)],
            punts: punts_out,
            lanes: vec![sender],
            steering: Publisher::new(None).subscribe(),
            counters: Arc::clone(&counters),
            stop: stop.clone(),
        };
        let (made, result) = channel();
        let prepare = move || made.send(prepare()).unwrap();
        let job = Prepared { job: Box::new(TrapJob::new(config)), prepare: Some(prepare) };
        let spec = ThreadSpec {
            role: Role::Trap,
            name: ThreadName::new("pc-trap").unwrap(),
            cpus: CpuSet::of_this_thread().unwrap(),
            namespace: NamespaceChoice::Private,
            privileges: Role::Trap.privileges(),
        };
        let thread = SystemThreads::new(|_| {}).start(spec, Box::new(job)).unwrap();
        let vpc = Self { punts, counters, thread: Some(thread), lane, doorbell, stop };
        (vpc, result.recv().unwrap())
    }

    /// Hands a frame to the trap thread as a pipeline does; false if its class is full.
    pub(crate) fn try_punt(&self, class: PuntClass, packet: Packet) -> bool {
        let queued = self.punts.push(class, packet).is_ok();
        self.punts.ring();
        queued
    }

    /// The same for a frame that came in by `interface`, and must be taken.
    pub(crate) fn punt(&self, class: PuntClass, interface: IfIndex, frame: &[u8]) {
        assert!(self.try_punt(class, came_in(interface, frame)), "room for {}", class.name());
    }

    /// The next packet that the kernel sends and `wanted` is true of. Others are passed over: a
    /// kernel has things of its own to say.
    pub(crate) fn next(&mut self, wanted: impl Fn(&Packet) -> bool) -> Packet {
        let found = self.next_within(PATIENCE, wanted);
        found.unwrap_or_else(|| panic!("nothing came: {:?}", self.counters))
    }

    /// Hands over a question, as often as it takes, until the kernel answers: a device that has just
    /// come up takes it up to a second to notice, and stations ask again.
    pub(crate) fn ask(
        &mut self,
        class: PuntClass,
        interface: IfIndex,
        question: &[u8],
        is_answer: impl Fn(&Packet) -> bool,
    ) -> Packet {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.punt(class, interface, question);
            if let Some(answer) = self.next_within(Duration::from_millis(100), &is_answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "no answer: {:?}", self.counters);
        }
    }

    /// The next packet that `wanted` is true of, if it comes within this time.
    fn next_within(&mut self, time: Duration, wanted: impl Fn(&Packet) -> bool) -> Option<Packet> {
        let deadline = Instant::now() + time;
        loop {
            while let Some(packet) = self.lane.take() {
                if wanted(&packet) {
                    return Some(packet);
                }
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            self.doorbell.arm();
            if self.lane.is_empty() {
                let mut fds = [PollFd::new(&self.doorbell, PollFlags::IN)];
                poll(&mut fds, Some(&Timespec::try_from(left).unwrap())).unwrap();
            }
            self.doorbell.disarm();
        }
    }

    /// Runs a command line in the namespace.
    pub(crate) fn run(&self, command: &str) {
        let tid = self.thread.as_ref().unwrap().tid.as_raw_nonzero();
        let namespace = format!("--net=/proc/{}/task/{tid}/ns/net", std::process::id());
        let status = Command::new("nsenter")
            .arg(namespace)
            .args(command.split_whitespace())
            .status()
            .unwrap();
        assert!(status.success(), "{command}");
    }

    /// Ends the thread, well.
    pub(crate) fn stop(mut self) -> Arc<TrapCounters> {
        self.end().unwrap().join().unwrap();
        Arc::clone(&self.counters)
    }

    fn end(&mut self) -> Option<ThreadHandle> {
        self.stop.set();
        self.punts.ring();
        self.thread.take()
    }
}

impl Drop for Vpc {
    fn drop(&mut self) {
        if let Some(thread) = self.end() {
            let _ended = thread.join();
        }
    }
}

fn tap(interface: IfIndex, name: &str, mac: Mac) -> TapSpec {
    TapSpec { interface, name: TapName::new(name).unwrap(), mac, mtu: 1500 }
}

/// A packet with a frame that came in by `interface`.
pub(crate) fn came_in(interface: IfIndex, frame: &[u8]) -> Packet {
    let mut packet = Packet::from_bytes(frame);
    packet.meta_mut().rx_if = interface;
    packet
}

/// Runs command lines; for the inside of [`Vpc::start`], where the namespace is the thread's own.
pub(crate) fn run(commands: &[&str]) {
    for command in commands {
        let mut words = command.split_whitespace();
        let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
        assert!(status.success(), "{command}");
    }
}

/// Brings both taps up with 10.0.0.1/24 and 2001:db8:1::1/64 on `lan`, 192.0.2.1/24 on `wan`.
pub(crate) fn set_up_addresses() {
    run(&[
        "ip link set lo up",
        "ip link set lan up",
        "ip link set wan up",
        "ip addr add 10.0.0.1/24 dev lan",
        "ip addr add 2001:db8:1::1/64 dev lan nodad",
        "ip addr add 192.0.2.1/24 dev wan",
    ]);
}
