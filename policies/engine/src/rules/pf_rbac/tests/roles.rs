//! PF-RBAC-001.

use pinfold_model::facts::Operation::{Create, Update};
use pinfold_model::finding::RuleId;

use super::{check, facts, judge};
use crate::rbac::notation::cluster;

const ROWS: &str = "
    what is held / dev / Role acme/x : resources=pods / ok
    what a group holds / new devs / Role acme/x : resources=pods / ok
    no rules / dev / Role acme/x : / ok
    vacuous rules are the API server's to refuse / dev / Role acme/x : verbs=- resources=secrets / ok
    masters / x system:masters / ClusterRole x : verbs=* groups=* resources=*; verbs=* urls=* / ok
    cluster-admin by binding / ops / ClusterRole x : verbs=* groups=* resources=*; verbs=* urls=* / ok
    cluster-admin by group / x operators / ClusterRole x : verbs=escalate groups=* resources=roles / ok
    another resource / dev / Role acme/x : resources=secrets / $.rules[0].resources[0]
    another verb / dev / Role acme/x : verbs=get,delete resources=pods / $.rules[0].verbs[1]
    star verb / dev / Role acme/x : verbs=* resources=pods / $.rules[0].verbs[0]
    another group / dev / Role acme/x : groups=apps resources=pods / $.rules[0].apiGroups[0]
    a subresource / dev / Role acme/x : resources=pods/log / $.rules[0].resources[0]
    a subresource by star / dev / Role acme/x : verbs=create resources=pods/exec / ok
    a held name / one / Role acme/x : resources=secrets names=token / ok
    another name / one / Role acme/x : resources=secrets names=token,other / $.rules[0].resourceNames[1]
    without the name / one / Role acme/x : resources=secrets / $.rules[0].resourceNames
    a url of everyone / x system:authenticated / ClusterRole x : urls=/metrics / ok
    another url / x system:authenticated / ClusterRole x : urls=/metrics/x / $.rules[0].nonResourceURLs[0]
    a third rule / dev / Role acme/x : resources=pods; resources=services; resources=secrets; urls=/x / $.rules[2].resources[0] $.rules[3].nonResourceURLs[0]
    another namespace / dev / Role beta/x : resources=pods / $.rules[0].apiGroups[0]
    cluster-wide what is held in one namespace / dev / ClusterRole x : resources=pods / $.rules[0].apiGroups[0]
    a ClusterRole with a stray namespace / dev / ClusterRole acme/x : resources=pods / $.rules[0].apiGroups[0]
    impersonation / dev / Role acme/x : verbs=impersonate resources=users / $.rules[0].resources[0]
    a bound role that is gone / lost / Role acme/x : resources=pods / $.rules[0].apiGroups[0]
    an account by namespace and name / system:serviceaccount:acme:bot / Role acme/x : resources=pods / ok
    an account of elsewhere of that name / system:serviceaccount:beta:bot / Role acme/x : resources=pods / $.rules[0].apiGroups[0]
    an account as user / system:serviceaccount:acme:spelled / Role acme/x : verbs=create resources=pods/exec / ok
    an account by group / system:serviceaccount:acme:any system:serviceaccounts:acme / Role acme/x : verbs=create resources=pods/exec / ok
    generateName / dev / Role acme/ : resources=secrets / $.rules[0].resources[0]
    escalate / author / Role acme/x : resources=secrets / ok
    escalate elsewhere / author / Role beta/x : resources=secrets / $.rules[0].apiGroups[0]
    escalate in a namespace is not cluster-wide / author / ClusterRole x : resources=secrets / $.rules[0].apiGroups[0]
    escalate by name never helps a POST / named / Role acme/mine : resources=secrets / $.rules[0].apiGroups[0]
    escalate by name on update / named / Role acme/mine : resources=secrets <- Role acme/mine : / ok
    escalate by another name / named / Role acme/other : resources=secrets <- Role acme/other : / $.rules[0].apiGroups[0]
    update: owners alone / dev / Role acme/x owner=o : resources=secrets <- Role acme/x : resources=secrets / ok
    update: nothing / dev / Role acme/x : resources=secrets <- Role acme/x : resources=secrets / ok
    update: a label / dev / Role acme/x labels=a:b : resources=secrets <- Role acme/x : resources=secrets / $.rules[0].resources[0]
    update: an annotation / dev / Role acme/x annotations=a:b : resources=secrets <- Role acme/x : resources=secrets / $.rules[0].resources[0]
    update: owners and a label / dev / Role acme/x labels=a:b owner=o : resources=secrets <- Role acme/x : resources=secrets / $.rules[0].resources[0]
    update: fewer rights, still more than held / dev / Role acme/x : resources=secrets <- Role acme/x : verbs=* resources=secrets / $.rules[0].resources[0]
    update: fewer rights / dev / Role acme/x : resources=pods <- Role acme/x : verbs=* resources=secrets / ok
    update: stored form unknown / dev / Role acme/x : resources=secrets <- / $.rules[0].resources[0]
    aggregation / lead / ClusterRole x aggregates=a:b : / $.aggregationRule
    aggregation by who lacks URLs: all verbs include escalate / almost / ClusterRole x aggregates=a:b : / ok
    aggregation by who holds everything / ops / ClusterRole x aggregates=a:b : / ok
    aggregation of no selector / lead / ClusterRole x aggregates= : resources=pods / ok
    aggregation taken away / lead / ClusterRole x : resources=pods <- ClusterRole x aggregates=a:b : resources=pods / $.aggregationRule
    aggregation and rules / dev / ClusterRole x aggregates=a:b : resources=pods / $.aggregationRule $.rules[0].apiGroups[0]
    a Role has no aggregation / dev / Role acme/x aggregates=a:b : resources=pods / ok
";

#[test]
fn cases() {
    check(&RuleId::RBAC_ROLE, ROWS);
}

#[test]
fn objects_that_are_being_deleted_still_give() {
    let mut request = facts("dev", Update, "Role acme/x : resources=secrets", "Role acme/x :");
    request.object.as_mut().expect("an object").meta.deleting = true;
    assert_eq!(judge(&request, &cluster(super::CLUSTER)).raw.len(), 1);
}

#[test]
fn a_role_that_could_not_be_read_is_denied() {
    let view = cluster(super::CLUSTER);
    let kinds = [
        ("ClusterRole x :", "PF-RBAC-001 $"),
        ("RoleBinding acme/x : ClusterRole/view to User/x", "PF-RBAC-002 $"),
        ("AgentRoleBinding acme/x : role=ClusterRole/view", "PF-RBAC-003 $"),
    ];
    for (line, expected) in kinds {
        let mut request = facts("dev", Create, line, "");
        request.object.as_mut().expect("an object").facts = pinfold_model::object::Facts::MetaOnly;
        assert_eq!(super::spoken(&judge(&request, &view)), [expected]);
        request.object = None;
        assert_eq!(super::spoken(&judge(&request, &view)), [expected]);
    }
}
