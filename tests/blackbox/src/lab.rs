//! What owns namespaces, and makes sure that they go away.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::command::{Background, finish};
use crate::host::Host;
use crate::interrupt::interrupted;

/// Where `ip netns` keeps its names.
pub(crate) const NETNS: &str = "/run/netns";

/// A set of namespaces and processes under one name, gone when dropped.
///
/// A small process of its own does the tidying up as soon as a pipe from this one closes, so that
/// it is done after a panic and a SIGKILL as well.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    folder: PathBuf,
    reaper: Child,
    captures: bool,
    logs: AtomicU32,
}

impl Lab {
    /// A lab for a test of this name. Each host keeps a capture of what crosses its links.
    ///
    /// # Panics
    ///
    /// If not run by root, or if its folder can't be made.
    #[must_use]
    #[track_caller]
    pub fn new(test: &str) -> Self {
        Self::with_captures(test, true)
    }

    /// A lab in which nothing listens in: captures cost time.
    #[must_use]
    #[track_caller]
    pub fn quiet(test: &str) -> Self {
        Self::with_captures(test, false)
    }

    #[track_caller]
    fn with_captures(test: &str, captures: bool) -> Self {
        assert!(rustix::process::geteuid().is_root(), "namespaces need root: run as root");
        let prefix = unused_prefix();
        let folder = target().join("blackbox").join(test).join(&prefix);
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let reaper = Command::new("bash")
            .args(["-c", include_str!("reaper.sh"), "reaper", &prefix])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("bash can be run");
        Self { prefix, folder, reaper, captures, logs: AtomicU32::new(0) }
    }

    /// A new namespace.
    #[track_caller]
    #[must_use]
    pub fn host(&self, name: &str) -> Host {
        let host = self.adopt(name);
        self.command("ip", &["netns", "add", host.namespace()]);
        // Addresses are usable at once, and nobody waits for a router that is not there.
        for setting in [
            "net.ipv6.conf.all.accept_dad=0",
            "net.ipv6.conf.default.accept_dad=0",
            "net.ipv6.conf.default.accept_ra=0",
            "net.ipv6.conf.default.router_solicitations=0",
            "net.ipv4.ping_group_range=0 2147483647",
        ] {
            host.run_words(&["sysctl", "-qw", setting]);
        }
        host.run("ip link set lo up");
        host
    }

    /// A namespace that somebody else makes, or has made, under the lab's name.
    #[must_use]
    pub fn adopt(&self, name: &str) -> Host {
        Host::new(format!("{}-{name}", self.prefix), name, &self.folder, self.captures)
    }

    /// What every name of this lab starts with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where files of this lab belong. It stays after a failure.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file for the log of the next process of this name.
    #[must_use]
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        let number = self.logs.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{number:02}-{name}.log"))
    }

    /// Starts a program outside the lab's namespaces.
    #[track_caller]
    #[must_use]
    pub fn start(&self, name: &str, command: Command) -> Background {
        Background::start(command, &self.log(name))
    }

    #[track_caller]
    fn command(&self, program: &str, words: &[&str]) {
        let mut command = Command::new(program);
        command.args(words);
        let _said = finish(command).success();
    }

    fn keep_evidence(&self) {
        let Ok(entries) = fs::read_dir(NETNS) else { return };
        for entry in entries.flatten() {
            let namespace = entry.file_name().to_string_lossy().into_owned();
            if !namespace.starts_with(&self.prefix) {
                continue;
            }
            let script = "ip -s -d link; ip addr; ip -4 route show table all; \
                          ip -6 route show table all; ip nexthop; ip neigh; nstat -a";
            let mut shell = Command::new("bash");
            shell.args(["-c", script]);
            let said = finish(in_namespace(&namespace, &shell));
            let file = self.folder.join(format!("{namespace}.txt"));
            // Evidence that can't be written must not hide the failure itself.
            let _ = fs::write(file, said.to_string());
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let failed = std::thread::panicking() && !interrupted();
        if failed {
            self.keep_evidence();
            eprintln!("what is left of the lab: {}", self.folder.display());
        }
        drop(self.reaper.stdin.take());
        let _ = self.reaper.wait();
        if !failed && std::env::var_os("PORTCULLIS_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.folder);
            // Succeeds when no other run of the same test has left something there.
            let _ = self.folder.parent().map(fs::remove_dir);
        }
    }
}

/// A command line that runs `command` in a namespace.
pub(crate) fn in_namespace(namespace: &str, command: &Command) -> Command {
    let mut inside = Command::new("nsenter");
    inside.arg(format!("--net={NETNS}/{namespace}")).arg("--").arg(command.get_program());
    inside.args(command.get_args());
    inside
}

/// Cargo's target folder, above whichever program runs now.
pub(crate) fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows where it lies");
    let tagged = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    tagged.expect("programs of this workspace lie in the target folder").to_owned()
}

fn unused_prefix() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    loop {
        let mut random = RandomState::new().build_hasher();
        random.write_u32(std::process::id());
        let mut number = random.finish();
        let mut prefix = String::from("pc");
        for _ in 0..6 {
            prefix.push(char::from(LETTERS[usize::try_from(number % 32).unwrap_or(0)]));
            number /= 32;
        }
        let taken = fs::read_dir(NETNS).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        });
        if !taken {
            return prefix;
        }
    }
}
