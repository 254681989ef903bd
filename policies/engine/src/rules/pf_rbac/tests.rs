//! Cases of PF-RBAC: who asks for what in one small cluster, and which rule speaks at which field. Every table looks at one rule.

mod agent_bindings;
mod bindings;
mod ceilings;
mod dangers;
mod deputies;
mod growth;
mod invariant;
mod own;
mod questions;
mod roles;
mod subjects;

use std::collections::{BTreeMap, BTreeSet};

use pinfold_model::digest::Digest;
use pinfold_model::facts::{AdmissionFacts, Answers, Operation};
use pinfold_model::finding::{Mode, RuleId};
use pinfold_model::object::{Change, Object};
use pinfold_model::policy::admission::{
    AdmissionPolicy, Agents, OnUntrusted, Organizations, Trust,
};
use pinfold_model::snapshot::Snapshot;

use crate::context::{Context, Found};
use crate::rbac::notation::{cluster, object, requester};

/// `dev` may view in acme, `lead` may view everywhere, `ops` holds everything, `binder` and `author` may bind and escalate.
const CLUSTER: &str = "
    ClusterRole cluster-admin : verbs=* groups=* resources=*; verbs=* urls=*
    ClusterRole view : verbs=get,list,watch resources=pods,services
    ClusterRole view-secrets : verbs=get,list,watch resources=secrets
    ClusterRole view-one : resources=secrets names=token
    ClusterRole shell : verbs=create resources=pods/exec
    ClusterRole any-shell : verbs=create resources=*/exec
    ClusterRole metrics : urls=/metrics
    ClusterRole resources-only : verbs=* groups=* resources=*
    ClusterRole nothing :
    ClusterRole whole uid=1 aggregates=to-whole:yes : resources=pods
    ClusterRole fresh aggregates=to-fresh:yes :
    ClusterRole part labels=to-fresh:yes : resources=secrets
    Role acme/logs : resources=pods/log
    Role acme/reads : resources=pods
    Role beta/reads : resources=pods
    ClusterRole may-bind-secrets : verbs=bind groups=rbac.authorization.k8s.io resources=clusterroles names=view-secrets,absent
    ClusterRole may-bind-roles : verbs=bind groups=rbac.authorization.k8s.io resources=roles
    ClusterRole may-escalate : verbs=escalate groups=rbac.authorization.k8s.io resources=roles,clusterroles
    ClusterRole may-escalate-named : verbs=escalate groups=rbac.authorization.k8s.io resources=roles names=mine

    RoleBinding acme/dev : ClusterRole/view to User/dev Group/devs ServiceAccount/bot
    RoleBinding acme/dev-gone : ClusterRole/gone to User/lost
    RoleBinding acme/shell : ClusterRole/any-shell to User/dev
    RoleBinding acme/one : ClusterRole/view-one to User/one
    RoleBinding acme/binder : ClusterRole/may-bind-secrets to User/binder
    RoleBinding acme/binder-of-roles : ClusterRole/may-bind-roles to User/binder
    RoleBinding acme/author : ClusterRole/may-escalate to User/author
    RoleBinding acme/named : ClusterRole/may-escalate-named to User/named
    ClusterRoleBinding lead : ClusterRole/view to User/lead
    ClusterRoleBinding ops : ClusterRole/cluster-admin to User/ops Group/operators
    ClusterRoleBinding almost : ClusterRole/resources-only to User/almost
    ClusterRoleBinding everyone : ClusterRole/metrics to Group/system:authenticated
    ClusterRoleBinding wide-binder : ClusterRole/may-bind-secrets to User/wide-binder
    RoleBinding beta/bot : ClusterRole/view to ServiceAccount/acme/bot
    RoleBinding acme/spelled : ClusterRole/shell to User/system:serviceaccount:acme:spelled
    RoleBinding acme/accounts : ClusterRole/shell to Group/system:serviceaccounts:acme

    Namespace acme labels=krate.a5c.ai/org:acme
    Namespace acme-two
    Namespace beta
    Namespace gamma
    Organization acme : acme
    OrgNamespaceBinding second : acme acme-two
    OrgNamespaceBinding third : beta beta
    Namespace delta labels=kradle.a5c.ai/org:labelled
    RoleBinding delta/label : ClusterRole/view to User/label
    Repository acme/web
    Repository beta/api
    Repository gamma/api
    RoleBinding acme-two/dev : ClusterRole/view to User/both
    RoleBinding acme/both : ClusterRole/view to User/both
    RoleBinding gamma/half : ClusterRole/view to User/half
    AgentApproval acme/good : phase=Approved approver=root requested=dev target=AgentRoleBinding/approved
    AgentApproval acme/long : phase=Approved approver=root requested=dev target=AgentRoleBinding/acme/approved-too
    AgentApproval acme/over : phase=Approved approver=root requested=dev target=AgentRoleBinding/over ends=2026-11-21T00:00:00Z
    AgentApproval acme/holds : phase=Approved approver=root requested=dev target=AgentRoleBinding/holds ends=2026-11-21T00:00:01Z
    AgentApproval acme/open : phase=Pending approver=root requested=dev target=AgentRoleBinding/open
    AgentApproval acme/peer : phase=Approved approver=friend requested=dev target=AgentRoleBinding/peer
    AgentApproval acme/self : phase=Approved approver=root requested=root target=AgentRoleBinding/self
    AgentApproval acme/other-kind : phase=Approved approver=root requested=dev target=other-kind
    AgentApproval beta/away : phase=Approved approver=root requested=dev target=AgentRoleBinding/acme/away
";

