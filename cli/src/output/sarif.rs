//! SARIF 2.1.0 (OASIS), for code scanning: one result a finding.

use std::collections::BTreeSet;
use std::io::{self, Write};

use pinfold_model::finding::{Finding, Mode};
use serde_json::{Value, json};

use crate::check::Checked;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(crate) fn check(results: &[Checked], out: &mut dyn Write) -> io::Result<()> {
    let rules: BTreeSet<&str> = results
        .iter()
        .flat_map(|result| result.findings.iter().map(|f| &f.rule).chain(&result.undecided))
        .map(|rule| rule.as_str())
        .collect();
    let rules: Vec<Value> = rules.into_iter().map(|id| json!({"id": id})).collect();
    let found = results.iter().flat_map(|result| {
        let undecided = result.undecided.iter().map(|rule| {
            let text = format!("{rule} can't be judged without the requester");
            entry(result, rule.as_str(), "error", &text)
        });
        let findings = result
            .findings
            .iter()
            .map(|finding| entry(result, finding.rule.as_str(), level(finding), &text(finding)));
        findings.chain(undecided).collect::<Vec<_>>()
    });
    let found: Vec<Value> = found.collect();
    let driver = json!({"name": "pinfold", "version": env!("CARGO_PKG_VERSION"), "rules": rules});
    let runs = json!([{"tool": {"driver": driver}, "results": found}]);
    let log = json!({"$schema": SCHEMA, "version": "2.1.0", "runs": runs});
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

fn level(finding: &Finding) -> &'static str {
    match finding.mode {
        Mode::Enforce => "error",
        Mode::Warn => "warning",
        Mode::Audit => "note",
    }
}

fn text(finding: &Finding) -> String {
    let Finding { path, message, remedy, .. } = finding;
    format!("{path}: {message}; fix: {remedy}")
}

fn entry(result: &Checked, rule: &str, level: &str, text: &str) -> Value {
    let manifest = &result.manifest;
    let region = json!({"startLine": manifest.line.max(1)});
    let place = json!({"artifactLocation": {"uri": manifest.file}, "region": region});
    let name = manifest.object.key.to_string();
    json!({
        "ruleId": rule,
        "level": level,
        "message": {"text": format!("{name}: {text}")},
        "locations": [{"physicalLocation": place, "logicalLocations": [{"fullyQualifiedName": name}]}],
    })
}
