//! Cases of PF-TRU-002: every way to an identity, with the path that is refused; and its honest twins.

use pinfold_model::facts::{AdmissionFacts, Question};
use pinfold_model::object::ObjectKey;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::context::Found;
use crate::organization::fixture::{self, object, spoken, value};

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: g, labels: {pinfold.dev/agents: 'true', krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: u}}
{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: nomount, namespace: g}, automountServiceAccountToken: false}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: mounting, namespace: g}, automountServiceAccountToken: true}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: silent, namespace: g}}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: gke, namespace: g, annotations: {iam.gke.io/gcp-service-account: deploy@acme.iam.gserviceaccount.com}}, automountServiceAccountToken: false}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: gke-allowed, namespace: g, annotations: {iam.gke.io/gcp-service-account: read@acme.iam.gserviceaccount.com}}, automountServiceAccountToken: false}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: vaulted, namespace: g}, automountServiceAccountToken: false}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: deployer, namespace: g}, automountServiceAccountToken: false}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: opener, namespace: g}, automountServiceAccountToken: false}
{apiVersion: v1, kind: ServiceAccount, metadata: {name: viewer, namespace: g}, automountServiceAccountToken: false}
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: deploys}, rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, patch]}]}
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: opens}, rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]}
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: views}, rules: [{apiGroups: ['', apps], resources: [pods, deployments], verbs: [get, list, watch]}, {apiGroups: [authorization.k8s.io], resources: [selfsubjectaccessreviews], verbs: [create]}]}
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: deployer, namespace: g}, roleRef: {kind: ClusterRole, name: deploys}, subjects: [{kind: ServiceAccount, name: deployer}]}
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: opener}, roleRef: {kind: ClusterRole, name: opens}, subjects: [{kind: User, name: 'system:serviceaccount:g:opener'}]}
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: viewer, namespace: g}, roleRef: {kind: ClusterRole, name: views}, subjects: [{kind: ServiceAccount, name: viewer}]}
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: viewer-lost, namespace: g}, roleRef: {kind: ClusterRole, name: not-there}, subjects: [{kind: ServiceAccount, name: viewer}]}
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: all, namespace: g}, roleRef: {kind: ClusterRole, name: deploys}, subjects: [{kind: Group, name: 'system:serviceaccounts'}]}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: vaulted, namespace: g}, spec: {serviceAccountName: vaulted, tokenAudience: vault, automountServiceAccountToken: true}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: gke, namespace: g}, spec: {serviceAccountName: gke-allowed, tokenAudience: acme.svc.id.goog}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: api, namespace: g}, spec: {serviceAccountName: nomount, tokenAudience: 'https://kubernetes.default.svc'}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: main, namespace: g, uid: u-main}, spec: {repository: r, ref: refs/heads/main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: fork, namespace: g, uid: u-fork}, spec: {repository: r, ref: refs/heads/main, headRepository: evil/r}}
";

const POLICY: &str = "
trust:
  controllers: [{user: controller}]
  trustedRefs: [refs/heads/main]
";

struct Cluster {
    view: Snapshot,
    policy: AdmissionPolicy,
}

fn cluster() -> Cluster {
    Cluster { view: fixture::view(CLUSTER), policy: fixture::policy(POLICY) }
}

impl Cluster {
    fn judge(&self, facts: &AdmissionFacts) -> Found {
        fixture::found(super::judge, facts, &self.view, &self.policy)
    }
}

/// A pod of a namespace, for a run or none, from the flow of its spec.
fn pod(namespace: &str, run: &str, spec: &str) -> Value {
    let labels =
        if run.is_empty() { String::new() } else { format!("krate.a5c.ai/dispatch-run: {run}") };
    value(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: {namespace}, labels: {{{labels}}}}}, spec: {{{spec}}}}}"
    ))
}

const OFF: &str = "automountServiceAccountToken: false";

