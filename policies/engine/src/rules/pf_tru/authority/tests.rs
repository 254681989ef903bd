//! Cases of work that runs as a trust controller or relay. Tokens of these accounts are with PF-SEC-008's cases.

use serde_json::Value;

use super::judge;
use crate::context::Found;
use crate::organization::fixture::{found, policy, request, spoken, value, view};

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: g, labels: {pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: u}}
";

const POLICY: &str = "
organizations: {platformAdmins: {users: [root]}}
trust:
  controllers: [{serviceAccount: g/sensor, uid: u-1}, {user: 'system:serviceaccount:g:named'}, {serviceAccount: u/sensor}, {serviceAccount: unseen/sensor}]
  relays: [{serviceAccount: g/relay}]
";

fn judged(user: &str, new: &Value, old: Option<&Value>) -> Found {
    let user = match user {
        "replicasets" => "system:serviceaccount:kube-system:replicaset-controller",
        "sensor" => "system:serviceaccount:g:sensor",
        "relay" => "system:serviceaccount:g:relay",
        other => other,
    };
    found(judge, &request(user, new, old), &view(CLUSTER), &policy(POLICY))
}

fn pod(namespace: &str, spec: &str) -> Value {
    value(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: {namespace}}}, spec: {{containers: [{{name: c, image: i}}], {spec}}}}}"
    ))
}

#[test]
fn pods_that_run_as_a_trust_controller() {
    let named = "PF-TRU-003 $.spec.serviceAccountName";
    for (user, namespace, spec, expected) in [
        ("alice", "g", "serviceAccountName: sensor", Some(named)),
        (
            "alice",
            "g",
            "serviceAccountName: sensor, automountServiceAccountToken: false",
            Some(named),
        ),
        ("alice", "g", "serviceAccountName: named", Some(named)),
        ("alice", "g", "serviceAccountName: relay", Some(named)),
        ("alice", "g", "serviceAccount: sensor", Some("PF-TRU-003 $.spec.serviceAccount")),
        ("alice", "unseen", "serviceAccountName: sensor", Some(named)),
        ("sensor", "g", "serviceAccountName: relay", Some(named)),
        // What a relay makes, it makes as somebody else wrote.
        ("relay", "g", "serviceAccountName: sensor", Some(named)),
        ("alice", "g", "serviceAccountName: web", None),
        ("alice", "g", "", None),
        ("alice", "u", "serviceAccountName: sensor", None),
        ("root", "g", "serviceAccountName: sensor", None),
        ("sensor", "g", "serviceAccountName: sensor", None),
        ("relay", "g", "serviceAccountName: relay", None),
        ("replicasets", "g", "serviceAccountName: sensor", None),
        ("system:kube-controller-manager", "g", "serviceAccountName: sensor", None),
    ] {
        let expected: Vec<&str> = expected.into_iter().collect();
        let found = judged(user, &pod(namespace, spec), None);
        assert_eq!(spoken(&found), expected, "{user} {namespace} {spec}");
        assert_eq!(found.questions.len(), usize::from(namespace == "unseen"), "{user} {spec}");
    }
    assert_eq!(judged("", &pod("g", "serviceAccountName: sensor"), None).undecided.len(), 1);
}

#[test]
fn default_is_whom_a_pod_runs_as_that_says_nothing() {
    let policy = policy("trust: {controllers: [{serviceAccount: g/default}]}");
    let judged = |spec| {
        spoken(&found(judge, &request("alice", &pod("g", spec), None), &view(CLUSTER), &policy))
    };
    assert_eq!(judged(""), ["PF-TRU-003 $.spec.serviceAccountName"]);
    assert!(judged("serviceAccount: web").is_empty());
}

#[test]
fn templates_are_judged_where_they_are_written() {
    let deployment = |image: &str, labels: &str| {
        value(&format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d, namespace: g, labels: {labels}}}, spec: {{template: {{spec: {{serviceAccountName: sensor, containers: [{{name: c, image: {image}}}]}}}}}}}}"
        ))
    };
    let path = "PF-TRU-003 $.spec.template.spec.serviceAccountName";
    let (old, labelled, changed) =
        (deployment("a", "{}"), deployment("a", "{x: y}"), deployment("b", "{}"));
    assert_eq!(spoken(&judged("alice", &old, None)), [path]);
    assert!(spoken(&judged("root", &old, None)).is_empty());
    assert_eq!(spoken(&judged("alice", &changed, Some(&old))), [path], "another image");
    assert!(spoken(&judged("alice", &labelled, Some(&old))).is_empty(), "a label");
    assert!(spoken(&judged("root", &changed, Some(&old))).is_empty());
}

#[test]
fn a_container_beside_the_controller_has_its_token() {
    let old = pod("g", "serviceAccountName: sensor");
    let new = pod("g", "serviceAccountName: sensor, ephemeralContainers: [{name: e, image: i}]");
    for (user, subresource, refused) in [
        ("alice", "ephemeralcontainers", true),
        ("root", "ephemeralcontainers", false),
        ("alice", "status", false),
    ] {
        let mut facts = request(user, &new, Some(&old));
        facts.subresource = subresource.to_owned();
        let found = found(judge, &facts, &view(CLUSTER), &policy(POLICY));
        assert_eq!(found.raw.len(), usize::from(refused), "{user} {subresource}");
    }
}
