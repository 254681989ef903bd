//! Several policies compiled to one: tables, and what holds whatever the order of documents.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CompileError, Compiled, compile};
use crate::digest::Digest;
use crate::policy::agent::{AgentPolicy, Injection};
use crate::policy::load;
use crate::sources::SourceFile;

fn agents(specs: &[(&str, &str)]) -> Vec<AgentPolicy> {
    let files: Vec<SourceFile> = specs
        .iter()
        .map(|(name, spec)| SourceFile {
            name: format!("{name}.yaml"),
            text: format!(
                "{{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {{name: {name}}}, spec: {spec}}}"
            ),
        })
        .collect();
    load(&files).unwrap_or_else(|errors| panic!("{errors:?}")).agents
}

fn compiled(specs: &[(&str, &str)], narrowing: &[&[&str]]) -> Result<Compiled, CompileError> {
    let agents = agents(specs);
    let policies: Vec<&AgentPolicy> = agents.iter().collect();
    let lists: Vec<Vec<String>> =
        narrowing.iter().map(|list| list.iter().map(|host| (*host).to_owned()).collect()).collect();
    let lists: Vec<&[String]> = lists.iter().map(Vec::as_slice).collect();
    compile(&policies, &lists)
}

fn spec(compiled: &Compiled) -> Value {
    let document: Value = serde_json::from_str(&compiled.text).expect("JSON");
    document["spec"].clone()
}

const TLS: &str = "{host: a.example, ports: [443], protocol: tls}";

/// What two documents set, and what they set together.
#[test]
fn what_any_allows_minus_what_any_denies_with_the_smallest_limits() {
    let cases = [
        (
            "egress: {allow: [{host: a.example, ports: [443], protocol: tls}]}",
            "egress: {allow: [{host: b.example, ports: [443], protocol: tls}, {host: a.example, ports: [443], protocol: tls}]}",
            json!({"egress": {"allow": [{"host": "a.example", "ports": [443], "protocol": "tls"}, {"host": "b.example", "ports": [443], "protocol": "tls"}]}}),
        ),
        (
            "egress: {limits: {connections: 10, connectRate: 50/s, bytesPerDay: 5Gi, connectionLife: 60s}}",
            "egress: {limits: {connections: 9, connectRate: 100/m, bytesPerDay: 6000Mi, connectionIdle: 5m}}",
            json!({"egress": {"limits": {"connections": 9, "connectRate": "100/m", "bytesPerDay": "5Gi", "connectionLife": "60s", "connectionIdle": "5m"}}}),
        ),
        (
            "egress: {limits: {connections: 500}}",
            "{}",
            json!({"egress": {"limits": {"connections": 500}}}),
        ),
        (
            "egress: {dns: {maxQps: 7, searchSuffixes: [x.svc]}, ech: judge-outer, loopbackPorts: [1]}",
            "egress: {dns: {maxQps: 8, searchSuffixes: [y.svc]}, ech: refuse, loopbackPorts: [2, 1]}",
            json!({"egress": {"dns": {"maxQps": 7, "searchSuffixes": ["x.svc", "y.svc"]}, "ech": "refuse", "loopbackPorts": [1, 2]}}),
        ),
        (
            "tools: {results: {redact: [], injection: flag}}",
            "tools: {results: {redact: [secrets], injection: block}}",
            json!({"tools": {"results": {"redact": ["secrets"], "injection": "block"}}}),
        ),
        (
            "tools: {results: {redact: [], injection: 'off'}}",
            "tools: {results: {injection: flag}}",
            json!({"tools": {"results": {"redact": [], "injection": "flag"}}}),
        ),
        ("mode: learn", "{}", json!({})),
        ("mode: learn", "mode: enforce", json!({})),
        ("mode: learn", "mode: learn", json!({"mode": "learn"})),
        (
            "egress: {via: {url: 'http://proxy:3128'}}",
            "{}",
            json!({"egress": {"via": {"url": "http://proxy:3128"}}}),
        ),
        ("appliesTo: {namespaces: [a]}", "appliesTo: {namespaces: [b]}", json!({})),
        (
            "upstreams: [{name: u, url: 'https://u.example'}]",
            "upstreams: [{name: u, url: 'https://u.example'}, {name: v, url: 'https://v.example'}]",
            json!({"upstreams": [{"name": "u", "url": "https://u.example"}, {"name": "v", "url": "https://v.example"}]}),
        ),
    ];
    for (one, other, expected) in cases {
        let whole = |text: &str| {
            if text.starts_with('{') { text.to_owned() } else { format!("{{{text}}}") }
        };
        let (one, other) = (whole(one), whole(other));
        let together = compiled(&[("one", &one), ("other", &other)], &[]).expect("compiles");
        assert_eq!(spec(&together), expected, "{one} {other}");
        assert_eq!(together.policy.name, "one+other");
    }
}

