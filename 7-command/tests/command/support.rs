//! A gateway that is none: it answers at a control socket with rows that never change.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use portcullis_api::rows::FlushRow;
use portcullis_api::rows::{
    ConfigRow, CounterRow, DropRow, InterfaceRow, NeighborRow, NeighborState, NextHopRow,
    NextHopState, RouteKind, RouteRow, SeccompMode, ThreadRow,
};
use portcullis_api::server::{AnswerError, ControlSocket, Handler, Limits, Reply, serve};
use portcullis_api::{FlowQuery, Flush, Greeting, Request, Show};
use portcullis_config::{Config, Host};

use crate::canned;

/// A file in which nothing is wrong.
pub(crate) const GOOD: &str = r#"
[gateway]
name = "gw1"

[[interface]]
name = "wan"
device = "eth1"
addresses = ["203.0.113.1/24"]

[[interface]]
name = "lan"
device = "eth2"

[[route]]
to = "0.0.0.0/0"
via = ["203.0.113.254"]
"#;

/// Runs the command, without a terminal and with nothing of the environment that matters to it.
pub(crate) fn portcullis(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["NO_COLOR", "PORTCULLIS_LOG", "JOURNAL_STREAM"] {
        command.env_remove(variable);
    }
    command
}

/// What became of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the command runs");
        let text = |bytes| String::from_utf8(bytes).expect("what it says is text");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

/// What is printed is what was recorded in `golden`; `BLESS=1` records what is printed now.
pub(crate) fn golden(name: &str, printed: &str) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/command/golden/{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, printed).expect("recorded");
    }
    assert_eq!(printed, std::fs::read_to_string(&path).unwrap_or_default(), "{name}");
    for line in printed.lines() {
        assert_eq!(line, line.trim_end(), "{name} has spaces at the end of a line");
    }
}

/// A directory that goes with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pc-cli-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The gateway, in a thread of its own.
pub(crate) struct FakeGateway {
    name: String,
    directory: Directory,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeGateway {
    pub(crate) fn start(name: &str) -> Self {
        let directory = Directory::new(name);
        let path = directory.path().join("gw1.sock");
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let socket = ControlSocket::bind(&path).expect("a socket");
                ready.send(()).expect("the test waits");
                let greeting = Greeting::new("0.1.0", "gw1");
                tokio::select! {
                    () = serve(socket.listener(), greeting, Arc::new(Canned), Limits::default()) => {}
                    _ = stopped => {}
                }
            });
        });
        is_ready.recv().expect("it starts");
        Self { name: name.to_owned(), directory, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("gw1.sock")
    }

    /// What the test calls it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `portcullis show` against it.
    pub(crate) fn show(&self, arguments: &[&str]) -> Outcome {
        self.run(&[&["show"], arguments].concat())
    }

    /// Runs a command against it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(arguments))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = portcullis(arguments);
        command.arg("--socket").arg(self.socket());
        command
    }
}

