"""What a process in the pod tries, over one address family. One line for each attempt: row of the attack tables, what was tried, `ok` or
`BAD`, and what came of it. Whether a packet left the pod is counted outside.

attempts.py FAMILY OUTSIDE OWN [routed]; with `routed` the rules are gone and only the routes hold, so refusals may be slow.
"""

import socket
import struct
import sys
import time

V6 = sys.argv[1] == "6"
OUTSIDE, OWN = sys.argv[2:4]
ROUTED = "routed" in sys.argv[4:]
INET = socket.AF_INET6 if V6 else socket.AF_INET
LOOPBACK = "::1" if V6 else "127.0.0.1"
ANYWHERE = "2001:4860:4860::8888" if V6 else "8.8.8.8"
METADATA = "fd00:ec2::254" if V6 else "169.254.169.254"
FAST = 1.0  # seconds that a refusal may take
WAIT = 2.0
SO_MARK = 36
UDPLITE, DCCP, SCTP, GRE = 136, 33, 132, 47
ICMP = socket.IPPROTO_ICMPV6 if V6 else socket.IPPROTO_ICMP


def scope(address):
    return (address, 0, socket.if_nametoindex("eth0")) if address.startswith(("fe80", "ff")) else None


def at(address, port):
    scoped = scope(address)
    return (address, port, scoped[1], scoped[2]) if scoped else (address, port)


def datagram(address, port, size=1, bind=None, device=False, protocol=0):
    with socket.socket(INET, socket.SOCK_DGRAM, protocol) as one:
        one.settimeout(WAIT)
        if device:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        if bind:
            one.bind(at(bind, 0))
        one.connect(at(address, port))
        one.send(bytes(size))
        return f"answered: {one.recv(64)!r}"


