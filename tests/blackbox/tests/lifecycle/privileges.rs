//! Each thread's namespace, capabilities, filter and CPU, read from `/proc` and compared with the
//! table of threads.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use portcullis_blackbox::{
    Forwarder, Host, Lab, Pair, PairOptions, Task, locks_memory, on_one_thread, sees_the_wire,
    tasks, uses_dpdk,
};

const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;
const IPC_LOCK: u64 = 1 << 14;
const SYS_ADMIN: u64 = 1 << 21;

/// What a line of the table of threads says.
struct Line {
    /// How the thread's name starts.
    name: &'static str,
    /// How many there are for each worker; none where the number is free.
    per_worker: Option<usize>,
    namespace: Namespace,
    /// The capabilities that it may have.
    may: u64,
    /// Those that it has.
    must: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Namespace {
    Host,
    Link,
    Vpc,
    Private,
}

const TABLE: [Line; 4] = [
    Line { name: "pc-io-", per_worker: Some(1), namespace: Namespace::Link, may: NET_RAW, must: 0 },
    Line { name: "pc-pipe-", per_worker: Some(1), namespace: Namespace::Private, may: 0, must: 0 },
    Line { name: "pc-trap", per_worker: None, namespace: Namespace::Vpc, may: 0, must: 0 },
    Line {
        name: "pc-vpc",
        per_worker: None,
        namespace: Namespace::Vpc,
        may: NET_ADMIN,
        must: NET_ADMIN,
    },
];

/// With interfaces on DPDK: I/O threads keep nothing, and there are threads of DPDK's own, which have sockets and, with
/// net_af_packet, locked rings.
const DPDK: [Line; 3] = [
    Line { name: "pc-io-", per_worker: Some(1), namespace: Namespace::Link, may: 0, must: 0 },
    Line {
        name: "pc-dpdk",
        per_worker: None,
        namespace: Namespace::Link,
        may: NET_ADMIN | NET_RAW,
        must: NET_RAW,
    },
    Line {
        name: "eal-",
        per_worker: None,
        namespace: Namespace::Link,
        may: NET_ADMIN | NET_RAW,
        must: 0,
    },
];

/// A worker that is one thread, in the place of both.
const ONE_THREAD: Line =
    Line { name: "pc-worker-", per_worker: Some(1), namespace: Namespace::Link, may: 0, must: 0 };

fn table() -> Vec<Line> {
    let with_dpdk = uses_dpdk();
    let dpdk = DPDK.map(|line| match line.may {
        0 => line,
        // net_memif is memory and a socket in the file system.
        _ if !sees_the_wire() => Line { may: 0, must: 0, ..line },
        may => Line { may: if locks_memory() { may | IPC_LOCK } else { may }, ..line },
    });
    let others = TABLE.into_iter().filter(|line| !with_dpdk || line.name != "pc-io-");
    let all = others.chain(dpdk.into_iter().filter(|_| with_dpdk));
    if on_one_thread() {
        let of_two = ["pc-io-", "pc-pipe-"];
        all.filter(|line| !of_two.contains(&line.name)).chain([ONE_THREAD]).collect()
    } else {
        all.collect()
    }
}

/// The main thread and its helpers, whatever they are called.
const CONTROL: Line =
    Line { name: "", per_worker: None, namespace: Namespace::Host, may: 0, must: 0 };

fn inode(host: &Host) -> u64 {
    let path = format!("/run/netns/{}", host.namespace());
    std::fs::metadata(path).expect("the namespace has a name").ino()
}

fn expect(task: &Task, line: &Line, namespaces: &BTreeMap<u64, Namespace>) {
    let [inheritable, permitted, effective, bounding, ambient] = task.capabilities;
    assert_eq!((inheritable, ambient), (0, 0), "{task:?}");
    for set in [permitted, effective, bounding] {
        assert_eq!(set & !line.may, 0, "more than it may have: {task:?}");
    }
    assert_eq!(effective & line.must, line.must, "less than it needs: {task:?}");
    assert!(task.no_new_privileges, "{task:?}");
    assert_eq!(task.seccomp, 2, "{task:?}");
    let namespace = namespaces.get(&task.network).copied().unwrap_or(Namespace::Private);
    assert_eq!(namespace, line.namespace, "{task:?}");
}

fn check(workers: usize) {
    let lab = Lab::new(&format!("each_thread_is_as_the_table_says_with_{workers}_workers"));
    let options = PairOptions { gateway: format!("workers = {workers}"), ..PairOptions::default() };
    let mut pair = Pair::with(&lab, Forwarder::Portcullis, &options);
    let host = pair.gateway.host.clone();
    let portcullis = pair.gateway.portcullis();
    let namespaces = BTreeMap::from([
        (inode(&host), Namespace::Host),
        (inode(&portcullis.link), Namespace::Link),
        (inode(&portcullis.vpc), Namespace::Vpc),
    ]);
    let tasks = tasks(portcullis.gateway_pid());
    let table = table();

    for task in &tasks {
        let line = table.iter().find(|line| task.name.starts_with(line.name)).unwrap_or(&CONTROL);
        expect(task, line, &namespaces);
    }
    for line in &table {
        let count = tasks.iter().filter(|task| task.name.starts_with(line.name)).count();
        let expected = line.per_worker.map_or(1, |each| each * workers);
        assert_eq!(count, expected, "threads named {}: {tasks:#?}", line.name);
    }

    // The fast threads sit on one CPU each; a pair shares one only where there are too few.
    let cpu = |name: &str| {
        let task = tasks.iter().find(|task| task.name == name);
        let task = task.unwrap_or_else(|| panic!("no {name}"));
        task.cpus.parse::<u32>().unwrap_or_else(|_| panic!("{name} may run on {}", task.cpus))
    };
    for worker in 0..workers {
        if on_one_thread() {
            cpu(&format!("pc-worker-{worker}"));
            continue;
        }
        let pair = (cpu(&format!("pc-io-{worker}")), cpu(&format!("pc-pipe-{worker}")));
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(cpus < 2 * workers || pair.0 != pair.1, "worker {worker} has one CPU of {cpus}");
    }

    // A pipeline's namespace is of its own, and empty but for a loopback that is down.
    let mut private = Vec::new();
    for task in tasks.iter().filter(|task| task.name.starts_with("pc-pipe-")) {
        private.push(task.network);
        let process = portcullis.gateway_pid();
        let path = format!("--net=/proc/{process}/task/{}/ns/net", task.id);
        let links = host.run(&format!("nsenter {path} ip -br link"));
        assert_eq!(links.lines().count(), 1, "{links}");
        assert!(links.starts_with("lo ") && links.contains("DOWN"), "{links}");
    }
    assert!(private.iter().all(|inode| !namespaces.contains_key(inode)));
}

#[test]
fn each_thread_is_as_the_table_says() {
    check(1);
}

#[test]
fn each_thread_of_two_workers_is_as_the_table_says() {
    check(2);
}

#[test]
fn the_parent_keeps_what_giving_devices_back_takes_and_no_more() {
    let lab = Lab::new("the_parent_keeps_what_giving_devices_back_takes_and_no_more");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let tasks = tasks(pair.gateway.portcullis().pid());
    assert_eq!(tasks.len(), 1, "{tasks:#?}");
    for task in tasks {
        let [inheritable, permitted, effective, bounding, ambient] = task.capabilities;
        assert_eq!((inheritable, ambient), (0, 0), "{task:?}");
        for set in [permitted, effective, bounding] {
            assert_eq!(set & !(SYS_ADMIN | NET_ADMIN), 0, "{task:?}");
        }
        assert!(task.no_new_privileges, "{task:?}");
        assert_eq!(task.seccomp, 2, "{task:?}");
    }
}

#[test]
fn show_threads_tells_what_proc_tells() {
    let lab = Lab::new("show_threads_tells_what_proc_tells");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let portcullis = pair.gateway.portcullis();
    let shown = portcullis.show("threads");
    for task in tasks(portcullis.gateway_pid()) {
        let row = shown.iter().find(|row| row["tid"] == task.id);
        let row = row.unwrap_or_else(|| panic!("{} is not shown: {shown:#?}", task.name));
        assert_eq!(row["name"], task.name);
        assert_eq!(row["cpus_allowed"], task.cpus);
        assert_eq!(row["no_new_privs"], task.no_new_privileges);
        assert_eq!(row["seccomp"], "filter");
        let names = row["cap_effective"].as_array().map_or(0, Vec::len);
        assert_eq!(u32::try_from(names), Ok(task.capabilities[2].count_ones()), "{row}");
    }
}

#[test]
fn the_control_socket_is_the_owners_alone() {
    let lab = Lab::new("the_control_socket_is_the_owners_alone");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let socket = pair.gateway.portcullis().socket().to_owned();
    let mode = std::fs::metadata(&socket).expect("the socket is there").mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(pair.gateway.portcullis().stop().success());
    assert!(!socket.exists(), "a clean stop takes the socket away");
}
