//! What the AgentServiceAccounts behind a ServiceAccount allow: runner pools and repositories.

use pinfold_model::object::agent::AgentServiceAccount;
use pinfold_model::object::{AGENT_GROUPS, Facts, ObjectKey};

use crate::context::Context;
use crate::rbac::describe::excerpt;
use crate::rules::pf_tru::pools;

/// Most AgentServiceAccounts of one ServiceAccount that are looked at; each only ever allows less.
const ACCOUNTS_MAX: usize = 32;

/// An AgentServiceAccount and where it is.
pub(super) type Account<'c> = (&'c ObjectKey, &'c AgentServiceAccount);

/// The AgentServiceAccounts of a ServiceAccount.
pub(super) fn of_service_account<'c>(
    context: &Context<'c>,
    namespace: &str,
    name: &str,
) -> Vec<Account<'c>> {
    let mut keys: Vec<&ObjectKey> = context.view.agent_records(namespace, name).collect();
    keys.sort();
    keys.into_iter().filter_map(|key| account(context, key)).take(ACCOUNTS_MAX).collect()
}

/// The AgentServiceAccounts that a stack's reference means: one of that name, else those of a ServiceAccount of that name.
pub(super) fn of_reference<'c>(
    context: &Context<'c>,
    namespace: &str,
    reference: &str,
) -> Vec<Account<'c>> {
    let (namespace, name) = reference.split_once('/').unwrap_or((namespace, reference));
    if name.is_empty() {
        return Vec::new();
    }
    let key = |group: &&str| ObjectKey::new(group, "AgentServiceAccount", namespace, name);
    let named: Vec<Account<'c>> =
        AGENT_GROUPS.iter().filter_map(|group| account(context, &key(group))).collect();
    if named.is_empty() { of_service_account(context, namespace, name) } else { named }
}

fn account<'c>(context: &Context<'c>, key: &ObjectKey) -> Option<Account<'c>> {
    let object = context.lookup(key)?;
    let Facts::AgentServiceAccount(account) = &object.facts else { return None };
    Some((&object.key, account))
}

/// Why an account doesn't allow a runner pool; `None` if it does. One that lists none allows untrusted pools.
pub(super) fn pool_fault(
    context: &Context<'_>,
    (key, account): Account<'_>,
    (group, namespace, pool): (&str, &str, &str),
) -> Option<String> {
    let (name, shown) = (excerpt(&key.name), excerpt(pool));
    let listed = &account.runner_pools;
    if !listed.is_empty() {
        let full = format!("{namespace}/{pool}");
        let named = |entry: &String| {
            *entry == pool || *entry == full || format!("{namespace}/{entry}") == pool
        };
        let allowed = listed.iter().any(named);
        return (!allowed).then(|| {
            format!("AgentServiceAccount `{name}` doesn't list runner pool `{shown}` in `allowedRunnerPools`")
        });
    }
    let key = ObjectKey::new(group, "RunnerPool", namespace, pool);
    let trusted = pools::of_name(context, &key).iter().any(pools::Pool::is_trusted);
    trusted.then(|| {
        format!(
            "AgentServiceAccount `{name}` has no `allowedRunnerPools`, which allows untrusted pools alone, and `{shown}` is trusted"
        )
    })
}

/// Why an account doesn't allow a repository; `None` if it does. One that lists none allows any.
pub(super) fn repository_fault((key, account): Account<'_>, repository: &str) -> Option<String> {
    let listed = &account.repositories;
    if listed.is_empty() || listed.iter().any(|entry| entry == repository) {
        return None;
    }
    let name = excerpt(&key.name);
    Some(match repository {
        "" => format!(
            "no repository is named, and AgentServiceAccount `{name}` allows only those of `allowedRepositories`"
        ),
        repository => format!(
            "AgentServiceAccount `{name}` doesn't list repository `{}` in `allowedRepositories`",
            excerpt(repository)
        ),
    })
}
