//! PF-RBAC-004 for a ServiceAccount that becomes an agent identity: what it holds already counts.

use pinfold_model::facts::{Answers, Operation, Question};
use pinfold_model::object::rbac::Binding;
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::snapshot::{Snapshot, names_agent, role_key};

use super::words::{self, Chain, Telling, Who};
use super::{CEILING, current, is_exempt, rules_of, settle};
use crate::context::{Context, Found};
use crate::rbac::agents::{Account, Agents, DEFAULT};
use crate::rbac::ceiling::{Beyond, Breach, Limits};
use crate::rbac::describe::excerpt;
use crate::rbac::effective::{HeldBy, bindings_of, gives};
use crate::rbac::resolver::Unresolved;

/// How many bindings of an identity are told.
const MAX_TOLD: usize = 4;

pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let Some(object) = &context.facts.object else { return };
    let Some((account, path, named)) = becomes(context, object) else { return };
    let view = current(context);
    let identity = format!(
        "ServiceAccount `{}/{}` ({named})",
        excerpt(&account.namespace),
        excerpt(&account.name)
    );
    let mut identity = Identity::new(context, identity, path);
    for held in bindings_of(&view, &account) {
        identity.judge(&view, held, found);
    }
    identity.settle(found);
}

/// The ServiceAccount that an object makes an agent identity, the field that does, and by what it is named.
fn becomes(context: &Context<'_>, object: &Object) -> Option<(Account, &'static str, String)> {
    let ObjectKey { group, kind, namespace, name } = &object.key;
    if group.is_empty() && kind == "ServiceAccount" {
        let created = context.facts.operation == Operation::Create;
        Agents::of(context).naming(namespace, name).filter(|_| created)?;
        let account = Account { namespace: namespace.clone(), name: name.clone() };
        let named = words::naming(&Agents::of(context), &account);
        return Some((account, "$.metadata.name", named));
    }
    if group.is_empty() && kind == "Namespace" {
        return becomes_guarded(context, object);
    }
    let (namespace, name) = names_agent(object)?;
    let old = context.facts.old_object.as_ref().and_then(names_agent);
    if old.is_some_and(|old| old == (namespace.clone(), name.clone())) {
        return None;
    }
    let path = if matches!(object.facts, Facts::AgentServiceAccount(_)) {
        "$.spec.serviceAccountName"
    } else if matches!(object.facts, Facts::AgentStack(_)) {
        "$.spec.runtimeIdentity.serviceAccountRef"
    } else {
        "$.spec.serviceAccountRef"
    };
    Some((Account { namespace, name }, path, format!("named by this {}", excerpt(kind))))
}

/// The ServiceAccount that pods run as that name none, in a namespace that becomes guarded.
fn becomes_guarded(
    context: &Context<'_>,
    object: &Object,
) -> Option<(Account, &'static str, String)> {
    let old = context.facts.old_object.as_ref();
    let guarded = |object: &Object| context.policy.agents.guards(&object.meta.labels);
    (guarded(object) && !old.is_some_and(guarded)).then(|| {
        let account = Account { namespace: object.key.name.clone(), name: DEFAULT.to_owned() };
        let named = "which pods of a guarded namespace run as that name none".to_owned();
        (account, "$.metadata.labels", named)
    })
}

/// What an agent identity holds already.
pub(super) struct Identity<'c> {
    context: &'c Context<'c>,
    /// In words, with what names it.
    identity: String,
    /// The field at fault.
    path: &'c str,
    told: usize,
    /// Bindings that only PF-RBAC-007 is about: they have their own number, because a policy may have switched it off.
    dangers: usize,
    /// Roles that were read, and those that are missing.
    roles: Vec<ObjectKey>,
}

impl<'c> Identity<'c> {
    pub(super) fn new(context: &'c Context<'c>, identity: String, path: &'c str) -> Self {
        Self { context, identity, path, told: 0, dangers: 0, roles: Vec::new() }
    }

    /// Asks what could change, or must bear out, what was found.
    pub(super) fn settle(&self, found: &mut Found) {
        let over = self.told > 0 || self.dangers > 0;
        settle(self.context, &self.roles.iter().collect::<Vec<_>>(), over, found);
    }

    /// One binding that gives the ServiceAccount something. A role that isn't there gives nothing, and is judged when it comes.
    pub(super) fn judge(&mut self, view: &Snapshot, held: HeldBy<'_>, found: &mut Found) {
        let (spelling, binding, Binding { role_ref: role, .. }) = held;
        let context = self.context;
        if self.told >= MAX_TOLD || is_exempt(context, binding) {
            return;
        }
        let place = binding.namespace.as_str();
        let (spelling, identity) = (words::spelling(&spelling), self.identity.clone());
        let who = Who { identity, spelling };
        let none = Answers::default();
        let gives = match gives(view, &none, role, place) {
            Ok(gives) => gives,
            Err(Unresolved::Absent(_) | Unresolved::Kind) => {
                self.roles.extend(role_key(role, place));
                return;
            }
            Err(why @ Unresolved::TooLarge(_)) => {
                let (message, remedy) = words::unresolved(&why, role, place, &who);
                found.add(CEILING, self.path, message, remedy);
                self.told = self.told.saturating_add(1);
                return;
            }
        };
        self.roles.extend(gives.roles.iter().map(|key| (*key).clone()));
        let chain = |breach: &Breach<'_>| {
            Chain::of(role, &gives, breach).behind(words::object_name(binding)).to_string()
        };
        let path = |_: &Breach<'_>| self.path.to_owned();
        let telling = Telling { who: &who, place, path: &path, chain: &chain };
        let mut beyond = Beyond::of(context.policy, place, rules_of(&gives), &[]);
        let remedy = format!("take it out of {} first", words::object_name(binding));
        telling.ceiling(&CEILING, &beyond.ceiling, &remedy, found);
        // With the built-in ceiling that said it all.
        let told = Limits::of(context.policy, place).is_built_in() || self.dangers >= MAX_TOLD;
        if told {
            beyond.dangers.clear();
        }
        telling.dangers(&beyond.dangers, found);
        self.dangers = self.dangers.saturating_add(usize::from(!beyond.dangers.is_empty()));
        self.told = self.told.saturating_add(usize::from(!beyond.ceiling.is_empty()));
        if !beyond.is_empty() {
            found.ask(Question::Object(binding.clone()));
        }
    }
}
