//! Puts the parts into a pod: ours first, whatever others put in front of them, and nothing that is in place already.

use pinfold_model::object::ObjectKey;
use pinfold_model::policy::inject::{GUARD, POLICY_DIGEST, RESERVED_PREFIX, SIDECAR};
use serde_json::{Value, json};

use super::compare::{VOLUMES, carries, items, named};
use super::harden;
use super::parts::{Parts, tmp_volume};
use crate::context::Context;
use crate::edit::{Edit, unmount};
use crate::rbac::agents::DEFAULT;
use crate::rbac::describe::excerpt;

/// A name that the pod's author gave to something of his own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clash {
    /// JSON path of the name.
    pub(crate) path: String,
    /// What has it.
    pub(crate) what: String,
}

impl Clash {
    pub(crate) fn remedy(&self) -> &'static str {
        "name it otherwise: names that begin with `pinfold-` are Pinfold's, and the sidecar comes by itself"
    }
}

/// What the author of a pod declares under a name of ours. A pod that carries our annotation was injected before, so that what is there is ours
/// to put right.
pub(crate) fn clash(document: &Value) -> Option<Clash> {
    let injected = document
        .pointer("/metadata/annotations")
        .is_some_and(|all| all.get(POLICY_DIGEST).is_some());
    if injected {
        return None;
    }
    let lists =
        [("initContainers", "container"), ("containers", "container"), ("volumes", "volume")];
    lists.into_iter().find_map(|(list, kind)| {
        let at = items(document, list)
            .iter()
            .position(|item| named(item).starts_with(RESERVED_PREFIX))?;
        let name = items(document, list).get(at).map(named).unwrap_or_default();
        let what = format!("the pod declares a {kind} `{}` itself", excerpt(name));
        Some(Clash { path: format!("$.spec.{list}[{at}].name"), what })
    })
}

/// Changes the pod; without parts it is hardened alone.
pub(super) fn place(context: &Context<'_>, parts: Option<&Parts>, edit: &mut Edit) {
    keep_token_out(context, edit);
    match parts {
        Some(parts) => confine(parts, edit),
        None => {
            ["containers", "initContainers"].into_iter().for_each(|list| harden_all(list, edit));
        }
    }
    edit.ensure("/spec", "securityContext");
    let defaults =
        [("runAsNonRoot", json!(true)), ("seccompProfile", json!({"type": "RuntimeDefault"}))];
    for (field, value) in defaults {
        if is_absent(edit, "/spec/securityContext", field) {
            edit.set("/spec/securityContext", field, value);
        }
    }
}

fn harden_all(list: &str, edit: &mut Edit) {
    let mut containers = edit.list("/spec", list);
    for container in containers.iter_mut().filter_map(Value::as_object_mut) {
        harden::security_context(container);
    }
    if !containers.is_empty() {
        edit.set("/spec", list, Value::Array(containers));
    }
}

fn confine(parts: &Parts, edit: &mut Edit) {
    let mut agents = edit.list("/spec", "containers");
    agents.retain(|container| !is_ours(container));
    agents.iter_mut().for_each(|container| harden::container(container, parts.trust));
    let found = edit.list("/spec", "initContainers");
    let mut inits = vec![kept(&parts.guard, &found), kept(&parts.sidecar, &found)];
    let mut others = found;
    others.retain(|container| !is_ours(container));
    others.iter_mut().for_each(|container| harden::container(container, parts.trust));
    let tmp = harden::uses_tmp(&agents) || harden::uses_tmp(&others);
    inits.append(&mut others);
    edit.set("/spec", "initContainers", Value::Array(inits));
    edit.set("/spec", "containers", Value::Array(agents));
    let volumes = volumes(parts, tmp, edit.list("/spec", "volumes"));
    edit.set("/spec", "volumes", Value::Array(volumes));
    edit.ensure("", "metadata");
    edit.ensure("/metadata", "annotations");
    for (key, text) in &parts.annotations {
        edit.set("/metadata/annotations", key, json!(text));
    }
}

fn is_ours(container: &Value) -> bool {
    [GUARD, SIDECAR].contains(&named(container))
}

fn is_absent(edit: &Edit, parent: &str, field: &str) -> bool {
    edit.document.pointer(parent).and_then(|parent| parent.get(field)).is_none_or(Value::is_null)
}

/// Our container as it is there, if it is as it must be; with what the API server added.
fn kept(ours: &Value, found: &[Value]) -> Value {
    let there = found.iter().find(|container| named(container) == named(ours));
    there.filter(|container| carries(ours, container).is_ok()).unwrap_or(ours).clone()
}

fn volumes(parts: &Parts, tmp: bool, found: Vec<Value>) -> Vec<Value> {
    let mut wanted: Vec<Value> = parts.volumes.iter().map(|(_, volume)| volume.clone()).collect();
    wanted.extend(tmp.then(tmp_volume));
    let is_wanted = |volume: &Value| !VOLUMES.contains(&named(volume)) || wanted.contains(volume);
    let mut volumes: Vec<Value> = Vec::with_capacity(found.len().saturating_add(wanted.len()));
    for volume in found.into_iter().filter(is_wanted) {
        if !VOLUMES.contains(&named(&volume)) || !volumes.contains(&volume) {
            volumes.push(volume);
        }
    }
    for volume in wanted {
        if !volumes.contains(&volume) {
            volumes.push(volume);
        }
    }
    volumes
}

/// Takes the API token out where neither the pod nor its ServiceAccount asks for one: admission has mounted it before the webhook is asked.
fn keep_token_out(context: &Context<'_>, edit: &mut Edit) {
    const FIELD: &str = "automountServiceAccountToken";
    let name = edit.document.pointer("/spec/serviceAccountName").and_then(Value::as_str);
    let name = name.filter(|name| !name.is_empty()).unwrap_or(DEFAULT);
    let namespace = context.facts.target.namespace.as_str();
    let key = ObjectKey::new("", "ServiceAccount", namespace, name);
    let says = context.lookup(&key).and_then(|account| account.facts.referrer()?.automount);
    if is_absent(edit, "/spec", FIELD) && says != Some(true) {
        edit.set("/spec", FIELD, json!(false));
        unmount("/spec", edit);
    }
}
