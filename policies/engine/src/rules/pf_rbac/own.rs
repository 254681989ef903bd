//! PF-RBAC-008: what is Pinfold's own is changed by its administrators alone, and no agent identity may impersonate.
//!
//! Its own are its namespace, its kinds, its role and binding, the label that guards a namespace, and what objects say in labels and annotations
//! of `pinfold.dev`. Deletions and connections are judged too. Nobody is let through by a label or annotation.

use pinfold_model::facts::Operation;
use pinfold_model::finding::RuleId;
use pinfold_model::object::rbac::{Binding, Subject};
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::snapshot::{RBAC_GROUP, SubjectKey, subject_key};

use super::deputy::{Principal, is_agent};
use super::gate::OWN_GROUP;
use super::{agent_binding_subjects, own_control_plane, own_impersonation, own_marks, place_of};
use crate::context::{Context, Found};
use crate::rbac::agents::{NAMESPACE_GROUP, account_of_user};
use crate::rbac::describe::excerpt;

pub(super) const RULE: RuleId = RuleId::RBAC_OWN;
/// The namespace that Pinfold runs in.
pub(super) const NAMESPACE: &str = "pinfold-system";
/// Its ServiceAccount, its ClusterRole and its ClusterRoleBinding.
const WEBHOOK: &str = "pinfold-webhook";
/// Its webhook configurations.
const REGISTRATION: &str = "pinfold";
/// Ends the remedies.
pub(super) const REMEDY: &str =
    "have a platform administrator (`organizations.platformAdmins`) do it";

/// Something of Pinfold's own that a request touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) path: String,
    /// To stand after "this".
    pub(super) what: String,
}

impl Touch {
    pub(super) fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }
}

/// Judges any request.
pub(super) fn judge(context: &Context<'_>, principal: &Principal<'_>, found: &mut Found) {
    own_impersonation::judge(context, found);
    let objects = objects(context);
    let marks = own_marks::judge(context, found);
    if objects.is_empty() && marks.is_empty() {
        return;
    }
    if *principal == Principal::Unknown {
        found.undecided(RULE);
        return;
    }
    let may = administers(context, principal);
    let at_work = own_control_plane::is_at_work(context);
    let refused = objects.into_iter().filter(|_| !may && !at_work);
    let marks = marks.into_iter().filter(|_| !may);
    for Touch { path, what } in refused.chain(marks) {
        let message = format!("this {what}, and {} is no platform administrator", who(context));
        found.add(RULE, path, message, REMEDY);
    }
}

/// Whether the request is an administrator's, or Pinfold's own. An agent identity is neither.
fn administers(context: &Context<'_>, principal: &Principal<'_>) -> bool {
    let Some(requester) = &context.facts.requester else { return false };
    let own = requester.service_account() == Some((NAMESPACE, WEBHOOK));
    own || (principal.administers(context) && !is_agent(context, requester))
}

fn who(context: &Context<'_>) -> String {
    let requester = context.facts.requester.as_ref();
    let name = requester.map(|requester| excerpt(&requester.name)).unwrap_or_default();
    let agent = requester.is_some_and(|requester| is_agent(context, requester));
    if agent { format!("`{name}`, an agent identity,") } else { format!("`{name}`") }
}

/// What of Pinfold's objects a request touches.
fn objects(context: &Context<'_>) -> Vec<Touch> {
    let facts = context.facts;
    let target = &facts.target;
    let mut touched = Vec::new();
    if is_inside(target) {
        let what = format!("{} `{}` in Pinfold's namespace", verb(facts.operation), kind(target));
        touched.push(Touch::new("$", what));
    } else if is_own(target) {
        let what = format!(
            "{} `{}`, which is Pinfold's own",
            verb(facts.operation),
            excerpt(&target.to_string())
        );
        touched.push(Touch::new("$", what));
    }
    if facts.operation.is_write() {
        touched.extend(guards(context));
        if touched.is_empty() {
            touched.extend(rights(context));
        }
    }
    touched
}

/// Events tell about objects and are read by no rule; anybody's components write them.
fn is_inside(target: &ObjectKey) -> bool {
    let event = matches!(target.group.as_str(), "" | "events.k8s.io") && target.kind == "Event";
    let itself = target.group.is_empty() && target.kind == "Namespace" && target.name == NAMESPACE;
    itself || (target.namespace == NAMESPACE && !event)
}

