//! What a thread of each role does all day, done under its filter. A call that is missing from a
//! list would end the process; so each test runs in one of its own.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use portcullis_os::cpus::CpuSet;
use portcullis_os::links::Links;
use portcullis_os::netns::{self, NetnsErrorKind};
use portcullis_os::process::HugeAlloc;
use portcullis_os::tap::{Tap, TapName};
use portcullis_os::threads::{
    Job, JobError, NamespaceChoice, Role, SystemThreads, ThreadName, ThreadSpec, Threads,
};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, eth, socket_with};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::SignalKind;

use crate::support::{TestNetns, in_own_process, unique};

/// A job that hands what it opened to what it does.
struct Day<O, T, R> {
    open: Option<O>,
    opened: Option<T>,
    run: R,
}

impl<O, T, R> Job for Day<O, T, R>
where
    O: FnOnce() -> Result<T, JobError> + Send,
    T: Send,
    R: FnOnce(T) + Send,
{
    fn open(&mut self) -> Result<(), JobError> {
        let open = self.open.take().unwrap();
        self.opened = Some(open()?);
        Ok(())
    }

    fn run(self: Box<Self>) {
        (self.run)(self.opened.unwrap());
    }
}

/// Starts a thread of `role` in the namespace, lets it do its day, and waits for its end.
fn spend_a_day<T: Send + 'static>(
    role: Role,
    netns: &TestNetns,
    open: impl FnOnce() -> Result<T, JobError> + Send + 'static,
    run: impl FnOnce(T) + Send + 'static,
) {
    let spec = ThreadSpec {
        role,
        name: ThreadName::new(format!("pc-{role}")).unwrap(),
        cpus: CpuSet::of_this_thread().unwrap(),
        namespace: NamespaceChoice::At(netns.handle.clone()),
        privileges: role.privileges(),
    };
    let job = Day { open: Some(open), opened: None, run };
    SystemThreads::new(|_| {}).start(spec, Box::new(job)).unwrap().join().unwrap();
}

#[test]
fn the_supervisor_gives_everything_back_and_is_refused_the_rest() {
    alone("the_supervisor_gives_everything_back_and_is_refused_the_rest", || {
        let home = TestNetns::new("home");
        let (link, vpc) = (TestNetns::new("link"), TestNetns::new("vpc"));
        let (link_name, vpc_name) = (link.name.clone(), vpc.name.clone());
        let record = std::env::temp_dir().join(unique("record"));
        let mut links = Links::open_in(&home.handle).unwrap();
        links.add_veth("wan", "peer").unwrap();
        links.move_to("wan", &link.handle).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (home_handle, link_handle) = (home.handle.clone(), link.handle.clone());
        spend_a_day(Role::Supervisor, &home, runtime, move |runtime| {
            what_everybody_does();
            runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
            assert_eq!(child.try_wait().unwrap(), None);
            child.kill().unwrap();
            child.wait().unwrap();
            std::fs::write(&record, "wan").unwrap();
            let moved = record.with_extension("moved");
            std::fs::rename(&record, &moved).unwrap();
            let mut there = Links::open_in(&link_handle).unwrap();
            there.set_up("wan", false).unwrap();
            there.move_to("wan", &home_handle).unwrap();
            netns::delete(&link_name).unwrap();
            netns::delete(&vpc_name).unwrap();
            std::fs::remove_file(&moved).unwrap();
            let notify = std::os::unix::net::UnixDatagram::unbound().unwrap();
            let _nobody = notify.send_to(b"STOPPING=1", "/nowhere/notify");
            // It has the rights for these, and no business with them.
            assert_eq!(netns::create(&link_name).unwrap_err().kind, NetnsErrorKind::NotPermitted);
            let program = std::process::Command::new("true").status();
            assert_eq!(program.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        });
        assert!(links.find("wan").is_ok());
        assert!(!netns::exists(&link.name) && !netns::exists(&vpc.name));
    });
}

#[test]
fn the_supervisor_hands_a_changed_file_over_on_a_thread_of_its_own() {
    alone("the_supervisor_hands_a_changed_file_over_on_a_thread_of_its_own", || {
        let netns = TestNetns::new("hup");
        let file = std::env::temp_dir().join(unique("file"));
        let path = file.with_extension("sock");
        let text = "# a comment\n".repeat(100_000);
        std::fs::write(&file, &text).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let gateway = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut told = vec![0; text.len()];
            stream.read_exact(&mut told).unwrap();
            stream.write_all(b"done\n").unwrap();
            assert!(told == text.as_bytes());
        });
        let (there, socket) = (file.clone(), path.clone());
        spend_a_day(Role::Supervisor, &netns, runtime, move |runtime| {
            let (sender, outcome) = tokio::sync::oneshot::channel();
            let work = move || {
                let text = std::fs::read_to_string(there).unwrap();
                let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
                let patience = Some(Duration::from_secs(5));
                stream.set_read_timeout(patience).unwrap();
                stream.set_write_timeout(patience).unwrap();
                stream.write_all(text.as_bytes()).unwrap();
                let mut answer = [0; 5];
                stream.read_exact(&mut answer).unwrap();
                sender.send(answer).unwrap();
            };
            std::thread::Builder::new().name("reload".to_owned()).spawn(work).unwrap();
            let limit = Duration::from_secs(10);
            let waited = runtime.block_on(async { tokio::time::timeout(limit, outcome).await });
            assert_eq!(&waited.unwrap().unwrap(), b"done\n");
        });
        gateway.join().unwrap();
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_file(&path).unwrap();
    });
}

