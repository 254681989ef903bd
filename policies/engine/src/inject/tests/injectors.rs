//! Beside other injectors: containers and volumes of the shapes that they are known to write, before ours, after ours, and in a second round; and
//! pods of every shape, which a second pass never changes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixture::{BASE, cluster, pod};

/// What others add: init containers, containers, volumes (shapes of Istio, Linkerd and the Vault agent, as their documents show).
fn others() -> Vec<(&'static str, Value)> {
    vec![
        (
            "a mesh with an init container",
            json!({
            "initContainers": [{"name": "istio-init", "image": "docker.io/istio/proxyv2:1", "args": ["istio-iptables", "-p", "15001", "-u", "1337"], "securityContext": {"runAsUser": 0, "runAsNonRoot": false, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}}}],
            "containers": [{"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1", "securityContext": {"runAsUser": 1337}, "volumeMounts": [{"name": "istio-envoy", "mountPath": "/etc/istio/proxy"}]}],
            "volumes": [{"name": "istio-envoy", "emptyDir": {"medium": "Memory"}}]}),
        ),
        (
            "a mesh as a native sidecar",
            json!({
            "initContainers": [{"name": "linkerd-init", "image": "cr.l5d.io/linkerd/proxy-init:v2"}, {"name": "linkerd-proxy", "image": "cr.l5d.io/linkerd/proxy:v2", "restartPolicy": "Always"}],
            "volumes": [{"name": "linkerd-identity-end-entity", "emptyDir": {"medium": "Memory"}}]}),
        ),
        (
            "an agent for secrets",
            json!({
            "initContainers": [{"name": "vault-agent-init", "image": "hashicorp/vault:1", "volumeMounts": [{"name": "home-init", "mountPath": "/home/vault"}, {"name": "vault-secrets", "mountPath": "/vault/secrets"}]}],
            "containers": [{"name": "vault-agent", "image": "hashicorp/vault:1", "volumeMounts": [{"name": "vault-secrets", "mountPath": "/vault/secrets"}]}],
            "volumes": [{"name": "home-init", "emptyDir": {"medium": "Memory"}}, {"name": "vault-secrets", "emptyDir": {"medium": "Memory"}}]}),
        ),
    ]
}

/// Adds what another injector does: its containers in front if `first`, else behind.
fn inject_other(pod: &mut Value, other: &Value, first: bool) {
    for (list, items) in other.as_object().expect("lists") {
        let items = items.as_array().expect("items");
        let into = pod["spec"]
            .as_object_mut()
            .expect("a spec")
            .entry(list.clone())
            .or_insert_with(|| json!([]));
        let into = into.as_array_mut().expect("a list");
        for item in items.iter().rev() {
            if into.iter().all(|one| one["name"] != item["name"]) {
                let at = if first { 0 } else { into.len() };
                into.insert(at, item.clone());
            }
        }
    }
}

#[test]
fn other_injectors_stay_and_ours_are_in_front_in_whatever_order() {
    let cluster = cluster("", &[BASE]);
    for (name, other) in others() {
        for first in [true, false] {
            // Before us.
            let mut before = pod();
            inject_other(&mut before, &other, first);
            let mutated = cluster.mutated("dev", &before);
            assert_eq!(cluster.refused("dev", &mutated), [""; 0], "{name}");
            // After us: the API server then asks us again.
            let mut after = cluster.mutated("dev", &pod());
            inject_other(&mut after, &other, first);
            let again = cluster.mutated("dev", &after);
            assert_eq!(cluster.refused("dev", &again), [""; 0], "{name}");
            for pod in [&mutated, &again] {
                let inits: Vec<&Value> = pod["spec"]["initContainers"]
                    .as_array()
                    .expect("inits")
                    .iter()
                    .map(|one| &one["name"])
                    .collect();
                assert_eq!(
                    inits[..2],
                    [&json!("pinfold-guard"), &json!("pinfold-sidecar")],
                    "{name}"
                );
                for (list, items) in other.as_object().expect("lists") {
                    for item in items.as_array().expect("items") {
                        let found = pod["spec"][list]
                            .as_array()
                            .expect("a list")
                            .iter()
                            .find(|one| one["name"] == item["name"])
                            .expect("it stays");
                        assert_eq!(
                            (&found["image"], &found["args"], &found["emptyDir"]),
                            (&item["image"], &item["args"], &item["emptyDir"]),
                            "{name}"
                        );
                    }
                }
            }
            // Nobody asked us again: refused if it came in front.
            let refused = cluster.refused("dev", &after);
            let in_front = first && other.get("initContainers").is_some();
            assert_eq!(refused.is_empty(), !in_front, "{name}: {refused:?}");
        }
    }
}

