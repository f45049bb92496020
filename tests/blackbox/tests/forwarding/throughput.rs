//! Streams through the forwarder, with and without the hosts' offloads.

use portcullis_blackbox::{
    Forwarder, Host, IperfServer, Lab, Pair, PairOptions, Transport, by_portcullis_as_by_the_kernel,
};

by_portcullis_as_by_the_kernel! {
    tcp_flows_both_ways_with_offloads_on,
    tcp_flows_both_ways_with_offloads_off,
    tcp_flows_from_a_host_with_offloads_to_one_without,
    udp_flows_without_loss,
    what_arrives_is_what_was_sent,
}

#[test]
fn tcp_flows_through_several_workers() {
    let lab = Lab::quiet("tcp_flows_through_several_workers");
    let options = PairOptions { gateway: "workers = 2".to_owned(), ..PairOptions::default() };
    let pair = Pair::with(&lab, Forwarder::Portcullis, &options);
    let _server = IperfServer::start(&pair.far);
    let stream = pair.near.iperf("10.2.0.2", Transport::Tcp, 1, "-P 8");
    assert!(stream.bits_per_second > ENOUGH_BITS_PER_SECOND, "{stream:?}");
}

/// Far below what any working forwarder achieves, far above what one with broken checksums or
/// segments does.
const ENOUGH_BITS_PER_SECOND: f64 = 100e6;

fn without_offloads(host: &Host) {
    host.run("ethtool -K eth0 tx off sg off tso off gso off gro off");
}

fn stream(pair: &Pair) {
    let _server = IperfServer::start(&pair.far);
    for to in ["10.2.0.2", "2001:db8:2::2"] {
        for direction in ["", "-R"] {
            let stream = pair.near.iperf(to, Transport::Tcp, 1, direction);
            assert!(stream.bits_per_second > ENOUGH_BITS_PER_SECOND, "{to} {direction} {stream:?}");
        }
    }
}

fn tcp_flows_both_ways_with_offloads_on(forwarder: Forwarder) {
    let lab = Lab::quiet("tcp_flows_both_ways_with_offloads_on");
    stream(&Pair::new(&lab, forwarder));
}

fn tcp_flows_both_ways_with_offloads_off(forwarder: Forwarder) {
    let lab = Lab::quiet("tcp_flows_both_ways_with_offloads_off");
    let pair = Pair::new(&lab, forwarder);
    without_offloads(&pair.near);
    without_offloads(&pair.far);
    stream(&pair);
}

fn tcp_flows_from_a_host_with_offloads_to_one_without(forwarder: Forwarder) {
    let lab = Lab::quiet("tcp_flows_from_a_host_with_offloads_to_one_without");
    let pair = Pair::new(&lab, forwarder);
    without_offloads(&pair.far);
    stream(&pair);
}

fn udp_flows_without_loss(forwarder: Forwarder) {
    let lab = Lab::quiet("udp_flows_without_loss");
    let pair = Pair::new(&lab, forwarder);
    let _server = IperfServer::start(&pair.far);
    for to in ["10.2.0.2", "2001:db8:2::2"] {
        let stream = pair.near.iperf(to, Transport::Udp(20), 1, "");
        assert!(stream.loss < 0.01, "{to} {stream:?}");
    }
}

fn what_arrives_is_what_was_sent(forwarder: Forwarder) {
    let lab = Lab::quiet("what_arrives_is_what_was_sent");
    let pair = Pair::new(&lab, forwarder);
    let receive = "\
import hashlib, socket, sys
server = socket.create_server(('::', 7777), family=socket.AF_INET6, dualstack_ipv6=True)
for _ in range(2):
    connection, digest = server.accept()[0], hashlib.sha256()
    while data := connection.recv(1 << 16):
        digest.update(data)
    connection.sendall(digest.digest())
    connection.close()
";
    let send = "\
import hashlib, random, socket, sys
connection = socket.create_connection((sys.argv[1], 7777), timeout=20)
data = random.Random(7).randbytes(8_000_000)
sent = 0
while sent < len(data):
    piece = random.choice((1, 7, 100, 1448, 5000, 65536))
    connection.sendall(data[sent:sent + piece])
    sent += piece
connection.shutdown(socket.SHUT_WR)
sys.exit(connection.recv(32) != hashlib.sha256(data).digest())
";
    let _receiver = pair.far.start_words(&["/usr/bin/python3", "-c", receive]);
    portcullis_blackbox::wait_until(
        "the receiver listens",
        std::time::Duration::from_secs(10),
        || pair.far.run("ss -Hltn sport = :7777").contains("7777"),
    );
    for to in ["10.2.0.2", "2001:db8:2::2"] {
        pair.near.run_words(&["/usr/bin/python3", "-c", send, to]);
    }
}