/// Runs the test named `roles::NAME` in a process of its own, which must end well, under a hail of
/// signals. Threads of roles do not run their handler, but it wakes every runtime.
fn alone(name: &str, work: impl FnOnce()) {
    let output = in_own_process(&format!("roles::{name}"), &[], || {
        let runtime = runtime().unwrap();
        let context = runtime.enter();
        let _heard = tokio::signal::unix::signal(SignalKind::user_defined2()).unwrap();
        drop(context);
        let own = rustix::process::getpid();
        std::thread::spawn(move || {
            loop {
                rustix::process::kill_process(own, rustix::process::Signal::USR2).unwrap();
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        work();
    });
    assert!(output.status.success(), "{output:?}");
}

/// What all threads do: allocate small and large, keep time, hash, talk, sleep, ring and wait.
fn what_everybody_does() {
    use std::alloc::{GlobalAlloc, Layout};
    let mut vector = Vec::new();
    for size in [1usize << 10, 1 << 16, 1 << 20, 1 << 23, 1 << 26] {
        vector.resize(size, 1u8);
        vector.shrink_to_fit();
    }
    let layout = Layout::from_size_align(8 << 20, 64).unwrap();
    // SAFETY: the memory is not accessed, and given back with the layout that it has then.
    unsafe {
        let memory = HugeAlloc.alloc_zeroed(layout);
        let grown = HugeAlloc.realloc(memory, layout, 80 << 20);
        HugeAlloc.dealloc(grown, Layout::from_size_align(80 << 20, 64).unwrap());
    }
    let map: std::collections::HashMap<_, _> = (0..10_000).map(|n| (n, vec![n; 10])).collect();
    assert_eq!(map.len(), 10_000);
    let start = std::time::Instant::now();
    std::thread::sleep(Duration::from_millis(1));
    std::thread::yield_now();
    assert!(start.elapsed() >= Duration::from_millis(1));
    let _epoch = std::time::SystemTime::now();
    let _time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let _page = rustix::param::page_size();
    eprintln!("a message of {} pieces", vector.len());
}

/// Rings a doorbell and waits for it, for a millisecond at most.
fn ring_and_wait(bell: &OwnedFd) {
    rustix::io::write(bell, &1u64.to_ne_bytes()).unwrap();
    let limit = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let mut waiting = [PollFd::new(bell, PollFlags::IN)];
    assert_eq!(retry_on_intr(|| poll(&mut waiting, Some(&limit))).unwrap(), 1);
    rustix::io::read(bell, &mut [0; 8]).unwrap();
    waiting[0].clear_revents();
    assert!(matches!(poll(&mut waiting, Some(&limit)), Ok(0) | Err(Errno::INTR)));
}

fn doorbell() -> Result<OwnedFd, JobError> {
    Ok(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?)
}

#[test]
fn a_pipeline_thread_allocates_rings_waits_and_ends() {
    alone("a_pipeline_thread_allocates_rings_waits_and_ends", || {
        let netns = TestNetns::new("pipe");
        spend_a_day(Role::Pipeline, &netns, doorbell, |bell| {
            what_everybody_does();
            ring_and_wait(&bell);
        });
    });
}

#[test]
fn an_io_thread_receives_sends_and_opens_its_socket_again() {
    alone("an_io_thread_receives_sends_and_opens_its_socket_again", || {
        let netns = TestNetns::new("io");
        let mut links = Links::open_in(&netns.handle).unwrap();
        links.add_veth("a", "b").unwrap();
        links.set_up("a", true).unwrap();
        links.set_up("b", true).unwrap();
        spend_a_day(
            Role::Io,
            &netns,
            || Ok((doorbell()?, packet_socket("a"))),
            |(bell, first)| {
                what_everybody_does();
                ring_and_wait(&bell);
                // The device came back: its index is asked for, and a new socket bound to it.
                drop(first);
                let (a, b) = (packet_socket("a"), packet_socket("b"));
                let mut frame = [0u8; 60];
                frame[..6].fill(0xff);
                send_many(&a, &mut frame);
                let limit = Timespec { tv_sec: 5, tv_nsec: 0 };
                let waiting = &mut [PollFd::new(&b, PollFlags::IN)];
                assert_eq!(retry_on_intr(|| poll(waiting, Some(&limit))).unwrap(), 1);
                assert!(receive_many(&b) >= 1);
            },
        );
    });
}

/// A packet socket bound to a device, whose index it asks for, as the driver does.
fn packet_socket(device: &str) -> OwnedFd {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket =
        socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(eth::ALL)).unwrap();
    let index = rustix::net::netdevice::name_to_index(&socket, device).unwrap();
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let on: libc::c_int = 1;
    // SAFETY: address and option live until the calls return, and their lengths are given.
    unsafe {
        let length = size_of_val(&address) as libc::socklen_t;
        let bound = libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length);
        assert_eq!(bound, 0);
        let set = libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        );
        assert_eq!(set, 0);
    }
    socket
}

