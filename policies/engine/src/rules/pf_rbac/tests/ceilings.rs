//! PF-RBAC-004: who makes an agent identity hold more, by which way, and which field is at fault.

use pinfold_model::facts::Operation::{Create, Update};
use pinfold_model::facts::{AdmissionFacts, Question};
use pinfold_model::finding::RuleId;
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::pattern::Pattern;
use pinfold_model::policy::admission::{AdmissionPolicy, Exception, ObjectMatch};
use pinfold_model::policy::rbac::{Ceiling, RoleTemplate};
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot};

use super::{facts, judge_with, policy, spoken};
use crate::context::Found;
use crate::rbac::notation::{cluster, object, rules};

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
    AgentServiceAccount iota/third : iota third
    RoleBinding theta/old : ClusterRole/secrets to ServiceAccount/iota/third
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
    agents: update: a label / AgentRoleBinding acme/x labels=a:b : subject=agent-stack/s role=Role/secrets | verbs=list resources=secrets <- AgentRoleBinding acme/x : subject=agent-stack/s role=Role/secrets | verbs=list resources=secrets / ok
    agents: update: a rule less / AgentRoleBinding acme/x : subject=agent-stack/s | verbs=list resources=secrets <- AgentRoleBinding acme/x : subject=agent-stack/s | verbs=list resources=secrets; verbs=create resources=pods/exec / ok
    agents: update: a rule more / AgentRoleBinding acme/x : subject=agent-stack/s | verbs=list resources=secrets; verbs=create resources=pods/exec <- AgentRoleBinding acme/x : subject=agent-stack/s | verbs=list resources=secrets / $.spec.resourceRules[1].resources
    agents: update: another subject / AgentRoleBinding acme/x : subject=agent-stack/t role=Role/secrets <- AgentRoleBinding acme/x : subject=agent-stack/s role=Role/secrets / $.spec.roleRef
    agents: update: another scope / AgentRoleBinding acme/x : scope=namespace/beta subject=agent-stack/s role=Role/mixed <- AgentRoleBinding acme/x : scope=namespace/acme subject=agent-stack/s role=Role/mixed / $.spec.roleRef
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
    join: with a binding in it that is beyond / Namespace theta labels=krate.a5c.ai/org:delta <- Namespace theta / $.metadata.labels['krate.a5c.ai/org']
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

/// `strict` in beta, `other` where the policy has nothing else.
fn with_ceilings() -> AdmissionPolicy {
    let mut policy = with_agents();
    let ceiling = |name: &str, globs: &[&str], deny: &str| Ceiling {
        name: name.to_owned(),
        namespaces: globs.iter().map(|glob| Pattern::name_glob(glob).expect("a glob")).collect(),
        deny: rules(deny),
    };
    policy.rbac.ceilings = vec![
        ceiling("strict", &["beta", "gamma-*"], "verbs=get resources=configmaps names=key"),
        ceiling("strictest", &["gamma-1"], "verbs=get resources=configmaps names=other"),
        ceiling("other", &[], "verbs=delete resources=pods; verbs=get urls=/debug/*"),
    ];
    policy.rbac.agent_ceiling = Some("other".to_owned());
    policy
}

