//! For people: a table grouped by place and resource, like `kubectl auth can-i --list`, and below it the chains by number.

mod binding;
mod review;
mod who_can;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::shape::{Chain, Hop, ObjectName, Right, Subject, WhatCan};
use crate::output::human::Paint;
pub(super) use crate::output::printable as plain;

pub(crate) use binding::bindings;
pub(crate) use review::review;
pub(crate) use who_can::who_can;

/// `Kind namespace/name`.
pub(super) fn named(object: &ObjectName) -> String {
    let ObjectName { kind, namespace, name, .. } = object;
    match namespace.as_str() {
        "" => plain(&format!("{kind} {name}")),
        namespace => plain(&format!("{kind} {namespace}/{name}")),
    }
}

/// `ServiceAccount namespace/name`, `Group name`.
pub(super) fn subject(subject: &Subject) -> String {
    let Subject { kind, namespace, name } = subject;
    match namespace.as_str() {
        "" => plain(&format!("{kind} {name}")),
        namespace => plain(&format!("{kind} {namespace}/{name}")),
    }
}

/// Where rights are.
pub(super) fn place(namespace: &str) -> String {
    match namespace {
        "" => "in all namespaces and outside them".to_owned(),
        namespace => format!("in namespace {}", plain(namespace)),
    }
}

pub(crate) fn what_can(answer: &WhatCan, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint::new();
    who(answer, &paint, out)?;
    for hop in &answer.hops {
        write_hop(hop, &paint, out)?;
    }
    if answer.holds_everything {
        writeln!(out, "\nIt is in system:masters, which may do everything everywhere.")?;
    }
    let places: BTreeSet<&str> = answer.chains.iter().map(|chain| chain.place.as_str()).collect();
    for at in places {
        writeln!(out, "\n{}", place(at))?;
        let chains = answer.chains.iter().enumerate().filter(|(_, chain)| chain.place == at);
        write_rows(&rows(chains), &paint, out)?;
    }
    if answer.chains.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nby")?;
    for (index, chain) in answer.chains.iter().enumerate() {
        writeln!(out, "  [{}] {}", index.saturating_add(1), way(chain))?;
    }
    Ok(())
}

fn who(answer: &WhatCan, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let groups = answer.groups.join(", ");
    let who = match &answer.user {
        Some(user) => plain(user),
        None if answer.groups.is_empty() => "nobody yet".to_owned(),
        None => plain(&format!("members of {groups}")),
    };
    let because = plain(&answer.agent_because.join(", "));
    let agent = if answer.agent {
        paint.doubt(&format!("agent identity, because of {because}"))
    } else {
        "no agent identity".to_owned()
    };
    writeln!(out, "{who}: {agent}")
}

fn write_hop(hop: &Hop, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let object = named(&hop.object);
    match &hop.fault {
        None if hop.leads.is_empty() => writeln!(out, "  {} {object}", paint.good("ok    ")),
        None => writeln!(out, "  {} {object}, {}", paint.good("ok    "), plain(&hop.leads)),
        Some(fault) => writeln!(out, "  {} {object}: {}", paint.bad("BROKEN"), plain(fault)),
    }
}

/// A chain in one line.
pub(super) fn way(chain: &Chain) -> String {
    let source = match &chain.source {
        Some(source) => format!("{} -> ", named(source)),
        None => String::new(),
    };
    let role = plain(&format!("{} {}", chain.role.kind, chain.role.name));
    let end = match &chain.unresolved {
        Some(why) => format!(" (gives nothing: {})", plain(why)),
        None => String::new(),
    };
    format!("{} -> {source}{} -> {role}{end}", subject(&chain.spelling), named(&chain.binding))
}

/// One line of the table.
struct Row {
    resource: String,
    names: String,
    verbs: String,
    by: String,
    ceiling: String,
}

/// The verbs of one resource, by chain and ceiling.
type Cell = BTreeMap<(String, String), BTreeSet<String>>;