fn container() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec!["a", "b", "c", "d", "tmp"]);
    let paths = prop::sample::select(vec!["/tmp", "/tmp/", "/work", "/etc/x"]);
    let security = prop::sample::select(vec![
        json!(null),
        json!({}),
        json!({"runAsUser": 1}),
        json!({"readOnlyRootFilesystem": true}),
        json!({"readOnlyRootFilesystem": false, "capabilities": {}}),
        json!({"privileged": true}),
        json!({"capabilities": {"add": ["SYS_ADMIN"]}}),
    ]);
    (names, prop::collection::vec(paths, 0..3), security, any::<bool>()).prop_map(
        |(name, paths, security, bare)| {
            let mounts: Vec<Value> = paths.iter().map(|path| json!({"name": "w", "mountPath": path})).collect();
            let mut container = json!({"name": name, "image": "i", "env": [{"name": "SSL_CERT_FILE", "value": "x"}]});
            if !bare {
                container["volumeMounts"] = mounts.into();
                container["securityContext"] = security;
            }
            container
        },
    )
}

fn some_pod() -> impl Strategy<Value = Value> {
    let containers = prop::collection::vec(container(), 1..4);
    let inits = prop::option::of(prop::collection::vec(container(), 0..3));
    let volumes =
        prop::option::of(prop::collection::vec(prop::sample::select(vec!["w", "v", "u"]), 0..3));
    let context = prop::option::of(prop::sample::select(vec![
        json!({}),
        json!({"runAsNonRoot": false}),
        json!({"seccompProfile": {"type": "Localhost"}}),
    ]));
    (containers, inits, volumes, context, prop::option::of(any::<bool>())).prop_map(
        |(containers, inits, volumes, context, automount)| {
            let mut pod = pod();
            let spec = pod["spec"].as_object_mut().expect("a spec");
            spec.insert("containers".to_owned(), containers.into());
            let volumes = volumes.map(|names| {
                names
                    .iter()
                    .map(|name| json!({"name": name, "emptyDir": {}}))
                    .collect::<Vec<_>>()
                    .into()
            });
            let further = [
                ("initContainers", inits.map(Value::from)),
                ("volumes", volumes),
                ("securityContext", context),
                ("automountServiceAccountToken", automount.map(Value::from)),
            ];
            for (field, value) in further {
                if let Some(value) = value {
                    spec.insert(field.to_owned(), value);
                }
            }
            pod
        },
    )
}

const HTTPS: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: https}, spec: {appliesTo: {namespaces: [a]},
  egress: {allow: [{host: api.example, ports: [443], protocol: https}]}}}";

proptest! {
    #[test]
    fn a_second_pass_changes_nothing_and_the_result_is_confined(pod in some_pod(), https in any::<bool>(), added in any::<prop::sample::Index>(), first in any::<bool>()) {
        let agents: &[&str] = if https { &[BASE, HTTPS] } else { &[BASE] };
        let cluster = cluster("", agents);
        let mutated = cluster.mutated("dev", &pod);
        prop_assert_eq!(cluster.refused("dev", &mutated), [""; 0]);
        // What the author says stays.
        for list in ["containers", "initContainers"] {
            for own in pod["spec"][list].as_array().map(Vec::as_slice).unwrap_or_default() {
                let kept = mutated["spec"][list].as_array().expect("a list").iter().any(|one| {
                    let said = own["securityContext"].as_object();
                    one["image"] == own["image"] && said.is_none_or(|said| said.iter().all(|(key, value)| key == "capabilities" || one["securityContext"][key] == *value))
                });
                prop_assert!(kept);
            }
        }
        let mut other = mutated;
        let others = others();
        inject_other(&mut other, &others[added.index(others.len())].1, first);
        prop_assert_eq!(cluster.refused("dev", &cluster.mutated("dev", &other)), [""; 0]);
    }
}