fn is_own(target: &ObjectKey) -> bool {
    let below = |text: &str| {
        text.strip_suffix(OWN_GROUP).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    match (target.group.as_str(), target.kind.as_str()) {
        (group, _) if below(group) => true,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => below(&target.name),
        (RBAC_GROUP, "ClusterRole" | "ClusterRoleBinding") => target.name == WEBHOOK,
        // The API server asks no webhook about these; `pinfold check` does.
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ) => target.name == REGISTRATION,
        _ => false,
    }
}

fn kind(target: &ObjectKey) -> String {
    let ObjectKey { kind, name, .. } = target;
    if name.is_empty() { excerpt(kind) } else { format!("{}/{}", excerpt(kind), excerpt(name)) }
}

fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "makes",
        Operation::Update => "changes",
        Operation::Delete => "deletes",
        Operation::Connect => "connects to",
    }
}

/// The labels that guard a namespace, by any subresource.
fn guards(context: &Context<'_>) -> Vec<Touch> {
    let facts = context.facts;
    let Some(object) = &facts.object else { return Vec::new() };
    if (facts.target.group.as_str(), facts.target.kind.as_str()) != ("", "Namespace") {
        return Vec::new();
    }
    let label = |object: &Object, key: &String| object.meta.labels.get(key).cloned();
    let keys = context.policy.agents.namespace_labels.iter().map(|(key, _)| key);
    keys.filter_map(|key| {
        let before = facts.old_object.as_ref().and_then(|old| label(old, key));
        let after = label(object, key);
        let what = match (&before, &after) {
            _ if before == after => return None,
            (_, Some(value)) => format!(
                "sets label `{}` to `{}`, which says whether agents are guarded here",
                excerpt(key),
                excerpt(value)
            ),
            (_, None) => {
                format!("takes away label `{}`, by which agents are guarded here", excerpt(key))
            }
        };
        Some(Touch::new(format!("$.metadata.labels['{}']", excerpt(key)), what))
    })
    .collect()
}

/// Rights that Pinfold's account would get, or that others would get of its role.
fn rights(context: &Context<'_>) -> Vec<Touch> {
    let Some(facts) = context.subject_facts() else { return Vec::new() };
    let own = context.facts.target.namespace.as_str();
    let gives = "gives rights to Pinfold's own ServiceAccount";
    if let Facts::Binding(binding) = facts {
        return of_binding(context, binding);
    }
    let Facts::AgentRoleBinding(binding) = facts else { return Vec::new() };
    let stored = context.facts.old_object.as_ref().map(|old| &old.facts);
    let subjects = agent_binding_subjects::subjects(context, own, binding);
    if stored != Some(facts) && subjects.iter().any(|subject| is_account(subject, own)) {
        return vec![Touch::new("$.spec.subject", gives)];
    }
    Vec::new()
}

fn of_binding(context: &Context<'_>, binding: &Binding) -> Vec<Touch> {
    let place = place_of(context.facts);
    let stored = context.facts.old_object.as_ref().map(|old| &old.facts);
    let old = if let Some(Facts::Binding(old)) = stored { Some(old) } else { None };
    let is_new = |subject: &Subject| {
        old.is_none_or(|old| old.role_ref != binding.role_ref || !old.subjects.contains(subject))
    };
    let subjects = binding.subjects.iter().enumerate().filter(|(_, subject)| is_new(subject));
    let mut touched = Vec::new();
    let own_role = binding.role_ref.kind == "ClusterRole" && binding.role_ref.name == WEBHOOK;
    for (index, subject) in subjects {
        let path = format!("$.subjects[{index}]");
        if is_account(subject, place) {
            touched.push(Touch::new(path, "gives rights to Pinfold's own ServiceAccount"));
        } else if own_role {
            touched.push(Touch::new(path, "gives the rights of Pinfold's own role to others"));
        }
    }
    touched
}

/// Whether a subject is Pinfold's account, in any spelling that means it in particular.
fn is_account(subject: &Subject, place: &str) -> bool {
    match subject_key(subject, place) {
        Some(SubjectKey::ServiceAccount(namespace, name)) => {
            namespace == NAMESPACE && name == WEBHOOK
        }
        Some(SubjectKey::User(user)) => account_of_user(&user) == Some((NAMESPACE, WEBHOOK)),
        Some(SubjectKey::Group(group)) => group.strip_prefix(NAMESPACE_GROUP) == Some(NAMESPACE),
        None => false,
    }
}
