//! Pools of nodes, from the policy and from RunnerPools, seen the same way.

use pinfold_model::object::agent::RunnerPool;
use pinfold_model::object::pod::Toleration;
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::policy::admission::{Pool as PolicyPool, Tier};

use crate::context::Context;
use crate::organization::ownership;

/// A pool.
#[derive(Clone, Copy)]
pub(super) enum Pool<'a> {
    Policy(&'a PolicyPool),
    Runner(&'a ObjectKey, &'a RunnerPool),
}

impl<'a> Pool<'a> {
    pub(super) fn name(&self) -> &'a str {
        match self {
            Self::Policy(pool) => &pool.name,
            Self::Runner(key, _) => &key.name,
        }
    }

    /// For messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Policy(pool) => pool.name.clone(),
            Self::Runner(key, _) if key.namespace.is_empty() => key.name.clone(),
            Self::Runner(key, _) => format!("{}/{}", key.namespace, key.name),
        }
    }

    pub(super) fn is_trusted(&self) -> bool {
        match self {
            Self::Policy(pool) => pool.tier == Tier::Trusted,
            Self::Runner(_, pool) => pool.trusted,
        }
    }

    /// The labels that its nodes have; none if it has no nodes of its own.
    pub(super) fn nodes(&self) -> &'a [(String, String)] {
        match self {
            Self::Policy(pool) => &pool.node_selector,
            Self::Runner(_, pool) => &pool.node_selector,
        }
    }

    /// The taints of its nodes.
    pub(super) fn taints(&self) -> &'a [Toleration] {
        match self {
            Self::Policy(pool) => &pool.taints,
            Self::Runner(..) => &[],
        }
    }

    pub(super) fn runtime_classes(&self) -> &'a [String] {
        match self {
            Self::Policy(pool) => &pool.runtime_classes,
            Self::Runner(..) => &[],
        }
    }

    pub(super) fn priority_classes(&self) -> &'a [String] {
        match self {
            Self::Policy(pool) => &pool.priority_classes,
            Self::Runner(..) => &[],
        }
    }

    /// Whether a PersistentVolumeClaim is one of those that the pool's work shares.
    pub(super) fn caches(&self, namespace: &str, claim: &str) -> bool {
        match self {
            Self::Policy(pool) => {
                pool.caches.iter().any(|(place, name)| place == namespace && name == claim)
            }
            Self::Runner(key, pool) => {
                let here = key.namespace.is_empty() || key.namespace == namespace;
                here && pool.caches.iter().any(|name| name == claim)
            }
        }
    }

    /// The filesystem policies that may run on it; none means any that the tier allows.
    pub(super) fn filesystem_policies(&self) -> &'a [String] {
        match self {
            Self::Policy(pool) => &pool.filesystem_policies,
            Self::Runner(_, pool) => &pool.filesystem_policies,
        }
    }

    /// The ServiceAccounts of the pool in a namespace.
    pub(super) fn accounts(&self, namespace: &str) -> Vec<&'a str> {
        match self {
            Self::Policy(pool) => {
                let here = pool.service_accounts.iter().filter(|(place, _)| place == namespace);
                here.map(|(_, name)| name.as_str()).collect()
            }
            Self::Runner(key, pool) => {
                let beside = key.namespace.is_empty() || key.namespace == namespace;
                let (here, name) = match pool.service_account.split_once('/') {
                    Some((place, name)) => (place == namespace, name),
                    None => (beside, pool.service_account.as_str()),
                };
                (here && !name.is_empty()).then_some(name).into_iter().collect()
            }
        }
    }
}

/// The pools that a namespace can name: the policy's, its own RunnerPools, and the cluster-scoped ones of its organization.
pub(super) fn near<'c>(context: &Context<'c>, namespace: &str) -> Vec<Pool<'c>> {
    let mut pools: Vec<Pool<'c>> = context.policy.trust.pools.iter().map(Pool::Policy).collect();
    let own = context.view.of_kind_in("RunnerPool", namespace).filter_map(runner);
    let mut runners: Vec<Pool<'c>> = own.collect();
    if !namespace.is_empty() {
        let everywhere = context.view.of_kind_in("RunnerPool", "").filter_map(runner);
        runners.extend(everywhere.filter(|pool| may_be_used(context, pool, namespace)));
        // Nobody need name the pool: running as its account is enough.
        let elsewhere = context.view.pools_with_account_in(namespace);
        runners.extend(elsewhere.filter(|pool| !pool.key.namespace.is_empty()).filter_map(runner));
    }
    runners.sort_by_key(Pool::shown);
    pools.extend(runners);
    pools
}

/// The pools that a name can mean where the key says: those near, the live one, else those of that name anywhere. `namespace/name` means the one there.
pub(super) fn of_name<'c>(context: &Context<'c>, key: &ObjectKey) -> Vec<Pool<'c>> {
    if let Some((namespace, name)) = key.name.split_once('/') {
        let there = ObjectKey::new(&key.group, &key.kind, namespace, name);
        return context.lookup(&there).and_then(runner).into_iter().collect();
    }
    let near = near(context, &key.namespace);
    let mut named: Vec<Pool<'c>> =
        near.into_iter().filter(|pool| pool.name() == key.name).collect();
    named.extend(context.lookup(key).and_then(runner));
    if named.is_empty() {
        // A controller may look for the pool in its own namespace.
        let anywhere = context.view.of_kind("RunnerPool").filter_map(runner);
        named.extend(anywhere.filter(|pool| pool.name() == key.name));
    }
    named
}

fn runner(object: &Object) -> Option<Pool<'_>> {
    let Facts::RunnerPool(pool) = &object.facts else { return None };
    Some(Pool::Runner(&object.key, pool))
}

/// A cluster-scoped RunnerPool belongs to its organization; one that names none is everybody's.
fn may_be_used(context: &Context<'_>, pool: &Pool<'_>, namespace: &str) -> bool {
    let Pool::Runner(_, runner) = pool else { return true };
    let owner = ownership(context, namespace);
    runner.ties.organization.is_empty()
        || owner.organization().is_none_or(|owner| owner == runner.ties.organization)
}

/// The trusted pools by their nodes, wherever they are: nodes are the whole cluster's.
pub(super) fn trusted_by_nodes<'c>(context: &Context<'c>) -> Vec<Pool<'c>> {
    let policy = context.policy.trust.pools.iter().map(Pool::Policy).filter(Pool::is_trusted);
    let mut runners: Vec<Pool<'c>> =
        context.view.trusted_pools_by_nodes().map(|(key, pool)| Pool::Runner(key, pool)).collect();
    runners.sort_by_key(Pool::shown);
    policy.chain(runners).collect()
}
