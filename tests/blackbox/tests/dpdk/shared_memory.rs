//! Interfaces on net_memif and net_vhost: shared memory with another process, which has the wires to the hosts.

use std::path::PathBuf;
use std::time::Duration;

use portcullis_blackbox::{
    Background, Forwarder, Gateway, Host, Lab, Plan, Port, link, wait_until,
};

/// A kind of device, and its two ends.
#[derive(Clone, Copy)]
enum Kind {
    Memif,
    /// The server is the other end.
    MemifClient,
    /// The other end is a virtio device, as a guest has it.
    Vhost,
}

struct Layout {
    kind: Kind,
    near: Host,
    devices: Host,
    lab: Lab,
    gateway: Gateway,
    _sockets: Sockets,
}

/// The sockets' place; gone with the test. A lab's folder has too long a path for them.
struct Sockets(PathBuf);

impl Drop for Sockets {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn sockets(lab: &Lab) -> PathBuf {
    std::env::temp_dir().join(format!("{}-shared", lab.prefix()))
}

impl Kind {
    /// The device of the gateway.
    fn own(self, lab: &Lab, number: usize) -> String {
        let socket = sockets(lab).join(number.to_string()).display().to_string();
        match self {
            Self::Memif => {
                format!("net_memif{number},role=server,socket={socket},socket-abstract=no")
            }
            Self::MemifClient => {
                let mac = format!("mac=02:70:63:00:00:0{number}");
                format!("net_memif{number},role=client,socket={socket},socket-abstract=no,{mac}")
            }
            Self::Vhost => format!("net_vhost{number},iface={socket}"),
        }
    }

