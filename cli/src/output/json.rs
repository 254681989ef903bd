//! JSON: a contract, versioned.

use std::io::{self, Write};

use pinfold_model::finding::Mode;
use pinfold_model::policy::agent::AgentPolicy;
use serde::Serialize;
use serde_json::{Value, json};

use super::JSON_VERSION;
use crate::attempt::{Answer, Limit, Most};
use crate::case::Ran;
use crate::check::Checked;

/// Writes one document.
pub(crate) fn write(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

pub(crate) fn check(results: &[Checked], out: &mut dyn Write) -> io::Result<()> {
    let objects: Vec<Value> = results.iter().map(object).collect();
    let count = |test: &dyn Fn(&&Checked) -> bool| results.iter().filter(test).count();
    let warned = |result: &&Checked| result.findings.iter().any(|f| f.mode == Mode::Warn);
    let summary = json!({
        "objects": results.len(),
        "allowed": count(&|result| result.allowed),
        "denied": count(&|result| !result.allowed && result.undecided.is_empty()),
        "undecided": count(&|result| !result.undecided.is_empty()),
        "warned": count(&warned),
    });
    write(&json!({"version": JSON_VERSION, "results": objects, "summary": summary}), out)
}

fn object(result: &Checked) -> Value {
    let manifest = &result.manifest;
    let key = &manifest.object.key;
    json!({
        "object": {
            "apiVersion": manifest.api_version(),
            "kind": key.kind,
            "namespace": key.namespace,
            "name": key.name,
            "file": manifest.file,
            "line": manifest.line,
        },
        "allowed": result.allowed,
        "findings": result.findings,
        "undecided": result.undecided,
        "patch": result.patch,
    })
}

pub(crate) fn answer(
    answer: &Answer,
    limits: &[Limit],
    policy: &AgentPolicy,
    out: &mut dyn Write,
) -> io::Result<()> {
    let limit = |Limit { rule, most }: &Limit| match most {
        Most::Rate(rate) => json!({"rule": rule, "rate": rate.to_string()}),
        Most::Calls(calls) => json!({"rule": rule, "calls": calls}),
    };
    let limits: Vec<Value> = limits.iter().map(limit).collect();
    let digest = policy.digest.to_string();
    let value = match answer {
        Ok(rule) => json!({
            "version": JSON_VERSION, "allowed": true, "reason": "", "rule": rule, "path": "",
            "message": "", "remedy": "", "policy": policy.name, "policyDigest": digest,
            "limits": limits,
        }),
        Err(denial) => json!({
            "version": JSON_VERSION, "allowed": false, "reason": denial.reason.as_str(),
            "rule": denial.rule, "path": denial.path, "message": denial.message,
            "remedy": denial.remedy, "policy": policy.name, "policyDigest": digest,
            "limits": limits,
        }),
    };
    write(&value, out)
}

pub(crate) fn cases(ran: &[Ran], out: &mut dyn Write) -> io::Result<()> {
    let case = |case: &Ran| {
        json!({
            "file": case.file, "name": case.name, "passed": case.passed,
            "expected": case.expected, "actual": case.actual,
        })
    };
    let failed = ran.iter().filter(|case| !case.passed).count();
    let summary = json!({"passed": ran.len().saturating_sub(failed), "failed": failed});
    let cases: Vec<Value> = ran.iter().map(case).collect();
    write(&json!({"version": JSON_VERSION, "cases": cases, "summary": summary}), out)
}
