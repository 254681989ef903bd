//! PF-RBAC-004: who makes an agent identity hold more, by which way, and which field is at fault.

use pinfold_model::finding::RuleId;
use pinfold_model::pattern::Pattern;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::rbac::RoleTemplate;

use super::policy;
use crate::rbac::notation::{cluster, rules};

/// `acme/coder` is an agent by record, `acme/bot-*` by pattern; beta has none.
pub(super) const CLUSTER: &str = "
    Namespace acme labels=krate.a5c.ai/org:acme
    Namespace acme-two labels=krate.a5c.ai/org:acme
    Namespace beta labels=krate.a5c.ai/org:beta
    AgentServiceAccount acme/coder : acme coder
    ClusterRole view : verbs=get,list,watch resources=pods,services
    ClusterRole edit aggregates=to-edit:yes uid=1 : verbs=create resources=pods/exec
    ClusterRole part labels=to-edit:yes : verbs=create resources=pods/exec
    ClusterRole lagging aggregates=to-lagging:yes uid=2 : resources=pods
    ClusterRole fresh labels=to-lagging:yes : verbs=list resources=secrets
    ClusterRole cluster-admin : verbs=* groups=* resources=*; verbs=* urls=*
    ClusterRole one-secret : resources=secrets names=model-key
    ClusterRole secrets : verbs=get,list resources=secrets
    Role acme/reads : resources=pods
    Role acme/secrets : verbs=list resources=secrets
    Role beta/mixed : verbs=list resources=secrets
    Role acme/mixed : resources=pods
    RoleBinding acme/held : ClusterRole/secrets to ServiceAccount/acme/quiet
    RoleBinding beta/held : ClusterRole/view to ServiceAccount/acme/quiet
    RoleBinding acme/gone : ClusterRole/absent to ServiceAccount/acme/dangling
    RoleBinding beta/team : ClusterRole/secrets to Group/system:serviceaccounts:gamma
    ClusterRoleBinding far : ClusterRole/edit to User/system:serviceaccount:acme:far
    AgentRoleBinding acme/everywhere : org=acme scope=organization/acme subject=agent-stack/a role=Role/mixed
    AgentRoleBinding acme/people : org=acme scope=organization/acme subject=team/t role=Role/mixed
    AgentRoleBinding beta/rules : org=gamma scope=organization subject=agent-stack/a | verbs=list resources=secrets
";

pub(super) fn with_agents() -> AdmissionPolicy {
    let mut policy = policy();
    policy.agents.service_accounts = vec![Pattern::name_glob("acme/bot-*").expect("a glob")];
    policy
}

