//! Measures how often the set is wrong on manifests of others: `PINFOLD_CORPUS=DIR cargo test -p pinfold-engine corpus -- --ignored --nocapture`.
//! docs/credentials.md says on which, and what came out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pinfold_model::document::{Dialect, Node, read};
use pinfold_model::policy::literals::Literals;
use serde_json::Value;

use super::super::describe;
use super::super::walk::{Parts, look};

#[test]
#[ignore = "needs a folder of manifests, which isn't part of the repository"]
fn corpus() {
    let folder =
        std::env::var("PINFOLD_CORPUS").expect("PINFOLD_CORPUS names a folder of manifests");
    let literals = Literals::default();
    let mut files = Vec::new();
    collect(Path::new(&folder), &mut files);
    files.sort();
    let (mut manifests, mut values, mut kinds) =
        (0_usize, 0_usize, BTreeMap::<String, usize>::new());
    for file in &files {
        for (index, value) in documents(file).iter().enumerate() {
            let Some(kind) = kind_of(value) else { continue };
            manifests += 1;
            values += count(value);
            *kinds.entry(kind).or_default() += 1;
            for hit in look(value, parts_of(value), &literals).hits {
                println!("{}#{index} {} {}", file.display(), hit.path, describe(&hit));
            }
        }
    }
    println!("{manifests} manifests, {values} values, {kinds:?}");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// The documents of a file that are YAML; templates aren't.
fn documents(file: &Path) -> Vec<Value> {
    let Ok(text) = std::fs::read_to_string(file) else { return Vec::new() };
    let parts = text.split("\n---");
    let one = |part: &str| {
        let nodes = read("manifest", part.trim_start_matches('-'), Dialect::Manifest).ok()?;
        nodes.first().map(Node::to_json)
    };
    parts.filter_map(one).collect()
}

fn kind_of(value: &Value) -> Option<String> {
    value.get("apiVersion")?.as_str()?;
    value.get("kind")?.as_str().map(str::to_owned)
}

fn count(value: &Value) -> usize {
    match value {
        Value::String(_) => 1,
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// As if every manifest were of agents.
fn parts_of(value: &Value) -> Parts {
    match value["kind"].as_str() {
        Some("ConfigMap") => Parts::ConfigMap,
        Some("Secret") => Parts::Secret,
        _ => Parts::Everything,
    }
}
