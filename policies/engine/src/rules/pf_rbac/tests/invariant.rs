//! The invariant of PF-RBAC-004 and 005: whatever is admitted, in whatever order, no agent identity ever holds more than its ceiling.
//!
//! Random objects are written into a small cluster, each judged as a request of somebody whom only the ceiling stops. What identities hold is
//! read from the objects by brute force, request by request, without any of the code under test. And the converse: a write that is
//! refused, by these rules alone, would have broken it.

use std::collections::{BTreeMap, BTreeSet};

use pinfold_model::facts::Answers;
use pinfold_model::facts::Operation::{Create, Update};
use pinfold_model::object::rbac::{Binding, PolicyRule, Role, Subject};
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::pattern::Pattern;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::rbac::Ceiling;
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot, names_agent};
use proptest::prelude::*;
use proptest::sample::select;

use super::{facts, judge_with, policy};
use crate::rbac::agents::Account;
use crate::rbac::effective::grants_of;
use crate::rbac::notation::{object, rules};

/// Accounts that are, may become, or never are agents.
const ACCOUNTS: [(&str, &str); 5] =
    [("a", "one"), ("a", "two"), ("b", "one"), ("b", "two"), ("b", "bot")];
const SUBJECTS: &[&str] = &[
    "ServiceAccount/a/one",
    "ServiceAccount/one",
    "ServiceAccount/a/two",
    "ServiceAccount/b/one",
    "ServiceAccount/b/bot",
    "User/system:serviceaccount:a:one",
    "User/system:serviceaccount:b:one",
    "Group/system:serviceaccounts:a",
    "Group/system:serviceaccounts:b",
    "Group/system:serviceaccounts",
    "Group/system:authenticated",
    "Group/system:unauthenticated",
    "User/system:anonymous",
    "User/alice",
];
const RULES: &[&str] = &[
    "",
    "resources=pods",
    "resources=pods",
    "resources=pods; verbs=get,list resources=services",
    "resources=configmaps names=other",
    "resources=configmaps names=key,other",
    "verbs=list resources=services; verbs=list resources=pods,secrets",
    "verbs=get resources=secrets",
    "verbs=* groups=apps resources=*",
    "verbs=list groups=* resources=secrets",
    "verbs=create resources=*/exec",
    "verbs=create resources=*/attach",
    "verbs=get urls=/healthz,/admin/x",
    "verbs=get urls=/a*",
    "verbs=get urls=/healthz",
    "verbs=* groups=* resources=*",
];
const LABELS: &[&str] = &["", "", "", " labels=to:x", " labels=to:y", " labels=to:z"];
const AGGREGATES: &[&str] = &[
    "",
    "",
    "",
    " aggregates=to:x",
    " aggregates=to:y",
    " aggregates=to:x,to:y",
    " aggregates=to:z",
];
const ROLES: &[&str] =
    &["Role/r", "Role/s", "ClusterRole/r", "ClusterRole/s", "ClusterRole/t", "ClusterRole/u"];

/// What somebody does to the cluster.
#[derive(Debug, Clone)]
enum Act {
    Write(String),
    /// Takes out one of the objects.
    Delete(prop::sample::Index),
    /// The controller writes into one of the aggregated roles what it takes in.
    Aggregate(prop::sample::Index),
}

