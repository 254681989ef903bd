//! Policies, clusters and requests from YAML, for the cases of the rules.

use jiff::Timestamp;
use pinfold_model::document::{Dialect, read};
use pinfold_model::facts::{AdmissionFacts, Answers, Operation, Requester};
use pinfold_model::object::{self, Object};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use pinfold_model::sources::SourceFile;
use serde_json::Value;

use crate::context::{Context, Found};

pub(crate) const NOW: Timestamp = Timestamp::constant(1_795_219_200, 0);

/// A policy from the lines of its `spec`.
pub(crate) fn policy(spec: &str) -> AdmissionPolicy {
    let header = "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: p}";
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("{header}\nspec:\n{indented}");
    let file = SourceFile { name: "policy.yaml".to_owned(), text };
    let set = pinfold_model::policy::load(&[file]).unwrap_or_else(|errors| {
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{}", shown.join("\n"))
    });
    set.admission.expect("an AdmissionPolicy")
}

/// The documents of a YAML text.
pub(crate) fn values(yaml: &str) -> Vec<Value> {
    let documents = read("cluster.yaml", yaml, Dialect::Manifest);
    let documents = documents.unwrap_or_else(|error| panic!("{error}"));
    documents.iter().map(pinfold_model::document::Node::to_json).collect()
}

/// One document.
pub(crate) fn value(yaml: &str) -> Value {
    values(yaml).pop().expect("a document")
}

pub(crate) fn object(value: &Value) -> Object {
    object::from_value(value).unwrap_or_else(|error| panic!("{error}: {value}"))
}

/// A cluster of one object a line.
pub(crate) fn view(lines: &str) -> Snapshot {
    let lines = lines.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Snapshot::of(lines.map(|line| object(&value(line))))
}

/// Who asks: empty for nobody.
pub(crate) fn requester(name: &str) -> Option<Requester> {
    let requester = Requester { name: name.to_owned(), ..Requester::default() };
    (!name.is_empty()).then_some(requester)
}

/// A CREATE, or an UPDATE if there is an old object.
pub(crate) fn request(user: &str, new: &Value, old: Option<&Value>) -> AdmissionFacts {
    let decoded = object(new);
    AdmissionFacts {
        uid: "request".to_owned(),
        requester: requester(user),
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        subresource: String::new(),
        target: decoded.key.clone(),
        request_name: decoded.key.name.clone(),
        dry_run: false,
        object: Some(decoded),
        old_object: old.map(object),
        document: Some(new.clone()),
        change: old.map(|old| object::change(old, new)).unwrap_or_default(),
        answers: Answers::default(),
    }
}

/// What a rule family finds.
pub(crate) fn found(
    judge: impl Fn(&Context<'_>, &mut Found),
    facts: &AdmissionFacts,
    view: &Snapshot,
    policy: &AdmissionPolicy,
) -> Found {
    let mut found = Found::default();
    judge(&Context { facts, view, policy, now: NOW }, &mut found);
    found
}

/// `RULE PATH` of every finding, sorted.
pub(crate) fn spoken(found: &Found) -> Vec<String> {
    let mut spoken: Vec<String> =
        found.raw.iter().map(|raw| format!("{} {}", raw.rule, raw.path)).collect();
    spoken.sort();
    spoken
}
