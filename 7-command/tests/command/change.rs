//! `portcullis apply`, `diff` and `flush`, against a gateway whose answers are known.

use std::process::Stdio;

use crate::support::{Directory, FakeGateway, GOOD, Outcome, golden, portcullis};

/// A file that the gateway takes for another one than it runs with.
fn other() -> String {
    GOOD.replace("device = \"eth2\"", "device = \"eth2\"\nmtu = 9000")
}

/// Runs the command with a file of this text; in what it says, the file is `gw1.toml`.
fn with_file(gateway: &FakeGateway, command: &str, text: &str) -> Outcome {
    let directory = Directory::new(&format!("{}-{command}", gateway.name()));
    let file = directory.file("gw1.toml", text).display().to_string();
    let mut outcome = gateway.run(&[command, &file]);
    outcome.stderr = outcome.stderr.replace(&file, "gw1.toml");
    outcome
}

fn done(stdout: &str) -> Outcome {
    Outcome { code: Some(0), stdout: stdout.into(), stderr: String::new() }
}

fn failed(stderr: &str) -> Outcome {
    Outcome { code: Some(1), stdout: String::new(), stderr: stderr.into() }
}

#[test]
fn what_a_file_changes_is_said_in_words() {
    let gateway = FakeGateway::start("changes");
    let applied = with_file(&gateway, "apply", &other());
    assert_eq!((applied.code, applied.stderr.as_str()), (Some(0), ""));
    golden("apply", &applied.stdout);
    let restart = other().replace("[gateway]", "[gateway]\nworkers = 2");
    let compared = with_file(&gateway, "diff", &restart);
    assert_eq!((compared.code, compared.stderr.as_str()), (Some(0), ""));
    golden("diff", &compared.stdout);
}

#[test]
fn a_file_that_changes_nothing_is_applied_without_a_change() {
    let gateway = FakeGateway::start("same");
    assert_eq!(with_file(&gateway, "apply", GOOD), done("gw1: no changes\n"));
    assert_eq!(with_file(&gateway, "diff", GOOD), done("gw1: no changes\n"));
}

#[test]
fn a_file_that_needs_a_restart_is_refused_with_what_needs_it() {
    let gateway = FakeGateway::start("restart");
    let text = GOOD.replace("[gateway]", "[gateway]\nworkers = 2");
    let reasons = "~ `workers` in [gateway]: from 1 to 2 (by a restart only)\n\
        portcullis: the gateway says: the gateway must be restarted for this file; nothing was changed\n";
    assert_eq!(with_file(&gateway, "apply", &text), failed(reasons));
}

#[test]
fn reasons_of_the_gateway_stand_at_the_beginning_of_lines() {
    let gateway = FakeGateway::start("refused");
    let text = GOOD.replace("eth2", "eth9");
    let reasons = "portcullis: the gateway says:\n\
        gw1.toml:9:10: error: there is no device `eth9`\ngw1.toml: 1 error\n";
    for command in ["apply", "diff"] {
        assert_eq!(with_file(&gateway, command, &text), failed(reasons));
    }
}

#[test]
fn a_bad_file_is_refused_as_check_refuses_it_and_no_gateway_is_asked() {
    let directory = Directory::new("apply-bad");
    let bad = GOOD.replace("device = \"eth2\"", "devise = \"eth2\"");
    directory.file("bad.toml", &bad);
    std::fs::write(directory.path().join("binary.toml"), b"\xff").expect("a file");
    std::fs::write(directory.path().join("large.toml"), vec![b'#'; (16 << 20) + 1])
        .expect("a file");
    for name in ["bad.toml", "binary.toml", "large.toml", "missing.toml"] {
        let file = directory.path().join(name).display().to_string();
        let checked = Outcome::of(portcullis(&["check", &file]));
        assert_eq!(checked.code, Some(1), "{name}");
        for command in ["apply", "diff"] {
            let socket = ["--socket", "/nonexistent/gw1.sock"];
            let refused = Outcome::of(portcullis(&[&[command, &file][..], &socket].concat()));
            assert_eq!(refused, checked, "{command} {name}");
        }
    }
}

#[test]
fn the_gateway_is_the_one_that_the_file_names() {
    let directory = Directory::new("named");
    let name = format!("pc-none-{}", std::process::id());
    let file = directory.file("gw1.toml", &GOOD.replace("gw1", &name)).display().to_string();
    for command in ["apply", "diff"] {
        let sentence = format!(
            "portcullis: no gateway answers at /run/portcullis/{name}.sock: there is no such socket\n"
        );
        assert_eq!(Outcome::of(portcullis(&[command, &file])), failed(&sentence));
    }
}

#[test]
fn a_file_may_come_through_a_pipe() {
    let gateway = FakeGateway::start("pipe");
    let directory = Directory::new("pipe-apply");
    let file = std::fs::File::open(directory.file("gw1.toml", &other())).expect("the file");
    let mut cat = std::process::Command::new("cat");
    let mut cat = cat.stdin(file).stdout(Stdio::piped()).spawn().expect("cat runs");
    let mut command = gateway.command(&["apply", "/dev/stdin"]);
    command.stdin(cat.stdout.take().expect("a pipe"));
    let applied = Outcome::of(command);
    assert!(cat.wait().expect("it ends").success());
    assert!(applied.stdout.ends_with("gw1: 3 changes applied\n"), "{applied:?}");
}

#[test]
fn flows_are_ended_by_filter_or_all_of_them() {
    let gateway = FakeGateway::start("flush");
    let flush = |filter: &[&str]| gateway.run(&[&["flush", "flows"], filter].concat());
    assert_eq!(flush(&["--all"]), done("5 flows ended\n"));
    assert_eq!(flush(&["--protocol", "tcp", "--host", "10.0.0.5"]), done("2 flows ended\n"));
    assert_eq!(flush(&["--state", "syn-sent"]), done("1 flow ended\n"));
    assert_eq!(flush(&["--interface", "dmz"]), done("0 flows ended\n"));
}
