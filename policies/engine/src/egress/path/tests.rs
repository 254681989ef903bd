//! Cases of paths that servers read in several ways: no list of paths allows them, a rule without one does.

use pinfold_model::host::Host;
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;

use super::super::{Asked, Attempt, Channel, judge};
use super::*;

const POLICY: &str = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: reader}
spec:
  egress:
    allow:
    - {host: listed.internal, ports: [80], protocol: http, paths: ["/open/**"]}
    - {host: listed.internal, ports: [443], protocol: https, paths: ["/**"]}
    - {host: free.internal, ports: [80], protocol: http, methods: [GET], websocket: true}
    - {host: free.internal, ports: [443], protocol: https, methods: [GET]}
    - {host: both.internal, ports: [80], protocol: http, paths: ["/open/**"]}
    - {host: both.internal, ports: [80], protocol: http, methods: [GET]}
"#;

fn policy() -> AgentPolicy {
    let file = SourceFile { name: "p.yaml".to_owned(), text: POLICY.to_owned() };
    load(&[file]).expect("a policy").agents.remove(0)
}

/// The place of the rule that allows it, or the reason.
fn judged(host: &str, port: u16, method: &str, path: Path<'_>) -> String {
    let policy = policy();
    let host = Host::parse(host).expect("a host");
    let channel = match port {
        443 => Channel::Https(Asked { method, path, websocket: false }),
        _ => Channel::Http { method, path },
    };
    match judge(&policy, &Attempt { host: &host, port, channel }) {
        Ok(_) => "allow".to_owned(),
        Err(denial) => denial.reason.as_str().to_owned(),
    }
}

const SLASH: Path<'_> = Path { text: "/open/a%2Fb", ambiguity: Some("an encoded slash") };

#[test]
fn only_rules_without_paths_allow_what_is_ambiguous() {
    let cases = [
        ("listed.internal", 80, "GET", SLASH, "path"),
        ("listed.internal", 80, "GET", "/open/a".into(), "allow"),
        // Not even the pattern for everything: what it allows is every path, and this is more than one.
        ("listed.internal", 443, "GET", SLASH, "path"),
        ("listed.internal", 443, "GET", "/open/a".into(), "allow"),
        ("free.internal", 80, "GET", SLASH, "allow"),
        ("free.internal", 443, "GET", SLASH, "allow"),
        ("free.internal", 80, "POST", SLASH, "method"),
        ("both.internal", 80, "GET", SLASH, "allow"),
        ("both.internal", 80, "POST", SLASH, "path"),
        ("both.internal", 80, "POST", "/open/a".into(), "allow"),
        ("other.internal", 80, "GET", SLASH, "host"),
    ];
    for (host, port, method, path, expected) in cases {
        assert_eq!(judged(host, port, method, path), expected, "{method} {host}:{port} {path:?}");
    }
    let policy = policy();
    let websocket = |name: &str| {
        let host = Host::parse(name).expect("a host");
        let channel = Channel::WebSocket { path: SLASH };
        judge(&policy, &Attempt { host: &host, port: 80, channel }).is_ok()
    };
    assert!(websocket("free.internal") && !websocket("listed.internal"));
}

#[test]
fn the_denial_names_the_ambiguity() {
    let policy = policy();
    let host = Host::parse("listed.internal").expect("a host");
    let channel = Channel::Http { method: "GET", path: SLASH };
    let denial = judge(&policy, &Attempt { host: &host, port: 80, channel }).expect_err("denied");
    assert!(denial.message.contains("an encoded slash") && denial.message.contains("/open/a%2Fb"));
    assert_eq!(denial.rule, "spec.egress.allow[0]");
}