fn act() -> impl Strategy<Value = Act> {
    let place = || select(&["a", "b"][..]);
    let name = || select(&["r", "s", "t", "u"][..]);
    let role = (place(), name(), select(RULES))
        .prop_map(|(place, name, rules)| format!("Role {place}/{name} : {rules}"));
    let cluster_role = (name(), select(LABELS), select(AGGREGATES), select(RULES)).prop_map(
        |(name, labels, aggregates, rules)| {
            format!("ClusterRole {name}{labels}{aggregates} uid=1{name} : {rules}")
        },
    );
    let subjects = || prop::collection::vec(select(SUBJECTS), 1..3);
    let binding =
        (place(), name(), select(ROLES), subjects()).prop_map(|(place, name, role, subjects)| {
            format!("RoleBinding {place}/{name} : {role} to {}", subjects.join(" "))
        });
    let cluster_binding = (name(), select(ROLES), subjects()).prop_map(|(name, role, subjects)| {
        format!("ClusterRoleBinding {name} : {role} to {}", subjects.join(" "))
    });
    let record = (select(&ACCOUNTS[..]), name()).prop_map(|((namespace, account), name)| {
        format!("AgentServiceAccount a/{name} : {namespace} {account}")
    });
    let stack = (place(), name(), select(&["one", "two"][..]))
        .prop_map(|(place, name, account)| format!("AgentStack {place}/{name} : {account}"));
    prop_oneof![
        3 => role.prop_map(Act::Write),
        6 => cluster_role.prop_map(Act::Write),
        6 => binding.prop_map(Act::Write),
        3 => cluster_binding.prop_map(Act::Write),
        2 => record.prop_map(Act::Write),
        1 => stack.prop_map(Act::Write),
        2 => any::<prop::sample::Index>().prop_map(Act::Delete),
        2 => any::<prop::sample::Index>().prop_map(Act::Aggregate),
    ]
}

/// `base` everywhere, `strict` for what is given in b.
fn with_ceilings(by_pattern: bool) -> AdmissionPolicy {
    let mut policy = policy();
    let ceiling = |name: &str, glob: &[&str], deny: &str| Ceiling {
        name: name.to_owned(),
        namespaces: glob.iter().map(|glob| Pattern::name_glob(glob).expect("a glob")).collect(),
        deny: rules(deny),
    };
    policy.rbac.ceilings = vec![
        ceiling(
            "strict",
            &["b"],
            "verbs=get resources=configmaps names=key; verbs=list resources=secrets",
        ),
        ceiling(
            "base",
            &[],
            "verbs=list resources=secrets; verbs=create,get resources=pods/exec; verbs=get urls=/admin/*; verbs=delete groups=apps resources=deployments",
        ),
    ];
    policy.rbac.agent_ceiling = Some("base".to_owned());
    if by_pattern {
        policy.agents.service_accounts = vec![Pattern::name_glob("b/bot*").expect("a glob")];
    }
    policy
}

/// A concrete request, and whether each ceiling denies it.
struct Forbidden {
    verb: &'static str,
    group: &'static str,
    /// A resource, or a URL.
    resource: &'static str,
    name: &'static str,
    base: bool,
    strict: bool,
}

const fn forbidden(
    verb: &'static str,
    resource: &'static str,
    base: bool,
    strict: bool,
) -> Forbidden {
    Forbidden { verb, group: "", resource, name: "any", base, strict }
}

/// Everything that the ceilings deny and the rules above can give.
const FORBIDDEN: [Forbidden; 6] = [
    forbidden("list", "secrets", true, true),
    forbidden("create", "pods/exec", true, false),
    forbidden("get", "pods/exec", true, false),
    forbidden("get", "/admin/x", true, false),
    Forbidden { group: "apps", ..forbidden("delete", "deployments", true, false) },
    Forbidden { name: "key", ..forbidden("get", "configmaps", false, true) },
];

fn gives(rule: &PolicyRule, request: &Forbidden) -> bool {
    let has = |list: &[String], text: &str| list.iter().any(|own| own == "*" || own == text);
    let covers = |url: &String| {
        url.strip_suffix('*')
            .map_or(url == request.resource, |url| request.resource.starts_with(url))
    };
    if request.resource.starts_with('/') {
        return has(&rule.verbs, request.verb) && rule.non_resource_urls.iter().any(covers);
    }
    let below = request.resource.split_once('/').map(|(_, below)| format!("*/{below}"));
    let names = &rule.resource_names;
    has(&rule.verbs, request.verb)
        && has(&rule.api_groups, request.group)
        && (has(&rule.resources, request.resource)
            || below.is_some_and(|below| rule.resources.contains(&below)))
        && (names.is_empty() || names.iter().any(|name| name == request.name))
}

