//! PF-POD-008.

use serde_json::{Value, json};

use super::{put, spoken, view};
use crate::organization::fixture::{found, policy, request};

const RULE: &str = "PF-POD-008";
const ADMIN: &str = "boss";
const CONTROLLER: &str = "system:serviceaccount:kube-system:endpointslice-controller";

fn said(user: &str, object: &Value, old: Option<&Value>) -> Vec<String> {
    let policy = policy("organizations: {platformAdmins: {users: [boss], groups: []}}");
    let view = view(super::CLUSTER);
    spoken(&found(super::judge, &request(user, object, old), &view, &policy))
}

fn service(port: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "agents"},
        "spec": {"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": 8080}, port]}})
}

#[test]
fn services() {
    let rows = [
        (json!({"port": 80, "targetPort": 15080}), "alice", "targetPort"),
        (json!({"port": 80, "targetPort": 15002}), "alice", "targetPort"),
        (json!({"port": 80, "targetPort": 15080}), ADMIN, "targetPort"),
        (json!({"port": 15001}), "alice", "port"),
        (json!({"port": 15053, "targetPort": 0, "protocol": "UDP"}), "alice", "port"),
        (json!({"port": 80, "targetPort": "pinfold-gateway"}), "alice", "targetPort"),
        (json!({"port": 80, "targetPort": 15090}), "alice", "targetPort"),
        (json!({"port": 80, "targetPort": 15090}), ADMIN, ""),
        (json!({"port": 80, "targetPort": "pinfold-admin"}), ADMIN, ""),
        (json!({"port": 80, "targetPort": "pinfold-admin"}), "alice", "targetPort"),
        (json!({"port": 15080, "targetPort": 8080}), "alice", ""),
        (json!({"port": 80, "targetPort": "http"}), "alice", ""),
    ];
    for (port, user, field) in rows {
        let path = format!("{RULE} $.spec.ports[1].{field}");
        let expected = if field.is_empty() { vec![] } else { vec![path] };
        assert_eq!(said(user, &service(&port), None), expected, "{user} {port}");
    }
}

#[test]
fn endpoints_by_hand() {
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "s", "namespace": "agents"}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}, {"port": 15090}]});
    let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "s", "namespace": "agents"},
        "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 15080}]}]});
    for (object, path) in [(slice, "$.ports[1].port"), (endpoints, "$.subsets[0].ports[0].port")] {
        assert_eq!(said("alice", &object, None), [format!("{RULE} {path}")]);
        assert!(said(CONTROLLER, &object, None).is_empty());
        let elsewhere = put(object, "/metadata/namespace", json!("plain"));
        assert!(said("alice", &elsewhere, None).is_empty());
    }
}

/// What was there can be labelled; nobody adds to it. Nothing is guarded elsewhere, and without a sidecar nothing leads to one.
#[test]
fn what_was_there_and_elsewhere() {
    let old = service(&json!({"port": 80, "targetPort": 15080}));
    let labelled = put(old.clone(), "/metadata/labels", json!({"a": "b"}));
    assert!(said("alice", &labelled, Some(&old)).is_empty());
    let more = put(old.clone(), "/spec/ports/-", json!({"port": 81, "targetPort": 15002}));
    assert_eq!(said("alice", &more, Some(&old)), [format!("{RULE} $.spec.ports[2].targetPort")]);
    let none = policy("inject: {profile: none}");
    let view = view(super::CLUSTER);
    assert!(spoken(&found(super::judge, &request("alice", &old, None), &view, &none)).is_empty());
}

#[test]
fn nobody_is_known_to_ask() {
    let metrics = service(&json!({"port": 80, "targetPort": 15090}));
    let view = view(super::CLUSTER);
    let found = found(super::judge, &request("", &metrics, None), &view, &policy("mode: enforce"));
    assert_eq!(found.undecided.len(), 1);
}
