//! Golden cases: each folder in `cases` has a `portcullis.toml` and what is said about it, the
//! errors in `stderr.txt`, or, where there are none, the configuration as it was understood in
//! `understood.toml`. `BLESS=1` writes what is said now; read the difference before committing it.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_config::{Config, Host};

const HOST: Host<'_> = Host { name: "host1" };

#[test]
fn every_case_is_answered_as_recorded() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for folder in cases() {
        let text = fs::read_to_string(folder.join("portcullis.toml")).expect("a case has a file");
        let (recorded, other, said) = match Config::parse("portcullis.toml", &text, &HOST) {
            Ok(config) => ("understood.toml", "stderr.txt", config.to_toml()),
            Err(report) => ("stderr.txt", "understood.toml", format!("{report}\n")),
        };
        assert!(!folder.join(other).exists() || bless(), "{}: {said}", folder.display());
        let path = folder.join(recorded);
        if bless() {
            fs::write(&path, &said).expect("the record can be written");
        }
        if fs::read_to_string(&path).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", path.display()));
        }
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The folders of the cases; those about DPDK if it is there.
fn cases() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folders: &[_] = if cfg!(feature = "dpdk") { &["cases", "cases-dpdk"] } else { &["cases"] };
    let cases = folders.iter().map(|folder| fs::read_dir(here.join(folder)));
    let cases = cases.flat_map(|cases| cases.expect("the cases are there"));
    cases.map(|case| case.expect("a case can be read").path()).collect()
}

fn bless() -> bool {
    std::env::var_os("BLESS").is_some()
}

#[test]
fn a_configuration_written_and_read_again_is_the_same() {
    for folder in cases() {
        let text = fs::read_to_string(folder.join("portcullis.toml")).expect("a case has a file");
        if let Ok(config) = Config::parse("a", &text, &HOST) {
            let again = Config::parse("b", &config.to_toml(), &Host { name: "another" });
            assert_eq!(again, Ok(config));
        }
    }
}
