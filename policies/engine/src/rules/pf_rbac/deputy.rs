//! For whom a request is made: the requester, or whom a deputy (`rbac.deputies`) acts for.
//!
//! Rules judge whom a change is made for; a deputy's own rights never count. What a deputy says and can't be borne out is refused; it never
//! falls back to something milder.

use std::collections::BTreeSet;

use pinfold_model::facts::Requester;
use pinfold_model::finding::RuleId;
use pinfold_model::object::meta::Owner;
use pinfold_model::object::{AGENT_GROUPS, Object};
use pinfold_model::policy::admission::{AdmissionPolicy, Controller};
use pinfold_model::policy::rbac::{Deputy, PrincipalAnnotation};

use crate::context::{Context, Found};
use crate::rbac::agents::{ALL_ACCOUNTS, AUTHENTICATED, Agents, NAMESPACE_GROUP};
use crate::rbac::describe::excerpt;
use crate::rbac::resolver::MASTERS;
use crate::vouch::{GROUP_SEPARATOR, Keys, Person, text, verify};

/// The only user who isn't in [`AUTHENTICATED`].
const ANONYMOUS: &str = "system:anonymous";

/// For whom a request is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal<'a> {
    /// Offline, nobody knows who asks.
    Unknown,
    /// The requester itself.
    Requester(&'a Requester),
    /// Whom a deputy says it acts for, and it can be believed.
    Named(Box<Requester>),
    /// A deputy carries out the AgentRoleBinding that controls the object.
    Owner(&'a Owner),
    /// A deputy acts for nobody in particular.
    Nobody,
    /// A deputy says for whom it acts, and that can't be believed.
    Refused(Refusal),
}

/// Why what a deputy says can't be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    path: String,
    message: String,
    remedy: String,
}

/// For whom the request is made.
pub(crate) fn principal<'a>(context: &Context<'a>) -> Principal<'a> {
    let Some(requester) = &context.facts.requester else { return Principal::Unknown };
    let Some(deputy) = deputy_of(context.policy, requester) else {
        return match is_other(context.policy, requester) {
            true => Principal::Refused(other_account(requester)),
            false => Principal::Requester(requester),
        };
    };
    let says = match by_extra(deputy, requester) {
        Some(says) => Some(says),
        None => by_annotation(context, deputy),
    };
    match says {
        Some(Ok(says)) => named(context.policy, requester, says),
        Some(Err(refusal)) => Principal::Refused(refusal),
        None => by_owner(context, deputy).map_or(Principal::Nobody, Principal::Owner),
    }
}

impl Principal<'_> {
    /// Whose rights count; `None` if nobody's do, or nobody is known.
    pub(crate) fn requester(&self) -> Option<&Requester> {
        match self {
            Self::Requester(requester) => Some(requester),
            Self::Named(requester) => Some(requester),
            Self::Unknown | Self::Owner(_) | Self::Nobody | Self::Refused(_) => None,
        }
    }

    /// Whether it is a platform administrator. An agent identity never is, whatever groups it is in.
    pub(crate) fn administers(&self, context: &Context<'_>) -> bool {
        let Some(requester) = self.requester() else { return false };
        let organizations = &context.policy.organizations;
        let listed = organizations.admin_users.contains(&requester.name)
            || requester.groups.iter().any(|group| organizations.admin_groups.contains(group));
        listed && !is_agent(context, requester)
    }
}

impl Refusal {
    fn new(path: impl Into<String>, message: impl Into<String>, remedy: &str) -> Self {
        Self { path: path.into(), message: message.into(), remedy: remedy.to_owned() }
    }

    pub(crate) fn tell(&self, rule: RuleId, found: &mut Found) {
        found.add(rule, self.path.as_str(), self.message.as_str(), self.remedy.as_str());
    }
}

/// What a deputy says.
struct Says {
    path: String,
    user: String,
    groups: Vec<String>,
    signed: bool,
}

