//! What a stolen token of the webhook is worth: its ServiceAccount may bring a policy to a pod that has one, by the API server's own policy, whatever RBAC says.

use std::fs;

use pinfold_tests::{User, until};

use super::policy_push::{agents, all_have, cluster, logs, replicas};
use crate::Outcome;
use crate::registration::home::SOON;
use crate::stage::replace;

const PINFOLD: User<'_> = User {
    name: "system:serviceaccount:pinfold-system:pinfold-webhook",
    groups: &["system:serviceaccounts", "system:serviceaccounts:pinfold-system"],
};
/// Another ServiceAccount with the same rights.
const OTHER: User<'_> = User {
    name: "system:serviceaccount:pinfold-system:other",
    groups: &["system:serviceaccounts", "system:serviceaccounts:pinfold-system"],
};
/// Everything that RBAC can give, so that nothing here is refused by RBAC.
const RIGHTS: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: all-of-pods}, rules: [{apiGroups: [''], resources: [pods, pods/status, pods/attach, pods/eviction, pods/ephemeralcontainers], verbs: ['*']}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: all-of-pods}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: all-of-pods},
   subjects: [{kind: ServiceAccount, name: pinfold-webhook, namespace: pinfold-system}, {kind: ServiceAccount, name: other, namespace: pinfold-system}]}
- {apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: nobodys}, spec: {serviceAccountName: default, automountServiceAccountToken: false, containers: [{name: c, image: 'r/a:1'}]}}
";
const STATUS: &str = r#"{"status": {"phase": "Failed"}}"#;
/// Who refuses.
const POLICY: &str = "ValidatingAdmissionPolicy 'pinfold-own-writes'";

/// What is tried on a pod of an agent, as a JSON Patch, and what the refusal says.
const PATCHES: [(&str, &str, &str); 12] = [
    (
        "image",
        r#"{"op": "replace", "path": "/spec/containers/0/image", "value": "evil"}"#,
        "not its spec",
    ),
    (
        "deadline",
        r#"{"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 1}"#,
        "not its spec",
    ),
    (
        "toleration",
        r#"{"op": "add", "path": "/spec/tolerations/-", "value": {"operator": "Exists"}}"#,
        "not its spec",
    ),
    (
        "label",
        r#"{"op": "add", "path": "/metadata/labels/team", "value": "core"}"#,
        "not its labels",
    ),
    ("label taken away", r#"{"op": "remove", "path": "/metadata/labels/app"}"#, "not its labels"),
    (
        "finalizer",
        r#"{"op": "add", "path": "/metadata/finalizers", "value": ["a.example/f"]}"#,
        "not its finalizers",
    ),
    (
        "owner",
        r#"{"op": "add", "path": "/metadata/ownerReferences", "value": [{"apiVersion": "v1", "kind": "Pod", "name": "o", "uid": "u"}]}"#,
        "owners",
    ),
    (
        "another annotation",
        r#"{"op": "add", "path": "/metadata/annotations/a.example~1b", "value": "c"}"#,
        "adds no annotation",
    ),
    (
        "another annotation changed",
        r#"{"op": "replace", "path": "/metadata/annotations/note", "value": "c"}"#,
        "takes none away",
    ),
    (
        "its subject",
        r#"{"op": "replace", "path": "/metadata/annotations/pinfold.dev~1policy-subject", "value": "{}"}"#,
        "takes none away",
    ),
    (
        "the policy taken away",
        r#"{"op": "remove", "path": "/metadata/annotations/pinfold.dev~1policy"}"#,
        "takes none away",
    ),
    (
        "the policy with an image",
        r#"{"op": "replace", "path": "/metadata/annotations/pinfold.dev~1policy", "value": "{}"}, {"op": "replace", "path": "/spec/containers/0/image", "value": "evil"}"#,
        "not its spec",
    ),
];

#[test]
fn pinfold_changes_two_annotations_of_confined_pods_and_nothing_else() -> Outcome {
    let home = cluster(1)?;
    let label = ["label", "pod", "p0", "-n", "acme", "app=search"];
    home.server.kubectl(&label, "")?.ok()?;
    home.server.kubectl(&["annotate", "pod", "p0", "-n", "acme", "note=n"], "")?.ok()?;
    home.server.kubectl(&["create", "serviceaccount", "default", "-n", "nobodys"], "")?.ok()?;
    home.server.apply(RIGHTS)?;
    let tried = |who: User<'_>, steps: &str| {
        let patch = format!("[{steps}]");
        let arguments =
            ["patch", "pod", "p0", "-n", "acme", "--type=json", "--dry-run=server", "-p", &patch];
        home.server.kubectl_as(who, &arguments, "")
    };
    let (_, image, _) = PATCHES[0];
    until(SOON, || tried(PINFOLD, image).ok()?.stderr.contains(POLICY).then_some(()))
        .ok_or("the policy of the API server isn't in force")?;

    for (what, steps, said) in PATCHES {
        let refused = tried(PINFOLD, steps)?;
        let told = refused.stderr.contains(POLICY) && refused.stderr.contains(said);
        assert!(!refused.success() && told, "{what}: {refused:?}");
        let other = tried(OTHER, steps)?;
        assert!(!other.stderr.contains(POLICY), "{what}: {other:?}");
    }
    let others: [&[&str]; 6] = [
        &["annotate", "pod", "bare", "-n", "nobodys", "pinfold.dev/policy={}"],
        &["delete", "pod", "p0", "-n", "acme"],
        &["run", "evil", "-n", "nobodys", "--image=evil"],
        &["attach", "p0", "-n", "acme"],
        &["patch", "pod", "p0", "-n", "acme", "--subresource=status", "-p", STATUS],
        &["debug", "p0", "-n", "acme", "--image=evil"],
    ];
    for arguments in others {
        let refused = home.server.kubectl_as(PINFOLD, arguments, "")?;
        assert!(
            !refused.success() && refused.stderr.contains(POLICY),
            "{arguments:?}: {refused:?}"
        );
    }

    // What Pinfold is for still works, with the same rights.
    fs::write(home.path("policy").join("agents.yaml"), agents("acme", "one.example"))?;
    let replicas = replicas(&home)?;
    for host in ["one.example", "two.example"] {
        replace(&home.path("policy").join("agents.yaml"), &agents("acme", host))?;
        until(SOON, || all_have(&home, 1, host))
            .ok_or_else(|| format!("{host} doesn't arrive:\n{}", logs(&replicas)))?;
    }
    Ok(())
}
