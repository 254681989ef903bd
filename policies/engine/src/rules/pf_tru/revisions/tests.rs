//! Cases of ControllerRevisions: whose they are, and who writes them.

use pinfold_model::object::Change;
use serde_json::Value;

use super::judge;
use crate::context::Found;
use crate::organization::fixture::{found, policy, request, spoken, value, view};

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: g, labels: {pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: u}}
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: build, namespace: g, uid: u-build}}
{apiVersion: batch/v1, kind: Job, metadata: {name: build, namespace: g, uid: u-job}}
";

const POLICY: &str = "
organizations: {platformAdmins: {users: [root]}}
trust:
  controllers: [{serviceAccount: krate/controller}]
  relays: [{serviceAccount: lws-system/lws-controller-manager}]
";

const REFUSED: &str = "PF-TRU-003 $.data";

fn judged(user: &str, new: &Value, old: Option<&Value>) -> Found {
    found(judge, &request(user, new, old), &view(CLUSTER), &policy(POLICY))
}

fn revision(namespace: &str, owner: Option<(&str, &str, &str)>) -> Value {
    let owners = owner.map_or(String::new(), |(version, kind, uid)| {
        format!(
            "{{apiVersion: {version}, kind: {kind}, name: build, uid: {uid}, controller: true}}"
        )
    });
    value(&format!(
        "{{apiVersion: apps/v1, kind: ControllerRevision, metadata: {{name: build-1, namespace: {namespace}, labels: {{app: build}}, ownerReferences: [{owners}]}}, revision: 1, data: {{spec: {{template: {{spec: {{containers: [{{name: c, image: i}}]}}}}}}}}}}"
    ))
}

#[test]
fn who_writes_revisions() {
    let owned = revision("g", Some(("apps/v1", "StatefulSet", "u-build")));
    let orphan = revision("g", None);
    for (user, refused) in [
        ("alice", true),
        ("system:serviceaccount:g:default", true),
        ("system:serviceaccount:shop:statefulset-controller", true),
        ("system:serviceaccount:kube-system:coredns", true),
        ("system:serviceaccount:kube-system:statefulset-controller", false),
        ("system:serviceaccount:kube-system:daemon-set-controller", false),
        ("system:kube-controller-manager", false),
        ("system:serviceaccount:kube-system:generic-garbage-collector", false),
        ("system:serviceaccount:lws-system:lws-controller-manager", false),
        ("root", false),
    ] {
        let expected = if refused { vec![REFUSED] } else { Vec::new() };
        for (new, old) in [(&owned, None), (&orphan, None), (&owned, Some(&orphan))] {
            assert_eq!(spoken(&judged(user, new, old)), expected, "{user} {new}");
        }
    }
    assert_eq!(judged("", &owned, None).undecided.len(), 1);
}

#[test]
fn where_revisions_matter() {
    assert!(spoken(&judged("alice", &revision("u", None), None)).is_empty());
    let unseen = judged("alice", &revision("unseen", None), None);
    assert_eq!((spoken(&unseen), unseen.questions.len()), (vec![REFUSED.to_owned()], 1));
    let pod = value(
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: g}, spec: {containers: []}}",
    );
    assert!(spoken(&judged("alice", &pod, None)).is_empty());
}

#[test]
fn revisions_of_other_kinds_can_lose_their_owner() {
    let owned = revision("g", Some(("batch/v1", "Job", "u-job")));
    let orphan = revision("g", None);
    assert_eq!(spoken(&judged("alice", &owned, None)), [REFUSED]);
    // What the garbage collector writes too, by somebody else.
    for (new, old) in [(&orphan, &owned), (&owned, &orphan)] {
        let facts = request("alice", new, Some(old));
        assert_eq!(facts.change, Change::Garbage);
        assert_eq!(spoken(&judged("alice", new, Some(old))), [REFUSED]);
    }
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    assert!(spoken(&judged(collector, &orphan, Some(&owned))).is_empty());
}

#[test]
fn the_message_says_who_keeps_them() {
    let found = judged("alice", &revision("g", None), None);
    let raw = found.raw.first().expect("a finding");
    assert_eq!(
        raw.message,
        "StatefulSets and DaemonSets make pods of revisions, and `alice`, who writes ControllerRevision `build-1`, isn't their controller"
    );
}
