//! The cases of `tests/boundary`: PolicyTest documents, and what is known of them at a real API server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use pinfold_model::document::{Dialect, read};
use pinfold_model::policy::test_case::{Case, PolicyTestDocument};
use serde_json::Value;

use crate::Outcome;
use crate::kubernetes::repository;
use crate::object::text;

/// One case and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The file's name.
    pub(crate) file: String,
    /// Whether the document gives the time itself, which no API server can be told.
    pub(crate) has_clock: bool,
    pub(crate) case: Case,
}

impl Known {
    pub(crate) fn name(&self) -> &str {
        &self.case.name
    }

    pub(crate) fn object(&self) -> &Value {
        self.case.object.as_ref().unwrap_or(&Value::Null)
    }

    pub(crate) fn operation(&self) -> &str {
        self.case.operation.as_deref().unwrap_or("CREATE")
    }

    pub(crate) fn subresource(&self) -> &str {
        self.case.subresource.as_deref().unwrap_or_default()
    }

    pub(crate) fn rules(&self) -> BTreeSet<String> {
        self.case.expect.rules.iter().flatten().cloned().collect()
    }
}

/// The folder of the cases.
pub(crate) fn folder() -> PathBuf {
    repository("tests/boundary")
}

/// All cases, by file and in order.
pub(crate) fn all() -> Outcome<Vec<Known>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder())?.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    files.sort();
    let mut cases = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "yaml")) {
        let name = path.to_string_lossy().into_owned();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for node in read(&name, &fs::read_to_string(path)?, Dialect::Manifest)? {
            if text(&node.to_json(), "/kind") != "PolicyTest" {
                continue;
            }
            let document: PolicyTestDocument = node.read(&name)?;
            let has_clock = document.spec.now.is_some();
            let known = |case| Known { file: file.clone(), has_clock, case };
            cases.extend(document.spec.cases.into_iter().map(known));
        }
    }
    Ok(cases)
}

/// What `apiserver.yaml` says: cases that a real API server answers otherwise, each with the reason.
#[derive(Debug, Default)]
pub(crate) struct Exceptions {
    /// Refused by the API server before it asks anybody.
    pub(crate) invalid: BTreeMap<String, String>,
    /// Passes there, because the webhook isn't asked or can't know.
    pub(crate) unseen: BTreeMap<String, String>,
}

impl Exceptions {
    pub(crate) fn read() -> Outcome<Self> {
        let file = folder().join("apiserver.yaml");
        let name = file.to_string_lossy().into_owned();
        let nodes = read(&name, &fs::read_to_string(&file)?, Dialect::Policy)?;
        let document = nodes.first().ok_or("no document")?.to_json();
        let list = |field: &str| -> BTreeMap<String, String> {
            let fields = document.get(field).and_then(Value::as_object).into_iter().flatten();
            fields
                .map(|(name, reason)| {
                    (name.clone(), reason.as_str().unwrap_or_default().to_owned())
                })
                .collect()
        };
        Ok(Self { invalid: list("invalid"), unseen: list("unseen") })
    }
}

#[test]
fn there_are_enough_and_each_is_named_once_by_its_row() {
    let cases = all().unwrap();
    let allowed = cases.iter().filter(|known| known.case.expect.allowed).count();
    assert!(allowed >= 150 && cases.len() - allowed >= 150, "{allowed} of {}", cases.len());
    let mut names = BTreeSet::new();
    for known in &cases {
        assert!(names.insert(known.name()), "twice: {}", known.name());
        let rules = known.case.expect.rules.as_ref();
        assert!(rules.is_some(), "no rules are expected of {}", known.name());
        let row = known.name().split(' ').next().unwrap_or_default();
        assert!(
            row.contains(|letter: char| letter.is_ascii_digit()) || row == "ORG-M",
            "no row: {row}"
        );
        if !known.case.expect.allowed {
            assert!(!known.rules().is_empty(), "denied by what? {}", known.name());
        }
    }
    let exceptions = Exceptions::read().unwrap();
    for (name, reason) in exceptions.invalid.iter().chain(&exceptions.unseen) {
        assert!(names.contains(name.as_str()) && !reason.is_empty(), "no such case: {name}");
    }
}
