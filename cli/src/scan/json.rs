//! JSON: a contract, versioned, described in `docs/cli-json.md`.

use std::io::{self, Write};

use pinfold_model::finding::Mode;
use serde_json::{Value, json};

use super::Summary;
use super::survey::{Reported, Told};
use crate::output::{JSON_VERSION, json};

pub(super) fn write(summary: &Summary<'_>, out: &mut dyn Write) -> io::Result<()> {
    let scanned = summary.scanned;
    let found = &scanned.found;
    let unjudged = found.unjudged.iter().map(|((rule, why), objects)| {
        json!({"rule": rule, "objects": objects, "reason": why.describe()})
    });
    let unlisted = scanned.unlisted.iter().map(|unlisted| {
        json!({
            "apiVersion": unlisted.api_version, "kind": unlisted.kind,
            "right": unlisted.right, "reason": unlisted.reason,
        })
    });
    let looked = found.looked.iter().map(|((api_version, kind), objects)| {
        json!({"apiVersion": api_version, "kind": kind, "objects": objects})
    });
    let document = json!({
        "version": JSON_VERSION,
        "policyDigest": summary.policy_digest,
        "objects": found.objects.iter().map(object).collect::<Vec<Value>>(),
        "notJudged": unjudged.collect::<Vec<Value>>(),
        "without": scanned.without,
        "notListed": unlisted.collect::<Vec<Value>>(),
        "summary": {
            "objects": found.looked.values().copied().fold(0_u64, u64::saturating_add),
            "byKind": looked.collect::<Vec<Value>>(),
            "refused": scanned.count(Mode::Enforce),
            "warned": scanned.count(Mode::Warn),
            "recorded": scanned.count(Mode::Audit),
            "notShown": found.beyond,
            "complete": scanned.is_complete(),
            "interrupted": scanned.interrupted,
            "seconds": summary.seconds,
        },
    });
    json::write(&document, out)
}

fn object(object: &Reported) -> Value {
    let key = &object.key;
    let mut named = json!({
        "apiVersion": object.api_version, "kind": key.kind,
        "namespace": key.namespace, "name": key.name, "uid": object.uid,
    });
    if let (Some((file, line)), Value::Object(named)) = (&object.place, &mut named) {
        named.insert("file".to_owned(), json!(file));
        named.insert("line".to_owned(), json!(line));
    }
    json!({
        "object": named,
        "danger": object.danger(),
        "refused": object.has(Mode::Enforce),
        "findings": object.findings.iter().map(finding).collect::<Vec<Value>>(),
    })
}

fn finding(told: &Told) -> Value {
    let finding = &told.weighed.finding;
    json!({
        "rule": finding.rule, "mode": finding.mode, "danger": told.weighed.danger,
        "path": finding.path, "message": finding.message, "remedy": finding.remedy,
        "leadsTo": told.weighed.leads_to, "made": told.made, "madeExample": told.example,
    })
}