/// The spec and what is refused below `$.spec`, of untrusted work; nothing is allowed.
const SPECS: &[(&str, &str)] = &[
    // The API token, by what the pod says before what its ServiceAccount says.
    ("automountServiceAccountToken: false", ""),
    ("automountServiceAccountToken: true", "automountServiceAccountToken"),
    ("containers: []", "automountServiceAccountToken"),
    ("serviceAccountName: nomount", ""),
    ("serviceAccount: nomount", ""),
    ("serviceAccountName: mounting", "automountServiceAccountToken"),
    ("serviceAccountName: silent", "automountServiceAccountToken"),
    ("serviceAccountName: not-there", "automountServiceAccountToken"),
    ("serviceAccountName: mounting, automountServiceAccountToken: false", ""),
    (
        "serviceAccountName: nomount, automountServiceAccountToken: true",
        "automountServiceAccountToken",
    ),
    // An AgentServiceAccount that mounts the token makes nobody trusted.
    (
        "serviceAccountName: vaulted, automountServiceAccountToken: true",
        "automountServiceAccountToken",
    ),
    // What the API server's admission adds to a pod that doesn't say no is told once.
    (
        "serviceAccountName: silent, volumes: [{name: kube-api-access-x, projected: {sources: [{serviceAccountToken: {path: token, expirationSeconds: 3607}}, {configMap: {name: kube-root-ca.crt}}]}}]",
        "automountServiceAccountToken",
    ),
    // A projected token, of any audience, however long.
    (
        "automountServiceAccountToken: false, volumes: [{name: kube-api-access-x, projected: {sources: [{serviceAccountToken: {path: token, expirationSeconds: 3607}}]}}]",
        "volumes[0].projected.sources[0].serviceAccountToken",
    ),
    (
        "automountServiceAccountToken: false, volumes: [{name: a}, {name: v, projected: {sources: [{secret: {name: x}}, {serviceAccountToken: {path: t, expirationSeconds: 600}}]}}]",
        "volumes[1].projected.sources[1].serviceAccountToken",
    ),
    (
        "automountServiceAccountToken: false, volumes: [{name: v, projected: {sources: [{serviceAccountToken: {audience: vault, path: t}}]}}]",
        "volumes[0].projected.sources[0].serviceAccountToken",
    ),
    (
        "serviceAccountName: vaulted, volumes: [{name: v, projected: {sources: [{serviceAccountToken: {audience: vault, path: t}}]}}]",
        "",
    ),
    (
        "serviceAccountName: vaulted, volumes: [{name: v, projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: t}}]}}]",
        "volumes[0].projected.sources[0].serviceAccountToken",
    ),
    (
        "serviceAccountName: vaulted, volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]",
        "volumes[0].projected.sources[0].serviceAccountToken",
    ),
    // The API server's audience is nobody's to allow.
    (
        "serviceAccountName: nomount, volumes: [{name: v, projected: {sources: [{serviceAccountToken: {audience: 'https://kubernetes.default.svc', path: t}}]}}]",
        "volumes[0].projected.sources[0].serviceAccountToken",
    ),
    (
        "automountServiceAccountToken: false, volumes: [{name: v, projected: {sources: [{podCertificate: {signerName: example.com/s, keyType: ED25519}}]}}]",
        "volumes[0].projected.sources[0].podCertificate",
    ),
    ("serviceAccountName: viewer", ""),
    // Cloud identities that need no token in the pod.
    ("serviceAccountName: gke", "serviceAccountName"),
    ("serviceAccountName: gke-allowed", ""),
];

#[test]
fn untrusted_work_has_no_identity_and_trusted_work_may() {
    let cluster = cluster();
    for (spec, refused) in SPECS {
        let expected: Vec<String> =
            refused.split_whitespace().map(|path| format!("PF-TRU-002 $.spec.{path}")).collect();
        for (name, run) in
            [("dev", ""), ("dev", "main"), ("controller", ""), ("controller", "fork")]
        {
            let found = cluster.judge(&fixture::request(name, &pod("g", run, spec), None));
            assert_eq!(spoken(&found), expected, "{name} {run} {spec}\n{found:#?}");
        }
        let found = cluster.judge(&fixture::request("controller", &pod("g", "main", spec), None));
        assert!(spoken(&found).is_empty(), "trusted {spec}\n{found:#?}");
        // Elsewhere no rule of trust is about identities.
        for namespace in ["u", "kube-system"] {
            let found = cluster.judge(&fixture::request("dev", &pod(namespace, "", spec), None));
            assert!(spoken(&found).is_empty(), "{namespace} {spec}");
        }
    }
}

