//! Plans for machines whose description is recorded in `tests/topology`: a file per machine, with
//! the kernel's files as lines of `path=value`, and the affinity that a process starts with.

use std::path::PathBuf;

use portcullis_os::cpus::{CpuId, CpuSet};
use portcullis_os::placement::{Pairing, Plan, PlanError, WorkerThreads, default_cpus, plan};
use portcullis_os::topology::{CoreKind, NodeId, PackageId, Topology, TopologyError};

/// A recorded machine, laid out as files for as long as it lives.
struct Machine {
    root: PathBuf,
    affinity: CpuSet,
}

impl Machine {
    fn recorded(name: &str) -> Self {
        let recorded = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/topology")
            .join(format!("{name}.txt"));
        Self::from_text(name, &std::fs::read_to_string(recorded).unwrap())
    }

    fn from_text(name: &str, text: &str) -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let directory = format!("pcos-{name}-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(directory);
        let mut machine = Self { root, affinity: CpuSet::new() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (path, value) = line.split_once('=').unwrap();
            if path == "affinity" {
                machine.affinity = value.parse().unwrap();
                continue;
            }
            let file = machine.root.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, format!("{value}\n")).unwrap();
        }
        machine
    }

    fn topology(&self) -> Topology {
        Topology::read(&self.root, &self.affinity).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.root);
    }
}

fn set(list: &str) -> CpuSet {
    list.parse().unwrap()
}

/// The plan of a recorded machine: with the default CPUs unless some are named.
fn planned(name: &str, cpus: Option<&str>, workers: Option<usize>) -> Plan {
    planned_as(name, cpus, workers, WorkerThreads::Two)
}

fn planned_as(
    name: &str,
    cpus: Option<&str>,
    workers: Option<usize>,
    threads: WorkerThreads,
) -> Plan {
    let topology = Machine::recorded(name).topology();
    let allowed = cpus.map_or_else(|| default_cpus(&topology, threads), set);
    plan(&topology, &allowed, workers, threads).unwrap()
}

/// A plan of workers with two threads.
fn place(topology: &Topology, allowed: &CpuSet, workers: Option<usize>) -> Result<Plan, PlanError> {
    plan(topology, allowed, workers, WorkerThreads::Two)
}

/// Pipeline and I/O CPU of each worker.
fn places(plan: &Plan) -> Vec<(u16, u16)> {
    plan.workers.iter().map(|worker| (worker.pipeline.0, worker.io.0)).collect()
}

#[test]
fn with_smt_a_worker_has_a_core_and_the_boot_core_is_left_to_the_rest() {
    let plan = planned("smt", None, None);
    assert_eq!(places(&plan), [(1, 5), (2, 6), (3, 7)]);
    assert!(plan.workers.iter().all(|it| it.pairing == Pairing::Siblings && !it.shared));
    assert_eq!(plan.housekeeping, set("0,4"));
    assert_eq!(
        plan.sentence(),
        "3 workers: pipeline and I/O on SMT siblings 1+5, 2+6, 3+7; trap, manager and control on \
         CPUs 0,4"
    );
}

#[test]
fn more_workers_than_cores_split_cores_and_then_share_cpus() {
    let four = planned("smt", None, Some(4));
    assert_eq!(places(&four), [(1, 5), (2, 6), (3, 7), (0, 4)]);
    assert_eq!(four.housekeeping, set("0-7"), "none is free, so all");
    assert!(four.sentence().ends_with("on CPUs 0-7, which workers use too"));

    let six = planned("smt", None, Some(6));
    assert_eq!(places(&six), [(1, 5), (2, 6), (3, 3), (7, 7), (0, 0), (4, 4)]);
    assert!(six.workers.iter().all(|it| it.shared == (it.pairing == Pairing::OneCpu)));
    assert_eq!(
        six.sentence(),
        "6 workers: pipeline and I/O on SMT siblings 1+5, 2+6; pipeline and I/O share a CPU (too \
         few for more) 3, 7, 0, 4; trap, manager and control on CPUs 0-7, which workers use too"
    );

    let ten = planned("smt", None, Some(10));
    assert_eq!(ten.workers.len(), 10);
    assert_eq!((ten.workers[0].pipeline, ten.workers[8].pipeline), (CpuId(1), CpuId(1)));
}

