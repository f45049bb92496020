//! Programs run to their end, and programs left running.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::interrupt;

/// What a program left behind.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The command line.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it said.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Finished {
    /// What the program said, if it succeeded.
    ///
    /// # Panics
    ///
    /// If it did not.
    #[track_caller]
    #[must_use]
    pub fn success(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }

    /// What the program said and complained about, if it failed.
    ///
    /// # Panics
    ///
    /// If it succeeded.
    #[track_caller]
    #[must_use]
    pub fn failure(self) -> String {
        assert!(!self.status.success(), "{self}");
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}\n{}{}", self.command, self.status, self.stdout, self.stderr)
    }
}

/// Runs a program to its end, which must come within a minute and a half.
#[track_caller]
pub(crate) fn finish(mut command: Command) -> Finished {
    let line = line(&command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
    let mut stderr = child.stderr.take().expect("was piped");
    let errors = std::thread::spawn(move || read(&mut stderr));
    let mut stdout = child.stdout.take().expect("was piped");
    let said = std::thread::spawn(move || read(&mut stdout));
    let status = wait(&mut child, Duration::from_secs(90)).unwrap_or_else(|| {
        let _ = child.kill();
        panic!("{line}: still running after 90 seconds")
    });
    let stdout = said.join().expect("the reader does not panic");
    let stderr = errors.join().expect("the reader does not panic");
    Finished { command: line, status, stdout, stderr }
}

fn read(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    // A pipe that breaks ends the text, as its end does.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[track_caller]
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        interrupt::point();
        if start.elapsed() > limit {
            return None;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A program left running; killed when dropped.
#[derive(Debug)]
pub struct Background {
    child: Child,
    command: String,
    log: PathBuf,
}

impl Background {
    #[track_caller]
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let line = line(&command);
        let file = File::create(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let errors = file.try_clone().expect("a file can be cloned");
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        Self { child, command: line, log: log.to_owned() }
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said and complained about so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    ///
    /// If the kernel does not know the child.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends a signal, by name: `TERM`, `INT`, `KILL`.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// How it ends.
    ///
    /// # Panics
    ///
    /// If it does not within `limit`.
    #[track_caller]
    pub fn end(&mut self, limit: Duration) -> ExitStatus {
        wait(&mut self.child, limit).unwrap_or_else(|| {
            panic!("{}: still running after {limit:?}\n{}", self.command, self.log())
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process, by name; one that has ended already needs none.
pub(crate) fn signal(pid: u32, name: &str) {
    let number = match name {
        "TERM" => libc::SIGTERM,
        "INT" => libc::SIGINT,
        "KILL" => libc::SIGKILL,
        "STOP" => libc::SIGSTOP,
        "CONT" => libc::SIGCONT,
        "HUP" => libc::SIGHUP,
        other => panic!("no signal {other} is needed here"),
    };
    let signal = rustix::process::Signal::from_named_raw(number);
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, signal) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}
