//! Cases of `learn`: records to a proposal, by the command as people call it.

mod exact;
mod hostile;

use std::fs;

use clap::Parser as _;
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::compile::compile;
use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Arguments, Outcome, run};

pub(super) struct Said {
    pub(super) outcome: Outcome,
    pub(super) out: String,
    pub(super) err: String,
}

/// Calls the command with a log, and a policy if there is one.
pub(super) fn learn(lines: &str, policy: Option<&str>, more: &[&str]) -> Said {
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("log.jsonl");
    fs::write(&log, lines).unwrap();
    let mut arguments = vec!["pinfold".to_owned(), "learn".to_owned()];
    if let Some(policy) = policy {
        let file = dir.path().join("policy.yaml");
        fs::write(&file, policy).unwrap();
        arguments.extend(["-p".to_owned(), file.to_string_lossy().into_owned()]);
    }
    arguments.extend(more.iter().map(|text| (*text).to_owned()));
    arguments.push(log.to_string_lossy().into_owned());
    let arguments = Arguments::try_parse_from(arguments).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = run(&arguments, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { outcome, out: text(out), err: text(err) }
}

/// A refused connection as the ledger has it.
pub(super) fn record(host: &str, port: u16, protocol: &str, reason: &str) -> Value {
    json!({"gate": "sidecar", "event": "egress", "decision": "deny", "reason": reason, "rules": ["spec.egress.allow"], "agent": "coder",
        "host": host, "port": port, "protocol": protocol, "time": "2026-11-21T10:00:00.000000Z"})
}

/// A refused request.
pub(super) fn request(host: &str, port: u16, method: &str, path: &str) -> Value {
    let mut record = record(host, port, "http", "host");
    record["method"] = method.into();
    record["path"] = path.into();
    record
}

pub(super) fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

/// The proposal, read as the gates do.
pub(super) fn policy(text: &str) -> AgentPolicy {
    let file = SourceFile { name: "p.yaml".to_owned(), text: text.to_owned() };
    let set = load(&[file]).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    set.agents.into_iter().next().unwrap()
}

/// The lines of a proposal that aren't comments.
fn rules(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| line.starts_with("- {")).collect()
}

#[test]
fn what_was_refused_is_proposed_once_with_its_ports_and_requests() {
    let said = learn(
        &lines(&[
            record("b.example", 443, "tls", "host"),
            record("a.example", 8443, "tls", "host"),
            record("a.example", 443, "tls", "port"),
            record("a.example", 443, "tls", "host"),
            request("c.example", 80, "POST", "/v1/a"),
            request("c.example", 80, "GET", "/v1/a"),
            request("c.example", 80, "GET", "/v1/b"),
            request("d.example", 8080, "POST", "/x"),
            request("d.example", 80, "GET", "/x"),
            request("d.example", 8080, "GET", "/x"),
            request("d.example", 80, "POST", "/x"),
            record("db.example", 5432, "transparent", "host"),
        ]),
        None,
        &[],
    );
    assert_eq!((said.outcome, said.err.as_str()), (Outcome::Passed, ""), "{}", said.out);
    assert_eq!(
        rules(&said.out),
        [
            r#"- {host: "a.example", ports: [443,8443], protocol: tls}"#,
            r#"- {host: "b.example", ports: [443], protocol: tls}"#,
            r#"- {host: "c.example", ports: [80], protocol: http, methods: ["GET"], paths: ["/v1/a","/v1/b"]}"#,
            r#"- {host: "c.example", ports: [80], protocol: http, methods: ["POST"], paths: ["/v1/a"]}"#,
            r#"- {host: "d.example", ports: [80,8080], protocol: http, methods: ["GET","POST"], paths: ["/x"]}"#,
            r#"- {host: "db.example", ports: [5432], protocol: tcp}"#,
        ]
    );
    assert!(said.out.contains("# Read: 12 refusals, 2026-11-21T10:00:00Z."), "{}", said.out);
    assert!(said.out.contains("# 3 times, 2026-11-21T10:00:00Z\n    - {host: \"a.example\""));
}

