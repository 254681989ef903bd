//! The rows of the attack table that don't depend on how a connection came in: the same verdict and reason by every entrance, and nothing that
//! is refused reaches anybody.

use std::net::SocketAddr;
use std::time::Duration;

use super::support::tls::{Identity, hello};
use super::support::{Raw, Setup, Sidecar, Upstream, allowing, by_reason, count};

/// Names of this machine, and its addresses for TLS alone.
pub(crate) fn policy(port: u16) -> String {
    allowing(&format!(
        r#"
    - {{host: pypi.internal, ports: [{port}], protocol: http, methods: [GET, POST], paths: ["/simple/**"]}}
    - {{host: any.internal, ports: [{port}], protocol: http}}
    - {{host: api.internal, ports: [{port}], protocol: tls}}
    - {{host: raw.internal, ports: [{port}], protocol: tcp}}
    - {{cidr: 127.0.0.0/8, ports: [{port}], protocol: tls}}
"#
    ))
}

pub(crate) async fn setup(policy: &str) -> Setup {
    let mut setup = Setup::new(policy).await.audited().transparent();
    for name in ["pypi.internal", "any.internal", "api.internal", "raw.internal"] {
        setup = setup.name(name, &["127.0.0.1"]);
    }
    setup.with(|config| config.limits.peek_max = Duration::from_millis(400))
}

/// How a connection comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entrance {
    Absolute,
    Connect,
    Socks,
    Redirected,
}

const TUNNELS: [Entrance; 3] = [Entrance::Connect, Entrance::Socks, Entrance::Redirected];
const ALL: [Entrance; 4] =
    [Entrance::Absolute, Entrance::Connect, Entrance::Socks, Entrance::Redirected];

/// A SOCKS5 request for a host as an agent would write it.
pub(crate) fn socks_request(host: &str, port: u16) -> Vec<u8> {
    let mut request = vec![5, 1, 0];
    match host.trim_matches(['[', ']']).parse() {
        Ok(std::net::IpAddr::V4(address)) => {
            request.push(1);
            request.extend(address.octets());
        }
        Ok(std::net::IpAddr::V6(address)) => {
            request.push(4);
            request.extend(address.octets());
        }
        Err(_) => {
            request.extend([3, u8::try_from(host.len()).expect("short")]);
            request.extend(host.as_bytes());
        }
    }
    request.extend(port.to_be_bytes());
    request
}

/// Opens a way to a host, sends bytes, and returns all that comes back until the end.
async fn attempt(
    sidecar: &Sidecar,
    entrance: Entrance,
    (host, address, port): (&str, &str, u16),
    bytes: &[u8],
) {
    let mut agent = match entrance {
        Entrance::Absolute => Raw::connect(sidecar.proxy()).await,
        Entrance::Connect => {
            let mut agent = Raw::connect(sidecar.proxy()).await;
            let authority = format!("{host}:{port}");
            agent.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")).await;
            if agent.head().await.status != 200 {
                return;
            }
            agent
        }
        Entrance::Socks => {
            let (code, agent) = Raw::socks(sidecar.proxy(), &socks_request(host, port)).await;
            if code != 0 {
                return;
            }
            agent
        }
        Entrance::Redirected => {
            let to = SocketAddr::new(address.trim_matches(['[', ']']).parse().expect("ip"), port);
            Raw::redirected(sidecar.transparent(), to).await
        }
    };
    agent.send(bytes).await;
    // Half a close, so that an honest upstream ends too.
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut agent.stream).await;
    agent.rest().await;
}

