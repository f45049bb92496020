//! Packets that are meant to do harm, beside flows that must not notice.

use std::time::Duration;

use portcullis_blackbox::{
    Background, Capture, Firewall, Forwarder, Host, IperfServer, Lab, NumberedStream, Reflector,
    Rule, Site, SiteOptions, by_portcullis_as_by_the_kernel, wait_until,
};

use crate::{guarded, inward, out, policy};

by_portcullis_as_by_the_kernel! {
    a_port_scan_harms_no_flow,
    a_flood_of_syns_harms_no_flow_and_is_bounded,
    a_forged_reset_ends_no_connection,
    forged_errors_end_no_connection,
}

/// Sends frames, 10,000 a second: enough to fill tables, and not to keep a small machine from
/// everything else. `frame(number)` is what `script` defines, in bytes.
fn flood(from: &Host, mac: &str, script: &str, count: u32) -> Background {
    let script = format!(
        "from scapy.all import *
import struct, time
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(('eth0', 0))
ether = Ether(dst='{mac}', src=get_if_hwaddr('eth0'))
{script}
start = time.monotonic()
for number in range({count}):
    link.send(frame(number))
    time.sleep(max(0, start + number / 10000 - time.monotonic()) if number % 64 == 0 else 0)
print('sent', number + 1, flush=True)
"
    );
    from.start_words(&["/usr/bin/python3", "-c", &script])
}

/// Segments that open connections from address `s` and port `p` to port `d` of 10.1.0.2: their
/// checksums are right, as those of a real attack.
const SYN: &str = "
def syn(number, s, p, d):
    header = struct.pack('!HHIIBBHHH', p, d, number, 0, 0x50, 2, 64000, 0, 0)
    addresses = socket.inet_aton(s) + socket.inet_aton('10.1.0.2')
    total = sum(struct.unpack('!16H', addresses + struct.pack('!HH', 6, 20) + header))
    total = (total & 0xffff) + (total >> 16)
    total = 0xffff & ~((total & 0xffff) + (total >> 16))
    header = header[:16] + struct.pack('!H', total) + header[18:]
    ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 40, number & 0xffff, 0, 64, 6, 0,
                     socket.inet_aton(s), socket.inet_aton('10.1.0.2'))
    total = sum(struct.unpack('!10H', ip))
    total = (total & 0xffff) + (total >> 16)
    ip = ip[:10] + struct.pack('!H', 0xffff & ~total) + ip[12:]
    return raw(ether)[:12] + b'\\x08\\x00' + ip + header
";

fn rules() -> Vec<Rule> {
    vec![out(), inward("served", &["tcp/80", "tcp/5201", "udp/7000"])]
}

/// A stream and a transfer from before an attack until after it do not notice it, and new ones begin.
fn expect_unharmed(site: &Site, mac: &str, script: &str, count: u32, during: impl FnOnce()) {
    let _server = IperfServer::start(&site.outside);
    let to = "203.0.113.254";
    let stream = NumberedStream::start(&site.inside, to, (&site.outside, to), 7000);
    stream.until_more_arrive(20);
    let transfer = site.inside.start("iperf3 -J -c 203.0.113.254 -t 6 --connect-timeout 5000");
    wait_until("the transfer runs", Duration::from_secs(10), || {
        site.outside.run("ss -Htn state established sport = :5201").lines().count() == 2
    });
    let mut attack = flood(&site.outside, mac, script, count);
    during();
    // What begins in the middle of it.
    assert!(site.inside.reaches(to), "a new flow finds no place");
    let ended = attack.end(Duration::from_secs(30));
    assert!(ended.success(), "{}", attack.log());
    wait_until("the transfer ends", Duration::from_secs(30), || transfer.log().ends_with("}\n"));
    assert!(!transfer.log().contains("\"error\""), "{}", transfer.log());
    let (lost, sent) = (stream.lost().len(), stream.sent().len());
    // The transfer takes all that the machine has; datagrams may fall to its bursts.
    assert!(lost * 50 <= sent, "{lost} of {sent} lost");
    stream.until_more_arrive(20);
}

/// How many flows the gateway has; none are known of the kernel.
fn flows(site: &Site) -> usize {
    site.gateway.show("flows").map_or(0, |flows| flows.len())
}

fn a_port_scan_harms_no_flow(forwarder: Forwarder) {
    let lab = Lab::quiet("a_port_scan_harms_no_flow");
    let site = guarded(&lab, forwarder, rules());
    let before = flows(&site);
    let filter = "tcp[tcpflags] == tcp-syn and src host 203.0.113.77";
    let capture = Capture::start(&site.inside, "eth0", filter);
    let mac = site.gateway.control().mac("wan");
    let frame = "def frame(number):\n    return syn(number, '203.0.113.77', 40000, number)";
    expect_unharmed(&site, &mac, &format!("{SYN}{frame}"), 50_000, || {});
    let mut ports: Vec<String> = capture.fields("tcp", &["tcp.dstport"]).concat();
    ports.sort();
    ports.dedup();
    assert_eq!(ports, ["5201", "80"], "only what is served is reached");
    let after = flows(&site);
    assert!(after <= before + 20, "{after} flows after a scan of what is dropped");
}

