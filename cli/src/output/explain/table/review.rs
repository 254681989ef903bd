//! A permission review, for people: the decision, the reasons, then what it rests on and the grants that would fix it.

use std::io::{self, Write};

use super::super::shape::{Identity, Reason, RequiredRole, RequiredUse, Review};
use super::{named, plain, write_hop};
use crate::output::human::Paint;
use crate::output::yaml;

pub(crate) fn review(answer: &Review, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint::new();
    let verdict = match answer.decision {
        "allowed" => paint.good("ALLOWED"),
        _ => paint.bad("DENIED"),
    };
    let asked = &answer.dispatch;
    let pool = if asked.pool.is_empty() { "the stack's own pool" } else { &asked.pool };
    let what = format!(
        "stack {}/{} for {} at {}, set off by {}, on {pool}",
        asked.namespace, asked.stack, asked.repository, asked.git_ref, asked.trigger
    );
    writeln!(out, "{verdict} {}: {} work", plain(&what), answer.tier)?;
    for reason in &answer.reasons {
        write_reason(reason, &paint, out)?;
    }
    for identity in &answer.identities {
        write_identity(identity, &paint, out)?;
    }
    write_parts(answer, &paint, out)?;
    write_missing(answer, out)
}

fn write_reason(reason: &Reason, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let severity = match reason.severity {
        "error" => paint.bad("error  "),
        "warning" => paint.doubt("warning"),
        _ => "note   ".to_owned(),
    };
    let rule = reason.rule.as_ref().map(|rule| format!("{rule} ")).unwrap_or_default();
    writeln!(out, "  {severity} {rule}{}: {}", plain(&reason.about), plain(&reason.message))?;
    match reason.remedy.as_str() {
        "" => Ok(()),
        remedy => writeln!(out, "          fix: {}", plain(remedy)),
    }
}

fn write_identity(identity: &Identity, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let account = identity.account.as_deref().unwrap_or("nobody yet");
    writeln!(out, "\n{} identity: {}", identity.role, plain(account))?;
    identity.hops.iter().try_for_each(|hop| write_hop(hop, paint, out))
}

fn write_parts(answer: &Review, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    if !answer.capabilities.is_empty() {
        writeln!(out, "\ncapabilities")?;
    }
    for part in &answer.capabilities {
        let mark = if part.found { paint.good("ok     ") } else { paint.bad("MISSING") };
        writeln!(out, "  {mark} {}, by {}", named(&part.object), plain(&part.named_by))?;
    }
    if !answer.roles.is_empty() {
        writeln!(out, "\nroles")?;
    }
    answer.roles.iter().try_for_each(|role| write_role(role, paint, out))?;
    if !answer.objects.is_empty() {
        writeln!(out, "\nSecrets and ConfigMaps")?;
    }
    answer.objects.iter().try_for_each(|one| write_use(one, paint, out))
}

fn write_role(role: &RequiredRole, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let (name, by) = (plain(&role.name), named(&role.required_by));
    match &role.held_by {
        Some(binding) => {
            writeln!(out, "  {} {name}, for {by}: {}", paint.good("bound  "), named(binding))
        }
        None => writeln!(out, "  {} {name}, for {by}", paint.bad("MISSING")),
    }
}

fn write_use(one: &RequiredUse, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let keys = match one.keys.as_slice() {
        [] => "all keys".to_owned(),
        keys => format!("keys {}", keys.join(", ")),
    };
    let what = plain(&format!("{} {}/{}, {keys}", one.kind, one.namespace, one.name));
    let by = named(&one.required_by);
    match (&one.granted_by, &one.missing_because) {
        (Some(grant), _) => {
            writeln!(out, "  {} {what}, for {by}: {}", paint.good("granted"), named(grant))
        }
        (None, Some(because)) => {
            writeln!(out, "  {} {what}, for {by}: {}", paint.bad("MISSING"), plain(because))
        }
        (None, None) => {
            writeln!(out, "  {} {what}, for {by}: needs no grant", paint.good("free   "))
        }
    }
}

fn write_missing(answer: &Review, out: &mut dyn Write) -> io::Result<()> {
    let grants = answer.missing_grants();
    if grants.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nthe least grants that would fix it (`-o yaml` prints them alone)")?;
    grants.into_iter().try_for_each(|grant| yaml::write(grant, out))
}