const ROWS: &str = "
    what is harmless / RoleBinding acme/x : ClusterRole/view to ServiceAccount/acme/coder / ok
    a Role that is harmless / RoleBinding acme/x : Role/reads to ServiceAccount/coder / ok
    beyond / RoleBinding acme/x : ClusterRole/secrets to ServiceAccount/acme/coder / $.subjects[0]
    without a namespace / RoleBinding acme/x : ClusterRole/secrets to ServiceAccount/coder / $.subjects[0]
    as a user / RoleBinding acme/x : ClusterRole/secrets to User/system:serviceaccount:acme:coder / $.subjects[0]
    in the group of its namespace / RoleBinding beta/x : ClusterRole/secrets to Group/system:serviceaccounts:acme / $.subjects[0]
    in the group of all accounts / RoleBinding beta/x : ClusterRole/secrets to Group/system:serviceaccounts / $.subjects[0]
    among everybody / ClusterRoleBinding x : ClusterRole/secrets to Group/system:authenticated / $.subjects[0]
    by pattern / RoleBinding beta/x : ClusterRole/secrets to ServiceAccount/acme/bot-7 / $.subjects[0]
    a Role / RoleBinding acme/x : Role/secrets to ServiceAccount/coder / $.subjects[0]
    cluster-wide / ClusterRoleBinding x : ClusterRole/cluster-admin to ServiceAccount/acme/coder / $.subjects[0]
    aggregated / RoleBinding acme/x : ClusterRole/edit to ServiceAccount/acme/coder / $.subjects[0]
    about to be aggregated / RoleBinding acme/x : ClusterRole/lagging to ServiceAccount/acme/coder / $.subjects[0]
    the second of three / RoleBinding acme/x : ClusterRole/secrets to User/a ServiceAccount/acme/coder User/b / $.subjects[1]
    people / RoleBinding acme/x : ClusterRole/cluster-admin to User/a Group/g / ok
    accounts that are no agents / RoleBinding acme/x : ClusterRole/secrets to ServiceAccount/acme/other ServiceAccount/beta/coder / ok
    the group of a namespace without agents / RoleBinding acme/x : ClusterRole/secrets to Group/system:serviceaccounts:beta / ok
    a user that only reads like one / RoleBinding acme/x : ClusterRole/secrets to User/system:serviceaccount:acme User/coder / ok
    one Secret by name / RoleBinding acme/x : ClusterRole/one-secret to ServiceAccount/acme/coder / ok
    a role that isn't there / RoleBinding acme/x : ClusterRole/absent to ServiceAccount/acme/coder / $.roleRef
    the same for people / RoleBinding acme/x : ClusterRole/absent to User/a / ok
    a kind of role that isn't one / RoleBinding acme/x : Other/view to ServiceAccount/acme/coder / $.roleRef
    update: an agent joins / RoleBinding acme/x : ClusterRole/secrets to User/a ServiceAccount/acme/coder <- RoleBinding acme/x : ClusterRole/secrets to User/a / $.subjects[1]
    update: it was there, and another leaves / RoleBinding acme/x : ClusterRole/secrets to ServiceAccount/acme/coder <- RoleBinding acme/x : ClusterRole/secrets to User/a ServiceAccount/coder / ok
    update: another role / RoleBinding acme/x : ClusterRole/secrets to ServiceAccount/acme/coder <- RoleBinding acme/x : ClusterRole/view to ServiceAccount/acme/coder / $.subjects[0]
    update: owners alone / RoleBinding acme/x owner=o : ClusterRole/secrets to ServiceAccount/acme/coder <- RoleBinding acme/x : ClusterRole/secrets to ServiceAccount/acme/coder / ok

    agents: a role within / AgentRoleBinding acme/x : subject=service-account/coder role=Role/reads / ok
    agents: a role beyond / AgentRoleBinding acme/x : subject=service-account/coder role=Role/secrets / $.spec.roleRef
    agents: a stack, whatever it runs as / AgentRoleBinding acme/x : subject=agent-stack/s role=Role/secrets / $.spec.roleRef
    agents: a pool / AgentRoleBinding acme/x : subject=runner-pool/s role=Role/secrets / $.spec.roleRef
    agents: an account that nothing names / AgentRoleBinding acme/x : subject=service-account/other role=Role/secrets / $.spec.roleRef
    agents: a user that is an agent / AgentRoleBinding acme/x : subject=user/system:serviceaccount:acme:coder role=Role/secrets / $.spec.roleRef
    agents: a group with agents / AgentRoleBinding acme/x : subject=group/system:serviceaccounts role=Role/secrets / $.spec.roleRef
    agents: people / AgentRoleBinding acme/x : subject=user/alice role=ClusterRole/cluster-admin / ok
    agents: a team / AgentRoleBinding acme/x : subject=team/t role=ClusterRole/cluster-admin / ok
    agents: rules of its own / AgentRoleBinding acme/x : subject=agent-stack/s | resources=pods; verbs=create resources=pods/exec / $.spec.resourceRules[1].resources
    agents: a Role of one of its namespaces / AgentRoleBinding acme/x : scope=namespace/beta subject=agent-stack/s role=Role/mixed / $.spec.roleRef
    agents: the same where it is harmless / AgentRoleBinding acme/x : scope=namespace/acme subject=agent-stack/s role=Role/mixed / ok
    agents: a role that isn't there / AgentRoleBinding acme/x : subject=agent-stack/s role=Role/absent / $.spec.roleRef
    agents: a template / AgentRoleBinding acme/x : subject=agent-stack/s role=RoleTemplate/small / ok
    agents: a template beyond / AgentRoleBinding acme/x : subject=agent-stack/s role=RoleTemplate/large / $.spec.roleRef
    agents: everywhere / AgentRoleBinding acme/x : scope=cluster subject=agent-stack/s role=ClusterRole/secrets / $.spec.roleRef

    identity: a record for an account that holds too much / AgentServiceAccount acme/q : acme quiet / $.spec.serviceAccountName
    identity: by a user name / AgentServiceAccount acme/f : acme far / $.spec.serviceAccountName
    identity: by its group / AgentServiceAccount acme/g : gamma any / $.spec.serviceAccountName
    identity: for one that holds nothing / AgentServiceAccount acme/n : acme new / ok
    identity: bound to what isn't there / AgentServiceAccount acme/d : acme dangling / ok
    identity: a stack / AgentStack acme/s : quiet / $.spec.runtimeIdentity.serviceAccountRef
    identity: an untrusted pool / RunnerPool acme/p : quiet / $.spec.serviceAccountRef
    identity: update: another account / AgentServiceAccount acme/q : acme quiet <- AgentServiceAccount acme/q : acme new / $.spec.serviceAccountName
    identity: update: the same account / AgentServiceAccount acme/q labels=a:b : acme quiet <- AgentServiceAccount acme/q : acme quiet / ok

    join: a namespace where a Role means something else / Namespace beta labels=krate.a5c.ai/org:acme <- Namespace beta labels=krate.a5c.ai/org:beta / $.metadata.labels['krate.a5c.ai/org']
    join: the newer label / Namespace beta labels=kradle.a5c.ai/org:acme <- Namespace beta / $.metadata.labels['kradle.a5c.ai/org']
    join: a namespace where it means the same / Namespace acme labels=krate.a5c.ai/org:acme <- Namespace acme / ok
    join: a namespace without such a Role / Namespace delta labels=krate.a5c.ai/org:acme / ok
    join: another organization / Namespace beta labels=krate.a5c.ai/org:delta <- Namespace beta / ok
    join: rules of its own / Namespace delta labels=krate.a5c.ai/org:gamma / $.metadata.labels['krate.a5c.ai/org']
    join: it was a member / Namespace beta labels=krate.a5c.ai/org:acme <- Namespace beta labels=krate.a5c.ai/org:acme annotations=a:b / ok
    join: by a record / OrgNamespaceBinding b : acme beta / $.spec.namespace
    join: by an organization / Organization acme : beta / $.spec.namespaceName
    join: update: by another record / OrgNamespaceBinding b : acme beta <- OrgNamespaceBinding b : acme acme / $.spec.namespace
    join: update: the same record / OrgNamespaceBinding b labels=a:b : acme beta <- OrgNamespaceBinding b : acme beta / ok
";

fn template(line: &str) -> RoleTemplate {
    RoleTemplate { description: String::new(), rules: rules(line).into() }
}

fn with_templates() -> AdmissionPolicy {
    let mut policy = with_agents();
    let templates = &mut policy.rbac.role_templates;
    templates.insert("small".into(), template("resources=pods"));
    templates.insert("large".into(), template("verbs=list resources=secrets"));
    policy
}

#[test]
fn cases() {
    let rows: String = ROWS.lines().map(as_root).collect();
    super::check_with(&RuleId::RBAC_CEILING, &rows, &cluster(CLUSTER), &with_templates());
}

/// The row, asked by somebody whom no other rule stops: the ceiling is for everybody.
pub(super) fn as_root(row: &str) -> String {
    match row.split_once(" / ") {
        Some((case, rest)) => format!("{case} / root system:masters / {rest}\n"),
        None => String::new(),
    }
}
