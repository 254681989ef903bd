//! Beside a second mutating webhook on a real API server: what it adds after Pinfold is confined like all else, what it undoes is put right where Pinfold is
//! asked once more, and refused where it isn't.

use pinfold_tests::KubectlOutput;
use serde_json::{Value, json};

use super::injection::{confined, names, stored};
use super::mesh::{ASKED, Mesh, PATCH};
use crate::Outcome;
use crate::replica::Replica;
use crate::stage::{ALICE, Stage, replace};

/// A stage whose agents are confined and held to the restricted standard, with a mesh.
fn meshed(name: &'static str) -> Outcome<(Stage, Replica, Mesh)> {
    let stage = confined(name)?;
    let site = stage.path("policy").join("site.yaml");
    let text = std::fs::read_to_string(&site)?;
    let held = text.replace("{id: PF-POD-002, mode: \"off\"}", "{id: PF-POD-002, mode: enforce}");
    assert_ne!(held, text);
    replace(&site, &held)?;
    let replica = stage.open_with(&stage.flags())?;
    let mesh = Mesh::open(&stage)?;
    Ok((stage, replica, mesh))
}

/// A pod to which the mesh does this, asked `once` or `again`.
fn pod(name: &str, asked: &str, patch: &Value) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "STAGE-acme", "labels": {ASKED: asked}, "annotations": {PATCH: patch.to_string()}},
        "spec": {
            "securityContext": {"runAsUser": 1000},
            "initContainers": [{"name": "setup", "image": "registry.example/a:1"}],
            "containers": [{"name": "agent", "image": "registry.example/a:1"}, {"name": "mesh-proxy", "image": "auto"}],
        },
    })
    .to_string()
}

/// What a mesh adds to a pod that has been through Pinfold: in front, behind, and in everybody's containers, ours too.
fn additions() -> Value {
    let container = |name: &str| json!({"name": name, "image": "registry.example/mesh:1", "securityContext": {"runAsUser": 1337}});
    let traced = json!([{"name": "MESH", "value": "on"}]);
    json!([
        {"op": "add", "path": "/spec/initContainers/1/env", "value": traced},
        {"op": "add", "path": "/spec/initContainers/0", "value": container("mesh-init")},
        {"op": "add", "path": "/spec/containers/0", "value": container("mesh-exporter")},
        {"op": "add", "path": "/spec/containers/1/env/-", "value": {"name": "MESH", "value": "on"}},
        {"op": "add", "path": "/spec/volumes/0", "value": {"name": "mesh-certificates", "emptyDir": {"medium": "Memory"}}},
        {"op": "add", "path": "/metadata/annotations/mesh.example~1status", "value": "injected"},
    ])
}

fn named<'p>(pod: &'p Value, list: &str, name: &str) -> Outcome<&'p Value> {
    let items = pod.pointer("/spec").and_then(|spec| spec.get(list)).and_then(Value::as_array);
    let found = items.into_iter().flatten().find(|item| item.get("name") == Some(&json!(name)));
    Ok(found.ok_or_else(|| format!("no `{name}` in {list} of {pod}"))?)
}

