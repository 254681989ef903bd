"""The outside world of the egress suite: DNS, TLS, HTTP, servers that speak first, and UDP, on every address that the script gave this
network namespace. Notes all that arrives, one JSON object a line, so that a leak shows.

world.py LOG CERTIFICATE KEY RESOLVER
"""

import ipaddress
import json
import select
import socket
import ssl
import struct
import sys
import threading
import time

A, NS, CNAME, AAAA, TXT, HTTPS = 1, 2, 5, 28, 16, 65
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3

SERVER4, SERVER6 = "5.9.10.11", "2a01:4f8:10::11"  # what policy lists by name
EVIL4, EVIL6 = "5.9.10.12", "2a01:4f8:10::12"      # what no policy lists
RANGE4, RANGE6 = "5.9.10.13", "2a01:4f8:10::13"    # what policy lists by address
PACKAGES4, PACKAGES6 = "5.9.10.20", "2a01:4f8:10::20"  # honest.py's servers
PRIVATE4, PRIVATE6 = "10.1.2.3", "fd00:1::3"

# name: addresses, or a list of such lists, one an answer. CNAMEs are written as names.
ZONE = {
    **{f"{name}.example.net": [SERVER4, SERVER6] for name in ("api", "web", "inside", "db", "slow", "plain")},
    "pkgs.example.net": [PACKAGES4, PACKAGES6],
    "evil.example.org": [EVIL4, EVIL6],
    "cdn.example.org": [SERVER4, SERVER6],
    "vault.example.org": [PRIVATE4, PRIVATE6],
    "private.example.net": [PRIVATE4, PRIVATE6],
    "loop.example.net": ["127.0.0.1", "::1"],
    "meta.example.net": ["169.254.169.254", "fd00:ec2::254"],
    "mixed.example.net": [SERVER4, PRIVATE4, SERVER6, PRIVATE6],
    "chain.example.net": ["cdn.example.org"],
    "chain-private.example.net": ["vault.example.org"],
    "chain-loop.example.net": ["chain-loop.example.net"],
    "mapped.example.net": ["::ffff:10.1.2.3"],
    "compatible.example.net": ["::10.1.2.3"],
    "nat64.example.net": ["64:ff9b::a01:203"],
    "sixtofour.example.net": ["2002:a01:203::1"],
    "teredo.example.net": ["2001:0:a01:203::1"],
    "carrier.example.net": ["100.64.0.1"],
    "benchmark.example.net": ["198.18.0.1"],
    "reserved.example.net": ["240.0.0.1"],
    "multicast.example.net": ["224.0.0.251", "ff02::fb"],
    "unspecified.example.net": ["0.0.0.0", "::"],
    "azure.example.net": ["168.63.129.16"],
    "rebind.example.net": [[SERVER4, SERVER6], [PRIVATE4, PRIVATE6]],
}
# Not those of PACKAGES: honest_world.py has them.
ADDRESSES = (SERVER4, SERVER6, EVIL4, EVIL6, RANGE4, RANGE6, PRIVATE4, PRIVATE6, "169.254.169.254", "fd00:ec2::254")
PORTS = {80: "http", 8080: "http", 443: "tls", 8443: "tls", 853: "tls", 22: "first", 25: "first", 2222: "first", 5432: "first"}  # 6443 is the lab's API server; what leaves for it is counted
DATAGRAMS = (443, 853, 123, 5353, 9999)


class Log:
    def __init__(self, path):
        self.file, self.lock = open(path, "a", buffering=1), threading.Lock()

    def note(self, kind, **what):
        with self.lock:
            self.file.write(json.dumps({"time": time.time(), "kind": kind, **what}) + "\n")


def records(name, kind, asked):
    """(rcode, answers) of a name; the rebinding name tells another address from its second question on."""
    answers, seen = [], set()
    while True:
        if name in seen:
            return SERVFAIL, []
        seen.add(name)
        entry = ZONE.get(name)
        if entry is None and name.endswith(".wild.example.net"):
            entry = [SERVER4, SERVER6]
        if entry is None:
            return NXDOMAIN, answers
        if isinstance(entry[0], list):
            count = asked.get((name, kind), 0)
            asked[name, kind] = count + 1
            entry = entry[min(count, len(entry) - 1)]
        if len(entry) == 1 and not is_address(entry[0]):
            answers.append((name, CNAME, wire_name(entry[0])))
            name = entry[0]
            continue
        for text in entry:
            address = ipaddress.ip_address(text)
            if (kind, address.version) in ((A, 4), (AAAA, 6)):
                answers.append((name, kind, address.packed))
        if kind == HTTPS:
            hint, ech = ipaddress.ip_address(EVIL4).packed, b"\x00\x04ech!"
            params = b"\x00\x01\x00\x03\x02h2" + b"\x00\x04\x00\x04" + hint + b"\x00\x05" + struct.pack(">H", len(ech)) + ech
            answers.append((name, HTTPS, b"\x00\x01\x00" + params))
        if kind == TXT:
            answers.append((name, TXT, b"\x06secret"))
        return NOERROR, answers


