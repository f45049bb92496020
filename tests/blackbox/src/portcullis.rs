//! The `portcullis` command: its file, its start, and what it shows.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;

use crate::command::{Background, Finished, finish};
use crate::driver::{asked_for_huge_pages, driver, on_one_thread, uses_dpdk};
use crate::forwarder::{AntiSpoofing, Forwarder, Plan, device};
use crate::host::Host;
use crate::interrupt::interrupted;
use crate::lab::Lab;
use crate::policy::Policy;
use crate::programs::{binary, binary_with_dpdk};
use crate::relay::Relay;
use crate::show;
use crate::wait::wait_until;

/// A gateway that was started by its command.
#[derive(Debug)]
pub struct Portcullis {
    /// The namespace of the taps, the addresses and FRR.
    pub vpc: Host,
    /// The namespace of the devices.
    pub link: Host,
    program: PathBuf,
    host: Host,
    file: PathBuf,
    socket: PathBuf,
    folder: PathBuf,
    /// Its file without the policy.
    base: String,
    running: Background,
    relay: Relay,
    /// Whether DPDK must be in huge pages, if anybody has said so.
    huge_pages: Option<bool>,
}

impl Portcullis {
    #[track_caller]
    pub(crate) fn start(lab: &Lab, host: &Host, plan: &Plan) -> Self {
        let program = program(plan);
        let (vpc, link) = (lab.adopt("vpc"), lab.adopt("link"));
        let file = lab.folder().join("portcullis.toml");
        let base = text(lab, plan, &vpc, &link);
        let text = format!("{base}{}", plan.policy.toml());
        fs::write(&file, text).expect("the lab's folder can be written");
        let socket = socket_folder().join(format!("{}.sock", lab.prefix()));
        let running = run(&program, host, &file, &socket);
        let folder = lab.folder().to_owned();
        let relay = Relay::new(lab, host, &link, plan);
        let host = host.clone();
        let huge_pages = huge_pages(plan);
        let mut portcullis = Self {
            vpc,
            link,
            program,
            host,
            file,
            socket,
            folder,
            base,
            running,
            relay,
            huge_pages,
        };
        portcullis.wait_until_ready();
        portcullis
    }

    /// Runs one that can't start, behind a command of the caller's, until it gives up; returns
    /// what it complained about. The plan's devices are the caller's to make.
    ///
    /// # Panics
    ///
    /// If it does not give up.
    #[track_caller]
    #[must_use]
    pub fn refusal(lab: &Lab, host: &Host, plan: &Plan, wrapper: &[&str]) -> String {
        let file = lab.folder().join("portcullis.toml");
        let base = text(lab, plan, &lab.adopt("vpc"), &lab.adopt("link"));
        let text = format!("{base}{}", plan.policy.toml());
        fs::write(&file, text).expect("the lab's folder can be written");
        let socket = socket_folder().join(format!("{}-refused.sock", lab.prefix()));
        refusal(&program(plan), host, wrapper, &file, &socket)
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        self.relay.wait_for_devices();
        wait_until("portcullis answers on its socket", Duration::from_secs(20), || {
            if let Some(status) = self.running.ended() {
                panic!("portcullis ended: {status}\n{}", self.running.log());
            }
            // It answers before it has read all routes and neighbours.
            self.running.log().contains("INFO ready")
                && self.socket.exists()
                && self.ask("interfaces").status.success()
        });
        if let Some(huge) = self.huge_pages {
            let pages = if huge { "in huge pages" } else { "in ordinary pages" };
            assert!(self.running.log().contains(pages), "not {pages}: {}", self.running.log());
        }
        self.relay.follow();
        let awaited = self.relay.carriers();
        wait_until("the other ends are there", Duration::from_secs(20), || {
            let rows = self.show("interfaces");
            let is = |row: &Value, name| {
                row["device"].as_str().is_some_and(|device| device.starts_with(name))
            };
            let has_carrier = |name| rows.iter().any(|row| is(row, name) && row["carrier"] == true);
            awaited.iter().all(|name| has_carrier(name.as_str()))
        });
    }

    /// The process that was started, the parent of all others.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The gateway process itself, the child that holds all threads.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    #[must_use]
    pub fn gateway_pid(&self) -> u32 {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.expect("the supervisor runs");
        let first = children.split_whitespace().next().and_then(|child| child.parse().ok());
        first.unwrap_or_else(|| panic!("the supervisor has no child: {children:?}"))
    }

