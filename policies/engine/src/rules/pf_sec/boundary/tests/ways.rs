//! Further ways: copies that are pushed, other ingress controllers, revisions, parameters of admission policies, entries by object, and what only
//! looks like a reference.

use pinfold_model::finding::{Mode, RuleId};
use pinfold_model::policy::admission::AdmissionPolicy;
use serde_json::json;

use super::{CLUSTER, Cluster, cluster};
use crate::organization::fixture::{self, object, request, spoken, value};
use crate::scan::{Depth, Scan, creation};

#[test]
fn copies_that_are_pushed() {
    let rows = "
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {replicator.v1.mittwald.de/replicate-to: 'a2,b'}}} => $.metadata.annotations['replicator.v1.mittwald.de/replicate-to']
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {replicator.v1.mittwald.de/replicate-to: 'a2, a'}}} =>
{apiVersion: v1, kind: ConfigMap, metadata: {name: s, namespace: a, annotations: {replicator.v1.mittwald.de/replicate-to: 'a[0-9]*'}}} => $.metadata.annotations['replicator.v1.mittwald.de/replicate-to']
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {replicator.v1.mittwald.de/replicate-to-matching: team}}} => $.metadata.annotations['replicator.v1.mittwald.de/replicate-to-matching']
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {replicator.v1.mittwald.de/replicate-to-matching: ' '}}} =>
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: kube-system, annotations: {replicator.v1.mittwald.de/replicate-to: '.*'}}} =>
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: free, annotations: {replicator.v1.mittwald.de/replicate-to: b}}} => $.metadata.annotations['replicator.v1.mittwald.de/replicate-to']
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: free, annotations: {replicator.v1.mittwald.de/replicate-to: free2}}} =>
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {reflector.v1.k8s.emberstack.com/reflection-auto-enabled: 'true'}}} => $.metadata.annotations['reflector.v1.k8s.emberstack.com/reflection-auto-enabled']
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {reflector.v1.k8s.emberstack.com/reflection-auto-enabled: 'false', reflector.v1.k8s.emberstack.com/reflection-auto-namespaces: b}}} =>
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {reflector.v1.k8s.emberstack.com/reflection-auto-enabled: 'True', reflector.v1.k8s.emberstack.com/reflection-auto-namespaces: 'a2,b'}}} => $.metadata.annotations['reflector.v1.k8s.emberstack.com/reflection-auto-enabled']
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {reflector.v1.k8s.emberstack.com/reflection-auto-enabled: 'true', reflector.v1.k8s.emberstack.com/reflection-auto-namespaces: a2}}} =>
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {reflector.v1.k8s.emberstack.com/reflection-auto-enabled: 'true', reflector.v1.k8s.emberstack.com/reflection-allowed-namespaces: a2}}} =>
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {reflector.v1.k8s.emberstack.com/reflection-auto-enabled: 'true', reflector.v1.k8s.emberstack.com/reflection-auto-namespaces: a2, reflector.v1.k8s.emberstack.com/reflection-auto-namespaces-selector: 'x=y'}}} => $.metadata.annotations['reflector.v1.k8s.emberstack.com/reflection-auto-enabled']
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {reflector.v1.k8s.emberstack.com/reflection-allowed: 'true', reflector.v1.k8s.emberstack.com/reflection-allowed-namespaces: b}}} =>
";
    assert!(cluster().check(rows) >= 15);
}

#[test]
fn other_ingress_controllers() {
    let rows = "
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {haproxy.org/auth-secret: b/x}}} => $.metadata.annotations['haproxy.org/auth-secret']
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {haproxy.com/server-ca: b/x}}} => $.metadata.annotations['haproxy.com/server-ca']
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {ingress.kubernetes.io/auth-secret: b/x}}} => $.metadata.annotations['ingress.kubernetes.io/auth-secret']
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {haproxy-ingress.github.io/auth-tls-secret: b/x}}} => $.metadata.annotations['haproxy-ingress.github.io/auth-tls-secret']
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {haproxy-ingress.github.io/secure-verify-ca-secret: 'file:///etc/ca.pem'}}} =>
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {haproxy.org/auth-secret: own}}} =>
{apiVersion: v1, kind: Service, metadata: {namespace: a, annotations: {haproxy.org/server-crt: b/x}}} => $.metadata.annotations['haproxy.org/server-crt']
{apiVersion: v1, kind: Service, metadata: {namespace: a, annotations: {haproxy.org/server-crt: a2/x}}} =>
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {projectcontour.io/tls-cert-namespace: b}}, spec: {tls: [{secretName: x}]}} => $.spec.tls[0].secretName
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: a, annotations: {projectcontour.io/tls-cert-namespace: b}}, spec: {}} =>
{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {namespace: a}, spec: {tls: [{secretName: b/x}]}} => $.spec.tls[0].secretName
{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {namespace: a}, spec: {tls: [{secretName: a2/x}]}} =>
";
    assert!(cluster().check(rows) >= 12);
}

