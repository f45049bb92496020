//! A `link` and a `vpc` namespace, a manager in it, and a worker that looks at what it publishes.

use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_manager::{
    ApplyError, Change, Dataplane, Handle, InterfaceSetup, LinkSockets, Manager, Resolve, Setup,
    StaticRoute, Status,
};
use portcullis_os::netns::{self, NetnsHandle};
use portcullis_os::tap::{Tap, TapName};
use portcullis_packet::{Mac, NextHopId, TxOffload};
use portcullis_routing::{NextHop, Snapshot};
use portcullis_tables::Subscriber;

/// How long the manager may take for anything, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is not the same in all tests.
pub(crate) struct Options {
    pub(crate) addresses: Vec<&'static str>,
    pub(crate) routes: Vec<StaticRoute>,
    pub(crate) mtu: Option<u16>,
    pub(crate) receive_buffer: usize,
    pub(crate) resolve: Option<Resolve>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            addresses: vec!["10.0.0.1/24", "2001:db8::1/64"],
            routes: vec![],
            mtu: None,
            receive_buffer: Setup::RECEIVE_BUFFER,
            resolve: None,
        }
    }
}

/// Two namespaces with two interfaces, `wan` and `lan`: taps in one, veths in the other whose
/// peers, `wan-peer` and `lan-peer`, are there as well.
pub(crate) struct Ground {
    pub(crate) vpc: NetnsHandle,
    pub(crate) link: NetnsHandle,
    taps: Vec<Tap>,
}

impl Ground {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |what| format!("pcm-{what}-{}-{number}", std::process::id());
        let vpc = netns::create(&name("vpc")).expect("a namespace");
        let link = netns::create(&name("link")).expect("a namespace");
        let ground = Self { vpc, link, taps: vec![] };
        for port in ["wan", "lan"] {
            let device = format!("{port}0");
            let peer = format!("{port}-peer");
            ground.in_link(&["link", "add", &device, "type", "veth", "peer", "name", &peer]);
            ground.in_link(&["link", "set", &peer, "up"]);
        }
        ground
    }

    /// Opens the taps, which stay open as long as this is there.
    pub(crate) fn open_taps(&mut self) {
        self.taps = netns::run_in(&self.vpc, || {
            ["wan", "lan"].map(|name| Tap::open(&TapName::new(name).unwrap()).unwrap()).into()
        })
        .expect("taps");
    }

    pub(crate) fn in_vpc(&self, arguments: &[&str]) {
        ip(self.vpc.name(), arguments);
    }

    pub(crate) fn in_link(&self, arguments: &[&str]) {
        ip(self.link.name(), arguments);
    }

    pub(crate) fn show_vpc(&self, arguments: &[&str]) -> String {
        show(self.vpc.name(), arguments)
    }

    pub(crate) fn show_link(&self, arguments: &[&str]) -> String {
        show(self.link.name(), arguments)
    }

    /// Begins to note what is announced of addresses and routes in `vpc`.
    pub(crate) fn monitor(&self) -> Monitor {
        let ip = ["-n", self.vpc.name(), "monitor", "address", "route"];
        let child = Command::new("ip").args(ip).stdout(Stdio::piped()).spawn().expect("ip");
        std::thread::sleep(Duration::from_millis(200));
        Monitor(child)
    }

    /// Many commands at once, as fast as `ip` can.
    pub(crate) fn batch(&self, commands: &str) {
        use std::io::Write;
        let mut child = Command::new("ip")
            .args(["-n", self.vpc.name(), "-batch", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("ip");
        child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.taps.clear();
        let _ = netns::delete(self.vpc.name());
        let _ = netns::delete(self.link.name());
    }
}

fn ip(namespace: &str, arguments: &[&str]) {
    let out = Command::new("ip").args(["-n", namespace]).args(arguments).output().expect("ip");
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "ip {}: {error}", arguments.join(" "));
}