#[test]
fn a_forks_work_has_no_rights_either_and_work_without_a_record_may_leave_them_unused() {
    let cluster = cluster();
    let path = "PF-TRU-002 $.spec.serviceAccountName";
    // What all ServiceAccounts have by a group is nobody's own.
    for (account, privileged) in [("deployer", true), ("opener", true), ("viewer", false)] {
        for (name, run, judged) in [
            ("controller", "fork", true),
            ("controller", "main", false),
            ("controller", "", false),
            ("dev", "fork", false),
            ("dev", "", false),
        ] {
            let manifest = pod("g", run, &format!("serviceAccountName: {account}"));
            let found = cluster.judge(&fixture::request(name, &manifest, None));
            let expected = if privileged && judged { vec![path] } else { Vec::new() };
            assert_eq!(spoken(&found), expected, "{account} {name} {run}\n{found:#?}");
        }
    }
}

#[test]
fn every_kind_with_a_template_is_judged_at_its_template() {
    let cluster = cluster();
    let kinds = [
        ("apps/v1", "Deployment", "$.spec.template.spec", &["spec", "template", "spec"][..]),
        ("apps/v1", "StatefulSet", "$.spec.template.spec", &["spec", "template", "spec"]),
        ("apps/v1", "DaemonSet", "$.spec.template.spec", &["spec", "template", "spec"]),
        ("apps/v1", "ReplicaSet", "$.spec.template.spec", &["spec", "template", "spec"]),
        ("batch/v1", "Job", "$.spec.template.spec", &["spec", "template", "spec"]),
        ("v1", "ReplicationController", "$.spec.template.spec", &["spec", "template", "spec"]),
        ("v1", "PodTemplate", "$.template.spec", &["template", "spec"]),
        (
            "batch/v1",
            "CronJob",
            "$.spec.jobTemplate.spec.template.spec",
            &["spec", "jobTemplate", "spec", "template", "spec"],
        ),
    ];
    for (version, kind, path, steps) in kinds {
        for (spec, refused) in
            [(json!({}), true), (json!({"automountServiceAccountToken": false}), false)]
        {
            let bare = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "g"}});
            let manifest = super::super::tests::with(bare, steps, spec);
            let found = cluster.judge(&fixture::request("dev", &manifest, None));
            let path = format!("PF-TRU-002 {path}.automountServiceAccountToken");
            let expected = if refused { vec![path] } else { Vec::new() };
            assert_eq!(spoken(&found), expected, "{kind}");
        }
    }
}

#[test]
fn a_service_account_that_is_not_known_is_asked_for() {
    let cluster = cluster();
    let mut facts = fixture::request("dev", &pod("g", "", "serviceAccountName: new"), None);
    let key = ObjectKey::new("", "ServiceAccount", "g", "new");
    assert_eq!(cluster.judge(&facts).questions, [Question::Object(key.clone())]);
    for (automount, allowed) in [("false", true), ("true", false)] {
        let live = value(&format!(
            "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: new, namespace: g}}, automountServiceAccountToken: {automount}}}"
        ));
        facts.answers.objects = vec![(key.clone(), Some(object(&live)))];
        assert_eq!(spoken(&cluster.judge(&facts)).is_empty(), allowed, "{automount}");
    }
    // A namespace that nobody can tell anything about is looked at live before anything passes.
    let mut facts =
        fixture::request("dev", &pod("new", "", "automountServiceAccountToken: true"), None);
    let found = cluster.judge(&facts);
    let namespace = ObjectKey::new("", "Namespace", "", "new");
    assert_eq!(spoken(&found), [""; 0]);
    assert_eq!(found.confirmations, [Question::Object(namespace.clone())]);
    let live = "{apiVersion: v1, kind: Namespace, metadata: {name: new, labels: {pinfold.dev/agents: 'true'}}}";
    facts.answers.objects = vec![(namespace, Some(object(&value(live))))];
    let found = spoken(&cluster.judge(&facts));
    assert_eq!(found, ["PF-TRU-002 $.spec.automountServiceAccountToken"]);
}