#[test]
fn what_a_mesh_adds_is_confined_and_the_sidecar_is_there_once() -> Outcome {
    let (stage, replica, _mesh) = meshed("mesh-adds")?;
    let before = replica.calls("mutate")?;
    let made = stage.apply_as(ALICE, &pod("p", "once", &additions()))?;
    assert!(made.success(), "{made:?}\n{}", replica.process.log());
    assert_eq!(replica.calls("mutate")? - before, 2.0, "asked, and once more after the mesh");

    let found = stored(&stage, "p")?;
    let inits = names(&found, "initContainers");
    assert_eq!(inits, ["pinfold-guard", "pinfold-sidecar", "mesh-init", "setup"]);
    assert_eq!(names(&found, "containers"), ["mesh-exporter", "agent", "mesh-proxy"]);
    let volumes = names(&found, "volumes");
    let ours = ["pinfold-policy", "pinfold-state", "pinfold-trust", "pinfold-tmp"];
    assert_eq!(volumes, [&["mesh-certificates"][..], &ours].concat());
    assert_eq!(
        found.pointer("/metadata/annotations/mesh.example~1status"),
        Some(&json!("injected"))
    );
    // Ours is as it was before, theirs stays.
    assert_eq!(named(&found, "initContainers", "pinfold-sidecar")?.get("env"), None);
    let agent = named(&found, "containers", "agent")?;
    assert!(agent.get("env").is_some_and(|env| env.to_string().contains("MESH")), "{agent}");
    for (list, name) in [("initContainers", "mesh-init"), ("containers", "mesh-exporter")] {
        let container = named(&found, list, name)?;
        let hardened = json!({"runAsUser": 1337, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
        assert_eq!(container.get("securityContext"), Some(&hardened), "{name}");
        let text = container.to_string();
        assert!(
            text.contains("\"mountPath\":\"/tmp\"") && text.contains("SSL_CERT_FILE"),
            "{text}"
        );
    }
    Ok(())
}

/// A way of a mesh to undo confinement, and where the refusal says so.
struct Attack {
    name: &'static str,
    patch: Value,
    rule: &'static str,
    field: &'static str,
}

fn attacks() -> Vec<Attack> {
    let attack = |name, patch, field| Attack { name, patch, rule: "PF-POD-001", field };
    let sidecar = |field: &str| format!("/spec/initContainers/1/{field}");
    let another = json!({"name": "spy", "image": "registry.example/spy:1", "volumeMounts": [{"name": "pinfold-policy", "mountPath": "/p"}]});
    vec![
        attack(
            "no sidecar",
            json!([{"op": "remove", "path": "/spec/initContainers/1"}]),
            "$.spec.initContainers[1]: `pinfold-sidecar` is missing",
        ),
        attack(
            "no guard",
            json!([{"op": "remove", "path": "/spec/initContainers/0"}]),
            "$.spec.initContainers[0]: `pinfold-guard` is missing",
        ),
        attack(
            "another image",
            json!([{"op": "replace", "path": sidecar("image"), "value": "registry.example/evil:1"}]),
            "$.spec.initContainers[1].image",
        ),
        attack(
            "guard is off",
            json!([{"op": "add", "path": sidecar("args/-"), "value": "--guard=off"}]),
            "$.spec.initContainers[1].args",
        ),
        attack(
            "another policy by environment",
            json!([{"op": "add", "path": sidecar("env"), "value": [{"name": "PINFOLD_UPSTREAM_CA", "value": "/tmp/ca"}]}]),
            "$.spec.initContainers[1].env",
        ),
        attack(
            "in front of the guard",
            json!([{"op": "move", "from": "/spec/initContainers/2", "path": "/spec/initContainers/0"}]),
            "$.spec.initContainers[0]: `pinfold-guard` is no longer in front",
        ),
        attack(
            "another policy",
            json!([{"op": "add", "path": "/metadata/annotations/pinfold.dev~1policy", "value": "{}"}]),
            "$.metadata.annotations['pinfold.dev/policy']",
        ),
        attack(
            "reads what is the sidecar's",
            json!([{"op": "replace", "path": "/spec/containers/1", "value": another}]),
            "container `spy` mounts volume `pinfold-policy`",
        ),
    ]
}

/// Each time it is asked it writes the container anew that the pod keeps for it.
fn written(security: &Value) -> Value {
    let mesh = json!({"name": "mesh-proxy", "image": "registry.example/mesh:1", "securityContext": security});
    json!([{"op": "replace", "path": "/spec/containers/1", "value": mesh}])
}

fn says(answer: &KubectlOutput, attack: &Attack) -> bool {
    !answer.success() && answer.stderr.contains(attack.rule) && answer.stderr.contains(attack.field)
}

#[test]
fn what_a_mesh_undoes_is_put_right_or_refused_with_the_field() -> Outcome {
    let (stage, replica, _mesh) = meshed("mesh-undoes")?;
    for attack in attacks() {
        // It has the last word: after Pinfold put it right, the API server asks it again.
        let last = stage.try_as(ALICE, &pod("last", "again", &attack.patch))?;
        assert!(says(&last, &attack), "{}: {last:?}", attack.name);
        // Pinfold has.
        let mended = stage.try_as(ALICE, &pod("mended", "once", &attack.patch))?;
        assert!(mended.success(), "{}: {mended:?}\n{}", attack.name, replica.process.log());
    }
    Ok(())
}

#[test]
fn a_container_of_a_mesh_is_held_to_what_agents_are_held_to() -> Outcome {
    let (stage, replica, _mesh) = meshed("mesh-held")?;
    let attack = |name, security: Value, rule, field| {
        let patch = written(&security);
        Attack { name, patch, rule, field }
    };
    let field = "$.spec.containers[1].securityContext.";
    let cases = [
        attack("the sidecar's user", json!({"runAsUser": 64646}), "PF-POD-003", field),
        attack("root", json!({"runAsUser": 0, "runAsNonRoot": false}), "PF-POD-003", field),
        attack(
            "may change the rules",
            json!({"runAsUser": 1337, "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}),
            "PF-POD-002",
            field,
        ),
    ];
    for case in cases {
        for asked in ["once", "again"] {
            let answer = stage.try_as(ALICE, &pod("p", asked, &case.patch))?;
            assert!(says(&answer, &case), "{}, {asked}: {answer:?}", case.name);
        }
    }
    // The last change is the mesh's, and its container was made anew after hardening.
    let own = json!({"runAsUser": 1337, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    for (asked, security) in [("once", json!({"runAsUser": 1337})), ("again", own)] {
        let answer = stage.try_as(ALICE, &pod("p", asked, &written(&security)))?;
        assert!(answer.success(), "{asked}: {answer:?}\n{}", replica.process.log());
    }
    Ok(())
}
