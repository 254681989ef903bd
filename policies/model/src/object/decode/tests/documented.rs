//! `docs/references.md` and the decoder list the same fields.

use serde_json::{Value, json};

use super::{POD_FIELDS, TEMPLATES, around, at_path, references, referrer::VOLUME_FIELDS};
use crate::object::decode::annotated::{INGRESS_CONFIG_MAPS, INGRESS_SECRETS};

const PAGE: &str = include_str!("../../../../../../docs/references.md");

/// The cells of the tables below a heading, without their headers and backticks.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(heading));
    let lines = section.expect(heading).lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &'static str| line.trim_matches(['|', ' ']).split(" | ").collect::<Vec<_>>();
    lines
        .map(cells)
        .map(|row| row.into_iter().map(|cell| cell.trim_matches('`')).collect())
        .collect()
}

/// The fields of a pod's spec, and where that is.
fn pods() -> (Vec<Vec<&'static str>>, Vec<Vec<&'static str>>) {
    rows("Pods").into_iter().partition(|row| row.len() == 2)
}

fn check(manifest: &Value, names: &str, field: &str) {
    let found = references(manifest);
    let [found] = found.as_slice() else { panic!("{field}: {found:?} of {manifest}") };
    assert!(found.starts_with(names) && found.contains("/x at "), "{field}: {found}");
}

fn manifest(version: &str, kind: &str, path: &str, more: Option<(&str, Value)>) -> Value {
    let mut manifest = at_path(&path.replace("[*]", "[1]"), json!("x"));
    if let Some((name, value)) = more {
        manifest["spec"]["boundObjectRef"][name] = value;
    }
    manifest["apiVersion"] = json!(version);
    manifest["kind"] = json!(kind);
    manifest
}

#[test]
fn every_field_of_the_page_is_read() {
    let (fields, templates) = pods();
    assert_eq!((fields.len(), templates.len()), (26, 20));
    for template in &templates {
        let steps: Vec<&str> = template[2].split('.').collect();
        for field in &fields {
            let spec = at_path(&field[0].replace("[*]", "[1]"), json!("x"));
            check(&around(template[0], template[1], &steps, spec), field[1], field[0]);
        }
    }
    for row in rows("Volumes") {
        let path = |below: &str| format!("{below}.{}", row[0]);
        check(&manifest("v1", "PersistentVolume", &path("spec"), None), row[1], row[0]);
        let inline = path("spec.source.inlineVolumeSpec");
        check(&manifest("storage.k8s.io/v1", "VolumeAttachment", &inline, None), row[1], row[0]);
    }
    for row in rows("Parameters") {
        let object = json!({"apiVersion": row[0], "kind": row[1], "parameters": {row[2]: "x"}});
        check(&object, "Secret", row[2]);
    }
    for row in rows("Annotations") {
        let metadata = json!({"name": "n", "annotations": {row[2]: "x"}});
        let object =
            json!({"apiVersion": row[0], "kind": row[1], "metadata": metadata, "spec": {}});
        check(&object, row[3], row[2]);
    }
    for row in rows("Other kinds") {
        let kind = (row[1] == "TokenRequest").then(|| ("kind", json!("Secret")));
        check(&manifest(row[0], row[1], row[2], kind), "", row[2]);
    }
}

#[test]
fn every_field_that_is_read_is_on_the_page() {
    let (fields, templates) = pods();
    let generic = |path: &str| {
        path.split('[')
            .map(|part| {
                part.split_once(']').map_or(part.to_owned(), |(_, rest)| format!("*]{rest}"))
            })
            .collect::<Vec<_>>()
            .join("[")
    };
    for (names, field) in POD_FIELDS {
        let field = generic(field);
        assert!(fields.iter().any(|row| row[0] == field && row[1] == names), "{field}");
    }
    for (version, kind, steps) in TEMPLATES {
        let path = steps.join(".");
        assert!(templates.iter().any(|row| *row == [version, kind, &path]), "{kind}");
    }
    for (field, name) in VOLUME_FIELDS {
        let field = format!("{field}.{name}");
        assert!(rows("Volumes").iter().any(|row| row[0] == field), "{field}");
    }
    let listed = rows("Annotations");
    for (names, table) in [("Secret", &INGRESS_SECRETS[..]), ("ConfigMap", &INGRESS_CONFIG_MAPS)] {
        for (prefix, keys) in table {
            for key in *keys {
                let key = format!("{prefix}/{key}");
                let is_listed = listed.iter().any(|row| row[2] == key && row[3] == names);
                assert!(is_listed, "{key}");
            }
        }
    }
}
