//! What installing the charts for real changes and costs: nothing of what is stored, and no call of the webhook for workloads.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::Outcome;
use crate::charts::{self, Chart, INSTALLER, OWNERS, namespace, pods, rights};
use crate::gate::Gate;
use crate::kubernetes::repository;
use crate::object::text;
use crate::rbac_client::Person;

/// Calls of the webhook by kind, both paths.
type Calls = BTreeMap<String, u64>;

/// Kinds that cost nothing where no agents are.
const FREE: [&str; 13] = [
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "ReplicationController",
    "ConfigMap",
    "Secret",
    "Service",
    "Ingress",
    "PersistentVolumeClaim",
    "PriorityClass",
];

/// What the charts of one owner came to.
#[derive(Debug, Default)]
struct Bill {
    stored: Calls,
    asked: Calls,
    faults: Vec<String>,
}

#[test]
fn an_api_server_stores_them_unchanged_and_asks_nothing_about_workloads() -> Outcome {
    let charts = charts::all()?;
    for owner in OWNERS {
        let bill = install(&charts, owner, None)?;
        let what = format!("namespaces of {}", owner.unwrap_or("nobody"));
        println!("{}", shown(&what, &bill));
        assert!(bill.faults.is_empty(), "{owner:?}:\n{}", bill.faults.join("\n"));
        for kind in FREE {
            assert_eq!(bill.asked.get(kind), None, "{owner:?}: asked about {kind}");
        }
        assert!(bill.asked.contains_key("ClusterRole"), "nothing was asked at all");
    }
    Ok(())
}

/// The condition that `docs/registration.md` gives for pools that are known.
#[test]
fn where_pools_are_known_pods_that_name_none_cost_nothing() -> Outcome {
    let page = fs::read_to_string(repository("docs/registration.md"))?;
    let block = page.split("```cel\n").nth(1).and_then(|rest| rest.split("```").next());
    let bill = install(&charts::all()?, Some("acme"), Some(block.ok_or("no condition")?))?;
    println!("{}", shown("namespaces of acme, with known pools", &bill));
    assert!(bill.faults.is_empty(), "{}", bill.faults.join("\n"));
    let (stored, asked) = (bill.stored.get("Pod"), bill.asked.get("Pod"));
    let few = |stored: u64, asked: u64| asked > 0 && asked < stored;
    assert!(stored.zip(asked).is_some_and(|(stored, asked)| few(*stored, *asked)), "{asked:?}");
    Ok(())
}

fn install(charts: &[Chart], owner: Option<&str>, condition: Option<&str>) -> Outcome<Bill> {
    let mut before: Vec<Value> = rights();
    for chart in charts {
        for name in chart.namespaces() {
            before.push(namespace(&name, owner));
            // What the controller manager would make.
            before.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}));
        }
    }
    let gate = Gate::open_narrowed(&charts::policies(), &before, condition)?;
    let start = calls(&gate)?;
    let mut bill = Bill::default();
    let installer = Person::new(INSTALLER, &[]);
    for chart in charts {
        for object in &chart.objects {
            let fault = put(&gate, &installer, object)?;
            bill.faults.extend(fault.map(|fault| format!("{}: {fault}", chart.name)));
            count(&mut bill.stored, text(object, "/kind"), 1);
        }
        for object in &chart.objects {
            let Some(pod) = pods(object) else { continue };
            let maker = maker(text(object, "/kind"));
            let fault = put(&gate, &maker, &pod)?;
            bill.faults.extend(fault.map(|fault| format!("{}: {fault}", chart.name)));
            count(&mut bill.stored, "Pod", 1);
        }
    }
    for (kind, count) in calls(&gate)? {
        let since = count.saturating_sub(start.get(&kind).copied().unwrap_or_default());
        if since > 0 {
            bill.asked.insert(kind, since);
        }
    }
    Ok(bill)
}

fn count(calls: &mut Calls, kind: &str, more: u64) {
    let known = calls.entry(kind.to_owned()).or_default();
    *known = known.saturating_add(more);
}

/// The controller that makes a kind's pods.
fn maker(kind: &str) -> Person {
    let name = match kind {
        "StatefulSet" => "statefulset-controller",
        "DaemonSet" => "daemon-set-controller",
        "Job" | "CronJob" => "job-controller",
        "ReplicationController" => "replication-controller",
        _ => "replicaset-controller",
    };
    Person::account("kube-system", name)
}

/// Stores an object; why it isn't as somebody stores it whom the webhook isn't asked about.
fn put(gate: &Gate, who: &Person, object: &Value) -> Outcome<Option<String>> {
    let path = gate.resources.path(object)?;
    let call = |who: &Person, query: &str| {
        let path = format!("{path}?fieldManager=chart&force=true{query}");
        let apply = "application/apply-patch+yaml";
        gate.client.send(who, ("PATCH", &path, apply, &object.to_string()))
    };
    let alone = call(&Person::unasked(), "&dryRun=All")?;
    let stored = call(who, "")?;
    if !stored.is_success() {
        return Ok(Some(format!("{path}: {}", stored.message())));
    }
    let (alone, stored) = (steady(&alone.body), steady(&stored.body));
    Ok((alone != stored).then(|| format!("{path}: {stored} instead of {alone}")))
}

/// What the server picks anew for every request.
const PICKED: [&str; 10] = [
    "uid",
    "creationTimestamp",
    "resourceVersion",
    "managedFields",
    "clusterIP",
    "clusterIPs",
    "nodePort",
    "healthCheckNodePort",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
];

/// The volume of a pod's token has five random letters at its end.
const ACCESS: &str = "kube-api-access-";

/// The object without what the server picks.
fn steady(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| !PICKED.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), steady(value)))
            .collect(),
        Value::Array(items) => items.iter().map(steady).collect(),
        Value::String(text) if text.starts_with(ACCESS) => json!(ACCESS),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Calls so far.
fn calls(gate: &Gate) -> Outcome<Calls> {
    let mut calls = Calls::new();
    for line in gate.replica.exposition()?.lines() {
        let Some(labels) = line.strip_prefix("pinfold_admission_requests_total{") else { continue };
        let kind = labels.split("kind=\"").nth(1).and_then(|rest| rest.split('"').next());
        let value = labels.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok());
        if let (Some(kind), Some(value)) = (kind, value) {
            count(&mut calls, kind, value);
        }
    }
    Ok(calls)
}

/// The figures that `docs/performance.md` has.
fn shown(what: &str, bill: &Bill) -> String {
    let mut lines = vec![format!("| Kind | Stored | Calls | {what} |")];
    lines.extend(bill.stored.iter().map(|(kind, stored)| {
        let asked = bill.asked.get(kind).copied().unwrap_or_default();
        format!("| {kind} | {stored} | {asked} |")
    }));
    let (stored, asked): (u64, u64) = (bill.stored.values().sum(), bill.asked.values().sum());
    lines.push(format!("| all | {stored} | {asked} |"));
    lines.join("\n")
}
