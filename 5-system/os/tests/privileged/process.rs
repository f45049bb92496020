//! Hardening of a whole process, tried out in processes of their own.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_os::process::{LockFile, ParentError, end_with_parent, forbid_dumps};
use rustix::process::{Pid, Resource, Rlimit, getppid, setrlimit};

use crate::support::{in_own_process, unique};

#[test]
fn a_process_ends_with_its_parent() {
    // The parent is a shell that starts this test again, says its number, and is then killed.
    let test = "process::a_process_ends_with_its_parent";
    if std::env::var_os("PCOS_ORPHAN").is_some() {
        end_with_parent(getppid().unwrap()).unwrap();
        println!("ready {}", std::process::id());
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let program = std::env::current_exe().unwrap();
    let script = format!("{} --exact {test} --nocapture & wait", program.display());
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .env("PCOS_ORPHAN", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(shell.stdout.take().unwrap()));
    let child = lines
        .find_map(|line| Some(line.unwrap().split_once("ready ")?.1.parse::<u32>().unwrap()))
        .unwrap();
    shell.kill().unwrap();
    shell.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let ended = || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat"));
        stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
    };
    while !ended() {
        assert!(Instant::now() < until, "process {child} outlived its parent");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_parent_that_is_gone_already_is_noticed() {
    let output = in_own_process("process::a_parent_that_is_gone_already_is_noticed", &[], || {
        let other = Pid::from_raw(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert_eq!(end_with_parent(other), Err(ParentError::Gone(other)));
    });
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_process_that_forbids_dumps_leaves_no_core() {
    let test = "process::a_process_that_forbids_dumps_leaves_no_core";
    let directory = std::env::temp_dir().join(unique("core"));
    std::fs::create_dir(&directory).unwrap();
    let text = directory.to_str().unwrap().to_owned();
    // Once without, to see that there would be one.
    let [with, without] = ["1", "0"].map(|dumps| {
        in_own_process(test, &[("PCOS_CORE", &text), ("PCOS_DUMPS", dumps)], || {
            std::env::set_current_dir(std::env::var("PCOS_CORE").unwrap()).unwrap();
            let unlimited = Rlimit { current: None, maximum: None };
            setrlimit(Resource::Core, unlimited).unwrap();
            if std::env::var("PCOS_DUMPS").unwrap() == "0" {
                forbid_dumps().unwrap();
            }
            std::process::abort();
        })
    });
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(with.status.signal(), Some(libc::SIGABRT));
    assert!(with.status.core_dumped());
    assert_eq!(without.status.signal(), Some(libc::SIGABRT));
    assert!(!without.status.core_dumped());
}

#[test]
fn a_lock_is_free_again_when_its_process_was_killed() {
    let path = std::env::temp_dir().join(unique("killed"));
    let test = "process::a_lock_is_free_again_when_its_process_was_killed";
    let text = path.to_str().unwrap().to_owned();
    let output = in_own_process(test, &[("PCOS_LOCK", &text)], || {
        let path = std::env::var("PCOS_LOCK").unwrap();
        let _lock = LockFile::take(path.as_ref(), "gateway gw1").unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .unwrap();
    });
    let left = std::fs::read_to_string(&path).unwrap();
    let taken = LockFile::take(&path, "gateway gw1");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGKILL));
    assert_ne!(left.trim(), "");
    taken.unwrap();
}
