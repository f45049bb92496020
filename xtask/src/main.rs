//! What developers run: `cargo xtask test`, `cargo xtask pci`, `cargo xtask demo`, `cargo xtask bench`.

#![forbid(unsafe_code)]

mod bench;
mod demo;
mod packages;
mod pci;
mod run;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test                      installs what the tests need, and runs all of them (as root)
cargo xtask pci [MODEL]...            tries it on PCI devices that QEMU emulates (as root):
                                      e1000e, virtio-net-pci, vmxnet3
cargo xtask demo                      shows a gateway at work, in namespaces of its own (as root)
cargo xtask bench [OPTION]...         measures it beside its peers (as root)
    --rounds N                        how often each is measured, alternating (default 5)
    --only memory|veth|dpdk           one part of it
    --markdown FILE                   writes the tables there too
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => test::run_steps(),
        ["pci", models @ ..] => pci::run(models),
        ["demo"] => demo::run(),
        ["bench", options @ ..] => bench::Options::parse(options).and_then(|it| bench::run(&it)),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.trim_end());
            ExitCode::FAILURE
        }
    }
}
