"""Packets into whatever forwards, from both of its sides, and what came out, in words.

Arguments: a seed; how many episodes; the namespace of the outside; the MAC addresses of the forwarder's inside and outside
interfaces. Runs in the namespace of the inside. Prints a line for each packet that came out of the forwarder:
the episode, the step in it, where it came out, and what it was, without what may differ between two right
forwarders: identifications are left out, ports that a translation chose are numbered in the order of
their appearance in the episode.

After each step a packet of a flow that always passes goes through there and back. Packets keep their order, so when it
is back there is nothing left to come, and what has not come does not.
"""
import ctypes, random, select, socket, struct, sys, time
from scapy.all import (
    ICMP, IP, TCP, UDP, Ether, ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6,
    IPv6ExtHdrFragment, Raw, fragment, fragment6, raw,
)

seed, episodes, outside_namespace, inside_mac, outside_mac = sys.argv[1:]
dice = random.Random(int(seed))
IN, OUT = "in", "out"
EXTERNAL = "203.0.113.1"
FAR = ["203.0.113.254", "203.0.113.253"]
NEAR = ["10.1.0.2", "10.1.0.4"]
FORWARDED = {("tcp", 8443), ("udp", 5353)}


def packet_socket():
    # Everything that comes in, nothing that goes out.
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    link.setsockopt(263, 23, 1)
    # With word of checksums that the sender, a kernel, left to a device.
    link.setsockopt(263, 8, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    link.bind(("eth0", 3))
    link.setblocking(False)
    return link


links = {IN: packet_socket()}
with open(f"/run/netns/{outside_namespace}") as namespace:
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")
links[OUT] = packet_socket()
own = {side: link.getsockname()[4].hex(":") for side, link in links.items()}
gateway = {IN: inside_mac, OUT: outside_mac}


def is_discovery(packet):
    return packet.nh == 58 and raw(packet)[40] in range(130, 138)


def receive(deadline):
    """The next packet, and where it came out; none if there is none before the deadline."""
    while True:
        ready = select.select(links.values(), [], [], max(0, deadline - time.monotonic()))[0]
        if not ready:
            return None
        side = IN if links[IN] in ready else OUT
        data, words, _, _ = links[side].recvmsg(1 << 16, 64)
        frame = Ether(data)
        if frame.src == gateway[side] and (IP in frame or IPv6 in frame):
            packet = frame[IP] if IP in frame else frame[IPv6]
            # How hosts find each other, and listeners, is no part of it.
            if IP in packet or not (packet.src.startswith("fe80") or is_discovery(packet)):
                packet.left_to_device = bool(struct.unpack("I", words[0][2][:4])[0] & 8)
                return side, packet


def send(side, packet):
    links[side].send(raw(Ether(src=own[side], dst=gateway[side]) / packet))


def is_sentinel(packet):
    return UDP in packet and ICMP not in packet and 9 in (packet[UDP].sport, packet[UDP].dport)


# Messages of ICMP that quote a packet.
ERRORS = (3, 4, 5, 11, 12)
counter = 0


def drain(patience=3.0):
    """Everything that comes out before a sentinel is back."""
    global counter
    counter += 1
    mark = b"sentinel %d" % counter
    came, deadline = [], time.monotonic() + patience
    send(IN, IP(src="10.1.0.9", dst=FAR[0]) / UDP(sport=9999, dport=9) / Raw(mark))
    while True:
        item = receive(deadline)
        if item is None:
            raise TimeoutError(f"the sentinel {counter} does not come back")
        side, packet = item
        if not is_sentinel(packet):
            came.append(item)
        elif mark not in raw(packet):
            pass
        elif side == OUT:
            back = UDP(sport=9, dport=packet[UDP].sport) / Raw(mark)
            send(OUT, IP(src=FAR[0], dst=packet.src) / back)
        else:
            # Fragments that waited for their first one may come out just behind the sentinel.
            while item := receive(0):
                came.append(item)
            return came


names = {}


def port_name(protocol, address, port):
    """A port that the translation chose, by the order of its appearance."""
    if address != EXTERNAL or (protocol, port) in FORWARDED:
        return f"{address}:{port}"
    key = (protocol, port)
    names.setdefault(key, f"{protocol}-{len(names)}")
    return f"{EXTERNAL}:<{names[key]}>"


def identifier_name(packet, identifier):
    # Of an echo, the identifier is the port of both sides.
    address = EXTERNAL if EXTERNAL in (packet.src, packet.dst) else "id"
    return port_name("icmp", address, identifier)


def right(packet):
    """Whether all checksums are, by scapy's own reckoning."""
    again = IP(raw(packet))
    whole = not packet.frag and not packet.flags.MF and not packet.left_to_device
    for layer in (IP, TCP, UDP, ICMP) if whole else (IP,):
        if layer in again and not (layer is UDP and again[UDP].chksum == 0):
            del again[layer].chksum
    return raw(again) == raw(packet)


def upper(packet):
    """What is above IP, in words; of a quoted packet the beginning only."""
    for layer, protocol in ((TCP, "tcp"), (UDP, "udp")):
        if layer in packet:
            it = packet[layer]
            source = port_name(protocol, packet.src, it.sport)
            destination = port_name(protocol, packet.dst, it.dport)
            text = f"{protocol} {source} > {destination}"
            return f"{text} {it.flags} {it.seq} {it.ack}" if layer is TCP else text
    if ICMP in packet and packet[ICMP].type not in ERRORS:
        it = packet[ICMP]
        return f"query {it.type} {packet.src} > {packet.dst} {identifier_name(packet, it.id)} {it.seq}"
    return f"protocol {getattr(packet, 'proto', getattr(packet, 'nh', None))} {packet.src} > {packet.dst}"


def offset(packet):
    if IPv6ExtHdrFragment in packet:
        return packet[IPv6ExtHdrFragment].offset
    return packet.frag if IP in packet else 0


def describe(packet):
    if IPv6 in packet:
        if packet.nh == 58:
            kind, code = raw(packet)[40:42]
            return f"icmp6 {kind}/{code} {packet.src} > {packet.dst} ttl {packet.hlim}"
        return f"{upper(packet)} ttl {packet.hlim} {len(raw(packet))} bytes"
    sums = "" if right(packet) else " WRONG CHECKSUM"
    if packet.frag:
        return f"fragment at {packet.frag} {packet.flags} {packet.src} > {packet.dst} ttl {packet.ttl}"
    if ICMP in packet and packet[ICMP].type in ERRORS:
        error, quoted = packet[ICMP], IP(raw(packet[ICMP])[8:])
        mtu = f" mtu {error.nexthopmtu}" if (error.type, error.code) == (3, 4) else ""
        inner = IP(raw(quoted)[:20])
        del inner.chksum
        valid = raw(IP(raw(inner)))[10:12] == raw(quoted)[10:12]
        inner = "" if valid else " WRONG QUOTED CHECKSUM"
        return f"error {error.type}/{error.code}{mtu} {packet.src} > {packet.dst}: {upper(quoted)}{sums}{inner}"
    more = " more" if packet.flags.MF else ""
    return f"{upper(packet)} ttl {packet.ttl} {packet.len} bytes{more}{sums}"


episode, step = "", 0


def through(side, packet, awaited=0):
    """One step: a packet in, or its pieces, and what came out. What the gateway's kernel answers is not in order
    with the rest, and awaited."""
    global step
    step += 1
    for piece in packet if isinstance(packet, list) else [packet]:
        send(side, IP(raw(piece)) if IP in piece else piece)
    came = drain()
    deadline = time.monotonic() + 1
    while len(came) < awaited and (late := receive(deadline)):
        came.append(late)
    # A forwarder that puts fragments together has them in order.
    for place, out in sorted(came, key=lambda it: (it[0], offset(it[1]))):
        print(f"{episode} {step} {place}: {describe(out)}", flush=True)
    return came


def one(came, side, layer):
    """The packet of a kind that came out at a side, or none."""
    return next((packet for place, packet in came if place == side and layer in packet), None)
