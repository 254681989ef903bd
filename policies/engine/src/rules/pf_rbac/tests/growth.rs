//! PF-RBAC-005: which edits make a bound role grow beyond the ceiling or the editor, by which field.

use pinfold_model::finding::RuleId;
use pinfold_model::policy::rbac::Ceiling;

use super::ceilings::{as_root, with_agents};
use crate::rbac::notation::{cluster, rules};

/// The agent `acme/coder` is bound to most of these. `dev` views pods in acme; `author` may escalate and holds nothing.
const CLUSTER: &str = "
    Namespace acme labels=krate.a5c.ai/org:acme
    Namespace beta labels=krate.a5c.ai/org:acme
    AgentServiceAccount acme/coder : acme coder
    ClusterRole view : verbs=get,list,watch resources=pods,services
    ClusterRole may-escalate : verbs=escalate groups=rbac.authorization.k8s.io resources=roles,clusterroles
    RoleBinding acme/dev : ClusterRole/view to User/dev
    ClusterRoleBinding author : ClusterRole/may-escalate to User/author
    Role acme/bound : resources=pods
    Role beta/bound : resources=pods
    Role acme/free : resources=pods
    Role acme/bad : verbs=list,get resources=secrets
    ClusterRole wide : resources=pods
    ClusterRole by-controller : resources=pods
    ClusterRole top aggregates=to-top:yes uid=1 : resources=pods
    ClusterRole middle labels=to-top:yes aggregates=to-middle:yes uid=2 : resources=pods
    ClusterRole low labels=to-middle:yes : resources=pods
    ClusterRole secrets : verbs=list resources=secrets
    ClusterRole unbound aggregates=to-unbound:yes uid=3 :
    ClusterRole round aggregates=to-round:yes labels=to-other:yes uid=4 :
    ClusterRole other aggregates=to-other:yes labels=to-round:yes uid=5 :
    RoleBinding acme/agent : Role/bound to ServiceAccount/coder
    RoleBinding acme/bad : Role/bad to ServiceAccount/coder
    RoleBinding acme/wide : ClusterRole/wide to User/a Group/system:serviceaccounts:acme
    RoleBinding beta/top : ClusterRole/top to User/system:serviceaccount:acme:coder
    RoleBinding acme/round : ClusterRole/round to ServiceAccount/coder
    RoleBinding acme/missing : Role/missing to ServiceAccount/coder
    RoleBinding acme/people : Role/free to User/a
    AgentRoleBinding acme/controller : scope=organization/acme subject=agent-stack/s role=ClusterRole/by-controller
    AgentRoleBinding acme/elsewhere : scope=namespace/beta subject=agent-stack/s role=Role/bound
";

/// Edits by somebody who holds everything, so that the ceiling alone speaks.
const BY_ROOT: &str = "
    within / Role acme/bound : resources=pods,services <- Role acme/bound : resources=pods / ok
    beyond / Role acme/bound : resources=pods; verbs=list resources=secrets <- Role acme/bound : resources=pods / $.rules[1].verbs
    beyond by one more text / Role acme/bound : resources=pods,pods/exec <- Role acme/bound : resources=pods / $.rules[0].resources
    a Role that no agent is bound to / Role acme/free : resources=secrets <- Role acme/free : resources=pods / ok
    a Role of that name elsewhere, by an AgentRoleBinding / Role beta/bound : resources=secrets <- Role beta/bound : resources=pods / $.rules[0].verbs
    a ClusterRole, by a group / ClusterRole wide : verbs=create resources=pods/exec <- ClusterRole wide : resources=pods / $.rules[0].resources
    a ClusterRole, by an AgentRoleBinding / ClusterRole by-controller : verbs=bind groups=* resources=roles <- ClusterRole by-controller : resources=pods / $.rules[0].verbs
    created after it was bound / Role acme/missing : verbs=list resources=secrets / $.rules[0].verbs
    created harmless / Role acme/missing : resources=pods / ok
    taken in through another / ClusterRole low labels=to-middle:yes : resources=pods; verbs=list resources=secrets <- ClusterRole low labels=to-middle:yes : resources=pods / $.rules[1].verbs
    a label that aggregates / ClusterRole secrets labels=to-middle:yes : verbs=list resources=secrets <- ClusterRole secrets : verbs=list resources=secrets / $.metadata.labels['to-middle']
    a label that aggregates into what nobody holds / ClusterRole secrets labels=to-unbound:yes : verbs=list resources=secrets <- ClusterRole secrets : verbs=list resources=secrets / ok
    a label with another value / ClusterRole secrets labels=to-middle:no : verbs=list resources=secrets <- ClusterRole secrets : verbs=list resources=secrets / ok
    created with the label / ClusterRole new labels=to-middle:yes : verbs=list resources=secrets / $.rules[0].verbs
    created with the label, harmless / ClusterRole new labels=to-middle:yes : resources=configmaps / ok
    into a circle / ClusterRole new labels=to-other:yes : verbs=list resources=secrets / $.rules[0].verbs
    another rule of aggregation / ClusterRole wide aggregates=x:y,kubernetes.io/bootstrapping:none : resources=pods <- ClusterRole wide : resources=pods / ok
    a rule of aggregation that takes in too much / ClusterRole middle labels=to-top:yes aggregates=to-middle:yes,is:secret : resources=pods <- ClusterRole middle labels=to-top:yes aggregates=to-middle:yes : resources=pods / ok
    the controller fills in what is judged already / ClusterRole top aggregates=to-top:yes uid=1 : resources=pods; resources=services <- ClusterRole top aggregates=to-top:yes uid=1 : resources=pods / ok
    repair: a right less / Role acme/bad : verbs=get resources=secrets <- Role acme/bad : verbs=list,get resources=secrets / ok
    repair: the same in two rules / Role acme/bad : verbs=get resources=secrets; verbs=list resources=secrets <- Role acme/bad : verbs=list,get resources=secrets / ok
    an unrelated edit of a bad role / Role acme/bad : verbs=list,get resources=secrets; resources=pods <- Role acme/bad : verbs=list,get resources=secrets / ok
    a bad role gets worse / Role acme/bad : verbs=list,get,watch resources=secrets <- Role acme/bad : verbs=list,get resources=secrets / $.rules[0].verbs
    a label of a bad role / Role acme/bad labels=a:b : verbs=list,get resources=secrets <- Role acme/bad : verbs=list,get resources=secrets / ok
