//! PF-RBAC-006: nobody of another organization or of the platform gets rights in an organization's namespace.
//!
//! Judged is what a change adds: a binding that is wrong already can be repaired and labelled. What can't be told is denied.

use pinfold_model::facts::Question;
use pinfold_model::finding::RuleId;
use pinfold_model::object::Facts;
use pinfold_model::object::agent::OrganizationRecord;
use pinfold_model::object::rbac::{AgentRoleBinding, Binding, Subject};
use pinfold_model::snapshot::{SubjectKey, subject_key};

use super::deputy::Principal;
use super::gate::is_collection_only;
use super::{agent_binding_subjects, place_of, scope};
use crate::context::{Context, Found};
use crate::organization::{Ownership, namespace_key, ownership, shared};
use crate::rbac::agents::{ALL_ACCOUNTS, AUTHENTICATED, NAMESPACE_GROUP, account_of_user};
use crate::rbac::describe::excerpt;

const RULE: RuleId = RuleId::RBAC_SUBJECT;
/// Those who say nothing about themselves; agents of every organization may be among them.
const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Their user name.
const ANONYMOUS: &str = "system:anonymous";
/// How many namespaces of a scope are told.
const MAX_TOLD: usize = 8;
/// Ends the remedies about other organizations.
const SHARE: &str = "bind somebody of the namespace's own organization, or have a platform administrator share the \
                     account with an OrgSharingPolicy";

/// Judges a binding of either kind.
pub(super) fn judge(context: &Context<'_>, principal: &Principal<'_>, found: &mut Found) {
    let Some(facts) = context.subject_facts() else { return };
    if let Facts::Binding(binding) = facts {
        judge_binding(context, principal, binding, found);
    } else if let Facts::AgentRoleBinding(binding) = facts {
        judge_agent_binding(context, principal, binding, found);
    }
}

/// Judges a native binding.
fn judge_binding(
    context: &Context<'_>,
    principal: &Principal<'_>,
    binding: &Binding,
    found: &mut Found,
) {
    let place = place_of(context.facts);
    if place.is_empty() {
        return;
    }
    let stored = context.facts.old_object.as_ref().map(|old| &old.facts);
    let old = if let Some(Facts::Binding(old)) = stored { Some(old) } else { None };
    let old = old.filter(|old| old.role_ref == binding.role_ref).map(|old| old.subjects.as_ref());
    let before: Vec<_> =
        old.unwrap_or_default().iter().filter_map(|subject| party(subject, place)).collect();
    let parties = binding.subjects.iter().enumerate().filter_map(|(index, subject)| {
        Some((format!("$.subjects[{index}]"), party(subject, place)?))
    });
    let added: Vec<_> =
        parties.filter(|(_, party)| !before.contains(party) && !party.is_in(place)).collect();
    if added.is_empty() {
        return;
    }
    let mut judge = Judge { context, principal, found };
    let Some(home) = judge.home(place) else { return };
    for (path, party) in &added {
        judge.judge_party(path, party, &home);
    }
}

/// Judges an AgentRoleBinding: its own organization, that of every namespace of its scope, and that of its subjects.
fn judge_agent_binding(
    context: &Context<'_>,
    principal: &Principal<'_>,
    binding: &AgentRoleBinding,
    found: &mut Found,
) {
    let stored = context.facts.old_object.as_ref().map(|old| &old.facts);
    let same = matches!(stored, Some(Facts::AgentRoleBinding(old)) if **old == *binding);
    if same || is_collection_only(context) {
        return;
    }
    let own = context.facts.target.namespace.as_str();
    let mut judge = Judge { context, principal, found };
    let Some(home) = judge.own_organization(own, binding) else { return };
    // A scope that can't be expanded is PF-RBAC-003's to refuse.
    let places = scope::expand(context, binding).unwrap_or_default();
    judge.judge_places(&home, own, &places);
    for subject in agent_binding_subjects::subjects(context, own, binding) {
        let Some(party) = party(&subject, own) else { continue };
        let Home::Organization(home) = &home else { continue };
        judge.judge_party("$.spec.subject", &party, home);
    }
}

/// Whom a subject means, as far as organizations go: others are people, of whom nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Party {
    /// One ServiceAccount, in either spelling.
    Account(String, String),
    /// All ServiceAccounts of a namespace.
    Accounts(String),
    /// A group that agents of every organization are in.
    Everybody(String),
}

impl Party {
    fn is_in(&self, place: &str) -> bool {
        match self {
            Self::Account(namespace, _) | Self::Accounts(namespace) => namespace == place,
            Self::Everybody(_) => false,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Account(namespace, name) => {
                format!("ServiceAccount `{}/{}`", excerpt(namespace), excerpt(name))
            }
            Self::Accounts(namespace) => {
                format!("every ServiceAccount of namespace `{}`", excerpt(namespace))
            }
            Self::Everybody(group) => format!("group `{group}`"),
        }
    }
}

