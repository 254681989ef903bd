//! The `rbac` section of an AdmissionPolicy: ceilings of agent identities, deputies and the people they act for, role templates.
//!
//! Raw structs as users write them beside the ready ones that rules use. What a name doesn't lead to is an error, never an empty list.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;

use super::admission::Controller;
use super::place::Place;
use super::raw::RawController;
use super::ready_admission::controller;
use super::values::NameGlob;
use crate::document::{DocumentError, nearest};
use crate::object::rbac::PolicyRule;
use crate::pattern::Pattern;

/// Bytes of an Ed25519 public key.
const PUBLIC_KEY_BYTES: usize = 32;

/// The annotation that Pinfold itself stamps work with.
const STAMP: &str = "pinfold.dev/run";

/// What agent identities may never hold, and for whom deputies act.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawRbac {
    /// The ceiling of every namespace that has none of its own; the built-in list of PF-RBAC-007 if left out.
    pub agent_ceiling: Option<String>,
    /// Named ceilings.
    pub ceilings: Vec<RawCeiling>,
    /// Identities that apply what somebody else wrote.
    pub deputies: Vec<RawDeputy>,
    /// Roles that an AgentRoleBinding can name with `roleRef.kind: RoleTemplate`.
    pub role_templates: Vec<RawRoleTemplate>,
}

/// What may never be held.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawCeiling {
    /// Name.
    pub name: String,
    /// Namespaces whose rights it limits, as globs; an empty list: only where `agentCeiling` names it.
    #[serde(default)]
    pub namespaces: Vec<NameGlob>,
    /// What nobody below it may hold any part of.
    pub deny: Vec<RawRights>,
}

/// Rights, as an RBAC rule says them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawRights {
    /// Verbs; `*` is any.
    pub verbs: Vec<String>,
    /// API groups; `""` is the core group.
    pub api_groups: Vec<String>,
    /// Resources.
    pub resources: Vec<String>,
    /// Names; none means all.
    pub resource_names: Vec<String>,
    /// Non-resource URLs.
    #[serde(rename = "nonResourceURLs")]
    pub non_resource_urls: Vec<String>,
}

/// An identity that applies what somebody else wrote, such as a GitOps controller.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawDeputy {
    /// User name.
    pub user: Option<String>,
    /// `namespace/name`.
    pub service_account: Option<String>,
    /// Uid of the ServiceAccount.
    pub uid: Option<String>,
    /// Where it says for whom it acts; without any, the ceiling of the target namespace counts.
    #[serde(default)]
    pub on_behalf_of: RawOnBehalfOf,
}

/// Where a deputy says for whom it acts. What comes first in this order and is there, counts.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawOnBehalfOf {
    /// Keys of `userInfo.extra`, which only somebody who may impersonate can set.
    pub extra: Option<RawPrincipalKeys>,
    /// Annotations of the object.
    pub annotation: Option<RawPrincipalAnnotation>,
    /// Whether an object that an AgentRoleBinding owns passes as far as that binding, judged when it was applied, implies it.
    pub owner: Option<bool>,
}

/// Under which keys the user and the groups are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawPrincipalKeys {
    /// Key of the user name.
    pub user: String,
    /// Key of the groups.
    pub groups: Option<String>,
}

/// Annotations that name the user and, separated by commas, the groups. They count if they are signed, or if the deputy alone sets them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawPrincipalAnnotation {
    /// Key of the user name.
    pub user: String,
    /// Key of the groups.
    pub groups: Option<String>,
    /// Key of the signature.
    pub signature: Option<String>,
    /// Ed25519 public key (32 bytes, base64) of who signs.
    pub public_key: Option<String>,
    /// Says that the deputy overwrites these annotations whatever the file says. Instead of a signature.
    #[serde(default)]
    pub set_by_deputy: bool,
}

/// A role that a controller makes from its own template.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawRoleTemplate {
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it gives.
    pub rules: Vec<RawRights>,
}

/// What agent identities may never hold, and for whom deputies act.
#[derive(Debug, Clone, Default)]
pub struct Rbac {
    /// The name of the ceiling of every namespace that has none of its own; `None` is the built-in one.
    pub agent_ceiling: Option<String>,
    /// Named ceilings.
    pub ceilings: Vec<Ceiling>,
    /// Identities that apply what somebody else wrote.
    pub deputies: Vec<Deputy>,
    /// Role templates by name.
    pub role_templates: BTreeMap<String, RoleTemplate>,
}

