//! `pinfold scan` over files, as a user runs it.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on stops where it stands"
)]

use std::fs;
use std::path::Path;

use clap::Parser;
use pinfold::{Arguments, Outcome, run};
use serde_json::Value;
use tempfile::TempDir;

/// Two organizations, an agent of acme, a bad binding among good ones, a Deployment with what controllers made of it.
const CLUSTER: &str = r#"
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: acme, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: "true"}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: globex, labels: {krate.a5c.ai/org: globex}}}
- {apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: coder, namespace: acme}, spec: {namespace: acme, serviceAccountName: coder}}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: cluster-admin}, rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: agents-are-admins}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
  subjects: [{kind: ServiceAccount, name: coder, namespace: acme}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: people}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
  subjects: [{kind: User, name: ann}]
- apiVersion: networking.k8s.io/v1
  kind: Ingress
  metadata: {name: gate, namespace: acme, annotations: {nginx.ingress.kubernetes.io/auth-secret: globex/passwords}}
  spec: {}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, namespace: acme, uid: d}
  spec: {template: {spec: {securityContext: {runAsUser: 1000}, containers: [{name: a, image: "x:1"}]}}}
- &replicas
  apiVersion: apps/v1
  kind: ReplicaSet
  metadata: {name: web-1, namespace: acme, uid: r, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}]}
  spec: {template: {spec: {securityContext: {runAsUser: 1000}, containers: [{name: a, image: "x:1"}]}}}
"#;

const POLICY: &str = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: own}
spec:
  # What pods' confinement is about is tried elsewhere.
  inject: {profile: none}
  rules: [{id: PF-POD-002, mode: "off"}]
  custom:
  - {id: registry, match: {kinds: [Pod]}, deny: {path: "$.spec.containers[*].image", startsWith: "x:", message: "use our registry"}}
  - {id: registry-of-templates, match: {kinds: [Deployment, ReplicaSet]}, deny: {path: "$.spec.template.spec.containers[*].image", startsWith: "x:", message: "use our registry"}}
"#;

const PODS: usize = 500;

fn pods() -> String {
    let pod = |number: usize| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: web-1-{number}, namespace: acme, ownerReferences: [{{apiVersion: apps/v1, \
             kind: ReplicaSet, name: web-1, uid: r, controller: true}}]}}, spec: {{containers: [{{name: a, image: 'x:1'}}]}}}}\n"
        )
    };
    (0..PODS).map(pod).collect()
}

fn folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let cluster = folder.path().join("cluster");
    fs::create_dir(&cluster).expect("a folder");
    fs::write(cluster.join("objects.yaml"), CLUSTER).expect("a file");
    fs::write(cluster.join("pods.yaml"), pods()).expect("a file");
    fs::write(folder.path().join("policy.yaml"), POLICY).expect("a file");
    folder
}

