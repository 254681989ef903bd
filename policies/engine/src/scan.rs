//! What a cluster already has, judged as if it were created now by somebody who isn't known: for `pinfold scan`.
//!
//! The verdict is [`crate::admit`]'s, never one of its own. What the stored object alone can't tell is left out and said, not guessed.

pub mod danger;

use jiff::Timestamp;
use pinfold_model::facts::{AdmissionFacts, Answers, Operation};
use pinfold_model::finding::{Finding, RuleId};
use pinfold_model::json_path::JsonPath;
use pinfold_model::object::{Change, Facts, Object, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::Value;

use self::danger::Danger;
use crate::admit::admit;

/// How much of a stored object is there to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All of it.
    Whole,
    /// Its metadata: Secrets and ConfigMaps, whose values are not read.
    Metadata,
}

/// Why a rule isn't judged on a stored object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unjudged {
    /// It depends on who made the object, and no object says that.
    Requester,
    /// It is about a change of a role or an identity; what came of that is told at the bindings.
    Change,
    /// It reads content that a scan doesn't ask for.
    Content,
}

impl Unjudged {
    /// The reason, for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Requester => "who made an object isn't stored in it",
            Self::Change => "what a role or an identity has come to is told at its bindings",
            Self::Content => "of Secrets and ConfigMaps only the metadata is read",
        }
    }
}

/// A finding and how dangerous it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    /// What the webhook would say.
    pub finding: Finding,
    /// How dangerous it is.
    pub danger: Danger,
    /// What the rights behind it lead to, in words; empty where nothing is known.
    pub leads_to: String,
}

/// What is found of one stored object.
#[derive(Debug, Default)]
pub struct Judged {
    /// What the webhook would say, denials first.
    pub findings: Vec<Weighed>,
    /// Rules that could not be judged.
    pub unjudged: Vec<(RuleId, Unjudged)>,
}

/// The request by which a stored object would come into being now. Nobody asks for it.
#[must_use]
pub fn creation(object: Object, document: Option<Value>) -> AdmissionFacts {
    AdmissionFacts {
        uid: "scan".to_owned(),
        requester: None,
        operation: Operation::Create,
        subresource: String::new(),
        target: object.key.clone(),
        request_name: String::new(),
        dry_run: true,
        object: Some(object),
        old_object: None,
        document,
        change: Change::default(),
        answers: Answers::default(),
    }
}

/// What stored objects are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    /// The policy.
    pub policy: &'a AdmissionPolicy,
    /// The cluster that holds the objects.
    pub view: &'a Snapshot,
    /// Today in UTC.
    pub now: Timestamp,
    /// Whether every binding is judged too, so that what an identity holds needs no telling at the identity.
    pub all_bindings: bool,
}

impl Scan<'_> {
    /// Judges one stored object.
    #[must_use]
    pub fn judge(&self, facts: &AdmissionFacts, depth: Depth) -> Judged {
        let decision = admit(facts, self.view, self.policy, self.now);
        let mut unjudged: Vec<_> =
            decision.undecided.into_iter().map(|rule| (rule, Unjudged::Requester)).collect();
        if depth == Depth::Metadata {
            let beyond = beyond_metadata(facts, self.policy);
            unjudged.extend(beyond.map(|rule| (rule, Unjudged::Content)));
        }
        let mut findings = Vec::new();
        for finding in decision.findings {
            if self.is_told_elsewhere(&finding.rule, facts) {
                unjudged.push((finding.rule, Unjudged::Change));
            } else if !is_beyond(&finding, &unjudged) {
                let (danger, leads_to) = danger::of(&finding.rule, facts, self.view, self.policy);
                findings.push(Weighed { finding, danger, leads_to });
            }
        }
        unjudged.sort();
        unjudged.dedup();
        Judged { findings, unjudged }
    }

    /// What is found at one of Pinfold's own webhook configurations that differs from what ships; `None` if the policy has the rule off or an
    /// exception names the configuration.
    #[must_use]
    pub fn differs(&self, key: &ObjectKey, change: &str, path: &str) -> Option<Weighed> {
        let rule = RuleId::RBAC_OWN;
        let mode = self.policy.mode_of(&rule)?;
        if self.policy.exempts(&rule, key, self.now) {
            return None;
        }
        let message =
            format!("Pinfold's registration is not what ships with this version: {change}");
        let remedy = "apply the manifests of this version again, and let the webhook keep them; if an overlay means it, exempt this object";
        let (path, remedy) =
            (format!("$.{}", path.trim_start_matches(['$', '.'])), remedy.to_owned());
        let finding = Finding { rule, mode, path, message, remedy };
        let leads_to = "cluster-wide: decides what Pinfold is asked about".to_owned();
        Some(Weighed { finding, danger: Danger::Critical, leads_to })
    }

    /// Whether a finding says again, at a role or an identity, what is said at the bindings that give it.
    fn is_told_elsewhere(&self, rule: &RuleId, facts: &AdmissionFacts) -> bool {
        let holdings =
            [RuleId::RBAC_CEILING, RuleId::RBAC_GROWTH, RuleId::RBAC_SUBJECT, RuleId::RBAC_DANGER];
        let about_holdings =
            holdings.contains(rule) || (is_role(facts) && *rule == RuleId::RBAC_OWN);
        about_holdings && !gives(facts) && (self.all_bindings || is_role(facts))
    }
}

fn gives(facts: &AdmissionFacts) -> bool {
    let gives = |facts: &Facts| matches!(facts, Facts::Binding(_) | Facts::AgentRoleBinding(_));
    facts.object.as_ref().is_some_and(|object| gives(&object.facts))
}

fn is_role(facts: &AdmissionFacts) -> bool {
    facts.object.as_ref().is_some_and(|object| matches!(object.facts, Facts::Role(_)))
}

/// Whether a finding is of a custom rule that looks at what isn't there.
fn is_beyond(finding: &Finding, unjudged: &[(RuleId, Unjudged)]) -> bool {
    RuleId::built_in(finding.rule.as_str()).is_none()
        && unjudged.contains(&(finding.rule.clone(), Unjudged::Content))
}

/// The rules of a policy that look at more of an object than its metadata.
fn beyond_metadata<'a>(
    facts: &'a AdmissionFacts,
    policy: &'a AdmissionPolicy,
) -> impl Iterator<Item = RuleId> + 'a {
    let custom = policy.custom.iter().filter(|rule| rule.applies.matches(&facts.target));
    let custom = custom.filter(|rule| !is_metadata(&rule.path)).map(|rule| rule.id.clone());
    let fields = policy.references.iter().filter(|field| field.applies.matches(&facts.target));
    let fields = fields.filter(|field| !is_metadata(field.root()));
    custom.chain(fields.map(|_| RuleId::SEC_CROSS_ORGANIZATION))
}

fn is_metadata(path: &JsonPath) -> bool {
    let rest = ["$.metadata", "$['metadata']"]
        .into_iter()
        .find_map(|root| path.as_str().strip_prefix(root));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests;