";

#[test]
fn beyond_the_ceiling() {
    let rows: String = BY_ROOT.lines().map(as_root).collect();
    super::check_with(&RuleId::RBAC_GROWTH, &rows, &cluster(CLUSTER), &with_agents());
}

const BY_OTHERS: &str = "
    what the editor holds / dev / Role acme/bound : resources=pods; verbs=list resources=services <- Role acme/bound : resources=pods / ok
    what the editor doesn't hold / dev / Role acme/bound : resources=pods,configmaps <- Role acme/bound : resources=pods / $.rules[0]
    escalate is not enough / author / Role acme/bound : resources=pods,configmaps <- Role acme/bound : resources=pods / $.rules[0]
    escalate where no agent is bound / author / Role acme/free : resources=pods,configmaps <- Role acme/free : resources=pods / ok
    escalate into an aggregate / author / ClusterRole low labels=to-middle:yes : resources=pods,services <- ClusterRole low labels=to-middle:yes : resources=pods / $.rules[0]
    a label / author / ClusterRole new2 labels=to-middle:yes : resources=services / $.rules[0]
    created after it was bound / author / Role acme/missing : resources=configmaps / $.rules[0]
    less / author / Role acme/bad : verbs=get resources=secrets <- Role acme/bad : verbs=list,get resources=secrets / ok
    both / author / Role acme/bound : verbs=list resources=secrets <- Role acme/bound : resources=pods / $.rules[0].verbs
    cluster-wide holdings count / root system:masters / ClusterRole wide : resources=configmaps <- ClusterRole wide : resources=pods / ok
    a ClusterRole bound in the namespace of who holds it / dev / ClusterRole wide : verbs=get,watch resources=pods <- ClusterRole wide : resources=pods / ok
";

#[test]
fn beyond_the_editor() {
    super::check_with(&RuleId::RBAC_GROWTH, BY_OTHERS, &cluster(CLUSTER), &with_agents());
}

/// Another ceiling lets it pass, and PF-RBAC-007 speaks of it: the editor is judged all the same.
#[test]
fn beyond_the_editor_though_it_is_dangerous() {
    let mut policy = with_agents();
    policy.rbac.agent_ceiling = Some("other".to_owned());
    let deny = rules("verbs=delete resources=pods");
    policy.rbac.ceilings = vec![Ceiling { name: "other".to_owned(), namespaces: Vec::new(), deny }];
    let rows = "
    not held / author / Role acme/bound : resources=secrets <- Role acme/bound : resources=pods / $.rules[0]
    ";
    super::check_with(&RuleId::RBAC_GROWTH, rows, &cluster(CLUSTER), &policy);
    super::check_with(
        &RuleId::RBAC_DANGER,
        &rows.replace("[0]", "[0].verbs"),
        &cluster(CLUSTER),
        &policy,
    );
}
