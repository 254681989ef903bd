//! What every rule is given, and where it puts what it finds.

use jiff::Timestamp;
use pinfold_model::facts::{AdmissionFacts, Question, Requester};
use pinfold_model::finding::RuleId;
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;

/// Most questions of a kind that are kept; far more than the edge asks for one request.
const QUESTIONS_MAX: usize = 1_024;

use crate::explain::World;

/// One request, the cluster and the policy.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The request.
    pub facts: &'a AdmissionFacts,
    /// The cluster.
    pub view: &'a Snapshot,
    /// The policy.
    pub policy: &'a AdmissionPolicy,
    /// Today in UTC, for exceptions.
    pub now: Timestamp,
}

impl<'a> Context<'a> {
    /// An object of the cluster: its live form if the edge read it for this request, else the view's.
    #[must_use]
    pub fn lookup(&self, key: &ObjectKey) -> Option<&'a Object> {
        match self.facts.answers.live(key) {
            Some(live) => live,
            None => self.view.get(key),
        }
    }

    /// The cluster and the policy without the request, for what doesn't depend on who asks.
    #[must_use]
    pub fn world(&self) -> World<'a> {
        let Self { facts, view, policy, now } = *self;
        World { view, policy, answers: &facts.answers, now }
    }

    /// The facts of the object in the request; `None` for DELETE.
    #[must_use]
    pub fn subject_facts(&self) -> Option<&'a Facts> {
        self.facts.object.as_ref().map(|object| &object.facts)
    }

    /// Who asks, or a note that the rule can't be judged without.
    #[must_use]
    pub fn requester(&self, rule: RuleId, found: &mut Found) -> Option<&'a Requester> {
        let requester = self.facts.requester.as_ref();
        if requester.is_none() {
            found.undecided(rule);
        }
        requester
    }
}

/// What the rules found.
#[derive(Debug, Default)]
pub struct Found {
    pub(crate) raw: Vec<Raw>,
    pub(crate) questions: Vec<Question>,
    pub(crate) confirmations: Vec<Question>,
    pub(crate) undecided: Vec<RuleId>,
}

/// A finding before the policy gave it its mode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Raw {
    pub(crate) rule: RuleId,
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) remedy: String,
    /// Never more than a warning, whatever the policy's mode.
    pub(crate) advisory: bool,
}

impl Found {
    /// Adds a finding.
    pub fn add(
        &mut self,
        rule: RuleId,
        path: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (path, message, remedy) = (path.into(), message.into(), remedy.into());
        self.raw.push(Raw { rule, path, message, remedy, advisory: false });
    }

    /// Adds a finding that warns at most, also where the policy enforces the rule.
    pub fn warn(
        &mut self,
        rule: RuleId,
        path: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (path, message, remedy) = (path.into(), message.into(), remedy.into());
        self.raw.push(Raw { rule, path, message, remedy, advisory: true });
    }

    /// Notes a question whose live answer could change the finding just made.
    pub fn ask(&mut self, question: Question) {
        // Without a question its finding stands.
        if self.questions.len() < QUESTIONS_MAX && !self.questions.contains(&question) {
            self.questions.push(question);
        }
    }

    /// Notes a question whose live answer must bear out that nothing was found, where a view that lags would be a hole.
    pub fn confirm(&mut self, question: Question) {
        if self.confirmations.len() < QUESTIONS_MAX && !self.confirmations.contains(&question) {
            self.confirmations.push(question);
        }
    }

    /// Notes a rule that can't be judged because nobody is known to ask.
    pub fn undecided(&mut self, rule: RuleId) {
        if !self.undecided.contains(&rule) {
            self.undecided.push(rule);
        }
    }
}
