//! FRR in a namespace: Debian's daemons, unmodified.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::command::signal;
use crate::host::Host;
use crate::wait::wait_until;

/// A daemon of FRR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Daemon {
    /// Talks to the kernel.
    Zebra,
    /// Static routes.
    Static,
    /// BGP.
    Bgp,
    /// OSPF version 2.
    Ospf,
    /// Bidirectional forwarding detection.
    Bfd,
}

impl Daemon {
    const fn name(self) -> &'static str {
        match self {
            Self::Zebra => "zebra",
            Self::Static => "staticd",
            Self::Bgp => "bgpd",
            Self::Ospf => "ospfd",
            Self::Bfd => "bfdd",
        }
    }
}

/// The daemons of one namespace. They end with the lab.
#[derive(Debug)]
pub struct Frr {
    host: Host,
}

impl Frr {
    /// Starts zebra, staticd and some more daemons, then types `configuration` at vtysh's prompt.
    ///
    /// # Panics
    ///
    /// If a daemon does not start or a line is refused.
    #[track_caller]
    #[must_use]
    pub fn start(host: &Host, daemons: &[Daemon], configuration: &str) -> Self {
        let frr = Self { host: host.clone() };
        for folder in ["/etc/frr", "/var/run/frr"] {
            let folder = format!("{folder}/{}", host.namespace());
            fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
            host.run(&format!("chown frr:frr {folder}"));
        }
        frr.start_daemon(Daemon::Zebra);
        frr.start_daemon(Daemon::Static);
        for &daemon in daemons {
            frr.start_daemon(daemon);
        }
        frr.configure(configuration);
        frr
    }

    /// Starts one daemon.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn start_daemon(&self, daemon: Daemon) {
        let (namespace, name) = (self.host.namespace(), daemon.name());
        let file = format!("/etc/frr/{namespace}/{name}.conf");
        // zebra and its clients log where the rest of the evidence lies.
        let log = self.host.file(&format!("{name}.log"));
        fs::write(&file, "").unwrap_or_else(|error| panic!("{file}: {error}"));
        fs::write(&log, "").unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let log = log.display();
        // A zebra that starts again leaves the routes of the last one alone for a minute, so that
        // the other daemons have the time to tell it of theirs.
        let keep = if daemon == Daemon::Zebra { "-K 60" } else { "" };
        self.host.run(&format!("chown frr:frr {file} {log}"));
        self.host.run(&format!(
            "/usr/lib/frr/{name} -d {keep} -N {namespace} -f {file} -i {} --log file:{log} \
             --log-level informational",
            self.pid_file(daemon).display()
        ));
        let socket = format!("/var/run/frr/{namespace}/{name}.vty");
        wait_until(&format!("{name} answers"), Duration::from_secs(10), || {
            fs::exists(&socket).unwrap_or(false)
        });
    }

    /// Ends one daemon by SIGKILL.
    ///
    /// # Panics
    ///
    /// If it does not run.
    #[track_caller]
    pub fn kill_daemon(&self, daemon: Daemon) {
        let file = self.pid_file(daemon);
        let pid = fs::read_to_string(&file).ok().and_then(|pid| pid.trim().parse().ok());
        let pid = pid.unwrap_or_else(|| panic!("{} does not run", daemon.name()));
        signal(pid, "KILL");
        wait_until("it is gone", Duration::from_secs(5), || {
            !fs::exists(format!("/proc/{pid}")).unwrap_or(false)
        });
        let _ = fs::remove_file(file);
    }

    fn pid_file(&self, daemon: Daemon) -> PathBuf {
        format!("/var/run/frr/{}/{}.pid", self.host.namespace(), daemon.name()).into()
    }

    /// Types configuration lines.
    ///
    /// # Panics
    ///
    /// If one is refused.
    #[track_caller]
    pub fn configure(&self, configuration: &str) {
        let mut words = vec!["vtysh", "-N", self.host.namespace(), "-c", "configure terminal"];
        for line in configuration.lines().map(str::trim).filter(|line| !line.is_empty()) {
            words.extend(["-c", line]);
        }
        let said = self.host.run_words(&words);
        assert!(!said.contains('%'), "vtysh refused: {said}\n{configuration}");
    }

    /// Types one command, and returns the answer.
    #[track_caller]
    #[must_use]
    pub fn ask(&self, command: &str) -> String {
        let words = ["vtysh", "-N", self.host.namespace(), "-c", command];
        crate::command::finish(self.host.command(&words)).stdout
    }

    /// Waits until an answer contains a text.
    ///
    /// # Panics
    ///
    /// If it never does.
    #[track_caller]
    pub fn ask_until(&self, command: &str, text: &str) {
        let what = format!("{} says {text} to: {command}", self.host.name());
        wait_until(&what, Duration::from_secs(45), || self.ask(command).contains(text));
    }
}