/// Only who may impersonate can set extra keys, or whatever authenticated the deputy.
fn by_extra(deputy: &Deputy, requester: &Requester) -> Option<Result<Says, Refusal>> {
    let (user_key, groups_key) = deputy.extra.as_ref()?;
    let users = requester.extra.get(user_key);
    let groups = groups_key.as_ref().and_then(|key| requester.extra.get(key));
    if users.is_none() && groups.is_none() {
        return None;
    }
    let path = format!("$.userInfo.extra['{}']", excerpt(user_key));
    let groups = groups.cloned().unwrap_or_default();
    Some(match users.map(Vec::as_slice) {
        Some([user]) if !user.is_empty() && !groups.contains(&String::new()) => {
            Ok(Says { path, user: user.clone(), groups, signed: false })
        }
        _ => {
            let message = "cannot tell for whom the deputy acts: expected one user name, and groups with a name";
            Err(Refusal::new(path, message, "have the deputy impersonate with exactly one value"))
        }
    })
}

fn by_annotation(context: &Context<'_>, deputy: &Deputy) -> Option<Result<Says, Refusal>> {
    let names = deputy.annotation.as_ref()?;
    let object = context.facts.object.as_ref()?;
    let text = |key: &String| object.meta.annotations.get(key).map(String::as_str);
    let user = text(&names.user);
    let groups = names.groups.as_ref().and_then(text);
    let signature = names.signed.as_ref().and_then(|(key, _)| text(key));
    if user.is_none() && groups.is_none() && signature.is_none() {
        return None;
    }
    let path = path_of(&names.user);
    let listed: Vec<String> = match groups.unwrap_or_default() {
        "" => Vec::new(),
        groups => groups.split(GROUP_SEPARATOR).map(str::to_owned).collect(),
    };
    let user = user.unwrap_or_default();
    if user.is_empty() || listed.iter().any(|group| group.is_empty() || group.trim() != group) {
        let message = "cannot tell for whom the deputy acts: expected a user name, and groups separated by commas without spaces";
        return Some(Err(Refusal::new(
            path,
            message,
            "write the annotations with `pinfold vouch`",
        )));
    }
    let signed = names.signed.is_some();
    let said = signature_holds(context, names, object, (user, groups.unwrap_or_default()));
    Some(said.map(|()| Says { path, user: user.to_owned(), groups: listed, signed }))
}

/// Whether what is said is signed for this very object, where the policy asks for a signature.
fn signature_holds(
    context: &Context<'_>,
    names: &PrincipalAnnotation,
    object: &Object,
    (user, groups): (&str, &str),
) -> Result<(), Refusal> {
    const REMEDY: &str = "sign the object as it is applied, with `pinfold vouch`";
    let Some((key, public_key)) = &names.signed else { return Ok(()) };
    let refuse = |message: String| Err(Refusal::new(path_of(key), message, REMEDY));
    let who = excerpt(user);
    let Some(signature) = object.meta.annotations.get(key) else {
        return refuse(format!("the deputy says that it acts for `{who}`, which nobody signed"));
    };
    let Some(document) = &context.facts.document else {
        return refuse(format!(
            "cannot tell whether acting for `{who}` is signed: the object could not be read"
        ));
    };
    let keys = Keys { user: &names.user, groups: names.groups.as_deref(), signature: key };
    let signed = text(Person { user, groups }, &context.facts.target, document, keys);
    match signed {
        Ok(text) if verify(public_key, &text, signature) => Ok(()),
        Ok(_) => refuse(format!(
            "the signature for `{who}` is not one of the policy's key over this object as it is now"
        )),
        Err(error) => refuse(format!("cannot tell whether acting for `{who}` is signed: {error}")),
    }
}

fn path_of(annotation: &str) -> String {
    format!("$.metadata.annotations['{}']", excerpt(annotation))
}

/// The AgentRoleBinding that controls the object.
fn by_owner<'a>(context: &Context<'a>, deputy: &Deputy) -> Option<&'a Owner> {
    let owner = context.facts.object.as_ref()?.meta.controller()?;
    let agents = AGENT_GROUPS.contains(&owner.group.as_str()) && owner.kind == "AgentRoleBinding";
    (deputy.owner && agents).then_some(owner)
}

