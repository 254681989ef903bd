//! The commands as a user calls them: what they print, and how they end.

#![expect(clippy::expect_used, reason = "a test that can't go on stops where it stands")]

use std::fs;
use std::path::Path;

use clap::Parser;
use pinfold::{Arguments, Outcome, run};
use serde_json::Value;
use tempfile::TempDir;

const POLICY: &str = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: baseline}
spec:
  custom:
  - id: no-latest
    match: {kinds: [Pod]}
    deny: {path: "$.spec.containers[*].image", endsWith: ":latest", message: "pin the image"}
---
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: reader}
spec:
  egress:
    allow:
    - {host: api.github.com, ports: [443], protocol: tls}
    - {host: pypi.internal, ports: [80], protocol: http, methods: [GET], paths: ["/simple/**"]}
  upstreams: [{name: up, url: "http://127.0.0.1:9"}]
  tools:
    servers:
    - name: files
      upstream: up
      allow: [{tool: read, arguments: {rules: [{path: $.path, pathSafe: true}]}}]
"#;

const PODS: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: bad}
  spec: {containers: [{name: a, image: 'x:latest'}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: good}
  spec: {containers: [{name: a, image: 'x:1'}]}
";

const ROLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r, namespace: a}
rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]
";

fn folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (name, text) in [("policy.yaml", POLICY), ("pods.yaml", PODS), ("role.yaml", ROLE)] {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

/// Runs a command line; words that begin with `@` are paths in the folder.
fn pinfold(folder: &Path, line: &str) -> (Outcome, String, String) {
    let words = line.split(' ').map(|word| match word.strip_prefix('@') {
        Some(name) => folder.join(name).display().to_string(),
        None => word.to_owned(),
    });
    let arguments = Arguments::try_parse_from(std::iter::once("pinfold".to_owned()).chain(words))
        .expect("a command line");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = run(&arguments, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (outcome, text(out), text(err))
}

#[test]
fn check_decides_every_object_and_says_where_it_stands() {
    let folder = folder();
    let (outcome, out, _) = pinfold(folder.path(), "check -p @policy.yaml @pods.yaml");
    assert_eq!(outcome, Outcome::Denied);
    assert!(out.contains("DENIED Pod default/bad"), "{out}");
    assert!(out.contains("pods.yaml:5)"), "{out}");
    assert!(out.contains("no-latest $.spec.containers[0].image"), "{out}");
    assert!(out.contains("ALLOWED Pod default/good"), "{out}");
}

#[test]
fn check_without_a_requester_decides_what_it_can() {
    let folder = folder();
    let line = "check -p @policy.yaml -o json @role.yaml @pods.yaml";
    let (outcome, out, _) = pinfold(folder.path(), line);
    assert_eq!(outcome, Outcome::Undecided);
    let json: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(json["version"], 1);
    assert_eq!(json["summary"]["undecided"], 1);
    assert_eq!(json["summary"]["allowed"], 1);
    assert_eq!(json["results"][0]["object"]["kind"], "Pod", "files are read in order of name");
    assert_eq!(json["results"][2]["undecided"], serde_json::json!(["PF-RBAC-001"]));

    let (outcome, out, _) = pinfold(folder.path(), "check -p @policy.yaml --as dev @role.yaml");
    assert_eq!(outcome, Outcome::Denied, "{out}");
    assert!(out.contains("PF-RBAC-001"), "{out}");
    let line = "check -p @policy.yaml --as root --as-group system:masters @role.yaml";
    assert_eq!(pinfold(folder.path(), line).0, Outcome::Passed);
}

#[test]
fn every_format_names_rule_path_and_file() {
    let folder = folder();
    for format in ["json", "sarif", "junit", "github", "human"] {
        let (outcome, out, _) =
            pinfold(folder.path(), &format!("check -p @policy.yaml -o {format} @pods.yaml"));
        assert_eq!(outcome, Outcome::Denied);
        for part in ["no-latest", "$.spec.containers[0].image", "pods.yaml"] {
            assert!(out.contains(part), "{format} lacks {part}: {out}");
        }
        if matches!(format, "json" | "sarif") {
            serde_json::from_str::<Value>(&out).expect("JSON");
        }
    }
}

#[test]
fn bad_input_is_undecided_and_says_where() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("typo.yaml", &POLICY.replace("custom:", "costum:"));
    write("broken.yaml", "a: [\n");
    write("twice.yaml", "apiVersion: v1\nkind: Pod\nkind: Job\n");
    write("none.yaml", "metadata: {name: x}\n");
    let cases = [
        (
            "check -p @typo.yaml @pods.yaml",
            "typo.yaml:6:3: spec: unknown field `costum`: did you mean `custom`?",
        ),
        ("check -p @policy.yaml @broken.yaml", "broken.yaml:"),
        ("check -p @policy.yaml @twice.yaml", "duplicate key `kind`"),
        ("check -p @policy.yaml @none.yaml", "expected `apiVersion` and `kind`"),
        ("check -p @policy.yaml @missing.yaml", "missing.yaml"),
        ("check -p @pods.yaml @pods.yaml", "not a policy document"),
        ("check -p @policy.yaml --operation PUT @pods.yaml", "no operation `PUT`"),
        (
            "try -p @policy.yaml --agent other egress a.b:1",
            "no AgentPolicy `other`: there is reader",
        ),
        ("try -p @policy.yaml model x", "no model gate"),
        ("try -p @policy.yaml tool files read [1]", "expected a JSON object"),
        ("try -p @policy.yaml egress ftp://a", "expected `https://`"),
        ("try -p @policy.yaml egress http://a/%00", "a/%00"),
        ("test @pods.yaml", "no PolicyTest document"),
        ("policy schema AgentPolcy", "did you mean `AgentPolicy`?"),
    ];
    for (line, expected) in cases {
        let (outcome, out, err) = pinfold(folder.path(), line);
        assert_eq!(outcome, Outcome::Undecided, "{line}: {out}{err}");
        assert!(err.contains(expected), "{line}: {err}");
    }
}

#[test]
fn try_answers_as_the_sidecar_would() {
    let folder = folder();
    let cases = [
        ("egress https://api.github.com/x", ""),
        ("egress api.github.com:22", "port"),
        ("egress https://evil.example", "host"),
        ("egress http://pypi.internal/simple/a", ""),
        ("egress http://pypi.internal/admin", "path"),
        ("egress http://pypi.internal/simple/a%2fb", "path"),
        ("egress https://api.github.com/a%2fb//c;d", ""),
        ("egress --method POST http://pypi.internal/simple/a", "method"),
        ("egress https://169.254.169.254/", "address"),
        ("egress tcp://api.github.com:443", "protocol"),
        ("egress ws://pypi.internal/simple/a", "protocol"),
        (r#"tool files read {"path":"a"}"#, ""),
        (r#"tool files read {"path":"../a"}"#, "argument"),
        ("tool files write", "tool"),
        ("tool other read", "server"),
    ];
    for (attempt, reason) in cases {
        let (outcome, out, err) =
            pinfold(folder.path(), &format!("try -p @policy.yaml -o json {attempt}"));
        let json: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{attempt}: {err}"));
        let expected = if reason.is_empty() { Outcome::Passed } else { Outcome::Denied };
        assert_eq!((outcome, json["reason"].as_str()), (expected, Some(reason)), "{attempt}");
        assert_eq!(json["allowed"], reason.is_empty());
        for field in ["rule", "path", "message", "remedy", "policyDigest"] {
            assert!(json[field].is_string(), "{attempt} lacks {field}");
        }
    }
}

#[test]
fn try_says_what_a_call_is_charged_to() {
    let folder = TempDir::new().expect("a folder");
    let policy = "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {name: a}\nspec:\n  upstreams: [{name: u, url: 'https://x.y'}]\n  tools:\n    rate: [10/s, 90/m]\n    servers: [{name: s, upstream: u, allow: [{tool: limited, budget: {calls: 50}}, {tool: free}]}]\n";
    fs::write(folder.path().join("policy.yaml"), policy).expect("a file");
    let agents = [
        serde_json::json!({"rule": "spec.tools.rate", "rate": "10/s"}),
        serde_json::json!({"rule": "spec.tools.rate", "rate": "90/m"}),
    ];
    let own = serde_json::json!({"rule": "spec.tools.servers[0].allow[0].budget", "calls": 50});
    let limited = [&[own][..], &agents].concat();
    let cases = [("limited", limited), ("free", agents.to_vec()), ("other", vec![])];
    for (tool, expected) in cases {
        let (_, out, err) =
            pinfold(folder.path(), &format!("try -p @policy.yaml -o json tool s {tool}"));
        let json: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{tool}: {err}"));
        assert_eq!(json["limits"], serde_json::json!(expected), "{tool}");
    }
    let (_, out, _) = pinfold(folder.path(), "try -p @policy.yaml tool s limited");
    let calls = "within 50 calls of a pod's life (spec.tools.servers[0].allow[0].budget)";
    assert!(out.contains(calls) && out.contains("within 90/m (spec.tools.rate)"), "{out}");
}

#[test]
fn policy_tests_pass_and_fail() {
    let folder = folder();
    let test = |allowed: bool| {
        format!(
            r#"
apiVersion: pinfold.dev/v1alpha1
kind: PolicyTest
metadata: {{name: t}}
spec:
  policies: [policy.yaml]
  cases:
  - name: the latest image <&>
    object: {{apiVersion: v1, kind: Pod, metadata: {{name: x}}, spec: {{containers: [{{name: a, image: "x:latest"}}]}}}}
    expect: {{allowed: {allowed}, rules: [no-latest], message: pin the image}}
  - name: a role by somebody
    user: {{name: dev}}
    object: role.yaml
    expect: {{allowed: false, rules: [PF-RBAC-001]}}
  - name: a tool call
    agent: {{policy: reader}}
    toolCall: {{server: files, tool: read, arguments: {{path: ../x}}}}
    expect: {{allowed: false, reason: argument}}
  - name: egress in parts
    egress: {{host: pypi.internal, port: 80, method: GET, path: /simple/x}}
    expect: {{allowed: true}}
  - name: egress as a URL
    egress: https://evil.example/
    expect: {{allowed: false, reason: host}}
"#
        )
    };
    fs::write(folder.path().join("t.yaml"), test(false)).expect("a file");
    let (outcome, out, err) = pinfold(folder.path(), "test @t.yaml");
    assert_eq!((outcome, out.as_str()), (Outcome::Passed, "5 passed, 0 failed\n"), "{err}");

    fs::write(folder.path().join("t.yaml"), test(true)).expect("a file");
    let (outcome, out, _) = pinfold(folder.path(), "test -o json @.");
    assert_eq!(outcome, Outcome::Denied);
    let json: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(json["summary"], serde_json::json!({"passed": 4, "failed": 1}));
    let (_, out, _) = pinfold(folder.path(), "test -o junit @t.yaml");
    assert!(
        out.contains("the latest image &lt;&amp;&gt;") && out.contains("failures=\"1\""),
        "{out}"
    );
}

#[test]
fn policies_are_validated_and_described() {
    let folder = folder();
    let (outcome, out, _) = pinfold(folder.path(), "policy validate @policy.yaml");
    assert_eq!(outcome, Outcome::Passed);
    assert!(out.contains("valid: 1 file, an AdmissionPolicy, AgentPolicies reader"), "{out}");
    assert!(out.contains("warning: ") && out.contains("not pinned"), "{out}");
    for kind in ["AdmissionPolicy", "AgentPolicy", "PolicyTest"] {
        let (outcome, out, _) = pinfold(folder.path(), &format!("policy schema {kind}"));
        let schema: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(outcome, Outcome::Passed);
        assert_eq!(schema["additionalProperties"], false, "{kind} takes unknown fields");
    }
}

#[test]
fn a_missing_ledger_is_damage_not_success() {
    let folder = folder();
    let (outcome, out, _) = pinfold(folder.path(), "audit verify @nowhere");
    assert_eq!(outcome, Outcome::Denied, "{out}");
}
