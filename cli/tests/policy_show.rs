//! `pinfold policy show`: the digest that it tells is the one that injection writes.

#![expect(clippy::expect_used, reason = "a test that can't go on stops where it stands")]

use std::fs;

use clap::Parser;
use pinfold::{Arguments, Outcome, run};
use serde_json::{Value, json};
use tempfile::TempDir;

const POLICIES: &str = "
{apiVersion: pinfold.dev/v1alpha1, kind: AdmissionPolicy, metadata: {name: p}, spec: {inject: {image: 'r/sidecar:1'}, rules: [{id: PF-POD-003, mode: warn}]}}
---
{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: base}, spec: {appliesTo: {namespaces: [a]}, egress: {limits: {connections: 9}}}}
---
{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: fixer}, spec: {appliesTo: {namespaces: [a]}, egress: {allow: [{host: api.github.com, ports: [443], protocol: tls}]}}}
---
{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: laptop}, spec: {upstreams: [{name: u, url: 'https://a.example', credential: {header: Authorization, from: {file: /t}}}]}}
";
const CLUSTER: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}";
const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: a}, spec: {securityContext: {runAsUser: 1000}, containers: [{name: c, image: i}]}}";

fn pinfold(line: &str) -> (Outcome, String, String) {
    let folder = TempDir::new().expect("a folder");
    for (name, text) in [("policy.yaml", POLICIES), ("cluster.yaml", CLUSTER), ("pod.yaml", POD)] {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let words = line.split(' ').map(|word| match word.strip_prefix('@') {
        Some(name) => folder.path().join(name).display().to_string(),
        None => word.to_owned(),
    });
    let arguments = Arguments::try_parse_from(std::iter::once("pinfold".to_owned()).chain(words))
        .expect("a command line");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = run(&arguments, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (outcome, text(out), text(err))
}

fn shown(line: &str) -> Value {
    let (outcome, out, err) = pinfold(line);
    assert_eq!(outcome, Outcome::Passed, "{err}");
    serde_json::from_str(&out).expect("JSON")
}

/// The annotations that injection writes.
fn written() -> Value {
    let (_, out, err) =
        pinfold("check -p @policy.yaml --cluster @cluster.yaml --as dev -o json @pod.yaml");
    let answer: Value = serde_json::from_str(&out).expect(&err);
    let patch = answer.pointer("/results/0/patch").and_then(Value::as_array).expect("a patch");
    let annotation = |step: &Value| {
        let path = step.get("path")?.as_str()?.strip_prefix("/metadata/annotations/")?;
        Some((path.replace("~1", "/"), step.get("value")?.clone()))
    };
    Value::Object(patch.iter().filter_map(annotation).collect())
}

#[test]
fn the_compiled_digest_is_what_a_pod_carries() {
    let annotations = written();
    let both = shown("policy show -o json --agent fixer --agent base --agent fixer @policy.yaml");
    assert_eq!(both["agents"], json!(["base", "fixer"]));
    assert_eq!(both["compiledDigest"], annotations["pinfold.dev/policy-digest"]);
    let text = annotations["pinfold.dev/policy"].as_str().expect("a policy");
    assert_eq!(both["policy"], serde_json::from_str::<Value>(text).expect("JSON"));
    assert_eq!(both["bytes"], text.len());

    let (_, out, _) = pinfold("policy show --agent base --agent fixer @policy.yaml");
    let digest = annotations["pinfold.dev/policy-digest"].as_str().expect("a digest");
    assert!(out.contains(digest) && out.contains("host: api.github.com"), "{out}");
}

#[test]
fn everything_is_listed_with_what_can_be_carried() {
    let all = shown("policy show -o json @policy.yaml");
    assert_eq!(all["admission"]["rules"], json!({"PF-POD-003": "warn"}));
    assert_eq!(all["admission"]["inject"]["image"], "r/sidecar:1");
    let fixer = shown("policy show -o json --agent fixer @policy.yaml");
    let agents = all["agents"].as_array().expect("agents");
    let of = |name: &str| agents.iter().find(|agent| agent["name"] == name).expect("an agent");
    assert_eq!(of("fixer")["compiledDigest"], fixer["compiledDigest"]);
    assert_ne!(of("fixer")["compiledDigest"], of("base")["compiledDigest"]);
    assert!(of("laptop")["refused"].as_str().expect("why").contains("file `/t`"));

    for (name, said) in [("fixr", "did you mean `fixer`"), ("laptop", "file `/t`")] {
        let (outcome, _, err) = pinfold(&format!("policy show --agent {name} @policy.yaml"));
        assert_eq!(outcome, Outcome::Undecided);
        assert!(err.contains(said), "{err}");
    }
}
