//! Network namespaces for tests, taken away again when they go out of scope. They need root.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace with a name of its own.
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new(label: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pc-{label}-{}-{n}", std::process::id());
        ip(&format!("netns add {name}"));
        let namespace = Self(name);
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name, for `ip`.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Runs `ip -n NAMESPACE ARGUMENTS`.
    pub(crate) fn ip(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.0));
    }

    /// A veth device `name` here, whose other end is `peer_name` in `peer`; both up, and quiet.
    pub(crate) fn veth(&self, name: &str, peer: &Self, peer_name: &str) {
        let (here, there) = (self.name(), peer.name());
        self.ip(&format!("link add name {name} type veth peer name {peer_name} netns {there}"));
        for (namespace, device) in [(here, name), (there, peer_name)] {
            ip(&format!("-n {namespace} link set dev {device} addrgenmode none"));
            ip(&format!("-n {namespace} link set dev {device} up"));
        }
    }

    /// Runs `work` on a thread inside, which the processes that it starts are as well.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves the calling thread inside.
    fn enter(&self) {
        let file = File::open(format!("/run/netns/{}", self.0)).expect("a namespace");
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("tests run as root");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
