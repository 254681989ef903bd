//! PF-RBAC-002.

use pinfold_model::finding::RuleId;

use super::check;

const ROWS: &str = "
    a held role / dev / RoleBinding acme/x : ClusterRole/view to User/a / ok
    a held Role / dev / RoleBinding acme/x : Role/reads to User/a / ok
    the part of a role that is held elsewhere / dev / RoleBinding beta/x : Role/reads to User/a / $.roleRef
    an empty role / nobody / RoleBinding acme/x : ClusterRole/nothing to User/a / ok
    no subjects / dev / RoleBinding acme/x : ClusterRole/view-secrets to / $.roleRef
    a role beyond / dev / RoleBinding acme/x : ClusterRole/view-secrets to ServiceAccount/acme/agent / $.roleRef
    cluster-admin in a namespace / dev / RoleBinding acme/x : ClusterRole/cluster-admin to User/dev / $.roleRef
    a Role beyond / dev / RoleBinding acme/x : Role/logs to User/a / $.roleRef
    cluster-wide what is held in one namespace / dev / ClusterRoleBinding x : ClusterRole/view to User/a / $.roleRef
    cluster-wide with a stray namespace / dev / ClusterRoleBinding acme/x : ClusterRole/view to User/a / $.roleRef
    cluster-wide what is held so / lead / ClusterRoleBinding x : ClusterRole/view to User/a / ok
    in a namespace what is held cluster-wide / lead / RoleBinding beta/x : ClusterRole/view to User/a / ok
    cluster-admin by cluster-admin / ops / ClusterRoleBinding x : ClusterRole/cluster-admin to User/a / ok
    a URL that is not held: all verbs include bind / almost / RoleBinding acme/x : ClusterRole/metrics to User/a / ok
    masters / x system:masters / ClusterRoleBinding x : ClusterRole/absent to User/a / ok
    a missing role / dev / RoleBinding acme/x : ClusterRole/absent to User/a / $.roleRef
    a missing role by cluster-admin, who may bind it / ops / RoleBinding acme/x : ClusterRole/absent to User/a / ok
    a missing role that may be bound / binder / RoleBinding acme/x : ClusterRole/absent to User/a / ok
    a Role of another namespace / dev / RoleBinding gamma/x : Role/reads to User/a / $.roleRef
    role kind in lower case / ops / RoleBinding acme/x : clusterrole/view to User/a / $.roleRef
    another role group / dev / RoleBinding acme/x : other.io!ClusterRole/view to User/a / $.roleRef
    no role group / dev / RoleBinding acme/x : !ClusterRole/view to User/a / ok
    a Role cluster-wide / lead / ClusterRoleBinding x : Role/reads to User/a / $.roleRef
    bind by name / binder / RoleBinding acme/x : ClusterRole/view-secrets to User/a / ok
    bind of roles isn't bind of another group / binder / RoleBinding acme/x : other.io!ClusterRole/view-secrets to User/a / $.roleRef
    bind by another name / binder / RoleBinding acme/x : ClusterRole/cluster-admin to User/a / $.roleRef
    bind in another namespace / binder / RoleBinding beta/x : ClusterRole/view-secrets to User/a / $.roleRef
    bind in a namespace is not cluster-wide / binder / ClusterRoleBinding x : ClusterRole/view-secrets to User/a / $.roleRef
    bind cluster-wide counts in a namespace / wide-binder / RoleBinding beta/x : ClusterRole/view-secrets to User/a / ok
    bind cluster-wide / wide-binder / ClusterRoleBinding x : ClusterRole/view-secrets to User/a / ok
    bind of Roles / binder / RoleBinding acme/x : Role/logs to User/a / ok
    escalate is not bind / author / RoleBinding acme/x : ClusterRole/view-secrets to User/a / $.roleRef
    update: owners alone / dev / RoleBinding acme/x owner=o : ClusterRole/view-secrets to User/a <- RoleBinding acme/x : ClusterRole/view-secrets to User/a / ok
    update: a subject more / dev / RoleBinding acme/x : ClusterRole/view-secrets to User/a User/b <- RoleBinding acme/x : ClusterRole/view-secrets to User/a / $.roleRef
    update: a subject less / dev / RoleBinding acme/x : ClusterRole/view-secrets to User/a <- RoleBinding acme/x : ClusterRole/view-secrets to User/a User/b / $.roleRef
    update: a label / dev / RoleBinding acme/x labels=a:b : ClusterRole/view-secrets to User/a <- RoleBinding acme/x : ClusterRole/view-secrets to User/a / $.roleRef
    update: a subject more of what is held / dev / RoleBinding acme/x : ClusterRole/view to User/a User/b <- RoleBinding acme/x : ClusterRole/view to User/a / ok
    create in the place of a stored one / dev / RoleBinding acme/dev : ClusterRole/view-secrets to User/a / $.roleRef
    an aggregated role counts as stored / dev / RoleBinding acme/x : ClusterRole/whole to User/a / ok
    an aggregated role that nobody filled / dev / RoleBinding acme/x : ClusterRole/fresh to User/a / $.roleRef
    a system group as subject / dev / RoleBinding acme/x : ClusterRole/view-secrets to Group/system:serviceaccounts / $.roleRef
    an account of elsewhere that is bound here / system:serviceaccount:acme:bot / RoleBinding beta/x : ClusterRole/view to User/a / ok
    anonymous / system:anonymous system:unauthenticated / RoleBinding acme/x : ClusterRole/view to User/a / $.roleRef
    a controller is asked like anybody / system:serviceaccount:kube-system:syncer system:serviceaccounts / ClusterRoleBinding x : ClusterRole/view to User/a / $.roleRef
    generateName / dev / RoleBinding acme/ : ClusterRole/view-secrets to User/a / $.roleRef
";

#[test]
fn cases() {
    check(&RuleId::RBAC_BINDING, ROWS);
}
