//! Which TLS is ended, and which requests inside may pass.

use std::net::IpAddr;

use pinfold_model::host::{DnsName, Host};
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;

use super::*;
use crate::egress::{Attempt, Channel, judge};

const POLICY: &str = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: reader}
spec:
  egress:
    allow:
    - {host: api.example.com, ports: [443], protocol: https, methods: [GET], paths: ["/repos/**"]}
    - {host: api.example.com, ports: [443], protocol: https, methods: [POST], paths: ["/graphql"]}
    - {host: chat.example.com, ports: [443], protocol: https, paths: ["/socket", "/api/**"], websocket: true}
    - {host: both.example.com, ports: [443], protocol: https, methods: [GET]}
    - {host: both.example.com, ports: [443], protocol: tls}
    - {host: wide.example.com, ports: [443], protocol: https, methods: [GET]}
    - {host: wide.example.com, ports: [443], protocol: tcp}
    - {host: plain.example.com, ports: [80], protocol: http}
    - {host: plain.example.com, ports: [81], protocol: http, paths: ["/socket"], websocket: true}
    - {host: raw.example.com, ports: [80], protocol: tcp}
    - {cidr: 198.51.100.0/24, ports: [443], protocol: https}
"#;

const ECH: &str = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: strict}
spec:
  egress:
    ech: refuse
    allow:
    - {host: api.example.com, ports: [443], protocol: https}
"#;

fn policy(text: &str) -> AgentPolicy {
    let file = SourceFile { name: "p.yaml".to_owned(), text: text.to_owned() };
    load(&[file]).expect("a policy").agents.remove(0)
}

fn permit(policy: &AgentPolicy, host: &str, port: u16) -> AddressPermit {
    let host = Host::parse(host).expect("a host");
    let found: IpAddr = match host {
        Host::Address(address) => address,
        Host::Name(_) => IpAddr::from([1, 1, 1, 1]),
    };
    let attempt = Attempt { host: &host, port, channel: Channel::Tunnel };
    let permit = judge(policy, &attempt).expect("a permit");
    permit.addresses(&[found], &[]).expect("a permit")
}

fn outcome<T>(result: Result<T, Denial>) -> &'static str {
    match result {
        Ok(_) => "allow",
        Err(denial) => denial.reason.as_str(),
    }
}

#[test]
fn rows_31_32_37_39_which_tls_is_ended() {
    // host, server name, ECH, what ending it says
    let cases = [
        ("api.example.com", Some("api.example.com"), false, "allow"),
        ("api.example.com", Some("api.example.com"), true, "allow"),
        ("api.example.com", Some("evil.example.com"), false, "name"),
        ("api.example.com", None, false, "name"),
        ("198.51.100.7", None, false, "allow"),
        ("198.51.100.7", Some("api.example.com"), false, "name"),
        // Wider rules let it through as it is.
        ("both.example.com", Some("both.example.com"), false, "protocol"),
        ("wide.example.com", Some("wide.example.com"), false, "protocol"),
    ];
    let allowing = policy(POLICY);
    for (host, name, has_ech, expected) in cases {
        let permit = permit(&allowing, host, 443);
        let name = name.map(|name| DnsName::parse(name).expect("a name"));
        let hello = Hello { server_name: name.as_ref(), has_ech };
        let ended = permit.end_tls(hello);
        if let Ok(ended) = &ended {
            assert_eq!(ended.host().to_string(), host);
            assert!(ended.rule().starts_with("spec.egress.allow["), "{}", ended.rule());
        }
        assert_eq!(outcome(ended), expected, "{host} {name:?} {has_ech}");
        assert_eq!(permit.is_terminated(), expected != "protocol", "{host}");
        let passed = if expected == "protocol" { "allow" } else { "protocol" };
        assert_eq!(outcome(permit.tls(hello)), passed, "{host} is passed on or ended, not both");
    }
    let strict = policy(ECH);
    let name = DnsName::parse("api.example.com").expect("a name");
    for (has_ech, expected) in [(false, "allow"), (true, "name")] {
        let hello = Hello { server_name: Some(&name), has_ech };
        assert_eq!(outcome(permit(&strict, "api.example.com", 443).end_tls(hello)), expected);
    }
}

#[test]
fn rows_51_54_requests_inside() {
    // host, method, path, WebSocket, outcome
    let cases = [
        ("api.example.com", "GET", "/repos/a", false, "allow"),
        ("api.example.com", "POST", "/graphql", false, "allow"),
        ("api.example.com", "POST", "/repos/a", false, "method"),
        ("api.example.com", "GET", "/user", false, "path"),
        ("api.example.com", "DELETE", "/graphql", false, "method"),
        ("api.example.com", "GET", "/repos/a", true, "protocol"),
        ("chat.example.com", "GET", "/socket", true, "allow"),
        ("chat.example.com", "GET", "/other", true, "path"),
        ("chat.example.com", "GET", "/api/x", false, "allow"),
        // After a reload that widened the rule.
        ("both.example.com", "DELETE", "/", false, "allow"),
        ("wide.example.com", "GET", "/", true, "allow"),
    ];
    let policy = policy(POLICY);
    for (host, method, path, websocket, expected) in cases {
        let judged =
            permit(&policy, host, 443).https(Asked { method, path: path.into(), websocket });
        assert_eq!(outcome(judged), expected, "{method} {host}{path} {websocket}");
    }
    let judged = permit(&policy, "plain.example.com", 80);
    let asked = Asked { method: "GET", path: "/".into(), websocket: false };
    assert_eq!(
        outcome(judged.https(asked)),
        "protocol",
        "a rule for the clear says nothing of TLS"
    );
    assert_eq!(outcome(judged.http("GET", "/")), "allow");
    let judged = permit(&policy, "api.example.com", 443);
    assert_eq!(outcome(judged.http("GET", "/repos/a")), "protocol", "and the other way round");
}

#[test]
fn row_51_websocket_in_the_clear() {
    let cases = [
        ("plain.example.com", 80, "/socket", "protocol"),
        ("plain.example.com", 81, "/socket", "allow"),
        ("plain.example.com", 81, "/other", "path"),
        ("raw.example.com", 80, "/", "allow"),
        ("chat.example.com", 443, "/socket", "protocol"),
    ];
    let policy = policy(POLICY);
    for (host, port, path, expected) in cases {
        let judged = permit(&policy, host, port).websocket("GET", path);
        assert_eq!(outcome(judged), expected, "{host}:{port}{path}");
    }
}
