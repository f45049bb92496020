//! Threads of each role: what is left to them, what they can do, how they end.

use std::sync::mpsc::channel;

use portcullis_os::cpus::CpuSet;
use portcullis_os::netns::NetnsHandle;
use portcullis_os::threads::{
    Job, JobError, NamespaceChoice, Role, SystemThreads, ThreadEnd, ThreadName, ThreadSpec, Threads,
};

use crate::support::{TestNetns, in_own_process, must_be_root};

/// A job made of two closures.
struct Work<O, R>(O, R);

impl<O, R> Job for Work<O, R>
where
    O: FnMut() -> Result<(), JobError> + Send,
    R: FnOnce() + Send,
{
    fn open(&mut self) -> Result<(), JobError> {
        (self.0)()
    }

    fn run(self: Box<Self>) {
        (self.1)();
    }
}

pub(crate) fn job(run: impl FnOnce() + Send + 'static) -> Box<dyn Job> {
    Box::new(Work(|| Ok(()), run))
}

fn spec(role: Role, namespace: NamespaceChoice) -> ThreadSpec {
    ThreadSpec {
        role,
        name: ThreadName::new("pc-test").unwrap(),
        cpus: CpuSet::of_this_thread().unwrap(),
        namespace,
        privileges: role.privileges(),
    }
}

fn status_of(tid: rustix::thread::Pid) -> String {
    std::fs::read_to_string(format!("/proc/self/task/{}/status", tid.as_raw_nonzero())).unwrap()
}

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

#[test]
fn every_role_is_cut_to_its_capabilities_when_start_returns() {
    must_be_root();
    let netns = TestNetns::new("roles");
    let threads = SystemThreads::new(|_| {});
    for role in Role::ALL {
        let (stop, stopped) = channel::<()>();
        let spec = spec(role, NamespaceChoice::At(netns.handle.clone()));
        let handle = threads.start(spec, job(move || assert!(stopped.recv().is_ok()))).unwrap();
        let status = status_of(handle.tid);
        let namespace =
            std::fs::read_link(format!("/proc/self/task/{}/ns/net", handle.tid.as_raw_nonzero()));
        stop.send(()).unwrap();
        handle.join().unwrap();

        let kept = format!("{:016x}", role.privileges().bits());
        let none = format!("{:016x}", 0);
        for (name, value) in [
            ("CapEff", &kept),
            ("CapPrm", &kept),
            ("CapInh", &none),
            ("CapBnd", &none),
            ("CapAmb", &none),
        ] {
            assert_eq!(&field(&status, name), value, "{role} {name}");
        }
        assert_eq!(field(&status, "NoNewPrivs"), "1", "{role}");
        assert_eq!(field(&status, "Seccomp"), "2", "{role}: a filter");
        assert_eq!(field(&status, "Name"), "pc-test");
        let expected = format!("net:[{}]", netns.handle.inode());
        assert_eq!(namespace.unwrap().to_str(), Some(expected.as_str()), "{role}");
    }
    // Nothing of this reached the thread that started them.
    let own = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    assert_ne!(field(&own, "CapEff"), format!("{:016x}", 0));
    assert_eq!(field(&own, "Seccomp"), "0");
    assert_eq!(field(&own, "NoNewPrivs"), "0");
}

#[test]
fn a_private_namespace_is_new_and_has_no_active_interface() {
    must_be_root();
    let (tell, told) = channel();
    let open = move || {
        let inode = NetnsHandle::current().unwrap().inode();
        tell.send((inode, std::fs::read_to_string("/proc/thread-self/net/dev")?)).unwrap();
        Ok(())
    };
    let handle = SystemThreads::new(|_| {})
        .start(spec(Role::Pipeline, NamespaceChoice::Private), Box::new(Work(open, || {})))
        .unwrap();
    handle.join().unwrap();
    let (inode, devices) = told.recv().unwrap();
    assert_ne!(inode, NetnsHandle::current().unwrap().inode());
    let devices: Vec<_> = devices.lines().skip(2).collect();
    assert!(devices.len() == 1 && devices[0].trim_start().starts_with("lo:"), "{devices:?}");
}

#[test]
fn what_fails_at_the_start_is_said_in_words() {
    must_be_root();
    let threads = SystemThreads::new(|_| {});
    let inherit = || spec(Role::Pipeline, NamespaceChoice::Inherit);

    let far = ThreadSpec { cpus: "1000".parse().unwrap(), ..inherit() };
    let error = threads.start(far, job(|| {})).unwrap_err();
    assert!(error.to_string().contains("cannot be pinned to CPUs 1000"), "{error}");

    let open = || Err("no device eth9".into());
    let error = threads.start(inherit(), Box::new(Work(open, || {}))).unwrap_err();
    assert_eq!(error.to_string(), "thread pc-test did not start: no device eth9");

    let open = || panic!("on purpose");
    let error = threads.start(inherit(), Box::new(Work(open, || {}))).unwrap_err();
    assert!(error.to_string().ends_with("its job panicked while opening: on purpose"), "{error}");

    // From a thread that has nothing to give.
    let netns = TestNetns::new("start");
    let at = || spec(Role::Io, NamespaceChoice::At(netns.handle.clone()));
    let (inherit, at) = (spec(Role::Io, NamespaceChoice::Inherit), at());
    let (entering, keeping) = std::thread::spawn(move || {
        portcullis_os::privileges::cut_to(portcullis_os::privileges::Privileges::NONE).unwrap();
        (threads.start(at, job(|| {})), threads.start(inherit, job(|| {})))
    })
    .join()
    .unwrap();
    let error = entering.unwrap_err().to_string();
    assert!(error.ends_with("not permitted (namespaces need CAP_SYS_ADMIN)"), "{error}");
    let error = keeping.unwrap_err().to_string();
    assert_eq!(
        error,
        "thread pc-test did not start: CAP_NET_RAW cannot be kept: this process was started \
         without it"
    );
}