fn party(subject: &Subject, place: &str) -> Option<Party> {
    match subject_key(subject, place)? {
        SubjectKey::ServiceAccount(namespace, name) => Some(Party::Account(namespace, name)),
        SubjectKey::User(user) if user == ANONYMOUS => Some(Party::Everybody(user)),
        SubjectKey::User(user) => {
            let (namespace, name) = account_of_user(&user)?;
            Some(Party::Account(namespace.to_owned(), name.to_owned()))
        }
        SubjectKey::Group(group) => match group.as_str() {
            ALL_ACCOUNTS | AUTHENTICATED | UNAUTHENTICATED => Some(Party::Everybody(group)),
            group => {
                let namespace = group.strip_prefix(NAMESPACE_GROUP)?;
                Some(Party::Accounts(namespace.to_owned()))
            }
        },
    }
}

/// Whose an AgentRoleBinding is.
enum Home {
    Organization(String),
    /// The platform's, or nobody's.
    None,
}

struct Judge<'j, 'a> {
    context: &'j Context<'a>,
    principal: &'j Principal<'a>,
    found: &'j mut Found,
}

impl Judge<'_, '_> {
    /// The organization that rights in a namespace are of. `None` if it has none, or it can't be told, which is then found.
    fn home(&mut self, place: &str) -> Option<String> {
        match ownership(self.context, place) {
            Ownership::Owned(organization) => Some(organization),
            Ownership::Platform | Ownership::Unowned => None,
            owner @ (Ownership::Conflict(_) | Ownership::Unknown) => {
                self.cannot_tell("$.metadata.namespace", place, &owner);
                None
            }
        }
    }

    fn judge_party(&mut self, path: &str, party: &Party, home: &str) {
        let namespace = match party {
            Party::Account(namespace, _) | Party::Accounts(namespace) => namespace,
            Party::Everybody(group) => return self.judge_everybody(path, group, home),
        };
        let owner = ownership(self.context, namespace);
        match &owner {
            Ownership::Owned(other) if other == home => {}
            Ownership::Owned(other) => {
                if !self.is_shared(party, other, home) {
                    let message = format!(
                        "{} is of organization `{}`, and this gives rights of organization `{}`",
                        party.shown(),
                        excerpt(other),
                        excerpt(home)
                    );
                    self.found.add(RULE, path, message, SHARE);
                }
            }
            Ownership::Platform | Ownership::Unowned => {
                let message = format!(
                    "{} is of no organization (its namespace {owner}), and this gives rights of organization `{}`",
                    party.shown(),
                    excerpt(home)
                );
                self.only_administrators(path, message);
            }
            Ownership::Conflict(_) | Ownership::Unknown => {
                self.cannot_tell(path, namespace, &owner);
            }
        }
    }

    fn is_shared(&self, party: &Party, owner: &str, home: &str) -> bool {
        match party {
            Party::Account(namespace, name) => {
                let reference = format!("ServiceAccount/{namespace}/{name}");
                shared(self.context, owner, home, &reference)
            }
            Party::Accounts(_) | Party::Everybody(_) => false,
        }
    }

    /// A group that everybody is in, so agents of other organizations too, if there are any.
    fn judge_everybody(&mut self, path: &str, group: &str, home: &str) {
        let Some((namespace, who)) = self.stranger(home) else { return };
        let message = format!(
            "`{group}` takes in {who} of namespace `{}`, which isn't known to be of organization `{}`",
            excerpt(&namespace),
            excerpt(home)
        );
        self.found.add(
            RULE,
            path,
            message,
            "name the users, groups or ServiceAccounts that need it",
        );
    }

    /// An agent identity, known or by pattern, whose namespace is another organization's or whose namespace nobody can tell anything of.
    fn stranger(&self, home: &str) -> Option<(String, String)> {
        let strange = |namespace: &str| match ownership(self.context, namespace) {
            Ownership::Owned(other) => other != home,
            Ownership::Conflict(_) | Ownership::Unknown => true,
            Ownership::Platform | Ownership::Unowned => false,
        };
        let known = self.context.view.agents().filter(|(namespace, _)| strange(namespace)).min();
        if let Some((namespace, name)) = known {
            return Some((namespace.to_owned(), format!("agent identity `{}`", excerpt(name))));
        }
        let patterns = &self.context.policy.agents.service_accounts;
        let possible = |namespace: &str| {
            let start = format!("{namespace}/");
            patterns.iter().any(|pattern| pattern.could_begin(&start))
        };
        let namespaces =
            self.context.view.of_kind("Namespace").map(|object| object.key.name.as_str());
        let namespace = namespaces.filter(|name| possible(name) && strange(name)).min()?;
        Some((namespace.to_owned(), "agent identities".to_owned()))
    }

