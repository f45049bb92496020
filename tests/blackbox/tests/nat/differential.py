"""Sends the same packets through whatever forwards, from both of its sides, and tells what came out.

Arguments: a seed; how many episodes; the namespace of the outside; the MAC addresses of the forwarder's inside and outside
interfaces. Runs in the namespace of the inside. Prints a line for each packet that came out of the forwarder:
the episode, the step in it, where it came out, and what it was, without what may differ between two right
forwarders: identifications are left out, ports that a translation chose are numbered in the order of
their appearance.

After each step a packet of a flow that always passes goes through there and back. Packets keep their order, so when it
is back there is nothing left to come, and what has not come does not.
"""
import ctypes, random, select, socket, struct, sys, time
from scapy.all import (
    ICMP, IP, TCP, UDP, Ether, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6DestUnreach, IPv6, Raw,
    fragment, raw,
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
    if ICMP in packet and packet[ICMP].type in (0, 8):
        it = packet[ICMP]
        return f"echo {it.type} {packet.src} > {packet.dst} {identifier_name(packet, it.id)} {it.seq}"
    return f"protocol {getattr(packet, 'proto', getattr(packet, 'nh', None))} {packet.src} > {packet.dst}"


def describe(packet):
    if IPv6 in packet:
        if packet.nh == 58:
            kind, code = raw(packet)[40:42]
            return f"icmp6 {kind}/{code} {packet.src} > {packet.dst} ttl {packet.hlim}"
        return f"{upper(packet)} ttl {packet.hlim} {len(raw(packet))} bytes"
    sums = "" if right(packet) else " WRONG CHECKSUM"
    if packet.frag:
        return f"fragment at {packet.frag} {packet.flags} {packet.src} > {packet.dst} ttl {packet.ttl}"
    if ICMP in packet and packet[ICMP].type not in (0, 8):
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


def through(side, packet):
    """One step: a packet in, and what came out."""
    global step
    step += 1
    for piece in packet if isinstance(packet, list) else [packet]:
        send(side, IP(raw(piece)) if IP in piece else piece)
    came = drain()
    for place, out in sorted(came, key=lambda it: it[0]):
        print(f"{episode} {step} {place}: {describe(out)}", flush=True)
    return came


def one(came, side, layer):
    """The packet of a kind that came out at a side, or none."""
    return next((packet for place, packet in came if place == side and layer in packet), None)


def flow(side):
    """Addresses and ports of a conversation that somebody on this side begins."""
    port = dice.randrange(2000, 60000)
    if side == IN:
        return dice.choice(NEAR), port, dice.choice(FAR), dice.choice([53, 443, 7000])
    return dice.choice(FAR), port, EXTERNAL, None


def reply_to(packet, layer, **fields):
    return IP(src=packet.dst, dst=packet.src) / layer(
        sport=packet[layer].dport, dport=packet[layer].sport, **fields
    )


def udp_out():
    source, sport, destination, dport = flow(IN)
    length = dice.choice([0, 1, 20, 500, 1400])
    request = IP(src=source, dst=destination, ttl=dice.choice([2, 64])) / UDP(sport=sport, dport=dport)
    out = one(through(IN, request / Raw(b"q" * length)), OUT, UDP)
    for _ in range(dice.randrange(3)):
        length = dice.choice([0, 8, 900])
        if out:
            through(OUT, reply_to(out, UDP) / Raw(b"r" * length))
    if dice.random() < 0.3:
        through(IN, request / Raw(b"again"))


def udp_zero_checksum():
    source, sport, destination, dport = flow(IN)
    through(IN, IP(src=source, dst=destination) / UDP(sport=sport, dport=dport, chksum=0) / Raw(b"z" * 31))


def echo():
    source, identifier, destination, _ = flow(IN)
    request = IP(src=source, dst=destination) / ICMP(id=identifier, seq=1) / Raw(b"e" * 56)
    out = one(through(IN, request), OUT, ICMP)
    if out:
        answer = ICMP(type=0, id=out[ICMP].id, seq=1) / Raw(b"e" * 56)
        through(OUT, IP(src=out.dst, dst=out.src) / answer)


def tcp_out():
    source, sport, destination, dport = flow(IN)
    tcp_conversation(IN, source, sport, destination, dport)


def tcp_in():
    source, sport, destination, _ = flow(OUT)
    tcp_conversation(OUT, source, sport, destination, 8443)


def tcp_conversation(side, source, sport, destination, dport):
    other = OUT if side == IN else IN
    seq, ack = dice.randrange(1 << 32), dice.randrange(1 << 32)
    ending = dice.choice(["fin", "reset", "forged", "none"])
    sizes = [dice.choice([1, 100, 1400]) for _ in range(dice.randrange(4))]
    options = [("MSS", 1460), ("SAckOK", b""), ("WScale", 7)]
    ip = IP(src=source, dst=destination)

    def segment(flags, payload=b"", s=0, **fields):
        number = (seq + s) % (1 << 32)
        return ip / TCP(sport=sport, dport=dport, flags=flags, seq=number, window=64000, **fields) / Raw(payload)

    opened = one(through(side, segment("S", options=options)), other, TCP)
    if not opened:
        return
    back = reply_to(opened, TCP, flags="SA", seq=ack, ack=(seq + 1) % (1 << 32), window=64000, options=options)
    through(other, back)
    mine, theirs = 1, 1
    through(side, segment("A", s=mine, ack=(ack + theirs) % (1 << 32)))
    for size in sizes:
        through(side, segment("PA", b"d" * size, s=mine, ack=(ack + theirs) % (1 << 32)))
        mine += size
        answer = reply_to(
            opened, TCP, flags="PA", seq=(ack + theirs) % (1 << 32), ack=(seq + mine) % (1 << 32), window=64000
        )
        through(other, answer / Raw(b"a" * size))
        theirs += size
    if ending == "forged":
        # Far out of the window, from the other side.
        wrong = reply_to(opened, TCP, flags="R", seq=(ack + theirs + (1 << 29)) % (1 << 32))
        through(other, wrong)
    if ending == "reset":
        through(side, segment("R", s=mine))
    if ending in ("fin", "forged"):
        through(side, segment("FA", s=mine, ack=(ack + theirs) % (1 << 32)))
        fin = {"ack": (seq + mine + 1) % (1 << 32), "window": 64000}
        through(other, reply_to(opened, TCP, flags="FA", seq=(ack + theirs) % (1 << 32), **fin))
        through(side, segment("A", s=mine + 1, ack=(ack + theirs + 1) % (1 << 32)))


def udp_in():
    source, sport, destination, _ = flow(OUT)
    asked = one(through(OUT, IP(src=source, dst=destination) / UDP(sport=sport, dport=5353) / Raw(b"in")), IN, UDP)
    if asked:
        through(IN, reply_to(asked, UDP) / Raw(b"answer"))


def refused():
    """What the rules reject or drop, on its way out."""
    source, sport, destination, _ = flow(IN)
    protocol, dport = dice.choice([TCP, UDP]), dice.choice([23, 25])
    fields = {"flags": "S", "seq": 1000} if protocol is TCP else {}
    through(IN, IP(src=source, dst=destination) / protocol(sport=sport, dport=dport, **fields) / Raw(b""))


def errors():
    """ICMP errors about a flow, from its end and from along the way, and about none."""
    source, sport, destination, dport = flow(IN)
    out = one(through(IN, IP(src=source, dst=destination) / UDP(sport=sport, dport=dport) / Raw(b"x" * 40)), OUT, UDP)
    kinds = [(3, 0), (3, 1), (3, 3), (3, 4), (3, 13), (11, 0), (12, 0)]
    chosen = dice.sample(kinds, 3)
    froms = [dice.choice([destination, "203.0.113.88"]) for _ in chosen]
    wrong = dice.randrange(1, 1000)
    if not out:
        return
    for (kind, code), sender in zip(chosen, froms):
        error = ICMP(type=kind, code=code, **({"nexthopmtu": 1300} if (kind, code) == (3, 4) else {}))
        through(OUT, IP(src=sender, dst=out.src) / error / Raw(raw(out)))
        through(OUT, IP(src=sender, dst=out.src) / error / Raw(raw(out)[:28]))
    quoted = IP(src=out.src, dst=out.dst) / UDP(sport=wrong, dport=dport) / Raw(b"x" * 8)
    through(OUT, IP(src="203.0.113.88", dst=out.src) / ICMP(type=3, code=1) / quoted)


def error_from_inside():
    source, sport, destination, _ = flow(OUT)
    asked = one(through(OUT, IP(src=source, dst=destination) / UDP(sport=sport, dport=5353) / Raw(b"in")), IN, UDP)
    if asked:
        through(IN, IP(src=asked.dst, dst=asked.src) / ICMP(type=3, code=3) / Raw(raw(asked)))


def fragments():
    source, sport, destination, dport = flow(IN)
    identification = dice.randrange(1, 65535)
    whole = IP(src=source, dst=destination, id=identification) / UDP(sport=sport, dport=dport) / Raw(b"f" * 3000)
    pieces = fragment(IP(raw(whole)), fragsize=1200)
    dice.shuffle(pieces)
    refused = dice.random() < 0.3
    if refused:
        # Without the first piece the others belong to nothing.
        pieces = [piece for piece in pieces if piece.frag]
    through(IN, pieces)


def expired():
    source, sport, destination, dport = flow(IN)
    through(IN, IP(src=source, dst=destination, ttl=1) / UDP(sport=sport, dport=dport) / Raw(b"t" * 20))


def static():
    """A host with an address of its own outside, asked from there, and asking."""
    source, sport, _, _ = flow(OUT)
    request = IP(src=source, dst="203.0.113.66") / UDP(sport=sport, dport=53) / Raw(b"s")
    asked = one(through(OUT, request), IN, UDP)
    if asked:
        through(IN, reply_to(asked, UDP) / Raw(b"answer"))
    through(OUT, IP(src=source, dst="203.0.113.66") / UDP(sport=sport, dport=54) / Raw(b"s"))
    through(IN, IP(src="10.1.0.66", dst=source) / UDP(sport=sport, dport=7000) / Raw(b"o"))


def six():
    """IPv6: the same rules, and nothing is translated."""
    port, dport = dice.randrange(2000, 60000), dice.choice([443, 7000])
    near, far = "2001:db8:1::2", "2001:db8:2::2"
    through(IN, IPv6(src=near, dst=far) / UDP(sport=port, dport=dport) / Raw(b"6" * 30))
    through(OUT, IPv6(src=far, dst=near) / UDP(sport=dport, dport=port) / Raw(b"6" * 30))
    through(OUT, IPv6(src=far, dst=near) / UDP(sport=port, dport=7001) / Raw(b"6" * 30))
    through(IN, IPv6(src=near, dst=far) / ICMPv6EchoRequest(id=port, seq=1))
    through(OUT, IPv6(src=far, dst=near) / ICMPv6EchoReply(id=port, seq=1))
    through(OUT, IPv6(src=far, dst=near) / ICMPv6EchoRequest(id=port, seq=2))
    quoted = IPv6(src=near, dst=far) / UDP(sport=port, dport=dport) / Raw(b"6" * 30)
    through(OUT, IPv6(src=far, dst=near) / ICMPv6DestUnreach(code=4) / quoted)


KINDS = [
    udp_out, udp_zero_checksum, echo, tcp_out, tcp_in, udp_in, refused, errors, error_from_inside,
    fragments, expired, static, six,
]


def warm(source, destination):
    """A packet there and back, as often as that takes to succeed: then all neighbours are known."""
    ip = IPv6 if ":" in source else IP
    for _ in range(20):
        send(IN, ip(src=source, dst=destination) / UDP(sport=1, dport=7000))
        deadline = time.monotonic() + 0.5
        while item := receive(deadline):
            side, packet = item
            if UDP in packet and side == OUT and packet[UDP].dport == 7000:
                send(OUT, ip(src=packet.dst, dst=packet.src) / UDP(sport=7000, dport=packet[UDP].sport))
            elif UDP in packet and side == IN and packet[UDP].dport == 1:
                return
    raise TimeoutError(f"{source} does not reach {destination}")


# Before anything counts.
for source in NEAR + ["10.1.0.9", "10.1.0.66"]:
    for destination in FAR:
        warm(source, destination)
warm("2001:db8:1::2", "2001:db8:2::2")
drain()
names.clear()
for number in range(int(episodes)):
    kind = KINDS[number % len(KINDS)]
    episode, step = f"{number} {kind.__name__}", 0
    kind()
print("done", flush=True)
