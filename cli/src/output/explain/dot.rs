//! A picture for Graphviz: identity, spelling, binding, role, aggregated roles, rights.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::shape::{Bindings, Chain, Right, Rule, WhatCan, WhoCan};
use super::table;
use crate::output::is_unprintable;

/// A text as a quoted id of the DOT language: only quotes and backslashes mean anything in it, and line ends become spaces.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            hidden if is_unprintable(hidden) => quoted.push(' '),
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

/// How a node is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Identity,
    Agent,
    Spelling,
    Binding,
    Role,
    Right,
    OverCeiling,
    Missing,
}

impl Shape {
    fn attributes(self) -> &'static str {
        match self {
            Self::Identity => "shape=oval",
            Self::Agent => "shape=oval, peripheries=2",
            Self::Spelling => "shape=plaintext",
            Self::Binding => "shape=box",
            Self::Role => "shape=box, style=rounded",
            Self::Right => "shape=note",
            Self::OverCeiling => "shape=note, color=red, fontcolor=red",
            Self::Missing => "shape=box, style=dashed, color=red, fontcolor=red",
        }
    }
}

/// Nodes and edges, each once, in the order in which they came.
#[derive(Debug, Default)]
struct Graph {
    ids: BTreeMap<String, usize>,
    nodes: Vec<(String, Shape)>,
    edges: Vec<(usize, usize, String)>,
}

impl Graph {
    /// The node of a key, which is new or drawn already.
    fn node(&mut self, key: &str, label: &str, shape: Shape) -> usize {
        if let Some(id) = self.ids.get(key) {
            return *id;
        }
        let id = self.nodes.len();
        self.ids.insert(key.to_owned(), id);
        self.nodes.push((label.to_owned(), shape));
        id
    }

    fn edge(&mut self, from: usize, to: usize, label: &str) {
        let edge = (from, to, label.to_owned());
        if !self.edges.contains(&edge) {
            self.edges.push(edge);
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "digraph pinfold {{\n  rankdir=LR;")?;
        for (id, (label, shape)) in self.nodes.iter().enumerate() {
            writeln!(out, "  n{id} [label={}, {}];", quoted(label), shape.attributes())?;
        }
        for (from, to, label) in &self.edges {
            match label.as_str() {
                "" => writeln!(out, "  n{from} -> n{to};")?,
                label => writeln!(out, "  n{from} -> n{to} [label={}];", quoted(label))?,
            }
        }
        writeln!(out, "}}")
    }

    /// Draws a chain, behind a node if there is one.
    fn chain(&mut self, start: Option<usize>, chain: &Chain) {
        let spelling = table::subject(&chain.spelling);
        let spelled = self.node(&format!("s {spelling}"), &spelling, Shape::Spelling);
        if let Some(start) = start {
            self.edge(start, spelled, "");
        }
        let binding = table::named(&chain.binding);
        let bound = self.node(&format!("b {binding}"), &binding, Shape::Binding);
        match &chain.source {
            Some(source) => {
                let label = table::named(source);
                let source = self.node(&format!("b {label}"), &label, Shape::Binding);
                self.edge(spelled, source, "");
                self.edge(source, bound, "writes");
            }
            None => self.edge(spelled, bound, ""),
        }
        let home = if chain.role.kind == "Role" { chain.place.as_str() } else { "" };
        let key = format!("r {} {home}/{}", chain.role.kind, chain.role.name);
        let label = format!("{} {}", chain.role.kind, chain.role.name);
        let missing = chain.unresolved.is_some();
        let role = self.node(&key, &label, if missing { Shape::Missing } else { Shape::Role });
        self.edge(bound, role, "");
        self.rights(role, &chain.rights);
    }

    /// Draws the rights of a role.
    fn rights(&mut self, role: usize, rights: &[Right]) {
        for right in rights {
            let over = right.ceiling.is_some();
            let shape = if over { Shape::OverCeiling } else { Shape::Right };
            let label = rule(&right.rule);
            let end = self.node(&format!("x {over} {label}"), &label, shape);
            for part in &right.from {
                let label = format!("ClusterRole {part}");
                let part = self.node(&format!("r ClusterRole /{part}"), &label, Shape::Role);
                self.edge(role, part, "aggregates");
                self.edge(part, end, "");
            }
            if right.from.is_empty() {
                self.edge(role, end, "");
            }
        }
    }
}

