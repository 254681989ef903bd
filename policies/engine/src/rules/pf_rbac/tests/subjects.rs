//! PF-RBAC-006.

use pinfold_model::facts::Operation::{Create, Update};
use pinfold_model::facts::{AdmissionFacts, Question};
use pinfold_model::finding::RuleId;
use pinfold_model::object::ObjectKey;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;

use super::{facts, judge_with, policy, spoken};
use crate::rbac::notation::{cluster, object};

/// acme has `acme` and `acme-two`, beta `beta`; `free` is nobody's, `system` the platform's, `torn` two organizations' at once.
const CLUSTER: &str = "
    Namespace acme labels=krate.a5c.ai/org:acme
    Namespace acme-two labels=kradle.a5c.ai/org:acme
    Namespace beta labels=krate.a5c.ai/org:beta
    Namespace free
    Namespace system
    Namespace torn labels=krate.a5c.ai/org:acme
    OrgNamespaceBinding torn : beta torn
    OrgNamespaceBinding coming : acme coming
    OrgSharingPolicy shared : beta acme ServiceAccount/beta/shared
    OrgSharingPolicy other-way : acme beta ServiceAccount/beta/lent
    ClusterRole view : resources=pods
    AgentServiceAccount acme/runner : beta hidden
    AgentStack acme/far : runner
    AgentStack acme/near : coder
    RunnerPool acme/borrowed : beta/runner
    ClusterRoleBinding all : ClusterRole/view to User/dev User/root Group/admins
";

