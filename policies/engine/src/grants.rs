//! Whether somebody's work may use a Secret or ConfigMap: the grants that name it, in their order of precedence, and what is missing.
//!
//! A pure function of a view, a policy and the time, so that the webhook and a review on a laptop give one answer. Nothing here grants: it
//! finds the AgentSecretGrant or AgentConfigGrant that does. What can't be told grants nothing, and every denial that could be meant denies.
//! Costs what the grants of one object cost, however many there are of others.

mod accounts;
mod approval;
mod fit;
mod narrowing;
mod places;
mod subject;
mod suggestion;
mod words;

use pinfold_model::facts::Question;
use pinfold_model::finding::RuleId;
use pinfold_model::object::agent::{AgentStack, Grant};
use pinfold_model::object::reference::{Keys, Mount, ReferenceKind};
use pinfold_model::object::{AGENT_GROUPS, Facts, Object, ObjectKey};
use serde_json::Value;

use self::accounts::AccountStacks;
use self::fit::Misfit;
use self::subject::Hit;
use crate::explain::World;
use crate::organization::{Ownership, namespace_key, ownership_by};
use crate::rbac::describe::excerpt;

pub(crate) use self::accounts::{RECORDS_MAX, stacks_beside, stacks_of};
pub(crate) use self::places::qualified;

/// What is to be used, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Need<'a> {
    /// Secret or ConfigMap.
    pub kind: ReferenceKind,
    /// The namespace that it is in.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Which of its keys.
    pub keys: &'a Keys,
    /// By which way; `None` in a review, where nothing is mounted yet.
    pub mount: Option<Mount>,
    /// What for, if that is said.
    pub purpose: Option<&'a str>,
}

/// Whose work it is. What isn't known is `None`: grants that ask for it don't fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bearer<'a> {
    /// The namespace that the work runs in.
    pub namespace: &'a str,
    /// Its organization.
    pub organization: Option<&'a str>,
    /// The ServiceAccount that it runs as, beside it.
    pub service_account: Option<&'a str>,
    /// The AgentStack by its record: `name` of one beside it, or `namespace/name`.
    pub stack: Option<&'a str>,
    /// Whether the stack is only that of the ServiceAccount. Tenants write stacks, so such a one keeps no denial of another away.
    pub stack_by_account: bool,
    /// The names of AgentStacks that the work itself says, in labels. They can only narrow.
    pub stack_labels: &'a [&'a str],
    /// The RunnerPool by its record.
    pub pool: Option<&'a str>,
    /// Kind and name of the tool profile, MCP server, skill or subagent that needs it; `None` for a pod, which has those of its stack.
    pub capability: Option<(&'a str, &'a str)>,
    /// The team.
    pub team: Option<&'a str>,
    /// The user who set it off, by its record.
    pub user: Option<&'a str>,
    /// The repository, by its record.
    pub repository: Option<&'a str>,
    /// The full ref (`refs/heads/main`), by its record.
    pub git_ref: Option<&'a str>,
    /// The kind of event that set it off, by its record.
    pub trigger_source: Option<&'a str>,
    /// The AgentDispatchRun.
    pub run: Option<&'a ObjectKey>,
    /// Whether its records say that it is trusted; no record is untrusted.
    pub trusted: bool,
    /// Why it isn't, for messages; may be empty.
    pub untrusted_because: &'a str,
}

/// Where in the order of precedence a decision was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A grant with `effect: deny`.
    ExplicitDeny,
    /// The Secret or ConfigMap doesn't exist.
    MissingObject,
    /// A grant for a ServiceAccount, run or user.
    Subject,
    /// A grant for an AgentStack, or its `secretPolicy`.
    Stack,
    /// A grant for a tool profile, MCP server, skill or subagent.
    Capability,
    /// A grant for a repository, team or runner pool.
    Repository,
    /// A grant for a whole organization.
    Organization,
    /// No grant is for this work.
    NoGrant,
}