/// A rule in one line: `get,list pods,services (named a)`.
pub(super) fn rule(rule: &Rule) -> String {
    let verbs = rule.verbs.join(",");
    let resources: Vec<String> = rule
        .api_groups
        .iter()
        .flat_map(|group| rule.resources.iter().map(|one| table::qualified(one, group)))
        .chain(rule.non_resource_urls.iter().cloned())
        .collect();
    let names = match rule.resource_names.as_slice() {
        [] => String::new(),
        names => format!(" (named {})", names.join(",")),
    };
    format!("{verbs} {}{names}", resources.join(","))
}

pub(crate) fn what_can(answer: &WhatCan, out: &mut dyn Write) -> io::Result<()> {
    let mut graph = Graph::default();
    let mut last = None;
    for hop in answer.hops.iter().filter(|hop| hop.object.kind != "Namespace") {
        let label = table::named(&hop.object);
        let shape = if hop.fault.is_some() { Shape::Missing } else { Shape::Identity };
        // What is broken behind the identity is drawn with its chain.
        if last.is_some() && hop.object.group == pinfold_model::snapshot::RBAC_GROUP {
            continue;
        }
        let next = graph.node(&format!("h {label}"), &label, shape);
        if let Some(last) = last {
            graph.edge(last, next, "");
        }
        last = Some(next);
    }
    let user = answer.user.clone().unwrap_or_else(|| answer.groups.join(", "));
    let shape = if answer.agent { Shape::Agent } else { Shape::Identity };
    let identity = graph.node(&format!("i {user}"), &user, shape);
    if let Some(last) = last {
        graph.edge(last, identity, "");
    }
    for chain in &answer.chains {
        graph.chain(Some(identity), chain);
    }
    graph.write(out)
}

pub(crate) fn who_can(answer: &WhoCan, out: &mut dyn Write) -> io::Result<()> {
    let mut graph = Graph::default();
    for able in &answer.subjects {
        let label = table::subject(&able.subject);
        let spelled = graph.node(&format!("s {label}"), &label, Shape::Spelling);
        for agent in &able.agents {
            let label = format!("{}/{}", agent.namespace, agent.name);
            let agent = graph.node(&format!("i {label}"), &label, Shape::Agent);
            graph.edge(agent, spelled, "");
        }
        for chain in &able.chains {
            graph.chain(None, chain);
        }
    }
    graph.write(out)
}

pub(crate) fn bindings(answer: &Bindings, out: &mut dyn Write) -> io::Result<()> {
    let mut graph = Graph::default();
    for binding in &answer.bindings {
        let label = table::named(&binding.binding);
        let shape = if binding.decision == "denied" { Shape::Missing } else { Shape::Binding };
        let bound = graph.node(&format!("b {label}"), &label, shape);
        for receiver in &binding.receivers {
            let label = table::subject(&receiver.subject);
            let spelled = graph.node(&format!("s {label}"), &label, Shape::Spelling);
            graph.edge(spelled, bound, "");
            for agent in &receiver.agents {
                let label = format!("{}/{}", agent.namespace, agent.name);
                let agent = graph.node(&format!("i {label}"), &label, Shape::Agent);
                graph.edge(agent, spelled, "");
            }
        }
        for grant in &binding.grants {
            let label = format!("{} {}", grant.source.kind, grant.source.name);
            let missing = grant.unresolved.is_some();
            let shape = if missing { Shape::Missing } else { Shape::Role };
            let home = if grant.source.kind == "Role" { grant.place.as_str() } else { "" };
            let key = format!("r {} {home}/{}", grant.source.kind, grant.source.name);
            let role = graph.node(&key, label.trim_end(), shape);
            graph.edge(bound, role, &table::place(&grant.place));
            graph.rights(role, &grant.rights);
        }
    }
    graph.write(out)
}