#[test]
fn a_panic_is_told_to_the_observer_and_to_whoever_joins() {
    must_be_root();
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let threads = SystemThreads::new(move |end: ThreadEnd| {
        tell.lock().unwrap().send(end).unwrap();
    });
    for role in Role::ALL {
        let handle =
            threads.start(spec(role, NamespaceChoice::Inherit), job(|| panic!("by design")));
        let error = handle.unwrap().join().unwrap_err();
        assert_eq!(error.to_string(), "thread pc-test panicked: by design");
        let end = told.recv().unwrap();
        assert_eq!((end.role, end.panicked.as_deref()), (role, Some("by design")));
    }
    threads.start(spec(Role::Io, NamespaceChoice::Inherit), job(|| {})).unwrap().join().unwrap();
    assert_eq!(told.recv().unwrap().panicked, None);
}

#[test]
fn a_panic_under_the_filter_shows_where_it_was() {
    let name = "threads::a_panic_under_the_filter_shows_where_it_was";
    let output = in_own_process(name, &[("RUST_BACKTRACE", "1")], || {
        #[inline(never)]
        fn a_place_to_remember() {
            panic!("by design");
        }
        let threads = SystemThreads::new(|_| {});
        for role in Role::ALL {
            let spec = spec(role, NamespaceChoice::Inherit);
            threads.start(spec, job(a_place_to_remember)).unwrap().join().unwrap_err();
        }
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} {said}", output.status);
    assert_eq!(said.matches("panicked at").count(), Role::ALL.len(), "{said}");
    assert_eq!(said.matches("a_place_to_remember").count(), Role::ALL.len(), "{said}");
}

#[test]
fn a_backtrace_that_may_not_open_files_is_poorer_but_no_offence() {
    let name = "threads::a_backtrace_that_may_not_open_files_is_poorer_but_no_offence";
    let output = in_own_process(name, &[("RUST_BACKTRACE", "0")], || {
        let threads = SystemThreads::new(|_| {});
        for role in Role::ALL {
            let run = move || {
                let trace = std::backtrace::Backtrace::force_capture().to_string();
                let opened = std::fs::File::open("/proc/self/maps");
                let may = matches!(role, Role::Control | Role::Supervisor | Role::Dpdk);
                assert_eq!(opened.is_ok(), may, "{trace}");
            };
            threads.start(spec(role, NamespaceChoice::Inherit), job(run)).unwrap().join().unwrap();
        }
    });
    assert!(output.status.success(), "{output:?}");
}

/// Something that a thread of some role must not do.
type Offence = (Role, &'static str, fn());

const OFFENCES: &[Offence] = &[
    (Role::Pipeline, "socket", || drop(std::net::UdpSocket::bind("127.0.0.1:0"))),
    (Role::Pipeline, "code", map_code),
    (Role::Pipeline, "signal", signal_another),
    (Role::Pipeline, "namespace", leave_the_namespace),
    (Role::Io, "socket", || drop(std::net::UdpSocket::bind("127.0.0.1:0"))),
    (Role::Io, "code", map_code),
    (Role::Io, "device", set_a_device_down),
    (Role::Trap, "socket", || drop(std::net::UdpSocket::bind("127.0.0.1:0"))),
    (Role::Trap, "device", set_a_device_down),
    (Role::Manager, "socket", || drop(std::net::UdpSocket::bind("127.0.0.1:0"))),
    (Role::Manager, "namespace", leave_the_namespace),
    (Role::Control, "file", || drop(std::fs::File::create("/dev/null"))),
    (Role::Control, "program", || drop(std::process::Command::new("true").status())),
    (Role::Control, "thread", || drop(std::thread::Builder::new().spawn(|| {}))),
    (Role::Control, "code", map_code),
    (Role::Control, "namespace", leave_the_namespace),
];

fn map_code() {
    let protection = libc::PROT_READ | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
}

fn signal_another() {
    // SAFETY: signal 0 is none: it only asks whether it could be sent.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), 0) };
}

fn leave_the_namespace() {
    // SAFETY: no CLONE_FILES; and it is not let through.
    unsafe { libc::unshare(libc::CLONE_NEWNET) };
}

fn set_a_device_down() {
    // SAFETY: the request reads a `struct ifreq` that may be zero; and it is not let through.
    unsafe {
        let request: libc::ifreq = std::mem::zeroed();
        libc::ioctl(0, libc::SIOCSIFFLAGS, &raw const request);
    }
}

#[test]
fn a_forbidden_call_ends_the_whole_process() {
    use std::os::unix::process::ExitStatusExt;
    const WHICH: &str = "PCOS_OFFENCE";
    let name = "threads::a_forbidden_call_ends_the_whole_process";
    for (number, (role, what, _)) in OFFENCES.iter().enumerate() {
        let output = in_own_process(name, &[(WHICH, &number.to_string())], || {
            let number: usize = std::env::var(WHICH).unwrap().parse().unwrap();
            let (role, _, offend) = OFFENCES[number];
            let spec = spec(role, NamespaceChoice::Inherit);
            SystemThreads::new(|_| {}).start(spec, job(offend)).unwrap().join().unwrap();
        });
        assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{role} {what}: {output:?}");
    }
}
