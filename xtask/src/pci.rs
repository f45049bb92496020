//! `cargo xtask pci`: the gateway on PCI devices, in a machine that QEMU emulates.
//!
//! The guest has an IOMMU, and three devices of a model behind ports of their own: two for the gateway, and one that it
//! must leave alone. The first two are each joined with another device that a host in the guest has: `near`, `far`. The guest's root
//! is this machine's, so that DPDK and all programs are the same; its kernel is Debian's. The checks are functions of
//! `pci/guest-test.sh`.

mod kernel;
mod machine;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kernel::Kernel;
use machine::Machine;
use portcullis_blackbox::{interrupted, unwind_on_interrupts};

use crate::packages;
use crate::run::{cargo, need_root, root, run as run_program};

/// How long a model may take, the guest's start included.
const LIMIT: Duration = Duration::from_secs(360);

/// The checks: what they are called in `pci/guest-test.sh`, and what they show. Each finds the gateway as the one before left it.
const CHECKS: &[(&str, &str)] = &[
    ("start", "two devices come up, one by its short address"),
    ("ping", "ping over IPv4 and IPv6"),
    ("tcp", "TCP both ways"),
    ("checksum", "wrong IPv4 header checksums do not pass"),
    ("third", "a device that is not in the file is not touched"),
    ("rights", "pc-dpdk has CAP_IPC_LOCK only"),
    ("mtu", "a smaller MTU, and back"),
    ("mtu_refused", "an MTU that is too large is refused"),
    ("down", "down and up"),
    ("address", "another MAC address, and back"),
    ("unplug", "a device that is unplugged is given up"),
    ("plug", "and taken into use when it is there again"),
    ("kill", "start after SIGKILL"),
    ("end", "SIGTERM ends it, and all huge pages are free"),
    ("ordinary_pages", "in ordinary pages"),
];

/// A device that QEMU emulates.
struct Model {
    name: &'static str,
    /// QEMU's options of it, each with a comma before it.
    options: &'static str,
    /// Checks that are left out.
    without: &'static [&'static str],
}

const MODELS: &[Model] = &[
    Model { name: "e1000e", options: "", without: &[] },
    // Without the option it reaches memory past the IOMMU.
    Model { name: "virtio-net-pci", options: ",iommu_platform=on,disable-legacy=on", without: &[] },
    // It may receive nothing any more once it was stopped and started for another MTU, with DPDK's testpmd as well: a fault of
    // DPDK's driver or of QEMU's model.
    Model { name: "vmxnet3", options: "", without: &["mtu"] },
];

impl Model {
    fn of(name: &str) -> Result<&'static Self, String> {
        let known = || MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", ");
        let model = MODELS.iter().find(|model| model.name == name);
        model.ok_or_else(|| format!("{name} is none of the models {}", known()))
    }

    fn checks(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        CHECKS.iter().filter(|(check, _)| !self.without.contains(check))
    }
}

/// Tries the models of these names, or all.
pub(crate) fn run(names: &[&str]) -> Result<(), String> {
    let models = match names {
        [] => MODELS.iter().collect(),
        names => names.iter().map(|name| Model::of(name)).collect::<Result<Vec<_>, _>>()?,
    };
    need_root()?;
    let start = Instant::now();
    packages::install(packages::PCI)?;
    let folder = root().join("target/pci");
    let _alone = be_alone(&folder)?;
    let kernel = Kernel::get(&folder)?;
    let build = ["build", "--quiet", "--release", "--features", "dpdk", "-p", "portcullis"];
    run_program(&cargo(), &build)?;
    unwind_on_interrupts();
    let (mut checks, mut failed) = (0, 0);
    for model in models {
        checks += model.checks().count();
        failed += attempt(model, &kernel, &folder.join(model.name))?;
    }
    let total = start.elapsed().as_secs_f64();
    if failed == 0 {
        println!("all {checks} checks passed in {total:.0} s");
        Ok(())
    } else {
        let folder = folder.display();
        Err(format!(
            "{failed} of {checks} checks failed or did not run, after {total:.0} s; logs are in {folder}"
        ))
    }
}

