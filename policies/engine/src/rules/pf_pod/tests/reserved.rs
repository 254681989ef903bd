//! PF-POD-005.

use serde_json::json;

use super::{check, container, honest, put, template, told};

const RULE: &str = "PF-POD-005";

#[test]
fn names_ports_and_paths() {
    let ports = "/spec/containers/0/ports";
    let mounts = "/spec/containers/0/volumeMounts";
    let mount = |path: &str| json!([{"name": "v", "mountPath": path}]);
    let mounted = ["$.spec.containers[0].volumeMounts[0].mountPath"];
    check(
        RULE,
        &[
            ("/spec/containers/0/name", json!("pinfold-agent"), &["$.spec.containers[0].name"]),
            ("/spec/containers/0/name", json!("my-pinfold"), &[]),
            ("/spec/volumes/0/name", json!("pinfold-cache"), &["$.spec.volumes[0].name"]),
            (
                ports,
                json!([{"containerPort": 15001}]),
                &["$.spec.containers[0].ports[0].containerPort"],
            ),
            (
                ports,
                json!([{"containerPort": 15002}]),
                &["$.spec.containers[0].ports[0].containerPort"],
            ),
            (
                ports,
                json!([{"containerPort": 15053, "protocol": "UDP"}]),
                &["$.spec.containers[0].ports[0].containerPort"],
            ),
            (
                ports,
                json!([{"containerPort": 80}, {"containerPort": 15090}]),
                &["$.spec.containers[0].ports[1].containerPort"],
            ),
            (
                ports,
                json!([{"containerPort": 80, "name": "pinfold-admin"}]),
                &["$.spec.containers[0].ports[0].name"],
            ),
            (ports, json!([{"containerPort": 15003}]), &[]),
            (mounts, mount("/etc/pinfold"), &mounted),
            (mounts, mount("/etc//x/../pinfold/policy"), &mounted),
            (mounts, mount("/run/pinfold/secrets"), &mounted),
            (mounts, mount("/var/run/pinfold"), &mounted),
            (mounts, mount("var/lib/pinfold/"), &mounted),
            (mounts, mount("/etc/pinfolder"), &[]),
            (mounts, mount("/etc"), &[]),
        ],
    );
}

/// What mutation put there has its names; a template that has them was copied from a pod, or pretends.
#[test]
fn what_is_injected_keeps_its_names() {
    let trust =
        json!([{"name": "pinfold-trust", "mountPath": "/etc/pinfold/trust", "readOnly": true}]);
    let pod = put(honest(), "/spec/volumes/0", json!({"name": "pinfold-trust", "emptyDir": {}}));
    let pod = put(pod, "/spec/containers/0/volumeMounts", trust);
    let pod = put(
        pod,
        "/spec/initContainers",
        json!([{"name": "pinfold-guard"}, {"name": "pinfold-sidecar",
        "ports": [{"name": "pinfold-admin", "containerPort": 15090}]}]),
    );
    assert!(told(&pod).is_empty(), "{:?}", told(&pod));
    let said = told(&template(&pod));
    let named = |path: &str| said.contains(&format!("{RULE} $.spec.template.spec.{path}.name"));
    assert!(
        named("volumes[0]") && named("initContainers[0]") && named("initContainers[1]"),
        "{said:?}"
    );
    let other = put(pod, "/spec/initContainers/-", container("pinfold-helper"));
    assert_eq!(told(&other), [format!("{RULE} $.spec.initContainers[2].name")]);
}
