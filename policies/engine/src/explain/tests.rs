//! Cases of explain: chains, who can, and proposals, in one small cluster.

mod properties;
mod proposals;

use std::sync::LazyLock;

use pinfold_model::facts::Answers;
use pinfold_model::object::Object;
use pinfold_model::object::meta::Owner;
use pinfold_model::object::rbac::PolicyRule;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::{Snapshot, SubjectKey};

use super::{Asked, Chain, Identity, Right, Scope, World, what_can, who_can};
use crate::organization::fixture::{self, NOW};
use crate::rbac::agents::Account;
use crate::rbac::notation::{cluster, object, requester};

const CLUSTER: &str = "
    Namespace acme
    Namespace beta
    ServiceAccount acme/coder
    ServiceAccount acme/plain
    ServiceAccount acme/bare
    AgentStack acme/fixer : fixer-id
    AgentServiceAccount acme/fixer-id : acme coder
    AgentStack acme/nobody :
    AgentStack acme/absent : ghost
    AgentStack acme/lost : away
    AgentServiceAccount acme/away : gone agent
    RunnerPool beta/sandbox : acme/coder
    RunnerPool wide : acme/coder
    ClusterRole edit aggregates=to-edit:yes :
    ClusterRole apps labels=to-edit:yes : verbs=get,update groups=apps resources=deployments
    ClusterRole deep labels=to-edit:yes aggregates=to-deep:yes :
    ClusterRole secrets labels=to-deep:yes : verbs=get resources=secrets
    ClusterRole stored uid=1 aggregates=to-edit:yes : verbs=get,update groups=apps resources=deployments; resources=nodes
    ClusterRole view : verbs=get,list resources=pods
    ClusterRole metrics : urls=/metrics,/debug/*
    ClusterRole both : resources=pods urls=/both
    ClusterRole bind-edit : verbs=bind groups=rbac.authorization.k8s.io resources=clusterroles names=edit
    Role acme/logs : verbs=get resources=pods/log
    RoleBinding acme/edits : ClusterRole/edit to ServiceAccount/coder
    RoleBinding acme/stored : ClusterRole/stored to User/system:serviceaccount:acme:coder
    RoleBinding acme/team : Role/logs to Group/system:serviceaccounts:acme
    RoleBinding beta/away : ClusterRole/view to ServiceAccount/acme/coder
    RoleBinding acme/lost : Role/gone to ServiceAccount/plain
    RoleBinding acme/urls : ClusterRole/metrics to ServiceAccount/plain User/urls
    RoleBinding acme/both : ClusterRole/both to User/both
    ClusterRoleBinding all : ClusterRole/metrics to Group/system:authenticated
    ClusterRoleBinding nameless : ClusterRole/view to ServiceAccount/coder
    ClusterRoleBinding binder : ClusterRole/bind-edit to User/dev
    ClusterRoleBinding devs : ClusterRole/view to Group/devs
";

static POLICY: LazyLock<AdmissionPolicy> = LazyLock::new(|| {
    fixture::policy(
        "agents: {serviceAccounts: ['acme/agent-*']}
rbac:
  agentCeiling: low
  ceilings: [{name: low, deny: [{apiGroups: [''], resources: [secrets], verbs: ['*']}]}]
  roleTemplates:
  - {name: reader, rules: [{apiGroups: [''], resources: [pods, secrets], verbs: [get]}]}",
    )
});

pub(super) fn in_world<T>(view: &Snapshot, ask: impl FnOnce(&World<'_>) -> T) -> T {
    let answers = Answers::default();
    ask(&World { view, policy: &POLICY, answers: &answers, now: NOW })
}

/// `NAMESPACE/NAME`, `AgentStack/NAMESPACE/NAME`, `RunnerPool/[NAMESPACE/]NAME`, or a requester.
fn identity(text: &str) -> Identity {
    let own = str::to_owned;
    let halves = |text: &str| {
        let (namespace, name) = text.split_once('/').unwrap_or(("", text));
        (own(namespace), own(name))
    };
    if let Some(rest) = text.strip_prefix("AgentStack/") {
        let (namespace, name) = halves(rest);
        return Identity::Stack { namespace, name };
    }
    if let Some(rest) = text.strip_prefix("RunnerPool/") {
        let (namespace, name) = halves(rest);
        return Identity::Pool { namespace, name };
    }
    if text.contains('/') {
        let (namespace, name) = halves(text);
        return Identity::Account(Account { namespace, name });
    }
    Identity::Principal(requester(text))
}

pub(super) fn spelled(key: &SubjectKey) -> String {
    match key {
        SubjectKey::ServiceAccount(namespace, name) => format!("{namespace}/{name}"),
        SubjectKey::User(name) => format!("User {name}"),
        SubjectKey::Group(name) => format!("Group {name}"),
    }
}

pub(super) fn told(rule: &PolicyRule) -> String {
    let PolicyRule { verbs, resources, non_resource_urls, .. } = rule;
    format!("{} {}", verbs.join(","), [resources.as_slice(), non_resource_urls].concat().join(","))
}

fn right(right: &Right<'_>) -> String {
    let from: Vec<&str> = right.from.iter().map(|key| key.name.as_str()).collect();
    let from = if from.is_empty() { String::new() } else { format!(" from {}", from.join("+")) };
    let over = if right.ceiling.is_some() { " !" } else { "" };
    format!("{}{from}{over}", told(right.rule))
}

fn chain(chain: &Chain<'_>) -> String {
    let place = if chain.place().is_empty() { "*" } else { chain.place() };
    let rights = match &chain.rights {
        Ok(rights) => rights.iter().map(right).collect::<Vec<_>>().join("; "),
        Err(_) => "?".to_owned(),
    };
    let spelling = spelled(&chain.spelling);
    format!("{place}: {spelling} > {} > {}: {rights}", chain.binding.name, chain.role.name)
}

#[test]
fn every_chain_of_an_identity_is_told() {
    let view = cluster(CLUSTER);
    let coder: &[&str] = &[
        "acme: User system:serviceaccount:acme:coder > stored > stored: get,update deployments from apps; get nodes",
        "acme: acme/coder > edits > edit: get secrets from secrets !; get,update deployments from apps",
        "beta: acme/coder > away > view: get,list pods",
        "acme: Group system:serviceaccounts:acme > team > logs: get pods/log",
        "*: Group system:authenticated > all > metrics: get /metrics,/debug/*",
    ];
    let plain: &[&str] = &[
        "acme: acme/plain > lost > gone: ?",
        "acme: acme/plain > urls > metrics: ",
        "acme: Group system:serviceaccounts:acme > team > logs: get pods/log",
        "*: Group system:authenticated > all > metrics: get /metrics,/debug/*",
    ];
    let rows: &[(&str, &[&str])] = &[
        ("AgentStack/acme/fixer", coder),
        ("RunnerPool/beta/sandbox", coder),
        ("RunnerPool/beta/wide", coder),
        ("acme/coder", coder),
        ("acme/plain", plain),
        (
            "dev devs",
            &[
                "*: User dev > binder > bind-edit: bind clusterroles",
                "*: Group devs > devs > view: get,list pods",
            ],
        ),
        (" devs", &["*: Group devs > devs > view: get,list pods"]),
        ("both", &["acme: User both > both > both: get pods,/both"]),
        ("nobody", &[]),
        ("AgentStack/acme/nobody", &[]),
    ];
    for (who, expected) in rows {
        let chains: Vec<String> = in_world(&view, |world| {
            what_can(world, &identity(who)).chains.iter().map(chain).collect()
        });
        assert_eq!(chains, *expected, "{who}");
    }
}

/// Identity, the records that make it an agent, and every broken hop.
#[test]
fn broken_chains_end_at_the_first_broken_hop() {
    let mut lines = CLUSTER.to_owned();
    lines.push_str(
        "    AgentRoleBinding acme/promised : subject=agent-stack/fixer role=ClusterRole/absent\n",
    );
    lines.push_str(
        "    AgentRoleBinding acme/written : subject=agent-stack/fixer role=ClusterRole/edit\n",
    );
    lines.push_str("    AgentRoleBinding acme/far : subject=user/dev scope=organization/none role=ClusterRole/view\n");
    let mut view = cluster(&lines);
    view.apply(owned("acme/promised-too", "promised"));
    let rows = [
        ("AgentStack/acme/none", "AgentStack acme/none: there is no such object"),
        ("RunnerPool/acme/none", "RunnerPool acme/none: there is no such object"),
        (
            "AgentStack/acme/nobody",
            "AgentStack acme/nobody: `spec.runtimeIdentity.serviceAccountRef` is not set",
        ),
        ("AgentStack/acme/absent", "ServiceAccount acme/ghost: there is no such object"),
        ("AgentStack/acme/lost", "Namespace gone: there is no such object"),
        ("acme/plain", "Role acme/gone: there is no such object"),
        (
            "acme/coder",
            "AgentRoleBinding acme/promised: its controller has written no binding in namespace `acme`",
        ),
        (
            "dev",
            "AgentRoleBinding acme/far: cannot tell where it gives rights: organization `none` owns no known namespace",
        ),
        ("nobody", "User nobody: no binding names it, in any spelling"),
        ("urls", "ClusterRole metrics: it gives nothing there"),
    ];
    view.remove(&owned("acme/promised-too", "promised").key);
    for (who, expected) in rows {
        let broken = in_world(&view, |world| {
            let found = what_can(world, &identity(who));
            let hop = found.broken().expect(who).clone();
            let fault = hop.fault.expect("a fault");
            format!(
                "{}: {fault}",
                hop.object
                    .to_string()
                    .replace(".krate.a5c.ai", "")
                    .replace(".rbac.authorization.k8s.io", "")
            )
        });
        assert_eq!(broken, expected, "{who}");
    }
    view.apply(owned("acme/promised-too", "promised"));
    let whole =
        in_world(&view, |world| what_can(world, &identity("acme/coder")).broken().is_none());
    assert!(whole, "a binding that it owns is what its controller wrote");
}

/// A RoleBinding that an AgentRoleBinding owns.
fn owned(place: &str, owner: &str) -> Object {
    let mut binding =
        object(&format!("RoleBinding {place} : ClusterRole/view to ServiceAccount/coder"));
    binding.meta.owners = vec![Owner {
        group: "krate.a5c.ai".into(),
        kind: "AgentRoleBinding".into(),
        name: owner.into(),
        uid: "u".into(),
        controller: true,
    }];
    binding
}

#[test]
fn a_binding_names_the_agent_role_binding_that_owns_it() {
    let mut view = cluster(CLUSTER);
    view.apply(owned("acme/owned", "coder"));
    in_world(&view, |world| {
        let found = what_can(world, &identity("acme/coder"));
        let chain = found.chains.iter().find(|chain| chain.binding.name == "owned").expect("it");
        let source = chain.source.as_ref().expect("its owner");
        assert_eq!((source.kind.as_str(), source.name.as_str()), ("AgentRoleBinding", "coder"));
    });
}

#[test]
fn agents_are_known_by_every_record_and_masters_hold_everything() {
    let view = cluster(CLUSTER);
    in_world(&view, |world| {
        let coder = what_can(world, &identity("acme/coder"));
        assert_eq!(coder.agent.len(), 3, "two pools and an account: {:?}", coder.agent);
        assert_eq!(what_can(world, &identity("acme/agent-new")).agent.len(), 1, "by pattern");
        assert!(what_can(world, &identity("acme/plain")).agent.is_empty());
        assert!(what_can(world, &identity("root system:masters")).holds_everything);
        assert!(!what_can(world, &identity("root")).holds_everything);
    });
}

/// Verb, what, name, namespace (`-` for anywhere), and who.
const WHO: &[(&str, &str, &str, &str, &[&str])] = &[
    ("get", "secrets", "", "-", &["acme/coder"]),
    ("get", "secrets", "", "acme", &["acme/coder"]),
    ("get", "secrets", "", "beta", &[]),
    ("get", "secrets", "one", "acme", &["acme/coder"]),
    ("list", "secrets", "", "-", &[]),
    ("update", "deployments", "", "-", &["acme/coder", "User system:serviceaccount:acme:coder"]),
    (
        "update",
        "deployments.apps",
        "x",
        "acme",
        &["acme/coder", "User system:serviceaccount:acme:coder"],
    ),
    ("update", "deployments.", "", "-", &[]),
    ("get", "pods/log", "", "-", &["Group system:serviceaccounts:acme"]),
    ("get", "pods", "", "beta", &["acme/coder", "Group devs"]),
    // A RoleBinding gives nothing for what is outside of namespaces; asked for within one, the API server says yes.
    ("get", "nodes", "", "-", &[]),
    ("get", "nodes", "", "acme", &["User system:serviceaccount:acme:coder"]),
    ("bind", "clusterroles", "edit", "-", &["User dev"]),
    ("bind", "clusterroles.rbac.authorization.k8s.io", "view", "-", &[]),
    ("get", "/metrics", "", "-", &["Group system:authenticated"]),
    ("get", "/debug/x", "", "-", &["Group system:authenticated"]),
    ("get", "/debug", "", "-", &[]),
    ("post", "/metrics", "", "-", &[]),
    ("get", "/both", "", "-", &[]),
];

#[test]
fn everybody_who_can_is_named() {
    let view = cluster(CLUSTER);
    for (verb, what, name, place, expected) in WHO {
        let scope = match *place {
            "-" => Scope::Anywhere,
            place => Scope::Namespace(place.to_owned()),
        };
        in_world(&view, |world| {
            let found = who_can(world, &Asked::parse(verb, what, name), &scope);
            let who: Vec<String> =
                found.subjects.iter().map(|able| spelled(&able.subject)).collect();
            assert_eq!(who, *expected, "{verb} {what} {name} in {place}");
            assert!(found.subjects.iter().all(|able| !able.chains.is_empty()));
        });
    }
}

#[test]
fn groups_are_opened_to_the_agents_in_them() {
    let mut view = cluster(CLUSTER);
    view.apply(object("ServiceAccount acme/agent-7"));
    in_world(&view, |world| {
        let asked = Asked::parse("get", "pods/log", "");
        let found = who_can(world, &asked, &Scope::Anywhere);
        let [able] = found.subjects.as_slice() else { panic!("{found:?}") };
        let names: Vec<&str> = able.agents.iter().map(|one| one.account.name.as_str()).collect();
        assert_eq!(names, ["agent-7", "away", "coder", "fixer-id", "ghost"]);
        assert!(able.by_pattern && able.reaches_agents());
        let found = who_can(world, &Asked::parse("get", "pods", ""), &Scope::Namespace("x".into()));
        let [devs] = found.subjects.as_slice() else { panic!("{found:?}") };
        assert!(!devs.reaches_agents());
    });
}