const ROWS: &str = "
    own account / dev / RoleBinding acme/x : ClusterRole/view to ServiceAccount/acme/a / ok
    own account without namespace / dev / RoleBinding acme/x : ClusterRole/view to ServiceAccount/a / ok
    another namespace of the organization / dev / RoleBinding acme/x : ClusterRole/view to ServiceAccount/acme-two/a / ok
    people / dev / RoleBinding acme/x : ClusterRole/view to User/mallory Group/beta:devs / ok
    another organization / dev / RoleBinding acme/x : ClusterRole/view to User/a ServiceAccount/beta/a / $.subjects[1]
    the same as a user / dev / RoleBinding acme/x : ClusterRole/view to User/system:serviceaccount:beta:a / $.subjects[0]
    all of a namespace / dev / RoleBinding acme/x : ClusterRole/view to Group/system:serviceaccounts:beta / $.subjects[0]
    all of the own namespace / dev / RoleBinding acme/x : ClusterRole/view to Group/system:serviceaccounts:acme / ok
    masters give it no more than others / root system:masters / RoleBinding acme/x : ClusterRole/view to ServiceAccount/beta/a / $.subjects[0]
    shared / dev / RoleBinding acme/x : ClusterRole/view to ServiceAccount/beta/shared / ok
    shared, as a user / dev / RoleBinding acme/x : ClusterRole/view to User/system:serviceaccount:beta:shared / ok
    shared is one account, not its namespace / dev / RoleBinding acme/x : ClusterRole/view to Group/system:serviceaccounts:beta / $.subjects[0]
    shared in the other direction / dev / RoleBinding acme/x : ClusterRole/view to ServiceAccount/beta/lent / $.subjects[0]
    an account of the platform / dev / RoleBinding acme/x : ClusterRole/view to ServiceAccount/system/prometheus / $.subjects[0]
    the same by an administrator / root / RoleBinding acme/x : ClusterRole/view to ServiceAccount/system/prometheus / ok
    the same by an administrator's group / x admins / RoleBinding acme/x : ClusterRole/view to Group/system:serviceaccounts:system / ok
    an agent in that group is none / system:serviceaccount:acme:coder admins / RoleBinding acme/x : ClusterRole/view to ServiceAccount/system/prometheus / $.subjects[0]
    an account of nobody / dev / RoleBinding acme/x : ClusterRole/view to ServiceAccount/free/a / $.subjects[0]
    an account of two / root / RoleBinding acme/x : ClusterRole/view to ServiceAccount/torn/a / $.subjects[0]
    an account of a namespace that nobody knows / root / RoleBinding acme/x : ClusterRole/view to ServiceAccount/gone/a / $.subjects[0]
    everybody, with agents elsewhere / dev / RoleBinding acme/x : ClusterRole/view to Group/system:authenticated / $.subjects[0]
    every account / dev / RoleBinding acme/x : ClusterRole/view to Group/system:serviceaccounts / $.subjects[0]
    nobody known / dev / RoleBinding acme/x : ClusterRole/view to Group/system:unauthenticated User/system:anonymous / $.subjects[0] $.subjects[1]
    rights of nobody / dev / RoleBinding free/x : ClusterRole/view to ServiceAccount/beta/a ServiceAccount/system/a / ok
    rights of the platform / dev / RoleBinding system/x : ClusterRole/view to ServiceAccount/beta/a / ok
    rights of two / root / RoleBinding torn/x : ClusterRole/view to ServiceAccount/acme/a / $.metadata.namespace
    rights of two, for itself / dev / RoleBinding torn/x : ClusterRole/view to ServiceAccount/torn/a User/a / ok
    rights of a namespace that nobody knows / root / RoleBinding gone/x : ClusterRole/view to ServiceAccount/acme/a / $.metadata.namespace
    a cluster binding / dev / ClusterRoleBinding x : ClusterRole/view to ServiceAccount/beta/a / ok
    update: a stranger joins / dev / RoleBinding acme/x : ClusterRole/view to ServiceAccount/beta/a ServiceAccount/beta/b <- RoleBinding acme/x : ClusterRole/view to ServiceAccount/beta/a / $.subjects[1]
    update: a stranger leaves / dev / RoleBinding acme/x : ClusterRole/view to ServiceAccount/beta/b <- RoleBinding acme/x : ClusterRole/view to ServiceAccount/beta/a ServiceAccount/beta/b / ok
    update: a label / dev / RoleBinding acme/x labels=a:b : ClusterRole/view to ServiceAccount/beta/a <- RoleBinding acme/x : ClusterRole/view to ServiceAccount/beta/a / ok
    update: the stranger in another spelling / dev / RoleBinding acme/x : ClusterRole/view to User/system:serviceaccount:beta:a <- RoleBinding acme/x : ClusterRole/view to ServiceAccount/beta/a / ok
    update: another role / dev / RoleBinding acme/x : ClusterRole/edit to ServiceAccount/beta/a <- RoleBinding acme/x : ClusterRole/view to ServiceAccount/beta/a / $.subjects[0]

    agents: own / dev / AgentRoleBinding acme/x : subject=agent-stack/near role=ClusterRole/view / ok
    agents: the organization by name / dev / AgentRoleBinding acme/x : org=acme subject=agent-stack/near role=ClusterRole/view / ok
    agents: another organization by name / dev / AgentRoleBinding acme/x : org=beta subject=agent-stack/near role=ClusterRole/view / $.spec.organizationRef
    agents: a name where there is no organization / dev / AgentRoleBinding free/x : org=acme scope=namespace/acme role=ClusterRole/view / $.spec.organizationRef
    agents: the same by an administrator / root / AgentRoleBinding free/x : org=acme scope=namespace/acme role=ClusterRole/view / ok
    agents: in a namespace of two / root / AgentRoleBinding torn/x : role=ClusterRole/view / $.metadata.namespace
    agents: a scope in the organization / dev / AgentRoleBinding acme/x : scope=namespace/acme-two role=ClusterRole/view / ok
    agents: a scope in another / root / AgentRoleBinding acme/x : scope=namespace/beta role=ClusterRole/view / $.spec.scope
    agents: the scope of another organization / root / AgentRoleBinding acme/x : scope=organization/beta role=ClusterRole/view / $.spec.scope $.spec.scope
    agents: a scope of nobody's / dev / AgentRoleBinding acme/x : scope=namespace/free role=ClusterRole/view / $.spec.scope
    agents: a scope of the platform's / dev / AgentRoleBinding acme/x : scope=namespace/system role=ClusterRole/view / $.spec.scope
    agents: a scope of the platform's, by an administrator / root / AgentRoleBinding acme/x : scope=namespace/system role=ClusterRole/view / ok
    agents: everywhere / root / AgentRoleBinding acme/x : scope=cluster role=ClusterRole/view / $.spec.scope
    agents: everywhere, from nobody's namespace / dev / AgentRoleBinding free/x : scope=cluster role=ClusterRole/view / $.spec.scope
    agents: everywhere, from the platform's, by an administrator / root / AgentRoleBinding system/x : scope=cluster role=ClusterRole/view / ok
    agents: from nobody's namespace into an organization / dev / AgentRoleBinding free/x : scope=namespace/acme role=ClusterRole/view / $.spec.scope
    agents: from nobody's into nobody's / dev / AgentRoleBinding free/x : scope=namespace/system role=ClusterRole/view / ok
    agents: an account in another organization / dev / AgentRoleBinding acme/x : subject=service-account/n account=beta/a role=ClusterRole/view / $.spec.subject
    agents: the same in the name / dev / AgentRoleBinding acme/x : subject=service-account/beta/a role=ClusterRole/view / $.spec.subject
    agents: a name that stands for another's account / dev / AgentRoleBinding acme/x : subject=service-account/runner role=ClusterRole/view / $.spec.subject
    agents: a stack with another's account / dev / AgentRoleBinding acme/x : subject=agent-stack/far role=ClusterRole/view / $.spec.subject
    agents: a pool with another's account / dev / AgentRoleBinding acme/x : subject=runner-pool/borrowed role=ClusterRole/view / $.spec.subject
    agents: a user that is an account / dev / AgentRoleBinding acme/x : subject=user/system:serviceaccount:beta:a role=ClusterRole/view / $.spec.subject
    agents: a group of accounts / dev / AgentRoleBinding acme/x : subject=group/system:serviceaccounts:beta role=ClusterRole/view / $.spec.subject
    agents: a shared account / dev / AgentRoleBinding acme/x : subject=service-account/n account=beta/shared role=ClusterRole/view / ok
    agents: people / dev / AgentRoleBinding acme/x : subject=team/t role=ClusterRole/view / ok
    agents: update of a label / dev / AgentRoleBinding acme/x labels=a:b : subject=agent-stack/far role=ClusterRole/view <- AgentRoleBinding acme/x : subject=agent-stack/far role=ClusterRole/view / ok
