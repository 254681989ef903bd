//! What counts as a change of the registration, and what doesn't; and that what ships can be read.

use std::io::Write as _;

use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::registration::desired::{Desired, Service};
use crate::registration::restore::with_bundles;

fn desired() -> Desired {
    Desired::built_in().unwrap()
}

/// The configuration as the API server would return it: defaults filled in, with a CA.
fn stored(configuration: Configuration) -> DynamicObject {
    let wanted = desired().of_configuration(configuration).clone();
    let known = Bundles::from([("any".to_owned(), "Q0E=".to_owned())]);
    let entries = with_bundles(&wanted, &known, &Bundles::new());
    serde_json::from_value(json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": configuration.kind(),
        "metadata": {"name": "pinfold", "labels": {"site": "1", "app.kubernetes.io/part-of": "pinfold"}},
        "webhooks": entries,
    }))
    .unwrap()
}

fn differences(found: Option<&DynamicObject>, bundles: &Bundles) -> Vec<(Change, String)> {
    let wanted = desired();
    let configuration = Configuration::Validating;
    let wanted = wanted.of_configuration(configuration);
    let all = Standard { configuration, wanted, bundles }.differences(found);
    all.into_iter().map(|difference| (difference.change, difference.path)).collect()
}

type Edit = fn(&mut Value);
type Touch = fn(&mut DynamicObject);

/// An edit of `webhooks[0]`, and what it is taken for.
const EDITS: &[(&str, Edit, Change, &str)] = &[
    ("emptied", |all| *all = json!([]), Change::Emptied, "webhooks"),
    ("null", |all| *all = Value::Null, Change::Emptied, "webhooks"),
    (
        "an entry is gone",
        |all| drop(all.as_array_mut().unwrap().remove(0)),
        Change::EntryMissing,
        "webhooks[boundary.pinfold.dev]",
    ),
    (
        "an entry of somebody else",
        |all| {
            let mut copy = all[0].clone();
            copy["name"] = json!("spy.example.com");
            all.as_array_mut().unwrap().push(copy);
        },
        Change::EntryAdded,
        "webhooks[spy.example.com]",
    ),
    (
        "a rule is gone",
        |all| drop(all[0]["rules"].as_array_mut().unwrap().remove(0)),
        Change::Rules,
        "webhooks[boundary.pinfold.dev].rules[0]",
    ),
    (
        "an operation is gone",
        |all| all[0]["rules"][0]["operations"] = json!(["CREATE"]),
        Change::Rules,
        "webhooks[boundary.pinfold.dev].rules[0].operations[1]",
    ),
    (
        "the scope of a rule",
        |all| all[0]["rules"][2]["scope"] = json!("Namespaced"),
        Change::Rules,
        "webhooks[boundary.pinfold.dev].rules[2].scope",
    ),
    (
        "Ignore",
        |all| all[0]["failurePolicy"] = json!("Ignore"),
        Change::FailurePolicy,
        "webhooks[boundary.pinfold.dev].failurePolicy",
    ),
    (
        "a condition more",
        |all| {
            let never = json!({"name": "never", "expression": "false"});
            all[0]["matchConditions"].as_array_mut().unwrap().push(never);
        },
        Change::MatchConditions,
        "webhooks[boundary.pinfold.dev].matchConditions",
    ),
    (
        "a namespace selector",
        |all| all[0]["namespaceSelector"] = json!({"matchLabels": {"a": "b"}}),
        Change::NamespaceSelector,
        "webhooks[boundary.pinfold.dev].namespaceSelector.matchLabels",
    ),
    (
        "an object selector",
        |all| all[0]["objectSelector"] = json!({"matchLabels": {"a": "b"}}),
        Change::ObjectSelector,
        "webhooks[boundary.pinfold.dev].objectSelector.matchLabels",
    ),
    (
        "another path",
        |all| all[0]["clientConfig"]["service"]["path"] = json!("/healthz"),
        Change::Client,
        "webhooks[boundary.pinfold.dev].clientConfig.service.path",
    ),
    (
        "another program",
        |all| {
            let bundle = all[0]["clientConfig"]["caBundle"].clone();
            all[0]["clientConfig"] = json!({"url": "https://allow.example", "caBundle": bundle});
        },
        Change::Client,
        "webhooks[boundary.pinfold.dev].clientConfig.",
    ),
    (
        "another match policy",
        |all| all[0]["matchPolicy"] = json!("Exact"),
        Change::Other,
        "webhooks[boundary.pinfold.dev].matchPolicy",
    ),
    (
        "another time",
        |all| all[0]["timeoutSeconds"] = json!(1),
        Change::Other,
        "webhooks[boundary.pinfold.dev].timeoutSeconds",
    ),
];

#[test]
fn every_change_is_found_and_named() {
    for (what, edit, change, path) in EDITS {
        let mut found = stored(Configuration::Validating);
        edit(&mut found.data["webhooks"]);
        let all = differences(Some(&found), &Bundles::new());
        let [(kind, place)] = all.as_slice() else { panic!("{what}: {all:?}") };
        assert_eq!(kind, change, "{what}");
        assert!(place.starts_with(path), "{what}: {place}");
    }
    let gone = differences(None, &Bundles::new());
    assert_eq!(gone, [(Change::Deleted, "$".to_owned())]);
    let mut found = stored(Configuration::Validating);
    found.metadata.labels = None;
    let lost = differences(Some(&found), &Bundles::new());
    let path = "metadata.labels[app.kubernetes.io/part-of]".to_owned();
    assert_eq!(lost, [(Change::Labels, path)]);
}