/// Whether a subject of a binding in a namespace means an account, with or without its token.
fn means(subject: &Subject, place: &str, (namespace, name): (&str, &str)) -> bool {
    let own = if subject.namespace.is_empty() { place } else { &subject.namespace };
    match subject.kind.as_str() {
        "ServiceAccount" => (own, subject.name.as_str()) == (namespace, name),
        "User" => {
            subject.name == format!("system:serviceaccount:{namespace}:{name}")
                || subject.name == "system:anonymous"
        }
        _ => {
            let groups = [
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
                "system:unauthenticated".to_owned(),
            ];
            groups.contains(&subject.name)
        }
    }
}

/// The agent identities that hold something forbidden, with what.
fn over(view: &Snapshot, by_pattern: bool) -> Vec<String> {
    let named: Vec<(String, String)> = view.iter().filter_map(names_agent).collect();
    let is_agent = |account: (&str, &str)| {
        named.iter().any(|(namespace, name)| (namespace.as_str(), name.as_str()) == account)
            || by_pattern && account == ("b", "bot")
    };
    let mut found = Vec::new();
    for object in view.iter() {
        let Facts::Binding(Binding { role_ref, subjects }) = &object.facts else { continue };
        let place = object.key.namespace.as_str();
        let home = if role_ref.kind == "Role" { place } else { "" };
        let Some(role) =
            view.get(&ObjectKey::new(RBAC_GROUP, &role_ref.kind, home, &role_ref.name))
        else {
            continue;
        };
        let Facts::Role(Role { rules, .. }) = &role.facts else { continue };
        let (base, strict) = (place != "b", place != "a");
        let accounts = ACCOUNTS.into_iter().filter(|account| is_agent(*account));
        for account in
            accounts.filter(|one| subjects.iter().any(|subject| means(subject, place, *one)))
        {
            let requests = FORBIDDEN.iter().filter(|one| base && one.base || strict && one.strict);
            let held = requests.filter(|one| rules.iter().any(|rule| gives(rule, one)));
            found.extend(
                held.map(|one| {
                    format!("{account:?} {} {} by {}", one.verb, one.resource, object.key)
                }),
            );
        }
    }
    found
}

/// What the aggregation controller could write next: for every role that lacks it, what it takes in.
fn aggregated(view: &Snapshot) -> Vec<Object> {
    let roles: BTreeMap<&str, &Object> = view
        .iter()
        .filter(|one| one.key.kind == "ClusterRole")
        .map(|one| (one.key.name.as_str(), one))
        .collect();
    let written = roles.values().filter_map(|object| {
        let Facts::Role(Role { rules, aggregation: Some(selectors) }) = &object.facts else {
            return None;
        };
        let labels: Vec<&(String, String)> =
            selectors.iter().flat_map(|one| &one.match_labels).collect();
        let has = |other: &Object, (key, value): &(String, String)| {
            other.meta.labels.get(key) == Some(value)
        };
        let mut wanted: Vec<PolicyRule> = Vec::new();
        for other in roles.values().filter(|other| other.key != object.key) {
            let Facts::Role(given) = &other.facts else { continue };
            if labels.iter().any(|label| has(other, label)) {
                let new = given.rules.iter().filter(|rule| !wanted.contains(rule));
                let new: Vec<PolicyRule> = new.cloned().collect();
                wanted.extend(new);
            }
        }
        if rules.iter().eq(&wanted) {
            return None;
        }
        let role = Role { rules: wanted.into(), aggregation: Some(selectors.clone()) };
        Some(Object { facts: Facts::Role(role), ..(*object).clone() })
    });
    written.collect()
}