def stream(address, port, device=False):
    """What comes back to an HTTP request."""
    with socket.socket(INET, socket.SOCK_STREAM) as one:
        one.settimeout(WAIT)
        if device:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        one.connect(at(address, port))
        one.sendall(b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        found = one.recv(4096)
        return f"answered: {found[:400]!r}"


QUERY = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"\x04evil\x07example\x00" + struct.pack(">2H", 28 if V6 else 1, 1)


def dns(address, tcp):
    with socket.socket(INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as one:
        one.settimeout(WAIT)
        one.connect(at(address, 53))
        if tcp:
            one.sendall(struct.pack(">H", len(QUERY)) + QUERY)
            answer = one.recv(512)[2:]
        else:
            one.send(QUERY)
            answer = one.recv(512)
        return f"rcode {answer[3] & 15}"


def echo(address):
    with socket.socket(INET, socket.SOCK_DGRAM, ICMP) as one:
        one.settimeout(WAIT)
        one.connect(at(address, 0))
        one.send(bytes([128 if V6 else 8, 0, 0, 0, 0, 1, 0, 1]) + b"payload")
        return f"answered: {one.recv(64)!r}"


def raw(kind, protocol):
    socket.socket(INET, kind, protocol).close()
    return "made"


def packet():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300).close()
    return "made"


def marked():
    with socket.socket(INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, SO_MARK, 0x50460003)
        one.connect(at(OUTSIDE, 443))
        one.send(b"x")
        return "sent"


def attempt(row, name, wanted, action, *arguments, **options):
    """`wanted` is said by what comes back; an error is written `refused`, and has to come fast."""
    start = time.monotonic()
    try:
        found = action(*arguments, **options)
    except TimeoutError:
        found = "nothing"
    except OSError as error:
        found = f"refused: {error.strerror}"
    took = time.monotonic() - start
    good = any(found.startswith(one) for one in wanted) and "pinfold_" not in found
    if not ROUTED and found.startswith("refused") and took > FAST:
        good = False
    if ROUTED and "pinfold_" not in found:
        good = True
    print(f"{row}|{name}|{'ok' if good else 'BAD'}|{found} after {took:.2f} s", flush=True)


REFUSED = ("refused",)
DENIED = ("rcode 5", "rcode 3", "rcode 2")  # SERVFAIL while the guard is broken
# TCP is taken to the sidecar, which refuses in the words of what is spoken, or with a reset.
JUDGED = ("answered: b'HTTP/1.1 403", "answered: b'HTTP/1.1 503", "answered: b''", "refused: Connection reset", "refused: Connection refused")

for port in (22, 443, 853, 8443, 15090, 65535):
    attempt("9" if port == 853 else "67", f"TCP {port} to outside", JUDGED, stream, OUTSIDE, port)
attempt("67", "TCP 443 to far away", JUDGED, stream, ANYWHERE, 443)
attempt("67", "TCP by a socket bound to the interface", JUDGED + ("nothing",), stream, OUTSIDE, 443, device=True)
attempt("25", "TCP to the metadata address", JUDGED, stream, METADATA, 80)
attempt("25", "UDP to the metadata address", REFUSED, datagram, METADATA, 80)
attempt("8", "DNS over UDP to another resolver", DENIED, dns, ANYWHERE, False)
attempt("8", "DNS over TCP to another resolver", DENIED, dns, ANYWHERE, True)
attempt("9", "DoQ", REFUSED, datagram, OUTSIDE, 853)
attempt("63", "QUIC", REFUSED, datagram, OUTSIDE, 443)
attempt("63", "UDP by a socket bound to the interface", REFUSED, datagram, OUTSIDE, 443, device=True)
attempt("63", "UDP by a socket bound to the pod's address", REFUSED, datagram, OUTSIDE, 40000, bind=OWN)
attempt("64", "ICMP echo", REFUSED, echo, OUTSIDE)
attempt("65", "raw socket", REFUSED, raw, socket.SOCK_RAW, ICMP)
attempt("65", "packet socket", REFUSED, packet)
attempt("66", "SCTP", REFUSED, raw, socket.SOCK_STREAM, SCTP)
attempt("66", "DCCP", REFUSED, raw, 6, DCCP)
attempt("66", "GRE", REFUSED, raw, socket.SOCK_RAW, GRE)
attempt("66", "UDP-Lite", REFUSED, datagram, OUTSIDE, 443, protocol=UDPLITE)
attempt("68", "a datagram in fragments", REFUSED, datagram, OUTSIDE, 443, size=9000)
attempt("80", "a packet mark", REFUSED, marked)
if V6:
    attempt("67", "TCP to a link-local address", JUDGED + ("nothing",), stream, "fe80::1", 443)
    attempt("67", "UDP to a link-local address", REFUSED, datagram, "fe80::1", 443)
if not ROUTED:
    # Multicast on the link takes no route, so only rules hold it (docs/guard.md).
    attempt("14", "mDNS", REFUSED, datagram, "ff02::fb" if V6 else "224.0.0.251", 5353)
    attempt("14", "LLMNR, bound to the pod's address", REFUSED, datagram, "ff02::1:3" if V6 else "224.0.0.252", 5355, bind=None if V6 else OWN)
    attempt("69", "the admin port by loopback", REFUSED, stream, LOOPBACK, 15090)
    attempt("69", "the admin port by the pod's address", JUDGED, stream, OWN, 15090)
    attempt("69", "the transparent port itself", REFUSED, stream, LOOPBACK, 15001)
    attempt("70", "a closed port of loopback with a listener", REFUSED, stream, LOOPBACK, 7777)
    attempt("70", "UDP to a port of loopback", REFUSED, datagram, LOOPBACK, 7777)
    attempt("70", "an open port of loopback", ("answered: b'peer",), stream, LOOPBACK, 8123)
    if not V6:
        attempt("8", "DNS to a resolver on loopback", DENIED, dns, "127.0.0.53", False)
        attempt("70", "loopback by another of its addresses", REFUSED, stream, "127.9.9.9", 7777)
