//! What was there before stays; what is new is judged; whose pods are judged at all.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{container, honest, put, spoken, template, view};
use crate::organization::fixture::{found, policy, request};

fn updated(old: &Value, new: &Value, subresource: &str) -> Vec<String> {
    let mut facts = request("alice", new, Some(old));
    facts.subresource = subresource.to_owned();
    spoken(&found(super::judge, &facts, &view(super::CLUSTER), &policy("mode: enforce")))
}

#[test]
fn what_was_there_is_let_be() {
    let bad = put(honest(), "/spec/hostNetwork", json!(true));
    let bad = template(&put(bad, "/spec/shareProcessNamespace", json!(true)));
    let image = put(bad.clone(), "/spec/template/spec/containers/0/image", json!("other"));
    assert!(updated(&bad, &image, "").is_empty());
    let worse = put(bad.clone(), "/spec/template/spec/hostPID", json!(true));
    assert_eq!(updated(&bad, &worse, ""), ["PF-POD-002 $.spec.template.spec.hostPID"]);
    assert_eq!(updated(&template(&honest()), &bad, "").len(), 2);
}

#[test]
fn an_ephemeral_container_is_new() {
    let debug = json!({"name": "debug", "image": "i", "targetContainerName": "agent"});
    let new = put(honest(), "/spec/ephemeralContainers", json!([debug]));
    let said = updated(&honest(), &new, "ephemeralcontainers");
    assert_eq!(said.len(), 3, "{said:?}");
    let hardened = put(honest(), "/spec/ephemeralContainers", json!([container("debug")]));
    assert!(updated(&honest(), &hardened, "ephemeralcontainers").is_empty());
}

/// A pod that becomes an agent's is judged whole.
#[test]
fn a_pod_that_becomes_an_agents() {
    let plain = put(honest(), "/metadata/namespace", json!("plain"));
    let bad = put(plain.clone(), "/spec/hostPID", json!(true));
    let label = json!({"krate.a5c.ai/agent-stack": "s"});
    let agent = put(bad.clone(), "/metadata/labels", label.clone());
    assert_eq!(updated(&bad, &agent, ""), ["PF-POD-002 $.spec.hostPID"]);
    assert!(updated(&plain, &put(plain.clone(), "/metadata/labels", label), "").is_empty());
}

#[test]
fn other_peoples_pods_are_nobodys_concern() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "plain"},
        "spec": {"hostNetwork": true, "containers": [{"name": "a", "securityContext": {"privileged": true}}]}});
    assert!(super::told(&pod).is_empty());
    let lost = put(pod, "/metadata/namespace", json!("nowhere"));
    let facts = request("alice", &lost, None);
    let found = found(super::judge, &facts, &view(super::CLUSTER), &policy("mode: enforce"));
    assert!(found.raw.is_empty() && !found.confirmations.is_empty());
}

/// Without a sidecar nothing has to be kept from it, but the standard holds.
#[test]
fn without_injection_the_standard_alone() {
    let bad = put(honest(), "/spec/hostPID", json!(true));
    let bad = put(bad, "/spec/shareProcessNamespace", json!(true));
    let bad = put(bad, "/spec/containers/0/name", json!("pinfold-x"));
    let said = spoken(&super::judged(&bad, &policy("inject: {profile: none}")));
    assert_eq!(said, ["PF-POD-002 $.spec.hostPID"]);
}

/// A template that adds so many capabilities, each of them a fault.
fn with_capabilities(names: impl Iterator<Item = String>) -> Value {
    let add: Vec<String> = names.collect();
    let pod = put(honest(), "/spec/containers/0/securityContext/capabilities/add", json!(add));
    template(&pod)
}

/// However much was there, what is new is found, and only so much of it is told.
#[test]
fn long_lists_hide_nothing() {
    let names = |count: usize| (0..count).map(|at| format!("C{at}"));
    let old = with_capabilities(names(1_000));
    let image = put(old.clone(), "/spec/template/spec/containers/0/image", json!("other"));
    assert!(updated(&old, &image, "").is_empty());
    let last = with_capabilities(names(999).chain(["SYS_ADMIN".to_owned()]));
    assert_eq!(updated(&old, &last, "").len(), 1);
    let told = updated(&template(&honest()), &old, "");
    assert_eq!(told.len(), super::super::workload::FAULTS_MAX);
}

/// The shortest of some times that a request takes.
fn shortest(new: &Value, old: Option<&Value>) -> Duration {
    let (facts, view, policy) =
        (request("alice", new, old), view(super::CLUSTER), policy("mode: enforce"));
    let timed = || {
        let start = Instant::now();
        let _found = found(super::judge, &facts, &view, &policy);
        start.elapsed()
    };
    (0..3).map(|_| timed()).min().unwrap_or_default()
}

/// An update judges two objects, and compares what it found by looking it up: with a comparison of each with each it took hundreds of times as long.
#[test]
fn an_update_costs_little_more_than_what_it_compares() {
    let many = with_capabilities((0..20_000).map(|at| format!("C{at}")));
    let image = put(many.clone(), "/spec/template/spec/containers/0/image", json!("other"));
    assert!(updated(&many, &image, "").is_empty());
    let (created, changed) = (shortest(&image, None), shortest(&image, Some(&many)));
    assert!(changed < created * 20, "{changed:?} for an update, {created:?} for a new one");
}
