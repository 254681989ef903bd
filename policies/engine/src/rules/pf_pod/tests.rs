//! Cases of PF-POD-002 to 008: one table a rule; each attack is one edit of a pod that passes, and has a twin that passes.

mod entry;
mod exposed;
mod identity;
mod network;
mod reserved;
mod shared;
mod standard;
mod updates;

use pinfold_model::object::ObjectKey;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::context::{Context, Found};
use crate::organization::fixture::{found, policy, request, spoken, view};

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: agents, labels: {pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: plain}}
";

/// A pod as mutation leaves it, but for what is injected: nothing is wrong with it.
fn honest() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "agents"}, "spec": {
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [container("agent")]}})
}

fn container(name: &str) -> Value {
    json!({"name": name, "image": "registry.example/agent:1", "securityContext": {"allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}})
}

/// A value put somewhere into an object; `null` takes away what is there.
fn put(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    if object.pointer(parent).is_none() {
        object = put(object, parent, json!({}));
    }
    match object.pointer_mut(parent).expect("a parent") {
        Value::Object(members) if value.is_null() => drop(members.remove(name)),
        Value::Object(members) => drop(members.insert(name.to_owned(), value)),
        Value::Array(items) if name == "-" => items.push(value),
        Value::Array(items) => items[name.parse::<usize>().expect("an index")] = value,
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            panic!("{scalar} at {parent}")
        }
    }
    object
}

/// The pod of a template of a Deployment.
fn template(pod: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "agents"},
        "spec": {"template": {"metadata": {"labels": {"app": "a"}}, "spec": pod["spec"]}}})
}

/// All of the family but PF-POD-001, whose cases are its own.
fn judge(context: &Context<'_>, found: &mut Found) {
    super::workload::judge(context, found);
    super::entry::judge(context, found);
    super::exposed::judge(context, found);
}

fn judged(object: &Value, policy: &AdmissionPolicy) -> Found {
    found(judge, &request("alice", object, None), &view(CLUSTER), policy)
}

/// `RULE PATH` of what is found in a pod under the defaults, but for the rules in `without`.
fn told(object: &Value) -> Vec<String> {
    spoken(&judged(object, &policy("mode: enforce")))
}

/// Checks a table of edits: pointer, value, and what one rule says (its number, and the paths).
fn check(rule: &str, table: &[(&str, Value, &[&str])]) {
    assert!(told(&honest()).is_empty(), "{:?}", told(&honest()));
    for (pointer, value, paths) in table {
        let pod = put(honest(), pointer, value.clone());
        let said = told(&pod);
        let own: Vec<&str> =
            said.iter().filter_map(|line| line.strip_prefix(rule)).map(str::trim).collect();
        assert_eq!(&own, paths, "{pointer} = {value}: {said:?}");
    }
}
