//! `pinfold check`: what the webhook would decide on each object of some manifests, mutation first, then validation.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::Timestamp;
use pinfold_engine::admit;
use pinfold_engine::decision::{Decision, Mutation, PatchStep};
use pinfold_model::facts::{AdmissionFacts, Answers, Operation, Requester};
use pinfold_model::finding::{Finding, RuleId};
use pinfold_model::object::{self, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::Value;

use crate::arguments::{CheckArguments, CheckOutput};
use crate::manifest::{self, Manifest};
use crate::output::{github, human, json, junit, sarif};
use crate::{CliError, Outcome, policies};

/// The decision on one object.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) manifest: Manifest,
    pub(crate) allowed: bool,
    pub(crate) findings: Vec<Finding>,
    pub(crate) undecided: Vec<RuleId>,
    pub(crate) patch: Vec<PatchStep>,
}

/// What the objects are judged against.
pub(crate) struct Bench<'a> {
    pub(crate) policy: &'a AdmissionPolicy,
    pub(crate) view: &'a Snapshot,
    pub(crate) now: Timestamp,
}

/// One object and the request it is part of.
pub(crate) struct Request<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) old: Option<Manifest>,
    pub(crate) operation: Operation,
    pub(crate) subresource: &'a str,
    pub(crate) requester: Option<Requester>,
    pub(crate) dry_run: bool,
}

pub(crate) fn run(arguments: &CheckArguments, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let set = policies::read(&arguments.policies)?;
    let Some(policy) = set.admission else {
        let text = "no AdmissionPolicy among the policies: everything would be denied; add one";
        return Err(CliError::Input(text.to_owned()));
    };
    let existing = manifest::cluster(&arguments.cluster, None)?;
    let existing =
        existing.into_iter().chain(manifest::read(&arguments.old, &arguments.namespace)?);
    let stored: BTreeMap<ObjectKey, Manifest> =
        existing.map(|manifest| (manifest.object.key.clone(), manifest)).collect();
    let manifests = manifest::read(&arguments.manifests, &arguments.namespace)?;
    let mut view = Snapshot::of(stored.values().map(|manifest| manifest.object.clone()));
    manifests.iter().for_each(|manifest| view.apply(manifest.object.clone()));
    let bench = Bench { policy: &policy, view: &view, now: now() };
    let mut results = Vec::with_capacity(manifests.len());
    for manifest in &manifests {
        let old = stored.get(&manifest.object.key).cloned();
        let operation = operation(arguments.operation.as_deref(), old.is_some())?;
        let requester = requester(arguments);
        let (subresource, dry_run) = ("", false);
        let request = Request { manifest, old, operation, subresource, requester, dry_run };
        results.push(judge(&bench, request)?);
    }
    write(arguments.output, &results, out)?;
    Ok(outcome(&results))
}

/// The time that exceptions and grants end by.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

fn operation(named: Option<&str>, exists: bool) -> Result<Operation, CliError> {
    match named {
        None if exists => Ok(Operation::Update),
        None => Ok(Operation::Create),
        Some(name) => parse_operation(name),
    }
}

/// The operation of that name.
pub(crate) fn parse_operation(name: &str) -> Result<Operation, CliError> {
    let text = || format!("no operation `{name}`: expected CREATE, UPDATE, DELETE or CONNECT");
    Operation::parse(&name.to_uppercase()).ok_or_else(|| CliError::Input(text()))
}

fn requester(arguments: &CheckArguments) -> Option<Requester> {
    let name = arguments.user.clone()?;
    Some(identity(name, arguments.uid.clone(), arguments.groups.clone()))
}

/// A requester with the groups that the API server adds to every authenticated user and ServiceAccount.
pub(crate) fn identity(name: String, uid: String, mut groups: Vec<String>) -> Requester {
    let mut implied = vec!["system:authenticated".to_owned()];
    let account = Requester { name: name.clone(), ..Requester::default() };
    if let Some((namespace, _)) = account.service_account() {
        implied.push("system:serviceaccounts".to_owned());
        implied.push(format!("system:serviceaccounts:{namespace}"));
    }
    for group in implied {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Requester { name, uid, groups, ..Requester::default() }
}

/// Mutates, applies the patch, and validates the result, as the API server would have it done.
pub(crate) fn judge(bench: &Bench<'_>, request: Request<'_>) -> Result<Checked, CliError> {
    let manifest = request.manifest;
    let mut facts = facts(request);
    let mutation = admit::mutate(&facts, bench.view, bench.policy, bench.now);
    // Offline there is nobody to put its questions to.
    let Mutation { patch, notes, questions: _ } = mutation;
    if !patch.is_empty() {
        let value = patched(manifest, &patch)?;
        let object = object::from_value(&value).map_err(|error| {
            CliError::Input(format!("{}:{}: {error}", manifest.file, manifest.line))
        })?;
        facts.object = Some(object);
        facts.document = Some(value);
    }
    let decision: Decision = admit::admit(&facts, bench.view, bench.policy, bench.now);
    let allowed = decision.allowed();
    let mut findings = decision.findings;
    findings.extend(notes);
    let undecided = decision.undecided;
    Ok(Checked { manifest: manifest.clone(), allowed, findings, undecided, patch })
}

fn facts(request: Request<'_>) -> AdmissionFacts {
    let Request { manifest, old, operation, subresource, requester, dry_run } = request;
    let key: ObjectKey = manifest.object.key.clone();
    let deleting = operation == Operation::Delete;
    let request_name = match operation {
        // As the API server does for POST: a grant of `escalate` by name doesn't help there.
        Operation::Create => String::new(),
        Operation::Update | Operation::Delete | Operation::Connect => key.name.clone(),
    };
    let change = old.as_ref().map(|old| object::change(&old.value, &manifest.value));
    let old = old.map(|old| old.object);
    let old_object = if deleting { old.or_else(|| Some(manifest.object.clone())) } else { old };
    AdmissionFacts {
        uid: "offline".to_owned(),
        requester,
        operation,
        subresource: subresource.to_owned(),
        target: key,
        request_name,
        dry_run,
        object: (!deleting).then(|| manifest.object.clone()),
        old_object,
        document: (!deleting).then(|| manifest.value.clone()),
        change: change.unwrap_or_default(),
        answers: Answers::default(),
    }
}

fn patched(manifest: &Manifest, patch: &[PatchStep]) -> Result<Value, CliError> {
    let fail = |error: &dyn std::fmt::Display| {
        CliError::Input(format!(
            "{}:{}: the patch can't be applied: {error}",
            manifest.file, manifest.line
        ))
    };
    let steps = serde_json::to_value(patch).map_err(|error| fail(&error))?;
    let steps: json_patch::Patch = serde_json::from_value(steps).map_err(|error| fail(&error))?;
    let mut value = manifest.value.clone();
    json_patch::patch(&mut value, &steps).map_err(|error| fail(&error))?;
    Ok(value)
}

fn outcome(results: &[Checked]) -> Outcome {
    if results.iter().any(|result| !result.undecided.is_empty()) {
        Outcome::Undecided
    } else if results.iter().any(|result| !result.allowed) {
        Outcome::Denied
    } else {
        Outcome::Passed
    }
}

fn write(format: CheckOutput, results: &[Checked], out: &mut dyn Write) -> Result<(), CliError> {
    match format {
        CheckOutput::Human => human::check(results, out)?,
        CheckOutput::Json => json::check(results, out)?,
        CheckOutput::Sarif => sarif::check(results, out)?,
        CheckOutput::Junit => junit::check(results, out)?,
        CheckOutput::Github => github::check(results, out)?,
    }
    Ok(())
}