#[test]
fn tools_of_one_server_are_joined_with_all_rules_and_all_denials() {
    const UPSTREAM: &str = "upstreams: [{name: u, url: 'https://u.example'}]";
    let one = format!(
        "{{{UPSTREAM}, tools: {{results: {{maxBytes: 2Mi}}, servers: [{{name: s, upstream: u, allow: [{{tool: get, tier: read, arguments: {{rules: [{{path: $.owner, in: [acme]}}]}}}}, {{tool: put}}]}}]}}}}"
    );
    let other = format!(
        "{{{UPSTREAM}, tools: {{results: {{maxBytes: 1Mi}}, servers: [{{name: s, upstream: u, allow: [{{tool: get, tier: write, arguments: {{closed: true, rules: [{{path: $.path, startsWith: src}}]}}}}], deny: [put]}}]}}}}"
    );
    let together = compiled(&[("one", &one), ("other", &other)], &[]).expect("compiles");
    let server = &together.policy.servers[0];
    assert_eq!(
        (together.policy.servers.len(), server.allow.len(), server.deny.as_slice()),
        (1, 2, &["put".to_owned()][..])
    );
    assert!(server.allow[0].closed && server.allow[0].rules.len() == 2);
    assert_eq!(together.policy.result_bytes_max, 1 << 20);
    assert_eq!(spec(&together)["tools"]["servers"][0]["allow"][0]["tier"], "write");
}

#[test]
fn what_has_two_contents_is_refused_and_says_which() {
    let cases = [
        (
            "{upstreams: [{name: u, url: 'https://u.example'}]}",
            "{upstreams: [{name: u, url: 'https://evil.example'}]}",
            "spec.upstreams[u]",
        ),
        (
            "{egress: {via: {url: 'http://one:3128'}}}",
            "{egress: {via: {url: 'http://other:3128'}}}",
            "spec.egress.via",
        ),
        (
            "{upstreams: [{name: u, url: 'https://u.example'}, {name: v, url: 'https://v.example'}], tools: {servers: [{name: s, upstream: u}]}}",
            "{upstreams: [{name: u, url: 'https://u.example'}, {name: v, url: 'https://v.example'}], tools: {servers: [{name: s, upstream: v}]}}",
            "spec.tools.servers[s].upstream",
        ),
    ];
    for (one, other, expected) in cases {
        match compiled(&[("one", one), ("other", other)], &[]) {
            Err(CompileError::Conflict { field, first, second }) => {
                assert_eq!(
                    (field.as_str(), first.as_str(), second.as_str()),
                    (expected, "one", "other")
                );
            }
            found => panic!("{expected}: {found:?}"),
        }
    }
    let files = "{upstreams: [{name: u, url: 'https://u.example', credential: {header: A, from: {file: /x}}}]}";
    let found = compiled(&[("one", files)], &[]).expect_err("refused");
    assert!(matches!(&found, CompileError::CredentialFile { file, .. } if file == "/x"), "{found}");
    let secret = files.replace("file: /x", "secret: {name: s, key: k}");
    assert!(compiled(&[("one", &secret)], &[]).is_ok());
    assert!(matches!(
        compiled(&[], &[]),
        Err(CompileError::Nothing | CompileError::Invalid { .. })
    ));
    let many: Vec<String> = (0..4_000)
        .map(|at| {
            format!("{{host: h{at}.{}.example, ports: [443], protocol: tls}}", "x".repeat(60))
        })
        .collect();
    let found = compiled(&[("one", &format!("{{egress: {{allow: [{}]}}}}", many.join(",")))], &[]);
    assert!(matches!(found, Err(CompileError::TooLarge { .. })));
}