/// Two runs at a time would take each other's files away. The folder is this one's until the file is dropped.
fn be_alone(folder: &Path) -> Result<File, String> {
    let lock = fs::create_dir_all(folder).and_then(|()| File::create(folder.join("lock")));
    let lock = lock.map_err(|error| format!("{}: {error}", folder.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(error) => Err(format!("{}: another run has it ({error})", folder.display())),
    }
}

/// Runs the checks on a model, and returns how many failed or did not run.
fn attempt(model: &Model, kernel: &Kernel, folder: &Path) -> Result<usize, String> {
    let guest = lay_out(model, folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut machine = Machine::boot(model, kernel, folder, &guest)?;
    let start = Instant::now();
    let mut results: Vec<(String, bool)> = Vec::new();
    loop {
        // Asked first: what is read afterwards is all there is.
        let is_over = machine.has_ended()? || start.elapsed() > LIMIT;
        let file = fs::read_to_string(guest.join("results")).unwrap_or_default();
        for (check, is_ok) in parse(&file).skip(results.len()) {
            say(model, check, if is_ok { "ok" } else { "FAILED" });
            if !is_ok {
                show_end(&guest.join("logs").join(format!("{check}.log")));
            }
            results.push((check.to_owned(), is_ok));
        }
        if interrupted() {
            return Err("interrupted; QEMU has been ended".to_owned());
        }
        if is_over {
            break;
        }
        sleep(Duration::from_millis(200));
    }
    if start.elapsed() > LIMIT {
        println!("{} was ended after {:.0} s", model.name, LIMIT.as_secs_f64());
    }
    let mut passed = 0;
    for (check, _) in model.checks() {
        match results.iter().find(|(name, _)| name == check) {
            Some((_, is_ok)) => passed += usize::from(*is_ok),
            None => say(model, check, "DID NOT RUN"),
        }
    }
    Ok(model.checks().count() - passed)
}

/// Makes the folder that the guest has as `/guest`.
fn lay_out(model: &Model, folder: &Path) -> std::io::Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let guest = folder.join("guest");
    fs::create_dir_all(&guest)?;
    fs::write(guest.join("guest-init.sh"), include_str!("pci/guest-init.sh"))?;
    fs::write(guest.join("guest-test.sh"), include_str!("pci/guest-test.sh"))?;
    fs::write(guest.join("frames.py"), include_str!("pci/frames.py"))?;
    let checks: String = model.checks().map(|(check, _)| format!("{check}\n")).collect();
    fs::write(guest.join("checks"), checks)?;
    fs::copy(root().join("target/release/portcullis"), guest.join("portcullis"))?;
    Ok(guest)
}

/// The results that the guest has written so far: a check, and whether its exit code was 0. A line that is not complete yet is left
/// for later.
fn parse(file: &str) -> impl Iterator<Item = (&str, bool)> {
    let lines = file.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    lines.filter_map(|line| line.split_once(' ')).map(|(check, code)| (check, code == "0"))
}

fn say(model: &Model, check: &str, result: &str) {
    let words = CHECKS.iter().find(|(name, _)| *name == check).map_or(check, |(_, words)| words);
    println!("{:<14}  {words} ... {result}", model.name);
}

/// Shows the last lines of what a check said.
fn show_end(log: &Path) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(8)) {
        println!("    {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_counts_once_its_line_is_complete() {
        let results: Vec<_> = parse("start 0\nping 124\ntcp").collect();
        assert_eq!(results, [("start", true), ("ping", false)]);
    }

    #[test]
    fn each_check_is_a_function_of_the_script() {
        for (check, _) in CHECKS {
            assert!(include_str!("pci/guest-test.sh").contains(&format!("\ncheck_{check}() {{\n")));
        }
        let left_out = MODELS.iter().flat_map(|model| model.without);
        assert!(left_out.into_iter().all(|name| CHECKS.iter().any(|(check, _)| check == name)));
    }
}
