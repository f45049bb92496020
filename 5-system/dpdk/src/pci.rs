//! What the kernel says of devices on the PCI bus (`/sys/bus/pci`, ABI/testing/sysfs-bus-pci).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A device that is on the bus.
#[derive(Clone, Debug)]
pub struct PciDevice {
    /// Its folder in sysfs.
    folder: PathBuf,
}

impl PciDevice {
    /// The device of these arguments (its address in full, and then maybe more), if it is one on the bus.
    #[must_use]
    pub fn find(devargs: &str) -> Option<Self> {
        Self::find_in(Path::new("/sys/bus/pci/devices"), devargs)
    }

    fn find_in(devices: &Path, devargs: &str) -> Option<Self> {
        let address = devargs.split(',').next().filter(|name| name.contains(':'))?;
        let folder = devices.join(address);
        folder.exists().then_some(Self { folder })
    }

    /// The kernel's driver that has it. `vfio-pci` is the one that lends it to processes.
    #[must_use]
    pub fn driver(&self) -> Option<String> {
        let link = fs::read_link(self.folder.join("driver")).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    /// Whether the kernel has taken it from its driver: it was unplugged or unbound. With vfio-pci that is over only when the
    /// process that uses it has given it back.
    pub(crate) fn is_taken_back(&self) -> bool {
        let link = fs::symlink_metadata(self.folder.join("driver"));
        link.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    /// Why DPDK does not get it, as far as that is known, and what to do.
    pub(crate) fn advice(&self) -> Option<String> {
        match self.driver().as_deref() {
            Some("vfio-pci") => None,
            Some(other) => Some(format!(
                "the kernel's driver {other} has it: bind it to vfio-pci (dpdk-devbind.py)"
            )),
            None => Some("no driver has it: bind it to vfio-pci, which takes an IOMMU".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_device_is_known_by_its_folder_and_its_driver() {
        let devices = std::env::temp_dir().join(format!("pc-pci-{}", std::process::id()));
        let folder = devices.join("0000:03:00.0");
        fs::create_dir_all(&folder).expect("a folder");
        let find = |devargs| PciDevice::find_in(&devices, devargs);
        assert!(find("0000:04:00.0").is_none() && find("net_null0").is_none());
        let device = find("0000:03:00.0,arg=1").expect("it is there");
        assert!(device.is_taken_back());
        assert!(device.advice().is_some_and(|it| it.contains("an IOMMU")));
        for (driver, advice) in [("e1000e", Some("driver e1000e has it")), ("vfio-pci", None)] {
            symlink(format!("../../drivers/{driver}"), folder.join("driver")).expect("a link");
            assert_eq!(device.driver().as_deref(), Some(driver));
            assert!(!device.is_taken_back());
            assert_eq!(device.advice().is_some(), advice.is_some());
            assert!(device.advice().is_none_or(|it| it.contains(advice.unwrap_or_default())));
            fs::remove_file(folder.join("driver")).expect("the link");
        }
        fs::remove_dir_all(&devices).expect("its own folder");
        assert!(device.is_taken_back());
    }
}
