//! PF-RBAC-005: a role that an agent identity is bound to doesn't grow beyond the ceiling, nor by what its editor doesn't hold; and
//! PF-RBAC-007 at what it gains.
//!
//! Judged is what an edit adds, to the role and to every role that takes it in, so that a role that is too large already can still be made
//! smaller. The gains are looked at first; bindings are walked only where a gain could be refused.

mod bound;
mod gains;

use std::collections::BTreeMap;

use pinfold_model::facts::{Answers, Question, Requester};
use pinfold_model::finding::RuleId;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::rbac::Role;

use self::bound::{Bound, bound_to};
use self::gains::{Edit, Gains};
use super::ceiling::words::{Chain, Telling, object_name};
use super::deputy;
use crate::context::{Context, Found};
use crate::rbac::ceiling::{Beyond, Breach, Limits};
use crate::rbac::coverage::Coverage;
use crate::rbac::describe::{excerpt, permissions, place as in_place};
use crate::rbac::resolver::{MASTERS, Resolver};

const GROWTH: RuleId = RuleId::RBAC_GROWTH;
/// How many bindings to agent identities are told for one role.
const MAX_TOLD: usize = 3;
/// In how many places it is looked up what the editor holds; more is "cannot tell".
const MAX_PLACES: usize = 256;

pub(super) fn judge(context: &Context<'_>, role: &Role, found: &mut Found) {
    if no_agents(context) {
        return;
    }
    let Some(edit) = Edit::of(context, role) else { return };
    let Ok(affected) = edit.affected() else {
        let message = "cannot tell what this adds: too many roles take it in";
        found.add(GROWTH, "$.metadata.labels", message, "aggregate fewer roles");
        return;
    };
    let editor = Editor::of(context);
    for key in affected {
        let gains = edit.gains(&key);
        let growth = Growth { edit: &edit, gains: &gains, editor: &editor };
        if !growth.is_harmless() {
            growth.judge(found);
        }
    }
}

/// Whether there is nobody whom this could be about.
fn no_agents(context: &Context<'_>) -> bool {
    context.policy.agents.service_accounts.is_empty()
        && context.view.first_agent(None).is_none()
        && context.view.of_kind("AgentRoleBinding").next().is_none()
}

/// Whose edit it is.
enum Editor {
    /// Offline, nobody knows.
    Unknown,
    /// Holds everything, or, acting for nobody, is judged by the ceiling alone.
    Unlimited,
    /// Is judged by what they hold.
    Person(Requester),
}

impl Editor {
    fn of(context: &Context<'_>) -> Self {
        if context.facts.requester.is_none() {
            return Self::Unknown;
        }
        match deputy::principal(context).requester() {
            Some(person) if !person.in_group(MASTERS) => Self::Person(person.clone()),
            Some(_) | None => Self::Unlimited,
        }
    }
}

/// What one role gains by an edit.
struct Growth<'g> {
    edit: &'g Edit<'g>,
    gains: &'g Gains<'g>,
    editor: &'g Editor,
}

