//! Where credentials are looked for, in whose objects, and what is said of them.

mod corpus;
mod places;
mod speed;

use pinfold_model::facts::{AdmissionFacts, Operation, Question};
use pinfold_model::object::Change;
use serde_json::{Value, json};

use super::judge;
use crate::context::Found;
use crate::organization::fixture::{found, policy, request, spoken, value, view};

const CLUSTER: &str = r#"
    {apiVersion: v1, kind: Namespace, metadata: {name: acme, labels: {pinfold.dev/agents: "true"}}}
    {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
    {apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: seller, namespace: shop}, spec: {serviceAccountName: seller}}
"#;

/// A key that looks like one, from pieces.
fn secret() -> String {
    ["AKIA", "WOVOMPZO", "M7WBBR6Q"].concat()
}

fn judged(new: &Value) -> Found {
    judged_as(new, |_| {}, "{}")
}

fn judged_as(new: &Value, change: impl Fn(&mut AdmissionFacts), spec: &str) -> Found {
    let mut facts = request("alice", new, None);
    change(&mut facts);
    found(judge, &facts, &view(CLUSTER), &policy(spec))
}

fn paths(new: &Value) -> Vec<String> {
    let rule = "PF-SEC-007 ";
    spoken(&judged(new)).into_iter().map(|line| line.replacen(rule, "", 1)).collect()
}

fn pod(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "acme"}, "spec": spec})
}

fn with_env(namespace: &str, account: &str, labels: &Value) -> Value {
    let env = json!([{"name": "VALUE", "value": secret()}]);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace, "labels": labels},
        "spec": {"serviceAccountName": account, "containers": [{"name": "c", "env": env}]}})
}

#[test]
fn whose_objects_are_looked_at() {
    let env = "$.spec.containers[0].env[0].value";
    let none = json!({});
    assert_eq!(paths(&with_env("acme", "x", &none)), [env], "a guarded namespace");
    assert_eq!(paths(&with_env("shop", "seller", &none)), [env], "an agent identity");
    let label = json!({"krate.a5c.ai/agent-stack": "coder"});
    assert_eq!(paths(&with_env("shop", "x", &label)), [env], "a label");
    assert!(paths(&with_env("shop", "x", &none)).is_empty(), "nobody's agent");
    assert!(paths(&with_env("kube-system", "x", &none)).is_empty());

    let unknown = judged(&with_env("gone", "x", &none));
    assert!(
        unknown.raw.is_empty() && unknown.confirmations.len() == 1,
        "looked at once more: {unknown:?}"
    );
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "gone"}, "data": {"a": secret()}});
    let asked = judged(&map).confirmations;
    assert!(matches!(asked.as_slice(), [Question::Object(key)] if key.name == "gone"));
    let mut map = map;
    map["metadata"]["namespace"] = json!("shop");
    assert!(paths(&map).is_empty());
    map["metadata"]["namespace"] = json!("acme");
    assert_eq!(paths(&map), ["$.data.a"]);

    for group in ["krate.a5c.ai/v1alpha1", "kradle.a5c.ai/v1"] {
        let server = json!({"apiVersion": group, "kind": "AgentMcpServer", "metadata": {"name": "s", "namespace": "shop"},
            "spec": {"headers": [{"name": "X", "value": secret()}]}, "status": {"note": secret()}});
        assert_eq!(paths(&server), ["$.spec.headers[0].value", "$.status.note"], "{group}");
    }
}

#[test]
fn updates_and_other_operations() {
    let old = pod(&json!({"containers": []}));
    let new = with_env("acme", "x", &json!({}));
    let change = |operation: Operation, change: Change| {
        let update = |facts: &mut AdmissionFacts| {
            facts.operation = operation;
            facts.change = change;
            facts.old_object = Some(crate::organization::fixture::object(&old));
        };
        spoken(&judged_as(&new, update, "{}")).len()
    };
    assert_eq!(change(Operation::Update, Change::Content), 1);
    assert_eq!(change(Operation::Update, Change::Metadata), 0, "the spec is as it was");
    assert_eq!(change(Operation::Update, Change::Garbage), 0);
    assert_eq!(change(Operation::Delete, Change::Content), 0);
    let noted = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "acme", "annotations": {"a": secret()}}, "spec": {}});
    let metadata = |facts: &mut AdmissionFacts| {
        facts.operation = Operation::Update;
        facts.change = Change::Metadata;
    };
    assert_eq!(spoken(&judged_as(&noted, metadata, "{}")), ["PF-SEC-007 $.metadata.annotations.a"]);
    let status = |facts: &mut AdmissionFacts| facts.subresource = "status".to_owned();
    assert!(judged_as(&new, status, "{}").raw.is_empty(), "kubelets and controllers go on");
    let run = json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentDispatchRun", "metadata": {"name": "r", "namespace": "acme"},
        "spec": {"note": secret()}, "status": {"note": secret()}});
    assert_eq!(
        spoken(&judged_as(&run, status, "{}")),
        ["PF-SEC-007 $.status.note"],
        "the spec is as it was"
    );
}