fn scan(folder: &Path, line: &str) -> (Outcome, String, String) {
    // The baseline without injection, unless the case has a policy of its own: no pod here has a sidecar.
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/library");
    let policies = ["baseline.yaml", "references.yaml", "tests/policies/unconfined.yaml"];
    let baseline = policies.map(|file| format!("-p {library}/{file}")).join(" ");
    let policy = if line.contains("-p ") { "" } else { baseline.as_str() };
    let words = format!("pinfold scan --cluster @cluster {policy} {line}");
    let words = words.split_whitespace().map(|word| match word.strip_prefix('@') {
        Some(name) => folder.join(name).display().to_string(),
        None => word.to_owned(),
    });
    let arguments = Arguments::try_parse_from(words).expect("a command line");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = run(&arguments, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (outcome, text(out), text(err))
}

fn json(folder: &Path, line: &str) -> (Outcome, Value) {
    let (outcome, out, err) = scan(folder, &format!("-o json {line}"));
    (outcome, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}")))
}

/// `DANGER KIND NAME` of each object.
fn told(document: &Value) -> Vec<String> {
    let objects = document["objects"].as_array().expect("objects").iter();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    objects
        .map(|one| {
            let (danger, object) = (text(&one["danger"]), &one["object"]);
            format!("{danger} {} {}", text(&object["kind"]), text(&object["name"]))
        })
        .collect()
}

#[test]
fn the_worst_comes_first_and_honest_objects_not_at_all() {
    let folder = folder();
    let (outcome, document) = json(folder.path(), "");
    assert_eq!(outcome, Outcome::Denied);
    let expected = ["critical ClusterRoleBinding agents-are-admins", "high Ingress gate"];
    assert_eq!(told(&document), expected, "{document:#}");
    let binding = &document["objects"][0]["findings"][0];
    assert_eq!(binding["leadsTo"], "cluster-wide: does everything");
    let summary = &document["summary"];
    assert_eq!(summary["objects"], 9 + PODS);
    assert_eq!((&summary["refused"], &summary["complete"]), (&2.into(), &true.into()));
    let unjudged: Vec<_> = document["notJudged"].as_array().expect("a list").iter().collect();
    let count = |rule: &str| unjudged.iter().find(|entry| entry["rule"] == rule);
    assert_eq!(count("PF-RBAC-002").expect("said")["objects"], 2, "who bound isn't known");
    let again = json(folder.path(), "").1;
    assert_eq!(again["objects"], document["objects"], "the order is stable");
}

#[test]
fn what_controllers_made_is_told_once_with_a_count() {
    let folder = folder();
    let (_, document) =
        json(folder.path(), "-p @policy.yaml --rules registry,registry-of-templates");
    assert_eq!(told(&document), ["low Deployment web"], "{document:#}");
    let findings = &document["objects"][0]["findings"];
    let made = |rule: &str| {
        let findings = findings.as_array().expect("findings").iter();
        findings
            .filter(|finding| finding["rule"] == rule)
            .map(|finding| finding["made"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(made("registry"), [serde_json::json!({"Pod": PODS})]);
    assert_eq!(made("registry-of-templates"), [serde_json::json!({"ReplicaSet": 1})]);
    assert_eq!(document["summary"]["refused"], 1);
}

#[test]
fn filters_narrow_the_answer_and_the_exit_code() {
    let folder = folder();
    let cases = [
        (
            "--min-danger critical",
            Outcome::Denied,
            vec!["critical ClusterRoleBinding agents-are-admins"],
        ),
        ("--min-danger high -n acme", Outcome::Denied, vec!["high Ingress gate"]),
        ("--rules PF-SEC-001", Outcome::Denied, vec!["high Ingress gate"]),
        ("-n globex", Outcome::Passed, vec![]),
        ("--rules PF-TRU-001", Outcome::Passed, vec![]),
    ];
    for (line, expected, objects) in cases {
        let (outcome, document) = json(folder.path(), line);
        // Where the cluster's bindings are not looked at, the identity tells what it holds.
        let told = told(&document).into_iter().filter(|line| !line.contains("AgentServiceAccount"));
        assert_eq!(
            (outcome, told.collect::<Vec<_>>()),
            (expected, objects.iter().map(|one| (*one).to_owned()).collect()),
            "{line}"
        );
    }
    for (line, said) in [
        ("-n acem", "no namespace `acem`"),
        ("--rules PF-RBAC-04", "did you mean `PF-RBAC-004`"),
        ("--rules registry", "no rule `registry`"),
    ] {
        let (outcome, _, err) = scan(folder.path(), line);
        assert_eq!(outcome, Outcome::Undecided, "{line}");
        assert!(err.contains(said), "{line}: {err}");
    }
}

#[test]
fn the_table_tells_people_what_why_and_what_not() {
    let folder = folder();
    let (outcome, out, _) = scan(folder.path(), "");
    assert_eq!(outcome, Outcome::Denied);
    for part in [
        "critical ClusterRoleBinding.rbac.authorization.k8s.io agents-are-admins",
        "gives more, cluster-wide: does everything",
        "PF-SEC-001 $.metadata.annotations['nginx.ingress.kubernetes.io/auth-secret']",
        "    fix: ",
        "objects.yaml:",
        "509 objects looked at in ",
        "500 Pod, 2 ClusterRoleBinding",
        "2 would be refused (1 critical, 1 high)",
        "not judged: PF-RBAC-002 on 2 objects: who made an object isn't stored in it",
    ] {
        assert!(out.contains(part), "no `{part}` in {out}");
    }
}

#[test]
fn nothing_in_an_object_steers_the_terminal() {
    let folder = folder();
    let evil = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: \"a\\e[2Jb\"}, roleRef: {apiGroup: \
                rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, subjects: [{kind: ServiceAccount, name: coder, namespace: acme}]}";
    fs::write(folder.path().join("cluster/evil.yaml"), evil).expect("a file");
    let (_, out, _) = scan(folder.path(), "");
    assert!(out.contains("a\u{fffd}[2Jb") && !out.contains('\u{1b}'), "{out}");
}

#[test]
fn reports_are_cut_with_a_note_and_count_everything() {
    let folder = folder();
    let ingress = |number: usize| {
        format!(
            "---\n{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: i{number}, namespace: acme, annotations: \
             {{nginx.ingress.kubernetes.io/auth-secret: globex/passwords}}}}, spec: {{}}}}\n"
        )
    };
    let many: String = (0..600).map(ingress).collect();
    fs::write(folder.path().join("cluster/many.yaml"), many).expect("a file");
    for (format, namespaced, whole) in [
        ("policyreport", "PolicyReport", "ClusterPolicyReport"),
        ("openreports", "Report", "ClusterReport"),
    ] {
        let (outcome, out, err) = scan(folder.path(), &format!("-o {format}"));
        assert_eq!(outcome, Outcome::Denied, "{err}");
        let reports: Vec<&str> = out.split("---\n").filter(|report| !report.is_empty()).collect();
        let [cluster, acme] = reports.as_slice() else { panic!("{} reports", reports.len()) };
        assert!(cluster.contains(&format!("\nkind: {whole}\n")), "{cluster}");
        assert!(
            acme.contains(&format!("\nkind: {namespaced}\n")) && acme.contains("namespace: acme")
        );
        assert!(acme.len() < 256 * 1024, "{} bytes", acme.len());
        assert!(acme.contains("  fail: 601\n"), "all are counted");
        assert!(acme.contains("more results are left out"), "the cut is told");
        assert!(acme.contains("pinfold.dev/results-left-out: "), "the cut is told to programs");
        assert!(!cluster.contains("left out"), "{cluster}");
    }
}