#[test]
fn a_tool_profile_takes_away_and_adds_nothing() {
    let hosts = "{egress: {allow: [{host: api.github.com, ports: [443], protocol: tls}, {host: '*.pypi.org', ports: [443], protocol: tls}, {host: '**.example.com', ports: [443], protocol: tls}, {cidr: 10.0.0.0/8, ports: [5432], protocol: tcp}]}}";
    let cases: &[(&[&[&str]], &[&str])] = &[
        (&[], &["api.github.com", "*.pypi.org", "**.example.com", "10.0.0.0/8"]),
        (&[&[]], &[]),
        (&[&["api.github.com"]], &["api.github.com"]),
        (&[&["*.github.com"]], &["api.github.com"]),
        (&[&["files.pypi.org", "evil.org"]], &["files.pypi.org"]),
        (&[&["a.b.example.com", "*.c.example.com"]], &["*.c.example.com", "a.b.example.com"]),
        (&[&["*.example.com"]], &["*.example.com"]),
        (&[&["10.1.0.0/16", "192.168.0.1"]], &["10.1.0.0/16"]),
        (&[&["0.0.0.0/0"]], &["10.0.0.0/8"]),
        (&[&["*", "https://api.github.com", "api.github.com:443"]], &[]),
        (&[&["api.github.com", "*.pypi.org"], &["*.pypi.org", "**.example.com"]], &["*.pypi.org"]),
    ];
    for (narrowing, expected) in cases {
        let compiled = compiled(&[("one", hosts)], narrowing).expect("compiles");
        let spec = spec(&compiled);
        let rules = spec["egress"]["allow"].as_array().expect("rules");
        let found: Vec<&str> = rules
            .iter()
            .map(|rule| rule["host"].as_str().or(rule["cidr"].as_str()).expect("a target"))
            .collect();
        assert_eq!(&found, expected, "{narrowing:?}");
    }
}

#[test]
fn the_result_is_read_back_with_the_digest_of_its_bytes() {
    let compiled = compiled(
        &[("one", &format!("{{appliesTo: {{namespaces: [a]}}, egress: {{allow: [{TLS}]}}}}"))],
        &[],
    )
    .expect("compiles");
    assert_eq!(compiled.digest, Digest::of(compiled.text.as_bytes()));
    assert_eq!(
        (compiled.policy.digest, compiled.policy.source.as_ref()),
        (compiled.digest, compiled.text.as_ref())
    );
    assert!(compiled.policy.applies_to.namespaces.is_empty());
}

#[test]
fn what_was_compiled_once_is_kept() {
    let agents = agents(&[("one", "{}"), ("other", "{}")]);
    let policies: Vec<&AgentPolicy> = agents.iter().collect();
    let memo = super::Memo::default();
    let shared = memo.clone();
    let first = shared.compiled(&policies, &[]).expect("compiles");
    assert!(std::sync::Arc::ptr_eq(&first, &memo.compiled(&policies, &[]).expect("compiles")));
    assert_ne!(first.digest, memo.compiled(&policies[..1], &[]).expect("compiles").digest);
}

