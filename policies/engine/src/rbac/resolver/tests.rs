//! Cases of the resolver: what a requester holds, by subject, namespace, aggregation and live answers.

use pinfold_model::facts::{AccessQuestion, Answers};
use pinfold_model::object::rbac::RoleRef;
use pinfold_model::object::{Facts, ObjectKey};
use pinfold_model::snapshot::RBAC_GROUP;

use super::{Resolver, Unresolved};
use crate::rbac::notation::{cluster, object, requester, rules};

const CLUSTER: &str = "
    Role one/read : resources=pods; resources=services
    ClusterRole all : verbs=* groups=* resources=*
    ClusterRole nodes : verbs=update resources=nodes
    RoleBinding one/read : Role/read to User/foo Group/team
    RoleBinding one/nodes : ClusterRole/nodes to ServiceAccount/bot
    RoleBinding two/read : Role/read to User/foo
    ClusterRoleBinding all : ClusterRole/all to User/admin Group/admins
    RoleBinding two/star : ClusterRole/nodes to User/*
    ClusterRoleBinding sa : ClusterRole/nodes to ServiceAccount/kube-system/default ServiceAccount/nameless
    ClusterRoleBinding every : ClusterRole/nodes to Group/system:authenticated
    RoleBinding three/odd : ClusterRole/nodes to Robot/foo
    ClusterRoleBinding wrong : Role/read to User/wrong
    ClusterRoleBinding one/stray : ClusterRole/all to User/stray
    RoleBinding plain : ClusterRole/all to User/stray
    ClusterRoleBinding twice : ClusterRole/nodes to User/twice Group/twice
    RoleBinding one/twice : ClusterRole/nodes to User/twice
";

/// Requester, namespace, the rules that are held, and what could not be resolved.
const HELD: &[(&str, &str, &str, &[&str])] = &[
    ("foo", "one", "resources=pods; resources=services", &[]),
    ("foo", "none", "", &[]),
    ("foo", "", "", &[]),
    ("foo", "two", "", &["Role/read"]),
    ("foo", "three", "", &[]),
    ("foo admins", "", "verbs=* groups=* resources=*", &[]),
    ("foo team", "one", "resources=pods; resources=services", &[]),
    ("bar team", "one", "resources=pods; resources=services", &[]),
    ("team", "one", "", &[]),
    ("bar foo", "one", "", &[]),
    ("admin", "one", "verbs=* groups=* resources=*", &[]),
    ("Admin", "one", "", &[]),
    ("foobar", "two", "", &[]),
    ("system:serviceaccount:one:bot", "one", "verbs=update resources=nodes", &[]),
    ("system:serviceaccount:two:bot", "one", "", &[]),
    ("system:serviceaccount:one:bot", "two", "", &[]),
    ("bot", "one", "", &[]),
    ("system:serviceaccount:kube-system:default", "two", "verbs=update resources=nodes", &[]),
    ("system:serviceaccount:two:nameless", "two", "", &[]),
    ("system:anonymous system:unauthenticated", "one", "", &[]),
    ("x system:authenticated", "one", "verbs=update resources=nodes", &[]),
    ("stray", "one", "", &[]),
    ("stray", "", "", &[]),
    ("twice twice", "one", "verbs=update resources=nodes", &[]),
    ("wrong", "", "", &["Role/read"]),
    ("wrong", "one", "", &["Role/read"]),
];

#[test]
fn held_rules() {
    let (view, answers) = (cluster(CLUSTER), Answers::default());
    for (who, namespace, expected, unresolved) in HELD {
        let held = Resolver::new(&view, &answers).held(&requester(who), namespace);
        let found: Vec<_> = held.rules.into_iter().cloned().collect();
        assert_eq!(found, rules(expected), "`{who}` in `{namespace}`");
        let noted: Vec<&str> = held.unresolved.iter().map(String::as_str).collect();
        assert_eq!(noted, *unresolved, "`{who}` in `{namespace}`");
    }
}

/// Rules, then verb, resource, namespace and name that they allow or not, in the RBAC group.
const ACCESS: &[(&str, &str, &str, &str, bool)] = &[
    (
        "verbs=bind groups=rbac.authorization.k8s.io resources=clusterroles",
        "bind",
        "clusterroles",
        "view",
        true,
    ),
    (
        "verbs=bind groups=rbac.authorization.k8s.io resources=clusterroles",
        "bind",
        "roles",
        "view",
        false,
    ),
    (
        "verbs=bind groups=rbac.authorization.k8s.io resources=clusterroles names=view",
        "bind",
        "clusterroles",
        "view",
        true,
    ),
    (
        "verbs=bind groups=rbac.authorization.k8s.io resources=clusterroles names=view",
        "bind",
        "clusterroles",
        "edit",
        false,
    ),
    (
        "verbs=bind groups=rbac.authorization.k8s.io resources=clusterroles names=view",
        "bind",
        "clusterroles",
        "",
        false,
    ),
    (
        "verbs=bind groups=rbac.authorization.k8s.io resources=clusterroles names=*",
        "bind",
        "clusterroles",
        "view",
        false,
    ),
    ("verbs=* groups=* resources=*", "escalate", "roles", "", true),
    ("verbs=escalate groups=* resources=roles", "bind", "roles", "", false),
    ("verbs=bind groups= resources=clusterroles", "bind", "clusterroles", "view", false),
    (
        "verbs=bind groups=rbac.authorization.k8s.io resources=*/x,clusterroles/x",
        "bind",
        "clusterroles",
        "view",
        false,
    ),
    ("verbs=bind groups=* resources=*/x", "bind", "clusterroles/x", "view", true),
];

