"""A DNS server (UDP) on the lab's bridge, which has none: names.py ADDRESS NAME=IP[,IP]... Says on standard output that it is there."""

import ipaddress
import socket
import struct
import sys

A = 1
NXDOMAIN = 3


def answer(query, zone):
    labels, at = [], 12
    while size := query[at]:
        labels.append(query[at + 1 : at + 1 + size].decode())
        at += 1 + size
    question = query[12 : at + 5]
    (kind,) = struct.unpack_from(">H", query, at + 1)
    known = zone.get(".".join(labels).lower())
    records = known if known and kind == A else []
    header = query[:2] + struct.pack(">HHHHH", 0x8580 | (0 if known else NXDOMAIN), 1, len(records), 0, 0)
    # Each record's name points to the question's.
    return header + question + b"".join(b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 1, 4) + record for record in records)


zone = {}
for entry in sys.argv[2:]:
    name, _, addresses = entry.partition("=")
    zone[name] = [ipaddress.IPv4Address(text).packed for text in addresses.split(",")]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind((sys.argv[1], 53))
    print("ready", flush=True)
    while True:
        query, client = server.recvfrom(512)
        server.sendto(answer(query, zone), client)
