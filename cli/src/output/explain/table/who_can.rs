//! Who can, for people: every subject with its chains, agent identities marked and groups opened.

use std::io::{self, Write};

use super::super::shape::{Able, Question, WhoCan};
use super::{named, plain, qualified, subject, way};
use crate::output::human::Paint;

/// Most agent identities of one subject that are listed.
const AGENTS_MAX: usize = 12;

pub(crate) fn who_can(answer: &WhoCan, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint::new();
    writeln!(out, "{}", question(answer))?;
    if answer.subjects.is_empty() {
        writeln!(out, "\nnobody but system:masters")?;
    }
    for able in &answer.subjects {
        writeln!(out)?;
        write_able(able, &paint, out)?;
    }
    for unknown in &answer.unresolved {
        let binding = named(&unknown.binding);
        writeln!(out, "\n{} {binding}: {}", paint.doubt("not counted"), plain(&unknown.why))?;
    }
    Ok(())
}

fn question(answer: &WhoCan) -> String {
    let Question { verb, group, resource, name, url } = &answer.asked;
    let what = if url.is_empty() { qualified(resource, group) } else { url.clone() };
    let which = if name.is_empty() { String::new() } else { format!(" named {name}") };
    let place = match (&answer.namespace, answer.cluster_scoped) {
        (Some(namespace), _) => format!("in namespace {namespace}"),
        (None, true) => "outside of namespaces".to_owned(),
        (None, false) => "anywhere".to_owned(),
    };
    plain(&format!("who can {verb} {what}{which} {place}? members of system:masters, and"))
}

fn write_able(able: &Able, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let name = subject(&able.subject);
    let is_one = able.subject.kind != "Group";
    match able.agents.as_slice() {
        [one] if is_one => {
            let because = plain(&one.because.join(", "));
            writeln!(
                out,
                "{name}: {}",
                paint.doubt(&format!("agent identity, because of {because}"))
            )?;
        }
        _ => writeln!(out, "{name}")?,
    }
    if !is_one {
        write_members(able, paint, out)?;
    }
    for chain in &able.chains {
        let capped = chain.rights.iter().find_map(|right| right.ceiling.as_ref());
        let over = match capped {
            Some(ceiling) => format!("  {}", paint.bad(&format!("over {}", plain(ceiling)))),
            None => String::new(),
        };
        let from: Vec<&str> =
            chain.rights.iter().flat_map(|right| &right.from).map(String::as_str).collect();
        let from = if from.is_empty() {
            String::new()
        } else {
            format!(" (from {})", plain(&from.join(", ")))
        };
        writeln!(out, "  {}: {}{from}{over}", super::place(&chain.place), way(chain))?;
    }
    Ok(())
}

/// The agent identities in a group.
fn write_members(able: &Able, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    for agent in able.agents.iter().take(AGENTS_MAX) {
        let name = plain(&format!("{}/{}", agent.namespace, agent.name));
        let because = plain(&agent.because.join(", "));
        writeln!(out, "  {} {name}, because of {because}", paint.doubt("agent identity in it:"))?;
    }
    let more = able.agents.len().saturating_sub(AGENTS_MAX).saturating_add(able.further_agents);
    if more > 0 {
        writeln!(out, "  {} {more} more", paint.doubt("agent identities in it:"))?;
    }
    if able.agents_by_pattern {
        let text =
            "every account that agents.serviceAccounts of the policy names, once it is there";
        writeln!(out, "  {} {text}", paint.doubt("agent identities in it:"))?;
    }
    Ok(())
}