/// A rollout that takes a literal away must end: the old ReplicaSet goes to none.
#[test]
fn what_was_there_is_scaled_and_kept() {
    let set = |replicas: u32, key: &str| {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r", "namespace": "acme"},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "c", "env": [{"name": "V", "value": key}]}]}}}})
    };
    let (view, policy) = (view(CLUSTER), policy("{}"));
    let judged = |user: &str, new: &Value, old: Option<&Value>| {
        found(judge, &request(user, new, old), &view, &policy).raw.len()
    };
    let old = set(3, &secret());
    let deployments = "system:serviceaccount:kube-system:deployment-controller";
    for replicas in [0, 9] {
        assert_eq!(judged(deployments, &set(replicas, &secret()), Some(&old)), 0, "{replicas}");
        assert_eq!(judged("alice", &set(replicas, &secret()), Some(&old)), 0, "{replicas}");
    }
    assert_eq!(judged("alice", &old, Some(&set(3, "plain"))), 1, "a literal that comes");
    assert_eq!(judged(deployments, &old, None), 1, "to make one is no update");
    let forged = "system:serviceaccount:acme:deployment-controller";
    assert_eq!(judged(forged, &old, Some(&set(3, "plain"))), 1, "another namespace's");
}

#[test]
fn what_is_said_has_no_value() {
    let all = [secret(), "hunter2x".to_owned()];
    let text = format!("a: {}\npassword: {}\n", all[0], all[1]);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "acme"}, "data": {"config.ini": text}});
    let found = judged(&map);
    let raw = &found.raw[0];
    let said = format!("{} {} {}", raw.path, raw.message, raw.remedy);
    for value in all {
        let begin: String = value.chars().take(4).collect();
        assert!(!said.contains(&begin), "{said}");
    }
    assert_eq!(raw.path, "$.data['config.ini']");
    let expected = "in the clear: what looks like an AWS access key id (pattern `aws-access-key-id`, 20 bytes), and another";
    assert_eq!(raw.message, expected);
}

#[test]
fn the_policy_says_what_isnt_one() {
    let digest = pinfold_model::digest::Digest::of(secret().as_bytes());
    let object = with_env("acme", "x", &json!({}));
    for (spec, expected) in [
        ("{}".to_owned(), 1),
        (format!("literals: {{allow: ['{digest}']}}"), 0),
        ("literals: {allow: ['AKIA.*']}".to_owned(), 0),
        ("literals: {allow: ['AKI']}".to_owned(), 1),
        ("literals: {off: [aws-access-key-id]}".to_owned(), 0),
        ("literals: {off: [github-token]}".to_owned(), 1),
    ] {
        assert_eq!(judged_as(&object, |_| {}, &spec).raw.len(), expected, "{spec}");
    }
    let own = "literals: {patterns: [{id: badge, match: 'ACME-[0-9]{6}'}]}";
    let object =
        pod(&json!({"containers": [{"name": "c", "args": ["--badge=ACME-123456", "ACME-1"]}]}));
    assert_eq!(
        spoken(&judged_as(&object, |_| {}, own)),
        ["PF-SEC-007 $.spec.containers[0].args[0]"]
    );
    assert!(judged(&object).raw.is_empty());
}

#[test]
fn what_cant_be_looked_at_is_refused() {
    let map = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "acme"}, "data": data});
    let large = "a b ".repeat(crate::credentials::TEXT_BYTES_MAX / 4);
    let found = judged(&map(json!({"a": large, "b": "x y z is more"})));
    assert_eq!(spoken(&found), ["PF-SEC-007 $.data.b"]);
    assert!(found.raw[0].message.contains("nobody can tell"), "{found:?}");
    let many: serde_json::Map<String, Value> =
        (0..40).map(|index| (format!("k{index}"), json!(secret()))).collect();
    let found = judged(&map(Value::Object(many)));
    assert_eq!(found.raw.len(), 17);
    assert!(found.raw[16].message.starts_with("24 more"), "{found:?}");
    let deep = (0..300).fold(json!("x"), |inner, _| json!({"a": inner}));
    let skill = json!({"apiVersion": "krate.a5c.ai/v1", "kind": "AgentSkill", "metadata": {"name": "s", "namespace": "acme"}, "spec": deep});
    assert_eq!(judged(&skill).raw.len(), 1);
    let silent = judged_as(&map(json!({})), |facts| facts.document = None, "{}");
    assert_eq!(spoken(&silent), ["PF-SEC-007 $"]);
    let yaml = value("{apiVersion: v1, kind: ConfigMap, metadata: {name: m, namespace: acme}}");
    assert!(judged(&yaml).raw.is_empty());
}
