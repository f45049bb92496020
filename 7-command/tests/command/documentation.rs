//! docs/commands.md says what is true.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::support::{FakeGateway, Outcome, portcullis};

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    fs::read_to_string(page).expect("the page is there")
}

/// The text as a block of the page.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect()
}

#[test]
fn its_tables_are_what_the_command_prints() {
    let page = page();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command/golden");
    for name in [
        "threads",
        "interfaces",
        "routes",
        "routes-to",
        "neighbors",
        "flows",
        "flows-top",
        "nat-mappings",
        "firewall",
        "drops",
        "counters",
        "config",
        "apply",
        "diff",
    ] {
        let text = fs::read_to_string(golden.join(format!("{name}.txt"))).expect("recorded");
        assert!(page.contains(&indented(&text)), "{name} is shown otherwise");
    }
}

#[test]
fn its_conversation_with_the_socket_is_a_real_one() {
    let gateway = FakeGateway::start("conversation");
    let mut stream = UnixStream::connect(gateway.socket()).expect("a connection");
    stream.write_all(b"{\"show\":\"drops\"}\n").expect("sent");
    stream.shutdown(Shutdown::Write).expect("half closed");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("text");
    assert!(page().contains(&indented(&said)), "{said}");
}

#[test]
fn it_describes_every_command() {
    let page = page();
    for arguments in [&["--help"][..], &["show", "--help"]] {
        let help = Outcome::of(portcullis(arguments)).stdout;
        let (_, commands) = help.split_once("Commands:\n").expect("commands are listed");
        for line in commands.lines().take_while(|line| !line.is_empty()) {
            let command = line.split_whitespace().next().expect("a name");
            let heading = match arguments {
                ["--help"] => format!("## `{command}`: "),
                _ => format!("### `show {command}"),
            };
            assert!(page.contains(&heading), "{heading}");
        }
    }
}