/// What of a resource some chains give: by resource and names, then by chain.
fn rows<'c>(chains: impl Iterator<Item = (usize, &'c Chain)>) -> Vec<Row> {
    let mut cells: BTreeMap<(String, String), Cell> = BTreeMap::new();
    for (index, chain) in chains {
        for right in &chain.rights {
            let by = (origin(index, right), right.ceiling.clone().unwrap_or_default());
            for key in resources(right, &chain.place) {
                let cell = cells.entry(key).or_default().entry(by.clone()).or_default();
                cell.extend(right.rule.verbs.iter().cloned());
            }
        }
    }
    let mut rows = Vec::new();
    for ((resource, names), origins) in cells {
        let mut merged: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for ((by, ceiling), verbs) in origins {
            let verbs = verbs.into_iter().collect::<Vec<_>>().join(" ");
            merged.entry((verbs, ceiling)).or_default().push(by);
        }
        rows.extend(merged.into_iter().map(|((verbs, ceiling), by)| Row {
            resource: plain(&resource),
            names: plain(&names),
            verbs: plain(&verbs),
            by: by.join(" "),
            ceiling: plain(&ceiling),
        }));
    }
    rows
}

/// Which chain, and which aggregated roles of it.
fn origin(index: usize, right: &Right) -> String {
    let index = index.saturating_add(1);
    match right.from.as_slice() {
        [] => format!("[{index}]"),
        from => format!("[{index}: {}]", plain(&from.join(","))),
    }
}

/// Resource and names of the rows that a right is in.
fn resources(right: &Right, place: &str) -> Vec<(String, String)> {
    let rule = &right.rule;
    let names =
        if rule.resource_names.is_empty() { "-".to_owned() } else { rule.resource_names.join(" ") };
    let mut keys = Vec::new();
    for group in &rule.api_groups {
        let qualified = rule.resources.iter().map(|resource| qualified(resource, group));
        keys.extend(qualified.map(|resource| (resource, names.clone())));
    }
    if place.is_empty() {
        let urls = rule.non_resource_urls.iter().map(|url| (url.clone(), "-".to_owned()));
        keys.extend(urls);
    }
    keys
}

/// `deployments.apps/scale`, as `kubectl` writes it.
pub(super) fn qualified(resource: &str, group: &str) -> String {
    match (resource.split_once('/'), group) {
        (_, "") => resource.to_owned(),
        (Some((resource, below)), group) => format!("{resource}.{group}/{below}"),
        (None, group) => format!("{resource}.{group}"),
    }
}

fn write_rows(rows: &[Row], paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let capped = rows.iter().any(|row| !row.ceiling.is_empty());
    let width = |title: &str, cell: fn(&Row) -> &str| {
        let cells = rows.iter().map(|row| cell(row).chars().count());
        cells.chain([title.len()]).max().unwrap_or_default()
    };
    let resource = width("RESOURCE", |row| &row.resource);
    let names = width("NAMES", |row| &row.names);
    let verbs = width("VERBS", |row| &row.verbs);
    let by = width("BY", |row| &row.by);
    let head = format!(
        "  {:resource$}  {:names$}  {:verbs$}  {:by$}  {}",
        "RESOURCE",
        "NAMES",
        "VERBS",
        "BY",
        if capped { "CEILING" } else { "" }
    );
    writeln!(out, "{}", head.trim_end())?;
    for row in rows {
        let Row { resource: what, names: which, verbs: may, by: chain, ceiling } = row;
        let line = format!("  {what:resource$}  {which:names$}  {may:verbs$}  {chain:by$}");
        match ceiling.as_str() {
            "" => writeln!(out, "{}", line.trim_end())?,
            ceiling => writeln!(out, "{line}  {}", paint.bad(&format!("over {ceiling}")))?,
        }
    }
    Ok(())
}