/// Whom a deputy names is judged like anybody; some nobody can be named.
fn named<'a>(policy: &AdmissionPolicy, deputy: &Requester, says: Says) -> Principal<'a> {
    let Says { path, user, groups, signed } = says;
    let masters = groups.iter().any(|group| group == MASTERS);
    let who = excerpt(&deputy.name);
    if masters && !signed {
        let message = format!(
            "deputy `{who}` says that it acts for a member of `{MASTERS}`, which only a signature can say"
        );
        let remedy = "sign it, or name who holds the rights by bindings";
        return Principal::Refused(Refusal::new(path, message, remedy));
    }
    if policy.rbac.deputies.iter().any(|other| is_named(&other.identity, &user)) {
        let message = format!(
            "deputy `{who}` says that it acts for `{}`, which is a deputy itself",
            excerpt(&user)
        );
        return Principal::Refused(Refusal::new(
            path,
            message,
            "name the person who made the change",
        ));
    }
    let groups = with_implied(&user, groups);
    Principal::Named(Box::new(Requester { name: user, groups, ..Requester::default() }))
}

/// The groups that impersonating somebody brings along (apiserver `filters/impersonation`).
fn with_implied(user: &str, groups: Vec<String>) -> Vec<String> {
    let mut all: BTreeSet<String> = groups.into_iter().collect();
    if let Some((namespace, _)) = crate::rbac::agents::account_of_user(user) {
        all.insert(ALL_ACCOUNTS.to_owned());
        all.insert(format!("{NAMESPACE_GROUP}{namespace}"));
    }
    if user != ANONYMOUS {
        all.insert(AUTHENTICATED.to_owned());
    }
    all.into_iter().collect()
}

/// Whether somebody is an agent identity.
pub(super) fn is_agent(context: &Context<'_>, requester: &Requester) -> bool {
    Agents::of(context).is_agent(&requester.name)
}

/// Whether a platform administrator asks, or a deputy for one; `None` if nobody is known to, which is noted: the rule is then undecided.
pub(crate) fn administers(context: &Context<'_>, rule: RuleId, found: &mut Found) -> Option<bool> {
    let principal = principal(context);
    if principal == Principal::Unknown {
        found.undecided(rule);
        return None;
    }
    Some(principal.administers(context))
}

/// The deputy that somebody is.
pub(super) fn deputy_of<'a>(
    policy: &'a AdmissionPolicy,
    requester: &Requester,
) -> Option<&'a Deputy> {
    policy.rbac.deputies.iter().find(|deputy| is(&deputy.identity, requester))
}

/// Whether somebody has a deputy's name and not its uid: what is pinned to be judged as a deputy is not freed by making the account again.
fn is_other(policy: &AdmissionPolicy, requester: &Requester) -> bool {
    policy.rbac.deputies.iter().any(|deputy| is_named(&deputy.identity, &requester.name))
}

fn other_account(requester: &Requester) -> Refusal {
    let message = format!(
        "`{}` is named a deputy with another uid than `{}`, so nobody knows for whom it acts",
        excerpt(&requester.name),
        excerpt(&requester.uid)
    );
    let remedy = "if the ServiceAccount was made again on purpose, give its new uid in the policy's `rbac.deputies`";
    Refusal::new("$.userInfo.uid", message, remedy)
}

/// Whether somebody is an identity of the policy: by name, and by uid where the policy pins one.
fn is(identity: &Controller, requester: &Requester) -> bool {
    let pinned = match identity {
        Controller::User(_) => true,
        Controller::ServiceAccount { uid, .. } => {
            uid.as_ref().is_none_or(|uid| requester.uid == *uid)
        }
    };
    pinned && is_named(identity, &requester.name)
}

fn is_named(identity: &Controller, user: &str) -> bool {
    match identity {
        Controller::User(name) => user == name,
        Controller::ServiceAccount { namespace, name, .. } => {
            crate::rbac::agents::account_of_user(user) == Some((namespace, name))
        }
    }
}