impl Step {
    /// The name in answers and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExplicitDeny => "explicit-deny",
            Self::MissingObject => "missing-object",
            Self::Subject => "subject",
            Self::Stack => "stack",
            Self::Capability => "capability",
            Self::Repository => "repository",
            Self::Organization => "organization",
            Self::NoGrant => "no-grant",
        }
    }
}

/// One reason why something may not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule that speaks.
    pub rule: RuleId,
    /// Where it was decided.
    pub step: Step,
    /// What was found.
    pub message: String,
    /// What would be accepted.
    pub remedy: String,
}

/// Why something may not be used, and what would change that.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused<'c> {
    /// All reasons, one a rule.
    pub refusals: Vec<Refusal>,
    /// The grant that comes nearest.
    pub nearest: Option<&'c ObjectKey>,
    /// The least grant that would be enough; `None` where no further grant helps.
    pub suggestion: Option<Value>,
    /// What a live answer could change.
    pub questions: Vec<Question>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict<'c> {
    /// The policy asks for no grant for this object.
    NotNeeded,
    /// It may be used.
    Granted {
        /// The grant, or the AgentServiceAccount that names a pull secret.
        by: &'c ObjectKey,
        /// What must be borne out by a live answer.
        confirm: Vec<Question>,
    },
    /// It may not.
    Refused(Box<Refused<'c>>),
}

impl Verdict<'_> {
    /// Whether it may be used.
    #[must_use]
    pub fn allows(&self) -> bool {
        match self {
            Self::NotNeeded | Self::Granted { .. } => true,
            Self::Refused(_) => false,
        }
    }
}

/// Whether a piece of work may use an object.
#[must_use]
pub fn resolve<'c>(world: &World<'c>, bearer: &Bearer<'_>, need: &Need<'_>) -> Verdict<'c> {
    if !world.policy.grants.needs(need.kind, need.name) {
        return Verdict::NotNeeded;
    }
    let stacks = stacks(world, bearer);
    let case = Case { world, bearer, need, stacks, of_account: of_account(world, bearer) };
    let candidates = case.candidates();
    if let Some(refused) = case.denied(&candidates).or_else(|| case.missing()) {
        return refused;
    }
    if let Some(by) = case.pull_secret() {
        return Verdict::Granted { by, confirm: case.confirm() };
    }
    let narrowing = narrowing::judge(&case);
    let mut judged: Vec<Judged<'c>> =
        candidates.iter().filter_map(|one| case.judged(one)).collect();
    judged.sort_by(|left, right| left.order().cmp(&right.order()));
    let best = judged.into_iter().next();
    match best {
        Some(best) if best.fits() && narrowing.is_empty() => {
            Verdict::Granted { by: best.key, confirm: case.confirm() }
        }
        best => case.refused(best.as_ref(), narrowing),
    }
}

/// One question to be answered.
struct Case<'q, 'c> {
    world: &'q World<'c>,
    bearer: &'q Bearer<'q>,
    need: &'q Need<'q>,
    /// The bearer's stack, in every group that has it.
    stacks: Vec<(&'c ObjectKey, &'c AgentStack)>,
    /// Where no record says which stack it is: all that run as its ServiceAccount.
    of_account: AccountStacks<'c>,
}

/// A grant of the object.
#[derive(Clone, Copy)]
struct Candidate<'c> {
    key: &'c ObjectKey,
    grant: &'c Grant,
}

/// A grant and why it doesn't fit.
struct Judged<'c> {
    key: &'c ObjectKey,
    /// Where it stands if it is for this work.
    step: Option<Step>,
    misfits: Vec<Misfit>,
}

impl Judged<'_> {
    fn fits(&self) -> bool {
        self.step.is_some() && self.misfits.is_empty()
    }

    /// What fits comes first, the most specific of it; then what is for this work and lacks least.
    fn order(&self) -> (bool, bool, usize, Option<Step>, &ObjectKey) {
        let lacking = self.misfits.len();
        (!self.fits(), self.step.is_none(), lacking, self.step, self.key)
    }
}

