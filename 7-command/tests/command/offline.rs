//! What the command does without a gateway.

use crate::support::{Directory, GOOD, Outcome, portcullis};
use serde_json::Value;

fn run(arguments: &[&str]) -> Outcome {
    Outcome::of(portcullis(arguments))
}

#[test]
fn a_good_file_is_said_to_be_good_and_what_is_in_it() {
    let directory = Directory::new("good");
    let file = directory.file("portcullis.toml", GOOD).display().to_string();
    let stdout = format!("{file}: ok (2 interfaces, 1 route)\n");
    let expected = Outcome { code: Some(0), stdout, stderr: String::new() };
    assert_eq!(run(&["check", &file]), expected);
}

#[test]
fn all_that_is_wrong_with_a_file_is_said_with_its_place() {
    let directory = Directory::new("bad");
    let text = GOOD.replace("device = \"eth2\"", "devise = \"eth2\"\nmtu = 9");
    let file = directory.file("portcullis.toml", &text).display().to_string();
    let checked = run(&["check", &file]);
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(1), ""));
    for expected in [
        format!("{file}:10:1: error: no `device` in [[interface]]\n"),
        format!("{file}:12:1: error: unknown key `devise` in [[interface]]\n"),
        "12 | devise = \"eth2\"\n   | ^^^^^^ expected one of `name`, ".to_owned(),
        "   = help: did you mean `device`?\n".to_owned(),
        format!("{file}:13:7: error: `mtu` is 9\n"),
        "   |       ^ expected 68 to 65535 (bytes)\n".to_owned(),
        format!("{file}: 3 errors\n"),
    ] {
        assert!(checked.stderr.contains(&expected), "{expected}\nin\n{}", checked.stderr);
    }
    assert_eq!(run(&["run", "-c", &file]).stderr, checked.stderr);
}

#[test]
fn a_file_that_is_not_there_is_one_sentence() {
    let checked = run(&["check", "/nonexistent/portcullis.toml"]);
    let sentence = "portcullis: /nonexistent/portcullis.toml: No such file or directory";
    assert_eq!(checked.code, Some(1));
    assert!(checked.stderr.starts_with(sentence), "{}", checked.stderr);
    assert_eq!(checked.stderr.lines().count(), 1);
}

#[test]
fn what_is_no_text_is_refused_at_its_place() {
    let directory = Directory::new("binary");
    let path = directory.path().join("binary.toml");
    std::fs::write(&path, b"[gateway]\nname = \"\xff\xfe\"\n").expect("a file");
    let checked = run(&["check", &path.display().to_string()]);
    assert_eq!(checked.code, Some(1));
    assert!(checked.stderr.contains(":2:9: error: bytes that are not text"), "{}", checked.stderr);
}

#[test]
fn what_is_not_understood_exits_with_2() {
    for arguments in [
        &[][..],
        &["chekc"],
        &["check"],
        &["run"],
        &["show"],
        &["show", "weather"],
        &["show", "flows", "--source", "here"],
        &["show", "flows", "--protocol", "tpc"],
        &["show", "flows", "--sort", "size"],
        &["show", "flows", "--top", "0"],
        &["apply"],
        &["diff"],
        &["flush"],
        &["flush", "flows"],
        &["flush", "flows", "--all", "--port", "22"],
        &["flush", "flows", "--all", "--nat"],
        &["show", "routes", "10.0.0.0/33"],
        &["show", "routes", "--to", "here"],
        &["completions", "cmd"],
        &["run", "-c", "/nonexistent", "--log-level", "loud"],
    ] {
        let refused = run(arguments);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!refused.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn commands_of_later_versions_are_not_offered() {
    let help = run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for later in ["top", "trace", "capture"] {
        assert!(!help.stdout.contains(&format!("\n  {later} ")), "{later}");
    }
}

#[test]
fn the_schema_is_json_and_knows_the_sections() {
    let schema = run(&["schema"]);
    assert_eq!((schema.code, schema.stderr.as_str()), (Some(0), ""));
    let schema: Value = serde_json::from_str(&schema.stdout).expect("JSON");
    assert!(schema["properties"]["interface"].is_object());
}

#[test]
fn there_are_completions_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert_eq!(script.code, Some(0));
        for word in ["neighbors", "flows", "flush", "apply", "mappings"] {
            assert!(script.stdout.contains(word), "{word} in {shell}");
        }
    }
}

#[test]
fn there_are_no_colours_without_a_terminal() {
    let directory = Directory::new("colours");
    let file = directory.file("portcullis.toml", "x = 1").display().to_string();
    assert!(!run(&["check", &file]).stderr.contains('\x1b'));
}
