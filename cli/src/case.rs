//! `pinfold test`: runs PolicyTest documents against the engine.

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pinfold_model::document::{self, Dialect, Node};
use pinfold_model::facts::Requester;
use pinfold_model::policy::test_case::{Case, CaseEgress, CaseUser, PolicyTestDocument};
use pinfold_model::policy::{PolicySet, load};
use pinfold_model::snapshot::Snapshot;
use pinfold_model::sources;
use serde_json::Value;

use crate::arguments::{TestArguments, TestOutput};
use crate::attempt::{self, Answer, Destination};
use crate::check::{self, Bench, Request, identity, now};
use crate::manifest::{self, Manifest};
use crate::output::{human, json, junit};
use crate::{CliError, Outcome};

/// What a case expected and what it got, in words.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) passed: bool,
    pub(crate) expected: String,
    pub(crate) actual: String,
}

/// What the engine said to a case.
struct Actual {
    allowed: bool,
    rules: Vec<String>,
    reason: Option<String>,
    messages: Vec<String>,
    mutated: bool,
}

pub(crate) fn run(arguments: &TestArguments, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let mut ran = Vec::new();
    let mut found = false;
    for source in sources::read(&arguments.paths)? {
        let nodes = document::read(&source.name, &source.text, Dialect::Manifest)
            .map_err(|error| CliError::Input(error.to_string()))?;
        for node in nodes.iter().filter(|node| is_test(node)) {
            found = true;
            run_document(&source.name, node, &mut ran)?;
        }
    }
    if !found {
        return Err(CliError::Input("no PolicyTest document in these paths".to_owned()));
    }
    match arguments.output {
        TestOutput::Human => human::cases(&ran, out)?,
        TestOutput::Json => json::cases(&ran, out)?,
        TestOutput::Junit => junit::cases(&ran, out)?,
    }
    let passed = ran.iter().all(|case| case.passed);
    Ok(if passed { Outcome::Passed } else { Outcome::Denied })
}

fn is_test(node: &Node) -> bool {
    let text = |name: &str| node.get(name).and_then(Node::text).unwrap_or_default();
    text("kind") == "PolicyTest" && text("apiVersion").starts_with("pinfold.dev/")
}

/// The policies and the cluster that a document's cases share.
struct Setting {
    file: String,
    folder: PathBuf,
    policies: PolicySet,
    cluster: Snapshot,
    now: Timestamp,
}

fn run_document(file: &str, node: &Node, ran: &mut Vec<Ran>) -> Result<(), CliError> {
    let document: PolicyTestDocument =
        node.read(file).map_err(|error| CliError::Input(error.to_string()))?;
    let folder = Path::new(file).parent().unwrap_or(Path::new("")).to_path_buf();
    let paths = |names: &[String]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
    let policies: Vec<PathBuf> =
        document.spec.policies.iter().map(|path| folder.join(path)).collect();
    let existing = manifest::cluster(&paths(&document.spec.cluster), Some(&folder))?;
    let setting = Setting {
        file: file.to_owned(),
        folder,
        policies: load(&sources::read(&policies)?)?,
        cluster: Snapshot::of(existing.into_iter().map(|manifest| manifest.object)),
        now: clock(file, document.spec.now.as_deref())?,
    };
    for case in &document.spec.cases {
        let actual = run_case(&setting, case)
            .map_err(|error| CliError::Input(format!("{file}: case `{}`: {error}", case.name)))?;
        ran.push(compare(file, case, &actual));
    }
    Ok(())
}

/// The time that a document gives, else the present.
fn clock(file: &str, text: Option<&str>) -> Result<Timestamp, CliError> {
    let Some(text) = text else { return Ok(now()) };
    text.parse().map_err(|error| CliError::Input(format!("{file}: now `{text}`: {error}")))
}

fn run_case(setting: &Setting, case: &Case) -> Result<Actual, CliError> {
    match (&case.object, &case.tool_call, &case.egress) {
        (Some(object), None, None) => admission(setting, case, object),
        (None, Some(call), None) => {
            let policy = attempt::agent(&setting.policies, agent_name(case))?;
            let answer = attempt::call(policy, &call.server, &call.tool, &call.arguments);
            Ok(sidecar(&answer))
        }
        (None, None, Some(egress)) => {
            let policy = attempt::agent(&setting.policies, agent_name(case))?;
            Ok(sidecar(&destination(egress)?.judge(policy)))
        }
        _ => Err(CliError::Input("expected one of `object`, `toolCall` and `egress`".to_owned())),
    }
}

fn agent_name(case: &Case) -> Option<&str> {
    case.agent.as_ref().map(|agent| agent.policy.as_str())
}