#[test]
fn revisions_and_parameters_of_admission_policies() {
    let policies = "
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: maps}, spec: {paramKind: {apiVersion: v1, kind: ConfigMap}}}
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: secrets}, spec: {paramKind: {apiVersion: v1, kind: Secret}}}
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: limits}, spec: {paramKind: {apiVersion: rules.example.com/v1, kind: ReplicaLimit}}}
";
    let view = fixture::view(&format!("{CLUSTER}{policies}"));
    let cluster = Cluster { view, policy: fixture::policy("{}") };
    let rows = "
{apiVersion: apps/v1, kind: ControllerRevision, metadata: {namespace: a}, data: {spec: {template: {$patch: replace, spec: {volumes: [{secret: {secretName: foreign}}]}}}}} => $.data.spec.template.spec.volumes[0].secret.secretName
{apiVersion: apps/v1, kind: ControllerRevision, metadata: {namespace: a}, data: {spec: {template: {spec: {volumes: [{secret: {secretName: own}}]}}}}} =>
{apiVersion: apps/v1, kind: ControllerRevision, metadata: {namespace: a}, data: {kind: VirtualMachineInstancetype, spec: {cpu: {guest: 1}}}} =>
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: x}, spec: {policyName: maps, paramRef: {name: p, namespace: b}}} => $.spec.paramRef.name
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: x}, spec: {policyName: secrets, paramRef: {selector: {}, namespace: b}}} => $.spec.paramRef.name
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: x}, spec: {policyName: maps, paramRef: {name: p, namespace: kube-system}}} =>
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: x}, spec: {policyName: maps, paramRef: {name: p}}} =>
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: x}, spec: {policyName: limits, paramRef: {name: p, namespace: b}}} =>
{apiVersion: admissionregistration.k8s.io/v1beta1, kind: MutatingAdmissionPolicyBinding, metadata: {name: x}, spec: {policyName: not-there, paramRef: {name: p, namespace: b}}} => $.spec.paramRef.name
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: x}, spec: {policyName: maps}} =>
";
    assert!(cluster.check(rows) >= 10);
}

const ENTRIES: &str = "
references:
- {match: {apiGroups: [example.io], kinds: [Pairs]}, kind: Secret, at: '$.spec.from[*].extract', name: $.key, namespace: $.namespace}
- {match: {apiGroups: [example.io], kinds: [Values]}, at: '$.spec.values[*]', kindAt: $.kind}
- {match: {apiGroups: [example.io], kinds: [Route]}, kind: Secret, at: $.spec.secretName, nameForm: namespace/name}
- {match: {apiGroups: [example.io], kinds: [Many]}, kind: Secret, members: ['*SecretRef']}
";

#[test]
fn entries_by_object() {
    let cluster = Cluster { view: fixture::view(CLUSTER), policy: fixture::policy(ENTRIES) };
    let rows = "
{apiVersion: example.io/v1, kind: Pairs, metadata: {namespace: a}, spec: {from: [{extract: {key: x, namespace: a2}}, {extract: {key: x, namespace: b}}]}} => $.spec.from[1].extract.key
{apiVersion: example.io/v1, kind: Pairs, metadata: {namespace: a}, spec: {from: [{extract: {key: shared, namespace: b}}, {extract: {key: own}}]}} =>
{apiVersion: example.io/v1, kind: Pairs, metadata: {namespace: a}, spec: {from: [{extract: {key: [own]}}]}} => $.spec.from[0].extract.key
{apiVersion: example.io/v1, kind: Values, metadata: {namespace: a}, spec: {values: [{kind: ConfigMap, name: foreign-config}, {kind: Secret, name: foreign-config}]}} => $.spec.values[0].name
{apiVersion: example.io/v1, kind: Values, metadata: {namespace: a}, spec: {values: [{kind: Secret, name: own}, {kind: Bucket, name: foreign}]}} =>
{apiVersion: example.io/v1, kind: Route, metadata: {namespace: a}, spec: {secretName: b/x}} => $.spec.secretName
{apiVersion: example.io/v1, kind: Route, metadata: {namespace: a}, spec: {secretName: a2/x}} =>
{apiVersion: example.io/v1, kind: Many, metadata: {namespace: a}, spec: {x: [{caSecretRef: {name: own}, tokenSecretRef: {name: t, namespace: b}}]}} => $.spec.x[0].tokenSecretRef.name
{apiVersion: example.io/v1, kind: Many, metadata: {namespace: a}, spec: {x: [{caSecretRef: {name: own}, tokenSecretRef: null}]}} =>
";
    assert!(cluster.check(rows) >= 9);
}

/// `guarded` is of acme and guarded, `b` of beta.
const GUARDED: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: guarded, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {krate.a5c.ai/org: acme}}}
{apiVersion: v1, kind: Namespace, metadata: {name: b, labels: {krate.a5c.ai/org: beta}}}
";

fn warned(policy: &AdmissionPolicy, manifest: &str) -> Vec<String> {
    let facts = request("dev", &value(manifest), None);
    let view = fixture::view(GUARDED);
    let found = fixture::found(crate::rules::pf_sec::boundary::judge, &facts, &view, policy);
    assert!(found.raw.iter().all(|raw| raw.advisory), "{found:?}");
    let decision = crate::admit::admit(&facts, &view, policy, fixture::NOW);
    let warnings = decision.findings.iter().filter(|finding| finding.mode == Mode::Warn);
    assert_eq!(warnings.count(), found.raw.len(), "{manifest}");
    assert!(decision.permit.is_some(), "{manifest}");
    spoken(&found)
}