";

fn with_organizations() -> AdmissionPolicy {
    let mut policy = policy();
    policy.organizations.admin_groups.insert("admins".to_owned());
    policy.organizations.platform_namespaces.insert("system".to_owned());
    policy
}

fn told(request: &AdmissionFacts, view: &Snapshot) -> Vec<String> {
    let mut told = spoken(&judge_with(request, view, &with_organizations()));
    told.retain(|line| line.starts_with(RuleId::RBAC_SUBJECT.as_str()));
    told
}

#[test]
fn cases() {
    super::check_with(&RuleId::RBAC_SUBJECT, ROWS, &cluster(CLUSTER), &with_organizations());
}

/// A cluster in which nobody belongs to an organization loses nothing.
#[test]
fn without_organizations_nothing_is_refused() {
    let view = cluster("Namespace a\nNamespace b\nClusterRole view : resources=pods");
    let lines = [
        "RoleBinding a/x : ClusterRole/view to ServiceAccount/b/s Group/system:authenticated",
        "AgentRoleBinding a/x : subject=service-account/s account=b/s role=ClusterRole/view",
        "AgentRoleBinding a/x : scope=cluster role=ClusterRole/view",
    ];
    for line in lines {
        assert!(told(&facts("dev", Create, line, ""), &view).is_empty(), "{line}");
    }
}

/// Everybody is refused only where there is somebody to be kept out: known, or named by a pattern.
#[test]
fn everybody_is_refused_where_agents_of_others_are_or_may_be() {
    let line = "RoleBinding acme/x : ClusterRole/view to Group/system:authenticated";
    let request = facts("dev", Create, line, "");
    let mut view = cluster(CLUSTER);
    view.remove(&ObjectKey::new("krate.a5c.ai", "AgentServiceAccount", "acme", "runner"));
    view.remove(&ObjectKey::new("krate.a5c.ai", "RunnerPool", "acme", "borrowed"));
    assert!(told(&request, &view).is_empty(), "only acme has agents");
    for (pattern, refused) in [("*/agent-*", true), ("acme/*", false), ("b*/a", true)] {
        let mut policy = with_organizations();
        let pattern = pinfold_model::pattern::Pattern::name_glob(pattern).expect("a pattern");
        policy.agents.service_accounts = vec![pattern.clone()];
        let found = judge_with(&request, &view, &policy);
        assert_eq!(!spoken(&found).is_empty(), refused, "{pattern:?}");
    }
}

/// A namespace that the view doesn't know is asked for, and what it says then counts.
#[test]
fn a_namespace_that_nobody_knows_is_asked_for() {
    let line = "RoleBinding acme/x : ClusterRole/view to ServiceAccount/gone/a";
    let (mut request, view) = (facts("root", Create, line, ""), cluster(CLUSTER));
    let key = ObjectKey::new("", "Namespace", "", "gone");
    let found = judge_with(&request, &view, &with_organizations());
    assert_eq!(found.questions, [Question::Object(key.clone())]);
    assert!(found.raw[0].message.starts_with("cannot tell"), "{:?}", found.raw);
    for (label, refused) in [("acme", 0), ("beta", 1)] {
        let live = object(&format!("Namespace gone labels=krate.a5c.ai/org:{label}"));
        request.answers.objects = vec![(key.clone(), Some(live))];
        assert_eq!(told(&request, &view).len(), refused, "{label}");
    }
    request.answers.objects = vec![(key, None)];
    let found = judge_with(&request, &view, &with_organizations());
    assert_eq!((found.raw.len(), found.questions.len()), (1, 0), "asked once");
}

/// A namespace that is only promised to an organization holds none of its bindings up, once it is known not to be there.
#[test]
fn a_namespace_that_is_to_come_is_no_obstacle() {
    let line = "AgentRoleBinding acme/x : scope=namespace/coming role=ClusterRole/view";
    let (mut request, view) = (facts("dev", Create, line, ""), cluster(CLUSTER));
    assert_eq!(told(&request, &view).len(), 1);
    let key = ObjectKey::new("", "Namespace", "", "coming");
    request.answers.objects = vec![(key, None)];
    assert!(told(&request, &view).is_empty());
}

#[test]
fn without_a_requester_only_what_hangs_on_one_is_undecided() {
    let view = cluster(CLUSTER);
    let account =
        |name: &str| format!("RoleBinding acme/x : ClusterRole/view to ServiceAccount/{name}");
    for (name, undecided, findings) in
        [("system/p", true, 0), ("beta/a", false, 1), ("a", false, 0)]
    {
        let found =
            judge_with(&facts("", Create, &account(name), ""), &view, &with_organizations());
        assert_eq!(found.undecided.contains(&RuleId::RBAC_SUBJECT), undecided, "{name}");
        assert_eq!(found.raw.len(), findings, "{name}");
    }
    let (new, old) = (account("beta/a"), account("beta/a"));
    assert!(told(&facts("", Update, &new, &old), &view).is_empty());
}
