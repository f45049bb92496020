//! The control socket's file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use portcullis_api::server::{ControlSocket, SocketError};

/// A path in a directory of its own, taken away with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let directory = format!("pc-socket-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(directory).join("gw1.sock"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = self.0.parent().map(fs::remove_dir_all);
    }
}

fn bind(place: &Place) -> Result<ControlSocket, SocketError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async { ControlSocket::bind(&place.0) })
}

#[test]
fn only_the_owner_may_connect_and_the_file_goes_with_the_socket() {
    let place = Place::new("mode");
    let socket = bind(&place).expect("a socket in a new directory");
    let mode = fs::metadata(&place.0).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    drop(socket);
    assert!(!place.0.exists());
}

#[test]
fn a_socket_in_use_is_left_alone() {
    let place = Place::new("in-use");
    let _running = bind(&place).expect("a socket");
    assert!(matches!(bind(&place), Err(SocketError::InUse(_))));
    assert!(place.0.exists());
}

#[test]
fn what_a_killed_gateway_left_behind_is_replaced() {
    let place = Place::new("stale");
    fs::create_dir_all(place.0.parent().expect("a parent")).expect("a directory");
    drop(UnixListener::bind(&place.0).expect("a socket"));
    assert!(place.0.exists());
    assert!(bind(&place).is_ok());
}

#[test]
fn a_file_that_is_no_socket_is_not_removed() {
    let place = Place::new("file");
    fs::create_dir_all(place.0.parent().expect("a parent")).expect("a directory");
    fs::write(&place.0, "precious").expect("a file");
    assert!(matches!(bind(&place), Err(SocketError::NotASocket(_))));
    assert_eq!(fs::read_to_string(&place.0).expect("it is there"), "precious");
}

#[test]
fn the_file_of_a_successor_is_not_removed() {
    let place = Place::new("successor");
    let socket = bind(&place).expect("a socket");
    fs::remove_file(&place.0).expect("removed");
    let successor = bind(&place).expect("another socket");
    drop(socket);
    assert!(place.0.exists());
    drop(successor);
}
