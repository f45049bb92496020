//! Threads that DPDK knows: they have lcore ids, and buffers go home from each of them.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};

use portcullis_dpdk::{BufferPool, DpdkThreads, Registration, lcore};
use portcullis_os::cpus::{CpuId, CpuSet};
use portcullis_os::threads::{
    Job, JobError, NamespaceChoice, Role, SystemThreads, ThreadHandle, ThreadName, ThreadSpec,
    Threads,
};
use portcullis_packet::Packet;

use crate::support::dpdk;

/// Says its lcore id, drops what it is sent, and ends when nothing more comes.
struct Dropper {
    says: Sender<(Role, Option<u32>)>,
    packets: Receiver<Vec<Packet>>,
    role: Role,
}

impl Job for Dropper {
    fn open(&mut self) -> Result<(), JobError> {
        Ok(())
    }

    fn run(self: Box<Self>) {
        self.says.send((self.role, lcore())).expect("the test listens");
        for packets in self.packets {
            drop(packets);
        }
    }
}

fn start(
    threads: &impl Threads,
    role: Role,
    says: &Sender<(Role, Option<u32>)>,
) -> (ThreadHandle, Sender<Vec<Packet>>) {
    let (sender, packets) = channel();
    let spec = ThreadSpec {
        role,
        name: ThreadName::new(format!("pc-{role}")).expect("a name"),
        cpus: CpuSet::single(CpuId(0)),
        namespace: NamespaceChoice::Private,
        privileges: role.privileges(),
    };
    let job = Dropper { says: says.clone(), packets, role };
    (threads.start(spec, Box::new(job)).expect("it starts"), sender)
}

#[test]
fn threads_with_packets_in_their_hands_are_registered_and_give_buffers_back() {
    let _turn = dpdk();
    let buffers = BufferPool::new(1023, 2048, 0).expect("buffers");
    let threads = DpdkThreads::new(SystemThreads::new(|_| ()));
    let (says, said) = channel();
    let roles = [Role::Io, Role::Pipeline, Role::Pipeline, Role::Trap, Role::Manager];
    let running: Vec<_> = roles.iter().map(|&role| start(&threads, role, &says)).collect();
    let ids: Vec<_> = roles.iter().map(|_| said.recv().expect("its id")).collect();
    let known: HashSet<_> = ids.iter().filter_map(|&(_, id)| id).collect();
    assert_eq!(known.len(), 4, "each has an id of its own: {ids:?}");
    assert!(ids.contains(&(Role::Manager, None)), "the manager has no packets: {ids:?}");
    for (_, packets) in &running {
        let mut batch = Vec::new();
        assert!(buffers.take(200, &mut batch));
        assert_eq!(buffers.available(), 1023 - 200);
        packets.send(batch).expect("it lives");
        while buffers.available() < 1023 {
            std::thread::yield_now();
        }
    }
    for (thread, packets) in running {
        drop(packets);
        thread.join().expect("no panic");
    }
    assert_eq!(lcore(), None, "this one is not registered");
}

#[test]
fn threads_start_and_stop_a_thousand_times_with_the_ids_of_those_before_them() {
    let _turn = dpdk();
    let mut ids = HashSet::new();
    for _ in 0..1000 {
        let id = std::thread::spawn(|| {
            let registration = Registration::new().expect("a place");
            assert_eq!(lcore(), Some(registration.lcore()));
            registration.lcore()
        });
        ids.insert(id.join().expect("no panic"));
    }
    assert!(ids.len() < 8, "{ids:?}");
}

#[test]
fn the_place_of_a_thread_that_panics_is_free_again() {
    let _turn = dpdk();
    let taken = || {
        std::thread::spawn(|| {
            let registration = Registration::new().expect("a place");
            let id = registration.lcore();
            std::panic::panic_any(id);
        })
    };
    let id = |panic: Box<dyn std::any::Any + Send>| *panic.downcast::<u32>().expect("the id");
    let first = id(taken().join().expect_err("it panics"));
    for _ in 0..200 {
        assert_eq!(id(taken().join().expect_err("it panics")), first);
    }
}
