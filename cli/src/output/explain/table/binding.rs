//! A proposed binding, for people: the decision, whom it reaches, what is new, what is too much, and what would pass.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::super::dot::rule;
use super::super::shape::{Author, Binding, Bindings, Grant, Missing, Receiver, Right};
use super::{named, place, plain, subject};
use crate::output::human::{Paint, write_finding};
use crate::output::yaml;

pub(crate) fn bindings(answer: &Bindings, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint::new();
    for (index, binding) in answer.bindings.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write_binding(binding, &paint, out)?;
    }
    Ok(())
}

fn write_binding(binding: &Binding, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let verdict = match binding.decision {
        "allowed" => paint.good("ALLOWED"),
        "denied" => paint.bad("DENIED"),
        _ => paint.doubt("UNDECIDED"),
    };
    writeln!(
        out,
        "{verdict} {} ({}:{})",
        named(&binding.binding),
        plain(&binding.file),
        binding.line
    )?;
    for finding in &binding.findings {
        write_finding(finding, paint, out)?;
    }
    for rule in &binding.undecided {
        writeln!(out, "  {rule} can't be judged without the requester; say who with --as")?;
    }
    write_receivers(&binding.receivers, paint, out)?;
    if let Some(why) = &binding.scope_error {
        writeln!(out, "  where: {} {}", paint.bad("cannot tell:"), plain(why))?;
    }
    for grant in &binding.grants {
        write_grant(grant, paint, out)?;
    }
    write_remedy(binding, paint, out)
}

fn write_receivers(receivers: &[Receiver], paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    if receivers.is_empty() {
        return writeln!(out, "  for nobody yet");
    }
    for receiver in receivers {
        writeln!(out, "  for {}", subject(&receiver.subject))?;
        for agent in &receiver.agents {
            let (name, because) =
                (format!("{}/{}", agent.namespace, agent.name), agent.because.join(", "));
            let text = plain(&format!("{name}, because of {because}"));
            writeln!(out, "    {} {text}", paint.doubt("agent identity"))?;
        }
        if receiver.further_agents > 0 {
            writeln!(
                out,
                "    {} {} more",
                paint.doubt("agent identities"),
                receiver.further_agents
            )?;
        }
        if receiver.agents_by_pattern {
            let text =
                "every account that agents.serviceAccounts of the policy names, once it is there";
            writeln!(out, "    {} {text}", paint.doubt("agent identities"))?;
        }
    }
    Ok(())
}

fn write_grant(grant: &Grant, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let source = plain(format!("{} {}", grant.source.kind, grant.source.name).trim_end());
    writeln!(out, "\n  {source} {}", place(&grant.place))?;
    if let Some(why) = &grant.unresolved {
        return writeln!(out, "    {} {}", paint.bad("cannot tell what it gives:"), plain(why));
    }
    for right in &grant.rights {
        write_right(right, paint, out)?;
    }
    for news in &grant.news {
        let who = subject(&news.subject);
        write_missing(&format!("new to {who}"), &news.adds, "nothing: held already", out)?;
    }
    match &grant.author {
        None => Ok(()),
        Some(Author { standing: "master", .. }) => {
            writeln!(out, "    author: in system:masters, who may give anything")
        }
        Some(Author { standing: "may-bind", .. }) => {
            writeln!(out, "    author: may bind this role, whether it holds the rights or not")
        }
        Some(Author { lacks, .. }) => write_missing("author lacks", lacks, "nothing", out),
    }
}

fn write_right(right: &Right, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let from = match right.from.as_slice() {
        [] => String::new(),
        from => format!(" (from {})", from.join(", ")),
    };
    let text = plain(&format!("{}{from}", rule(&right.rule)));
    match &right.ceiling {
        None => writeln!(out, "    gives {text}"),
        Some(ceiling) => {
            writeln!(out, "    gives {text}  {}", paint.bad(&format!("over {}", plain(ceiling))))
        }
    }
}

fn write_missing(
    title: &str,
    missing: &Missing,
    none: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    // Lists of one rule are told block by block, which may look alike when cut.
    let mut told: BTreeSet<String> = missing.rules.iter().map(|one| plain(&rule(one))).collect();
    if missing.more {
        told.insert(if told.is_empty() { "too much to tell" } else { "~ and more" }.to_owned());
    }
    if told.is_empty() {
        return writeln!(out, "    {title}: {none}");
    }
    told.iter().try_for_each(|text| writeln!(out, "    {title}: {text}"))
}

fn write_remedy(binding: &Binding, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    if binding.remedy.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n  {} instead (the rest is left out):", paint.good("this would pass"))?;
    let mut text = Vec::new();
    binding.remedy.iter().try_for_each(|manifest| yaml::write(manifest, &mut text))?;
    for line in String::from_utf8_lossy(&text).lines() {
        writeln!(out, "    {}", plain(line))?;
    }
    Ok(())
}