/// Which ceiling counts where; what is given cluster-wide is below all of them.
#[test]
fn named_ceilings() {
    const ROWS: &str = "
    what the other denies / RoleBinding acme/x : ClusterRole/deletes to ServiceAccount/acme/coder / $.subjects[0]
    what the other denies, in beta / RoleBinding beta/x : ClusterRole/deletes to ServiceAccount/acme/coder / ok
    what the other denies, everywhere / ClusterRoleBinding x : ClusterRole/deletes to ServiceAccount/acme/coder / $.subjects[0]
    what the strict one denies / RoleBinding acme/x : ClusterRole/configmaps to ServiceAccount/acme/coder / ok
    what the strict one denies, in beta / RoleBinding beta/x : ClusterRole/configmaps to ServiceAccount/acme/coder / $.subjects[0]
    what the strict one denies, by a glob / RoleBinding gamma-1/x : ClusterRole/configmaps to ServiceAccount/acme/coder / $.subjects[0]
    what the strict one denies, everywhere / ClusterRoleBinding x : ClusterRole/configmaps to ServiceAccount/acme/coder / $.subjects[0]
    another name / RoleBinding beta/x : ClusterRole/one-configmap to ServiceAccount/acme/coder / ok
    another name where two ceilings count / RoleBinding gamma-1/x : ClusterRole/one-configmap to ServiceAccount/acme/coder / $.subjects[0]
    another name, everywhere / ClusterRoleBinding x : ClusterRole/one-configmap to ServiceAccount/acme/coder / $.subjects[0]
    a URL / ClusterRoleBinding x : ClusterRole/debug to ServiceAccount/acme/coder / $.subjects[0]
    what only the built-in one denies / RoleBinding acme/x : ClusterRole/secrets to ServiceAccount/acme/coder / ok
    agents: in beta alone / AgentRoleBinding acme/x : scope=cluster subject=agent-stack/s role=ClusterRole/configmaps / $.spec.roleRef
    identity: what it holds / AgentServiceAccount acme/q : acme held / $.spec.serviceAccountName
    identity: what only PF-RBAC-007 is about / AgentServiceAccount acme/q : acme quiet / ok
    ";
    let text = format!(
        "{CLUSTER}
        ClusterRole deletes : verbs=delete resources=pods
        ClusterRole configmaps : resources=configmaps
        ClusterRole one-configmap : resources=configmaps names=other
        ClusterRole debug : urls=/debug/pprof
        RoleBinding beta/keys : ClusterRole/configmaps to ServiceAccount/acme/held"
    );
    let rows: String = ROWS.lines().map(as_root).collect();
    super::check_with(&RuleId::RBAC_CEILING, &rows, &cluster(&text), &with_ceilings());
    // PF-RBAC-007 still is about it: the order of binding and naming makes no difference.
    let record =
        facts("root system:masters", Create, "AgentServiceAccount acme/q : acme quiet", "");
    let found = judge_with(&record, &cluster(&text), &with_ceilings());
    assert_eq!(spoken(&found), ["PF-RBAC-007 $.spec.serviceAccountName"]);
}

fn told(request: &AdmissionFacts, view: &Snapshot, policy: &AdmissionPolicy) -> Found {
    let mut found = judge_with(request, view, policy);
    found.raw.retain(|raw| raw.rule == RuleId::RBAC_CEILING);
    found
}

/// A ServiceAccount that a pattern names is one as soon as it is there; one that a record names likewise.
#[test]
fn a_new_service_account() {
    let view = cluster(&format!(
        "{CLUSTER}
        RoleBinding acme/bots : ClusterRole/secrets to ServiceAccount/acme/bot-1 ServiceAccount/acme/coder"
    ));
    let mut request = facts("root system:masters", Create, "ServiceAccount acme/bot-1", "");
    let judged = |request: &AdmissionFacts| spoken(&told(request, &view, &with_agents()));
    request.target.group = String::new();
    let key = |name: &str| ObjectKey::new("", "ServiceAccount", "acme", name);
    for (name, expected) in [("bot-1", 1), ("coder", 1), ("bot-2", 0), ("other", 0), ("quiet", 0)] {
        request.target = key(name);
        request.object.as_mut().expect("an object").key = key(name);
        assert_eq!(judged(&request), vec!["PF-RBAC-004 $.metadata.name"; expected], "{name}");
    }
    request.object.as_mut().expect("an object").key = key("bot-1");
    request.operation = Update;
    assert!(judged(&request).is_empty(), "nothing becomes of it");
}

