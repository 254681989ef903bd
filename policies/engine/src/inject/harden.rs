//! What agents' containers are hardened by where their author says nothing. What he says stays, and the rules of PF-POD judge it.

use pinfold_model::policy::inject::{TMP_VOLUME, TRUST_VOLUME};
use serde_json::{Map, Value, json};

use super::compare::{VOLUMES, is_given, named};
use super::parts::{tmp_mount, trust_mount, trust_variables};

/// Hardens a container of an agent's, and gives it the pod's own authority if `trust` says so.
pub(super) fn container(container: &mut Value, trust: bool) {
    let name = named(container).to_owned();
    let Value::Object(members) = container else { return };
    own_mounts(members, &name, trust);
    if security_context(members) {
        give_tmp(members, &name);
    }
    if trust {
        give_trust(members);
    }
}

/// Takes mounts of our volumes away that this pod doesn't have, or that are not as we write them.
fn own_mounts(members: &mut Map<String, Value>, name: &str, trust: bool) {
    if let Some(Value::Array(mounts)) = members.get_mut("volumeMounts") {
        mounts.retain(|mount| {
            let volume = named(mount);
            let kept = is_given(name, mount) && (trust || volume != TRUST_VOLUME);
            !VOLUMES.contains(&volume) || kept
        });
    }
}

/// Fills in what is missing; says whether the root of the container becomes read-only by it.
pub(super) fn security_context(members: &mut Map<String, Value>) -> bool {
    let context = members.entry("securityContext").or_insert_with(|| Value::Object(Map::new()));
    if context.is_null() {
        *context = Value::Object(Map::new());
    }
    let Value::Object(context) = context else { return false };
    // The API server refuses the two together.
    let privileged = context.get("privileged") == Some(&Value::Bool(true))
        || context
            .get("capabilities")
            .and_then(|capabilities| capabilities.get("add"))
            .and_then(Value::as_array)
            .is_some_and(|added| {
                added.iter().any(|one| matches!(one.as_str(), Some("SYS_ADMIN" | "CAP_SYS_ADMIN")))
            });
    if !privileged {
        context.entry("allowPrivilegeEscalation").or_insert(Value::Bool(false));
    }
    let capabilities = context.entry("capabilities").or_insert_with(|| json!({}));
    if let Value::Object(capabilities) = capabilities {
        capabilities.entry("drop").or_insert_with(|| json!(["ALL"]));
    }
    let read_only = !context.contains_key("readOnlyRootFilesystem");
    context.entry("readOnlyRootFilesystem").or_insert(Value::Bool(true));
    read_only
}

/// Most programs bear a read-only root as long as they can write to `/tmp`.
fn give_tmp(members: &mut Map<String, Value>, name: &str) {
    let Some(mounts) = list(members, "volumeMounts") else { return };
    let path = |mount: &Value| mount.get("mountPath").and_then(Value::as_str).map(str::to_owned);
    let taken = mounts.iter().filter_map(path).any(|path| path.trim_end_matches('/') == "/tmp");
    if !taken {
        mounts.push(tmp_mount(name));
    }
}

fn give_trust(members: &mut Map<String, Value>) {
    if let Some(mounts) = list(members, "volumeMounts")
        && !mounts.contains(&trust_mount())
    {
        mounts.push(trust_mount());
    }
    let Some(variables) = list(members, "env") else { return };
    for (name, value) in trust_variables() {
        if !variables.iter().any(|variable| named(variable) == name) {
            variables.push(json!({"name": name, "value": value}));
        }
    }
}

/// A member that is a list, made if it is missing.
fn list<'m>(members: &'m mut Map<String, Value>, name: &str) -> Option<&'m mut Vec<Value>> {
    let list = members.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    if list.is_null() {
        *list = Value::Array(Vec::new());
    }
    list.as_array_mut()
}

/// Whether any container has `/tmp` from us.
pub(super) fn uses_tmp(containers: &[Value]) -> bool {
    containers.iter().any(|container| {
        let mounts = container.get("volumeMounts").and_then(Value::as_array);
        mounts.is_some_and(|mounts| mounts.iter().any(|mount| named(mount) == TMP_VOLUME))
    })
}