    /// Whose an AgentRoleBinding is; what it says of itself and its namespace must agree.
    fn own_organization(&mut self, own: &str, binding: &AgentRoleBinding) -> Option<Home> {
        let path = "$.spec.organizationRef";
        let says = binding.ties.organization.as_str();
        let owner = if own.is_empty() { Ownership::Unowned } else { ownership(self.context, own) };
        match &owner {
            Ownership::Owned(organization) if says.is_empty() || says == organization => {
                Some(Home::Organization(organization.clone()))
            }
            Ownership::Owned(_) => {
                let message = format!(
                    "organization `{}` is named, and namespace `{}` {owner}",
                    excerpt(says),
                    excerpt(own)
                );
                let remedy =
                    "leave organizationRef out, or apply this in a namespace of that organization";
                self.found.add(RULE, path, message, remedy);
                None
            }
            Ownership::Platform | Ownership::Unowned if says.is_empty() => Some(Home::None),
            Ownership::Platform | Ownership::Unowned => {
                let message = format!(
                    "organization `{}` is named, and namespace `{}` {owner}",
                    excerpt(says),
                    excerpt(own)
                );
                self.only_administrators(path, message);
                Some(Home::Organization(says.to_owned()))
            }
            Ownership::Conflict(_) | Ownership::Unknown => {
                self.cannot_tell("$.metadata.namespace", own, &owner);
                None
            }
        }
    }

    /// The namespaces of a scope must be of the binding's own organization; where it has none, of none.
    fn judge_places(
        &mut self,
        home: &Home,
        own: &str,
        places: &std::collections::BTreeSet<String>,
    ) {
        const PATH: &str = "$.spec.scope";
        let before = self.found.raw.len();
        for place in places.iter().filter(|place| *place != own) {
            if self.found.raw.len().saturating_sub(before) >= MAX_TOLD {
                return;
            }
            if place.is_empty() {
                self.judge_cluster(home);
                continue;
            }
            let owner = ownership(self.context, place);
            let message = match (&owner, home) {
                (Ownership::Owned(theirs), Home::Organization(ours)) if theirs == ours => continue,
                (Ownership::Platform | Ownership::Unowned, Home::None) => continue,
                (Ownership::Unknown, Home::Organization(ours)) if self.is_to_come(place, ours) => {
                    continue;
                }
                (Ownership::Conflict(_) | Ownership::Unknown, _) => {
                    self.cannot_tell(PATH, place, &owner);
                    continue;
                }
                (_, Home::Organization(ours)) => format!(
                    "the scope reaches namespace `{}`, which {owner}, and this is of organization `{}`",
                    excerpt(place),
                    excerpt(ours)
                ),
                (_, Home::None) => format!(
                    "the scope reaches namespace `{}`, which {owner}, and this is of no organization",
                    excerpt(place)
                ),
            };
            match (&owner, home) {
                (Ownership::Owned(_), Home::Organization(_)) => {
                    let remedy = "name a scope within the organization";
                    self.found.add(RULE, PATH, message, remedy);
                }
                _ => self.only_administrators(PATH, message),
            }
        }
    }

    /// Whether a namespace surely isn't there, and all that says whose it will be says that it is ours.
    fn is_to_come(&self, place: &str, ours: &str) -> bool {
        let absent = self.context.facts.answers.live(&namespace_key(place)) == Some(None);
        absent
            && self.context.view.owners_of(place).all(|(key, record)| match record {
                OrganizationRecord::Organization { .. } => key.name == ours,
                OrganizationRecord::NamespaceBinding { organization, .. } => organization == ours,
                OrganizationRecord::Sharing { .. } => true,
            })
    }

    /// Rights in the whole cluster are rights in every organization.
    fn judge_cluster(&mut self, home: &Home) {
        let ours = match home {
            Home::Organization(ours) => Some(ours.as_str()),
            Home::None => None,
        };
        let context = self.context;
        let foreign = |namespace: &&str| match ownership(context, namespace) {
            Ownership::Owned(other) => Some(other.as_str()) != ours,
            Ownership::Conflict(_) => true,
            Ownership::Platform | Ownership::Unowned | Ownership::Unknown => false,
        };
        let namespaces = context.view.of_kind("Namespace").map(|object| object.key.name.as_str());
        let Some(namespace) = namespaces.filter(foreign).min() else { return };
        let owner = ownership(context, namespace);
        let message =
            format!("scope `cluster` reaches namespace `{}`, which {owner}", excerpt(namespace));
        match ours {
            Some(_) => {
                let remedy = "name a scope within the organization";
                self.found.add(RULE, "$.spec.scope", message, remedy);
            }
            None => self.only_administrators("$.spec.scope", message),
        }
    }

    /// What only those may do to whom the platform belongs.
    fn only_administrators(&mut self, path: &str, message: String) {
        if *self.principal == Principal::Unknown {
            self.found.undecided(RULE);
        } else if !self.principal.administers(self.context) {
            let remedy = "have a platform administrator (`organizations.platformAdmins`) apply it";
            self.found.add(RULE, path, message, remedy);
        }
    }

    fn cannot_tell(&mut self, path: &str, namespace: &str, owner: &Ownership) {
        let message = format!(
            "cannot tell whose rights these are: namespace `{}` {owner}",
            excerpt(namespace)
        );
        let remedy = "give the namespace one organization, or name one that exists";
        self.found.add(RULE, path, message, remedy);
        if *owner == Ownership::Unknown {
            let key = namespace_key(namespace);
            if self.context.facts.answers.live(&key).is_none() {
                self.found.ask(Question::Object(key));
            }
        }
    }
}
