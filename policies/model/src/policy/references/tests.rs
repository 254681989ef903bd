//! Cases of entries: what each form finds, what it refuses, and that an object meets its own kind's entries alone.

use serde_json::{Value, json};

use super::super::load;
use super::{References, Unreadable};
use crate::object::ObjectKey;
use crate::sources::SourceFile;

fn policy(entries: &str) -> Result<References, String> {
    let head = "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: p}";
    let text = format!("{head}\nspec:\n  references:\n{entries}");
    let set = load(&[SourceFile { name: "p.yaml".to_owned(), text }]);
    let set = set.map_err(|errors| errors.iter().map(ToString::to_string).collect::<String>())?;
    Ok(set.admission.expect("an AdmissionPolicy").references)
}

fn read(entry: &str, document: &Value) -> Result<Vec<String>, Unreadable> {
    let references = policy(&format!("  - {{match: {{}}, {entry}}}\n")).expect(entry);
    let field = references.iter().next().expect("an entry").clone();
    let mut found: Vec<String> = field
        .read(document)?
        .iter()
        .map(|r| format!("{} {}/{} at {}", r.kind, r.namespace, r.name, r.path))
        .collect();
    found.sort();
    Ok(found)
}

fn document() -> Value {
    json!({
        "metadata": {"annotations": {"x.io/auth": "team-b/basic", "x.io/own": "basic"}, "secretRef": {"name": "no"}},
        "status": {"secretRef": {"name": "no"}},
        "spec": {
            "from": [{"extract": {"key": "a", "namespace": "team-b"}}, {"extract": {"key": "b"}}, {"find": {}}],
            "values": [{"kind": "Secret", "name": "s"}, {"kind": "ConfigMap", "name": "c"}, {"kind": "Other", "name": "o"}, {"name": "d"}, {"kind": "", "name": "e"}],
            "auth": {"tokenSecretRef": {"name": "t", "namespace": "team-b", "key": "k"}, "caSecretRef": {"name": "ca"}, "userSecretRef": null},
            "deep": [[{"secretName": "n", "pull": [{"name": "p1"}, {"name": "p2"}, null, {}]}]],
            "empty": "", "number": 7, "odd": {"name": 7}, "x-y": {"secretName": "q"}}
    })
}

/// Entries and what they find in [`document`].
const FORMS: [(&str, &[&str]); 15] = [
    // All that are in a namespace.
    (
        "kind: Secret, at: '$.spec.from[*].extract', namespace: $.namespace",
        &["Secret team-b/ at $.spec.from[0].extract.namespace"],
    ),
    (
        "kind: Secret, at: '$.spec.from[*].extract', name: $.key, namespace: $.namespace",
        &[
            "Secret /b at $.spec.from[1].extract.key",
            "Secret team-b/a at $.spec.from[0].extract.key",
        ],
    ),
    // Without pairs: a namespace beside no name would be taken for all.
    (
        "kind: Secret, name: '$.spec.from[*].extract.key', namespace: '$.spec.from[*].extract.namespace'",
        &[
            "Secret /b at $.spec.from[1].extract.key",
            "Secret team-b/a at $.spec.from[0].extract.key",
        ],
    ),
    (
        "kind: Secret, at: '$.spec.values[*]', kindAt: $.kind",
        &[
            "ConfigMap /c at $.spec.values[1].name",
            "Secret /d at $.spec.values[3].name",
            "Secret /e at $.spec.values[4].name",
            "Secret /s at $.spec.values[0].name",
        ],
    ),
    (
        "at: '$.spec.values[*]', kindAt: $.kind, name: $.name",
        &["ConfigMap /c at $.spec.values[1].name", "Secret /s at $.spec.values[0].name"],
    ),
    (
        "kind: Secret, members: ['*SecretRef', secretRef]",
        &[
            "Secret /ca at $.spec.auth.caSecretRef.name",
            "Secret team-b/t at $.spec.auth.tokenSecretRef.name",
        ],
    ),
    (
        "kind: Secret, at: $.spec.auth, members: ['*SecretRef'], name: $.name",
        &[
            "Secret /ca at $.spec.auth.caSecretRef.name",
            "Secret /t at $.spec.auth.tokenSecretRef.name",
        ],
    ),
    (
        "kind: Secret, members: [secretName, pull]",
        &[
            "Secret /n at $.spec.deep[0][0].secretName",
            "Secret /p1 at $.spec.deep[0][0].pull[0].name",
            "Secret /p2 at $.spec.deep[0][0].pull[1].name",
            "Secret /q at $.spec['x-y'].secretName",
        ],
    ),
    (
        "kind: Secret, at: \"$.metadata.annotations['x.io/auth','x.io/own']\", nameForm: namespace/name",
        &[
            "Secret /basic at $.metadata.annotations['x.io/own']",
            "Secret team-b/basic at $.metadata.annotations['x.io/auth']",
        ],
    ),
    (
        "kind: ConfigMap, name: \"$.metadata.annotations['x.io/auth']\", nameForm: namespace/name",
        &["ConfigMap team-b/basic at $.metadata.annotations['x.io/auth']"],
    ),
    // A plain name keeps its slash: it leads nowhere, because no object is called so.
    (
        "kind: Secret, name: \"$.metadata.annotations['x.io/auth']\"",
        &["Secret /team-b/basic at $.metadata.annotations['x.io/auth']"],
    ),
    ("kind: Secret, at: $.spec.auth.userSecretRef", &[]),
    ("kind: Secret, at: $.spec.none, members: ['*']", &[]),
    ("kind: Secret, name: $.spec.empty", &[]),
    ("kind: Secret, at: '$.spec.from[2].find'", &[]),
];

