//! What is read back from `/proc`, by a thread that has nothing left.

use std::sync::mpsc::channel;
use std::time::Duration;

use portcullis_os::cpus::CpuSet;
use portcullis_os::privileges::Privileges;
use portcullis_os::proc::{SeccompMode, ThreadStatus, threads, threads_of};
use portcullis_os::process::forbid_dumps;
use portcullis_os::threads::{
    NamespaceChoice, Role, SystemThreads, ThreadHandle, ThreadName, ThreadSpec, Threads,
    confine_this_thread,
};

use crate::support::{TestNetns, in_own_process};
use crate::threads::job;

fn started(
    role: Role,
    name: &str,
    namespace: NamespaceChoice,
    run: impl FnOnce() + Send + 'static,
) -> ThreadHandle {
    let spec = ThreadSpec {
        role,
        name: ThreadName::new(name).unwrap(),
        cpus: CpuSet::single(CpuSet::of_this_thread().unwrap().iter().next().unwrap()),
        namespace,
        privileges: role.privileges(),
    };
    SystemThreads::new(|_| {}).start(spec, job(run)).unwrap()
}

#[test]
fn a_thread_without_rights_reads_everything_about_the_others() {
    let test = "proc::a_thread_without_rights_reads_everything_about_the_others";
    let output = in_own_process(test, &[], || {
        let netns = TestNetns::new("read");
        let inode = netns.handle.inode();
        forbid_dumps().unwrap();
        let (stop, stopped) = channel::<()>();
        let run = move || {
            while stopped.recv_timeout(Duration::ZERO).is_err() {
                std::hint::spin_loop();
            }
        };
        let io = started(Role::Io, "pc-io-0", NamespaceChoice::At(netns.handle.clone()), run);
        let tid = u32::try_from(io.tid.as_raw_nonzero().get()).unwrap();
        std::thread::sleep(Duration::from_millis(60));

        let (tell, told) = channel();
        let reader = std::thread::spawn(move || {
            confine_this_thread(Role::Control, Privileges::NONE).unwrap();
            tell.send((threads(), threads_of(std::process::id()))).unwrap();
        });
        reader.join().unwrap();
        stop.send(()).unwrap();
        io.join().unwrap();

        let (own, by_pid) = told.recv().unwrap();
        let find = |found: Vec<ThreadStatus>| found.into_iter().find(|it| it.tid == tid).unwrap();
        let io = find(own.unwrap());
        assert_eq!(find(by_pid.unwrap()).netns, io.netns);
        assert_eq!(io.name, "pc-io-0");
        assert_eq!((io.effective, io.permitted), (Privileges::NET_RAW, Privileges::NET_RAW));
        for set in [io.inheritable, io.bounding, io.ambient] {
            assert_eq!(set, Privileges::NONE);
        }
        assert!(io.no_new_privs);
        assert_eq!(io.seccomp, SeccompMode::Filter);
        assert_eq!(io.netns, Some(inode));
        assert_eq!(io.cpus_allowed.len(), 1);
        assert!(io.cpus_allowed.contains(io.last_cpu));
        assert!(io.run_time > Duration::from_millis(5), "{:?}", io.run_time);
    });
    assert!(output.status.success(), "{output:?}");
}
