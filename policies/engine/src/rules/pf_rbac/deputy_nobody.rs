//! What a deputy may give when it says for nobody whom it acts: nothing that meets the ceiling of the place, whoever the subject is.

use std::collections::BTreeSet;

use pinfold_model::facts::Question;
use pinfold_model::finding::RuleId;
use pinfold_model::object::Facts;
use pinfold_model::object::rbac::{AgentRoleBinding, PolicyRule, Role, RoleRef};
use pinfold_model::snapshot::role_key;

use super::agent_binding::role_remedy;
use super::gate::unresolved;
use super::{place_of, role, role_template};
use crate::context::{Context, Found};
use crate::rbac::ceiling::{Limits, rights_of};
use crate::rbac::describe::{excerpt, place as in_words};

const REMEDY: &str = "say for whom: have the person's name signed (`pinfold vouch`), let the deputy set it or impersonate, or have \
                      somebody apply this who holds it";
/// In how many places of a scope this is told.
const MAX_TOLD: usize = 4;
/// How many roles one decision asks for.
const MAX_ASKED: usize = 8;

/// Whether an update gives nothing that the object doesn't give already: tools go on labelling what was there before them. Labels of a
/// ClusterRole give, where another one takes it in.
fn gives_nothing_new(context: &Context<'_>) -> bool {
    let (Some(old), Some(new)) = (&context.facts.old_object, &context.facts.object) else {
        return false;
    };
    let labels = new.key.kind != "ClusterRole" || old.meta.labels == new.meta.labels;
    labels && old.facts == new.facts
}

/// Judges a Role or a native binding.
pub(super) fn judge(context: &Context<'_>, rule: &RuleId, found: &mut Found) {
    let Some(facts) = context.subject_facts().filter(|_| !gives_nothing_new(context)) else {
        return;
    };
    let judge = Judge { context, rule, place: place_of(context.facts) };
    if let Facts::Role(role) = facts {
        judge.judge_role(role, found);
    } else if let Facts::Binding(binding) = facts {
        judge.judge_reference(&binding.role_ref, "$.roleRef", found);
    }
}

/// Judges everything that an AgentRoleBinding gives, wherever it does.
pub(super) fn judge_agent_binding(
    context: &Context<'_>,
    binding: &AgentRoleBinding,
    places: &BTreeSet<String>,
    found: &mut Found,
) {
    if gives_nothing_new(context) {
        return;
    }
    let before = found.raw.len();
    for place in places {
        if found.raw.len().saturating_sub(before) >= MAX_TOLD {
            return;
        }
        let judge = Judge { context, rule: &RuleId::RBAC_AGENT_BINDING, place };
        if let Some(role) = &binding.role_ref {
            judge.judge_reference(role, "$.spec.roleRef", found);
        }
        judge.judge_rules(binding.resource_rules.iter(), "$.spec.resourceRules", found);
    }
}

struct Judge<'j, 'a> {
    context: &'j Context<'a>,
    rule: &'j RuleId,
    place: &'j str,
}

impl Judge<'_, '_> {
    fn judge_role(&self, written: &Role, found: &mut Found) {
        self.judge_rules(written.rules.iter(), "$.rules", found);
        if role::aggregates(written) {
            let who = self.deputy();
            let message = format!(
                "{who}, and an aggregationRule can take in any rights, so also those that the ceiling denies"
            );
            found.add(self.rule.clone(), "$.aggregationRule", message, REMEDY);
        }
    }

    /// A role must be known, as it is now: the API server judged the deputy alone.
    fn judge_reference(&self, role: &RoleRef, path: &str, found: &mut Found) {
        let rules = match role_template::granted(self.context, role, self.place) {
            Ok(rules) => rules,
            Err(why) => {
                let message = unresolved(&why, role, self.place);
                found.add(self.rule.clone(), path, message, role_remedy(&why, role));
                self.ask(role, true, found);
                return;
            }
        };
        let refused = self.judge_rules(rules.into_iter(), path, found);
        self.ask(role, refused, found);
    }

    fn ask(&self, role: &RoleRef, refused: bool, found: &mut Found) {
        let Some(key) = role_key(role, self.place) else { return };
        if self.context.facts.answers.live(&key).is_some() {
            return;
        }
        if refused && found.questions.len() < MAX_ASKED {
            found.ask(Question::Object(key.clone()));
        }
        found.confirm(Question::Object(key));
    }

    /// Whether some of these rules meet the ceiling.
    fn judge_rules<'r>(
        &self,
        rules: impl Iterator<Item = &'r PolicyRule>,
        path: &str,
        found: &mut Found,
    ) -> bool {
        let limits = Limits::of(self.context.policy, self.place);
        let breaches = limits.breaches(rules, &[]);
        let Some(first) = breaches.first() else { return false };
        let message = format!(
            "{}, so nothing that it gives may meet the ceiling {}: this gives {}, which {} denies",
            self.deputy(),
            in_words(self.place),
            rights_of(&breaches),
            first.by.ceiling()
        );
        let path = match path {
            "$.rules" | "$.spec.resourceRules" => format!("{path}[{}]", first.rule),
            path => path.to_owned(),
        };
        found.add(self.rule.clone(), path, message, REMEDY);
        true
    }

    fn deputy(&self) -> String {
        let requester = self.context.facts.requester.as_ref();
        let name = requester.map(|requester| excerpt(&requester.name)).unwrap_or_default();
        format!("deputy `{name}` doesn't say for whom it acts")
    }
}
