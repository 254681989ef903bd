//! PF-RBAC-003.

use pinfold_model::facts::Operation::Create;
use pinfold_model::finding::RuleId;
use serde_json::json;

use super::{CLUSTER, check, check_with, facts, judge, judge_with, policy, spoken};
use crate::rbac::notation::{cluster, object, rules};

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
    approved until now / dev / AgentRoleBinding acme/over : policy=require-admin-approval role=ClusterRole/view / $.spec.escalationPolicy
    approved until a second from now / dev / AgentRoleBinding acme/holds : policy=require-admin-approval role=ClusterRole/view / ok
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

/// Scope, and whether `dev` (in acme alone), `both` (in all of the organization) and `lead` (everywhere) may view there.
const SCOPES: [(&str, [bool; 3]); 8] = [
    ("namespace", [true, true, true]),
    ("namespace/acme", [true, true, true]),
    ("namespace/acme-two", [false, true, true]),
    ("repository/web", [true, true, true]),
    ("repository/api", [false, false, true]),
    ("organization", [false, true, true]),
    ("organization/acme", [false, true, true]),
    ("cluster", [false, false, true]),
];
const SUBJECTS: [&str; 6] = [
    "user/ada",
    "group/devs",
    "team/devs",
    "agent-stack/fixer",
    "runner-pool/small",
    "service-account/coder",
];
/// Escalation policy, and whether it asks for the approval of an administrator.
const POLICIES: [(&str, bool); 4] =
    [("", false), ("deny", false), ("allow-if-owner", false), ("require-admin-approval", true)];
/// What is given (all of it what `view` gives), where it is told, and whether a cluster scope can have it.
const GIVEN: [(&str, &str, bool); 4] = [
    ("role=ClusterRole/view", "$.spec.roleRef", true),
    ("role=Role/reads", "$.spec.roleRef", false),
    ("role=RoleTemplate/viewer", "$.spec.roleRef", true),
    ("| verbs=get,list,watch resources=pods,services", "$.spec.resourceRules[0]", true),
];

/// Every scope with every kind of subject, every escalation policy, every kind of role and both API groups: only where it is held and what was
/// approved decide, whoever the subject is.
#[test]
fn every_scope_subject_policy_and_role() {
    let mut view = cluster(CLUSTER);
    for namespace in ["acme-two", "beta", "gamma"] {
        view.apply(object(&format!("Role {namespace}/reads : resources=pods")));
    }
    let mut policy = policy();
    let template = pinfold_model::policy::rbac::RoleTemplate {
        description: String::new(),
        rules: rules("verbs=get,list,watch resources=pods,services").into(),
    };
    policy.rbac.role_templates.insert("viewer".to_owned(), template);
    let mut cases = 0;
    for (scope, held) in SCOPES {
        for (who, held) in ["dev", "both", "lead"].into_iter().zip(held) {
            for ((escalation, approval), (given, path, in_cluster)) in
                POLICIES.into_iter().flat_map(|one| GIVEN.map(|other| (one, other)))
            {
                for (name, subject) in ["x", "approved"]
                    .into_iter()
                    .flat_map(|name| SUBJECTS.map(|subject| (name, subject)))
                {
                    let line = format!(
                        "AgentRoleBinding acme/{name} : org=acme scope={scope} subject={subject} policy={escalation} {given}"
                    );
                    let mut expected = Vec::new();
                    if approval && name != "approved" {
                        expected.push("PF-RBAC-003 $.spec.escalationPolicy".to_owned());
                    }
                    let possible = in_cluster || scope != "cluster";
                    if !held || !possible {
                        expected.push(format!("PF-RBAC-003 {path}"));
                    }
                    for group in ["krate.a5c.ai", "kradle.a5c.ai"] {
                        let mut request = facts(who, Create, &line, "");
                        group.clone_into(&mut request.target.group);
                        let mut told = spoken(&judge_with(&request, &view, &policy));
                        told.retain(|line| line.starts_with("PF-RBAC-003"));
                        assert_eq!(told, expected, "{group} {who}: {line}");
                        cases += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cases, 8 * 3 * 4 * 4 * 2 * 6 * 2);
}

#[test]
fn templates_of_the_policy() {
    let view = cluster(CLUSTER);
    let mut policy = policy();
    let template = pinfold_model::policy::rbac::RoleTemplate {
        description: String::new(),
        rules: rules("resources=pods; resources=secrets").into(),
    };
    policy.rbac.role_templates.insert("viewer".to_owned(), template);
    let rows = "
        not held / dev / AgentRoleBinding acme/x : role=RoleTemplate/viewer / $.spec.roleRef
        held / ops / AgentRoleBinding acme/x : role=RoleTemplate/viewer / ok
        by the group of the agents' API / ops / AgentRoleBinding acme/x : role=krate.a5c.ai!RoleTemplate/viewer / ok
        by another group / ops / AgentRoleBinding acme/x : role=example.org!RoleTemplate/viewer / $.spec.roleRef
        not there / ops / AgentRoleBinding acme/x : role=RoleTemplate/viewers / $.spec.roleRef
        to bind anything is no right to a template / wide-binder / AgentRoleBinding acme/x : role=RoleTemplate/viewer / $.spec.roleRef
    ";
    check_with(&RuleId::RBAC_AGENT_BINDING, rows, &view, &policy);
    let request = facts("ops", Create, "AgentRoleBinding acme/x : role=RoleTemplate/viewers", "");
    let found = judge_with(&request, &view, &policy);
    let told = found.raw.iter().find(|raw| raw.rule == RuleId::RBAC_AGENT_BINDING).expect("told");
    assert!(told.remedy.contains("rbac.roleTemplates"), "{told:?}");
}

/// An approval holds for what was looked at, if it says what that was.
#[test]
fn an_approval_is_bound_to_the_content_that_it_names() {
    let binding = |role: &str| {
        json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentRoleBinding",
            "metadata": {"name": "x", "namespace": "acme"},
            "spec": {"subject": {"kind": "user", "name": "ada"}, "scope": {"kind": "namespace"},
                "roleRef": {"kind": "ClusterRole", "name": role}, "escalationPolicy": "require-admin-approval"}})
    };
    let document = binding("view");
    let digest = crate::vouch::digest_of_member(&document, "spec").expect("a digest").to_string();
    let cases = [
        (digest.as_str(), "view", None),
        (digest.as_str(), "nothing", Some("was approved with another content")),
        ("sha256:00", "view", Some("was approved with another content")),
    ];
    for (approved, role, refused) in cases {
        let mut view = cluster(CLUSTER);
        let line = format!(
            "AgentApproval acme/a : phase=Approved approver=root requested=lead target=AgentRoleBinding/x digest={approved}"
        );
        view.apply(object(&line));
        let request = crate::organization::fixture::request("dev", &binding(role), None);
        let found = judge(&request, &view);
        let told: Vec<&str> = found.raw.iter().map(|raw| raw.message.as_str()).collect();
        match refused {
            None => assert!(told.is_empty(), "{told:?}"),
            Some(text) => assert!(told[0].contains(text), "{told:?}"),
        }
    }
    let request = crate::organization::fixture::request("dev", &document, None);
    let remedy = &judge(&request, &cluster(CLUSTER)).raw[0].remedy;
    assert!(remedy.contains(&digest), "{remedy}");
}
