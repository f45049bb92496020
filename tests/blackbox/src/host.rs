//! One namespace: a plain Linux host, a router, or the place where the gateway runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::capture::Capture;
use crate::command::{Background, Finished, finish};
use crate::driver::driver;
use crate::lab::in_namespace;

/// A namespace of a lab. Clones are the same namespace.
#[derive(Clone, Debug)]
pub struct Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    namespace: String,
    name: String,
    folder: PathBuf,
    captures: bool,
    files: AtomicU32,
    kept: Mutex<Vec<Background>>,
}

impl Host {
    pub(crate) fn new(namespace: String, name: &str, folder: &Path, captures: bool) -> Self {
        let (name, folder) = (name.to_owned(), folder.to_owned());
        let (files, kept) = (AtomicU32::new(0), Mutex::default());
        Self { inner: Arc::new(Inner { namespace, name, folder, captures, files, kept }) }
    }

    /// The name that `ip netns` knows it by.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// Its name within the lab.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Whether the namespace is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        Path::new(crate::lab::NETNS).join(self.namespace()).exists()
    }

    /// A command line that runs a program here.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let (program, arguments) = words.split_first().expect("a command has a first word");
        let mut command = Command::new(program);
        command.args(arguments);
        in_namespace(self.namespace(), &command)
    }

    /// Runs a command, split at white space, and returns what it said.
    ///
    /// # Panics
    ///
    /// If it fails.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        self.attempt(line).success()
    }

    /// The same for a command whose words have white space in them.
    ///
    /// # Panics
    ///
    /// If it fails.
    #[track_caller]
    pub fn run_words(&self, words: &[&str]) -> String {
        finish(self.command(words)).success()
    }

    /// Runs a command, split at white space, which may fail.
    #[track_caller]
    #[must_use]
    pub fn attempt(&self, line: &str) -> Finished {
        let words: Vec<_> = line.split_whitespace().collect();
        self.attempt_words(&words)
    }

    /// The same for a command whose words have white space in them.
    #[track_caller]
    #[must_use]
    pub fn attempt_words(&self, words: &[&str]) -> Finished {
        finish(self.command(words))
    }

    /// Leaves a command running.
    #[track_caller]
    #[must_use]
    pub fn start(&self, line: &str) -> Background {
        let words: Vec<_> = line.split_whitespace().collect();
        self.start_words(&words)
    }

    /// The same for a command whose words have white space in them.
    #[track_caller]
    #[must_use]
    pub fn start_words(&self, words: &[&str]) -> Background {
        let program = words.first().expect("a command has a first word");
        let program = program.rsplit('/').next().unwrap_or(program);
        Background::start(self.command(words), &self.file(&format!("{program}.log")))
    }

    /// Gives an interface its addresses, takes it up, and starts its capture.
    #[track_caller]
    pub fn configure(&self, interface: &str, addresses: &[&str]) {
        for address in addresses {
            let no_dad = if address.contains(':') { " nodad" } else { "" };
            self.run(&format!("ip address add {address} dev {interface}{no_dad}"));
        }
        self.run(&format!("ip link set {interface} up"));
        if self.inner.captures {
            let file = self.file(&format!("{interface}.pcap"));
            Capture::in_the_background(self, interface, &file);
        }
    }

    /// Leaves a process running for as long as the host is known.
    ///
    /// # Panics
    ///
    /// If another thread panicked in here.
    pub fn keep(&self, process: Background) {
        self.inner.kept.lock().expect("nobody panics while keeping").push(process);
    }

    /// The MAC address of an interface.
    #[track_caller]
    #[must_use]
    pub fn mac(&self, interface: &str) -> String {
        let said = self.run(&format!("ip -br link show dev {interface}"));
        said.split_whitespace().nth(2).expect("ip -br names the MAC third").to_owned()
    }

    /// One of an interface's counters, as `rx_packets` or `tx_dropped`.
    ///
    /// # Panics
    ///
    /// If the interface or the counter is not there.
    #[track_caller]
    #[must_use]
    pub fn statistic(&self, interface: &str, counter: &str) -> u64 {
        let (way, name) = counter.split_once('_').expect("rx_ or tx_");
        let said = self.run(&format!("ip -j -s link show dev {interface}"));
        let links: serde_json::Value = serde_json::from_str(&said).expect("ip -j speaks JSON");
        links[0]["stats64"][way][name].as_u64().expect("ip counts it")
    }

    /// A new file of this host in the lab's folder.
    #[must_use]
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let number = self.inner.files.fetch_add(1, Ordering::Relaxed);
        self.inner.folder.join(format!("{}-{number:02}-{name}", self.name()))
    }
}

/// Connects two hosts by a veth pair, down and without addresses.
#[track_caller]
pub fn link(a: (&Host, &str), b: (&Host, &str)) {
    let (name_a, name_b, namespace_b) = (a.1, b.1, b.0.namespace());
    a.0.run(&format!("ip link add {name_a} type veth peer name {name_b} netns {namespace_b}"));
    for (host, name) in [a, b] {
        driver().prepare(host, name);
    }
}