    /// All it has logged since its last start.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.log()
    }

    /// Its file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its file with another policy.
    #[must_use]
    pub fn file_with(&self, policy: &Policy) -> String {
        format!("{}{}", self.base, policy.toml())
    }

    /// Runs `portcullis apply` with a file of this text.
    ///
    /// # Panics
    ///
    /// If the lab's folder can't be written.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, text: &str) -> Finished {
        self.with_file("apply", text)
    }

    /// Runs `portcullis diff` with a file of this text.
    ///
    /// # Panics
    ///
    /// If the lab's folder can't be written.
    #[track_caller]
    #[must_use]
    pub fn diff(&self, text: &str) -> Finished {
        self.with_file("diff", text)
    }

    #[track_caller]
    fn with_file(&self, command: &str, text: &str) -> Finished {
        let file = self.file.with_extension("new.toml");
        fs::write(&file, text).expect("the lab's folder can be written");
        self.command(&[command, &file.to_string_lossy()])
    }

    /// Writes another text to the file that it was started with, which SIGHUP has it read.
    ///
    /// # Panics
    ///
    /// If the lab's folder can't be written.
    #[track_caller]
    pub fn write_file(&self, text: &str) {
        fs::write(&self.file, text).expect("the lab's folder can be written");
    }

    /// Runs a command that talks to it: `flush flows --all`.
    #[track_caller]
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Finished {
        let mut command = Command::new(&self.program);
        command.args(words).arg("--socket").arg(&self.socket);
        finish(command)
    }

    /// Runs `portcullis show WHAT --json`; what may be several words.
    #[track_caller]
    #[must_use]
    pub fn ask(&self, what: &str) -> Finished {
        let mut words = vec!["show"];
        words.extend(what.split_whitespace());
        words.push("--json");
        self.command(&words)
    }

    /// What `portcullis show WHAT` prints for people.
    #[track_caller]
    #[must_use]
    pub fn show_text(&self, what: &str) -> String {
        self.command(&["show", what]).success()
    }

    /// The rows of what `portcullis show WHAT --json` answers.
    ///
    /// # Panics
    ///
    /// If it fails or does not answer in JSON.
    #[track_caller]
    #[must_use]
    pub fn show(&self, what: &str) -> Vec<Value> {
        let said = self.ask(what).success();
        show::rows(&said).unwrap_or_else(|error| panic!("show {what}: {error}: {said}"))
    }

    /// How many packets have been dropped for a reason.
    #[track_caller]
    #[must_use]
    pub fn drops(&self, reason: &str) -> u64 {
        show::drops(&self.show("drops"), reason)
    }

    /// Whether the dataplane has a route to just this prefix.
    #[track_caller]
    #[must_use]
    pub fn has_route(&self, prefix: &str) -> bool {
        show::prefixes(&self.show("routes")).any(|installed| installed == prefix)
    }

    /// How many routes within `start` (as `10.64.`) the dataplane has.
    #[track_caller]
    #[must_use]
    pub fn routes_starting(&self, start: &str) -> usize {
        let rows = self.show("routes");
        show::prefixes(&rows).filter(|installed| installed.starts_with(start)).count()
    }

    /// Sends a signal to the process that was started.
    pub fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    /// Sends a signal to another process of the gateway, by its id.
    pub fn signal_pid(&self, pid: u32, name: &str) {
        crate::command::signal(pid, name);
    }

    /// Asks it to stop, and says how it ended.
    ///
    /// # Panics
    ///
    /// If it does not end in time.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.end()
    }

    /// How it ends, once something has been done to it that ends it.
    ///
    /// # Panics
    ///
    /// If it does not end in time.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        self.running.end(Duration::from_secs(10))
    }

    /// Starts it again with the same file, and waits until it answers.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.relay.stop();
        self.running = run(&self.program, &self.host, &self.file, &self.socket);
        self.wait_until_ready();
    }

    /// Its control socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Runs a second one with the same file, but for its name, and a socket of its own until it
    /// gives up; returns what it complained about.
    ///
    /// # Panics
    ///
    /// If it does not give up.
    #[track_caller]
    #[must_use]
    pub fn run_another(&self, name: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        let text = fs::read_to_string(&self.file).expect("the file was written");
        for line in text.lines() {
            // The gateway's own name comes first, and so on a line above its interfaces'.
            let own = line.starts_with("name = ") && !lines.iter().any(|it| it.contains("name ="));
            lines.push(if own { format!("name = \"{name}\"") } else { line.to_owned() });
        }
        let file = self.file.with_extension("another.toml");
        fs::write(&file, lines.join("\n")).expect("the lab's folder can be written");
        refusal(&self.program, &self.host, &[], &file, &self.socket.with_extension("another"))
    }
}