fn policy() -> AdmissionPolicy {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    AdmissionPolicy {
        digest: Digest::of(b""),
        mode: Mode::Enforce,
        organizations: Organizations {
            namespace_labels: texts(&["krate.a5c.ai/org", "kradle.a5c.ai/org"]),
            admin_groups: BTreeSet::new(),
            admin_users: texts(&["root"]).into_iter().collect(),
            platform_namespaces: BTreeSet::new(),
        },
        agents: Agents { namespace_labels: Vec::new(), service_accounts: Vec::new() },
        trust: Trust {
            controllers: Vec::new(),
            trusted_refs: Vec::new(),
            untrusted_refs: Vec::new(),
            pools: Vec::new(),
            on_untrusted: OnUntrusted::Deny,
            provenance: Vec::new(),
            ..Trust::default()
        },
        rbac: pinfold_model::policy::rbac::Rbac::default(),
        references: Default::default(),
        grants: Default::default(),
        literals: Default::default(),
        inject: Default::default(),
        rules: BTreeMap::new(),
        custom: Vec::new(),
        exceptions: Vec::new(),
    }
}

/// A request about an object; `who` may be empty. POST has no name, an update has.
fn facts(who: &str, operation: Operation, new: &str, old: &str) -> AdmissionFacts {
    let read = |line: &str| -> Option<Object> { (!line.is_empty()).then(|| object(line)) };
    let (new, old) = (read(new), read(old));
    let target = new.as_ref().or(old.as_ref()).expect("an object").key.clone();
    let request_name =
        if operation == Operation::Create { String::new() } else { target.name.clone() };
    AdmissionFacts {
        uid: "request".into(),
        requester: (!who.is_empty()).then(|| requester(who)),
        operation,
        subresource: String::new(),
        target,
        request_name,
        dry_run: false,
        change: changed(new.as_ref(), old.as_ref()),
        object: new,
        old_object: old,
        document: None,
        answers: Answers::default(),
    }
}

/// The notation writes no finalizers, so objects that read the same differ in nothing but what the garbage collector writes.
fn changed(new: Option<&Object>, old: Option<&Object>) -> Change {
    let (Some(new), Some(old)) = (new, old) else { return Change::default() };
    let labels = new.meta.labels == old.meta.labels;
    let same = new.facts == old.facts && labels && new.meta.annotations == old.meta.annotations;
    if same { Change::Garbage } else { Change::Content }
}

/// What the rules about the requester find, PF-RBAC-001 to 003.
fn judge(facts: &AdmissionFacts, view: &Snapshot) -> Found {
    let (policy, mut found) = (policy(), Found::default());
    let context = Context { facts, view, policy: &policy, now: crate::organization::fixture::NOW };
    super::judge_requester(&context, &super::deputy::principal(&context), &mut found);
    found
}

fn judge_with(facts: &AdmissionFacts, view: &Snapshot, policy: &AdmissionPolicy) -> Found {
    let mut found = Found::default();
    let context = Context { facts, view, policy, now: crate::organization::fixture::NOW };
    super::judge(&context, &mut found);
    found
}

/// `RULE PATH` of all findings, in order of path.
fn spoken(found: &Found) -> Vec<String> {
    let mut spoken: Vec<String> =
        found.raw.iter().map(|raw| format!("{} {}", raw.rule, raw.path)).collect();
    spoken.sort();
    spoken
}

/// Judges rows of `CASE / REQUESTER GROUP... / OBJECT / PATH...`, where `OBJECT <- STORED` is an update and `ok` is no finding.
fn check(rule: &RuleId, rows: &str) {
    check_with(rule, rows, &cluster(CLUSTER), &policy());
}

fn check_with(rule: &RuleId, rows: &str, view: &Snapshot, policy: &AdmissionPolicy) {
    for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let cells: Vec<&str> = row.split(" / ").collect();
        let [_, who, objects, paths] = cells.as_slice() else { panic!("row: {row}") };
        let request = match objects.split_once(" <-") {
            Some((new, old)) => facts(who, Operation::Update, new, old.trim()),
            None => facts(who, Operation::Create, objects, ""),
        };
        let found = judge_with(&request, view, policy);
        let paths = paths.split(' ').filter(|path| *path != "ok");
        let expected: Vec<String> = paths.map(|path| format!("{rule} {path}")).collect();
        let mut spoken = spoken(&found);
        spoken.retain(|line| line.starts_with(rule.as_str()));
        assert_eq!(spoken, expected, "{row}: {:?}", found.raw);
        assert!(!found.undecided.contains(rule), "{row}");
        assert!(found.raw.iter().all(|raw| !raw.message.is_empty() && !raw.remedy.is_empty()));
    }
}

#[test]
fn only_what_gives_is_judged() {
    let view = cluster(CLUSTER);
    let told = |facts: &AdmissionFacts, view| judge_with(facts, view, &policy()).raw;
    let lines = [
        "ClusterRole x : verbs=* groups=* resources=*",
        "ClusterRoleBinding x : ClusterRole/cluster-admin to User/dev",
        "AgentRoleBinding acme/x : scope=cluster role=ClusterRole/cluster-admin",
    ];
    for line in lines {
        for operation in [Operation::Delete, Operation::Connect] {
            assert!(told(&facts("dev", operation, "", line), &view).is_empty(), "{line}");
            assert!(told(&facts("dev", operation, line, ""), &view).is_empty(), "{line}");
        }
        assert!(!told(&facts("dev", Operation::Create, line, ""), &view).is_empty(), "{line}");
    }
    assert!(told(&facts("dev", Operation::Create, "Namespace x", ""), &view).is_empty());
}
