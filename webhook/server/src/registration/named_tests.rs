//! Cases of the entry for what a policy names.

use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;
use serde_json::{Value, json};

use super::*;

fn served(all: &[(&str, &str, &str, bool)]) -> Vec<Served> {
    let one = |&(group, kind, plural, namespaced): &(&str, &str, &str, bool)| Served {
        group: group.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced,
    };
    all.iter().map(one).collect()
}

fn policy(spec: &str) -> AdmissionPolicy {
    let text = format!(
        "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: p}}\nspec: {{{spec}}}\n"
    );
    let files = [SourceFile { name: "p.yaml".to_owned(), text }];
    load(&files).unwrap_or_else(|errors| panic!("{spec}: {errors:?}")).admission.unwrap()
}

fn rules(spec: &str, served: &[Served]) -> Vec<Value> {
    let desired = Desired::built_in().unwrap();
    let entry = entry(desired.validating(), &policy(spec), served);
    entry.map(|entry| entry["rules"].as_array().unwrap().clone()).unwrap_or_default()
}

fn rule(group: &str, resources: &[&str], scope: &str) -> Value {
    json!({"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": resources, "scope": scope})
}

fn custom(applies: &str) -> String {
    format!(
        "custom: [{{id: no-b, match: {applies}, deny: {{path: $.spec.a, equals: b, message: m}}}}]"
    )
}

fn reference(applies: &str) -> String {
    format!("references: [{{match: {applies}, kind: Secret, name: $.spec.a}}]")
}

#[test]
fn what_is_named_and_not_covered_is_sent() {
    let cluster = served(&[
        ("", "Pod", "pods", true),
        ("", "Event", "events", true),
        ("apps", "Deployment", "deployments", true),
        ("batch", "Job", "jobs", true),
        ("example.com", "Thing", "things", true),
        ("example.com", "Other", "others", true),
        ("example.com", "ClusterThing", "clusterthings", false),
        ("example.org", "Thing", "thingies", true),
        ("tekton.dev", "TaskRun", "taskruns", true),
        ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false),
        ("krate.a5c.ai", "AgentStack", "agentstacks", true),
        ("networking.k8s.io", "Ingress", "ingresses", true),
        ("", "Secret", "secrets", true),
        ("", "Service", "services", true),
        ("serving.knative.dev", "Service", "services", true),
    ]);
    let things = || vec![rule("example.com", &["things"], "Namespaced")];
    let cases = [
        // By group and kind, under the plural that the cluster says.
        ("{apiGroups: [example.com], kinds: [Thing]}", things()),
        (
            "{apiGroups: [example.org], kinds: [Thing]}",
            vec![rule("example.org", &["thingies"], "Namespaced")],
        ),
        (
            "{kinds: [Thing]}",
            vec![
                rule("example.com", &["things"], "Namespaced"),
                rule("example.org", &["thingies"], "Namespaced"),
            ],
        ),
        // A whole group: both scopes, each in a rule of its own.
        (
            "{apiGroups: [example.com]}",
            vec![
                rule("example.com", &["clusterthings"], "Cluster"),
                rule("example.com", &["others", "things"], "Namespaced"),
            ],
        ),
        ("{apiGroups: [example.com], namespaces: ['?*'], kinds: [Thing, ClusterThing]}", things()),
        // What ships covers these, or the cluster hasn't got them.
        ("{apiGroups: [''], kinds: [Pod]}", vec![]),
        ("{kinds: [Deployment, Job, Ingress, TaskRun, AgentStack, ClusterRole]}", vec![]),
        ("{apiGroups: [missing.example.com]}", vec![]),
        ("{kinds: [Nothing]}", vec![]),
        // Only what is named, also in Kubernetes' own groups.
        ("{apiGroups: [''], kinds: [Event]}", vec![rule("", &["events"], "Namespaced")]),
        // Of these the entry of agents sends few, and only of the core group.
        ("{apiGroups: [''], kinds: [Secret]}", vec![rule("", &["secrets"], "Namespaced")]),
        ("{kinds: [Service]}", vec![rule("", &["services"], "Namespaced")]),
        ("{apiGroups: [serving.knative.dev]}", vec![]),
        // Everything is nothing in particular.
        ("{namespaces: [acme]}", vec![]),
    ];
    for (applies, expected) in cases {
        for spec in [custom(applies), reference(applies)] {
            assert_eq!(rules(&spec, &cluster), expected, "{spec}");
        }
    }
    let provenance = "trust: {provenance: [{match: {apiGroups: [example.com], kinds: [Thing]}, repository: $.spec.r, ref: $.spec.ref, forksRunElsewhere: true}]}";
    assert_eq!(rules(provenance, &cluster), things());
    assert!(rules("mode: enforce", &cluster).is_empty());
}

