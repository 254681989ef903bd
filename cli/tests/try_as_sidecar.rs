//! `pinfold try egress` and a running sidecar, asked the same: one answer.
//!
//! The sidecar's resolver is gone, so of an allowed name the sidecar says that it can't be resolved, which is no matter of the policy; of a refused one it
//! never gets so far.
#![cfg(test)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use clap::Parser as _;
use pinfold::{Arguments, Outcome, run};
use pinfold_sidecar::{Config, start};

const POLICY: &str = "
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: tester}
spec:
  egress:
    allow:
    - {host: api.example, ports: [443, 8443], protocol: tls}
    - {host: '*.wild.example', ports: [443], protocol: tls}
    - {host: web.example, ports: [80], protocol: http, methods: [GET], paths: [/v1/*]}
    - {host: ws.example, ports: [80], protocol: http, websocket: true}
    - {host: db.example, ports: [5432], protocol: tcp}
    - {host: inside.example, ports: [443], protocol: https, methods: [GET], paths: [/v1/*]}
    - {cidr: 127.0.0.1/32, ports: [PORT], protocol: tcp}
    - {cidr: 10.0.0.0/8, ports: [443], protocol: tls}
";

/// What is asked: the destination as `try` takes it, the method, and whether it is allowed.
const CASES: &[(&str, &str, bool)] = &[
    ("api.example:443", "GET", true),
    ("api.example:8443", "GET", true),
    ("API.example.:443", "GET", true),
    ("api.example:80", "GET", false),
    ("www.api.example:443", "GET", false),
    ("a.wild.example:443", "GET", true),
    ("a.b.wild.example:443", "GET", false),
    ("wild.example:443", "GET", false),
    ("evil.example:443", "GET", false),
    ("db.example:5432", "GET", true),
    ("db.example:443", "GET", false),
    ("inside.example:443", "GET", true),
    ("127.0.0.1:PORT", "GET", true),
    ("127.0.0.1:1", "GET", false),
    ("127.0.0.2:PORT", "GET", false),
    ("169.254.169.254:80", "GET", false),
    ("10.1.2.3:80", "GET", false),
    ("192.0.2.7:443", "GET", false),
    ("[::1]:443", "GET", false),
    ("http://web.example/v1/a", "GET", true),
    ("http://web.example/v1/%61", "GET", true),
    ("http://web.example/v1/x/../a", "GET", true),
    ("http://web.example/v1/a", "POST", false),
    ("http://web.example/v2/a", "GET", false),
    ("http://web.example/v1/a/b", "GET", false),
    ("http://web.example:8080/v1/a", "GET", false),
    ("http://api.example/v1/a", "GET", false),
    ("http://db.example:5432/", "GET", true),
    ("http://169.254.169.254/latest/", "GET", false),
    ("ws://ws.example/chat", "GET", true),
    ("ws://web.example/v2/a", "GET", false),
    ("ws://evil.example/chat", "GET", false),
];

fn offline(policy: &str, destination: &str, method: &str) -> bool {
    let arguments = ["pinfold", "try", "-p", policy, "egress", destination, "--method", method];
    let arguments = Arguments::try_parse_from(arguments).expect("arguments");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    match run(&arguments, &mut out, &mut err) {
        Outcome::Passed => true,
        Outcome::Denied => false,
        Outcome::Undecided => panic!("{destination}: {}", String::from_utf8_lossy(&err)),
    }
}

/// The same as an agent would ask it of the explicit proxy.
fn request(destination: &str, method: &str) -> String {
    let (scheme, rest) = destination.split_once("://").unwrap_or(("", destination));
    let host = rest.split('/').next().unwrap_or_default();
    match scheme {
        "http" => format!(
            "{method} http://{rest} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        "ws" => format!(
            "GET http://{rest} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
        _ => format!("CONNECT {rest} HTTP/1.1\r\nHost: {rest}\r\n\r\n"),
    }
}

/// The head of the reply and what came with it.
fn reply(proxy: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(proxy).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => text.extend(buffer.iter().take(count)),
        }
        let text = String::from_utf8_lossy(&text);
        // A tunnel stays open; a refusal has its reason in the body.
        if text.starts_with("HTTP/1.1 200") || text.contains("\"reason\"") {
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Whether a sidecar that knows no addresses lets it through as far as the policy is asked.
fn allowed(reply: &str) -> bool {
    let reasons = ["\"reason\":\"resolve\"", "\"reason\":\"upstream\""];
    reply.starts_with("HTTP/1.1 200") || reasons.iter().any(|reason| reply.contains(reason))
}

#[test]
fn both_give_one_answer() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = upstream.local_addr().expect("an address").port().to_string();
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("policy.yaml");
    std::fs::write(&path, POLICY.replace("PORT", &port)).expect("a policy");
    let policy = path.to_string_lossy().into_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let gone = TcpListener::bind("127.0.0.1:0").expect("a socket").local_addr().expect("one");
    let mut config = Config::on_loopback(vec![path]);
    config.resolver = vec![gone];
    config.limits.resolve_max = Duration::from_millis(200);
    let sidecar = runtime.block_on(start(config)).expect("a sidecar");
    let proxy = sidecar.addresses.proxy.first().copied().expect("a proxy");
    for (destination, method, expected) in CASES {
        let destination = destination.replace("PORT", &port);
        assert_eq!(offline(&policy, &destination, method), *expected, "try {destination} {method}");
        let reply = reply(proxy, &request(&destination, method));
        assert_eq!(allowed(&reply), *expected, "sidecar {destination} {method}: {reply}");
    }
    runtime.block_on(sidecar.shutdown());
}