    /// The device of the process at the other end.
    fn other(self, lab: &Lab, number: usize) -> String {
        let socket = sockets(lab).join(number.to_string()).display().to_string();
        match self {
            Self::Memif => {
                format!("net_memif{number},role=client,socket={socket},socket-abstract=no")
            }
            Self::MemifClient => {
                format!("net_memif{number},role=server,socket={socket},socket-abstract=no")
            }
            Self::Vhost => format!("net_virtio_user{number},path={socket}"),
        }
    }
}

fn layout(kind: Kind, name: &str) -> Layout {
    let lab = Lab::quiet(name);
    let folder = Sockets(sockets(&lab));
    std::fs::create_dir(&folder.0).expect("a place for sockets");
    let (near, far, devices) = (lab.host("near"), lab.host("far"), lab.host("bridge"));
    for (number, host) in [(1_u8, &near), (2, &far)] {
        let device = format!("eth{number}");
        link((&devices, &device), (host, "eth0"));
        crate::without_offloads(&devices, &device);
        crate::without_offloads(host, "eth0");
        devices.run(&format!("ip link set {device} up"));
        crate::configure(host, number);
    }
    let port = |name: &str, host: &Host, number: usize| {
        Port::new(name, host, &[&format!("10.{}.0.1/24", number + 1)])
            .on_dpdk(&kind.own(&lab, number))
    };
    let ports = vec![port("lan", &near, 0), port("wan", &far, 1)];
    let gateway = Gateway::start(&lab, Forwarder::Portcullis, &Plan { ports, ..Plan::default() });
    Layout { kind, near, devices, lab, gateway, _sockets: folder }
}

/// testpmd between the other ends of the shared memory and the wires.
fn bridge(Layout { kind, devices, lab, .. }: &Layout) -> Background {
    let mut words: Vec<String> =
        ["dpdk-testpmd", "--no-pci", "--no-huge", "--no-shconf"].map(String::from).to_vec();
    words.extend(["--no-telemetry", "-m", "128", "--lcores", "0@(0-1),1@(0-1)"].map(String::from));
    for number in 0..2 {
        words.extend(["--vdev".to_owned(), kind.other(lab, number)]);
        let wire = format!("net_af_packet{number},iface=eth{}", number + 1);
        words.extend(["--vdev".to_owned(), wire]);
    }
    // Its ports are pairs: a shared memory and a wire each.
    let own = ["--", "--forward-mode=io", "--auto-start", "--disable-link-check"];
    words.extend(own.map(String::from));
    words.extend(["--total-num-mbufs=8192".to_owned()]);
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let line = format!("exec {} < <(sleep 3600)", quoted.join(" "));
    devices.start_words(&["bash", "-c", &line])
}

fn carriers(gateway: &Gateway) -> Vec<bool> {
    let rows = gateway.show("interfaces").unwrap_or_default();
    rows.iter().map(|row| row["carrier"] == true).collect()
}

fn has_carrier(gateway: &Gateway) -> bool {
    gateway.control().run("ip -br link show dev lan").contains("LOWER_UP")
}

#[test]
fn the_carrier_of_the_taps_follows_the_process_at_the_other_end_of_memif() {
    let name = "the_carrier_of_the_taps_follows_the_process_at_the_other_end_of_memif";
    the_carrier_of_the_taps_follows_the_process_at_the_other_end(Kind::Memif, name);
}

#[test]
fn the_carrier_of_the_taps_follows_the_process_at_the_other_end_of_vhost() {
    let name = "the_carrier_of_the_taps_follows_the_process_at_the_other_end_of_vhost";
    the_carrier_of_the_taps_follows_the_process_at_the_other_end(Kind::Vhost, name);
}

#[test]
fn the_carrier_of_the_taps_follows_the_process_that_is_memifs_server() {
    let name = "the_carrier_of_the_taps_follows_the_process_that_is_memifs_server";
    the_carrier_of_the_taps_follows_the_process_at_the_other_end(Kind::MemifClient, name);
}

#[test]
fn what_is_where_vhost_would_have_its_socket_stays() {
    let lab = Lab::new("what_is_where_vhost_would_have_its_socket_stays");
    let near = lab.host("near");
    let file = lab.folder().join("precious");
    std::fs::write(&file, "precious").expect("the lab's folder can be written");
    let device = format!("net_vhost0,iface={}", file.display());
    let plan = Plan {
        ports: vec![
            Port::new("lan", &near, &["10.1.0.1/24"]),
            Port::new("wan", &near, &["10.2.0.1/24"]).on_dpdk(&device),
        ],
        ..Plan::default()
    };
    let mut gateway = Gateway::start(&lab, Forwarder::Portcullis, &plan);
    let problem = gateway.interface("wan")["problem"].to_string();
    assert!(problem.contains("not this gateway's to replace"), "{problem}");
    assert_eq!(gateway.portcullis().stop().code(), Some(0));
    assert_eq!(std::fs::read_to_string(&file).ok().as_deref(), Some("precious"));
}

fn the_carrier_of_the_taps_follows_the_process_at_the_other_end(kind: Kind, name: &str) {
    let layout = layout(kind, name);
    let gateway = &layout.gateway;
    assert_eq!(carriers(gateway), [false, false], "nobody is at the other end");
    assert!(!has_carrier(gateway));
    for _ in 0..2 {
        let running = bridge(&layout);
        wait_until("both have carrier", Duration::from_secs(20), || {
            carriers(gateway) == [true, true] && has_carrier(gateway)
        });
        layout.near.reaches_within(Duration::from_secs(10), "10.2.0.2");
        // For the last answer ping waits as long as between two requests: on a busy machine 20 ms are not enough.
        let ping = layout.near.ping("-c 20 -i 0.1 -W 1", "10.2.0.2");
        assert_eq!(ping.received, 20, "{}", ping.said);
        drop(running);
        if let Kind::MemifClient = kind {
            // It was killed, and its next server does not take the place of what it left.
            for number in 0..2 {
                let _gone = std::fs::remove_file(sockets(&layout.lab).join(number.to_string()));
            }
        }
        wait_until("neither has carrier", Duration::from_secs(20), || {
            carriers(gateway) == [false, false] && !has_carrier(gateway)
        });
    }
}

#[test]
fn what_is_set_down_at_the_tap_lets_nothing_pass_until_it_is_set_up() {
    let layout =
        layout(Kind::Memif, "what_is_set_down_at_the_tap_lets_nothing_pass_until_it_is_set_up");
    let _bridge = bridge(&layout);
    layout.near.reaches_within(Duration::from_secs(20), "10.2.0.2");
    let control = layout.gateway.control();
    control.run("ip link set wan down");
    wait_until("it is down", Duration::from_secs(10), || {
        layout.gateway.interface("wan")["admin_up"] == false
    });
    assert_eq!(layout.near.ping("-c 2 -i 0.1 -W 1", "10.2.0.2").received, 0);
    control.run("ip link set wan up");
    layout.near.reaches_within(Duration::from_secs(10), "10.2.0.2");
}