fn one_message(buffer: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: `mmsghdr` is made of integers and pointers, all of which may be zero.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = buffer;
    message.msg_hdr.msg_iovlen = 1;
    message
}

fn send_many(socket: &OwnedFd, frame: &mut [u8]) {
    let mut buffer = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
    let mut message = one_message(&mut buffer);
    // SAFETY: one message of one buffer, all of which outlive the call.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), &raw mut message, 1, 0) };
    assert_eq!(sent, 1);
}

fn receive_many(socket: &OwnedFd) -> i32 {
    let mut frame = [0u8; 2048];
    let mut buffer = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
    let mut message = one_message(&mut buffer);
    // SAFETY: one message of one buffer, all of which outlive the call.
    unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            &raw mut message,
            1,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    }
}

fn watch(fd: OwnedFd) -> AsyncFd<OwnedFd> {
    // SAFETY: an owned descriptor is open and the same until it is dropped.
    unsafe { AsyncFd::register(fd) }.unwrap()
}

fn runtime() -> Result<Runtime, JobError> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

#[test]
fn the_trap_thread_moves_frames_between_taps_and_a_runtime() {
    alone("the_trap_thread_moves_frames_between_taps_and_a_runtime", || {
        let netns = TestNetns::new("trap");
        let open = || {
            let mut links = Links::open()?;
            let (one, two) = (Tap::open(&TapName::new("one")?)?, Tap::open(&TapName::new("two")?)?);
            links.set_up("one", true)?;
            links.set_up("two", true)?;
            links.add_address("one", "192.0.2.1/24".parse()?)?;
            Ok((runtime()?, one, two))
        };
        spend_a_day(Role::Trap, &netns, open, |(runtime, one, two)| {
            what_everybody_does();
            runtime.block_on(async {
                let (one, two) = (watch(one.into_fd()), watch(two.into_fd()));
                // Whatever the kernel sends first of its own accord.
                let mut buffer = [0; 2048];
                let mut guard = one.readable().await.unwrap();
                let read = guard.try_io(|tap| {
                    let mut pieces = [std::io::IoSliceMut::new(&mut buffer)];
                    Ok(rustix::io::readv(tap.get_ref(), &mut pieces)?)
                });
                let length = read.unwrap().unwrap();
                assert!(length > Tap::HEADER);
                let (header, frame) = buffer[..length].split_at(Tap::HEADER);
                let pieces = [std::io::IoSlice::new(header), std::io::IoSlice::new(frame)];
                let _guard = two.writable().await.unwrap();
                assert_eq!(rustix::io::writev(two.get_ref(), &pieces).unwrap(), length);
                tokio::time::sleep(Duration::from_millis(20)).await;
                tokio::task::spawn(async { tokio::task::yield_now().await }).await.unwrap();
            });
        });
    });
}

#[test]
fn the_manager_talks_to_the_kernel_and_changes_what_is_its_own() {
    alone("the_manager_talks_to_the_kernel_and_changes_what_is_its_own", || {
        let netns = TestNetns::new("mgr");
        let open = || {
            let mut links = Links::open()?;
            links.add_veth("a", "b")?;
            Ok((runtime()?, links))
        };
        spend_a_day(Role::Manager, &netns, open, |(runtime, mut links)| {
            what_everybody_does();
            links.set_up("a", true).unwrap();
            links.add_address("a", "192.0.2.1/24".parse().unwrap()).unwrap();
            // Messages were lost: a new socket, and everything once more.
            let again = Links::open().unwrap().list().unwrap();
            assert_eq!(again.len(), 3);
            runtime.block_on(async {
                let mut ticks = tokio::time::interval(Duration::from_millis(20));
                ticks.tick().await;
                ticks.tick().await;
                let socket = socket_with(
                    AddressFamily::NETLINK,
                    SocketType::RAW,
                    SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
                    None,
                );
                let socket = watch(socket.unwrap());
                rustix::net::bind(&socket, &rustix::net::netlink::SocketAddrNetlink::new(0, 1))
                    .unwrap();
                links.set_up("b", true).unwrap();
                let _heard = socket.readable().await.unwrap();
            });
        });
    });
}