/// The AgentStack of the bearer, in either group.
fn stacks<'c>(world: &World<'c>, bearer: &Bearer<'_>) -> Vec<(&'c ObjectKey, &'c AgentStack)> {
    let Some(stack) = bearer.stack else { return Vec::new() };
    let (namespace, name) = stack.split_once('/').unwrap_or((bearer.namespace, stack));
    let found = AGENT_GROUPS.iter().filter_map(|group| {
        let object = lookup(world, &ObjectKey::new(group, "AgentStack", namespace, name))?;
        let Facts::AgentStack(stack) = &object.facts else { return None };
        Some((&object.key, stack.as_ref()))
    });
    found.collect()
}

/// The stacks that it could be work of, where no record of a run says.
fn of_account<'c>(world: &World<'c>, bearer: &Bearer<'_>) -> AccountStacks<'c> {
    let recorded = bearer.stack.is_some() && !bearer.stack_by_account;
    match bearer.service_account.filter(|_| !recorded) {
        Some(account) => stacks_of(world, (bearer.namespace, account)),
        None => AccountStacks::default(),
    }
}

/// An object: its live form if it was read, else the view's.
fn lookup<'c>(world: &World<'c>, key: &ObjectKey) -> Option<&'c Object> {
    match world.answers.live(key) {
        Some(live) => live,
        None => world.view.get(key),
    }
}