struct Row {
    name: &'static str,
    host: &'static str,
    address: &'static str,
    bytes: Vec<u8>,
    /// By CONNECT, SOCKS5 and redirection; `allow` where it passes.
    reasons: [&'static str; 3],
}

fn row(
    name: &'static str,
    (host, address): (&'static str, &'static str),
    bytes: impl AsRef<[u8]>,
    reasons: [&'static str; 3],
) -> Row {
    Row { name, host, address, bytes: bytes.as_ref().to_vec(), reasons }
}

/// The hello of `api.internal` with one part replaced by another of the same length.
fn changed(from: &[u8], to: &[u8]) -> Vec<u8> {
    let bytes = hello("api.internal");
    let at = bytes.windows(from.len()).position(|window| window == from).expect("there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

fn rows() -> Vec<Row> {
    const HERE: &str = "127.0.0.1";
    let api = ("api.internal", HERE);
    let pypi = ("pypi.internal", HERE);
    let old = {
        let mut bytes = changed(&[0, 43], &[0, 99]);
        (bytes[9], bytes[10]) = (3, 1);
        bytes
    };
    let ssh = "SSH-2.0-OpenSSH_9.9\r\n";
    let all = |reason| [reason; 3];
    vec![
        // Rows 31, 32, 40.
        row("another server name", api, hello("evil.example"), ["name", "name", "host"]),
        row("a longer server name", api, hello("a.api.internal"), ["name", "name", "host"]),
        row(
            "no server name",
            ("api.internal", "203.0.113.9"),
            hello("127.0.0.1"),
            ["name", "name", "address"],
        ),
        row(
            "a name on the way to another address",
            ("evil.example", "203.0.113.9"),
            hello("api.internal"),
            ["host", "host", "name"],
        ),
        row(
            "a name on the way to another address of an allowed range",
            ("127.0.0.2", "127.0.0.2"),
            hello("api.internal"),
            all("name"),
        ),
        row(
            "metadata by name",
            ("169.254.169.254", "169.254.169.254"),
            hello("api.internal"),
            ["address", "address", "name"],
        ),
        row("metadata", ("169.254.169.254", "169.254.169.254"), hello("127.0.0.1"), all("address")),
        // Rows 33, 37, 42 to 44, 46.
        row("a NUL in the name", api, changed(b"api.internal", b"api\0internal"), all("malformed")),
        row("an address as name", api, changed(b"api.internal", b"127.000.00.1"), all("malformed")),
        row("an empty record", api, [22, 3, 1, 0, 0], all("malformed")),
        row("old versions only", api, old, all("malformed")),
        row("SSL 2.0", api, [0x80, 0x2e, 1, 3, 1, 0], all("malformed")),
        row("a hello without end", api, &hello("api.internal")[..50], all("malformed")),
        row("an SSH banner", api, ssh, all("protocol")),
        row("half a banner", api, "SSH-2.0", all("protocol")),
        row("SOCKS5 inside", api, [5, 1, 0], all("protocol")),
        row("SOCKS4 inside", api, [4, 1, 0, 80, 127, 0, 0, 1, 0], all("protocol")),
        row("HTTP/2 in the clear", pypi, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", all("protocol")),
        row("TLS to an http rule", pypi, hello("pypi.internal"), all("protocol")),
        row("SSH to an http rule", pypi, ssh, all("protocol")),
        // Rows 19, 20, 22, 57: nobody's rule.
        row("SSH to nobody", ("10.1.2.3", "10.1.2.3"), ssh, all("address")),
        row("SSH to IPv6", ("[2001:db8::1]", "[2001:db8::1]"), ssh, all("address")),
        row("TLS to IPv6", ("[2001:db8::1]", "[2001:db8::1]"), hello("1.1.1.1"), all("address")),
        row(
            "mapped",
            ("[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"),
            hello("1.1.1.1"),
            all("address"),
        ),
        row("NAT64", ("[64:ff9b::7f00:1]", "[64:ff9b::7f00:1]"), ssh, all("address")),
        row("unspecified", ("0.0.0.0", "0.0.0.0"), ssh, all("address")),
        row(
            "evil suffix",
            ("evil-api.internal", "127.0.0.1"),
            hello("evil-api.internal"),
            all("host"),
        ),
    ]
}

#[tokio::test]
async fn rows_19_to_46_one_judgement_for_every_entrance() {
    let upstream = Upstream::saying("never").await;
    let sidecar = setup(&policy(upstream.port())).await.start().await;
    let rows = rows();
    let mut expected = Vec::new();
    for row in &rows {
        for (entrance, reason) in TUNNELS.into_iter().zip(row.reasons) {
            attempt(&sidecar, entrance, (row.host, row.address, upstream.port()), &row.bytes).await;
            expected.push((format!("{} by {entrance:?}", row.name), reason.to_owned()));
        }
    }
    assert_eq!(upstream.connections(), 0);
    verdicts(sidecar, &expected).await;
}

async fn verdicts(sidecar: Sidecar, expected: &[(String, String)]) {
    let records = sidecar.verified_records().await;
    let wanted = count(expected.iter().map(|(_, reason)| reason.as_str()));
    assert_eq!(by_reason(&records), wanted, "of {expected:#?}: {records:#?}");
}

#[tokio::test]
async fn honest_tls_passes_by_every_entrance() {
    let identity = Identity::new("api.internal");
    let upstream = Upstream::secure(identity.acceptor.clone(), |_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure".to_vec()
    })
    .await;
    let sidecar = setup(&policy(upstream.port())).await.start().await;
    for entrance in TUNNELS {
        let stream = match entrance {
            Entrance::Socks => {
                let request = socks_request("API.internal.", upstream.port());
                let (code, raw) = Raw::socks(sidecar.proxy(), &request).await;
                assert_eq!(code, 0);
                raw.stream
            }
            Entrance::Redirected => {
                Raw::redirected(sidecar.transparent(), upstream.address).await.stream
            }
            Entrance::Connect | Entrance::Absolute => {
                Raw::tunnel(sidecar.proxy(), &format!("api.internal:{}", upstream.port()))
                    .await
                    .stream
            }
        };
        let name = rustls_pki_types::ServerName::try_from("api.internal").expect("a name");
        let mut tls = identity.connector.connect(name, stream).await.expect("TLS");
        let request = b"GET / HTTP/1.1\r\nHost: api.internal\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut tls, request).await.expect("sent");
        let mut reply = [0; 44];
        tokio::io::AsyncReadExt::read_exact(&mut tls, &mut reply).await.expect("a reply");
        assert!(reply.ends_with(b"secure"), "{entrance:?}");
    }
    assert_eq!(upstream.requests().len(), 3);
    let records = sidecar.verified_records().await;
    for record in &records {
        let facts = ["decision", "host", "protocol", "address"].map(|name| record[name].as_str());
        let address = upstream.address.to_string();
        let expected = ["allow", "api.internal", "tls", &address].map(Some);
        assert_eq!(facts, expected, "{record}");
    }
    assert_eq!(records.len(), 3);
}

/// A request to `pypi.internal`; `{target}` is the path, with the origin before it in absolute form.
struct Request {
    name: &'static str,
    text: &'static str,
    reasons: [&'static str; 4],
}

fn requests() -> Vec<Request> {
    let all = |reason| [reason; 4];
    let request = |name, text, reasons| Request { name, text, reasons };
    vec![
        request("honest", "GET {o}/simple/x HTTP/1.1\r\nHost: {h}\r\n\r\n", all("allow")),
        request("another path", "GET {o}/admin HTTP/1.1\r\nHost: {h}\r\n\r\n", all("path")),
        request(
            "dot segments",
            "GET {o}/simple/../admin HTTP/1.1\r\nHost: {h}\r\n\r\n",
            all("path"),
        ),
        request(
            "encoded slash",
            "GET {o}/simple/..%2fa HTTP/1.1\r\nHost: {h}\r\n\r\n",
            all("path"),
        ),
        request(
            "another method",
            "DELETE {o}/simple/ HTTP/1.1\r\nHost: {h}\r\n\r\n",
            all("method"),
        ),
        request("TRACE", "TRACE {o}/simple/ HTTP/1.1\r\nHost: {h}\r\n\r\n", all("method")),
        request(
            "two hosts",
            "GET {o}/simple/ HTTP/1.1\r\nHost: {h}\r\nHost: {h}\r\n\r\n",
            all("malformed"),
        ),
        request("no host", "GET {o}/simple/ HTTP/1.1\r\n\r\n", all("malformed")),
        request(
            "two framings",
            "POST {o}/simple/ HTTP/1.1\r\nHost: {h}\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            all("malformed"),
        ),
        request("bare line feeds", "GET {o}/simple/ HTTP/1.1\nHost: {h}\n\n", all("malformed")),
        request(
            "folded",
            "GET {o}/simple/ HTTP/1.1\r\nHost: {h}\r\nA: b\r\n c\r\n\r\n",
            all("malformed"),
        ),
        request("HTTP/1.0", "GET {o}/simple/ HTTP/1.0\r\nHost: {h}\r\n\r\n", all("malformed")),
        request(
            "h2c",
            "GET {o}/simple/ HTTP/1.1\r\nHost: {h}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            all("allow"),
        ),
        request(
            "WebSocket without a rule",
            "GET {o}/simple/ HTTP/1.1\r\nHost: {h}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            all("protocol"),
        ),
    ]
}

/// Rows 42 and 50: another host inside.
fn requests_elsewhere() -> Vec<Request> {
    let request = |name, text, reasons| Request { name, text, reasons };
    vec![
        request(
            "another host",
            "GET /simple/ HTTP/1.1\r\nHost: evil.example:{p}\r\n\r\n",
            ["malformed", "name", "name", "host"],
        ),
        request(
            "an allowed host",
            "GET /simple/ HTTP/1.1\r\nHost: any.internal:{p}\r\n\r\n",
            ["malformed", "name", "name", "allow"],
        ),
        request(
            "another port",
            "GET /simple/ HTTP/1.1\r\nHost: pypi.internal\r\n\r\n",
            ["malformed", "name", "name", "name"],
        ),
        request(
            "a host for TLS",
            "GET /simple/ HTTP/1.1\r\nHost: api.internal:{p}\r\n\r\n",
            ["malformed", "name", "name", "protocol"],
        ),
        request(
            "metadata",
            "GET /latest/ HTTP/1.1\r\nHost: 169.254.169.254:{p}\r\n\r\n",
            ["malformed", "name", "name", "address"],
        ),
        request(
            "a tunnel inside",
            "CONNECT evil.example:{p} HTTP/1.1\r\nHost: evil.example:{p}\r\n\r\n",
            ["host", "protocol", "protocol", "protocol"],
        ),
    ]
}

#[tokio::test]
async fn rows_42_47_to_55_requests_are_judged_alike_by_every_entrance() {
    let upstream = Upstream::saying("hello").await;
    let sidecar = setup(&policy(upstream.port())).await.start().await;
    let port = upstream.port();
    let mut expected = Vec::new();
    let mut allowed = 0;
    for request in requests().into_iter().chain(requests_elsewhere()) {
        for (entrance, reason) in ALL.into_iter().zip(request.reasons) {
            let host = format!("pypi.internal:{port}");
            let origin = match entrance {
                Entrance::Absolute => format!("http://{host}"),
                Entrance::Connect | Entrance::Socks | Entrance::Redirected => String::new(),
            };
            let text = request.text.replace("{o}", &origin).replace("{h}", &host);
            let bytes = text.replace("{p}", &port.to_string()).into_bytes();
            let to = ("pypi.internal", "127.0.0.1", port);
            attempt(&sidecar, entrance, to, &bytes).await;
            expected.push((format!("{} by {entrance:?}", request.name), reason.to_owned()));
            allowed += usize::from(reason == "allow");
        }
    }
    assert_eq!(upstream.requests().len(), allowed);
    verdicts(sidecar, &expected).await;
}
