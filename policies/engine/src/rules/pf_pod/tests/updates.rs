//! What was there before stays; what is new is judged; whose pods are judged at all.

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