#[test]
fn workers_of_one_thread_have_a_core_each_before_two_share_one() {
    let alone = |name, cpus, workers| planned_as(name, cpus, workers, WorkerThreads::One);
    let plan = alone("smt", None, None);
    assert_eq!(places(&plan), [(1, 1), (2, 2), (3, 3)]);
    assert!(plan.workers.iter().all(|it| it.pairing == Pairing::OneThread && !it.shared));
    assert_eq!(plan.housekeeping, set("0,4"), "not the siblings of workers");
    assert_eq!(
        plan.sentence(),
        "3 workers: one thread for pipeline and I/O on CPUs 1, 2, 3; trap, manager and control on \
         CPUs 0,4"
    );
    let six = alone("smt", None, Some(6));
    assert_eq!(places(&six)[3..], [(0, 0), (5, 5), (6, 6)]);
    assert_eq!(places(&alone("no-smt", None, None)), [(1, 1), (2, 2), (3, 3)]);
    let crowded = alone("no-smt", Some("1-2"), Some(3));
    assert_eq!(places(&crowded), [(1, 1), (2, 2), (1, 1)]);
    let shared: Vec<_> = crowded.workers.iter().map(|it| it.shared).collect();
    assert_eq!(shared, [true, false, true]);
    assert_eq!(plan_error(0), PlanError::NoWorkers);
}

#[test]
fn workers_of_one_thread_have_the_isolated_cpus_and_leave_their_siblings() {
    let alone = |name| planned_as(name, None, None, WorkerThreads::One);
    let halves = alone("isolated-halves");
    assert_eq!(places(&halves), [(2, 2), (3, 3)]);
    assert_eq!(halves.housekeeping, set("0-1,4-5"), "what disturbs a worker's core is no one's");
    assert_eq!(places(&alone("isolated-one")), [(3, 3)]);
    assert_eq!(alone("isolated-one").housekeeping, set("0-2"));
}

fn plan_error(workers: usize) -> PlanError {
    let topology = Machine::recorded("smt").topology();
    plan(&topology, topology.usable(), Some(workers), WorkerThreads::One).unwrap_err()
}

#[test]
fn without_smt_a_worker_has_two_cores() {
    let plan = planned("no-smt", None, None);
    assert_eq!(places(&plan), [(1, 2)]);
    assert_eq!(plan.workers[0].pairing, Pairing::Cores);
    assert_eq!(plan.housekeeping, set("0,3"));
    assert_eq!(
        plan.sentence(),
        "1 worker: pipeline and I/O on distinct cores (no SMT sibling to be had) 1+2; trap, manager \
         and control on CPUs 0,3"
    );
    assert_eq!(places(&planned("no-smt", None, Some(2))), [(1, 2), (3, 0)]);
    assert_eq!(places(&planned("no-smt", None, Some(3))), [(1, 2), (3, 3), (0, 0)]);
}

#[test]
fn performance_cores_come_before_efficiency_cores() {
    let plan = planned("hybrid", None, Some(5));
    assert_eq!(places(&plan), [(2, 3), (4, 5), (6, 7), (0, 1), (8, 9)]);
    assert_eq!(plan.housekeeping, set("10-15"));
    let all = planned("hybrid", None, None);
    assert_eq!(all.workers.len(), 7, "four and four pairs, and one of them for the rest");

    let plan = planned("big-little", None, Some(2));
    assert_eq!(places(&plan), [(4, 5), (6, 7)]);
    assert_eq!(plan.housekeeping, set("0-3"));
}

#[test]
fn a_pair_stays_on_its_numa_node() {
    let plan = planned("two-nodes", None, None);
    assert_eq!(plan.workers.len(), 7);
    let topology = Machine::recorded("two-nodes-no-smt").topology();
    let plan = place(&topology, topology.usable(), Some(2)).unwrap();
    assert_eq!(places(&plan), [(1, 2), (3, 4)]);
    for worker in &plan.workers {
        let node = |id| topology.cpu(id).unwrap().node;
        assert_eq!(node(worker.pipeline), node(worker.io));
    }
    // The odd ones out are on two nodes: no pair of them is made.
    let plan = place(&topology, topology.usable(), Some(3)).unwrap();
    assert_eq!(places(&plan), [(1, 2), (3, 4), (5, 5)]);
}

#[test]
fn isolated_cpus_are_for_workers_and_nothing_else() {
    let plan = planned("isolated", None, None);
    assert_eq!(places(&plan), [(2, 6), (3, 7)]);
    assert_eq!(plan.housekeeping, set("0-1,4-5"));
    assert!(plan.sentence().starts_with("2 workers on isolated CPUs: "), "{}", plan.sentence());

    let mixed = planned("isolated", Some("0-3,5-7"), Some(3));
    assert_eq!(places(&mixed), [(2, 6), (3, 7), (1, 5)], "isolated ones first");
    assert!(mixed.sentence().starts_with("3 workers: "));

    let halves = planned("isolated-halves", None, None);
    assert_eq!(places(&halves), [(2, 6), (3, 7)], "the pipeline has the isolated sibling");
    assert_eq!(halves.housekeeping, set("0-1,4-5"));

    let one = planned("isolated-one", None, None);
    assert_eq!(places(&one), [(3, 1)], "one isolated CPU is the pipeline's");
    assert_eq!(one.housekeeping, set("0,2"));
}

