//! PF-RBAC-003.

use pinfold_model::facts::Operation::Create;
use pinfold_model::finding::RuleId;

use super::{CLUSTER, check, facts, judge};
use crate::rbac::notation::cluster;

const ROWS: &str = "
    cluster-admin by a namespace editor / dev / AgentRoleBinding acme/x : scope=cluster role=ClusterRole/cluster-admin / $.spec.roleRef
    own rights / dev / AgentRoleBinding acme/x : scope=namespace/acme role=ClusterRole/view / ok
    own rights in the object's namespace / dev / AgentRoleBinding acme/x : scope=namespace role=ClusterRole/view / ok
    rights beyond / dev / AgentRoleBinding acme/x : role=ClusterRole/view-secrets / $.spec.roleRef
    rights of another namespace / dev / AgentRoleBinding acme/x : scope=namespace/beta role=ClusterRole/view / $.spec.roleRef
    from elsewhere into the own namespace / dev / AgentRoleBinding beta/x : scope=namespace/acme role=ClusterRole/view / ok
    a Role of the target namespace / dev / AgentRoleBinding beta/x : scope=namespace/acme role=Role/reads / ok
    a Role that the target namespace lacks / lead / AgentRoleBinding acme/x : scope=namespace/gamma role=Role/reads / $.spec.roleRef
    a cluster binding of what is held in a namespace / dev / AgentRoleBinding acme/x : scope=cluster role=ClusterRole/view / $.spec.roleRef
    a cluster binding of what is held so / lead / AgentRoleBinding acme/x : scope=cluster role=ClusterRole/view / ok
    a Role cluster-wide / ops / AgentRoleBinding acme/x : scope=cluster role=Role/reads / $.spec.roleRef
    a Role cluster-wide by masters / x system:masters / AgentRoleBinding acme/x : scope=cluster role=Role/reads / $.spec.roleRef
    masters / x system:masters / AgentRoleBinding acme/x : scope=cluster role=ClusterRole/cluster-admin / ok
    cluster-admin / ops / AgentRoleBinding acme/x : scope=cluster role=ClusterRole/cluster-admin / ok
    a missing role / dev / AgentRoleBinding acme/x : role=ClusterRole/absent / $.spec.roleRef
    a missing role that may be bound: a role must exist / binder / AgentRoleBinding acme/x : role=ClusterRole/absent / $.spec.roleRef
    bind by name / binder / AgentRoleBinding acme/x : role=ClusterRole/view-secrets / ok
    bind in another namespace / binder / AgentRoleBinding acme/x : scope=namespace/beta role=ClusterRole/view-secrets / $.spec.roleRef
    bind everywhere / wide-binder / AgentRoleBinding acme/x : scope=cluster role=ClusterRole/view-secrets / ok
    role kind in lower case / ops / AgentRoleBinding acme/x : role=clusterrole/view / $.spec.roleRef
    a role of another group / ops / AgentRoleBinding acme/x : role=krate.a5c.ai!ClusterRole/view / $.spec.roleRef
    no role group / dev / AgentRoleBinding acme/x : role=!ClusterRole/view / ok
    a repository in the own namespace / dev / AgentRoleBinding acme/x : scope=repository/web role=ClusterRole/view / ok
    an unknown repository is in the own namespace / dev / AgentRoleBinding acme/x : scope=repository/none role=ClusterRole/view / ok
    a repository of two other namespaces / half / AgentRoleBinding acme/x : scope=repository/api role=ClusterRole/view / $.spec.roleRef
    a repository of the own and another namespace / half / AgentRoleBinding gamma/x : scope=repository/api role=ClusterRole/view / ok
    a repository of another namespace / dev / AgentRoleBinding acme/x : scope=repository/api role=ClusterRole/view / $.spec.roleRef
    no repository / ops / AgentRoleBinding acme/x : scope=repository role=ClusterRole/view / $.spec.scope
    an organization of which one namespace is held / dev / AgentRoleBinding acme/x : scope=organization/acme role=ClusterRole/view / $.spec.roleRef
    an organization of which all is held / both / AgentRoleBinding acme/x : scope=organization/acme role=ClusterRole/view / ok
    the object's organization / both / AgentRoleBinding acme/x : scope=organization org=acme role=ClusterRole/view / ok
    another organization / both / AgentRoleBinding acme/x : scope=organization/beta role=ClusterRole/view / $.spec.roleRef
    an organization by label / label / AgentRoleBinding acme/x : scope=organization/labelled role=ClusterRole/view / ok
    an organization by label that is not held / dev / AgentRoleBinding acme/x : scope=organization/labelled role=ClusterRole/view / $.spec.roleRef
    an unknown organization / ops / AgentRoleBinding acme/x : scope=organization/none role=ClusterRole/view / $.spec.scope
    no organization / ops / AgentRoleBinding acme/x : scope=organization role=ClusterRole/view / $.spec.scope
    an unknown scope / ops / AgentRoleBinding acme/x : scope=planet/earth role=ClusterRole/view / $.spec.scope
    a scope in capitals / ops / AgentRoleBinding acme/x : scope=Namespace/acme role=ClusterRole/view / $.spec.scope
    no scope, by masters / x system:masters / AgentRoleBinding acme/x : scope= role=ClusterRole/view / $.spec.scope
    no namespace anywhere / ops / AgentRoleBinding x : scope=namespace role=ClusterRole/view / $.spec.scope
    an unknown subject / ops / AgentRoleBinding acme/x : subject=robot/r role=ClusterRole/view / $.spec.subject.kind
    a nameless subject / ops / AgentRoleBinding acme/x : subject=team role=ClusterRole/view / $.spec.subject
    each known subject / dev / AgentRoleBinding acme/x : subject=service-account/a role=ClusterRole/view / ok
    an unknown policy / ops / AgentRoleBinding acme/x : policy=allow role=ClusterRole/view / $.spec.escalationPolicy
    allow-if-owner loosens nothing / dev / AgentRoleBinding acme/x : policy=allow-if-owner role=ClusterRole/view-secrets / $.spec.roleRef
    allow-if-owner tightens nothing / dev / AgentRoleBinding acme/x : policy=allow-if-owner role=ClusterRole/view / ok
    nothing to give / ops / AgentRoleBinding acme/x : / $.spec
    rules that are held / dev / AgentRoleBinding acme/x : | resources=pods / ok
    rules beyond / dev / AgentRoleBinding acme/x : | resources=pods; resources=secrets / $.spec.resourceRules[1]
    rules and a role beyond / dev / AgentRoleBinding acme/x : role=ClusterRole/view-secrets | resources=secrets / $.spec.resourceRules[0] $.spec.roleRef
    bind does not help rules / binder / AgentRoleBinding acme/x : role=ClusterRole/view-secrets | resources=secrets / $.spec.resourceRules[0]
    rules that override a held role / dev / AgentRoleBinding acme/x : role=ClusterRole/view | verbs=* groups=* resources=* / $.spec.resourceRules[0]
    rules cluster-wide / dev / AgentRoleBinding acme/x : scope=cluster | resources=pods / $.spec.resourceRules[0]
    a URL in rules / dev / AgentRoleBinding acme/x : | urls=/metrics / $.spec.resourceRules[0]
    a URL of everyone in rules / dev system:authenticated / AgentRoleBinding acme/x : scope=cluster | urls=/metrics / ok
    rules without verbs / ops / AgentRoleBinding acme/x : | verbs=- resources=secrets / $.spec.resourceRules[0]
    rules without groups / ops / AgentRoleBinding acme/x : | groups=- resources=secrets / $.spec.resourceRules[0]
    rules without resources / ops / AgentRoleBinding acme/x : | resources=pods; groups=apps resources=- / $.spec.resourceRules[1]
    rules of nothing / x system:masters / AgentRoleBinding acme/x : | verbs=get / $.spec.resourceRules[0]
    rules of a URL and resources without groups / ops / AgentRoleBinding acme/x : | groups=- resources=secrets urls=/metrics / $.spec.resourceRules[0]
    an aggregated role that nobody filled / dev / AgentRoleBinding acme/x : role=ClusterRole/fresh / $.spec.roleRef
    approved / dev / AgentRoleBinding acme/approved : policy=require-admin-approval role=ClusterRole/view / ok
    approved by its long name / dev / AgentRoleBinding acme/approved-too : policy=require-admin-approval role=ClusterRole/view / ok
    approved, but not held / dev / AgentRoleBinding acme/approved : policy=require-admin-approval role=ClusterRole/view-secrets / $.spec.roleRef
    not yet approved / dev / AgentRoleBinding acme/open : policy=require-admin-approval role=ClusterRole/view / $.spec.escalationPolicy
    approved by no administrator / dev / AgentRoleBinding acme/peer : policy=require-admin-approval role=ClusterRole/view / $.spec.escalationPolicy
    approved by who asked / dev / AgentRoleBinding acme/self : policy=require-admin-approval role=ClusterRole/view / $.spec.escalationPolicy
    approved by who applies it / root operators / AgentRoleBinding acme/approved : policy=require-admin-approval role=ClusterRole/view / $.spec.escalationPolicy
    approval of something else of that name / dev / AgentRoleBinding acme/other-kind : policy=require-admin-approval role=ClusterRole/view / $.spec.escalationPolicy
    approval in another namespace / dev / AgentRoleBinding acme/away : policy=require-admin-approval role=ClusterRole/view / $.spec.escalationPolicy
    approval of a name that isn't known yet / dev / AgentRoleBinding acme/ : policy=require-admin-approval role=ClusterRole/view / $.spec.escalationPolicy
    unapproved by cluster-admin / ops / AgentRoleBinding acme/x : policy=require-admin-approval role=ClusterRole/view / $.spec.escalationPolicy
    a deputy / system:serviceaccount:gitops:sync system:serviceaccounts / AgentRoleBinding acme/x : scope=cluster role=ClusterRole/cluster-admin / $.spec.roleRef
    update: owners alone / dev / AgentRoleBinding acme/x owner=o : role=ClusterRole/view-secrets <- AgentRoleBinding acme/x : role=ClusterRole/view-secrets / ok
    update: another scope / dev / AgentRoleBinding acme/x : scope=cluster role=ClusterRole/view <- AgentRoleBinding acme/x : role=ClusterRole/view / $.spec.roleRef
    update: another subject / dev / AgentRoleBinding acme/x : subject=user/evil role=ClusterRole/view-secrets <- AgentRoleBinding acme/x : role=ClusterRole/view-secrets / $.spec.roleRef
    update: a label / dev / AgentRoleBinding acme/x labels=a:b : role=ClusterRole/view-secrets <- AgentRoleBinding acme/x : role=ClusterRole/view-secrets / $.spec.roleRef
";

#[test]
fn cases() {
    check(&RuleId::RBAC_AGENT_BINDING, ROWS);
}

/// Every namespace of a scope is named, one in full.
#[test]
fn all_places_are_told() {
    let line = "AgentRoleBinding acme/x : scope=organization/acme role=ClusterRole/view-secrets";
    let found = judge(&facts("both", Create, line, ""), &cluster(CLUSTER));
    let message = &found.raw[0].message;
    assert!(message.contains("in namespace `acme`"), "{message}");
    assert!(message.ends_with(", nor in `acme-two`"), "{message}");
}
