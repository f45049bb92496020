//! The guest's kernel, and what it starts from.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::run::{output, run};

/// What the guest needs before it has its root.
const MODULES: &[&str] = &["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_net"];

/// Debian's kernel, unpacked.
pub(super) struct Kernel {
    /// Where its package is unpacked.
    pub(super) root: PathBuf,
    /// What it boots.
    pub(super) image: PathBuf,
    /// Its initrd.
    pub(super) initrd: PathBuf,
}

impl Kernel {
    /// Downloads it if it is not there yet, and makes the initrd.
    pub(super) fn get(folder: &Path) -> Result<Self, String> {
        let root = folder.join("kernel");
        if !root.exists() {
            download(folder, &root)?;
        }
        let version = only_entry(&root.join("lib/modules"))?;
        let image = root.join("boot").join(format!("vmlinuz-{version}"));
        let modules = modules(&root, &version)?;
        let initrd = folder.join("initrd.img");
        let tree = folder.join("initrd");
        lay_out(&tree, &modules).map_err(|error| format!("{}: {error}", tree.display()))?;
        let pack = "find . | cpio --quiet --create --format=newc > ../initrd.img";
        run("env", &["--chdir", text(&tree)?, "sh", "-c", pack])?;
        Ok(Self { root, image, initrd })
    }
}

/// Unpacks the package of the kernel that Debian has at this time.
fn download(folder: &Path, to: &Path) -> Result<(), String> {
    let half = folder.join("kernel.new");
    let make = || {
        if half.exists() {
            fs::remove_dir_all(&half)?;
        }
        fs::create_dir_all(&half)
    };
    make().map_err(|error| format!("{}: {error}", half.display()))?;
    run("apt-get", &["-qq", "update"])?;
    let depends = output("apt-cache", &["depends", "linux-image-amd64"])?;
    let mut words = depends.split_whitespace();
    let package =
        words.find(|word| word.starts_with("linux-image-") && !word.ends_with("-image-amd64"));
    let package = package.ok_or("linux-image-amd64 depends on no kernel")?;
    println!("downloading {package}");
    let into = ["--chdir", text(&half)?];
    let get = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package];
    run("env", &[&into[..], &get].concat())?;
    let unpack = "dpkg --extract *.deb . && rm *.deb";
    run("env", &[&into[..], &["sh", "-c", unpack]].concat())?;
    let version = only_entry(&half.join("lib/modules"))?;
    run("depmod", &["--basedir", text(&half)?, &version])?;
    fs::rename(&half, to).map_err(|error| format!("{}: {error}", to.display()))
}

/// The files of [`MODULES`] and of all that they need, in the order they are to be loaded in.
fn modules(root: &Path, version: &str) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for module in MODULES {
        let from = ["--dirname", text(root)?, "--set-version", version];
        let lines = output("modprobe", &[&from[..], &["--show-depends", module]].concat())?;
        // Others are built in.
        for file in lines.lines().filter_map(|line| line.strip_prefix("insmod ")) {
            let file = PathBuf::from(file.trim());
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// Makes the tree that the initrd is packed from.
fn lay_out(tree: &Path, modules: &[PathBuf]) -> std::io::Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    for folder in ["bin", "dev", "modules", "proc", "sys"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    fs::copy("/bin/busybox", tree.join("bin/busybox"))?;
    symlink("busybox", tree.join("bin/sh"))?;
    let init = tree.join("init");
    fs::write(&init, include_str!("initrd-init.sh"))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let mut order = String::new();
    for module in modules {
        let Some(name) = module.file_name() else { continue };
        fs::copy(module, tree.join("modules").join(name))?;
        order += &format!("{}\n", name.to_string_lossy());
    }
    fs::write(tree.join("modules/order"), order)
}

/// The name of what is alone in a folder.
fn only_entry(folder: &Path) -> Result<String, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(name),
        _ => Err(format!("{}: one entry is expected", folder.display())),
    }
}

/// A path in a command line.
pub(super) fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{}: not UTF-8", path.display()))
}