/// A pool is an agent's only while it is untrusted.
/// Pods of a guarded namespace that name no ServiceAccount run as `default`, and all of them are agents.
#[test]
fn the_account_of_pods_that_name_none() {
    let mut policy = policy();
    policy.agents.namespace_labels = vec![("pinfold.dev/agents".to_owned(), "true".to_owned())];
    let view = cluster(
        "Namespace guarded labels=pinfold.dev/agents:true
         Namespace open
         ClusterRole secrets : verbs=list resources=secrets
         RoleBinding open/held : ClusterRole/secrets to ServiceAccount/default",
    );
    let rows = [
        ("RoleBinding guarded/x : ClusterRole/secrets to ServiceAccount/default", "", true),
        (
            "RoleBinding open/x : ClusterRole/secrets to Group/system:serviceaccounts:guarded",
            "",
            true,
        ),
        ("ClusterRoleBinding x : ClusterRole/secrets to Group/system:serviceaccounts", "", true),
        ("RoleBinding guarded/x : ClusterRole/secrets to ServiceAccount/other", "", false),
        ("RoleBinding open/x : ClusterRole/secrets to ServiceAccount/default", "", false),
        (
            "RoleBinding guarded/x : ClusterRole/secrets to Group/system:serviceaccounts:open",
            "",
            false,
        ),
        ("Namespace open labels=pinfold.dev/agents:true", "Namespace open", true),
        ("Namespace open labels=pinfold.dev/agents:false", "Namespace open", false),
        (
            "Namespace guarded labels=pinfold.dev/agents:true",
            "Namespace guarded labels=pinfold.dev/agents:true",
            false,
        ),
    ];
    for (new, old, refused) in rows {
        let operation = if old.is_empty() { Create } else { Update };
        let request = facts("root system:masters", operation, new, old);
        let found = told(&request, &view, &policy);
        let ceiling = found.raw.iter().any(|raw| raw.rule == RuleId::RBAC_CEILING);
        assert_eq!(ceiling, refused, "{new}: {:?}", found.raw);
    }
}

#[test]
fn a_pool_that_loses_its_trust() {
    let view = cluster(CLUSTER);
    let line = "RunnerPool acme/p labels=a:b : quiet";
    let mut request = facts("root system:masters", Update, line, "RunnerPool acme/p : quiet");
    let mut trust = |new: bool, old: bool| {
        for (object, trusted) in [(&mut request.object, new), (&mut request.old_object, old)] {
            let Some(Facts::RunnerPool(pool)) = object.as_mut().map(|object| &mut object.facts)
            else {
                panic!("a pool")
            };
            pool.trusted = trusted;
        }
        spoken(&told(&request, &view, &with_agents()))
    };
    assert_eq!(trust(false, true), ["PF-RBAC-004 $.spec.serviceAccountRef"]);
    assert!(trust(true, true).is_empty() && trust(true, false).is_empty());
    assert!(trust(false, false).is_empty());
}

#[test]
fn an_exception_of_a_binding_holds_for_whom_it_names() {
    let mut policy = with_agents();
    let names = vec![Pattern::name_glob("held").expect("a glob")];
    policy.exceptions.push(Exception {
        rules: [RuleId::RBAC_CEILING].into(),
        applies: ObjectMatch { names, ..ObjectMatch::default() },
        until: None,
        owner: "o".into(),
        reason: "r".into(),
    });
    let record =
        facts("root system:masters", Create, "AgentServiceAccount acme/q : acme quiet", "");
    assert!(told(&record, &cluster(CLUSTER), &policy).raw.is_empty());
    let record = facts("root system:masters", Create, "AgentServiceAccount acme/f : acme far", "");
    assert_eq!(told(&record, &cluster(CLUSTER), &policy).raw.len(), 1);
}

fn role(kind: &str, namespace: &str, name: &str) -> Question {
    Question::Object(ObjectKey::new(RBAC_GROUP, kind, namespace, name))
}

