//! What is read of Nodes, RuntimeClasses, Scales and volumes that few nodes reach.

use serde_json::json;

use super::{object, workload};
use crate::object::pod::{NodeTerm, Toleration};
use crate::object::rbac::Requirement;
use crate::object::scheduling::Scheduling;

fn toleration(key: &str, operator: &str, value: &str, effect: &str) -> Toleration {
    let [key, operator, value, effect] = [key, operator, value, effect].map(str::to_owned);
    Toleration { key, operator, value, effect }
}

#[test]
fn nodes_runtime_classes_and_scales() {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"taints":
        [{"key": "pool", "value": "trusted", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"}]}});
    let class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "c"}, "handler": "runc",
        "scheduling": {"nodeSelector": {"pool": "trusted"}, "tolerations": [{"operator": "Exists"}]}});
    let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 3}});
    let taints = vec![toleration("pool", "Equal", "trusted", "NoSchedule")];
    let cases = [
        (node, Scheduling::Node { taints }),
        (json!({"apiVersion": "v1", "kind": "Node"}), Scheduling::Node { taints: Vec::new() }),
        (
            class,
            Scheduling::RuntimeClass {
                node_selector: vec![("pool".to_owned(), "trusted".to_owned())],
                tolerations: vec![toleration("", "Exists", "", "")],
            },
        ),
        (
            json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "scheduling": null}),
            Scheduling::RuntimeClass { node_selector: Vec::new(), tolerations: Vec::new() },
        ),
        (scale, Scheduling::Scale { replicas: 3 }),
        (
            json!({"apiVersion": "autoscaling/v1", "kind": "Scale"}),
            Scheduling::Scale { replicas: 0 },
        ),
    ];
    for (manifest, expected) in cases {
        assert_eq!(object(&manifest).facts.scheduling(), Some(&expected), "{manifest}");
    }
}

#[test]
fn the_nodes_that_reach_a_volume() {
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "spec": {"local": {"path": "/d"}, "nodeAffinity": {"required":
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["t1"]}]}]}}}});
    let requirement = Requirement {
        key: "kubernetes.io/hostname".to_owned(),
        operator: "In".to_owned(),
        values: vec!["t1".to_owned()],
    };
    let term = NodeTerm { expressions: vec![requirement], fields: Vec::new() };
    let found = object(&volume).facts;
    assert_eq!(found.referrer().and_then(|found| found.node_affinity.clone()), Some(vec![term]));
}

#[test]
fn a_pod_that_has_ended() {
    for (phase, finished) in
        [("Succeeded", true), ("Failed", true), ("Running", false), ("", false)]
    {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": phase}});
        assert_eq!(workload(&pod).finished, finished, "{phase}");
    }
}
