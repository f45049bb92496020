"""frames.py INTERFACE MAC COUNT: UDP from the near host to the far one by way of this MAC address, first COUNT frames with a
wrong IPv4 header checksum to port 5002, then as many right ones to port 5001."""

import sys

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.sendrecv import sendp

interface, mac, count = sys.argv[1], sys.argv[2], int(sys.argv[3])


def frame(port):
    return Ether(dst=mac) / IP(src="192.0.2.2", dst="10.0.0.2") / UDP(sport=4000, dport=port) / Raw(b"x" * 64)


# Built once, which fills the checksums in.
wrong = Ether(bytes(frame(5002)))
wrong[IP].chksum ^= 0x1234
sendp([wrong] * count + [frame(5001)] * count, iface=interface, verbose=False)
