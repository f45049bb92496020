//! The machine that QEMU emulates.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Model;
use super::kernel::{Kernel, text};

/// Huge pages of 2 MiB: the gateway takes half of them.
const KERNEL_ARGUMENTS: &str =
    "console=ttyS0 panic=1 loglevel=5 mitigations=off intel_iommu=on iommu=pt hugepages=256";

/// One that runs. Dropped, it ends.
pub(super) struct Machine(Child);

impl Machine {
    /// Boots one with three devices of the model. QEMU's own messages and the guest's console go to files in the folder.
    pub(super) fn boot(
        model: &Model,
        kernel: &Kernel,
        folder: &Path,
        guest: &Path,
    ) -> Result<Self, String> {
        let messages = folder.join("qemu.log");
        let messages =
            File::create(&messages).map_err(|error| format!("{}: {error}", messages.display()))?;
        let errors = messages.try_clone().map_err(|error| error.to_string())?;
        // It ends with this process, whatever ends that.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
            .args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"])
            .args(["-smp", "2", "-m", "2560", "-nodefaults", "-display", "none", "-no-reboot"])
            .args(["-device", "intel-iommu,intremap=on,aw-bits=48", "-device", "virtio-rng-pci"])
            .args(["-kernel", text(&kernel.image)?, "-initrd", text(&kernel.initrd)?])
            .args(["-append", KERNEL_ARGUMENTS])
            .args(["-serial", &format!("file:{}", text(&folder.join("serial.log"))?)])
            .args(shared("root", Path::new("/"), ",readonly=on")?)
            .args(shared("kernel", &kernel.root, ",readonly=on")?)
            .args(shared("guest", guest, "")?)
            .args((1..=3).flat_map(|number| network(model, number)))
            .stdin(Stdio::null())
            .stdout(messages)
            .stderr(errors)
            .spawn();
        child.map(Self).map_err(|error| format!("setpriv: {error}"))
    }

    /// Whether it has powered off. An error: QEMU did not run.
    pub(super) fn has_ended(&mut self) -> Result<bool, String> {
        match self.0.try_wait() {
            Ok(None) => Ok(false),
            Ok(Some(status)) if status.success() => Ok(true),
            Ok(Some(status)) => Err(format!("QEMU: {status}, see its log")),
            Err(error) => Err(format!("QEMU: {error}")),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that the guest can mount by its tag.
fn shared(tag: &str, folder: &Path, options: &str) -> Result<[String; 4], String> {
    // A comma in a path is doubled for QEMU.
    let path = text(folder)?.replace(',', ",,");
    Ok([
        "-fsdev".to_owned(),
        format!("local,id={tag},path={path},security_model=none,multidevs=remap{options}"),
        "-device".to_owned(),
        format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    ])
}

/// A wire with a device of the model at one end, alone on bus `number`, and a host's at the other.
fn network(model: &Model, number: u8) -> [String; 10] {
    let Model { name, options, .. } = model;
    let (port, host) = (number + 8, number + 16);
    [
        "-device".to_owned(),
        format!("pcie-root-port,id=port{number},chassis={number},slot={number},addr={port:x}.0"),
        "-netdev".to_owned(),
        format!("hubport,id=gateway{number},hubid={number}"),
        "-netdev".to_owned(),
        format!("hubport,id=host{number},hubid={number}"),
        "-device".to_owned(),
        format!(
            "{name},bus=port{number},netdev=gateway{number},mac=02:00:00:00:0{number}:02{options}"
        ),
        "-device".to_owned(),
        format!("virtio-net-pci,netdev=host{number},mac=02:00:00:00:0{number}:01,addr={host:x}.0"),
    ]
}