/// What may never be held.
#[derive(Debug, Clone)]
pub struct Ceiling {
    /// Name.
    pub name: String,
    /// Namespaces whose rights it limits (the empty name is cluster scope).
    pub namespaces: Vec<Pattern>,
    /// What nobody below it may hold any part of.
    pub deny: Vec<PolicyRule>,
}

/// A role that a controller makes from its own template.
#[derive(Debug, Clone)]
pub struct RoleTemplate {
    /// What it is for, empty if nobody said.
    pub description: String,
    /// What it gives.
    pub rules: Arc<[PolicyRule]>,
}

/// An identity that applies what somebody else wrote.
#[derive(Debug, Clone)]
pub struct Deputy {
    /// Who it is.
    pub identity: Controller,
    /// Keys of `userInfo.extra`: user, groups.
    pub extra: Option<(String, Option<String>)>,
    /// Annotations.
    pub annotation: Option<PrincipalAnnotation>,
    /// Whether owners count.
    pub owner: bool,
}

/// Annotations that say for whom a deputy acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalAnnotation {
    /// Key of the user name.
    pub user: String,
    /// Key of the groups.
    pub groups: Option<String>,
    /// Key of the signature and the Ed25519 public key of who signs; `None`: the deputy alone sets the annotations.
    pub signed: Option<(String, [u8; PUBLIC_KEY_BYTES])>,
}

impl Rbac {
    /// The ceilings of rights in a namespace (empty for cluster scope): all that name it, else the policy's; none is the built-in one. All of them,
    /// because the order of documents may not matter.
    #[must_use]
    pub fn ceiling_of(&self, namespace: &str) -> Vec<&Ceiling> {
        let names = |ceiling: &&Ceiling| {
            ceiling.namespaces.iter().any(|pattern| pattern.matches(namespace))
        };
        let named: Vec<&Ceiling> = self.ceilings.iter().filter(names).collect();
        if !named.is_empty() {
            return named;
        }
        let wanted = self.agent_ceiling.as_ref();
        let of_name = |name: &String| self.ceilings.iter().find(|ceiling| ceiling.name == *name);
        wanted.and_then(of_name).into_iter().collect()
    }

    /// Adds what a document says. `agentCeiling` is a scalar and merged by the caller.
    pub(super) fn add(
        &mut self,
        raw: &RawRbac,
        place: &Place<'_>,
        errors: &mut Vec<DocumentError>,
    ) {
        for (index, item) in raw.ceilings.iter().enumerate() {
            let place = place.field("ceilings").item(index);
            named(&item.name, &place, errors);
            if self.ceilings.iter().any(|ceiling| ceiling.name == item.name) {
                errors.push(place.field("name").error("a ceiling of that name exists"));
            }
            let deny = rights(&item.deny, &place.field("deny"), errors);
            let namespaces = item.namespaces.iter().map(|glob| glob.0.clone()).collect();
            self.ceilings.push(Ceiling { name: item.name.clone(), namespaces, deny });
        }
        for (index, item) in raw.deputies.iter().enumerate() {
            let place = place.field("deputies").item(index);
            let twice = |item: &Deputy| self.deputies.iter().any(|other| same(item, other));
            match deputy(item, &place) {
                Ok(item) if twice(&item) => {
                    errors.push(place.error("this identity is a deputy already; say it once"));
                }
                Ok(item) => self.deputies.push(item),
                Err(error) => errors.push(error),
            }
        }
        for (index, item) in raw.role_templates.iter().enumerate() {
            let place = place.field("roleTemplates").item(index);
            named(&item.name, &place, errors);
            let rules = rights(&item.rules, &place.field("rules"), errors).into();
            let description = item.description.clone().unwrap_or_default();
            let template = RoleTemplate { description, rules };
            if self.role_templates.insert(item.name.clone(), template).is_some() {
                errors.push(place.field("name").error("a role template of that name exists"));
            }
        }
    }

    /// Whether `agentCeiling` names a ceiling.
    pub(super) fn check(&self, place: &Place<'_>, errors: &mut Vec<DocumentError>) {
        let Some(wanted) = &self.agent_ceiling else { return };
        let names = || self.ceilings.iter().map(|ceiling| ceiling.name.as_str());
        if names().any(|name| name == wanted) {
            return;
        }
        let hint = nearest(wanted, names()).map(|near| format!("; did you mean `{near}`?"));
        let hint = hint.unwrap_or_default();
        errors.push(place.error(format!("no ceiling `{wanted}` in `rbac.ceilings`{hint}")));
    }
}

