//! Rules and clusters in a few words, for tables of cases.

use std::collections::BTreeMap;

use pinfold_model::facts::Requester;
use pinfold_model::object::agent::{
    AgentServiceAccount, AgentStack, Approval, OrganizationRecord, RunnerPool, Ties,
};
use pinfold_model::object::rbac::{
    AgentRoleBinding, Binding, LabelSelector, PolicyRule, Role, RoleRef, Subject,
};
use pinfold_model::object::{Facts, Meta, Object, ObjectKey};
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot};

/// Rules from `verbs=get,list groups=,apps resources=pods names=a urls=/x; ...`. Without `verbs`, `get`; without `groups`, the core
/// group if there are resources; `-` is the empty list, and an empty value the list of the empty text. An empty line is no rule.
pub(crate) fn rules(line: &str) -> Vec<PolicyRule> {
    line.split(';').map(str::trim).filter(|rule| !rule.is_empty()).map(rule).collect()
}

fn rule(line: &str) -> PolicyRule {
    let words = Words::of(line, &["verbs", "groups", "resources", "names", "urls"]);
    let list = |name: &str| {
        words.get(name).map(|value| match value {
            "-" => Vec::new(),
            value => value.split(',').map(str::to_owned).collect(),
        })
    };
    let resources = list("resources");
    let core = resources.as_ref().map(|_| vec![String::new()]);
    PolicyRule {
        verbs: list("verbs").unwrap_or_else(|| vec!["get".to_owned()]),
        api_groups: list("groups").or(core).unwrap_or_default(),
        resources: resources.unwrap_or_default(),
        resource_names: list("names").unwrap_or_default(),
        non_resource_urls: list("urls").unwrap_or_default(),
    }
}

/// `key=value` words.
struct Words<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Words<'t> {
    fn of(line: &'t str, known: &[&str]) -> Self {
        let word = |word: &'t str| {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            assert!(known.contains(&key), "`{word}` in `{line}`");
            (key, value)
        };
        Self(line.split_whitespace().map(word).collect())
    }

    fn get(&self, key: &str) -> Option<&'t str> {
        self.0.iter().find(|(own, _)| *own == key).map(|(_, value)| *value)
    }

    fn text(&self, key: &str) -> String {
        self.get(key).unwrap_or_default().to_owned()
    }
}

/// A view of the objects of some lines, each as [`object`] reads it.
pub(crate) fn cluster(text: &str) -> Snapshot {
    Snapshot::of(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(object))
}

/// An object from `KIND [NAMESPACE/]NAME [labels=A:B] [annotations=A:B] [uid=U] [owner=O] [aggregates=A:B] : BODY`.
pub(crate) fn object(line: &str) -> Object {
    let (head, body) = line.split_once(" :").unwrap_or((line, ""));
    let (kind, rest) = head.trim().split_once(' ').expect("kind and name");
    let (place, extras) = rest.split_once(' ').unwrap_or((rest, ""));
    let (namespace, name) = place.split_once('/').unwrap_or(("", place));
    let extras = Words::of(extras, &["labels", "annotations", "uid", "owner", "aggregates"]);
    let group = match kind {
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => RBAC_GROUP,
        "Namespace" | "ServiceAccount" => "",
        _ => "krate.a5c.ai",
    };
    let owner = |name: &str| pinfold_model::object::meta::Owner {
        group: String::new(),
        kind: "ConfigMap".into(),
        name: name.into(),
        uid: "u".into(),
        controller: false,
    };
    let meta = Meta {
        uid: extras.text("uid"),
        labels: pairs(extras.get("labels")),
        annotations: pairs(extras.get("annotations")),
        owners: extras.get("owner").map(owner).into_iter().collect(),
        ..Meta::default()
    };
    let facts = facts(kind, body.trim(), extras.get("aggregates"));
    Object { key: ObjectKey::new(group, kind, namespace, name), meta, facts }
}

fn pairs(text: Option<&str>) -> BTreeMap<String, String> {
    let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    text.and_then(|text| text.split_once(':')).map(pair).into_iter().collect()
}

