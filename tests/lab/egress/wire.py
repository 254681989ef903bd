"""Bytes of DNS, TLS and SOCKS as an attacker forms them: whatever a library would refuse to send."""

import socket
import struct
import os

A, PTR, TXT, AAAA, NULL, SVCB, HTTPS, AXFR, ANY = 1, 12, 16, 28, 10, 64, 65, 252, 255
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


def question(name, kind, klass=1):
    labels = [label.encode("latin-1") for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + struct.pack(">HH", kind, klass)


def query(*questions, flags=0x0100, identity=None):
    identity = identity if identity is not None else struct.unpack(">H", os.urandom(2))[0]
    return struct.pack(">HHHHHH", identity, flags, len(questions), 0, 0, 0) + b"".join(questions)


def skip_name(data, at):
    while data[at]:
        if data[at] >= 0xC0:
            return at + 2
        at += 1 + data[at]
    return at + 1


def parse(reply):
    """(rcode, [(type, data)]) of an answer."""
    _, flags, questions, answers, _, _ = struct.unpack_from(">HHHHHH", reply)
    at = 12
    for _ in range(questions):
        at = skip_name(reply, at) + 4
    records = []
    for _ in range(answers):
        at = skip_name(reply, at)
        kind, _, _, size = struct.unpack_from(">HHIH", reply, at)
        at += 10
        records.append((kind, reply[at : at + size]))
        at += size
    return RCODES.get(flags & 15, str(flags & 15)), records


def ask(server, packet, tcp=False, port=53, wait=4):
    """Sends a query as it is; the reply's bytes."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    if not tcp:
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.settimeout(wait)
            client.connect((server, port))
            client.send(packet)
            return client.recv(65536)
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(wait)
        client.connect((server, port))
        client.sendall(struct.pack(">H", len(packet)) + packet)
        head = client.recv(2)
        if len(head) < 2:
            raise ConnectionResetError("closed without an answer")
        return client.recv(struct.unpack(">H", head)[0])


def addresses(server, name, kind):
    rcode, records = parse(ask(server, query(question(name, kind))))
    family = socket.AF_INET6 if kind == AAAA else socket.AF_INET
    return rcode, [socket.inet_ntop(family, data) for type_, data in records if type_ == kind]


def extension(kind, data):
    return struct.pack(">HH", kind, len(data)) + data


def server_name(*names):
    """The extension with host_name entries, raw bytes each."""
    entries = b"".join(b"\0" + struct.pack(">H", len(name)) + name for name in names)
    return extension(0, struct.pack(">H", len(entries)) + entries)


GREASE_ECH = extension(0xFE0D, b"\0\0\x01\0\x01\x07\0\x20" + bytes(32) + b"\0\xd0" + bytes(0xD0))


def hello(names=(), more=b"", modern=True, padding=0, share=True, seed=None):
    """A ClientHello in one record that a TLS server answers; without a share, with a HelloRetryRequest. Two of one connection have one seed."""
    seed = seed or os.urandom(64)
    extensions = server_name(*names) if names else b""
    if modern:
        extensions += extension(43, b"\x04\x03\x04\x03\x03")
    extensions += extension(10, b"\0\x04\0\x1d\0\x17") + extension(11, b"\x01\0")
    extensions += extension(13, b"\0\x0c\x04\x03\x08\x04\x04\x01\x05\x03\x08\x05\x08\x06") + extension(51, b"\0\x24\0\x1d\0\x20" + os.urandom(31) + b"\x09" if share else b"\0\0")
    if padding:
        extensions += extension(21, bytes(padding))
    extensions += more
    version = b"\x03\x03" if modern else b"\x03\x01"
    ciphers = b"\x13\x01\x13\x02\xc0\x2f\xc0\x2b\xc0\x30\xc0\x2c\x00\x9c"
    body = version + seed[:32] + b"\x20" + seed[32:] + struct.pack(">H", len(ciphers)) + ciphers + b"\x01\0"
    body += struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return record(message)


# What tells a HelloRetryRequest from a ServerHello.
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def messages(client):
    """The handshake records of a server, one by one; an alert or an end is the last."""
    while True:
        header = exactly(client, 5)
        payload = exactly(client, struct.unpack(">H", header[3:])[0]) if len(header) == 5 else b""
        if header[:1] != b"\x14":
            yield header[:1], payload


def exactly(client, size):
    data = b""
    while len(data) < size and (news := client.recv(size - len(data))):
        data += news
    return data


def record(payload):
    return b"\x16\x03\x01" + struct.pack(">H", len(payload)) + payload


def in_records(whole, size):
    """The same handshake message in records of so many bytes."""
    payload = whole[5:]
    return b"".join(record(payload[at : at + size]) for at in range(0, len(payload), size))


SSLV2 = b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x02\x00\x80\x03\x00\x80\x04\x00\x80\x06\x00\x40\x07\x00\xc0" + bytes(16)