/// What passes is borne out by the roles as they are now, what is denied could be changed by them, and what reaches no agent asks nothing.
#[test]
fn questions() {
    let view = cluster(CLUSTER);
    let policy = with_agents();
    let ask = |line: &str| {
        let found = judge_with(&facts("root system:masters", Create, line, ""), &view, &policy);
        (found.questions, found.confirmations)
    };
    let view_role = role("ClusterRole", "", "view");
    let (asked, confirmed) = ask("RoleBinding acme/x : ClusterRole/view to ServiceAccount/coder");
    assert_eq!((asked, confirmed), (vec![], vec![view_role]));
    let (asked, confirmed) = ask("RoleBinding acme/x : ClusterRole/view to User/a");
    assert_eq!((asked, confirmed), (vec![], vec![]));
    let both = vec![role("ClusterRole", "", "lagging"), role("ClusterRole", "", "fresh")];
    let (asked, _) = ask("RoleBinding acme/x : ClusterRole/lagging to ServiceAccount/coder");
    assert_eq!(asked, both);
    let (asked, _) = ask("RoleBinding acme/x : Role/absent to ServiceAccount/coder");
    assert_eq!(asked, [role("Role", "acme", "absent")]);
    let (asked, confirmed) = ask("AgentServiceAccount acme/d : acme dangling");
    assert_eq!((asked, confirmed), (vec![], vec![role("ClusterRole", "", "absent")]));
}

/// Live forms win: of the role, of what it takes in, and of the binding that a new identity has.
#[test]
fn what_was_read_live_counts() {
    let view = cluster(CLUSTER);
    let policy = with_agents();
    let judged = |line: &str, live: &[(ObjectKey, Option<Object>)]| {
        let mut request = facts("root system:masters", Create, line, "");
        request.answers.objects = live.to_vec();
        let found = judge_with(&request, &view, &policy);
        let asks = !found.confirmations.is_empty();
        (found.raw.iter().any(|raw| raw.rule == RuleId::RBAC_CEILING), asks)
    };
    let now = |line: &str| {
        let object = object(line);
        (object.key.clone(), Some(object))
    };
    let binding = "RoleBinding acme/x : ClusterRole/view to ServiceAccount/coder";
    assert_eq!(judged(binding, &[now("ClusterRole view : resources=pods")]), (false, false));
    assert!(judged(binding, &[now("ClusterRole view : resources=secrets")]).0);
    let binding = "RoleBinding acme/x : ClusterRole/lagging to ServiceAccount/coder";
    let gone = (object("ClusterRole fresh :").key, None);
    assert!(!judged(binding, &[gone]).0, "what it took in is gone");
    let moved = now("ClusterRole fresh labels=a:b : verbs=list resources=secrets");
    assert!(!judged(binding, &[moved]).0, "what it took in has another label");
    let fewer = now("ClusterRole fresh labels=to-lagging:yes : resources=pods");
    assert!(!judged(binding, &[fewer]).0);
    let binding = "RoleBinding acme/x : ClusterRole/edit to ServiceAccount/coder";
    let record = "AgentServiceAccount acme/q : acme quiet";
    assert!(judged(record, &[]).0);
    assert!(!judged(record, &[(object("RoleBinding acme/held : ClusterRole/x to").key, None)]).0);
    assert!(judged(binding, &[]).0);
}

