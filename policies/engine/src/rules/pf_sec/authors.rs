//! PF-SEC-006: a grant across organizations, or of what its author could not have read.
//!
//! A grant lets agents read a Secret, so whoever writes one must be able to read it themselves; else writing grants would be a way to any
//! Secret. To take back or to narrow is always allowed, also what is wrong: only what a change adds is judged. Agents never write grants.

mod pulls;
mod widening;

use pinfold_model::facts::{AccessQuestion, AdmissionFacts, Operation, Question, Requester};
use pinfold_model::finding::RuleId;
use pinfold_model::object::agent::{Grant, GrantObject};
use pinfold_model::object::reference::ReferenceKind;
use pinfold_model::object::{AGENT_GROUPS, Change, Facts, Object};

use crate::context::{Context, Found};
use crate::organization::{Ownership, namespace_key, ownership, shared};
use crate::rbac::agents::Agents;
use crate::rbac::describe::excerpt;
use crate::rbac::resolver::{MASTERS, Resolver};
use crate::rules::pf_rbac::deputy::{Principal, principal};
use crate::trust::standing::{Actor, actor};

const RULE: RuleId = RuleId::SEC_GRANT_AUTHOR;
/// Who removes what is in a namespace that is removed, and what its owner leaves behind. They decide nothing.
const COLLECTORS: [&str; 2] = ["namespace-controller", "generic-garbage-collector"];
/// Where they live.
const SYSTEM: &str = "kube-system";

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let target = &facts.target;
    let kinds = ["AgentSecretGrant", "AgentConfigGrant"];
    let ours = AGENT_GROUPS.contains(&target.group.as_str());
    if ours && target.kind == "AgentServiceAccount" {
        return pulls::judge(context, found);
    }
    if !ours || !kinds.contains(&target.kind.as_str()) {
        return;
    }
    match facts.operation {
        Operation::Create | Operation::Update => judge_write(context, found),
        Operation::Delete => judge_removal(context, found),
        Operation::Connect => {}
    }
}

fn grant_of(object: Option<&Object>) -> Option<&Grant> {
    let Facts::Grant(grant) = &object?.facts else { return None };
    Some(grant)
}

fn judge_write(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(new) = grant_of(facts.object.as_ref()) else { return };
    let old = grant_of(facts.old_object.as_ref()).filter(|_| facts.operation == Operation::Update);
    if old.is_some() && (facts.change == Change::Garbage || old == Some(new)) {
        return;
    }
    if refuses_agent(context, found) || refuses_length(old, new, found) {
        return;
    }
    let controller = facts
        .requester
        .as_ref()
        .is_some_and(|requester| actor(context, requester) == Actor::Controller);
    let adds = match old {
        None => !new.denies,
        Some(old) => widening::widens(old, new, controller),
    };
    if !adds {
        return;
    }
    for fault in &new.faults {
        let message = format!("cannot tell what this grants: {fault}");
        found.add(
            RULE,
            "$.spec",
            message,
            "correct the field; a grant with one that can't be read grants nothing",
        );
    }
    judge_object(context, &new.object, found);
    judge_subject(context, new, found);
    judge_author(context, (&new.object, path_of(new.object.kind)), "grant", found);
    if let Some(old) = old.filter(|old| old.denies && old.object != new.object) {
        judge_author(context, (&old.object, path_of(old.object.kind)), "no longer deny", found);
    }
}

/// A denial too may be no longer than can be read at every decision. What was too long before may be revoked.
fn refuses_length(old: Option<&Grant>, new: &Grant, found: &mut Found) -> bool {
    let before: Vec<&str> = old.into_iter().flat_map(widening::too_long).collect();
    let mut refused = false;
    for field in widening::too_long(new).filter(|field| !new.revoked || !before.contains(field)) {
        let message = format!("`{field}` has more than {} entries", widening::LIST_MAX);
        found.add(RULE, format!("$.spec.{field}"), message, "write several grants");
        refused = true;
    }
    refused
}

