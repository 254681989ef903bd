//! The control plane's own controllers, nodes and scheduler: what each writes in Pinfold's namespace when Pinfold's own objects ask for it.
//!
//! They act on what was judged already: nobody makes the ReplicaSet controller write a pod here but by a ReplicaSet here. What isn't in the table
//! is somebody else's write.

use pinfold_model::facts::{Operation, Requester};

use crate::context::Context;

/// The same controllers where they share one identity (`--use-service-account-credentials=false`).
const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
const SCHEDULER: &str = "system:kube-scheduler";
const API_SERVER: &str = "system:apiserver";
const NODES: &str = "system:nodes";
const NODE: &str = "system:node:";
/// The ConfigMap that the API server's CA is published by.
const ROOT_CA: &str = "kube-root-ca.crt";

/// ServiceAccounts of `kube-system` (`kube-controller-manager`, 1.35), and the kinds that each writes.
const CONTROLLERS: &[(&str, &[&str])] = &[
    ("deployment-controller", &["ReplicaSet", "Deployment"]),
    ("replicaset-controller", &["Pod", "ReplicaSet"]),
    (
        "statefulset-controller",
        &["Pod", "StatefulSet", "ControllerRevision", "PersistentVolumeClaim"],
    ),
    ("daemon-set-controller", &["Pod", "DaemonSet", "ControllerRevision"]),
    ("job-controller", &["Pod", "Job"]),
    ("cronjob-controller", &["Job", "CronJob"]),
    ("replication-controller", &["Pod", "ReplicationController"]),
    ("ttl-after-finished-controller", &["Job"]),
    ("endpoint-controller", &["Endpoints"]),
    ("endpointslice-controller", &["EndpointSlice"]),
    ("endpointslicemirroring-controller", &["EndpointSlice"]),
    ("service-controller", &["Service"]),
    ("disruption-controller", &["PodDisruptionBudget", "Pod"]),
    ("horizontal-pod-autoscaler", &["HorizontalPodAutoscaler", "Scale"]),
    ("pod-garbage-collector", &["Pod"]),
    ("node-controller", &["Pod"]),
    ("taint-eviction-controller", &["Pod"]),
    ("service-account-controller", &["ServiceAccount"]),
    ("resourcequota-controller", &["ResourceQuota"]),
    ("persistent-volume-binder", &["PersistentVolumeClaim"]),
    ("persistentvolumeclaim-protection-controller", &["PersistentVolumeClaim"]),
    ("pvc-protection-controller", &["PersistentVolumeClaim"]),
    ("expand-controller", &["PersistentVolumeClaim"]),
    ("ephemeral-volume-controller", &["PersistentVolumeClaim"]),
];

/// Those who clean up after others: whatever is deleted, and the finalizers that deletion waits for.
const CLEANERS: [&str; 2] = ["generic-garbage-collector", "namespace-controller"];

/// Controllers that make objects from the templates of their owners.
const MAKERS: [&str; 7] = [
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "daemon-set-controller",
    "job-controller",
    "cronjob-controller",
    "replication-controller",
];

/// Whether the requester is a part of the control plane that does what it always does.
pub(super) fn is_at_work(context: &Context<'_>) -> bool {
    let facts = context.facts;
    let Some(requester) = &facts.requester else { return false };
    let (kind, subresource) = (facts.target.kind.as_str(), facts.subresource.as_str());
    match requester.name.as_str() {
        API_SERVER => return true,
        CONTROLLER_MANAGER => return !matches!(facts.operation, Operation::Connect),
        SCHEDULER => return kind == "Binding" || (kind == "Pod" && subresource == "status"),
        _ => {}
    }
    if requester.in_group(NODES) && requester.name.starts_with(NODE) {
        return is_of_node(facts.operation, kind, subresource);
    }
    let Some(name) = controller(requester) else { return false };
    if CLEANERS.contains(&name) {
        return matches!(facts.operation, Operation::Delete | Operation::Update);
    }
    if name == "root-ca-cert-publisher" {
        return kind == "ConfigMap" && facts.target.name == ROOT_CA;
    }
    let written = CONTROLLERS.iter().find(|(own, _)| *own == name);
    !matches!(facts.operation, Operation::Connect)
        && written.is_some_and(|(_, kinds)| kinds.contains(&kind))
}

/// Nodes report on their pods, remove what has ended, mirror static pods, and fetch the tokens that pods mount.
fn is_of_node(operation: Operation, kind: &str, subresource: &str) -> bool {
    match (operation, kind) {
        (Operation::Update, "Pod") => subresource == "status",
        (Operation::Create | Operation::Delete, "Pod") | (Operation::Create, "TokenRequest") => {
            true
        }
        _ => false,
    }
}

/// Whether the requester makes objects from templates.
pub(super) fn makes_from_templates(requester: &Requester) -> bool {
    requester.name == CONTROLLER_MANAGER
        || controller(requester).is_some_and(|name| MAKERS.contains(&name))
}

fn controller(requester: &Requester) -> Option<&str> {
    let (namespace, name) = requester.service_account()?;
    (namespace == "kube-system").then_some(name)
}