def is_address(text):
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def answer(query, asked, log, by):
    labels, at = [], 12
    while size := query[at]:
        labels.append(query[at + 1 : at + 1 + size].decode("latin-1"))
        at += 1 + size
    question = query[12 : at + 5]
    (kind,) = struct.unpack_from(">H", query, at + 1)
    name = ".".join(labels).lower()
    log.note("dns", name=name, type=kind, by=by)
    rcode, answers = records(name, kind, asked)
    ttl = 0 if name == "rebind.example.net" else 30
    body = b"".join(wire_name(owner) + struct.pack(">HHIH", type_, 1, ttl, len(data)) + data for owner, type_, data in answers)
    return query[:2] + struct.pack(">HHHHH", 0x8580 | rcode, 1, len(answers), 0, 0) + question + body


def dns(log, udp, tcp):
    asked = {}

    def stream(connection):
        with connection:
            while size := connection.recv(2):
                query = connection.recv(struct.unpack(">H", size)[0])
                reply = answer(query, asked, log, "tcp")
                connection.sendall(struct.pack(">H", len(reply)) + reply)

    def accept():
        while True:
            connection, _ = tcp.accept()
            threading.Thread(target=quietly, args=(stream, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    while True:
        query, client = udp.recvfrom(4096)
        try:
            udp.sendto(answer(query, asked, log, "udp"), client)
        except (IndexError, struct.error):
            pass


def listen(address, port):
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(1024)
    return server


def datagrams(address, port):
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    if address == "::":
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind((address, port))
    return server


def quietly(serve, *arguments):
    try:
        serve(*arguments)
    except OSError:
        pass


def http(connection, first=b""):
    """Requests of one connection: says path and Host, closes when asked to."""
    data = first
    while True:
        while b"\r\n\r\n" not in data:
            news = connection.recv(65536)
            if not news:
                return
            data += news
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        length = int(fields.get("Content-Length", fields.get("content-length", 0)))
        while len(data) < length:
            data += connection.recv(65536)
        data = data[length:]
        method, path, _ = lines[0].split(" ", 2)
        LOG.note("request", method=method, path=path, host=fields.get("Host", fields.get("host")))
        body = b"" if method == "HEAD" else f"this is {path}\n".encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(f"this is {path}\n") + body)
        if fields.get("Connection", "").lower() == "close":
            return


def serve(connection, kind, context):
    with connection:
        host, port = connection.getsockname()[:2]
        LOG.note("tcp", address=host, port=port)
        connection.settimeout(20)
        if kind == "first":
            connection.sendall(b"SSH-2.0-world\r\n")
            while data := connection.recv(65536):
                connection.sendall(data)
        elif kind == "http":
            http(connection)
        else:
            with context.wrap_socket(connection, server_side=True) as inside:
                LOG.note("tls", address=host, port=port)
                http(inside)


def tcp(server, kind, context):
    while True:
        connection, _ = server.accept()
        threading.Thread(target=quietly, args=(serve, connection, kind, context), daemon=True).start()


def udp(sockets):
    while True:
        for server in select.select(sockets, [], [])[0]:
            data, client = server.recvfrom(65536)
            LOG.note("udp", port=server.getsockname()[1])
            server.sendto(data, client)


if __name__ == "__main__":
    LOG = Log(sys.argv[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    # All are bound before any is served: a world that lacks a place would miss what arrives there.
    serving = [(dns, LOG, datagrams(address, 53), listen(address, 53)) for address in sys.argv[4].split(",")]
    serving += [(tcp, listen(address, port), kind, context) for address in ADDRESSES for port, kind in PORTS.items()]
    serving.append((udp, [datagrams("::", port) for port in DATAGRAMS]))
    for target, *arguments in serving:
        threading.Thread(target=target, args=arguments, daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()