/// Taking a denial away gives what it denied.
fn judge_removal(context: &Context<'_>, found: &mut Found) {
    let denial = grant_of(context.facts.old_object.as_ref()).filter(|grant| grant.denies);
    let Some(denial) = denial.filter(|_| !is_collector(context.facts)) else { return };
    if !refuses_agent(context, found) {
        judge_author(
            context,
            (&denial.object, path_of(denial.object.kind)),
            "no longer deny",
            found,
        );
    }
}

fn is_collector(facts: &AdmissionFacts) -> bool {
    let account = facts.requester.as_ref().and_then(Requester::service_account);
    account.is_some_and(|(namespace, name)| namespace == SYSTEM && COLLECTORS.contains(&name))
}

/// Agents write no grants, whatever they hold.
fn refuses_agent(context: &Context<'_>, found: &mut Found) -> bool {
    let Some(requester) = &context.facts.requester else { return false };
    let agents = Agents::of(context);
    let account = requester.service_account();
    if account.is_none_or(|(namespace, name)| agents.naming(namespace, name).is_none()) {
        return false;
    }
    let message =
        format!("`{}` is an agent identity, and agents write no grants", excerpt(&requester.name));
    found.add(RULE, "$", message, "have a person who may read the object write it");
    true
}

/// Where the granted object is.
fn place<'p>(context: &'p Context<'_>, object: &'p GrantObject) -> &'p str {
    if object.namespace.is_empty() { &context.facts.target.namespace } else { &object.namespace }
}

fn path_of(kind: ReferenceKind) -> &'static str {
    match kind {
        ReferenceKind::Secret => "$.spec.secretRef",
        ReferenceKind::ConfigMap => "$.spec.configMapRef",
    }
}

/// The granted object must be its own organization's, or shared with it.
fn judge_object(context: &Context<'_>, object: &GrantObject, found: &mut Found) {
    let home = context.facts.target.namespace.as_str();
    let namespace = place(context, object);
    if namespace == home {
        return;
    }
    let (own, owner) = (ownership(context, home), ownership(context, namespace));
    let GrantObject { kind, name, .. } = object;
    let fits = match (&own, &owner) {
        (Ownership::Platform, _) | (Ownership::Unowned, Ownership::Unowned) => true,
        (Ownership::Owned(to), Ownership::Owned(from)) => {
            from == to || shared(context, from, to, &format!("{kind}/{namespace}/{name}"))
        }
        (Ownership::Owned(_) | Ownership::Unowned, _)
        | (Ownership::Conflict(_) | Ownership::Unknown, _) => false,
    };
    if fits {
        return;
    }
    ask_unknown(&[(home, &own), (namespace, &owner)], found);
    let message = format!(
        "{kind} `{}/{}` is granted from namespace `{}`, which {own}; namespace `{}` {owner}",
        excerpt(namespace),
        excerpt(name),
        excerpt(home),
        excerpt(namespace),
    );
    let remedy = "grant an object of the own organization, or have a platform administrator share this one by an OrgSharingPolicy";
    found.add(RULE, format!("{}.namespace", path_of(*kind)), message, remedy);
}

fn ask_unknown(places: &[(&str, &Ownership)], found: &mut Found) {
    for (namespace, owner) in places {
        if matches!(owner, Ownership::Unknown) {
            found.ask(Question::Object(namespace_key(namespace)));
        }
    }
}

