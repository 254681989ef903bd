//! One admission request to one decision: runs every rule, gives each finding its mode, and makes the permit.

use jiff::Timestamp;
use pinfold_model::facts::{AdmissionFacts, Operation};
use pinfold_model::finding::{Finding, Mode, RuleId};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;

use crate::context::{Context, Found, Raw};
use crate::decision::{AdmissionPermit, Decision, Mutation};
use crate::inject;
use crate::rules::{custom, pf_org, pf_pod, pf_rbac, pf_run, pf_sec, pf_tru};

/// Most findings of one rule in one mode that an answer, and its audit record, tell; of the others the number is.
const FINDINGS_MAX: usize = 128;
/// Most bytes of a finding's path: a member's name can be as long as an object.
const PATH_BYTES_MAX: usize = 1_024;

/// Judges a request by every rule.
#[must_use]
pub fn admit(
    facts: &AdmissionFacts,
    view: &Snapshot,
    policy: &AdmissionPolicy,
    now: Timestamp,
) -> Decision {
    let context = Context { facts, view, policy, now };
    let mut found = Found::default();
    pf_rbac::judge(&context, &mut found);
    pf_sec::judge(&context, &mut found);
    pf_tru::judge(&context, &mut found);
    pf_org::judge(&context, &mut found);
    pf_run::judge(&context, &mut found);
    pf_pod::judge(&context, &mut found);
    custom::judge(&context, &mut found);
    decide(&context, found)
}

/// Judges a request while a policy has just changed. `former` is the new policy with the injection of the one before
/// ([`AdmissionPolicy::injecting_as`]): a new pod that a replica which doesn't know the new one yet has confined by it passes as one that was made a moment
/// earlier would, because the live push brings both up to date. Everything else is judged by the new policy; a pod that carries neither is refused.
#[must_use]
pub fn admit_amid_change(
    facts: &AdmissionFacts,
    view: &Snapshot,
    (policy, former): (&AdmissionPolicy, &AdmissionPolicy),
    now: Timestamp,
) -> Decision {
    let decision = admit(facts, view, policy, now);
    let unlike = |finding: &Finding| finding.rule == RuleId::POD_CONFINED;
    let made = facts.operation == Operation::Create && facts.subresource.is_empty();
    if decision.allowed() || !made || !decision.denials().any(unlike) {
        return decision;
    }
    let mut amid = admit(facts, view, former, now);
    if !amid.allowed() {
        return decision;
    }
    let own = str::to_owned;
    amid.findings.push(Finding {
        rule: RuleId::POD_CONFINED,
        mode: Mode::Warn,
        path: own("$.metadata.annotations"),
        message: own("the policy changed while the pod was made: it starts with the one before"),
        remedy: own("nothing: it is brought up to date as running pods are"),
    });
    amid
}

/// What mutation would do to the object of a request; nothing if no rule rewrites.
#[must_use]
pub fn mutate(
    facts: &AdmissionFacts,
    view: &Snapshot,
    policy: &AdmissionPolicy,
    now: Timestamp,
) -> Mutation {
    let context = Context { facts, view, policy, now };
    let mut mutation = pf_tru::rewrite(&context);
    inject::inject(&context, &mut mutation);
    mutation
}

/// The decision on a request that could not be judged: one denial, whatever the policy says.
#[must_use]
pub fn refuse(rule: RuleId, path: &str, message: &str, remedy: &str) -> Decision {
    let own = str::to_owned;
    let (path, message, remedy) = (own(path), own(message), own(remedy));
    let finding = Finding { rule, mode: Mode::Enforce, path, message, remedy };
    Decision { permit: None, findings: vec![finding], questions: Vec::new(), undecided: Vec::new() }
}

fn decide(context: &Context<'_>, found: Found) -> Decision {
    let Found { raw, questions, confirmations, mut undecided } = found;
    let mut findings: Vec<Finding> =
        raw.into_iter().filter_map(|raw| with_mode(context, raw)).collect();
    findings.sort_by(|left, right| {
        (left.mode, &left.rule, &left.path).cmp(&(right.mode, &right.rule, &right.path))
    });
    findings.dedup();
    let mut findings = bounded(&findings);
    findings.iter_mut().for_each(|finding| shorten(&mut finding.path));
    undecided.retain(|rule| context.policy.mode_of(rule) == Some(Mode::Enforce));
    let denied = findings.iter().any(|finding| finding.mode == Mode::Enforce);
    let permit =
        (!denied && undecided.is_empty()).then(|| AdmissionPermit::new(&context.facts.uid));
    let questions = if denied { questions } else { confirmations };
    Decision { permit, findings, questions, undecided }
}

/// Leaves out what is beyond the bound of a rule, but never the rule: an object can break one rule in very many places.
fn bounded(findings: &[Finding]) -> Vec<Finding> {
    let mut kept = Vec::new();
    for same in
        findings.chunk_by(|left, right| (left.mode, &left.rule) == (right.mode, &right.rule))
    {
        kept.extend(same.iter().take(FINDINGS_MAX).cloned());
        let cut = same.len().saturating_sub(FINDINGS_MAX);
        if let Some(Finding { rule, mode, .. }) = same.first().filter(|_| cut > 0) {
            let message = format!("and {cut} more of this rule in the same object");
            let (rule, mode, path, remedy) = (rule.clone(), *mode, "$".to_owned(), String::new());
            kept.push(Finding { rule, mode, path, message, remedy });
        }
    }
    kept
}

fn shorten(path: &mut String) {
    if path.len() > PATH_BYTES_MAX {
        let end = (0..=PATH_BYTES_MAX).rev().find(|end| path.is_char_boundary(*end));
        path.truncate(end.unwrap_or(0));
        path.push('…');
    }
}

/// Gives a finding the policy's mode; `None` if the rule is off or an exception names it.
fn with_mode(context: &Context<'_>, raw: Raw) -> Option<Finding> {
    let mode = context.policy.mode_of(&raw.rule)?;
    let exempt = context.policy.exempts(&raw.rule, &context.facts.target, context.now);
    let Raw { rule, path, message, remedy, advisory } = raw;
    let mode = if advisory { mode.max(Mode::Warn) } else { mode };
    (!exempt).then_some(Finding { rule, mode, path, message, remedy })
}
