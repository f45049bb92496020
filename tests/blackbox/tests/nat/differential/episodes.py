"""The episodes: small dramas of a few packets, whose details are drawn by the seed. What is drawn does not depend on what comes
out, so that every forwarder gets the same.
"""
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


def tcp_odd():
    """One segment that a sane peer would not send, at every state of a connection. Only one: where one forwarder lets
    through what another does not, and may, they differ from there on."""
    global episode
    source, sport, destination, dport = flow(IN)
    seq, ack = dice.randrange(1 << 31), dice.randrange(1 << 31)
    state = dice.choice(["nothing", "syn", "established", "closed", "reset"])
    side = dice.choice([IN, OUT]) if state != "nothing" else IN
    flags = dice.choice(["S", "SA", "A", "PA", "R", "RA", "FA", "F", "", "SF", "FPU", "SR"])
    s = dice.choice([0, 0, 1, -1, 1000, -2000, 70_000, 1 << 20, -(1 << 20), 1 << 30])
    a = dice.choice([0, 0, 1, -1, 100, -70_000, 1 << 20, 1 << 30])
    episode += f" {state} {side} {flags or 'none'} at {s} {a}"

    def out(flags, s, a=0):
        number, acknowledged = (seq + s) % (1 << 32), (ack + a) % (1 << 32) if "A" in flags else 0
        tcp = TCP(sport=sport, dport=dport, flags=flags, seq=number, ack=acknowledged, window=8000)
        return IP(src=source, dst=destination) / tcp

    def back(opened, flags, s, a=0):
        number, acknowledged = (ack + s) % (1 << 32), (seq + a) % (1 << 32) if "A" in flags else 0
        return reply_to(opened, TCP, flags=flags, seq=number, ack=acknowledged, window=8000)

    opened = None
    if state != "nothing":
        opened = one(through(IN, out("S", 0)), OUT, TCP)
    if state in ("established", "closed", "reset"):
        through(OUT, back(opened, "SA", 0, 1))
        through(IN, out("A", 1, 1))
    if state == "closed":
        through(IN, out("FA", 1, 1))
        through(OUT, back(opened, "FA", 1, 2))
        through(IN, out("A", 2, 2))
    if state == "reset":
        through(OUT, back(opened, "R", 1))
    print(f"{episode} {step + 1} is sent")
    fin = 1 if state == "closed" else 0
    odd = out(flags, 1 + fin + s, 1 + fin + a) if side == IN else back(opened, flags, 1 + fin + s, 1 + fin + a)
    through(side, odd)


def gateway_itself():
    """Packets to the gateway itself: its kernel answers."""
    source, sport, _, _ = flow(OUT)
    through(OUT, IP(src=source, dst=EXTERNAL) / ICMP(id=sport, seq=3) / Raw(b"p" * 20), 1)
    through(OUT, IP(src=source, dst=EXTERNAL) / TCP(sport=sport, dport=22, flags="S", seq=5), 1)
    through(OUT, IP(src=source, dst=EXTERNAL) / UDP(sport=sport, dport=161) / Raw(b"u"), 1)
    through(IN, IP(src=NEAR[0], dst="10.1.0.1") / ICMP(id=sport, seq=4), 1)
    through(IN, IP(src=NEAR[0], dst=EXTERNAL) / ICMP(id=sport, seq=5), 1)


def hairpin():
    """Inside hosts by the outside address of one."""
    _, sport, _, _ = flow(IN)
    asker = "10.1.0.4"
    request = IP(src=asker, dst=EXTERNAL) / TCP(sport=sport, dport=8443, flags="S", seq=100, window=8000)
    asked = one(through(IN, request), IN, TCP)
    if asked:
        through(IN, reply_to(asked, TCP, flags="SA", seq=7, ack=101, window=8000))
        through(IN, IP(src=asker, dst=EXTERNAL) / TCP(sport=sport, dport=8443, flags="A", seq=101, ack=8))
    asked = one(through(IN, IP(src=asker, dst=EXTERNAL) / UDP(sport=sport, dport=5353) / Raw(b"h")), IN, UDP)
    if asked:
        through(IN, IP(src=asked.dst, dst=asked.src) / ICMP(type=3, code=3) / Raw(raw(asked)))


def fragments_in():
    """Large requests from outside, and large answers to them; in any order."""
    source, sport, destination, _ = flow(OUT)
    number = dice.randrange(1, 60000)
    order = dice.sample(range(3), 3)
    whole = IP(src=source, dst=destination, id=number) / UDP(sport=sport, dport=5353) / Raw(b"g" * 3000)
    pieces = fragment(IP(raw(whole)), fragsize=1200)
    came = through(OUT, [pieces[place] for place in order])
    asked = next((it for side, it in came if side == IN and UDP in it and it.frag == 0), None)
    if asked:
        answer = IP(src=asked.dst, dst=asked.src, id=number + 1) / UDP(sport=53, dport=asked[UDP].sport)
        pieces = fragment(IP(raw(answer / Raw(b"h" * 3000))), fragsize=1200)
        through(IN, [pieces[place] for place in order])
    # What no rule serves, in pieces.
    whole = IP(src=source, dst="203.0.113.66", id=number + 2) / UDP(sport=sport, dport=54) / Raw(b"g" * 3000)
    through(OUT, fragment(IP(raw(whole)), fragsize=1200))


def fragments_of_six():
    port, number = dice.randrange(2000, 60000), dice.randrange(1, 1 << 32)
    order, passes = dice.sample(range(3), 3), dice.random() < 0.5
    ends = ("2001:db8:1::2", "2001:db8:2::2") if passes else ("2001:db8:2::2", "2001:db8:1::2")
    whole = IPv6(src=ends[0], dst=ends[1]) / IPv6ExtHdrFragment(id=number)
    pieces = fragment6(whole / UDP(sport=port, dport=7000) / Raw(b"v" * 3000), 1300)
    through(IN if passes else OUT, [pieces[place] for place in order])


def other_protocols():
    """What has no ports is translated by its addresses, or not at all."""
    source, sport, destination, _ = flow(IN)
    through(IN, IP(src=source, dst=destination) / ICMP(type=13, id=sport, seq=1) / Raw(b"\0" * 12))
    through(OUT, IP(src=destination, dst=EXTERNAL) / ICMP(type=0, id=sport, seq=1) / Raw(b"unasked"))
    through(OUT, IP(src=destination, dst=EXTERNAL) / ICMP(type=5, code=1) / Raw(b"\0" * 28))
    through(IN, IP(src=source, dst=destination) / ICMP(type=17, id=sport) / Raw(b"\0" * 12))


def checksums():
    """Zero, and wrong, checksums of the transport."""
    source, sport, destination, dport = flow(IN)
    out = one(through(IN, IP(src=source, dst=destination) / UDP(sport=sport, dport=dport, chksum=0)), OUT, UDP)
    if out:
        back = IP(src=destination, dst=out.src) / UDP(sport=dport, dport=out[UDP].sport, chksum=0)
        through(OUT, back / Raw(b"zero"))


KINDS = [
    udp_out, udp_zero_checksum, echo, tcp_out, tcp_in, udp_in, refused, errors, error_from_inside,
    fragments, expired, static, six, tcp_odd, gateway_itself, hairpin, fragments_in, fragments_of_six,
    other_protocols, checksums,
] + 20 * [tcp_odd]


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
for number in range(int(episodes)):
    kind = KINDS[number % len(KINDS)]
    episode, step = f"{number} {kind.__name__}", 0
    names.clear()
    kind()
print("done", flush=True)