#[test]
fn control_compiles_a_large_configuration_while_others_allocate_too() {
    alone("control_compiles_a_large_configuration_while_others_allocate_too", || {
        let netns = TestNetns::new("big");
        let compile = |seed: u64| {
            let names: std::collections::BTreeMap<_, _> =
                (0..200_000u64).map(|n| (n ^ seed, n.to_string().into_boxed_str())).collect();
            let mut table = Vec::new();
            (0..6_000_000u64).for_each(|n| table.push(n.wrapping_mul(seed)));
            let every_other: Vec<_> = names.into_values().step_by(2).collect();
            table.sort_unstable();
            table.dedup();
            table.shrink_to_fit();
            std::sync::Arc::new((every_other, table))
        };
        // Not under the filter; it shares the allocator's arenas.
        let (given, taken) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            taken.into_iter().map(|seed| compile(seed).1.len()).sum::<usize>()
        });
        spend_a_day(Role::Control, &netns, runtime, move |runtime| {
            let compile_with_company = |seed: u64| {
                given.send(seed | 8).unwrap();
                compile(seed)
            };
            let kept: Vec<_> = (1..=3).map(compile_with_company).collect();
            // The one before goes when the last of those who judged by it has let go.
            let (sender, receiver) = tokio::sync::oneshot::channel();
            sender.send(kept).unwrap();
            let kept = runtime.block_on(receiver).unwrap();
            assert!(kept.iter().all(|policy| policy.1.len() * size_of::<u64>() > 40 << 20));
        });
        assert!(other.join().unwrap() >= 6_000_000);
    });
}

#[test]
fn control_answers_on_its_socket_reads_proc_and_tidies_up() {
    alone("control_answers_on_its_socket_reads_proc_and_tidies_up", || {
        let netns = TestNetns::new("ctl");
        let path = std::env::temp_dir().join(format!("{}.sock", netns.name));
        let client = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut stream = loop {
                    match std::os::unix::net::UnixStream::connect(&path) {
                        Ok(stream) => break stream,
                        Err(_) => std::thread::sleep(Duration::from_millis(5)),
                    }
                };
                stream.write_all(b"show threads\n").unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                answer
            }
        });
        let open = {
            let path = path.clone();
            move || {
                let runtime = runtime()?;
                let _context = runtime.enter();
                let listener = tokio::net::UnixListener::bind(&path)?;
                let metrics = std::net::TcpListener::bind("127.0.0.1:0");
                drop(metrics);
                let signal = tokio::signal::unix::signal(SignalKind::user_defined1())?;
                drop(_context);
                Ok((runtime, listener, signal))
            }
        };
        let socket_file = path.clone();
        let own = std::process::id();
        spend_a_day(Role::Control, &netns, open, move |(runtime, listener, mut signal)| {
            what_everybody_does();
            runtime.block_on(async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let credentials = stream.peer_cred().unwrap();
                assert_eq!(credentials.pid(), Some(i32::try_from(own).unwrap()));
                let mut question = [0; 64];
                let length = stream.read(&mut question).await.unwrap();
                assert_eq!(&question[..length], b"show threads\n");
                let threads = portcullis_os::proc::threads().unwrap();
                let names: Vec<_> = threads.into_iter().map(|thread| thread.name).collect();
                stream.write_all(names.join(" ").as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
                // Somebody reads the metrics.
                let metrics = tokio::net::TcpListener::bind("127.0.0.1:0").await;
                drop(metrics);
                let waited = tokio::time::timeout(Duration::from_millis(20), signal.recv()).await;
                assert!(waited.is_err());
            });
            // Readiness, as sd_notify tells it.
            let notify = std::os::unix::net::UnixDatagram::unbound().unwrap();
            let _nobody = notify.send_to(b"READY=1", "/nowhere/notify");
            assert!(std::fs::read_to_string("/proc/self/status").is_ok());
            std::fs::remove_file(&socket_file).unwrap();
        });
        assert!(client.join().unwrap().contains("pc-control"));
        assert!(!path.exists());
    });
}