#[test]
fn every_form_finds_its_names() {
    for (entry, expected) in FORMS {
        assert_eq!(read(entry, &document()).expect(entry), expected, "{entry}");
    }
}

#[test]
fn what_is_no_name_is_an_error_with_its_place() {
    let cases = [
        ("kind: Secret, name: $.spec.number", "$.spec.number"),
        ("kind: Secret, at: $.spec.number", "$.spec.number"),
        ("kind: Secret, at: $.spec.odd", "$.spec.odd.name"),
        ("kind: Secret, at: $.spec.odd, name: $.name", "$.spec.odd.name"),
        ("kind: Secret, members: [number]", "$.spec.number"),
        ("kind: Secret, at: $.spec, name: $.empty, namespace: $.number", "$.spec.number"),
        ("kind: Secret, at: $.spec, kindAt: $.auth", "$.spec.auth"),
        ("kind: Secret, at: $.spec.deep", "$.spec.deep"),
    ];
    for (entry, path) in cases {
        assert_eq!(read(entry, &document()).expect_err(entry).path, path, "{entry}");
    }
}

#[test]
fn entries_that_say_too_little_are_refused() {
    let cases = [
        ("kind: Secret", "spec.references[0]: missing field `name`"),
        ("name: $.a", "spec.references[0]: missing field `kind`"),
        (
            "kind: Secret, name: $.a, kindAt: $.b",
            "spec.references[0].kindAt: needs `at` or `members`",
        ),
        ("kind: Secret, name: $.a, nameForm: x", "spec.references[0].nameForm: unknown value `x`"),
    ];
    for (entry, expected) in cases {
        let error = policy(&format!("  - {{match: {{}}, {entry}}}\n")).expect_err(entry);
        assert!(error.contains(expected), "{entry}: {error}");
    }
    let many = vec!["a"; super::MEMBERS_MAX + 1].join(", ");
    let error = policy(&format!("  - {{match: {{}}, kind: Secret, members: [{many}]}}\n"));
    assert!(error.expect_err("too many").contains("expected at most 32 globs, found 33"));
}

#[test]
fn an_object_meets_the_entries_of_its_kind_in_the_order_of_the_policy() {
    let references = policy(
        "
  - {match: {apiGroups: [a.io], kinds: [X, Y]}, kind: Secret, name: $.one}
  - {match: {kinds: [X]}, kind: Secret, name: $.two}
  - {match: {apiGroups: [a.io, b.io]}, kind: Secret, name: $.three}
  - {match: {}, kind: Secret, name: $.four}
  - {match: {apiGroups: [a.io], kinds: [X], namespaces: [team-*]}, kind: Secret, name: $.five}
",
    )
    .expect("entries");
    let cases = [
        ("a.io", "X", "team-a", "$.one $.two $.three $.four $.five"),
        ("a.io", "X", "other", "$.one $.two $.three $.four"),
        ("a.io", "Y", "other", "$.one $.three $.four"),
        ("b.io", "Z", "other", "$.three $.four"),
        ("c.io", "X", "other", "$.two $.four"),
        ("", "Pod", "other", "$.four"),
    ];
    for (group, kind, namespace, expected) in cases {
        let key = ObjectKey::new(group, kind, namespace, "n");
        let roots: Vec<&str> = references.of(&key).map(|field| field.root().as_str()).collect();
        assert_eq!(roots.join(" "), expected, "{group} {kind} {namespace}");
    }
}