#[test]
fn what_looks_like_a_reference_and_is_in_no_catalogue_is_a_warning() {
    let policy = fixture::policy(ENTRIES);
    let pod = "containers: [{env: [{valueFrom: {secretKeyRef: {name: x, key: k}}}], envFrom: [{configMapRef: {name: c}}]}], volumes: [{secret: {secretName: v}}]";
    let rows = [
        (
            format!("{{apiVersion: new.io/v1, kind: Thing, metadata: {{namespace: guarded}}, spec: {{template: {{spec: {{{pod}}}}}}}}}"),
            vec![
                "$.spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name",
                "$.spec.template.spec.containers[0].envFrom[0].configMapRef.name",
                "$.spec.template.spec.volumes[0].secret.secretName",
            ],
        ),
        (
            "{apiVersion: new.io/v1, kind: Thing, metadata: {namespace: guarded}, spec: {dbSecretRef: d, imagePullSecrets: [p, {name: q}], configMapName: c}}".to_owned(),
            vec!["$.spec.configMapName", "$.spec.dbSecretRef", "$.spec.imagePullSecrets[0]", "$.spec.imagePullSecrets[1].name"],
        ),
        // Elsewhere, or in what Pinfold or the policy knows, or what can't be a name.
        ("{apiVersion: new.io/v1, kind: Thing, metadata: {namespace: a}, spec: {secretName: x}}".to_owned(), vec![]),
        ("{apiVersion: new.io/v1, kind: Thing, metadata: {namespace: guarded}, spec: {secret: hunter2, secretName: 'No Name', secretRef: null}}".to_owned(), vec![]),
        ("{apiVersion: new.io/v1, kind: Thing, metadata: {namespace: guarded, labels: {secretName: x}}, status: {secretName: x}}".to_owned(), vec![]),
        ("{apiVersion: example.io/v1, kind: Many, metadata: {namespace: guarded}, spec: {aSecretRef: {name: x}, secretName: y}}".to_owned(), vec!["$.spec.secretName"]),
        ("{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {namespace: guarded}, spec: {secretName: x}}".to_owned(), vec![]),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {namespace: guarded}, data: {secretName: x}}".to_owned(), vec![]),
    ];
    for (manifest, expected) in rows {
        let mut expected: Vec<String> =
            expected.iter().map(|p| format!("PF-SEC-001 {p}")).collect();
        expected.sort();
        assert_eq!(warned(&policy, &manifest), expected, "{manifest}");
    }
}

#[test]
fn a_warning_says_what_to_add_and_how_many_there_are_is_bounded() {
    let policy = fixture::policy("{}");
    let thing = "{apiVersion: new.io/v1, kind: Thing, metadata: {namespace: guarded}, spec: {of: [{secretName: x}]}}";
    let facts = request("dev", &value(thing), None);
    let view = fixture::view(GUARDED);
    let found = fixture::found(super::super::judge, &facts, &view, &policy);
    assert_eq!(
        found.raw[0].message,
        "`x` looks like the name of a Secret, at a field of Thing.new.io that neither Pinfold nor the policy's `references` know"
    );
    assert_eq!(
        found.raw[0].remedy,
        "if it is one, add to `references`: match {apiGroups: [new.io], kinds: [Thing]}, kind Secret, name `$.spec.of[*].secretName`"
    );
    let mut many = value(thing);
    many["spec"]["of"] = json!(vec![json!({"secretName": "x"}); 50]);
    let found = fixture::found(super::super::judge, &request("dev", &many, None), &view, &policy);
    assert_eq!(found.raw.len(), 8);
    many["spec"]["of"] = json!(vec![json!({"a": 1}); 150_000]);
    let found = fixture::found(super::super::judge, &request("dev", &many, None), &view, &policy);
    assert_eq!(spoken(&found), ["PF-SEC-001 $"]);
}

#[test]
fn a_secret_that_is_relabelled_while_it_is_named_is_told_by_a_scan() {
    let policy = fixture::policy("{}");
    let stored = value(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: a}, spec: {template: {spec: {volumes: [{secret: {secretName: token}}]}}}}",
    );
    for (organization, told) in [("acme", 0), ("beta", 1)] {
        let secret = format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: token, namespace: a, labels: {{krate.a5c.ai/org: {organization}}}}}}}"
        );
        let view = fixture::view(&format!("{GUARDED}{secret}"));
        let scan = Scan { policy: &policy, view: &view, now: fixture::NOW, all_bindings: true };
        let facts = creation(object(&stored), Some(stored.clone()));
        let judged = scan.judge(&facts, Depth::Whole);
        let rules = judged.findings.iter().map(|weighed| &weighed.finding.rule);
        let found = rules.filter(|rule| **rule == RuleId::SEC_CROSS_ORGANIZATION).count();
        assert_eq!(found, told, "{organization}");
    }
}
