"""The attacker, and now and then the honest user, inside the pod. Plays the rows of the attack tables (research D.1 to D.6) over one address
family and prints what became of each, one JSON object a line; judge.py compares that with what the sidecar recorded and what arrived outside.

agent.py FAMILY RESOLVER [ROW...]
"""

import errno
import json
import socket
import ssl
import struct
import sys
import time

import wire

FAMILY = int(sys.argv[1])
RESOLVER = sys.argv[2]
V6 = FAMILY == 6
LOOPBACK = "::1" if V6 else "127.0.0.1"
SERVER = "2a01:4f8:10::11" if V6 else "5.9.10.11"
EVIL = "2a01:4f8:10::12" if V6 else "5.9.10.12"
RANGE = "2a01:4f8:10::13" if V6 else "5.9.10.13"
METADATA = "fd00:ec2::254" if V6 else "169.254.169.254"
PRIVATE = "fd00:1::3" if V6 else "10.1.2.3"
KIND = wire.AAAA if V6 else wire.A
INET = socket.AF_INET6 if V6 else socket.AF_INET
WAIT = 6  # longer than any refusal may take, and what a hang is called after
REST = 0.1  # so that a record belongs to one row
ENTRANCES = ("transparent", "connect", "socks")


class Denied(Exception):
    """A refusal that came by itself."""


def dial(host, port):
    """A TCP connection as any program makes it: a name by DNS, a literal as it is."""
    address = host
    if not is_literal(host):
        rcode, found = wire.addresses(RESOLVER, host, KIND)
        if not found:
            raise Denied(f"DNS {rcode}")
        address = found[0]
    return socket.create_connection((address, port), WAIT)


def is_literal(host):
    try:
        socket.inet_pton(INET, host)
    except OSError:
        return False
    return True


def bracketed(host):
    return f"[{host}]" if ":" in host else host


def proxy(first):
    client = socket.create_connection((LOOPBACK, 15002), WAIT)
    client.sendall(first)
    return client


def head(client):
    data = b""
    while b"\r\n\r\n" not in data:
        news = client.recv(65536)
        if not news:
            raise Denied("closed" if not data else f"half a head: {data[:80]!r}")
        data += news
    return data


def head_alone(client):
    """A head and nothing behind it: what a server says first may come in one with it."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        if not byte:
            raise Denied("closed" if not data else f"half a head: {data[:80]!r}")
        data += byte
    return data


def tunnel(entrance, host, port, early=b""):
    """A connection that bytes may now be sent through."""
    if entrance == "transparent":
        client = dial(host, port)
        client.sendall(early)
        return client
    if entrance == "connect":
        client = proxy(f"CONNECT {bracketed(host)}:{port} HTTP/1.1\r\nHost: {bracketed(host)}:{port}\r\n\r\n".encode() + early)
        answer = head_alone(client)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise Denied(status(answer, client))
        return client
    client = proxy(b"\x05\x01\0")
    expect(client, b"\x05\0")
    named = b"\x03" + bytes([len(host)]) + host.encode()
    literal = b"\x04" + socket.inet_pton(INET, host) if V6 and is_literal(host) else b"\x01" + socket.inet_pton(INET, host) if is_literal(host) else named
    client.sendall(b"\x05\x01\0" + literal + struct.pack(">H", port) + early)
    reply = client.recv(4)
    if len(reply) < 4 or reply[1]:
        raise Denied(f"SOCKS {reply[1] if len(reply) > 1 else 'closed'}")
    client.recv({1: 6, 4: 18}[reply[3]])
    return client


def expect(client, wanted):
    found = client.recv(len(wanted))
    if found != wanted:
        raise Denied(f"expected {wanted!r}, found {found!r}")


def status(answer, client):
    """The status line and, of a refusal, its reason."""
    line = answer.split(b"\r\n")[0].decode("latin-1")
    body = answer.partition(b"\r\n\r\n")[2]
    try:
        while b"}" not in body and (news := client.recv(65536)):
            body += news
        return f"{line} {json.loads(body)['reason']}"
    except (ValueError, KeyError, OSError):
        return line


def speak(client, data, slow=0):
    """Sends bytes, as one or one by one; the first bytes of the answer."""
    if slow:
        for byte in data:
            client.sendall(bytes([byte]))
            time.sleep(slow)
    else:
        client.sendall(data)
    answer = client.recv(65536)
    if not answer:
        raise Denied("closed")
    return answer


def handshake(client, data, slow=0):
    answer = speak(client, data, slow)
    if answer[0] == 21:
        raise Denied(f"alert {answer[6] if len(answer) > 6 else '?'}")
    if answer[0] != 22:
        raise Denied(f"not TLS: {answer[:60]!r}")
    return "ServerHello"


def tls(entrance, host, port, names=None, slow=0, change=lambda data: data, **options):
    """A TLS handshake's first flight through an entrance."""
    names = [host.encode()] if names is None else names
    with tunnel(entrance, host, port) as client:
        return handshake(client, change(wire.hello(names, **options)), slow)