fn facts(kind: &str, body: &str, aggregates: Option<&str>) -> Facts {
    match kind {
        "Role" | "ClusterRole" => {
            let selector = |text: &str| LabelSelector {
                match_labels: pairs(Some(text)).into_iter().collect(),
                match_expressions: Vec::new(),
            };
            let aggregation = aggregates.map(|text| {
                text.split(',').filter(|text| !text.is_empty()).map(selector).collect()
            });
            Facts::Role(Role { rules: rules(body).into(), aggregation })
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            let (role, subjects) = body.split_once(" to").expect("ROLE to SUBJECTS");
            let subjects = subjects.split_whitespace().map(subject).collect();
            Facts::Binding(Binding { role_ref: role_ref(role).into(), subjects })
        }
        "AgentRoleBinding" => Facts::AgentRoleBinding(Box::new(agent_binding(body))),
        "Organization" => Facts::Organization(Box::new(OrganizationRecord::Organization {
            namespace: body.to_owned(),
        })),
        "OrgNamespaceBinding" => {
            let (organization, namespace) = body.split_once(' ').expect("organization, namespace");
            Facts::Organization(Box::new(OrganizationRecord::NamespaceBinding {
                organization: organization.to_owned(),
                namespace: namespace.to_owned(),
            }))
        }
        "OrgSharingPolicy" => {
            let mut words = body.split(' ').map(str::to_owned);
            Facts::Organization(Box::new(OrganizationRecord::Sharing {
                source: words.next().expect("who shares"),
                target: words.next().expect("with whom"),
                allowed: words.collect(),
                expires_at: None,
                faults: Vec::new(),
            }))
        }
        "AgentApproval" => {
            let words =
                Words::of(body, &["phase", "approver", "requested", "target", "digest", "ends"]);
            Facts::Approval(Box::new(Approval {
                phase: words.text("phase"),
                approver: words.text("approver"),
                requested_by: words.text("requested"),
                action: "bind".into(),
                target: words.text("target"),
                digests: words.get("digest").map(str::to_owned).into_iter().collect(),
                expires_at: words.get("ends").map(|end| end.parse().expect("a time")),
                ..Approval::default()
            }))
        }
        // An account's `NAMESPACE NAME`; a stack's and a pool's `[NAMESPACE/]NAME`, the pool an untrusted one.
        "AgentServiceAccount" => {
            let (namespace, account) = body.split_once(' ').expect("namespace, account");
            Facts::AgentServiceAccount(Box::new(AgentServiceAccount {
                namespace: namespace.to_owned(),
                service_account: account.to_owned(),
                ..AgentServiceAccount::default()
            }))
        }
        "AgentStack" => Facts::AgentStack(Box::new(AgentStack {
            service_account: body.to_owned(),
            ..AgentStack::default()
        })),
        "RunnerPool" => Facts::RunnerPool(Box::new(RunnerPool {
            service_account: body.to_owned(),
            ..RunnerPool::default()
        })),
        _ => Facts::MetaOnly,
    }
}

/// `KIND/NAME`, or `GROUP!KIND/NAME`.
fn role_ref(text: &str) -> RoleRef {
    let (group, rest) = text.split_once('!').unwrap_or((RBAC_GROUP, text));
    let (kind, name) = rest.split_once('/').expect("KIND/NAME");
    RoleRef { api_group: group.into(), kind: kind.into(), name: name.into() }
}

/// `User/NAME`, `Group/NAME`, `ServiceAccount/[NAMESPACE/]NAME`.
fn subject(text: &str) -> Subject {
    let (kind, rest) = text.split_once('/').expect("KIND/NAME");
    let (namespace, name) = match kind {
        "ServiceAccount" => rest.split_once('/').unwrap_or(("", rest)),
        _ => ("", rest),
    };
    let api_group = if kind == "ServiceAccount" { "" } else { RBAC_GROUP };
    Subject {
        kind: kind.into(),
        api_group: api_group.into(),
        namespace: namespace.into(),
        name: name.into(),
    }
}

/// `scope=KIND/NAME subject=KIND/NAME account=[NAMESPACE/]NAME role=KIND/NAME policy=P org=O | RULES`.
fn agent_binding(body: &str) -> AgentRoleBinding {
    let (words, resource_rules) = body.split_once('|').unwrap_or((body, ""));
    let words = Words::of(words, &["scope", "subject", "account", "role", "policy", "org"]);
    let (scope_kind, scope_name) = halves(words.get("scope").unwrap_or("namespace"));
    let (subject_kind, subject_name) = halves(words.get("subject").unwrap_or("agent-stack/fixer"));
    let account = words.get("account").unwrap_or_default();
    let (namespace, account) = account.split_once('/').unwrap_or(("", account));
    AgentRoleBinding {
        ties: Ties { organization: words.text("org"), references: Vec::new() },
        subject_kind,
        subject_name,
        service_account: account.to_owned(),
        service_account_namespace: namespace.to_owned(),
        scope_kind,
        scope_name,
        role_ref: words.get("role").map(role_ref),
        resource_rules: rules(resource_rules).into(),
        escalation_policy: words.text("policy"),
    }
}

fn halves(text: &str) -> (String, String) {
    let (kind, name) = text.split_once('/').unwrap_or((text, ""));
    (kind.to_owned(), name.to_owned())
}

/// A requester from `NAME GROUP...`.
pub(crate) fn requester(text: &str) -> Requester {
    let mut words = text.split(' ').map(str::to_owned);
    Requester {
        name: words.next().expect("a name"),
        groups: words.collect(),
        ..Requester::default()
    }
}
