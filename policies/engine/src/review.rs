//! The permission review: whether a stack may be dispatched for a repository, a ref, a trigger and a pool, with everything that speaks for and against it.
//!
//! What denies is what the webhook denies: the review asks [`crate::admit`] about the AgentDispatchRun that a controller would make, and
//! PF-RUN-005 asks [`assess`] about the one that it makes. Answers are data, never text for a terminal.

mod capabilities;
mod dispatch;
mod identities;
mod roles;
mod uses;

use pinfold_model::facts::Question;
use pinfold_model::finding::{Finding, Mode, RuleId};
use pinfold_model::object::ObjectKey;

use crate::admit::admit;
use crate::context::Context;
use crate::explain::World;

pub use capabilities::Capability;
pub use dispatch::Dispatch;
pub use identities::{Role as IdentityRole, RuntimeIdentity};
pub use roles::RequiredRole;
pub use uses::{RequiredUse, Standing as UseStanding};

/// How much a reason weighs; the heaviest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The dispatch is refused for it.
    Error,
    /// It passes, and somebody should look.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One reason, complete enough to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// How much it weighs.
    pub severity: Severity,
    /// The rule that refuses; `None` for what refuses nothing.
    pub rule: Option<RuleId>,
    /// What it is about: an object and the field, such as `AgentMcpServer.krate.a5c.ai acme/github`.
    pub about: String,
    /// What was found.
    pub message: String,
    /// What to do; empty if there is nothing to do.
    pub remedy: String,
}

/// Everything that a dispatch rests on.
#[derive(Debug, Clone, Default)]
pub struct Assessment {
    /// Who would act: as what the stack runs, as what its pool runs.
    pub identities: Vec<RuntimeIdentity>,
    /// The tool profile, MCP servers, skills and subagents.
    pub capabilities: Vec<Capability>,
    /// The roles that they need, and what gives them.
    pub roles: Vec<RequiredRole>,
    /// The Secrets and ConfigMaps that they need, and what grants them.
    pub uses: Vec<RequiredUse>,
    /// What speaks against the dispatch, and what should be known, in no order.
    pub(crate) problems: Vec<Problem>,
}

/// A reason with what a live answer could change about it.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    pub(crate) about: String,
    pub(crate) message: String,
    pub(crate) remedy: String,
    pub(crate) questions: Vec<Question>,
}

impl Assessment {
    fn add(
        &mut self,
        severity: Severity,
        about: &ObjectKey,
        message: String,
        remedy: impl Into<String>,
    ) {
        let (about, remedy) = (about.to_string(), remedy.into());
        self.problems.push(Problem { severity, about, message, remedy, questions: Vec::new() });
    }

    /// What refuses, unless live answers change it.
    fn refuse(
        &mut self,
        about: &ObjectKey,
        message: String,
        remedy: String,
        questions: Vec<Question>,
    ) {
        let (severity, about) = (Severity::Error, about.to_string());
        self.problems.push(Problem { severity, about, message, remedy, questions });
    }

    /// A missing object, which a live read could show.
    fn missing(&mut self, key: &ObjectKey, message: String, remedy: String) {
        self.refuse(key, message, remedy, vec![Question::Object(key.clone())]);
    }
}

/// The answer to one review.
#[derive(Debug, Clone)]
pub struct Review {
    /// Whether the webhook would let a controller make the run.
    pub allowed: bool,
    /// Why its work would be untrusted; `None` if it would be trusted.
    pub untrusted: Option<String>,
    /// What the answer rests on.
    pub assessment: Assessment,
    /// Every reason, the heaviest first.
    pub reasons: Vec<Reason>,
}

/// Everything that a dispatch rests on, and what speaks against it.
pub(crate) fn assess(context: &Context<'_>, dispatch: &Dispatch) -> Assessment {
    let mut found = Assessment::default();
    let Some(stack) = dispatch.find_stack(context, &mut found) else { return found };
    identities::assess(context, dispatch, &stack, &mut found);
    capabilities::assess(context, &stack, &mut found);
    roles::assess(context, &stack, &mut found);
    uses::assess(context, dispatch, &stack, &mut found);
    found
}

/// Reviews a dispatch.
#[must_use]
pub fn review(world: &World<'_>, dispatch: &Dispatch) -> Review {
    let facts = dispatch.request(world);
    let World { view, policy, now, .. } = *world;
    let decision = admit(&facts, view, policy, now);
    let context = Context { facts: &facts, view, policy, now };
    let assessment = assess(&context, dispatch);
    let told = assessment.problems.iter().filter(|problem| problem.severity != Severity::Error);
    let mut reasons: Vec<Reason> = decision.findings.iter().map(of_finding).collect();
    reasons.extend(told.map(of_problem));
    let untrusted = dispatch.untrusted(&context);
    reasons.extend(untrusted.as_deref().map(of_tier));
    reasons.sort_by(|left, right| {
        let key = |reason: &Reason| (reason.severity, reason.rule.clone(), reason.about.clone());
        key(left).cmp(&key(right)).then_with(|| left.message.cmp(&right.message))
    });
    Review { allowed: decision.allowed(), untrusted, assessment, reasons }
}

fn of_finding(finding: &Finding) -> Reason {
    let severity = match finding.mode {
        Mode::Enforce => Severity::Error,
        Mode::Warn => Severity::Warning,
        Mode::Audit => Severity::Note,
    };
    Reason {
        severity,
        rule: Some(finding.rule.clone()),
        about: finding.path.clone(),
        message: finding.message.clone(),
        remedy: finding.remedy.clone(),
    }
}

fn of_problem(problem: &Problem) -> Reason {
    let Problem { severity, about, message, remedy, .. } = problem.clone();
    Reason { severity, rule: None, about, message, remedy }
}

fn of_tier(reason: &str) -> Reason {
    Reason {
        severity: Severity::Note,
        rule: None,
        about: "$.spec.ref".to_owned(),
        message: format!("its work is untrusted: {reason}"),
        remedy: "only untrusted pools, and grants with `allowUntrustedRefs: true`".to_owned(),
    }
}

#[cfg(test)]
mod tests;
