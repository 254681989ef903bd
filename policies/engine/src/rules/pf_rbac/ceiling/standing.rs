//! PF-RBAC-004 after the fact: what an agent identity has come to hold beyond its ceiling.
//!
//! Two writes that cross are each judged by a view without the other, and what is written while Pinfold is away is judged by nobody. Nothing
//! is refused here: it is told, so that somebody takes it back.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pinfold_model::facts::Answers;
use pinfold_model::object::rbac::Binding;
use pinfold_model::object::{AGENT_GROUPS, Facts, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot, names_agent};

use super::words::{self, Chain, Telling, Who};
use super::{CEILING, rules_of};
use crate::rbac::agents::{Account, Agents, DEFAULT, Naming, Reach};
use crate::rbac::ceiling::{Breach, Limits};
use crate::rbac::effective::{bindings_of, gives, takers};

/// How many bindings of one identity are told.
const MAX_TOLD: usize = 16;
/// How many bindings of a changed role are looked at one by one.
const MAX_BINDINGS: usize = 1_024;

/// A binding that gives an agent identity more than its ceiling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overstep {
    /// The RoleBinding or ClusterRoleBinding.
    pub binding: ObjectKey,
    /// Who holds what, through what, and what denies it.
    pub message: String,
}

/// The bindings by which a ServiceAccount, if it is an agent identity, holds more than its ceiling; those that an exception names left out.
#[must_use]
pub fn oversteps(
    view: &Snapshot,
    policy: &AdmissionPolicy,
    now: Timestamp,
    account: &Account,
) -> Vec<Overstep> {
    let agents = Agents::new(view, policy);
    if policy.mode_of(&CEILING).is_none() || !is_identity(view, &agents, account) {
        return Vec::new();
    }
    let none = Answers::default();
    let mut oversteps = Vec::new();
    for (spelling, binding, Binding { role_ref, .. }) in bindings_of(view, account) {
        // A role that isn't there gives nothing.
        let Ok(gives) = gives(view, &none, role_ref, &binding.namespace) else { continue };
        let breaches = Limits::of(policy, &binding.namespace).breaches(rules_of(&gives), &[]);
        if policy.exempts(&CEILING, binding, now) {
            continue;
        }
        let identity = words::identity(&agents, account);
        let who = Who { identity, spelling: words::spelling(&spelling) };
        let chain = |breach: &Breach<'_>| {
            let chain = Chain::of(role_ref, &gives, breach);
            chain.behind(words::object_name(binding)).to_string()
        };
        let path = |_: &Breach<'_>| "$.subjects".to_owned();
        let telling = Telling { who: &who, place: &binding.namespace, path: &path, chain: &chain };
        let Some(message) = telling.beyond("holds", &breaches) else { continue };
        oversteps.push(Overstep { binding: binding.clone(), message });
        if oversteps.len() >= MAX_TOLD {
            break;
        }
    }
    oversteps
}

/// Whether a ServiceAccount is an agent identity by an object, or by a pattern and exists. A pattern names many that never will.
fn is_identity(view: &Snapshot, agents: &Agents<'_>, account: &Account) -> bool {
    let Account { namespace, name } = account;
    match agents.naming(namespace, name) {
        Some(Naming::Record(_)) => true,
        Some(Naming::Pattern | Naming::Guarded) => {
            view.get(&ObjectKey::new("", "ServiceAccount", namespace, name)).is_some()
        }
        None => false,
    }
}

