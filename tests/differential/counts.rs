//! What was asked and what came of it: figures for the report, and the proof that the cases mean something.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use crate::compare::{Compared, Finding, Listed};
use crate::kinds::RbacKind;
use crate::requests::{Request, Verb};
use crate::server::Verdict;

/// Of every kind and operation, at least so many of a hundred are denied, and as many let by.
const SHARE_MIN_PERCENT: usize = 12;
/// Of every way of sending and every matter at least so many of a thousand cases.
const PER_THOUSAND_MIN: usize = 2;

/// How often.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    denied: usize,
    allowed: usize,
    /// Let by and refused by validation.
    invalid: usize,
}

impl Count {
    fn add(&mut self, verdict: &Verdict) {
        let counter = match verdict {
            Verdict::Denied(_) => &mut self.denied,
            Verdict::Allowed => &mut self.allowed,
            Verdict::Invalid(_) => &mut self.invalid,
        };
        *counter = counter.saturating_add(1);
    }

    fn all(self) -> usize {
        self.denied.saturating_add(self.allowed).saturating_add(self.invalid)
    }
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    by_operation: BTreeMap<(RbacKind, &'static str), Count>,
    by_matter: BTreeMap<&'static str, Count>,
    by_verb: BTreeMap<Verb, Count>,
    listed: BTreeMap<Listed, usize>,
    agent_bindings: usize,
    /// SubjectAccessReviews: no, yes.
    pub(crate) access: (usize, usize),
    cases: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, request: &Request, verdict: &Verdict, compared: &Compared) {
        self.cases = self.cases.saturating_add(1);
        let operation = if request.creates { "create" } else { "update" };
        self.by_operation.entry((request.kind, operation)).or_default().add(verdict);
        self.by_matter.entry(request.tag).or_default().add(verdict);
        self.by_verb.entry(request.verb).or_default().add(verdict);
        let agent = compared.agent.as_ref();
        self.agent_bindings = self.agent_bindings.saturating_add(usize::from(agent.is_some()));
        for finding in std::iter::once(&compared.native).chain(agent) {
            if let Finding::Listed(why) = finding {
                let count = self.listed.entry(*why).or_default();
                *count = count.saturating_add(1);
            }
        }
    }

    pub(crate) fn cases(&self) -> usize {
        self.cases
    }

    /// What is too rare for the comparison to say something.
    pub(crate) fn thin(&self) -> Vec<String> {
        let mut thin = Vec::new();
        for ((kind, operation), count) in &self.by_operation {
            let least = count.all().saturating_mul(SHARE_MIN_PERCENT);
            let passed = count.allowed.saturating_add(count.invalid);
            if count.denied.min(passed).saturating_mul(100) < least {
                thin.push(format!("{} {operation}: {count:?}", kind.name()));
            }
        }
        if self.by_operation.len() < 8 {
            thin.push("a kind or operation never came".to_owned());
        }
        let least = self.cases.saturating_mul(PER_THOUSAND_MIN);
        let verbs = self.by_verb.iter().map(|(verb, count)| (format!("{verb:?}"), count));
        let matters = self.by_matter.iter().map(|(matter, count)| ((*matter).to_owned(), count));
        for (what, count) in verbs.chain(matters) {
            if count.all().saturating_mul(1000) < least {
                thin.push(format!("{what}: {count:?}"));
            }
        }
        let missing = Listed::ALL.into_iter().filter(|why| !self.listed.contains_key(why));
        thin.extend(missing.map(|why| format!("never apart by {why:?}")));
        if self.access.0.min(self.access.1).saturating_mul(5) < self.access.0.max(self.access.1) {
            thin.push(format!("SubjectAccessReviews, no and yes: {:?}", self.access));
        }
        thin
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |what: &str, count: &Count| {
            let mut line = String::new();
            let Count { denied, allowed, invalid } = count;
            write!(line, "  {what:<28} {denied:>7} {allowed:>7} {invalid:>7}").map(|()| line)
        };
        writeln!(out, "  {:<28} {:>7} {:>7} {:>7}", "", "denied", "allowed", "invalid")?;
        for ((kind, operation), count) in &self.by_operation {
            writeln!(out, "{}", row(&format!("{} {operation}", kind.name()), count)?)?;
        }
        for (verb, count) in &self.by_verb {
            writeln!(out, "{}", row(&format!("by {verb:?}"), count)?)?;
        }
        for (matter, count) in &self.by_matter {
            writeln!(out, "{}", row(matter, count)?)?;
        }
        writeln!(out, "  AgentRoleBindings compared: {}", self.agent_bindings)?;
        writeln!(out, "  SubjectAccessReviews: {} no, {} yes", self.access.0, self.access.1)?;
        writeln!(out, "  apart as listed: {:?}", self.listed)
    }
}