/// One profile's hosts, as 64 stacks or as 64 profiles of the same content bring them: linear, and repeats are found by their digest.
#[test]
fn many_hosts_are_narrowed_in_a_moment_and_the_memo_stays_small() {
    let agents = agents(&[(
        "one",
        "{egress: {allow: [{host: '**.h.example', ports: [443], protocol: tls}]}}",
    )]);
    let policies: Vec<&AgentPolicy> = agents.iter().collect();
    let hosts: Vec<String> = (0..1_000).map(|at| format!("h{at}.h.example")).collect();
    let (memo, began) = (super::Memo::default(), std::time::Instant::now());
    let lists = [hosts.as_slice(), hosts.as_slice()];
    let first = memo.compiled(&policies, &lists).expect("compiles");
    assert_eq!(first.policy.egress.len(), 1_000);
    assert!(std::sync::Arc::ptr_eq(&first, &memo.compiled(&policies, &lists).expect("compiles")));
    let split = [&hosts[..500], &hosts[500..], hosts.as_slice()];
    assert_ne!(memo.compiled(&policies, &split).expect("compiles").digest, first.digest);
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    let wide: Vec<String> = (1..100)
        .map(|port| format!("{{host: '**.h.example', ports: [{port}], protocol: tls}}"))
        .collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let found =
        compiled(&[("one", &format!("{{egress: {{allow: [{}]}}}}", wide.join(",")))], &[&hosts]);
    assert!(matches!(found, Err(CompileError::TooLarge { .. })), "a rule for each of each");
}

fn some_spec() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec!["a.example", "*.b.example", "**.c.example"]);
    let rules = prop::collection::vec((host, 1_u16..4), 0..4);
    (rules, prop::option::of(1_u32..9), prop::option::of(1_u32..9), any::<bool>()).prop_map(
        |(rules, connections, rate, refuse)| {
            let rules: Vec<String> = rules
                .iter()
                .map(|(host, port)| format!("{{host: '{host}', ports: [{port}], protocol: tls}}"))
                .collect();
            let connections =
                connections.map(|n| format!("connections: {n}, ")).unwrap_or_default();
            let rate = rate.map(|n| format!("connectRate: {n}/s")).unwrap_or_default();
            let ech = if refuse { "ech: refuse, " } else { "" };
            format!(
                "{{egress: {{{ech}allow: [{}], limits: {{{connections}{rate}}}}}}}",
                rules.join(", ")
            )
        },
    )
}

proptest! {
    #[test]
    fn the_order_of_files_never_matters(specs in prop::collection::vec(some_spec(), 1..5), swap in any::<prop::sample::Index>()) {
        let named: Vec<(String, String)> = specs.into_iter().enumerate().map(|(at, spec)| (format!("p{at}"), spec)).collect();
        let mut order: Vec<(&str, &str)> = named.iter().map(|(name, spec)| (name.as_str(), spec.as_str())).collect();
        let straight = compiled(&order, &[]).expect("compiles");
        let at = swap.index(order.len());
        order.rotate_left(at);
        order.reverse();
        let other = compiled(&order, &[]).expect("compiles");
        prop_assert_eq!(&straight.text, &other.text);
        // No limit is larger than anybody's.
        for (_, spec) in &named {
            let own = compiled(&[("own", spec)], &[]).expect("compiles");
            let set = spec.contains("connections");
            prop_assert!(!set || straight.policy.connections_max <= own.policy.connections_max);
            prop_assert!(own.policy.egress.iter().all(|rule| straight.policy.egress.iter().any(|other| other.target == rule.target && other.ports == rule.ports)));
        }
    }
}

#[test]
fn what_protects_results_by_default_is_not_taken_by_another_policy() {
    let server = "{upstreams: [{name: u, url: 'https://mcp.example'}], tools: {servers: [{name: s, upstream: u, allow: [{tool: t}]}]}}";
    let off = "{tools: {results: {redact: [], injection: 'off'}}}";
    let both = compiled(&[("a", server), ("b", off)], &[]).expect("a policy").policy;
    assert!(both.redacts_secrets);
    assert_eq!(both.injection, Injection::Flag);
    let alone = compiled(&[("b", off)], &[]).expect("a policy").policy;
    assert!(!alone.redacts_secrets);
}