fn a_flood_of_syns_harms_no_flow_and_is_bounded(forwarder: Forwarder) {
    let lab = Lab::quiet("a_flood_of_syns_harms_no_flow_and_is_bounded");
    let options = SiteOptions {
        policy: policy(Firewall::of(rules())),
        routed: true,
        file: "[limits]\nflows = 20000\n[timeouts]\ntcp-transitory = 5\n".to_owned(),
        ..SiteOptions::default()
    };
    let site = Site::with(&lab, forwarder, &options);
    let _inside = Reflector::start(&site.inside, "80");
    let mac = site.gateway.control().mac("wan");
    let frame = "
def frame(number):
    source = '198.18.%d.%d' % (number >> 8 & 255, number & 255)
    return syn(number, source, 1024 + number % 60000, 80)";
    let asked = forwarder == Forwarder::Portcullis;
    let mut most = 0;
    expect_unharmed(&site, &mac, &format!("{SYN}{frame}"), 40_000, || {
        wait_until("the flood shows", Duration::from_secs(10), || {
            most = most.max(flows(&site));
            most > 10_000 || !asked
        });
    });
    most = most.max(flows(&site));
    assert!(most <= 20_000, "{most} flows of 20000");
    wait_until("the flood is forgotten", Duration::from_secs(30), || flows(&site) < 200);
}

/// A connection to a reflector on which something is said ten times a second, from port 4000.
struct Connection {
    client: Background,
}

impl Connection {
    fn start(host: &Host, to: &str) -> Self {
        let client = host.start_words(&[
            "/usr/bin/python3",
            "-c",
            "
import socket, sys, time
link = socket.socket()
link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
link.bind(('0.0.0.0', 4000))
link.settimeout(5)
link.connect((sys.argv[1], 7000))
while b'\\n' not in link.recv(100):
    pass
while True:
    link.sendall(b'x')
    assert link.recv(1) == b'x'
    print('answered', flush=True)
    time.sleep(0.1)
",
            to,
        ]);
        let connection = Self { client };
        connection.goes_on();
        connection
    }

    /// Waits until more has been said and answered.
    #[track_caller]
    fn goes_on(&self) {
        let count = || self.client.log().matches("answered").count();
        let before = count();
        wait_until("the connection goes on", Duration::from_secs(10), || count() >= before + 3);
    }
}

/// RFC 5961: a reset counts only in the window. The attacker knows the ports, not the numbers.
fn a_forged_reset_ends_no_connection(forwarder: Forwarder) {
    let lab = Lab::new("a_forged_reset_ends_no_connection");
    let site = guarded(&lab, forwarder, rules());
    let _outside = Reflector::start(&site.outside, "7000");
    let connection = Connection::start(&site.inside, "203.0.113.254");
    let capture = Capture::start(&site.inside, "eth0", "tcp port 4000");
    let mac = site.gateway.control().mac("wan");
    site.outside.scapy(&format!(
        "seen = []
while not seen:
    seen = sniff(iface='eth0', filter='tcp src port 7000 and dst port 4000', count=1, timeout=5)
seq, ack = seen[0][TCP].seq, seen[0][TCP].ack
base = Ether(dst='{mac}')/IP(src='203.0.113.254', dst='10.1.0.2')
for distance in (1 << 20, 1 << 28, 1 << 30, (1 << 32) - (1 << 20)):
    for flags in ('R', 'RA'):
        forged = TCP(sport=7000, dport=4000, flags=flags, seq=(seq + distance) % (1 << 32), ack=ack)
        sendp(base/forged, iface='eth0')"
    ));
    connection.goes_on();
    let resets = capture.fields("tcp.flags.reset == 1", &["tcp.seq_raw"]);
    assert_eq!(resets, Vec::<Vec<String>>::new(), "what is out of the window does not pass");
}

/// RFC 5927: errors about a connection end it neither at the hosts nor here.
fn forged_errors_end_no_connection(forwarder: Forwarder) {
    let lab = Lab::new("forged_errors_end_no_connection");
    let site = guarded(&lab, forwarder, rules());
    let _outside = Reflector::start(&site.outside, "7000");
    let connection = Connection::start(&site.inside, "203.0.113.254");
    let before = flows(&site);
    let mac = site.gateway.control().mac("wan");
    site.outside.scapy(&format!(
        "base = Ether(dst='{mac}')/IP(src='203.0.113.9', dst='10.1.0.2')
quoted = IP(src='10.1.0.2', dst='203.0.113.254')/TCP(sport=4000, dport=7000, seq=1)
for error in [(3, 0), (3, 1), (3, 2), (3, 3), (3, 13), (11, 0), (12, 0), (4, 0), (5, 1)]:
    sendp(base/ICMP(type=error[0], code=error[1])/quoted, iface='eth0')"
    ));
    connection.goes_on();
    assert!(flows(&site) >= before);
}
