"""Asks a reflector as whom it sees this host, and checks that it sends back what it was sent.

Arguments: tcp or udp; address and port to ask; address and port to ask from, or "any" and 0; how many bytes to
send; for how many seconds to wait. Prints what came of it as JSON.
"""
import json, random, socket, sys, time

# Python knows neither name. What is large may be fragmented on the way, however narrow that is.
IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0

protocol, to, port, source, source_port, size, patience = sys.argv[1:]
family = socket.AF_INET6 if ":" in to else socket.AF_INET
kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
data = random.Random(7).randbytes(int(size))
deadline = time.monotonic() + float(patience)
start = time.monotonic()


def read(link, length):
    link.settimeout(max(deadline - time.monotonic(), 0.001))
    return link.recv(length)


def ask(link):
    link.settimeout(float(patience))
    link.connect((to, int(port)))
    connected = time.monotonic() - start
    if protocol == "udp":
        link.send(data)
        answer = read(link, 1 << 17)
    else:
        answer = b""
        while b"\n" not in answer:
            more = read(link, 4096)
            if not more:
                raise ConnectionResetError("closed before it said anything")
            answer += more
        # A piece at a time: neither side then waits for the other to read.
        for offset in range(0, len(data), 30000):
            link.sendall(data[offset : offset + 30000])
            expected = answer.index(b"\n") + 1 + min(offset + 30000, len(data))
            while len(answer) < expected:
                more = read(link, 1 << 16)
                if not more:
                    raise ConnectionResetError("closed in the middle")
                answer += more
    first, rest = answer.split(b"\n", 1)
    if rest != data:
        raise ValueError("what came back is not what was sent")
    return first.decode(), connected


result = {"seen": None, "failure": None}
with socket.socket(family, kind) as link:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if protocol == "udp" and family == socket.AF_INET:
        link.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
    if source != "any":
        link.bind((source, int(source_port)))
    try:
        result["seen"], result["connected"] = ask(link)
    except OSError as error:
        result["failure"] = type(error).__name__ if error.errno is None else error.strerror
        if isinstance(error, TimeoutError):
            result["failure"] = "silence"
result["seconds"] = time.monotonic() - start
print(json.dumps(result))