#[test]
fn what_the_api_server_and_others_fill_in_is_no_change() {
    let none = Bundles::new();
    let cases: &[(&str, Touch)] = &[
        ("as it is", |_| {}),
        ("no CA yet", |found| {
            for entry in found.data["webhooks"].as_array_mut().unwrap() {
                entry["clientConfig"].as_object_mut().unwrap().remove("caBundle");
            }
        }),
        ("another CA", |found| {
            found.data["webhooks"][0]["clientConfig"]["caBundle"] = json!("Qg==");
        }),
        ("another order", |found| found.data["webhooks"].as_array_mut().unwrap().reverse()),
        ("defaults", |found| {
            let entry = &mut found.data["webhooks"][0];
            entry["objectSelector"] = json!({});
            entry["namespaceSelector"] = json!({});
            entry["clientConfig"]["service"]["port"] = json!(443);
        }),
        ("labels and annotations of a deployment tool", |found| {
            found.metadata.annotations = Some([("tool".to_owned(), "x".to_owned())].into());
        }),
    ];
    for (what, edit) in cases {
        let mut found = stored(Configuration::Validating);
        edit(&mut found);
        assert_eq!(differences(Some(&found), &none), [], "{what}");
    }
}

#[test]
fn a_ca_that_must_be_there_is() {
    let found = stored(Configuration::Validating);
    let name = "boundary.pinfold.dev".to_owned();
    let same = Bundles::from([(name.clone(), "Q0E=".to_owned())]);
    assert_eq!(differences(Some(&found), &same), []);
    let other = Bundles::from([(name, "Qg==".to_owned())]);
    let path = "webhooks[boundary.pinfold.dev].clientConfig.caBundle".to_owned();
    assert_eq!(differences(Some(&found), &other), [(Change::CaBundle, path)]);
}

#[test]
fn what_is_restored_keeps_the_ca_that_was_there() {
    let wanted = desired().of_configuration(Configuration::Validating).clone();
    let name = name_of(&wanted.entries[0]).to_owned();
    let of = |text: &str| Bundles::from([(name.clone(), text.to_owned())]);
    let none = Bundles::new();
    for (known, now, expected) in [
        (of("good"), of("now"), Some("good")),
        (none.clone(), of("now"), Some("now")),
        (none.clone(), none.clone(), None),
        (Bundles::from([("another".to_owned(), "Q0E=".to_owned())]), none, Some("Q0E=")),
    ] {
        let entries = with_bundles(&wanted, &known, &now);
        assert_eq!(bundle_of(&entries[0]), expected, "{known:?} {now:?}");
        assert_eq!(entries.len(), wanted.entries.len());
    }
}

#[test]
fn a_file_is_read_strictly() {
    let built_in = std::fs::read_to_string("../../manifests/base/validating.yaml").unwrap();
    let mutating = std::fs::read_to_string("../../manifests/base/mutating.yaml").unwrap();
    let whole = format!("{built_in}\n---\n{mutating}");
    let read = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Desired::from_file(file.path()).map_err(|error| error.to_string())
    };
    assert_eq!(read(&whole).unwrap(), desired());
    let service = Service { namespace: "elsewhere", name: "gate" };
    let moved = desired().calling(service);
    let entry = &moved.of_configuration(Configuration::Mutating).entries[0];
    assert_eq!(entry["clientConfig"]["service"]["namespace"], "elsewhere");
    assert_eq!(entry["clientConfig"]["service"]["name"], "gate");
    let cases = [
        (built_in, "expected one MutatingWebhookConfiguration"),
        (whole.replace("failurePolicy:", "failurePolice:"), "failurePolice"),
        (whole.replacen("name: pinfold\n", "name: other\n", 1), "`other`"),
        (
            format!("{whole}\n---\n{{apiVersion: v1, kind: Secret, metadata: {{name: pinfold}}}}"),
            "`Secret`",
        ),
        (whole.replacen("timeoutSeconds: 5", "timeoutSeconds: five", 1), "expected i32"),
        (format!("{whole}\nkind: x\n"), "kind"),
    ];
    for (text, message) in cases {
        let error = read(&text).unwrap_err();
        assert!(error.contains(message), "{message}: {error}");
    }
    assert!(Desired::from_file("/nowhere".as_ref()).unwrap_err().to_string().contains("/nowhere"));
}

#[test]
fn a_scan_reads_what_is_sent_to_be_judged() {
    let sent = desired().sent();
    for (group, resource) in [
        ("", "pods"),
        ("", "namespaces"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("krate.a5c.ai", "*"),
        ("apps", "deployments"),
        ("networking.k8s.io", "ingresses"),
        ("argoproj.io", "*"),
    ] {
        assert!(sent[group].contains(resource), "{group} {resource}");
    }
    assert!(!sent.values().flatten().any(|resource| resource.contains('/')));
    assert!(!sent.contains_key("policy"), "what only guards Pinfold itself");
}