impl Drop for FakeGateway {
    fn drop(&mut self) {
        drop(self.stop.take());
        _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Canned;

impl Handler for Canned {
    async fn answer(&self, request: Request, reply: &mut Reply<'_>) -> Result<(), AnswerError> {
        let show = match request {
            Request::Show(show) => show,
            Request::Flush(Flush::Flows(flush)) => {
                let query = FlowQuery { filter: flush.filter, ..FlowQuery::default() };
                let flows = canned::flows(&query).len() as u64;
                return rows(reply, [FlushRow { flows }]).await;
            }
            Request::Change(change) => return canned::change(change, reply).await,
        };
        match show {
            Show::Threads {} => rows(reply, threads()).await,
            Show::Interfaces {} => rows(reply, interfaces()).await,
            // A protocol that stands for a table without end, or for one that breaks off.
            Show::Routes(filter) if filter.protocol.as_deref() == Some("endless") => loop {
                rows(reply, routes()).await?;
            },
            Show::Routes(filter) if filter.protocol.as_deref() == Some("broken") => {
                rows(reply, routes()).await?;
                Err(AnswerError::Refused("the table is being rebuilt".to_owned()))
            }
            Show::Routes(filter) => {
                let mut found = routes();
                found.retain(|route| filter.admits(&route.prefix, &route.protocol));
                if filter.to.is_some() {
                    found.sort_by_key(|route| (route.prefix.prefix_len(), route.installed));
                    found = found.pop().into_iter().collect();
                }
                rows(reply, found).await
            }
            Show::Neighbors(filter) => {
                let admitted = |row: &NeighborRow| {
                    filter.interface.as_ref().is_none_or(|wanted| *wanted == row.interface)
                };
                rows(reply, neighbors().into_iter().filter(admitted)).await
            }
            Show::Drops {} => rows(reply, drops()).await,
            Show::Counters {} => rows(reply, counters()).await,
            Show::Config {} => rows(reply, [config()]).await,
            Show::Flows(query) => rows(reply, canned::flows(&query)).await,
            Show::Nat(query) => rows(reply, canned::nat(query.mappings)).await,
            Show::Firewall {} => rows(reply, canned::firewall()).await,
        }
    }
}

pub(crate) async fn rows<R: portcullis_api::rows::Row + Send + Sync>(
    reply: &mut Reply<'_>,
    rows: impl IntoIterator<Item = R, IntoIter: Send>,
) -> Result<(), AnswerError> {
    for row in rows {
        reply.row(&row).await?;
    }
    Ok(())
}

fn threads() -> Vec<ThreadRow> {
    let thread = |name: &str, tid, role: &str, namespace: &str, cpu: u32, has: &[&str]| {
        let has: Vec<String> = has.iter().map(ToString::to_string).collect();
        ThreadRow {
            name: name.into(),
            tid,
            role: role.into(),
            namespace: namespace.into(),
            cpus_allowed: cpu.to_string(),
            last_cpu: cpu,
            cap_effective: has.clone(),
            cap_permitted: has.clone(),
            cap_inheritable: Vec::new(),
            cap_bounding: has,
            cap_ambient: Vec::new(),
            no_new_privs: true,
            seccomp: SeccompMode::Filter,
            cpu_time_seconds: f64::from(cpu) * 700.25,
            state: if cpu > 0 { "R".into() } else { "S".into() },
        }
    };
    let mut stray = thread("stray", 4105, "control", "host", 0, &[]);
    stray.cap_bounding = (0..41).map(|bit| format!("CAP_{bit}")).collect();
    stray.no_new_privs = false;
    stray.seccomp = SeccompMode::Disabled;
    vec![
        thread("pc-main", 4100, "control", "host", 0, &[]),
        thread("pc-vpc", 4101, "vpc-manager", "vpc", 0, &["CAP_NET_ADMIN"]),
        thread("pc-trap", 4102, "trap", "vpc", 0, &[]),
        thread("pc-io-0", 4103, "io", "link", 2, &["CAP_NET_RAW"]),
        thread("pc-pipe-0", 4104, "pipeline", "private", 3, &[]),
        stray,
    ]
}

fn interfaces() -> Vec<InterfaceRow> {
    let net = |text: &str| text.parse().expect("an address");
    let wan = InterfaceRow {
        name: "wan".into(),
        index: 0,
        driver: "af-packet".into(),
        device: "eth1".into(),
        mac: "02:00:00:00:00:01".into(),
        mtu: 1500,
        admin_up: true,
        carrier: true,
        addresses: vec![net("203.0.113.1/24"), net("2001:db8:1::1/64")],
        zone: "untrusted".into(),
        rx_packets: 12_345_678,
        rx_bytes: 9_876_543_210,
        tx_packets: 1234,
        tx_bytes: 567_890,
        drops: 17,
        offloads: vec!["rx-checksum".into(), "tso".into()],
        problem: None,
    };
    let lan = InterfaceRow {
        name: "lan".into(),
        index: 1,
        device: "eth2".into(),
        mac: "02:00:00:00:00:02".into(),
        mtu: 9000,
        carrier: false,
        addresses: vec![net("10.0.0.1/24")],
        zone: "trusted".into(),
        rx_packets: 0,
        rx_bytes: 0,
        tx_packets: 0,
        tx_bytes: 0,
        drops: 0,
        ..wan.clone()
    };
    let dmz = InterfaceRow {
        name: "dmz".into(),
        index: 2,
        device: "eth3".into(),
        admin_up: false,
        addresses: Vec::new(),
        ..lan.clone()
    };
    let sync = InterfaceRow {
        name: "sync".into(),
        index: 3,
        device: "eth4".into(),
        problem: Some("no device \"eth4\" in this network namespace".into()),
        ..lan.clone()
    };
    vec![wan, lan, dmz, sync]
}

fn routes() -> Vec<RouteRow> {
    let hop = |via: &str, interface: &str, weight, state| NextHopRow {
        via: via.parse().ok(),
        interface: Some(interface.to_owned()).filter(|name| !name.is_empty()),
        weight,
        state,
    };
    let route = |prefix: &str, kind, protocol: &str, metric, next_hops| RouteRow {
        vrf: 0,
        prefix: prefix.parse().expect("a prefix"),
        kind,
        protocol: protocol.into(),
        metric,
        next_hops,
        installed: true,
    };
    use NextHopState::{Down, Resolved, Unresolved};
    let wan = hop("203.0.113.254", "wan", 1, Resolved);
    let mut backup = route("0.0.0.0/0", RouteKind::Unicast, "ospf", 110, vec![wan.clone()]);
    backup.installed = false;
    let mut other_vrf = route("10.9.0.0/16", RouteKind::Unicast, "bgp", 20, vec![wan.clone()]);
    other_vrf.vrf = 7;
    vec![
        route("0.0.0.0/0", RouteKind::Unicast, "bgp", 20, vec![wan]),
        backup,
        route("10.0.0.0/24", RouteKind::Connected, "kernel", 0, vec![hop("", "lan", 1, Resolved)]),
        route("10.0.0.1/32", RouteKind::Local, "kernel", 0, vec![hop("", "lan", 1, Resolved)]),
        other_vrf,
        route("192.168.0.0/16", RouteKind::Blackhole, "static", 0, Vec::new()),
        route(
            "198.51.100.0/24",
            RouteKind::Unicast,
            "static",
            0,
            vec![hop("10.0.0.2", "lan", 1, Down), hop("10.0.0.3", "lan", 3, Unresolved)],
        ),
        route("::/0", RouteKind::Unicast, "bgp", 20, vec![hop("fe80::2", "wan", 1, Resolved)]),
    ]
}

fn neighbors() -> Vec<NeighborRow> {
    let neighbor = |interface: &str, address: &str, mac: Option<&str>, state| NeighborRow {
        interface: interface.into(),
        address: address.parse().expect("an address"),
        mac: mac.map(Into::into),
        state,
    };
    vec![
        neighbor("wan", "203.0.113.254", Some("02:00:00:00:01:fe"), NeighborState::Reachable),
        neighbor("wan", "fe80::2", Some("02:00:00:00:01:fe"), NeighborState::Stale),
        neighbor("lan", "10.0.0.9", None, NeighborState::Failed),
    ]
}

fn drops() -> Vec<DropRow> {
    let row = |reason: &str, packets, help: &str| DropRow {
        reason: reason.into(),
        packets,
        help: help.into(),
    };
    vec![
        row("ttl-exceeded", 12, "The TTL or hop limit ran out."),
        row("no-route", 1_234_567, "No route to the destination."),
        row("tx-full", 0, "The device's transmit queue stayed full."),
    ]
}

fn counters() -> Vec<CounterRow> {
    let row = |name: &str, interface: &str, value| CounterRow {
        name: name.into(),
        labels: [("interface".to_owned(), interface.to_owned()), ("worker".into(), "0".into())]
            .into(),
        value,
        help: "Frames.".into(),
    };
    vec![
        row("rx_packets", "wan", 12_345_678),
        row("tx_packets", "wan", 1234),
        row("rx_packets", "lan", 0),
    ]
}

fn config() -> ConfigRow {
    let text = "[[interface]]\nname = \"wan\"\ndevice = \"eth1\"\n";
    let config = Config::parse("a", text, &Host { name: "gw1" }).expect("a good one");
    ConfigRow {
        file: "/etc/portcullis/portcullis.toml".into(),
        toml: config.to_toml(),
        config: config.to_json(),
    }
}