/// The ids that refuse a write, of those that are about agents.
fn refused(view: &Snapshot, object: &Object, policy: &AdmissionPolicy) -> Vec<String> {
    let mut request = facts("root system:masters", Create, "ClusterRole x :", "");
    request.target = object.key.clone();
    request.old_object = view.get(&object.key).cloned();
    request.operation = if request.old_object.is_some() { Update } else { Create };
    request.change = super::changed(Some(object), request.old_object.as_ref());
    request.object = Some(object.clone());
    let found = judge_with(&request, view, policy);
    let ours =
        found.raw.iter().filter(|raw| ["PF-RBAC-004", "PF-RBAC-005"].contains(&raw.rule.as_str()));
    ours.map(|raw| format!("{} {}", raw.rule, raw.message)).collect()
}

/// The cluster with everything in each aggregated role that the controller could ever write there, in whatever order it works: the rules of all
/// that it takes in, directly or through others, beside its own.
fn come_to(view: &Snapshot) -> Snapshot {
    let mut view = view.clone();
    loop {
        let mut more = Vec::new();
        for object in aggregated(&view) {
            let (Facts::Role(new), Some(Facts::Role(old))) =
                (&object.facts, view.get(&object.key).map(|old| &old.facts))
            else {
                continue;
            };
            let added = new.rules.iter().filter(|rule| !old.rules.contains(rule));
            let added: Vec<PolicyRule> = added.cloned().collect();
            if !added.is_empty() {
                let rules: Vec<PolicyRule> = old.rules.iter().cloned().chain(added).collect();
                let role = Role { rules: rules.into(), aggregation: old.aggregation.clone() };
                more.push(Object { facts: Facts::Role(role), ..object.clone() });
            }
        }
        if more.is_empty() {
            return view;
        }
        more.into_iter().for_each(|object| view.apply(object));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_agent_identity_ever_holds_more(
        acts in prop::collection::vec(act(), 1..60),
        by_pattern in any::<bool>(),
    ) {
        let policy = with_ceilings(by_pattern);
        let mut view = Snapshot::default();
        for act in acts {
            let object = match act {
                Act::Write(line) => object(&line),
                Act::Delete(at) => {
                    let mut keys: Vec<ObjectKey> = view.iter().map(|one| one.key.clone()).collect();
                    keys.sort();
                    if !keys.is_empty() {
                        view.remove(at.get(&keys));
                    }
                    continue;
                }
                Act::Aggregate(at) => {
                    let next = aggregated(&view);
                    if next.is_empty() {
                        continue;
                    }
                    let object = at.get(&next).clone();
                    let why = refused(&view, &object, &policy);
                    prop_assert!(why.is_empty(), "the controller is stopped: {:?} {:?}", object, why);
                    object
                }
            };
            let why = refused(&view, &object, &policy);
            let mut after = view.clone();
            after.apply(object.clone());
            if why.is_empty() {
                view = after;
                let over = over(&view, by_pattern);
                prop_assert!(over.is_empty(), "{:?} was admitted: {:?}", object, over);
            } else if !why.iter().any(|why| why.contains("cannot tell")) {
                let over = over(&come_to(&after), by_pattern);
                prop_assert!(!over.is_empty(), "{:?} was refused: {:?}", object, why);
            }
        }
        let anew = Snapshot::of(view.iter().map(|object| (*object).clone()));
        let none = Answers::default();
        for (namespace, name) in ACCOUNTS {
            let account = Account { namespace: namespace.to_owned(), name: name.to_owned() };
            let told = |view: &Snapshot| format!("{:?}", grants_of(view, &none, &account));
            prop_assert_eq!(told(&view), told(&anew), "kept as objects changed, and built anew");
        }
        let over = over(&come_to(&view), by_pattern);
        prop_assert!(over.is_empty(), "once the controller has looked: {:?}", over);
    }
}

/// Requests of all sorts, to be held by editors and by agents.
const ORDINARY: [Forbidden; 6] = [
    forbidden("get", "pods", false, false),
    forbidden("list", "services", false, false),
    forbidden("get", "secrets", false, false),
    forbidden("get", "configmaps", false, false),
    forbidden("create", "pods/attach", false, false),
    forbidden("get", "/healthz", false, false),
];

/// Where whoever is meant holds which of all requests; what is held cluster-wide is held everywhere.
fn holdings(
    view: &Snapshot,
    is_meant: impl Fn(&Subject, &str) -> bool,
) -> BTreeSet<(String, usize)> {
    let mut found = BTreeSet::new();
    for object in view.iter() {
        let Facts::Binding(Binding { role_ref, subjects }) = &object.facts else { continue };
        let place = object.key.namespace.as_str();
        let home = if role_ref.kind == "Role" { place } else { "" };
        let key = ObjectKey::new(RBAC_GROUP, &role_ref.kind, home, &role_ref.name);
        let Some(Facts::Role(role)) = view.get(&key).map(|role| &role.facts) else { continue };
        if !subjects.iter().any(|subject| is_meant(subject, place)) {
            continue;
        }
        for (position, request) in FORBIDDEN.iter().chain(&ORDINARY).enumerate() {
            if role.rules.iter().any(|rule| gives(rule, request)) {
                let places = if place.is_empty() { &["", "a", "b"][..] } else { &[place][..] };
                found.extend(places.iter().map(|place| ((*place).to_owned(), position)));
            }
        }
    }
    found
}

/// What Kubernetes' check of the editor would say is left out: the editor may `escalate`.
fn edits() -> impl Strategy<Value = (Vec<String>, String)> {
    let role = (
        select(&["Role a/r", "Role b/r", "ClusterRole r", "ClusterRole s"][..]),
        select(LABELS),
        select(AGGREGATES),
        select(RULES),
    );
    let role = || {
        role.clone().prop_map(|(name, labels, aggregates, rules)| {
            let aggregates = if name.starts_with("Role") { "" } else { aggregates };
            format!("{name}{labels}{aggregates} uid=1 : {rules}")
        })
    };
    let subject =
        || select(&["User/dev", "ServiceAccount/a/one", "Group/system:serviceaccounts:a"][..]);
    let binding = (
        select(&["RoleBinding a", "RoleBinding b"][..]),
        select(&["x", "y", "z"][..]),
        select(ROLES),
        subject(),
    )
        .prop_map(|(place, name, role, subject)| format!("{place}/{name} : {role} to {subject}"));
    let cluster_binding = (select(ROLES), subject())
        .prop_map(|(role, subject)| format!("ClusterRoleBinding w : {role} to {subject}"));
    let object = prop_oneof![3 => role(), 4 => binding, 1 => cluster_binding];
    (prop::collection::vec(object, 2..12), role())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// An agent gains nothing by an edit that its editor doesn't hold there.
    #[test]
    fn an_agent_gains_only_what_the_editor_holds((objects, edit) in edits()) {
        let before = Snapshot::of(objects.iter().map(|line| object(line)).chain([object("AgentServiceAccount a/a : a one")]));
        let edit = object(&edit);
        let mut request = facts("dev", Create, "ClusterRole x :", "");
        request.target = edit.key.clone();
        request.old_object = before.get(&edit.key).cloned();
        request.operation = if request.old_object.is_some() { Update } else { Create };
        request.change = super::changed(Some(&edit), request.old_object.as_ref());
        request.object = Some(edit.clone());
        let found = judge_with(&request, &before, &with_ceilings(false));
        prop_assume!(!found.raw.iter().any(|raw| raw.rule.as_str() == "PF-RBAC-005"));
        let mut after = before.clone();
        after.apply(edit.clone());
        let agent = |view: &Snapshot| holdings(view, |subject, place| means(subject, place, ("a", "one")));
        let editor = holdings(&before, |subject, _| subject.kind == "User" && subject.name == "dev");
        // What the controller is about to write was judged with the roles that it takes in.
        let had = agent(&come_to(&before));
        for gain in agent(&after).difference(&had) {
            prop_assert!(editor.contains(gain), "{:?} gives {:?}", edit, gain);
        }
    }
}
