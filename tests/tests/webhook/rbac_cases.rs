//! Cases as data: what is there before, who tries what, what must come of it. Every try is a request to the API server; what is denied must be
//! denied with exactly these rules and paths, change nothing, be counted and recorded; `pinfold check` must find the same.
//! A case that is `open`, with the reason, is a known hole or a known false denial: it must fail until somebody closes it.

use std::collections::BTreeMap;
use std::time::Duration;

use pinfold_model::document::{Dialect, read};
use pinfold_tests::until;
use serde_json::Value;

use crate::Outcome;
use crate::denial::{Findings, findings};
use crate::kubernetes::repository;
use crate::rbac_client::Person;
use crate::rbac_object::{items, path, text};
use crate::rbac_stage::RbacStage;

/// How long a change may take to reach the webhook's view.
const VIEW_WITHIN: Duration = Duration::from_secs(5);
/// The same for what is open, and once so much failed that waiting for the rest is no use.
const HOPELESS_AFTER: usize = 3;
const HOPELESS_WITHIN: Duration = Duration::from_secs(1);

/// What must come of a try.
#[derive(Debug, Clone)]
enum Expected {
    Allowed,
    /// By Pinfold: rules, and what their paths begin with.
    Denied(BTreeMap<String, String>),
    /// By the API server alone, with this text.
    Refused(String),
}

/// One family of attacks, against a stage of its own. All failures are told, not only the first.
/// `further` makes cases of what else the file lists.
pub(crate) fn hold(family: &'static str, further: &dyn Fn(&Value) -> Vec<Value>) -> Outcome {
    let file = repository("tests/tests/webhook/rbac").join(format!("{family}.yaml"));
    let name = file.to_string_lossy().into_owned();
    let stage_name: &'static str = Box::leak(format!("rbac-{family}").into_boxed_str());
    let source = std::fs::read_to_string(&file)?.replace("STAGE", stage_name);
    let documents = read(&name, &source, Dialect::Policy)?;
    let document = documents.first().ok_or("no document")?.to_json();
    let stage = RbacStage::open(stage_name, &document)?;
    let mut failures = Vec::new();
    let further = further(&document);
    for case in items(&document, "cases").iter().chain(&further) {
        let name = text(case, "/name");
        let is_hopeless = failures.len() >= HOPELESS_AFTER || case.get("open").is_some();
        let patience = if is_hopeless { HOPELESS_WITHIN } else { VIEW_WITHIN };
        match (run(&stage, case, patience), case.get("open")) {
            (Err(error), None) => failures.push(format!("{name}: {error}")),
            (Ok(()), Some(_)) => {
                failures.push(format!("{name}: passes now; it isn't open any more"));
            }
            (Ok(()), None) | (Err(_), Some(_)) => {}
        }
        stage.clean_up()?;
    }
    let count = failures.len();
    assert!(failures.is_empty(), "{count} of {family}:\n\n{}", failures.join("\n\n"));
    Ok(())
}

fn run(stage: &RbacStage, case: &Value, patience: Duration) -> Outcome {
    for object in items(case, "given") {
        stage.store(object)?;
    }
    for (number, attempt) in items(case, "tries").iter().enumerate() {
        let failed = |error| format!("try {number} ({}): {error}", text(attempt, "/how"));
        run_try(stage, attempt, patience).map_err(failed)?;
    }
    Ok(())
}

fn run_try(stage: &RbacStage, attempt: &Value, patience: Duration) -> Outcome {
    let expected = expected(attempt)?;
    let who = stage.person(attempt.get("by").ok_or("nobody tries")?)?;
    let settled = until(patience, || {
        let answer = stage.attempt(&who, attempt, true).ok()?;
        judge(&expected, &answer).is_ok().then_some(())
    });
    if settled.is_none() {
        let answer = stage.attempt(&who, attempt, true)?;
        return judge(&expected, &answer).map(drop);
    }
    let object = attempt.get("object").ok_or("no object")?;
    let before = stage.stored(object)?;
    let counts = stage.counts()?;
    let mark = stage.recorded()?.len();
    let answer = stage.attempt(&who, attempt, stage.is_dry(attempt))?;
    let told = judge(&expected, &answer)?;
    match &expected {
        Expected::Allowed if text(attempt, "/how") == "delete" => {}
        Expected::Allowed => stage.keep(object, &answer.body),
        Expected::Denied(_) => {
            is_left_as_it_was(stage, object, &before)?;
            is_counted(stage, &told, &counts)?;
            is_recorded(stage, mark, (&who, &told))?;
        }
        Expected::Refused(_) => is_left_as_it_was(stage, object, &before)?,
    }
    is_the_same_offline(stage, attempt, (&who, &told, &before))
}