fn show(namespace: &str, arguments: &[&str]) -> String {
    let out = Command::new("ip").args(["-n", namespace]).args(arguments).output().expect("ip");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// `ip monitor`, and what it says.
pub(crate) struct Monitor(Child);

impl Monitor {
    pub(crate) fn stop(mut self) -> String {
        // What was announced before is written by now, or very soon.
        std::thread::sleep(Duration::from_millis(200));
        let _ = self.0.kill();
        let mut text = String::new();
        let mut said = self.0.stdout.take().expect("a pipe");
        std::io::Read::read_to_string(&mut said, &mut text).expect("text");
        let _ = self.0.wait();
        text
    }
}

/// A manager at work.
pub(crate) struct World {
    pub(crate) handle: Handle,
    pub(crate) runtime: tokio::runtime::Runtime,
    worker: Subscriber<Snapshot>,
    thread: Option<JoinHandle<()>>,
    pub(crate) ground: Ground,
}

impl World {
    pub(crate) fn start(options: Options) -> Self {
        let mut ground = Ground::new();
        ground.open_taps();
        Self::start_on(ground, options)
    }

    pub(crate) fn start_on(ground: Ground, options: Options) -> Self {
        let mut dataplane = Dataplane::new().expect("tables");
        let mut worker = dataplane.publisher.subscribe();
        worker.park();
        let interface = |name: &str, addresses: &[&str]| InterfaceSetup {
            name: name.into(),
            device: portcullis_manager::DeviceSetup::Kernel(format!("{name}0").into()),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: options.mtu,
            addresses: addresses.iter().map(|net| net.parse().expect("a network")).collect(),
            offload: TxOffload::default(),
        };
        let setup = Setup {
            interfaces: vec![interface("wan", &options.addresses), interface("lan", &[])],
            routes: options.routes,
            policy: Arc::default(),
            dataplane,
            link: Some(netns::run_in(&ground.link, LinkSockets::open).unwrap().unwrap()),
            foreign: None,
            resolve: options.resolve,
            receive_buffer: options.receive_buffer,
        };
        let (manager, handle) =
            netns::run_in(&ground.vpc, || Manager::new(setup)).unwrap().expect("a manager");
        let thread = std::thread::spawn(move || manager.run().expect("no error"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut world = Self { handle, runtime, worker, thread: Some(thread), ground };
        world.eventually("the manager is ready", |world| world.status().ready);
        world
    }

    pub(crate) fn status(&self) -> Status {
        self.runtime.block_on(self.handle.status()).expect("a status")
    }

    /// Waits until it is so, and says how long that took. The worker takes every snapshot
    /// meanwhile.
    pub(crate) fn eventually(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&mut Self) -> bool,
    ) -> Duration {
        let start = Instant::now();
        loop {
            self.worker.unpark();
            let so = is_so(self);
            self.worker.park();
            if so {
                return start.elapsed();
            }
            if start.elapsed() > PATIENCE {
                let routes = self.ground.show_vpc(&["route", "show", "table", "all"]);
                let routes: Vec<_> = routes.lines().take(40).collect();
                let status = self.status();
                let interfaces = &self.worker.current().interfaces;
                panic!("never: {what}\n{status:#?}\n{interfaces:#?}\n{routes:#?}");
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Gives the manager another configuration, which takes effect while the worker sleeps.
    pub(crate) fn apply(&mut self, change: Change) -> Result<(), ApplyError> {
        self.runtime.block_on(self.handle.apply(change))
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        self.worker.current()
    }

    pub(crate) fn lookup(&self, address: &str) -> NextHopId {
        let vrf = &self.snapshot().vrfs[0];
        match address.parse().expect("an address") {
            IpAddr::V4(address) => vrf.fib4.lookup(address.into()),
            IpAddr::V6(address) => vrf.fib6.lookup(address.into()),
        }
    }

    /// What is done with packets to this address.
    pub(crate) fn way(&self, address: &str) -> NextHop {
        self.snapshot().next_hops.get(self.lookup(address))
    }

    /// The different members of the group that an address leads to.
    pub(crate) fn members(&self, address: &str) -> Vec<NextHop> {
        let NextHop::Group { first, mask } = self.way(address) else { return vec![] };
        let hops = &self.snapshot().next_hops;
        let mut ids: Vec<_> = (0..=mask).map(|hash| hops.member(first, mask, hash)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(|id| hops.get(id)).collect()
    }

    pub(crate) fn expect(&mut self, address: &str, wanted: NextHop) -> Duration {
        let what = format!("{address} is {wanted:?}");
        self.eventually(&what, |world| world.way(address) == wanted)
    }

    /// Stops the manager, and leaves the ground as it is.
    pub(crate) fn stop(mut self) -> Ground {
        self.finish();
        std::mem::replace(&mut self.ground, Ground::new())
    }

    fn finish(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the manager failed");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A next hop towards a router that has not been found yet.
pub(crate) fn unresolved(interface: u16, gateway: &str) -> NextHop {
    let gateway = gateway.parse().expect("an address");
    NextHop::Unresolved { interface: portcullis_packet::IfIndex(interface), gateway }
}
