//! Whom the controller of an AgentRoleBinding gives rights to, as the subjects of the bindings that it would write.
//!
//! A name can lead to an AgentServiceAccount as well as to a ServiceAccount: whoever it may mean counts.

use pinfold_model::object::agent::AgentServiceAccount;
use pinfold_model::object::rbac::{AgentRoleBinding, Subject};
use pinfold_model::object::{AGENT_GROUPS, Facts, Object, ObjectKey};
use pinfold_model::snapshot::RBAC_GROUP;

use crate::context::Context;

/// The subjects of a binding in the namespace `own`. None if it names a stack or pool that isn't there: nobody gets anything yet.
pub(crate) fn subjects(
    context: &Context<'_>,
    own: &str,
    binding: &AgentRoleBinding,
) -> Vec<Subject> {
    let finder = Finder { context, own };
    let mut found = finder.account(&binding.service_account_namespace, &binding.service_account);
    let name = binding.subject_name.as_str();
    match binding.subject_kind.as_str() {
        _ if name.is_empty() => {}
        "user" => found.push(named("User", name)),
        "group" | "team" => found.push(named("Group", name)),
        "service-account" => found.extend(finder.account_of(name)),
        "agent-stack" => found.extend(finder.stack(name)),
        "runner-pool" => found.extend(finder.pool(name)),
        // Refused as a matter of form.
        _ => {}
    }
    found
}

fn named(kind: &str, name: &str) -> Subject {
    let own = str::to_owned;
    Subject {
        kind: own(kind),
        api_group: own(RBAC_GROUP),
        namespace: String::new(),
        name: own(name),
    }
}

#[derive(Clone, Copy)]
struct Finder<'c> {
    context: &'c Context<'c>,
    own: &'c str,
}

impl<'c> Finder<'c> {
    /// A ServiceAccount as `name` or `namespace/name`.
    fn account_of(self, text: &str) -> Vec<Subject> {
        let (namespace, name) = text.split_once('/').unwrap_or(("", text));
        self.account(namespace, name)
    }

    /// A ServiceAccount, and the one that an AgentServiceAccount of that name stands for.
    fn account(self, namespace: &str, name: &str) -> Vec<Subject> {
        if name.is_empty() {
            return Vec::new();
        }
        let namespace = if namespace.is_empty() { self.own } else { namespace };
        let mut found = vec![service_account(namespace, name)];
        for object in self.objects("AgentServiceAccount", namespace, name) {
            let Facts::AgentServiceAccount(account) = &object.facts else { continue };
            let AgentServiceAccount { namespace, service_account: name, .. } = account.as_ref();
            if !name.is_empty()
                && !found.iter().any(|one| one.namespace == *namespace && one.name == *name)
            {
                found.push(service_account(namespace, name));
            }
        }
        found
    }

    fn stack(self, name: &str) -> Vec<Subject> {
        let accounts = self.objects("AgentStack", self.own, name).filter_map(|object| {
            let Facts::AgentStack(stack) = &object.facts else { return None };
            Some(self.account_of(&stack.service_account))
        });
        accounts.flatten().collect()
    }

    /// A pool stands beside the binding, or is cluster-scoped.
    fn pool(self, name: &str) -> Vec<Subject> {
        let near = self.objects("RunnerPool", self.own, name);
        let pools = near.chain(self.objects("RunnerPool", "", name));
        let accounts = pools.filter_map(|object| {
            let Facts::RunnerPool(pool) = &object.facts else { return None };
            Some(self.account_of(&pool.service_account))
        });
        accounts.flatten().collect()
    }

    fn objects(
        self,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> impl Iterator<Item = &'c Object> + use<'c> {
        let key = |group: &str| ObjectKey::new(group, kind, namespace, name);
        let keys = AGENT_GROUPS.map(key);
        keys.into_iter().filter_map(move |key| self.context.lookup(&key))
    }
}

fn service_account(namespace: &str, name: &str) -> Subject {
    let own = str::to_owned;
    Subject {
        kind: own("ServiceAccount"),
        api_group: String::new(),
        namespace: own(namespace),
        name: own(name),
    }
}