fn expected(attempt: &Value) -> Outcome<Expected> {
    if attempt.get("allowed").and_then(Value::as_bool) == Some(true) {
        return Ok(Expected::Allowed);
    }
    if let Some(refused) = attempt.get("refused").and_then(Value::as_str) {
        return Ok(Expected::Refused(refused.to_owned()));
    }
    let denied = attempt.get("denied").and_then(Value::as_object);
    let denied = denied.ok_or("neither `allowed`, `refused` nor `denied`")?;
    let rule = |(rule, path): (&String, &Value)| {
        (rule.clone(), path.as_str().unwrap_or_default().to_owned())
    };
    Ok(Expected::Denied(denied.iter().map(rule).collect()))
}

type Judged = (Findings, Vec<String>);

/// Whether an answer is the expected one, and what Pinfold told.
fn judge(expected: &Expected, answer: &crate::rbac_client::Answer) -> Outcome<Judged> {
    let message = answer.message();
    let of_pinfold = message.contains(".pinfold.dev\" denied the request");
    match expected {
        Expected::Allowed if answer.is_success() => Ok(Judged::default()),
        Expected::Refused(part)
            if !of_pinfold && message.contains(part) && !answer.is_success() =>
        {
            Ok(Judged::default())
        }
        Expected::Denied(rules) if of_pinfold && answer.status == 403 => {
            let told = findings(message)?;
            let found: Vec<_> = told.iter().map(|(rule, _)| rule.clone()).collect();
            let exact = told.iter().all(|(rule, at)| {
                rules.get(rule).is_some_and(|path| at.starts_with(path.as_str()))
            });
            if exact && rules.keys().all(|rule| found.contains(rule)) {
                let lines = message.lines().map(str::to_owned).collect();
                return Ok((told, lines));
            }
            Err(format!("expected {rules:?}, was told {message}").into())
        }
        Expected::Allowed | Expected::Refused(_) | Expected::Denied(_) => {
            Err(format!("expected {expected:?}, found {} {message}", answer.status).into())
        }
    }
}

fn is_left_as_it_was(stage: &RbacStage, object: &Value, before: &Option<Value>) -> Outcome {
    let after = stage.stored(object)?;
    let version = |object: &Option<Value>| {
        object.as_ref().map(|object| text(object, "/metadata/resourceVersion").to_owned())
    };
    if version(&after) == version(before) { Ok(()) } else { Err("it was stored".into()) }
}

fn is_counted(stage: &RbacStage, told: &Judged, before: &BTreeMap<String, f64>) -> Outcome {
    let after = stage.counts()?;
    for (rule, _) in &told.0 {
        let lines = told.1.iter().filter(|line| line.contains(&format!("{rule} $"))).count();
        let of = |counts: &BTreeMap<String, f64>| counts.get(rule).copied().unwrap_or(0.0);
        let grown = of(&after) - of(before);
        // Several entries can ask about one request.
        let told = f64::from(u32::try_from(lines)?);
        if grown < told || grown % told != 0.0 {
            return Err(format!("{rule} was told {lines} times and counted {grown}").into());
        }
    }
    Ok(())
}

fn is_recorded(stage: &RbacStage, mark: usize, (who, told): (&Person, &Judged)) -> Outcome {
    let log = stage.recorded()?;
    let new = log.get(mark..).ok_or("the log shrank")?;
    let recorded =
        new.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|record| {
            let line = record.to_string();
            line.contains("\"deny\"")
                && line.contains(&Value::from(who.user.as_str()).to_string())
                && told.0.iter().all(|(rule, _)| line.contains(rule))
        });
    if recorded { Ok(()) } else { Err(format!("no record of it: {new}").into()) }
}

/// Creations and replacements can be put to the CLI; it knows no extras and no uids.
fn is_the_same_offline(
    stage: &RbacStage,
    attempt: &Value,
    (who, told, before): (&Person, &Judged, &Option<Value>),
) -> Outcome {
    let plain = matches!(text(attempt, "/how"), "create" | "put" | "generate");
    let whole = text(attempt, "/sub").is_empty() && who.extra.is_empty() && who.uid.is_none();
    let native = attempt.get("refused").is_some();
    if !plain || !whole || native || attempt.get("offline").and_then(Value::as_bool) == Some(false)
    {
        return Ok(());
    }
    let object = attempt.get("object").ok_or("no object")?;
    let found = stage.check(who, object, before.as_ref())?;
    if found == told.0 {
        return Ok(());
    }
    Err(format!("offline {} finds {found:?}, the webhook {:?}", path(object)?, told.0).into())
}
