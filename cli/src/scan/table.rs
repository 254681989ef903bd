//! For people: one block an object, the worst first, and at the end what was looked at and what was not.

use std::collections::BTreeMap;
use std::io::{self, Write};

use pinfold_engine::scan::danger::Danger;
use pinfold_model::finding::Mode;

use super::Summary;
use super::survey::{Reported, Told};
use crate::output::human::Paint;
use crate::output::printable as plain;

/// How many kinds the totals name.
const KINDS_MAX: usize = 12;

pub(super) fn write(summary: &Summary<'_>, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint::new();
    for object in &summary.scanned.found.objects {
        write_object(object, &paint, out)?;
    }
    write_totals(summary, out)?;
    write_gaps(summary, &paint, out)
}

fn write_object(object: &Reported, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let danger = object.danger();
    let shown = match danger {
        Danger::Critical | Danger::High => paint.bad(danger.as_str()),
        Danger::Medium | Danger::Low => paint.doubt(danger.as_str()),
    };
    let place = match &object.place {
        Some((file, line)) => format!(" ({}:{line})", plain(file)),
        None => String::new(),
    };
    writeln!(out, "{shown} {}{place}", plain(&object.key.to_string()))?;
    let worst = object.findings.iter().find(|told| told.weighed.danger == danger);
    if let Some(told) = worst.filter(|told| !told.weighed.leads_to.is_empty()) {
        writeln!(out, "  gives more, {}", plain(&told.weighed.leads_to))?;
    }
    object.findings.iter().try_for_each(|told| write_finding(told, paint, out))
}

fn write_finding(told: &Told, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let finding = &told.weighed.finding;
    let rule = match finding.mode {
        Mode::Enforce => paint.bad(finding.rule.as_str()),
        Mode::Warn => paint.doubt(&format!("{} (warning)", finding.rule)),
        Mode::Audit => paint.doubt(&format!("{} (recorded)", finding.rule)),
    };
    writeln!(out, "  {rule} {}", plain(&finding.path))?;
    writeln!(out, "    {}", plain(&finding.message))?;
    writeln!(out, "    fix: {}", plain(&finding.remedy))?;
    match (&told.example, told.made.is_empty()) {
        (_, true) => Ok(()),
        (None, false) => writeln!(out, "    also in what it made: {}", counts(&told.made)),
        (Some(example), false) => {
            let (made, example) = (counts(&told.made), plain(example));
            writeln!(out, "    only in what it made: {made}, such as {example}")
        }
    }
}

/// `3 Pods, 1 ReplicaSet`.
fn counts(by_kind: &BTreeMap<String, u64>) -> String {
    let counts: Vec<String> =
        by_kind.iter().map(|(kind, count)| number(*count, &plain(kind))).collect();
    counts.join(", ")
}

fn number(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn write_totals(summary: &Summary<'_>, out: &mut dyn Write) -> io::Result<()> {
    let scanned = summary.scanned;
    let found = &scanned.found;
    let total = found.looked.values().copied().fold(0_u64, u64::saturating_add);
    let mut kinds: Vec<_> = found.looked.iter().map(|((_, kind), count)| (*count, kind)).collect();
    kinds.sort_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(right.1)));
    let further = kinds.len().saturating_sub(KINDS_MAX);
    let shown = kinds.into_iter().take(KINDS_MAX);
    let mut shown: Vec<String> = shown.map(|(count, kind)| format!("{count} {kind}")).collect();
    if further > 0 {
        shown.push(number(u64::try_from(further).unwrap_or(u64::MAX), "further kind"));
    }
    writeln!(
        out,
        "{} looked at in {:.1} s: {}",
        number(total, "object"),
        summary.seconds,
        if shown.is_empty() { "nothing".to_owned() } else { plain(&shown.join(", ")) }
    )?;
    write!(out, "{} would be refused", scanned.count(Mode::Enforce))?;
    let dangers: Vec<String> =
        Danger::ALL.iter().filter_map(|danger| refused(summary, *danger)).collect();
    if !dangers.is_empty() {
        write!(out, " ({})", dangers.join(", "))?;
    }
    let only = |mode: Mode| {
        let objects = found.objects.iter();
        objects.filter(|object| object.has(mode) && !object.has(Mode::Enforce)).count()
    };
    writeln!(
        out,
        ", {} allowed with a warning, {} only recorded",
        only(Mode::Warn),
        only(Mode::Audit)
    )
}

fn refused(summary: &Summary<'_>, danger: Danger) -> Option<String> {
    let objects = summary.scanned.found.objects.iter();
    let count =
        objects.filter(|object| object.has(Mode::Enforce) && object.danger() == danger).count();
    (count > 0).then(|| format!("{count} {}", danger.as_str()))
}

/// What was not judged, and why.
fn write_gaps(summary: &Summary<'_>, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let scanned = summary.scanned;
    for ((rule, why), count) in &scanned.found.unjudged {
        let objects = number(*count, "object");
        writeln!(out, "not judged: {rule} on {objects}: {}", why.describe())?;
    }
    if !scanned.without.is_empty() {
        writeln!(out, "not looked at, as asked for: {}", scanned.without.join(", "))?;
    }
    if scanned.found.beyond > 0 {
        let beyond = number(scanned.found.beyond, "further object");
        writeln!(
            out,
            "{} {beyond} with findings: too many to keep; scan by namespace",
            paint.doubt("not shown:")
        )?;
    }
    for unlisted in &scanned.unlisted {
        let (kind, reason) = (plain(&unlisted.kind), plain(&unlisted.reason));
        let label = paint.bad("not complete:");
        writeln!(out, "{label} can't read {kind} ({}): {reason}", plain(&unlisted.api_version))?;
        writeln!(
            out,
            "  the right to `{}` is missing, or the API server could not answer",
            plain(&unlisted.right)
        )?;
    }
    if scanned.interrupted {
        writeln!(out, "{} interrupted", paint.bad("not complete:"))?;
    }
    Ok(())
}
