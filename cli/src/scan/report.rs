//! Reports as the field keeps them in clusters: PolicyReport (wgpolicyk8s.io/v1alpha2) and Report (openreports.io/v1alpha1). One for each
//! namespace with findings, and one for what is in none; each small enough for `kubectl apply`.
//!
//! Without timestamps, so that a scan that finds the same writes the same.

use std::collections::BTreeMap;
use std::io::{self, Write};

use pinfold_model::finding::{Finding, Mode, RuleId};
use serde_json::{Map, Value, json};

use super::survey::{Reported, Told};
use super::{Summary, Unlisted};
use crate::output::yaml;

/// Largest report, as JSON: `kubectl apply` keeps a copy in an annotation, and annotations end at 256 KiB.
const REPORT_BYTES_MAX: usize = 200 * 1024;
/// Largest text of one result. Room for the rest of a report is left by the difference of the other two.
const TEXT_BYTES_MAX: usize = 4 * 1024;
/// The name of every report.
const NAME: &str = "pinfold-scan";
const SOURCE: &str = "pinfold";
/// Says that results are left out, and how many.
const CUT: &str = "pinfold.dev/results-left-out";

/// One of the two formats.
#[derive(Debug)]
pub(super) struct Format {
    api_version: &'static str,
    /// Kind of a report in a namespace, and of the other.
    kinds: [&'static str; 2],
    /// Whether a report names its source itself.
    has_source: bool,
}

/// `wgpolicyk8s.io/v1alpha2`, of the Kubernetes Policy Working Group.
pub(super) const POLICY_REPORT: Format = Format {
    api_version: "wgpolicyk8s.io/v1alpha2",
    kinds: ["PolicyReport", "ClusterPolicyReport"],
    has_source: false,
};
/// `openreports.io/v1alpha1`, its successor.
pub(super) const OPEN_REPORTS: Format = Format {
    api_version: "openreports.io/v1alpha1",
    kinds: ["Report", "ClusterReport"],
    has_source: true,
};

pub(super) fn write(format: &Format, summary: &Summary<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut reports: BTreeMap<&str, Report> = BTreeMap::from([("", Report::default())]);
    for object in &summary.scanned.found.objects {
        let report = reports.entry(&object.key.namespace).or_default();
        object.findings.iter().for_each(|told| report.add(result(object, told)));
    }
    let whole = reports.entry("").or_default();
    summary.scanned.unlisted.iter().for_each(|unlisted| whole.add(failure(unlisted)));
    if summary.scanned.interrupted {
        whole.add(error("the scan was interrupted: what is missing here may be bad"));
    }
    for (namespace, report) in reports {
        yaml::write(&report.finish(format, namespace, summary), out)?;
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Report {
    results: Vec<Value>,
    bytes: usize,
    left_out: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Report {
    fn add(&mut self, (outcome, result): (&'static str, Value)) {
        let count = self.counts.entry(outcome).or_default();
        *count = count.saturating_add(1);
        let bytes = self.bytes.saturating_add(result.to_string().len());
        if bytes > REPORT_BYTES_MAX {
            self.left_out = self.left_out.saturating_add(1);
        } else {
            self.bytes = bytes;
            self.results.push(result);
        }
    }

    fn finish(mut self, format: &Format, namespace: &str, summary: &Summary<'_>) -> Value {
        let mut annotations = Map::new();
        annotations.insert("pinfold.dev/policy-digest".to_owned(), json!(summary.policy_digest));
        if self.left_out > 0 {
            annotations.insert(CUT.to_owned(), json!(self.left_out.to_string()));
            let more = self.left_out;
            let text = format!(
                "{more} more results are left out, the least dangerous; `pinfold scan -o json` has all"
            );
            let (_, note) = entry("skip", json!({"message": text}));
            self.results.push(note);
            self.counts.insert("skip", 1);
        }
        let mut metadata = json!({
            "name": NAME,
            "labels": {"app.kubernetes.io/managed-by": NAME},
            "annotations": annotations,
        });
        let [namespaced, whole] = format.kinds;
        let kind = if namespace.is_empty() { whole } else { namespaced };
        if !namespace.is_empty() {
            put(&mut metadata, "namespace", namespace);
        }
        let counts = ["pass", "fail", "warn", "error", "skip"]
            .map(|outcome| (outcome.to_owned(), json!(self.counts.get(outcome).unwrap_or(&0))));
        let summary = Value::Object(counts.into_iter().collect());
        let mut report = json!({
            "apiVersion": format.api_version, "kind": kind, "metadata": metadata,
            "results": self.results, "summary": summary,
        });
        if format.has_source {
            put(&mut report, "source", SOURCE);
        }
        report
    }
}

fn result(object: &Reported, told: &Told) -> (&'static str, Value) {
    let Finding { rule, mode, path, message, remedy } = &told.weighed.finding;
    let key = &object.key;
    let mut subject = json!({"apiVersion": object.api_version, "kind": key.kind, "name": key.name});
    for (field, text) in [("namespace", &key.namespace), ("uid", &object.uid)] {
        if !text.is_empty() {
            put(&mut subject, field, text);
        }
    }
    let mut properties = json!({
        "mode": mode.as_str(), "path": cut(path), "remedy": cut(remedy),
        "danger": told.weighed.danger.as_str(),
    });
    if !told.weighed.leads_to.is_empty() {
        put(&mut properties, "leadsTo", &cut(&told.weighed.leads_to));
    }
    for (kind, count) in &told.made {
        put(&mut properties, &format!("made.{kind}"), &count.to_string());
    }
    let outcome = match mode {
        Mode::Enforce => "fail",
        Mode::Warn | Mode::Audit => "warn",
    };
    entry(
        outcome,
        json!({
            "rule": rule, "category": category(rule), "severity": told.weighed.danger.as_str(),
            "scored": *mode == Mode::Enforce, "resources": [subject],
            "message": cut(message), "properties": properties,
        }),
    )
}

fn failure(unlisted: &Unlisted) -> (&'static str, Value) {
    let Unlisted { api_version, kind, right, reason } = unlisted;
    error(&format!("can't read {kind} ({api_version}): {reason}; the right to `{right}` is needed"))
}

fn error(message: &str) -> (&'static str, Value) {
    entry("error", json!({"message": cut(message)}))
}

fn entry(outcome: &'static str, mut result: Value) -> (&'static str, Value) {
    put(&mut result, "source", SOURCE);
    put(&mut result, "policy", SOURCE);
    put(&mut result, "result", outcome);
    (outcome, result)
}

/// Adds a member to an object.
fn put(object: &mut Value, name: &str, text: &str) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), Value::from(text));
    }
}

fn category(rule: &RuleId) -> &'static str {
    let family = rule.as_str().strip_prefix("PF-").and_then(|rest| rest.split_once('-'));
    match family.map(|(family, _)| family) {
        Some("RBAC") => "RBAC",
        Some("SEC") => "Secrets",
        Some("TRU") => "Trust",
        Some("REQ") => "Request",
        Some(_) => "Pinfold",
        None => "Custom",
    }
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}