fn destination(egress: &Value) -> Result<Destination, CliError> {
    if let Some(url) = egress.as_str() {
        return Destination::parse(url, "GET");
    }
    let parts: CaseEgress = serde_json::from_value(egress.clone())
        .map_err(|error| CliError::Input(format!("egress: {error}")))?;
    let CaseEgress { host, port, method, path } = parts;
    match method {
        Some(method) => {
            let path = path.unwrap_or_else(|| "/".to_owned());
            Destination::parse(&format!("http://{host}:{port}{path}"), &method)
        }
        None => Destination::parse(&format!("{host}:{port}"), "GET"),
    }
}

fn sidecar(answer: &Answer) -> Actual {
    let denial = answer.as_ref().err();
    Actual {
        allowed: answer.is_ok(),
        rules: Vec::new(),
        reason: denial.map(|denial| denial.reason.to_string()),
        messages: denial.iter().map(ToString::to_string).collect(),
        mutated: false,
    }
}

fn admission(setting: &Setting, case: &Case, object: &Value) -> Result<Actual, CliError> {
    let Some(policy) = &setting.policies.admission else {
        return Err(CliError::Input("no AdmissionPolicy among `policies`".to_owned()));
    };
    let namespace = case.namespace.as_deref().unwrap_or("default");
    let manifest = resolve(setting, object, namespace)?;
    let old = match &case.old_object {
        Some(old) => Some(resolve(setting, old, namespace)?),
        None => None,
    };
    let operation = check::parse_operation(case.operation.as_deref().unwrap_or("CREATE"))?;
    let requester = case.user.as_ref().map(|user| {
        let CaseUser { name, uid, groups, extra } = user.clone();
        Requester { extra, ..identity(name, uid, groups) }
    });
    let bench = Bench { policy, view: &setting.cluster, now: setting.now };
    let subresource = case.subresource.as_deref().unwrap_or_default();
    let dry_run = case.dry_run;
    let request = Request { manifest: &manifest, old, operation, subresource, requester, dry_run };
    let checked = check::judge(&bench, request)?;
    let mut rules: Vec<String> =
        checked.findings.iter().map(|finding| finding.rule.to_string()).collect();
    rules.extend(checked.undecided.iter().map(|rule| format!("undecided {rule}")));
    rules.sort();
    rules.dedup();
    Ok(Actual {
        allowed: checked.allowed,
        rules,
        reason: None,
        messages: checked.findings.iter().map(ToString::to_string).collect(),
        mutated: !checked.patch.is_empty(),
    })
}

/// An object written inline, or the only object of a file.
fn resolve(setting: &Setting, object: &Value, namespace: &str) -> Result<Manifest, CliError> {
    let Some(path) = object.as_str() else {
        return manifest::from_value(&setting.file, 0, object.clone(), namespace);
    };
    let path = setting.folder.join(path);
    let mut manifests = manifest::read(std::slice::from_ref(&path), namespace)?;
    match (manifests.pop(), manifests.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(CliError::Input(format!("`{}` must hold exactly one object", path.display()))),
    }
}

fn compare(file: &str, case: &Case, actual: &Actual) -> Ran {
    let expect = &case.expect;
    let sorted = |rules: &[String]| {
        let mut rules = rules.to_vec();
        rules.sort();
        rules.dedup();
        rules
    };
    let rules_agree = expect.rules.as_ref().is_none_or(|rules| sorted(rules) == actual.rules);
    let reason_agrees = expect.reason.is_none() || expect.reason == actual.reason;
    let told = |part: &String| actual.messages.iter().any(|message| message.contains(part));
    let message_agrees = expect.message.as_ref().is_none_or(told);
    let mutation_agrees = expect.mutated.is_none_or(|mutated| mutated == actual.mutated);
    let passed = expect.allowed == actual.allowed
        && rules_agree
        && reason_agrees
        && message_agrees
        && mutation_agrees;
    Ran {
        file: file.to_owned(),
        name: case.name.clone(),
        passed,
        expected: describe_expected(case),
        actual: describe_actual(actual),
    }
}

fn verdict(allowed: bool) -> &'static str {
    if allowed { "allowed" } else { "denied" }
}

fn describe_expected(case: &Case) -> String {
    let expect = &case.expect;
    let mut text = verdict(expect.allowed).to_owned();
    if let Some(rules) = &expect.rules {
        text.push_str(&format!(", rules [{}]", rules.join(", ")));
    }
    if let Some(reason) = &expect.reason {
        text.push_str(&format!(", reason {reason}"));
    }
    if let Some(message) = &expect.message {
        text.push_str(&format!(", a message with `{message}`"));
    }
    if let Some(mutated) = expect.mutated {
        text.push_str(if mutated { ", mutated" } else { ", not mutated" });
    }
    text
}

fn describe_actual(actual: &Actual) -> String {
    let mut text = format!("{}, rules [{}]", verdict(actual.allowed), actual.rules.join(", "));
    if let Some(reason) = &actual.reason {
        text = format!("{}, reason {reason}", verdict(actual.allowed));
    }
    if actual.mutated {
        text.push_str(", mutated");
    }
    for message in &actual.messages {
        text.push_str("; ");
        text.push_str(message);
    }
    text
}
