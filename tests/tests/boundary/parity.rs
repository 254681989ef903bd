//! Every case by `pinfold check` and by a real API server: the same verdict and the same rules, those of `tests/boundary`.

use std::collections::{BTreeMap, BTreeSet};

use pinfold_tests::until;
use serde_json::Value;

use crate::Outcome;
use crate::cases::{self, Exceptions, Known};
use crate::gate::{Gate, objects, store};
use crate::live::{Told, Uids, ask};
use crate::offline;

/// How long a change may take to reach the webhook's view.
const VIEW_WITHIN: std::time::Duration = std::time::Duration::from_secs(3);

/// How many cases of a file each judge was asked.
#[derive(Debug, Default)]
struct Row {
    attacks: usize,
    honest: usize,
    checked: usize,
    asked: usize,
}

#[test]
fn an_api_server_and_check_say_the_same() -> Outcome {
    let cluster = objects(&cases::folder().join("cluster.yaml"))?;
    let (naming, rest) = parted(&cluster);
    let gate = Gate::open(&offline::policies(), &rest)?;
    let uids = Uids::of(&gate, &cluster)?;
    for object in naming {
        store(&gate.client, &gate.resources, &uids.real(&object)?)?;
    }
    let uids = Uids::of(&gate, &cluster)?;
    let exceptions = Exceptions::read()?;
    let dir = tempfile::tempdir()?;
    let mut table: BTreeMap<String, Row> = BTreeMap::new();
    let mut differences = Vec::new();
    for known in cases::all()? {
        let row = table.entry(known.file.clone()).or_default();
        let count = if known.case.expect.allowed { &mut row.honest } else { &mut row.attacks };
        *count += 1;
        let checked = offline::check_case(&known, dir.path())?;
        differences.extend(checked.as_ref().and_then(|checked| unlike(&known, checked)));
        if known.has_clock {
            continue;
        }
        row.checked += usize::from(checked.is_some());
        row.asked += 1;
        let verdict = settled(&gate, &uids, (&known, &exceptions));
        match verdict {
            Err(error) => differences.push(format!("{}: {error}", known.name())),
            Ok(told) => differences.extend(compare(&known, checked.as_ref(), (&told, &exceptions))),
        }
    }
    println!("{}", shown(&table, differences.len()));
    assert!(differences.is_empty(), "{}:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

/// Without the uids of the file, because the server gives its own: what names a uid, and the rest.
fn parted(cluster: &[Value]) -> (Vec<Value>, Vec<Value>) {
    let mut objects = cluster.to_vec();
    for object in &mut objects {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("uid");
        }
    }
    objects.into_iter().partition(|object| object.to_string().contains("/uid-"))
}

/// The answer, once the webhook's view has what the case needs; the last one if it never is the expected one.
fn settled(gate: &Gate, uids: &Uids, (known, exceptions): (&Known, &Exceptions)) -> Outcome<Told> {
    let mut last = None;
    let right = until(VIEW_WITHIN, || {
        let told = ask(gate, uids, known);
        let right = told.as_ref().is_ok_and(|told| fault(known, (told, exceptions)).is_none());
        last = Some(told);
        right.then_some(())
    });
    let _ = right;
    last.unwrap_or_else(|| Err("nobody was asked".into()))
}

/// How `pinfold check` differs from the case.
fn unlike(known: &Known, checked: &offline::Checked) -> Option<String> {
    let same = checked.allowed == known.case.expect.allowed && checked.rules == known.rules();
    (!same).then(|| format!("{}: check says {}", known.name(), checked.said))
}

/// Why the answer isn't the expected one.
fn fault(known: &Known, (told, exceptions): (&Told, &Exceptions)) -> Option<String> {
    let name = known.name();
    let as_expected = if exceptions.invalid.contains_key(name) {
        !told.allowed && !told.by_pinfold
    } else if exceptions.unseen.contains_key(name) {
        told.allowed
    } else {
        let expected = known.case.expect.allowed;
        told.allowed == expected && (expected || told.by_pinfold) && told.rules == known.rules()
    };
    (!as_expected).then(|| {
        let expected = known.rules();
        format!("expected {expected:?}, the server said {told}")
    })
}

fn compare(
    known: &Known,
    checked: Option<&offline::Checked>,
    (told, exceptions): (&Told, &Exceptions),
) -> Option<String> {
    if let Some(fault) = fault(known, (told, exceptions)) {
        return Some(format!("{}: {fault}", known.name()));
    }
    let elsewhere = exceptions.invalid.contains_key(known.name())
        || exceptions.unseen.contains_key(known.name());
    let checked = checked.filter(|_| !elsewhere)?;
    let same = checked.allowed == told.allowed && checked.rules == told.rules;
    (!same).then(|| format!("{}: check says {}, the server {told}", known.name(), checked.said))
}

/// The parity table, by file.
fn shown(table: &BTreeMap<String, Row>, differences: usize) -> String {
    let head = "| Cases | Attacks | Honest | by `pinfold check` | by an API server |\n| --- | --- | --- | --- | --- |";
    let line = |name: &str, counts: [usize; 4]| {
        let [attacks, honest, checked, asked] = counts;
        format!("| {name} | {attacks} | {honest} | {checked} | {asked} |")
    };
    let counts = |row: &Row| [row.attacks, row.honest, row.checked, row.asked];
    let mut lines = vec![head.to_owned()];
    lines.extend(table.iter().map(|(file, row)| line(&format!("`{file}`"), counts(row))));
    let sum = |of: fn(&Row) -> usize| table.values().map(of).sum();
    let all = [
        sum(|row| row.attacks),
        sum(|row| row.honest),
        sum(|row| row.checked),
        sum(|row| row.asked),
    ];
    lines.push(line("all", all));
    lines.push(format!("differences: {differences}"));
    lines.join("\n")
}

/// Rules that some case denies by.
pub(crate) fn denied_by() -> Outcome<BTreeSet<String>> {
    let cases = cases::all()?;
    let attacks = cases.iter().filter(|known| !known.case.expect.allowed);
    Ok(attacks.flat_map(Known::rules).collect())
}

#[test]
fn every_rule_of_the_boundary_gate_has_an_attack() -> Outcome {
    let denied = denied_by()?;
    for rule in pinfold_model::finding::RuleId::BUILT_IN {
        let rule = rule.as_str();
        let ours = ["PF-SEC-", "PF-TRU-", "PF-ORG-"].iter().any(|family| rule.starts_with(family));
        assert!(!ours || denied.contains(rule), "no case is denied by {rule}");
    }
    assert!(denied.contains("PF-RUN-005"));
    Ok(())
}