/// Every agent identity that there is.
#[must_use]
pub fn identities(view: &Snapshot, policy: &AdmissionPolicy) -> BTreeSet<Account> {
    let account = |namespace: &str, name: &str| Account {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let named = view.agents().map(|(namespace, name)| account(namespace, name));
    let mut all: BTreeSet<Account> = named.collect();
    let agents = Agents::new(view, policy);
    all.extend(agents.guarded().map(|namespace| account(namespace, DEFAULT)));
    if !policy.agents.service_accounts.is_empty() {
        let accounts = view.iter().filter(|object| is_service_account(&object.key));
        let accounts = accounts.map(|object| (&object.key.namespace, &object.key.name));
        let named = accounts.filter(|(namespace, name)| agents.naming(namespace, name).is_some());
        all.extend(named.map(|(namespace, name)| account(namespace, name)));
    }
    all
}

/// The agent identities whose [`oversteps`] may be other ones since an object was written or deleted; `None` if that may be all. Those that
/// overstepped before count in any case.
#[must_use]
pub fn affected(
    view: &Snapshot,
    policy: &AdmissionPolicy,
    key: &ObjectKey,
) -> Option<BTreeSet<Account>> {
    let agents = Agents::new(view, policy);
    let mut affected = BTreeSet::new();
    if is_service_account(key) {
        let (namespace, name) = (key.namespace.clone(), key.name.clone());
        affected.insert(Account { namespace, name });
        return Some(affected);
    }
    if is_namespace(key) {
        affected.insert(Account { namespace: key.name.clone(), name: DEFAULT.to_owned() });
        return Some(affected);
    }
    let Some(object) = view.get(key) else { return Some(affected) };
    if let Some((namespace, name)) = names_agent(object) {
        affected.insert(Account { namespace, name });
    }
    let reach = |binding: &Binding, place: &str, affected: &mut BTreeSet<Account>| {
        let reached = binding.subjects.iter().filter_map(|one| agents.reached(one, place));
        for reach in reached {
            let Reach::One(account) = reach else { return None };
            affected.insert(account);
        }
        Some(())
    };
    if let Facts::Binding(binding) = &object.facts {
        reach(binding, &key.namespace, &mut affected)?;
    } else if matches!(object.facts, Facts::Role(_)) {
        let roles = takers(view, object).ok()?;
        for role in roles.into_iter().chain([key]) {
            for (count, (at, binding)) in view.bindings_to(role).enumerate() {
                (count < MAX_BINDINGS).then(|| reach(binding, &at.namespace, &mut affected))??;
            }
        }
    }
    Some(affected)
}

/// Whether an object of a kind can change what agent identities hold.
#[must_use]
pub fn matters(key: &ObjectKey) -> bool {
    let kind = key.kind.as_str();
    match key.group.as_str() {
        RBAC_GROUP => true,
        "" => matches!(kind, "ServiceAccount" | "Namespace"),
        group => {
            AGENT_GROUPS.contains(&group)
                && matches!(kind, "AgentServiceAccount" | "AgentStack" | "RunnerPool")
        }
    }
}

fn is_service_account(key: &ObjectKey) -> bool {
    key.group.is_empty() && key.kind == "ServiceAccount"
}

fn is_namespace(key: &ObjectKey) -> bool {
    key.group.is_empty() && key.kind == "Namespace"
}

#[cfg(test)]
mod tests {

    use std::collections::BTreeMap;

    use pinfold_model::object::ObjectKey;
    use pinfold_model::policy::admission::AdmissionPolicy;
    use pinfold_model::snapshot::Snapshot;
    use proptest::prelude::*;

    use super::{Overstep, affected, identities, matters, oversteps};
    use crate::organization::fixture::{NOW, policy};
    use crate::rbac::agents::Account;
    use crate::rbac::notation::{cluster, object};

    const CLUSTER: &str = "
        AgentServiceAccount acme/coder : acme coder
        ClusterRole secrets : verbs=list resources=secrets
        ClusterRole pods : verbs=list resources=pods
        RoleBinding acme/fine : ClusterRole/pods to ServiceAccount/coder
        RoleBinding beta/bad : ClusterRole/secrets to Group/system:serviceaccounts:acme
        RoleBinding beta/missing : ClusterRole/none to ServiceAccount/acme/coder
    ";

    #[test]
    fn what_an_identity_holds_beyond_its_ceiling_is_told_with_its_chain() {
        let view = cluster(CLUSTER);
        let account = |name: &str| Account { namespace: "acme".into(), name: name.into() };
        let now = NOW;
        let found = oversteps(&view, &policy("{}"), now, &account("coder"));
        let [one] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(one.binding.name, "bad");
        for part in [
            "acme/coder",
            "secrets",
            "Group `system:serviceaccounts:acme`",
            "RoleBinding `beta/bad`",
        ] {
            assert!(one.message.contains(part), "{part}: {}", one.message);
        }
        // PF-RBAC-004 is about agent identities, and as long as it is on.
        assert!(oversteps(&view, &policy("{}"), now, &account("other")).is_empty());
        let off = policy("{rules: [{id: PF-RBAC-004, mode: \"off\"}]}");
        assert!(oversteps(&view, &off, now, &account("coder")).is_empty());
        let exempt = policy(
            "{exceptions: [{rules: [PF-RBAC-004], match: {kinds: [RoleBinding], names: [bad]}, owner: o, reason: r}]}",
        );
        assert!(oversteps(&view, &exempt, now, &account("coder")).is_empty());
    }

    /// What may be written or taken away, in every form: the same key twice is a change.
    const OBJECTS: &[&str] = &[
        "AgentServiceAccount acme/a : acme coder",
        "AgentServiceAccount acme/a : beta coder",
        "AgentStack beta/s : coder",
        "ServiceAccount acme/agent-x",
        "ServiceAccount acme/default",
        "Namespace acme labels=pinfold.dev/agents:true",
        "Namespace acme",
        "RoleBinding acme/d : ClusterRole/part to ServiceAccount/default",
        "ClusterRole r : verbs=list resources=secrets",
        "ClusterRole r : verbs=list resources=pods",
        "ClusterRole r labels=to:whole : verbs=list resources=pods",
        "ClusterRole part labels=to:whole : verbs=list resources=secrets",
        "ClusterRole part : verbs=list resources=secrets",
        "ClusterRole whole aggregates=to:whole :",
        "ClusterRole whole labels=to:more aggregates=to:whole :",
        "ClusterRole more aggregates=to:more :",
        "Role acme/r : verbs=create resources=pods/exec",
        "Role acme/r : verbs=get resources=pods",
        "RoleBinding acme/b : Role/r to ServiceAccount/coder",
        "RoleBinding acme/b : ClusterRole/r to ServiceAccount/beta/coder",
        "RoleBinding acme/c : ClusterRole/more to User/system:serviceaccount:acme:agent-x",
        "RoleBinding beta/b : ClusterRole/whole to Group/system:serviceaccounts:acme",
        "ClusterRoleBinding all : ClusterRole/r to Group/system:authenticated",
        "ClusterRoleBinding all : ClusterRole/whole to User/jane",
    ];

    type Standing = BTreeMap<Account, Vec<Overstep>>;

    fn anew(view: &Snapshot, policy: &AdmissionPolicy) -> Standing {
        let of = |account: Account| (account.clone(), oversteps(view, policy, NOW, &account));
        let all = identities(view, policy).into_iter().map(of);
        all.filter(|(_, oversteps)| !oversteps.is_empty()).collect()
    }

    fn carried_on(
        before: &Standing,
        view: &Snapshot,
        policy: &AdmissionPolicy,
        key: &ObjectKey,
    ) -> Standing {
        let Some(mut accounts) = affected(view, policy, key).filter(|_| matters(key)) else {
            return anew(view, policy);
        };
        accounts.extend(before.keys().cloned());
        let of = |account: Account| (account.clone(), oversteps(view, policy, NOW, &account));
        accounts.into_iter().map(of).filter(|(_, oversteps)| !oversteps.is_empty()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_is_kept_as_objects_change_is_what_one_would_find_anew(
            steps in prop::collection::vec((0..OBJECTS.len(), prop::bool::weighted(0.75)), 1..40),
        ) {
            let policy = policy("{agents: {serviceAccounts: [\"*/agent-*\"]}}");
            let (mut view, mut standing) = (Snapshot::default(), Standing::new());
            for (which, written) in steps {
                let object = object(OBJECTS[which]);
                let key = object.key.clone();
                if written {
                    view.apply(object);
                } else {
                    view.remove(&key);
                }
                standing = carried_on(&standing, &view, &policy, &key);
                prop_assert_eq!(&standing, &anew(&view, &policy));
            }
        }
    }
}