#[test]
fn access() {
    for (line, verb, resource, name, expected) in ACCESS {
        let text = format!(
            "ClusterRole may : {line}
             RoleBinding one/may : ClusterRole/may to User/dev"
        );
        let (view, answers) = (cluster(&text), Answers::default());
        let resolver = Resolver::new(&view, &answers);
        let mut question = AccessQuestion {
            user: None,
            verb,
            group: RBAC_GROUP.into(),
            resource: (*resource).into(),
            namespace: "one".into(),
            name: (*name).into(),
        };
        let authorized =
            |question: &AccessQuestion, who| resolver.authorize(&requester(who), question);
        assert_eq!(authorized(&question, "dev"), *expected, "{line}: {verb} {resource} {name}");
        assert!(authorized(&question, "x system:masters"));
        question.namespace = "two".into();
        assert!(!authorized(&question, "dev"), "a RoleBinding counts in its namespace only");
        question.namespace = String::new();
        assert!(!authorized(&question, "dev"));
    }
}

fn cluster_role(name: &str) -> RoleRef {
    RoleRef { api_group: RBAC_GROUP.into(), kind: "ClusterRole".into(), name: name.into() }
}

const AGGREGATED: &str = "
    ClusterRole top aggregates=to-top:yes :
    ClusterRole middle labels=to-top:yes aggregates=to-middle:yes,to-top:yes :
    ClusterRole low labels=to-middle:yes : resources=pods
    ClusterRole other labels=to-middle:no : resources=secrets
    ClusterRole kept labels=to-top:yes aggregates=to-middle:yes : resources=services
    ClusterRole stored uid=1 aggregates=to-top:yes :
    ClusterRoleBinding top : ClusterRole/top to User/dev
    ClusterRoleBinding stored : ClusterRole/stored to User/ops
";

/// Where no controller has filled a role, it stands for what it would aggregate, through cycles; what is stored is never added to.
#[test]
fn aggregation_where_nothing_is_stored() {
    let (view, answers) = (cluster(AGGREGATED), Answers::default());
    let resolver = Resolver::new(&view, &answers);
    let granted = |name| {
        let rules = resolver.granted(&cluster_role(name), "").expect("resolved");
        let mut resources: Vec<&str> =
            rules.iter().map(|rule| rule.resources[0].as_str()).collect();
        resources.sort_unstable();
        resources
    };
    assert_eq!(granted("top"), ["pods", "services"]);
    assert_eq!(granted("kept"), ["services"]);
    assert_eq!(granted("stored"), ["pods", "services"], "what is about to be given");
    assert_eq!(resolver.held(&requester("dev"), "").rules.len(), 2);
    assert_eq!(resolver.held(&requester("ops"), "").rules.len(), 0, "what is stored is held");
}

#[test]
fn unresolved_and_live() {
    let view = cluster(CLUSTER);
    let none = Answers::default();
    let resolver = Resolver::new(&view, &none);
    let absent = ObjectKey::new(RBAC_GROUP, "ClusterRole", "", "absent");
    assert_eq!(
        resolver.granted(&cluster_role("absent"), ""),
        Err(Unresolved::Absent(absent.clone()))
    );
    let kinds = [("Role", RBAC_GROUP), ("clusterrole", RBAC_GROUP), ("ClusterRole", "other.group")];
    for (kind, group) in kinds {
        let reference = RoleRef { api_group: group.into(), kind: kind.into(), name: "all".into() };
        assert_eq!(resolver.granted(&reference, ""), Err(Unresolved::Kind), "{kind} {group}");
    }
    let live = |object| Answers { objects: vec![(absent.clone(), object)], ..Answers::default() };
    let (found, gone) = (live(Some(object("ClusterRole absent : resources=x"))), live(None));
    let granted = Resolver::new(&view, &found).granted(&cluster_role("absent"), "");
    assert_eq!(granted.map(|rules| rules.len()), Ok(1));
    let mut view = view.clone();
    let mut present = object("ClusterRole absent : resources=x");
    view.apply(present.clone());
    assert!(Resolver::new(&view, &gone).granted(&cluster_role("absent"), "").is_err());
    present.facts = Facts::MetaOnly;
    let unread = live(Some(present));
    assert!(Resolver::new(&view, &unread).granted(&cluster_role("absent"), "").is_err());
}

#[test]
fn too_many_aggregated_roles_are_no_answer() {
    let mut view = cluster("ClusterRole top aggregates=a:b :");
    for number in 0..super::MAX_AGGREGATED {
        let mut role = object("ClusterRole x labels=a:b : resources=pods");
        role.key.name = format!("r{number}");
        view.apply(role);
    }
    let answers = Answers::default();
    let granted = Resolver::new(&view, &answers).granted(&cluster_role("top"), "");
    assert!(matches!(granted, Err(Unresolved::TooLarge(_))));
}