#[test]
fn one_cpu_carries_everything_and_says_so() {
    let plan = planned("one-cpu", None, None);
    assert_eq!(places(&plan), [(0, 0)]);
    assert!(plan.workers[0].shared);
    assert_eq!(
        plan.sentence(),
        "1 worker: pipeline and I/O share a CPU (too few for more) 0; trap, manager and control on \
         CPUs 0, which workers use too"
    );
}

#[test]
fn a_cpuset_and_taskset_are_kept_to() {
    for name in ["container", "container-v1"] {
        let topology = Machine::recorded(name).topology();
        let granted = if name == "container" { "1-2,5-6" } else { "2-3" };
        assert_eq!(topology.usable(), &set(granted), "{name}");
    }
    assert_eq!(places(&planned("container", None, None)), [(1, 5)]);
    assert_eq!(planned("container", None, None).housekeeping, set("2,6"));

    let mut machine = Machine::recorded("isolated");
    assert_eq!(machine.topology().usable(), &set("0-7"), "isolated ones are there to be asked for");
    machine.affinity = set("1,5");
    assert_eq!(machine.topology().usable(), &set("1,5"), "somebody said taskset -c 1,5");
    assert_eq!(machine.topology().isolated(), set(""));
}

#[test]
fn the_file_s_cpus_are_where_workers_go_and_nowhere_else() {
    let plan = planned("smt", Some("2-3,6-7"), None);
    assert_eq!(places(&plan), [(2, 6), (3, 7)]);
    assert_eq!(plan.housekeeping, set("0-1,4-5"));
    let plan = planned("smt", Some("2"), None);
    assert_eq!(places(&plan), [(2, 2)]);

    let topology = Machine::recorded("smt").topology();
    let error = place(&topology, &set("20-21"), None).unwrap_err();
    assert_eq!(error.to_string(), "none of CPUs 20-21 can be used: this process may run on 0-7");
    let error = place(&topology, &set("0-7"), Some(0)).unwrap_err();
    assert_eq!(error, PlanError::NoWorkers);
}

#[test]
fn the_kernel_s_files_are_read_into_what_they_mean() {
    let two = Machine::recorded("two-nodes").topology();
    let cpu = two.cpu(CpuId(13)).unwrap();
    assert_eq!((cpu.package, cpu.node), (PackageId(1), NodeId(1)));
    assert_eq!(cpu.siblings, set("5,13"));
    let hybrid = Machine::recorded("hybrid").topology();
    let kind = |id| hybrid.cpu(CpuId(id)).unwrap().kind;
    assert_eq!((kind(7), kind(8)), (CoreKind::Performance, CoreKind::Efficiency));
    let arm = Machine::recorded("big-little").topology();
    let slow: CpuSet =
        arm.cpus().filter(|cpu| cpu.kind == CoreKind::Efficiency).map(|cpu| cpu.id).collect();
    assert_eq!(slow, set("0-3"), "favoured cores are of the same kind");
}

#[test]
fn a_file_that_is_missing_or_mad_is_an_error_or_a_default() {
    let bare = Machine::from_text("bare", "affinity=0-1\nsys/devices/system/cpu/online=0-1");
    let topology = bare.topology();
    assert_eq!(topology.usable(), &set("0-1"));
    assert!(topology.cpus().all(|cpu| cpu.siblings.len() == 1 && !cpu.isolated));

    let none = Machine::from_text("none", "affinity=0\nsys/x=1");
    let error = Topology::read(&none.root, &none.affinity).unwrap_err();
    assert!(matches!(error, TopologyError::Read { .. }), "{error}");

    let mad = Machine::from_text("mad", "affinity=0\nsys/devices/system/cpu/online=zero");
    let error = Topology::read(&mad.root, &mad.affinity).unwrap_err();
    assert!(error.to_string().contains("cpu/online has `zero` in it"), "{error}");
}

#[test]
fn this_machine_can_be_read_and_planned_for() {
    let topology = Topology::of_this_machine().unwrap();
    let made = place(&topology, &default_cpus(&topology, WorkerThreads::Two), None).unwrap();
    assert!(!made.workers.is_empty() && !made.housekeeping.is_empty());
}