#[test]
fn updates_are_judged_where_they_give_an_identity() {
    let cluster = cluster();
    let deployment = |stamp: &str, image: &str, spec: &str| {
        let stamp =
            if stamp.is_empty() { String::new() } else { format!("pinfold.dev/run: {stamp}") };
        value(&format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d, namespace: g, annotations: {{{stamp}}}}}, spec: {{template: {{spec: {{containers: [{{name: c, image: {image}}}], {spec}}}}}}}}}"
        ))
    };
    let mounts = "automountServiceAccountToken: true";
    let (main, path) =
        ("main/u-main", "PF-TRU-002 $.spec.template.spec.automountServiceAccountToken");
    let cases = [
        // What is there stays, and can be changed otherwise; its pods are judged as they are made.
        ("dev", deployment("", "a", mounts), deployment("", "b", mounts), ""),
        ("dev", deployment("", "a", mounts), deployment("", "a", OFF), ""),
        ("dev", deployment("", "a", OFF), deployment("", "a", mounts), path),
        (
            "dev",
            deployment("", "a", mounts),
            deployment("", "a", "serviceAccountName: mounting, automountServiceAccountToken: true"),
            path,
        ),
        // Trusted work becomes somebody else's.
        ("dev", deployment(main, "a", mounts), deployment(main, "b", mounts), path),
        ("controller", deployment(main, "a", mounts), deployment(main, "b", mounts), ""),
    ];
    for (name, old, new, expected) in cases {
        let found = cluster.judge(&fixture::request(name, &new, Some(&old)));
        let expected: Vec<&str> =
            Some(expected).filter(|path| !path.is_empty()).into_iter().collect();
        assert_eq!(spoken(&found), expected, "{name}\n{old}\n{new}");
    }
    let (old, new) = (deployment("", "a", OFF), deployment("", "a", mounts));
    for (subresource, refused) in [("", true), ("scale", false), ("status", false)] {
        let mut facts = fixture::request("dev", &new, Some(&old));
        facts.subresource = subresource.to_owned();
        assert_eq!(!spoken(&cluster.judge(&facts)).is_empty(), refused, "{subresource}");
    }
}

#[test]
fn an_ephemeral_container_in_a_trusted_pod_with_a_token_is_refused() {
    let cluster = cluster();
    let stamped = |spec: &str| {
        value(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: g, annotations: {{pinfold.dev/run: main/u-main}}}}, spec: {{automountServiceAccountToken: true, {spec}}}}}"
        ))
    };
    let (old, new) =
        (stamped("containers: []"), stamped("ephemeralContainers: [{name: x, image: y}]"));
    for (name, refused) in [("dev", true), ("controller", false)] {
        let mut facts = fixture::request(name, &new, Some(&old));
        facts.subresource = "ephemeralcontainers".to_owned();
        assert_eq!(!spoken(&cluster.judge(&facts)).is_empty(), refused, "{name}");
    }
}

#[test]
fn without_a_requester_only_work_with_an_identity_is_undecided() {
    let cluster = cluster();
    for (spec, undecided) in [(OFF, 0), ("automountServiceAccountToken: true", 1)] {
        let found = cluster.judge(&fixture::request("", &pod("g", "", spec), None));
        assert_eq!((found.undecided.len(), found.raw.len()), (undecided, 0), "{spec}");
    }
}

#[test]
fn the_message_says_who_and_what_to_do() {
    let found = cluster().judge(&fixture::request(
        "dev",
        &pod("g", "", "serviceAccountName: silent"),
        None,
    ));
    assert_eq!(
        found.raw[0].message,
        "untrusted work (no record of a run) may have no identity: it doesn't say no to the API token of ServiceAccount `silent`, and neither does that"
    );
    assert!(
        found.raw[0]
            .remedy
            .starts_with("set `automountServiceAccountToken: false` in the pod's spec; ")
    );
}