fn rights(
    raw: &[RawRights],
    place: &Place<'_>,
    errors: &mut Vec<DocumentError>,
) -> Vec<PolicyRule> {
    if raw.is_empty() {
        errors.push(place.error("expected at least one rule"));
    }
    for (index, rule) in raw.iter().enumerate() {
        let on_resources = !rule.api_groups.is_empty() && !rule.resources.is_empty();
        let neither = rule.api_groups.is_empty() && rule.resources.is_empty();
        let on_urls = !rule.non_resource_urls.is_empty() && neither;
        if rule.verbs.is_empty() || !(on_resources || on_urls) {
            let message =
                "expected `verbs`, and `apiGroups` with `resources`, or `nonResourceURLs`";
            errors.push(place.item(index).error(message));
        }
    }
    raw.iter().map(RawRights::ready).collect()
}

impl RawRights {
    fn ready(&self) -> PolicyRule {
        PolicyRule {
            verbs: self.verbs.clone(),
            api_groups: self.api_groups.clone(),
            resources: self.resources.clone(),
            resource_names: self.resource_names.clone(),
            non_resource_urls: self.non_resource_urls.clone(),
        }
    }
}

fn named(name: &str, place: &Place<'_>, errors: &mut Vec<DocumentError>) {
    if name.is_empty() {
        errors.push(place.field("name").error("expected a name"));
    }
}

/// Whether two deputies are one identity; what pins one of them to a uid makes them no less so.
fn same(one: &Deputy, other: &Deputy) -> bool {
    match (&one.identity, &other.identity) {
        (Controller::User(one), Controller::User(other)) => one == other,
        (
            Controller::ServiceAccount { namespace, name, .. },
            Controller::ServiceAccount { namespace: other_namespace, name: other_name, .. },
        ) => (namespace, name) == (other_namespace, other_name),
        (Controller::User(user), Controller::ServiceAccount { namespace, name, .. })
        | (Controller::ServiceAccount { namespace, name, .. }, Controller::User(user)) => {
            *user == format!("system:serviceaccount:{namespace}:{name}")
        }
    }
}

fn deputy(raw: &RawDeputy, place: &Place<'_>) -> Result<Deputy, DocumentError> {
    let who = RawController {
        user: raw.user.clone(),
        service_account: raw.service_account.clone(),
        uid: raw.uid.clone(),
    };
    let RawOnBehalfOf { extra, annotation, owner } = &raw.on_behalf_of;
    let behalf = place.field("onBehalfOf");
    if let Some(keys) = extra {
        let (user, groups) = (Some(keys.user.as_str()), keys.groups.as_deref());
        different(&[("user", user), ("groups", groups)], &behalf.field("extra"))?;
    }
    let at = behalf.field("annotation");
    Ok(Deputy {
        identity: controller(&who, place)?,
        extra: extra.as_ref().map(|keys| (keys.user.clone(), keys.groups.clone())),
        annotation: annotation.as_ref().map(|raw| principal(raw, &at)).transpose()?,
        owner: owner.unwrap_or(true),
    })
}

/// Keys that are there, each another one, and none that means something else already.
fn different(keys: &[(&str, Option<&str>)], place: &Place<'_>) -> Result<(), DocumentError> {
    let mut seen: Vec<&str> = Vec::new();
    for (field, key) in keys.iter().filter_map(|(field, key)| Some((field, (*key)?))) {
        if key.is_empty() || key == STAMP {
            return Err(place.field(field).error("expected a key of its own"));
        }
        if seen.contains(&key) {
            return Err(place
                .field(field)
                .error(format!("key `{key}` says something else already")));
        }
        seen.push(key);
    }
    Ok(())
}

fn principal(
    raw: &RawPrincipalAnnotation,
    place: &Place<'_>,
) -> Result<PrincipalAnnotation, DocumentError> {
    let (user, groups) = (Some(raw.user.as_str()), raw.groups.as_deref());
    let keys = [("user", user), ("groups", groups), ("signature", raw.signature.as_deref())];
    different(&keys, place)?;
    let signed = match (&raw.signature, &raw.public_key, raw.set_by_deputy) {
        (Some(signature), Some(key), false) => {
            let bytes = STANDARD.decode(key.trim()).ok().and_then(|key| key.try_into().ok());
            let message = "expected an Ed25519 public key: 32 bytes in base64";
            Some((signature.clone(), bytes.ok_or_else(|| place.field("publicKey").error(message))?))
        }
        (None, None, true) => None,
        _ => {
            let message = "who writes a file could write the annotation: give `signature` with `publicKey`, or say `setByDeputy: true`";
            return Err(place.error(message));
        }
    };
    Ok(PrincipalAnnotation { user: raw.user.clone(), groups: raw.groups.clone(), signed })
}
