"""Says to whom it talks: the peer's address and port on a line, and then back what it was sent.

Arguments: ports, or ranges of them. Listens with TCP and UDP on each address of the host's, so that what
is answered comes from the address that was asked.
"""
import json, selectors, socket, subprocess, sys

selector = selectors.DefaultSelector()
links = json.loads(subprocess.run(["ip", "-j", "address"], capture_output=True, check=True).stdout)
addresses = [
    info["local"]
    for link in links
    for info in link["addr_info"]
    if info["scope"] in ("global", "host")
]
ports = []
for argument in sys.argv[1:]:
    first, _, last = argument.partition("-")
    ports.extend(range(int(first), int(last or first) + 1))


def name(peer):
    return f"{peer[0]} {peer[1]}\n".encode()


def accept(listener):
    connection, peer = listener.accept()
    connection.sendall(name(peer))
    selector.register(connection, selectors.EVENT_READ, echo)


def echo(connection):
    try:
        data = connection.recv(1 << 16)
        connection.setblocking(True)
        connection.sendall(data)
    except OSError:
        data = b""
    if not data:
        selector.unregister(connection)
        connection.close()


def answer(listener):
    try:
        data, peer = listener.recvfrom(1 << 16)
        listener.sendto(name(peer) + data, peer)
    except OSError as error:
        print("not answered:", error, flush=True)


for address in addresses:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in ports:
        for kind, handler in ((socket.SOCK_STREAM, accept), (socket.SOCK_DGRAM, answer)):
            listener = socket.socket(family, kind)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            if kind == socket.SOCK_STREAM:
                listener.listen(64)
            selector.register(listener, selectors.EVENT_READ, handler)
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        key.data(key.fileobj)
