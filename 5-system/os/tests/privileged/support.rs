//! Namespaces that go away by themselves, commands, and tests that run in a process of their own.

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_os::netns::{self, NetnsHandle};

/// Fails the test with a clear message, instead of passing or failing oddly, if it has not the
/// rights.
pub(crate) fn must_be_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test makes network namespaces and drops capabilities: run it as root"
    );
}

/// A namespace of a unique name, deleted when the test ends.
pub(crate) struct TestNetns {
    pub(crate) name: String,
    pub(crate) handle: NetnsHandle,
}

impl TestNetns {
    pub(crate) fn new(purpose: &str) -> Self {
        must_be_root();
        let name = unique(purpose);
        let handle = netns::create(&name).unwrap();
        Self { name, handle }
    }

    /// Runs a command line in the namespace and gives its standard output; it must succeed.
    pub(crate) fn run(&self, command: &str) -> String {
        let output = self.try_run(command);
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command line in the namespace.
    pub(crate) fn try_run(&self, command: &str) -> Output {
        self.command(command.split_whitespace())
    }

    /// Runs a command of these words in the namespace.
    pub(crate) fn command<'a>(&self, words: impl Iterator<Item = &'a str>) -> Output {
        let netns = format!("--net=/run/netns/{}", self.name);
        Command::new("nsenter").arg(netns).args(words).output().unwrap()
    }
}

impl Drop for TestNetns {
    fn drop(&mut self) {
        let _deleted = netns::delete(&self.name);
    }
}

/// A name that no other test has, in this process or another.
pub(crate) fn unique(purpose: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("pcos-{purpose}-{}-{number}", std::process::id())
}

/// Says that the process is the one that [`in_own_process`] started.
const CHILD: &str = "PORTCULLIS_OS_TEST_CHILD";

/// Runs `work` in a process of its own, which is this test program again with only `test` selected.
/// Gives what became of it to the caller; does not return in the child.
pub(crate) fn in_own_process(
    test: &str,
    environment: &[(&str, &str)],
    work: impl FnOnce(),
) -> Output {
    must_be_root();
    if std::env::var_os(CHILD).is_some() {
        work();
        std::process::exit(0);
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    // A child that was killed dropped nothing.
    let its_own = format!("-{id}-");
    for name in netns::list().unwrap() {
        if name.starts_with("pcos-") && name.contains(&its_own) {
            let _deleted = netns::delete(&name);
        }
    }
    output
}