/// The subject must be of the grant's own organization.
fn judge_subject(context: &Context<'_>, grant: &Grant, found: &mut Found) {
    let home = context.facts.target.namespace.as_str();
    let own = ownership(context, home);
    let subject = &grant.subject;
    let of = |text: &str| text.split_once('/').map(|(namespace, _)| namespace.to_owned());
    let plain: String = subject.kind.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    // These are no objects of a namespace; a repository's owner is the forge's.
    let global = ["user", "group", "team", "repository", "organization", "org"];
    let in_name = if global.contains(&plain.as_str()) { None } else { of(&subject.name) };
    let named = [
        (Some(subject.namespace.clone()), "namespace"),
        (in_name, "name"),
        (of(&subject.service_account), "serviceAccountRef"),
        (of(&subject.stack), "stackRef"),
    ];
    for (namespace, field) in named {
        let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) else { continue };
        judge_subject_place(context, (home, &own), &namespace, field, found);
    }
    let organization = matches!(plain.as_str(), "organization" | "org") && !subject.name.is_empty();
    if organization && own.organization().is_some_and(|own| own != subject.name) {
        let message = format!(
            "its subject is organization `{}`, and namespace `{}` {own}",
            excerpt(&subject.name),
            excerpt(home)
        );
        found.add(RULE, "$.spec.subject.name", message, "name a subject of the own organization");
    }
}

fn judge_subject_place(
    context: &Context<'_>,
    (home, own): (&str, &Ownership),
    namespace: &str,
    field: &str,
    found: &mut Found,
) {
    if namespace == home || *own == Ownership::Platform {
        return;
    }
    let owner = ownership(context, namespace);
    let same = own.organization().is_some() && own.organization() == owner.organization();
    if same || (*own == Ownership::Unowned && owner == Ownership::Unowned) {
        return;
    }
    ask_unknown(&[(home, own), (namespace, &owner)], found);
    let message = format!(
        "its subject is in namespace `{}`, which {owner}; namespace `{}` {own}",
        excerpt(namespace),
        excerpt(home)
    );
    let remedy = "name a subject of the own organization";
    found.add(RULE, format!("$.spec.subject.{field}"), message, remedy);
}

/// Whoever this is for must be able to read the object.
fn judge_author(
    context: &Context<'_>,
    (object, path): (&GrantObject, &str),
    what: &str,
    found: &mut Found,
) {
    let principal = principal(context);
    let (author, behalf) = match &principal {
        Principal::Requester(requester) => (*requester, false),
        Principal::Named(requester) => (requester.as_ref(), true),
        Principal::Unknown => return found.undecided(RULE),
        Principal::Refused(refusal) => return refusal.tell(RULE, found),
        Principal::Owner(_) | Principal::Nobody => {
            let message = format!(
                "a deputy may not {what} this, because it acts for nobody who could read it"
            );
            let remedy = "have the deputy say for whom it acts, or a person write it";
            return found.add(RULE, path, message, remedy);
        }
    };
    let question = question(context, object, author, behalf);
    let answers = &context.facts.answers;
    let resolver = Resolver::new(context.view, answers);
    let held = resolver.held(author, &question.namespace);
    if author.in_group(MASTERS) || held.allow(&question) || answers.granted(&question) {
        return;
    }
    let (who, named) = (excerpt(&author.name), excerpt(&object.name));
    let for_whom = if behalf { ", for whom the deputy acts," } else { "" };
    let message = format!(
        "`{who}`{for_whom} may not `get` {} `{}/{named}`, and so may not {what} it",
        object.kind,
        excerpt(&question.namespace)
    );
    let asked = Question::Access(question);
    if !answers.has(&asked) {
        found.ask(asked);
    }
    found.add(RULE, path, message, "have somebody who may read it write the grant");
}

fn question(
    context: &Context<'_>,
    object: &GrantObject,
    author: &Requester,
    behalf: bool,
) -> AccessQuestion {
    let resource = match object.kind {
        ReferenceKind::Secret => "secrets",
        ReferenceKind::ConfigMap => "configmaps",
    };
    AccessQuestion {
        user: behalf.then(|| Box::new(author.clone())),
        verb: "get",
        group: String::new(),
        resource: resource.to_owned(),
        namespace: place(context, object).to_owned(),
        name: object.name.clone(),
    }
}

#[cfg(test)]
mod tests;