#[test]
fn messages() {
    let view = cluster(CLUSTER);
    let say = |line: &str| {
        let found = told(&facts("x system:masters", Create, line, ""), &view, &with_agents());
        found.raw.into_iter().map(|raw| format!("{}; {}", raw.message, raw.remedy)).next()
    };
    let cases = [
        (
            "RoleBinding acme/x : ClusterRole/lagging to Group/system:serviceaccounts:acme",
            "ServiceAccount `acme/coder` (named by AgentServiceAccount `acme/coder`) would hold `list` on `secrets` in namespace `acme` through Group `system:serviceaccounts:acme`, ClusterRole `lagging`, which takes in ClusterRole `fresh`; the built-in ceiling denies it; give the agent a role without `list` on `secrets`",
        ),
        (
            "ClusterRoleBinding x : ClusterRole/cluster-admin to ServiceAccount/acme/bot-1",
            "ServiceAccount `acme/bot-1` (named by `agents.serviceAccounts`) would hold `*` on `*.*`, `*` on URL `*` cluster-wide through ClusterRole `cluster-admin`; the built-in ceiling denies it; give the agent a role without `*` on `*.*`, `*` on URL `*`",
        ),
        (
            "AgentServiceAccount acme/f : acme far",
            "ServiceAccount `acme/far` (named by this AgentServiceAccount) would hold `create` on `pods/exec` cluster-wide through User `system:serviceaccount:acme:far`, ClusterRoleBinding `far`, ClusterRole `edit`, which takes in ClusterRole `part`; the built-in ceiling denies it; take it out of ClusterRoleBinding `far` first",
        ),
        (
            "Namespace beta labels=krate.a5c.ai/org:acme",
            "agent-stack `a` would hold `list` on `secrets` in namespace `beta` through AgentRoleBinding `acme/everywhere`, Role `mixed`; the built-in ceiling denies it; give the agent a role without `list` on `secrets`",
        ),
        (
            "RoleBinding acme/x : ClusterRole/absent to ServiceAccount/coder",
            "cannot tell whether ServiceAccount `acme/coder` (named by AgentServiceAccount `acme/coder`) stays below its ceiling: there is no ClusterRole `absent`; create the role first, then bind it",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(say(line).as_deref(), Some(expected), "{line}");
    }
    let binding = "RoleBinding beta/x : ClusterRole/configmaps to ServiceAccount/acme/coder";
    let view = cluster(&format!("{CLUSTER}\nClusterRole configmaps : resources=configmaps"));
    let found = told(&facts("x", Create, binding, ""), &view, &with_ceilings());
    let text = "would hold `get` on `configmaps` named `key` in namespace `beta` through ClusterRole `configmaps`; ceiling `strict` (deny[0]: `get` on `configmaps` named `key`) denies it";
    assert!(found.raw[0].message.ends_with(text), "{}", found.raw[0].message);
}

/// However many bindings only PF-RBAC-007 is about, the one that is beyond the ceiling is told.
#[test]
fn what_is_dangerous_does_not_hide_what_is_beyond() {
    let mut text = CLUSTER.to_owned();
    for number in 0..6 {
        text += &format!(
            "\nRoleBinding acme/d{number} : ClusterRole/secrets to ServiceAccount/acme/many"
        );
        text += &format!(
            "\nAgentRoleBinding acme/d{number} : org=many scope=organization subject=agent-stack/a role=ClusterRole/secrets"
        );
        text +=
            &format!("\nRoleBinding acme/g{number} : ClusterRole/grows to ServiceAccount/coder");
    }
    text += "
        ClusterRole grows : resources=pods
        ClusterRole deletes : verbs=delete resources=pods
        RoleBinding acme/last : ClusterRole/deletes to Group/system:serviceaccounts:acme
        RoleBinding beta/last : ClusterRole/grows to ServiceAccount/acme/coder
        AgentRoleBinding acme/last : org=many scope=organization subject=agent-stack/a role=ClusterRole/deletes";
    let mut policy = with_ceilings();
    policy.rbac.ceilings[0].deny = rules("verbs=get resources=secrets");
    let (create, update) = (Create, Update);
    let cases = [
        (create, "AgentServiceAccount acme/m : acme many", ""),
        (create, "Namespace delta labels=krate.a5c.ai/org:many", ""),
        (update, "ClusterRole grows : resources=secrets", "ClusterRole grows : resources=pods"),
    ];
    for (operation, new, old) in cases {
        let request = facts("root system:masters", operation, new, old);
        let found = spoken(&judge_with(&request, &cluster(&text), &policy));
        let refused = |line: &&String| !line.starts_with("PF-RBAC-007");
        assert_eq!(found.iter().filter(refused).count(), 1, "{new}: {found:?}");
        assert!(found.len() < 6, "{new}: {found:?}");
    }
}
