//! PF-TRU-003: ServiceAccounts that trust rests on, and work that runs as one without being its own.
//!
//! Whoever has the token of a trust controller is one, and the role `edit` has the right to ask for it; whoever runs a pod as it has the token. Trusted
//! pools' accounts are here for tokens alone: what runs as one is PF-TRU-001's.

use pinfold_model::facts::{Operation, Question, Requester};
use pinfold_model::finding::RuleId;
use pinfold_model::object::pod::Workload;
use pinfold_model::object::{Change, Object};
use pinfold_model::policy::admission::Controller;

use super::pools;
use crate::agent_workload::service_account;
use crate::context::{Context, Found};
use crate::organization::namespace_key;
use crate::rbac::agents::account_of_user;
use crate::rbac::describe::excerpt;
use crate::rules::pf_rbac::deputy::principal;
use crate::trust::standing::{Actor, actor};
use crate::trust::{Scope, scope};

/// Users that fill Secrets with tokens: the token controller, by its own identity or the one that all controllers share.
const TOKEN_CONTROLLERS: [&str; 2] =
    ["system:kube-controller-manager", "system:serviceaccount:kube-system:tokens-controller"];

/// Why trust rests on a ServiceAccount, to stand after its name.
pub(in crate::rules) fn of(
    context: &Context<'_>,
    (namespace, name): (&str, &str),
) -> Option<String> {
    let named = listed(context, (namespace, name)).map(str::to_owned);
    named.or_else(|| {
        let near = pools::near(context, namespace);
        let mut trusted = near.iter().filter(|pool| pool.is_trusted());
        let pool = trusted.find(|pool| pool.accounts(namespace).contains(&name))?;
        Some(format!("trusted pool `{}`", excerpt(&pool.shown())))
    })
}

/// Whether a requester may have the token of an account that trust rests on: itself, administrators, and the token controller.
pub(in crate::rules) fn may_have(
    context: &Context<'_>,
    requester: &Requester,
    account: (&str, &str),
) -> bool {
    requester.service_account() == Some(account)
        || TOKEN_CONTROLLERS.contains(&requester.name.as_str())
        || principal(context).administers(context)
}

/// The list of the policy that names an account. A pinned uid is not looked at: the account of that name is as good as the controller, or will be.
fn listed(context: &Context<'_>, account: (&str, &str)) -> Option<&'static str> {
    let is = |controller: &Controller| match controller {
        Controller::User(user) => account_of_user(user) == Some(account),
        Controller::ServiceAccount { namespace, name, .. } => {
            (namespace.as_str(), name.as_str()) == account
        }
    };
    let trust = &context.policy.trust;
    if trust.controllers.iter().any(is) {
        Some("`trust.controllers`")
    } else if trust.relays.iter().any(is) {
        Some("`trust.relays`")
    } else {
        None
    }
}

/// Judges what runs as a trust controller or relay. The API's own controllers pass on what was judged when somebody wrote it.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref().filter(|_| facts.operation.is_write()) else { return };
    let Some(workload) = object.facts.workload() else { return };
    let kept = facts.operation == Operation::Update && facts.change != Change::Content;
    if kept || !matches!(facts.subresource.as_str(), "" | "ephemeralcontainers") {
        return;
    }
    let namespace = facts.target.namespace.as_str();
    let place = scope(context, namespace);
    let said = accounts(workload).find_map(|(field, name)| {
        listed(context, (namespace, name)).map(|list| (field, name, list))
    });
    let Some((field, name, list)) =
        said.filter(|_| matches!(place, Scope::Guarded | Scope::Unknown))
    else {
        return;
    };
    let Some(requester) = context.requester(RuleId::TRU_CLAIM, found) else { return };
    if passes_on(context, requester) || may_have(context, requester, (namespace, name)) {
        return;
    }
    if place == Scope::Unknown {
        found.ask(Question::Object(namespace_key(namespace)));
    }
    tell(object, requester, (&format!("{}.{field}", workload.spec_path), name, list), found);
}

/// The API's own controllers. Relays make what an owner says, and the account is one of the things that it says.
fn passes_on(context: &Context<'_>, requester: &Requester) -> bool {
    let relay = requester.service_account().and_then(|account| listed(context, account));
    relay.is_none() && actor(context, requester) == Actor::BuiltIn
}

/// The accounts that a workload names, with the field, the old spelling first: by it alone the other is known too. What names none runs as `default`.
fn accounts(workload: &Workload) -> impl Iterator<Item = (&'static str, &str)> {
    let placement = &workload.placement;
    let alias = placement.service_account_alias.as_deref().map(|name| ("serviceAccount", name));
    let name = service_account(workload);
    alias.into_iter().chain([("serviceAccountName", name)])
}

fn tell(
    object: &Object,
    requester: &Requester,
    (path, name, list): (&str, &str, &str),
    found: &mut Found,
) {
    let (kind, who, name) = (excerpt(&object.key.kind), excerpt(&requester.name), excerpt(name));
    let message = format!(
        "the {kind} would run as ServiceAccount `{name}`, which {list} names, and `{who}` neither administers the platform nor is that account"
    );
    let remedy = "name another ServiceAccount; a platform administrator installs trust controllers, best in a namespace \
                  of the platform's own";
    found.add(RuleId::TRU_CLAIM, path, message, remedy);
}

#[cfg(test)]
mod tests;