impl<'c> Case<'_, 'c> {
    fn now(&self) -> jiff::Timestamp {
        self.world.now
    }

    /// The rule that asks for a grant at all.
    fn rule(&self) -> RuleId {
        match self.need.kind {
            ReferenceKind::Secret => RuleId::SEC_SECRET_GRANT,
            ReferenceKind::ConfigMap => RuleId::SEC_CONFIG_GRANT,
        }
    }

    /// Everything that grants or denies the object, as it is now.
    fn candidates(&self) -> Vec<Candidate<'c>> {
        let Need { kind, namespace, name, .. } = *self.need;
        let (world, fits) = (self.world, words::grant_kind(kind));
        let listed = world.view.grants_of(kind, namespace, name);
        let listed = listed.filter(|(key, _)| is_grant(key, fits));
        let now = listed.filter_map(|(key, grant)| match world.answers.live(key) {
            None => Some(Candidate { key, grant }),
            Some(live) => candidate(live?).filter(|one| self.is_of_object(one)),
        });
        now.collect()
    }

    fn is_of_object(&self, candidate: &Candidate<'_>) -> bool {
        let object = &candidate.grant.object;
        let own = candidate.key.namespace.as_str();
        let namespace = if object.namespace.is_empty() { own } else { &object.namespace };
        let Need { kind, namespace: wanted, name, .. } = *self.need;
        (object.kind, namespace, object.name.as_str()) == (kind, wanted, name)
    }

    /// The denial that applies, the most specific of them.
    fn denied(&self, candidates: &[Candidate<'c>]) -> Option<Verdict<'c>> {
        let denies =
            candidates.iter().filter(|one| one.grant.denies && self.could_be_home(one.key));
        let hits = denies.filter_map(|one| {
            let hit = fit::denies(self, one)?;
            Some((hit.step, one.key, hit))
        });
        let (_, key, hit) = hits.min_by(|left, right| (left.0, left.1).cmp(&(right.0, right.1)))?;
        let what = words::need(self.need);
        let because = if hit.hit == Hit::Unknown { ", as far as can be told" } else { "" };
        let message = format!(
            "{} denies {what} {}{because}: a denial beats every grant",
            words::object(key),
            words::bearer(self.bearer),
        );
        let remedy = "leave it out, or have whoever wrote the denial take it back".to_owned();
        let refusal = Refusal { rule: self.rule(), step: Step::ExplicitDeny, message, remedy };
        Some(self.refuse(vec![refusal], Some(key), None))
    }

    /// Whether the policy wants the object to be there, and it isn't.
    fn missing(&self) -> Option<Verdict<'c>> {
        let key = self.object_key();
        let gone = matches!(self.world.answers.live(&key), Some(None));
        if !self.world.policy.grants.check_existence || !gone {
            return None;
        }
        let message = format!("there is no {}", words::need(self.need));
        let remedy = "make it first, or correct the name".to_owned();
        let refusal = Refusal { rule: self.rule(), step: Step::MissingObject, message, remedy };
        Some(self.refuse(vec![refusal], None, None))
    }

    fn object_key(&self) -> ObjectKey {
        let Need { kind, namespace, name, .. } = *self.need;
        ObjectKey::new("", kind.as_str(), namespace, name)
    }

    /// What must be borne out before the answer is "granted".
    fn confirm(&self) -> Vec<Question> {
        let key = self.object_key();
        let known = self.world.answers.live(&key).is_some();
        let wanted = self.world.policy.grants.check_existence && !known;
        wanted.then_some(Question::Object(key)).into_iter().collect()
    }

    /// The AgentServiceAccount that names a Secret to pull images with: the kubelet uses it, and no container sees it.
    fn pull_secret(&self) -> Option<&'c ObjectKey> {
        let account = self.bearer.service_account?;
        let secret = self.need.kind == ReferenceKind::Secret;
        let own = self.need.namespace == self.bearer.namespace;
        if !secret || !own || self.need.mount != Some(Mount::ImagePull) {
            return None;
        }
        let records = self.world.view.agent_records(self.bearer.namespace, account);
        let allowing = records.filter(|key| {
            let Some(found) = lookup(self.world, key) else { return false };
            let Facts::AgentServiceAccount(record) = &found.facts else { return false };
            record.image_pull_secrets.iter().any(|name| name == self.need.name) && self.is_home(key)
        });
        allowing.min()
    }

    /// Whether an object is kept where it may speak for the work: beside it, elsewhere in its organization, or by the platform.
    fn is_home(&self, key: &ObjectKey) -> bool {
        self.home(key) == Hit::Yes
    }

    /// The same, or nobody can tell.
    fn could_be_home(&self, key: &ObjectKey) -> bool {
        self.home(key) != Hit::No
    }

    fn home(&self, key: &ObjectKey) -> Hit {
        if key.namespace == self.bearer.namespace {
            return Hit::Yes;
        }
        match self.owner(&key.namespace) {
            Ownership::Owned(organization)
                if Some(organization.as_str()) == self.bearer.organization =>
            {
                Hit::Yes
            }
            Ownership::Platform => Hit::Yes,
            Ownership::Owned(_) | Ownership::Unowned => Hit::No,
            Ownership::Conflict(_) | Ownership::Unknown => Hit::Unknown,
        }
    }

    fn owner(&self, namespace: &str) -> Ownership {
        let object = lookup(self.world, &namespace_key(namespace));
        ownership_by(self.world.view, self.world.policy, object, namespace)
    }

    /// A grant with what speaks against it; `None` for a denial.
    fn judged(&self, candidate: &Candidate<'c>) -> Option<Judged<'c>> {
        let Candidate { key, grant } = *candidate;
        if grant.denies {
            return None;
        }
        let subject = subject::matches(self, candidate);
        let step = (subject.hit == Hit::Yes).then_some(subject.step);
        // Of others' grants nothing more is asked: there may be many.
        let misfits = step.map(|_| fit::misfits(self, candidate)).unwrap_or_default();
        Some(Judged { key, step, misfits })
    }

    /// The refusal where nothing fits, or something beside the grants narrows what they give.
    fn refused(&self, best: Option<&Judged<'c>>, narrowing: Vec<Refusal>) -> Verdict<'c> {
        let helps = narrowing.is_empty()
            && best.is_none_or(|best| best.misfits.iter().all(|misfit| misfit.helps));
        let near = best.map(|best| best.key);
        let suggestion = if helps { suggestion::grant(self, near) } else { None };
        let mut refusals = narrowing;
        match best {
            Some(best) if best.fits() => {}
            Some(Judged { key, step: Some(step), misfits }) => {
                refusals.extend(self.unfit(key, *step, misfits, suggestion.as_ref()));
            }
            other => refusals.extend(self.nothing(other, suggestion.as_ref())),
        }
        self.refuse(refusals, near, suggestion)
    }

    /// What a grant for this work lacks, by rule.
    fn unfit(
        &self,
        key: &ObjectKey,
        step: Step,
        misfits: &[Misfit],
        suggestion: Option<&Value>,
    ) -> Vec<Refusal> {
        let mut rules: Vec<&RuleId> = misfits.iter().map(|misfit| &misfit.rule).collect();
        rules.sort();
        rules.dedup();
        let refusal = |rule: &RuleId| {
            let of_rule: Vec<&Misfit> = misfits.iter().filter(|one| one.rule == *rule).collect();
            let why: Vec<&str> = of_rule.iter().map(|misfit| misfit.why.as_str()).collect();
            let how: Vec<&str> = of_rule.iter().map(|misfit| misfit.remedy.as_str()).collect();
            let message = format!(
                "{} {}: {} is the nearest grant, but {}",
                words::need(self.need),
                words::bearer(self.bearer),
                words::object(key),
                why.join("; ")
            );
            let remedy = words::remedy(&how.join("; "), suggestion);
            Refusal { rule: rule.clone(), step, message, remedy }
        };
        rules.into_iter().map(refusal).collect()
    }

    /// The refusal where no grant is for this work.
    fn nothing(&self, near: Option<&Judged<'c>>, suggestion: Option<&Value>) -> Vec<Refusal> {
        let kind = words::grant_kind(self.need.kind);
        let near = near.map(|near| format!("; {} is for another subject", words::object(near.key)));
        let what = format!("{} {}", words::need(self.need), words::bearer(self.bearer));
        let message = format!("{what}: no {kind} is for it{}", near.unwrap_or_default());
        let remedy = words::remedy("", suggestion);
        let mut refusals =
            vec![Refusal { rule: self.rule(), step: Step::NoGrant, message, remedy }];
        if let Some(untrusted) = fit::untrusted(self) {
            let Misfit { rule, why, remedy, .. } = untrusted;
            let message = format!("{what}: {why}");
            refusals.push(Refusal { rule, step: Step::NoGrant, message, remedy });
        }
        refusals
    }

    fn refuse(
        &self,
        refusals: Vec<Refusal>,
        nearest: Option<&'c ObjectKey>,
        suggestion: Option<Value>,
    ) -> Verdict<'c> {
        let live = |key: &ObjectKey| self.world.answers.live(key).is_some();
        let near = nearest.filter(|key| !live(key)).cloned();
        let stacks = narrowing::questions(self);
        let questions = near.into_iter().chain(stacks).map(Question::Object).collect();
        Verdict::Refused(Box::new(Refused { refusals, nearest, suggestion, questions }))
    }
}

fn candidate(object: &Object) -> Option<Candidate<'_>> {
    let Facts::Grant(grant) = &object.facts else { return None };
    Some(Candidate { key: &object.key, grant })
}

/// Whether an object is a grant of the agent control plane: no other group's kind of that name grants anything.
fn is_grant(key: &ObjectKey, kind: &str) -> bool {
    AGENT_GROUPS.contains(&key.group.as_str()) && key.kind == kind
}

/// A name for messages.
fn shown(text: &str) -> String {
    format!("`{}`", excerpt(text))
}

#[cfg(test)]
mod tests;
