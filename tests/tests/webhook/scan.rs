//! The same stored objects through `pinfold scan` and, as if they were made now, through the webhook: one verdict, finding by finding.

use std::collections::BTreeMap;

use clap::Parser as _;
use pinfold_tests::User;
use serde_json::Value;

use crate::Outcome;
use crate::denial::{Findings, findings};
use crate::stage::Stage;

const MASTER: User<'_> = User { name: "platform", groups: &["system:masters"] };

/// Kind, namespace and name: what a verdict is about.
type Key = (String, String, String);

/// What is told of an object by both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nothing.
    Nothing,
    /// The same.
    Same,
    /// By the webhook, about who holds what; the scan tells that at the bindings that give it.
    AtBindings,
}

use Told::{AtBindings, Nothing, Same};

const RULES: [&str; 4] = ["PF-RBAC-004", "PF-RBAC-005", "PF-RBAC-006", "PF-RBAC-007"];

/// Kind, namespace, name, the rest of the object.
const OBJECTS: [(Told, &str, &str, &str, &str); 20] = [
    (
        AtBindings,
        "AgentServiceAccount",
        "STAGE-acme",
        "coder",
        "apiVersion: krate.a5c.ai/v1alpha1, spec: {namespace: STAGE-acme, serviceAccountName: agent-coder}",
    ),
    (
        AtBindings,
        "ClusterRole",
        "",
        "STAGE-lister",
        "apiVersion: rbac.authorization.k8s.io/v1, rules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]",
    ),
    (
        Same,
        "RoleBinding",
        "STAGE-acme",
        "by-name",
        "apiVersion: rbac.authorization.k8s.io/v1, subjects: [{kind: ServiceAccount, name: agent-coder}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: STAGE-lister}",
    ),
    (
        Same,
        "RoleBinding",
        "STAGE-acme",
        "by-group",
        "apiVersion: rbac.authorization.k8s.io/v1, subjects: [{kind: Group, name: 'system:serviceaccounts:STAGE-acme', apiGroup: rbac.authorization.k8s.io}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: STAGE-lister}",
    ),
    (
        Same,
        "ClusterRoleBinding",
        "",
        "STAGE-admin",
        "apiVersion: rbac.authorization.k8s.io/v1, subjects: [{kind: User, name: 'system:serviceaccount:STAGE-acme:agent-coder', apiGroup: rbac.authorization.k8s.io}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}",
    ),
    (
        Same,
        "RoleBinding",
        "STAGE-acme",
        "stranger",
        "apiVersion: rbac.authorization.k8s.io/v1, subjects: [{kind: ServiceAccount, name: default, namespace: STAGE-globex}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agent-basic}",
    ),
    (
        Nothing,
        "RoleBinding",
        "STAGE-acme",
        "honest",
        "apiVersion: rbac.authorization.k8s.io/v1, subjects: [{kind: ServiceAccount, name: agent-coder}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agent-basic}",
    ),
    (
        Nothing,
        "ClusterRoleBinding",
        "",
        "STAGE-people",
        "apiVersion: rbac.authorization.k8s.io/v1, subjects: [{kind: User, name: ann, apiGroup: rbac.authorization.k8s.io}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}",
    ),
    (
        Nothing,
        "Role",
        "STAGE-acme",
        "honest",
        "apiVersion: rbac.authorization.k8s.io/v1, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]",
    ),
    (
        Same,
        "AgentRoleBinding",
        "STAGE-acme",
        "too-much",
        "apiVersion: krate.a5c.ai/v1alpha1, spec: {subject: {kind: service-account, name: agent-coder}, scope: {kind: cluster}, roleRef: {kind: ClusterRole, name: cluster-admin}}",
    ),
    (
        Same,
        "AgentRoleBinding",
        "STAGE-acme",
        "formless",
        "apiVersion: krate.a5c.ai/v1alpha1, spec: {subject: {kind: nobody}, scope: {kind: namespace}, escalationPolicy: always, resourceRules: [{verbs: []}]}",
    ),
    (
        Nothing,
        "AgentRoleBinding",
        "STAGE-acme",
        "honest",
        "apiVersion: krate.a5c.ai/v1alpha1, spec: {subject: {kind: service-account, name: agent-coder}, scope: {kind: namespace, name: STAGE-acme}, roleRef: {kind: Role, name: agent-basic}}",
    ),
    (
        Same,
        "Ingress",
        "STAGE-acme",
        "stolen",
        "apiVersion: networking.k8s.io/v1, spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}, metadata: {annotations: {nginx.ingress.kubernetes.io/auth-secret: STAGE-globex/passwords}}",
    ),
    (
        Nothing,
        "Ingress",
        "STAGE-acme",
        "honest",
        "apiVersion: networking.k8s.io/v1, spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}, metadata: {annotations: {nginx.ingress.kubernetes.io/auth-secret: passwords}}",
    ),
    (
        Same,
        "PersistentVolumeClaim",
        "STAGE-acme",
        "taken",
        "apiVersion: v1, spec: {volumeName: STAGE-globex-data, storageClassName: '', accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}",
    ),
    (
        Same,
        "Deployment",
        "STAGE-acme",
        "reader",
        "apiVersion: apps/v1, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: 'r/a:1'}], volumes: [{name: v, persistentVolumeClaim: {claimName: old}}]}}}",
    ),
    (
        Same,
        "Pod",
        "STAGE-acme",
        "reader",
        "apiVersion: v1, spec: {automountServiceAccountToken: false, containers: [{name: c, image: 'r/a:1'}], volumes: [{name: v, persistentVolumeClaim: {claimName: old}}]}",
    ),
    (Nothing, "ConfigMap", "STAGE-acme", "honest", "apiVersion: v1, data: {a: b}"),
    (
        Same,
        "ConfigMap",
        "STAGE-acme",
        "copied",
        "apiVersion: v1, metadata: {annotations: {replicator.v1.mittwald.de/replicate-from: STAGE-globex/settings}}",
    ),
    (
        Nothing,
        "ServiceAccount",
        "STAGE-acme",
        "honest",
        "apiVersion: v1, imagePullSecrets: [{name: own}]",
    ),
];

