//! Explain against the authorizer's own reading, on random clusters.

use pinfold_model::facts::{AccessQuestion, Answers, Requester};
use pinfold_model::object::rbac::PolicyRule;
use pinfold_model::snapshot::{Snapshot, SubjectKey};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::in_world;
use crate::explain::{Asked, Identity, Scope, requester_of, what_can, who_can};
use crate::rbac::agents::Account;
use crate::rbac::coverage::{Coverage, covers};
use crate::rbac::notation::{cluster, requester};
use crate::rbac::resolver::Resolver;

const RULES: &[&str] = &[
    "verbs=get resources=pods",
    "verbs=* resources=pods names=a",
    "verbs=get,bind groups=* resources=*",
    "verbs=get resources=*/log",
    "verbs=get resources=pods/log names=a,b",
    "verbs=bind groups=rbac.authorization.k8s.io resources=clusterroles",
    "verbs=get urls=/x",
    "verbs=get resources=nodes urls=/x*",
    "",
];
const SUBJECTS: &[&str] = &[
    "User/u",
    "User/system:serviceaccount:a:s",
    "Group/g",
    "Group/system:serviceaccounts",
    "Group/system:serviceaccounts:a",
    "Group/system:authenticated",
    "ServiceAccount/s",
    "ServiceAccount/b/s",
    "Robot/u",
];
const REQUESTERS: &[&str] = &["u", "u g", "x g system:authenticated", "x", "x system:masters"];
const ROLES: &[&str] =
    &["Role/r", "ClusterRole/one", "ClusterRole/two", "ClusterRole/sum", "ClusterRole/gone"];

fn role() -> impl Strategy<Value = String> {
    subsequence(RULES, 0..=3).prop_map(|rules| rules.join("; "))
}

fn binding() -> impl Strategy<Value = String> {
    let place = select(&["a", "b", ""][..]);
    (place, select(ROLES), subsequence(SUBJECTS, 0..=3)).prop_map(|(place, role, subjects)| {
        let kind = if place.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        let place = if place.is_empty() { String::new() } else { format!("{place}/") };
        format!("{kind} {place}NAME : {role} to {}", subjects.join(" "))
    })
}

fn view() -> impl Strategy<Value = Snapshot> {
    let roles = (role(), role(), role(), any::<bool>());
    (roles, prop::collection::vec(binding(), 0..6)).prop_map(|((r, one, two, stored), bindings)| {
        let uid = if stored { "uid=1 " } else { "" };
        let mut lines = vec![
            format!("Role a/r : {r}"),
            format!("ClusterRole one labels=sum:yes : {one}"),
            format!("ClusterRole two : {two}"),
            format!("ClusterRole sum {uid}aggregates=sum:yes :"),
        ];
        let named = bindings.iter().enumerate();
        lines.extend(named.map(|(at, line)| line.replace("NAME", &format!("n{at}"))));
        cluster(&lines.join("\n"))
    })
}

fn everybody() -> Vec<Requester> {
    let mut all: Vec<Requester> = REQUESTERS.iter().map(|text| requester(text)).collect();
    for namespace in ["a", "b", "c"] {
        all.push(requester_of(&Account { namespace: namespace.into(), name: "s".into() }));
    }
    all
}

/// Whether a subject means a requester, as the authorizer matches them.
fn means(subject: &SubjectKey, who: &Requester) -> bool {
    match subject {
        SubjectKey::User(name) => *name == who.name,
        SubjectKey::Group(name) => who.in_group(name),
        SubjectKey::ServiceAccount(namespace, name) => {
            who.service_account() == Some((namespace.as_str(), name.as_str()))
        }
    }
}

const QUESTIONS: &[(&str, &str, &str, &str)] = &[
    ("get", "", "pods", ""),
    ("get", "", "pods", "a"),
    ("delete", "", "pods", "a"),
    ("get", "", "pods/log", "a"),
    ("get", "apps", "deployments/log", ""),
    ("bind", "rbac.authorization.k8s.io", "clusterroles", "x"),
    ("get", "", "nodes", ""),
];

proptest! {
    /// In every namespace, exactly those are named whom the authorizer lets pass; masters aside, whom nobody has to bind.
    #[test]
    fn who_can_is_what_the_authorizer_says(view in view()) {
        let answers = Answers::default();
        let resolver = Resolver::new(&view, &answers);
        for (verb, group, resource, name) in QUESTIONS {
            for place in ["a", "b", "c"] {
                let asked = Asked::Resource {
                    verb: (*verb).into(),
                    group: (*group).into(),
                    resource: (*resource).into(),
                    name: (*name).into(),
                };
                let question = AccessQuestion {
                    user: None,
                    verb,
                    group: (*group).into(),
                    resource: (*resource).into(),
                    namespace: place.into(),
                    name: (*name).into(),
                };
                let named = in_world(&view, |world| {
                    let found = who_can(world, &asked, &Scope::Namespace(place.into()));
                    found.subjects.into_iter().map(|able| able.subject).collect::<Vec<_>>()
                });
                for who in everybody() {
                    let told = who.in_group("system:masters")
                        || named.iter().any(|subject| means(subject, &who));
                    let allowed = resolver.authorize(&who, &question);
                    prop_assert_eq!(told, allowed, "{:?} {:?}", who, question);
                }
            }
        }
    }

    /// What is told of somebody covers what they hold in each place, and is covered by it.
    #[test]
    fn what_can_is_what_is_held(view in view()) {
        let answers = Answers::default();
        let resolver = Resolver::new(&view, &answers);
        for who in everybody() {
            for place in ["a", "b", ""] {
                let held = resolver.held(&who, place).rules;
                let told: Vec<PolicyRule> = in_world(&view, |world| {
                    let found = what_can(world, &Identity::Principal(who.clone()));
                    let here = |at: &str| at.is_empty() || at == place;
                    let chains = found.chains.iter().filter(|chain| here(chain.place()));
                    let rights = chains.flat_map(|chain| chain.rights.iter().flatten());
                    rights.map(|right| right.rule.clone()).collect()
                });
                prop_assert_eq!(covers(held.iter().copied(), &told), Coverage::Covered);
                // In a namespace no request is about a URL, so that those of RoleBindings are left out.
                let on_resources = |rule: &&PolicyRule| PolicyRule {
                    non_resource_urls: Vec::new(),
                    ..(*rule).clone()
                };
                let held: Vec<PolicyRule> = held.iter().map(on_resources).collect();
                prop_assert_eq!(covers(&told, &held), Coverage::Covered);
            }
        }
    }
}