impl Growth<'_> {
    /// Whether nothing is added that any ceiling denies or that the editor doesn't hold wherever the role can be bound.
    fn is_harmless(&self) -> bool {
        if self.gains.is_empty() {
            return true;
        }
        let all = Limits::all(self.edit.context.policy);
        let own = self.gains.role.namespace.as_str();
        let held = match self.editor {
            Editor::Unknown => false,
            Editor::Unlimited => true,
            Editor::Person(_) => self.lack(own).is_none(),
        };
        held && self.gains.are_told() && self.gains.breaches(&all).is_empty()
    }

    fn judge(&self, found: &mut Found) {
        let context = self.edit.context;
        let bound = match bound_to(context, &self.edit.after, &self.gains.role) {
            Ok(bound) => bound,
            Err(message) => {
                found.add(GROWTH, "$", message, "have fewer bindings to one role");
                return;
            }
        };
        let mut ceilings = BTreeMap::new();
        let mut lacks = BTreeMap::new();
        let mut told: Vec<&ObjectKey> = Vec::new();
        let mut dangers_told = false;
        for bound in &bound {
            if told.contains(&&bound.binding) {
                continue;
            }
            if told.len() >= MAX_TOLD {
                return;
            }
            let policy = context.policy;
            let limits = Limits::of(policy, &bound.place);
            let beyond = ceilings
                .entry(limits.signature())
                .or_insert_with(|| self.gains.beyond(policy, &bound.place));
            let over = self.tell(bound, beyond, !dangers_told, found);
            dangers_told |= !beyond.dangers.is_empty();
            // Whatever PF-RBAC-007 says, and it doesn't count as told: a policy may have switched it off.
            let lacking = !over && self.judge_editor(bound, &mut lacks, found);
            if over || lacking {
                told.push(&bound.binding);
                found.ask(Question::Object(bound.binding.clone()));
            }
        }
    }

    /// Whether the ceiling refuses what an identity would gain.
    fn tell(&self, bound: &Bound, beyond: &Beyond<'_>, first: bool, found: &mut Found) -> bool {
        let path = |breach: &Breach<'_>| self.edit.path(self.gains, Some(breach));
        let chain = |breach: &Breach<'_>| self.chain(bound, Some(breach)).to_string();
        let Bound { who, place, binding } = bound;
        if !self.gains.are_told() {
            let (who, role) = (&who.identity, object_name(&self.gains.role));
            let message = format!(
                "cannot tell whether {who} stays below its ceiling: {role} aggregates too many roles"
            );
            found.add(GROWTH, "$", message, "aggregate fewer roles");
            return true;
        }
        let remedy =
            format!("leave it out, or first take the agent out of {}", object_name(binding));
        let telling = Telling { who, place, path: &path, chain: &chain };
        telling.ceiling(&GROWTH, &beyond.ceiling, &remedy, found);
        if first {
            telling.dangers(&beyond.dangers, found);
        }
        !beyond.ceiling.is_empty()
    }

    /// Whether the editor lacks something of what an identity would gain.
    fn judge_editor(
        &self,
        bound: &Bound,
        lacks: &mut BTreeMap<String, Option<String>>,
        found: &mut Found,
    ) -> bool {
        let requester = match self.editor {
            Editor::Unlimited => return false,
            Editor::Unknown => {
                found.undecided(GROWTH);
                return false;
            }
            Editor::Person(requester) => requester,
        };
        let place = &bound.place;
        let lack = match lacks.get(place) {
            Some(known) => known.clone(),
            None if lacks.len() >= MAX_PLACES => Some("this in so many namespaces".to_owned()),
            None => lacks.entry(place.clone()).or_insert_with(|| self.lack(place)).clone(),
        };
        let Some(lack) = lack else { return false };
        let (who, editor, place) = (&bound.who.identity, excerpt(&requester.name), in_place(place));
        let chain = bound.who.through(&self.chain(bound, None).to_string());
        let message = format!(
            "requester `{editor}` does not hold {lack} {place}, which {who} would gain{chain}"
        );
        let remedy = format!(
            "leave it out, or have someone who holds it (to be allowed to `escalate` is not enough) apply it, or first take the agent out of {}",
            object_name(&bound.binding)
        );
        found.add(GROWTH, self.edit.path(self.gains, None), message, remedy);
        true
    }

    /// What the editor lacks of the gains in a place, in words.
    fn lack(&self, place: &str) -> Option<String> {
        let Editor::Person(requester) = self.editor else { return None };
        let none = Answers::default();
        let held = Resolver::new(&self.edit.before, &none).held(requester, place);
        match self.gains.covered_by(held.rules) {
            Coverage::Covered => None,
            Coverage::Missing(shortfall) => Some(permissions(&shortfall.gaps)),
            Coverage::TooLarge => Some("lists that are too long to compare".to_owned()),
        }
    }

    fn chain(&self, bound: &Bound, breach: Option<&Breach<'_>>) -> Chain {
        let steps = vec![object_name(&bound.binding), object_name(&self.gains.role)];
        Chain { steps, takes_in: self.gains.from(breach).map(object_name) }
    }
}