fn manifest((_, kind, namespace, name, rest): &(Told, &str, &str, &str, &str)) -> String {
    let place =
        if namespace.is_empty() { String::new() } else { format!(", namespace: {namespace}") };
    let metadata = format!("metadata: {{name: {name}{place}");
    match rest.split_once("metadata: {") {
        // Annotations of the object itself, which stand last.
        Some((before, own)) if !before.contains("template") => {
            format!("{{kind: {kind}, {before}{metadata}, {own}}}")
        }
        _ => format!("{{kind: {kind}, {metadata}}}, {rest}}}"),
    }
}

#[test]
fn a_scan_says_what_the_webhook_would() -> Outcome {
    let stage = Stage::prepare("scan")?;
    for object in &OBJECTS {
        stage.server.apply(&stage.named(&manifest(object)))?;
    }
    let scanned = scan(&stage)?;
    let _replica = stage.open_with(&stage.flags())?;
    for object in &OBJECTS {
        let (told, kind, namespace, name, _) = object;
        let key = (kind.to_string(), stage.named(namespace), stage.named(name));
        let create = ["create", "--dry-run=server", "-f", "-"];
        let answer = stage.server.kubectl_as(MASTER, &create, &stage.named(&manifest(object)))?;
        let known = answer.stderr.contains("already exists");
        let webhook = findings(&answer.stderr)?;
        assert_eq!(
            webhook.is_empty(),
            known,
            "{key:?} is either refused or there already: {answer:?}"
        );
        let scan = scanned.get(&key).cloned().unwrap_or_default();
        match told {
            Nothing => {
                assert_eq!((&webhook, &scan), (&Findings::new(), &Findings::new()), "{key:?}");
            }
            Same => assert!(
                !webhook.is_empty() && webhook == scan,
                "{key:?}: the webhook {webhook:?}, the scan {scan:?}"
            ),
            AtBindings => {
                let about = |(rule, _): &(String, String)| RULES.contains(&rule.as_str());
                assert!(!webhook.is_empty() && webhook.iter().all(about), "{key:?}: {webhook:?}");
                assert_eq!(scan, Findings::new(), "{key:?}");
            }
        }
    }
    Ok(())
}

/// What a scan of the whole cluster, other tests' objects included, says of each object.
fn scan(stage: &Stage) -> Outcome<BTreeMap<Key, Findings>> {
    let (policy, kubeconfig) = (stage.path("policy"), stage.server.kubeconfig());
    let (policy, kubeconfig) = (policy.to_string_lossy(), kubeconfig.to_string_lossy());
    let words = ["pinfold", "scan", "-q", "-o", "json", "-p", &policy, "--kubeconfig", &kubeconfig];
    let arguments = pinfold::Arguments::try_parse_from(words)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    pinfold::run(&arguments, &mut out, &mut err);
    let said = || String::from_utf8_lossy(&err).into_owned();
    let document: Value =
        serde_json::from_slice(&out).map_err(|error| format!("{error}: {}", said()))?;
    let text = |value: &Value, at: &str| {
        value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let list = |value: &Value, at: &str| {
        value.get(at).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mut found = BTreeMap::new();
    for object in list(&document, "objects") {
        let key = (
            text(&object, "/object/kind"),
            text(&object, "/object/namespace"),
            text(&object, "/object/name"),
        );
        let denials = list(&object, "findings").into_iter();
        let denials = denials.filter(|finding| text(finding, "/mode") == "enforce");
        let denials: Findings =
            denials.map(|finding| (text(&finding, "/rule"), text(&finding, "/path"))).collect();
        found.insert(key, denials);
    }
    Ok(found)
}
