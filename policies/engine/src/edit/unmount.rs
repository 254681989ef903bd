//! Takes the API token out of a pod: the API server's own admission has mounted it before the webhook is asked, and saying no to it then is too late.
//!
//! Only that volume; one that somebody wrote stays, and PF-TRU-002 refuses it.

use serde_json::Value;

use super::Edit;

/// Names of the volumes that the API server's admission adds begin so (apiserver `plugin/pkg/admission/serviceaccount`).
const MOUNTED: &str = "kube-api-access-";

/// Removes the volume, and what mounts it.
pub(crate) fn unmount(spec: &str, edit: &mut Edit) {
    let (mounted, kept): (Vec<Value>, Vec<Value>) =
        edit.list(spec, "volumes").into_iter().partition(is_mounted_token);
    if mounted.is_empty() {
        return;
    }
    put(spec, "volumes", kept, edit);
    let names: Vec<&Value> = mounted.iter().filter_map(|volume| volume.get("name")).collect();
    for field in ["containers", "initContainers"] {
        let containers = edit.list(spec, field);
        if !containers.is_empty() {
            let without = containers.into_iter().map(|container| without(container, &names));
            edit.set(spec, field, Value::Array(without.collect()));
        }
    }
}

fn put(spec: &str, field: &str, items: Vec<Value>, edit: &mut Edit) {
    if items.is_empty() {
        edit.remove(spec, field);
    } else {
        edit.set(spec, field, Value::Array(items));
    }
}

fn is_mounted_token(volume: &Value) -> bool {
    let named = volume.get("name").and_then(Value::as_str);
    let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
    let token = |source: &Value| source.get("serviceAccountToken").is_some();
    named.is_some_and(|name| name.starts_with(MOUNTED))
        && sources.is_some_and(|sources| sources.iter().any(token))
}

/// A container without the mounts of some volumes.
fn without(mut container: Value, names: &[&Value]) -> Value {
    let Some(members) = container.as_object_mut() else { return container };
    let Some(mounts) = members.get_mut("volumeMounts").and_then(Value::as_array_mut) else {
        return container;
    };
    mounts.retain(|mount| !mount.get("name").is_some_and(|name| names.contains(&name)));
    if mounts.is_empty() {
        members.remove("volumeMounts");
    }
    container
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Edit, unmount};

    /// A pod as the API server's admission leaves it.
    #[test]
    fn the_mounted_token_is_taken_out_with_its_mounts_and_nothing_else() {
        let mount = |name: &str| json!({"name": name, "mountPath": format!("/{name}")});
        let token = json!({"name": "kube-api-access-x7", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "kube-root-ca.crt"}}]}});
        let written = json!({"name": "kube-api-access-mine", "emptyDir": {}});
        let own = json!({"name": "vault", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "audience": "vault"}}]}});
        let document = json!({"spec": {"volumes": [written, token, own],
            "containers": [{"name": "a", "volumeMounts": [mount("vault"), mount("kube-api-access-x7")]}, {"name": "b", "volumeMounts": [mount("kube-api-access-x7")]}, {"name": "c"}],
            "initContainers": [{"name": "i", "volumeMounts": [mount("kube-api-access-x7")]}]}});
        let mut edit = Edit { document: document.clone(), patch: Vec::new() };
        unmount("/spec", &mut edit);
        let expected = json!({"spec": {"volumes": [written, own],
            "containers": [{"name": "a", "volumeMounts": [mount("vault")]}, {"name": "b"}, {"name": "c"}], "initContainers": [{"name": "i"}]}});
        assert_eq!(edit.document, expected);
        let patch: json_patch::Patch =
            serde_json::from_value(serde_json::to_value(&edit.patch).expect("steps"))
                .expect("a patch");
        let mut patched = document;
        json_patch::patch(&mut patched, &patch).expect("it applies");
        assert_eq!(patched, expected);
        // A second pass, and a pod without one, change nothing.
        let mut again = Edit { document: expected, patch: Vec::new() };
        unmount("/spec", &mut again);
        assert!(again.patch.is_empty());
    }
}