#[test]
fn what_no_rule_should_allow_is_told_and_never_proposed() {
    let cases = [
        (record("169.254.169.254", 80, "http", "address"), "an address instead of a name"),
        (record("10.0.0.7", 443, "tls", "address"), "an address instead of a name"),
        (record("[::1]", 22, "transparent", "address"), "an address instead of a name"),
        (record("192.0.2.7", 443, "tls", "host"), "an address instead of a name"),
        (record("inside.example", 443, "tls", "address"), "leads to a private"),
        (record("front.example", 443, "tls", "name"), "another name inside"),
        (record("a.example", 443, "connect", "limit"), "a limit was reached"),
        (record("a.example", 443, "connect", "resolve"), "not a matter of the policy"),
        (record("a.example", 80, "http", "malformed"), "not readable in one way"),
        (record("a.example", 80, "http", "host"), "a record that names nothing readable"),
        (request("a.example", 80, "GET", ""), "the path was not recorded"),
        (request("a.example", 80, "GET", "/a*"), "no pattern can mean alone"),
        (request("a.example", 80, "GET", &format!("/{}", "a".repeat(600))), "no pattern can mean"),
        (record("a.example", 0, "tls", "host"), "names nothing readable"),
    ];
    for (record, told) in cases {
        let said = learn(&lines(std::slice::from_ref(&record)), None, &[]);
        assert_eq!(said.outcome, Outcome::Passed, "{record}: {}", said.err);
        assert!(said.out.contains("\nspec: {}\n"), "{record}: {}", said.out);
        assert!(said.out.contains(told), "{record}: {}", said.out);
        let _loads = policy(&said.out);
    }
    let mut upstream = request("a.example", 443, "GET", "/x");
    upstream["rules"] = json!(["spec.upstreams[0]"]);
    let mut looked_up = record("only.example", 0, "dns", "host");
    looked_up["event"] = "dns".into();
    looked_up["method"] = "A".into();
    let said = learn(&lines(&[upstream, looked_up]), None, &[]);
    assert!(said.out.contains("named upstream") && said.out.contains("looked up, never connected"));
    assert!(said.out.contains("#     only.example: 1 time"), "{}", said.out);
    assert!(rules(&said.out).is_empty());
}