#[test]
fn the_entry_is_that_of_agents_and_the_same_in_every_order() {
    let desired = Desired::built_in().unwrap();
    let policy = policy(&custom("{kinds: [Thing]}"));
    let mut cluster = served(&[
        ("b.example.com", "Thing", "things", true),
        ("a.example.com", "Thing", "things", true),
    ]);
    cluster.sort();
    let made = entry(desired.validating(), &policy, &cluster).unwrap();
    let template =
        desired.validating().entries.iter().find(|one| name_of(one) == TEMPLATE).unwrap();
    for field in
        ["namespaceSelector", "failurePolicy", "clientConfig", "timeoutSeconds", "sideEffects"]
    {
        assert_eq!(made[field], template[field], "{field}");
    }
    assert_eq!(made["name"], POLICY_ENTRY);
    let names = |entry: &Value| -> Vec<String> {
        let conditions = entry["matchConditions"].as_array().unwrap();
        conditions.iter().map(|one| name_of(one).to_owned()).collect()
    };
    let (mut kept, sifting) = (names(template), SIFTED.map(|(_, name)| name));
    assert!(sifting.iter().all(|name| kept.iter().any(|kept| kept == name)), "{kept:?}");
    kept.retain(|name| !sifting.contains(&name.as_str()));
    assert_eq!(names(&made), kept);
    let with = desired.with(Some(made));
    assert_eq!(with.validating().entries.len(), desired.validating().entries.len() + 1);
    assert_eq!(
        with.with(None).validating().entries,
        with.validating().entries,
        "nothing is taken away"
    );
}

/// What the policies that ship name is in the manifests, whatever of it a cluster has.
#[test]
fn what_ships_covers_what_the_library_names() {
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/library");
    let files: Vec<SourceFile> = ["baseline.yaml", "references.yaml"]
        .iter()
        .map(|name| SourceFile {
            name: (*name).to_owned(),
            text: std::fs::read_to_string(format!("{library}/{name}")).unwrap(),
        })
        .collect();
    let policy = load(&files).unwrap().admission.unwrap();
    let desired = Desired::built_in().unwrap();
    let mut groups: Vec<String> = Vec::new();
    for rule in matches(&policy) {
        // Kinds of any group are named for groups that nobody knows beforehand.
        groups.extend(rule.api_groups.iter().cloned());
    }
    groups.retain(|group| !group.is_empty());
    let cluster: Vec<Served> =
        groups.iter().flat_map(|group| served(&[(group, "Any", "anything", true)])).collect();
    // Naming one of these would send all that there are.
    let plain = served(&[("", "Secret", "secrets", true), ("", "Service", "services", true)]);
    assert!(entry(desired.validating(), &policy, &plain).is_none());
    assert!(groups.len() > 20);
    let left = entry(desired.validating(), &policy, &cluster);
    let named = |entry: &Value| entry["rules"].to_string();
    let cluster_scoped = [
        "apiextensions.crossplane.io",
        "ops.crossplane.io",
        "kubernetes.crossplane.io",
        "helm.crossplane.io",
    ];
    let left = left.map(|entry| named(&entry)).unwrap_or_default();
    for group in groups.iter().filter(|group| !cluster_scoped.contains(&group.as_str())) {
        assert!(!left.contains(&format!("\"{group}\"")), "{group} is in no entry that ships");
    }
}