impl Drop for Portcullis {
    fn drop(&mut self) {
        if std::thread::panicking() && !interrupted() {
            for what in [
                "threads",
                "interfaces",
                "routes",
                "neighbors",
                "drops",
                "counters",
                "flows",
                "nat",
                "firewall",
            ] {
                let mut command = Command::new("timeout");
                command.arg("5").arg(&self.program).args(["show", what, "--json", "--socket"]);
                command.arg(&self.socket);
                let file = self.folder.join(format!("show-{what}.txt"));
                // Evidence that can't be written must not hide the failure itself.
                let _ = fs::write(file, finish(command).to_string());
            }
            eprintln!("portcullis said:\n{}", tail(&self.running.log()));
        }
        let _ = fs::remove_file(&self.socket);
    }
}

/// Runs a gateway that can't start, behind `wrapper`, and returns what it complained about.
#[track_caller]
fn refusal(program: &Path, host: &Host, wrapper: &[&str], file: &Path, socket: &Path) -> String {
    let (file, socket) = (file.to_string_lossy(), socket.to_string_lossy());
    let program = program.to_string_lossy();
    let mut words = vec!["timeout", "20"];
    words.extend(wrapper);
    words.extend([&*program, "run", "-c", &*file, "--socket", &*socket]);
    let finished = finish(host.command(&words));
    assert_ne!(finished.status.code(), Some(124), "it went on: {finished}");
    finished.failure()
}

#[track_caller]
fn run(program: &Path, host: &Host, file: &Path, socket: &Path) -> Background {
    let (program, file) = (program.to_string_lossy(), file.to_string_lossy());
    host.start_words(&[&program, "run", "-c", &file, "--socket", &socket.to_string_lossy()])
}

/// A socket's path is short: the lab's own folder may lie too deep for it.
pub(crate) fn socket_folder() -> PathBuf {
    let folder = PathBuf::from("/run/portcullis");
    fs::create_dir_all(&folder).expect("root can write to /run");
    folder
}

/// Whether its memory must be huge pages, if it is on DPDK and neither the plan nor the environment leaves that to it.
fn huge_pages(plan: &Plan) -> Option<bool> {
    let is_open = (uses_dpdk() || plan.names_dpdk()) && !plan.file.contains("[dpdk]");
    asked_for_huge_pages().filter(|_| is_open)
}

/// The command that runs it: with DPDK if it needs that.
fn program(plan: &Plan) -> PathBuf {
    if plan.names_dpdk() { binary_with_dpdk(plan.release) } else { binary(plan.release) }
}

/// The file that a plan stands for, without its policy.
fn text(lab: &Lab, plan: &Plan, vpc: &Host, link: &Host) -> String {
    let mut text = String::new();
    let mut line = |line: &str| writeln!(text, "{line}").expect("a string takes every line");
    line("[gateway]");
    line(&format!("name = \"{}\"", lab.prefix()));
    line(&format!("link-namespace = \"{}\"", link.namespace()));
    line(&format!("vpc-namespace = \"{}\"", vpc.namespace()));
    if !plan.gateway.contains("workers") {
        line("workers = 1");
    }
    if on_one_thread() && plan.ports.iter().all(|port| uses_dpdk() || port.dpdk.is_some()) {
        line("threads-per-worker = 1");
    }
    line(&plan.gateway);
    for (number, port) in plan.ports.iter().enumerate() {
        line("[[interface]]");
        line(&format!("name = \"{}\"", port.name));
        match &port.dpdk {
            Some(arguments) => line(&format!("driver = \"dpdk\"\ndevice = \"{arguments}\"")),
            None => {
                line(&driver().lines(lab, number, &device(Forwarder::Portcullis, number, port)))
            }
        }
        line(&format!("addresses = {:?}", port.addresses));
        if let Some(mtu) = port.mtu {
            line(&format!("mtu = {mtu}"));
        }
        match port.anti_spoofing {
            Some(AntiSpoofing::Strict) => line("anti-spoofing = \"strict\""),
            Some(AntiSpoofing::Loose) => line("anti-spoofing = \"loose\""),
            None => {}
        }
        if port.mss_clamp {
            line("mss-clamp = true");
        }
    }
    line(&plan.file);
    if let Some(huge) = huge_pages(plan) {
        line(&format!("[dpdk]\nhugepages = {huge}"));
    }
    text
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