#[test]
fn a_tunnel_that_was_refused_unseen_is_a_guess_until_something_was_seen() {
    let unseen = [record("a.example", 443, "connect", "host")];
    let said = learn(&lines(&unseen), None, &[]);
    assert!(said.out.contains("TLS is a guess"), "{}", said.out);
    assert_eq!(rules(&said.out), [r#"- {host: "a.example", ports: [443], protocol: tls}"#]);
    let [unseen] = unseen;
    let spoken = record("a.example", 443, "connect", "protocol");
    let said = learn(&lines(&[unseen, spoken]), None, &[]);
    assert!(!said.out.contains("a guess"), "{}", said.out);
    assert_eq!(rules(&said.out), [r#"- {host: "a.example", ports: [443], protocol: tcp}"#]);
    assert!(said.out.contains("# 2 times"), "{}", said.out);
}

const CODER: &str = "
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: coder}
spec:
  appliesTo: {namespaces: [\"agents-*\"]}
  mode: learn
  egress: {allow: [{host: a.example, ports: [443], protocol: tls}, {host: api.example, ports: [443], protocol: https, methods: [GET], paths: [/v1/*]}]}
  upstreams: [{name: github, url: \"https://mcp.example\"}, {name: other, url: \"https://other.example\"}]
  tools: {servers: [{name: github, upstream: github, allow: [{tool: get_issue}], deny: [delete_repo]}]}
";

fn call(server: &str, tool: &str, reason: &str) -> Value {
    json!({"gate": "sidecar", "event": "tool-call", "decision": "deny", "reason": reason, "rules": ["spec.tools"], "agent": "coder",
        "server": server, "tool": tool, "keys": ["owner", "repo"], "time": "2026-11-21T10:00:00Z"})
}

#[test]
fn beside_a_policy_only_what_it_lacks_is_proposed() {
    let mut inside = request("api.example", 443, "POST", "/v1/a");
    (inside["protocol"], inside["reason"]) = ("https".into(), "method".into());
    let said = learn(
        &lines(&[
            record("a.example", 443, "tls", "host"),
            record("b.example", 443, "tls", "host"),
            inside,
            call("github", "get_issue", "tool"),
            call("github", "list_issues", "tool"),
            call("github", "delete_repo", "tool"),
            call("github", "get_issue", "argument"),
            call("gitlab", "get_issue", "server"),
        ]),
        Some(CODER),
        &[],
    );
    assert_eq!(said.err, "");
    assert_eq!(
        rules(&said.out),
        [
            r#"- {host: "api.example", ports: [443], protocol: https, methods: ["POST"], paths: ["/v1/a"]}"#,
            r#"- {host: "b.example", ports: [443], protocol: tls}"#,
            r#"- {"name":"github","url":"https://mcp.example"}"#,
            r#"- {"tool":"list_issues"}"#,
        ]
    );
    for told in [
        "appliesTo: {\"namespaces\":[\"agents-*\"]}",
        "# Left out: 2 refusals of what the policy allows by now.",
        "arguments: owner, repo",
        "that the policy denies by name",
        "#     gitlab: 1 time",
        "metadata: {name: \"coder-learned\"}",
    ] {
        assert!(said.out.contains(told), "{told}: {}", said.out);
    }
    // Both apply to a pod: together they are one policy.
    let both = compile(&[&policy(CODER), &policy(&said.out)], &[]).unwrap().policy;
    assert_eq!(both.egress.len(), 4);
    assert_eq!(both.server("github").unwrap().allow.len(), 2);
}

#[test]
fn one_refusal_counts_once_whatever_log_it_is_in() {
    let mut ledger = record("a.example", 443, "tls", "host");
    ledger["correlation_id"] = "1-1".into();
    let log = json!({"timestamp": "2026-11-21T10:00:01Z", "level": "INFO", "message": "denied", "id": "1-1", "reason": "host",
        "rule": "spec.egress.allow", "protocol": "tls", "host": "a.example", "port": 443, "target": "pinfold_sidecar::gate"});
    for records in [vec![ledger.clone(), log.clone()], vec![log.clone(), ledger], vec![log]] {
        let said = learn(&lines(&records), None, &[]);
        assert!(said.out.contains("# Read: 1 refusal,"), "{}", said.out);
        assert_eq!(rules(&said.out), [r#"- {host: "a.example", ports: [443], protocol: tls}"#]);
    }
}

#[test]
fn records_of_several_agents_need_a_name() {
    let mut other = record("b.example", 443, "tls", "host");
    other["agent"] = "coder+base".into();
    let text = lines(&[record("a.example", 443, "tls", "host"), other]);
    let said = learn(&text, None, &[]);
    assert_eq!(said.outcome, Outcome::Undecided);
    assert!(said.err.contains("--agent"), "{}", said.err);
    assert_eq!(rules(&learn(&text, None, &["--agent", "base"]).out).len(), 1);
    assert_eq!(rules(&learn(&text, None, &["--agent", "coder"]).out).len(), 2);
    assert!(rules(&learn(&text, None, &["--agent", "nobody"]).out).is_empty());
}

#[test]
fn a_name_that_was_looked_up_and_connected_to_is_told_once() {
    let mut looked_up = record("a.example", 53, "dns", "host");
    looked_up["event"] = "dns".into();
    let said = learn(&lines(&[looked_up, record("a.example", 443, "tls", "host")]), None, &[]);
    assert_eq!(rules(&said.out), [r#"- {host: "a.example", ports: [443], protocol: tls}"#]);
    assert!(!said.out.contains("Not proposed"), "{}", said.out);
}

#[test]
fn wildcards_are_remarks() {
    let some = |count: usize| {
        let of = |at: usize| record(&format!("h{at}.cdn.example"), 443, "tls", "host");
        learn(&lines(&(0..count).map(of).collect::<Vec<_>>()), None, &[]).out
    };
    assert!(!some(4).contains('*'), "{}", some(4));
    let out = some(5);
    assert!(
        out.contains("# Wider, if that is meant: host \"*.cdn.example\" would cover 5"),
        "{out}"
    );
    assert_eq!(policy(&out).egress.len(), 5);
}

#[test]
fn the_order_of_the_records_does_not_matter() {
    let mut records = vec![
        record("b.example", 443, "tls", "host"),
        record("10.0.0.1", 443, "tls", "address"),
        request("a.example", 80, "GET", "/x"),
        record("a.example", 443, "connect", "host"),
    ];
    let first = learn(&lines(&records), None, &[]).out;
    records.reverse();
    assert_eq!(learn(&lines(&records), None, &[]).out, first);
}
