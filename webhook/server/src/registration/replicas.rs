//! In a rolling upgrade, or while a changed registration is rolled out, two sets of replicas want two registrations: the ready ones that
//! came last decide, and the others leave it to them. So a rollback is decided by the version that is rolled back to.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

/// Most pods of Pinfold's namespace that are looked at.
const PODS_MAX: u32 = 500;
/// Pods with the same value are of one program.
const PROGRAM: &str = "app.kubernetes.io/name";
/// What tells the templates apart that pods are made from: of Deployments, and of StatefulSets and DaemonSets.
const TEMPLATES: [&str; 2] = ["pod-template-hash", "controller-revision-hash"];

/// The name of a ready replica of a newer template than this pod's. A list that fails says nothing: then this replica does its work.
pub(super) async fn newer(client: &Client, namespace: &str, own: &str) -> Option<String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = match api.list(&ListParams::default().limit(PODS_MAX)).await {
        Ok(list) => list.items,
        Err(error) => {
            tracing::warn!(%error, "can't see the other replicas");
            return None;
        }
    };
    let own = pods.iter().find(|pod| pod.name_any() == own)?;
    pods.iter().find(|pod| replaces(pod, own)).map(ResourceExt::name_any)
}

/// Whether `other` is there to replace `own`.
fn replaces(other: &Pod, own: &Pod) -> bool {
    let program = own.labels().get(PROGRAM);
    program.is_some()
        && other.labels().get(PROGRAM) == program
        && template(other) != template(own)
        && other.metadata.deletion_timestamp.is_none()
        && made(other) > made(own)
        && is_ready(other)
}

fn template(pod: &Pod) -> Option<&String> {
    TEMPLATES.iter().find_map(|label| pod.labels().get(*label))
}

fn made(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|found| found.type_ == "Ready" && found.status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(minute: u32, hash: &str, ready: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "p",
                "labels": {PROGRAM: "pinfold-webhook", "pod-template-hash": hash},
                "creationTimestamp": format!("2026-11-21T10:{minute:02}:00Z"),
            },
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    #[test]
    fn the_ready_ones_that_came_last_decide() {
        let own = pod(10, "old", "True");
        let mut leaving = pod(20, "new", "True");
        leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
        let mut stranger = pod(20, "new", "True");
        stranger.labels_mut().insert(PROGRAM.to_owned(), "another".to_owned());
        let mut unnamed = own.clone();
        unnamed.labels_mut().remove(PROGRAM);
        let cases = [
            ("a newer template", pod(20, "new", "True"), &own, true),
            ("it isn't ready", pod(20, "new", "False"), &own, false),
            ("it leaves", leaving, &own, false),
            ("it was there before", pod(5, "other", "True"), &own, false),
            ("the same template", pod(20, "old", "True"), &own, false),
            ("another program", stranger, &own, false),
            ("a pod that doesn't say what it is", pod(20, "new", "True"), &unnamed, false),
        ];
        for (what, other, own, expected) in cases {
            assert_eq!(replaces(&other, own), expected, "{what}");
        }
    }
}