def fetch(host, path="/open/a", port=443):
    """HTTPS by a whole TLS client, as any program would."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(dial(host, port), server_hostname=host) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = head(client)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise Denied(status(answer, client))
        return answer.partition(b"\r\n\r\n")[2].decode()


def requests(entrance, host, *heads, port=80):
    """HTTP requests as bytes over one connection; the answer to the last of them."""
    with (dial(host.strip("[]"), port) if entrance == "transparent" else proxy(b"")) as client:
        for request in heads:
            client.sendall(request)
            answer = head(client)
            size = int(next(line for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length")).split(b":")[1])
            body = answer.partition(b"\r\n\r\n")[2]
            while len(body) < size:
                body += client.recv(65536)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise Denied(status(answer + body, client))
        return body.decode()


def get(path, host, absolute=False, method="GET", more=""):
    target = f"http://{host}{path}" if absolute else path
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode("latin-1")


def both(entrance, path, host, **options):
    """One request through an entrance of HTTP."""
    return requests(entrance, host, get(path, host, absolute=entrance == "proxy", **options))


def datagram(address, port, data=b"x"):
    with socket.socket(INET, socket.SOCK_DGRAM) as client:
        client.settimeout(WAIT)
        client.connect((address, port))
        client.send(data)
        return f"{client.recv(65536)!r}"


def dns(packet, server=None, tcp=False, port=53):
    rcode, records = wire.parse(wire.ask(server or RESOLVER, packet, tcp, port))
    if not records:
        raise Denied(f"DNS {rcode}")
    return f"{rcode} {len(records)}"


def lookup(name, kind=None, **options):
    return dns(wire.query(wire.question(name, kind or KIND)), **options)


def resolves_within(name, allowed):
    """The addresses of an answer, none but these."""
    rcode, found = wire.addresses(RESOLVER, name, KIND)
    if not found:
        raise Denied(f"DNS {rcode}")
    if not set(found) <= set(allowed):
        return f"LEAK {found}"
    raise Denied("answer cleaned") if allowed is CLEANED else None


CLEANED = (SERVER,)
ROWS = []


def row(number, title, expected, run, reason=None, families=(4, 6)):
    """`expected` is `reached` or `denied`; `reason` is what the sidecar must have recorded, `None` where the kernel refuses."""
    if FAMILY in families:
        ROWS.append((number, title, expected, reason, run))


def rows_of(number, title, expected, run, reason=None, entrances=ENTRANCES, **options):
    """The same for every entrance."""
    for entrance in entrances:
        row(f"{number} {entrance}", title, expected, lambda entrance=entrance: run(entrance), reason, **options)


def play(number, title, expected, reason, run):
    time.sleep(REST)
    begun = time.time()
    try:
        found, detail = "reached", str(run())
    except Denied as error:
        found, detail = "denied", str(error)
    except (TimeoutError, socket.timeout):
        found, detail = "hang", f"nothing within {WAIT} s"
    except (OSError, ssl.SSLError, struct.error, IndexError) as error:
        found, detail = "denied", f"{type(error).__name__} {errno.errorcode.get(getattr(error, 'errno', 0), error)}"
    print(json.dumps({"row": number, "title": title, "family": FAMILY, "expected": expected, "reason": reason, "found": found,
                      "detail": detail, "begun": begun, "ended": time.time()}), flush=True)


def main():
    import rows  # noqa: F401: declares them

    wanted = sys.argv[3:]
    for number, *rest in ROWS:
        if not wanted or number.split()[0] in wanted:
            play(number, *rest)


if __name__ == "__main__":
    sys.modules["agent"] = sys.modules["__main__"]
    main()
