//! Named namespaces, and `ip netns` seeing the same ones.

use std::process::Command;

use portcullis_os::netns::{self, NetnsErrorKind, NetnsHandle, run_in};

use crate::support::{TestNetns, must_be_root, unique};

fn ip_netns(arguments: &[&str]) -> String {
    let output = Command::new("ip").arg("netns").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn listed_by_ip(name: &str) -> bool {
    ip_netns(&["list"]).lines().any(|line| line.split_whitespace().next() == Some(name))
}

#[test]
fn a_namespace_made_here_is_one_for_ip_and_the_caller_stays_where_it_was() {
    let before = NetnsHandle::current().unwrap().inode();
    let made = TestNetns::new("made");
    assert_eq!(NetnsHandle::current().unwrap().inode(), before);
    assert_ne!(made.handle.inode(), before);
    assert!(listed_by_ip(&made.name));
    assert!(netns::list().unwrap().contains(&made.name));
    let links = ip_netns(&["exec", &made.name, "ip", "-o", "link"]);
    assert_eq!(links.lines().count(), 1, "only the loopback: {links}");
    assert!(links.contains("state DOWN"), "{links}");

    ip_netns(&["delete", &made.name]);
    assert!(!netns::exists(&made.name));
    assert!(!std::path::Path::new("/run/netns").join(&made.name).exists());
}

#[test]
fn a_namespace_made_by_ip_is_opened_and_deleted_here() {
    must_be_root();
    let name = unique("ip");
    ip_netns(&["add", &name]);
    let opened = netns::open(&name).unwrap();
    assert!(netns::exists(&name));
    let inside = run_in(&opened, || NetnsHandle::current().unwrap().inode()).unwrap();
    assert_eq!(inside, opened.inode());
    netns::delete(&name).unwrap();
    assert!(!listed_by_ip(&name));
    assert_eq!(netns::open(&name).unwrap_err().kind, NetnsErrorKind::Missing);
}

#[test]
fn a_name_that_is_taken_is_an_error_that_says_by_what() {
    let made = TestNetns::new("taken");
    let error = netns::create(&made.name).unwrap_err();
    assert_eq!(error.kind, NetnsErrorKind::Exists);

    let file = unique("file");
    let path = format!("/run/netns/{file}");
    std::fs::write(&path, "not a namespace").unwrap();
    let errors = [
        netns::create(&file).unwrap_err(),
        netns::open(&file).unwrap_err(),
        netns::delete(&file).unwrap_err(),
    ];
    let exists = netns::exists(&file);
    let kept = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for error in errors {
        assert_eq!(error.kind, NetnsErrorKind::NotANamespace { path: path.clone() });
    }
    assert!(!exists);
    assert_eq!(kept, "not a namespace");
}

#[test]
fn a_namespace_of_another_kind_is_no_network_namespace() {
    must_be_root();
    let name = unique("uts");
    let path = format!("/run/netns/{name}");
    drop(TestNetns::new("prepare"));
    std::fs::write(&path, "").unwrap();
    let mounted = rustix::mount::mount_bind("/proc/self/ns/uts", &path);
    let error = netns::open(&name);
    rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH).unwrap();
    std::fs::remove_file(&path).unwrap();
    mounted.unwrap();
    assert!(matches!(error.unwrap_err().kind, NetnsErrorKind::NotANamespace { .. }));
}

#[test]
fn a_handle_keeps_a_deleted_namespace_alive() {
    let made = TestNetns::new("alive");
    let handle = made.handle.clone();
    drop(made);
    assert_eq!(
        run_in(&handle, || NetnsHandle::current().unwrap().inode()).unwrap(),
        handle.inode()
    );
}

#[test]
fn without_the_rights_the_error_says_which_are_missing() {
    must_be_root();
    let name = unique("norights");
    let error = std::thread::spawn({
        let name = name.clone();
        move || {
            portcullis_os::privileges::cut_to(portcullis_os::privileges::Privileges::NONE).unwrap();
            netns::create(&name).unwrap_err()
        }
    })
    .join()
    .unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot create network namespace {name}: not permitted (namespaces need CAP_SYS_ADMIN \
             and a writable /run/netns)"
        )
    );
    assert!(!std::path::Path::new("/run/netns").join(&name).exists());
}
