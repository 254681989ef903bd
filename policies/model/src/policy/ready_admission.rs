//! Raw AdmissionPolicy documents to one ready policy: joins the lists, refuses scalars that disagree, fills in the defaults.

use std::collections::{BTreeMap, BTreeSet};

use super::admission::{
    AdmissionPolicy, Agents, Controller, CustomRule, Exception, Members, ObjectMatch, OnUntrusted,
    Organizations, Pool, RuleMode, Trust,
};
use super::grants::Grants;
use super::inject::{IMAGE_DEFAULT, Inject, Profile, RawInject, UID_DEFAULT};
use super::literals::Literals;
use super::place::Place;
use super::provenance::Provenance;
use super::raw::{
    RawAdmins, RawAdmission, RawController, RawCustom, RawException, RawMatch, RawPool, RawRule,
    RawRuleMode, RawSelector, RawTrust, TaintEffect,
};
use super::rbac::Rbac;
use super::ready_agent::value_rule;
use super::references::{References, reference};
use crate::digest::Digest;
use crate::document::{DocumentError, nearest};
use crate::finding::{Mode, RuleId};
use crate::object::pod::Toleration;
use crate::pattern::Pattern;

/// Label that names a namespace's organization.
pub(super) const ORGANIZATION_LABEL: &str = "krate.a5c.ai/org";
/// The same label of newer releases of the control plane.
pub(super) const ORGANIZATION_LABEL_NEW: &str = "kradle.a5c.ai/org";
/// Label that guards a namespace.
pub(super) const GUARDED_LABEL: (&str, &str) = ("pinfold.dev/agents", "true");
/// Namespaces of the platform.
pub(super) const PLATFORM_NAMESPACES: [&str; 4] =
    ["kube-system", "kube-public", "kube-node-lease", "pinfold-system"];
/// The scheduler of a pod that names none.
pub(super) const SCHEDULER: &str = "default-scheduler";
/// Who moves nodes where the policy doesn't say: what runs in `kube-system` could do anything anyway.
pub(super) const NODE_MANAGER_GROUP: &str = "system:serviceaccounts:kube-system";
/// The control plane's components that have no ServiceAccount.
pub(super) const NODE_MANAGERS: [&str; 2] =
    ["system:kube-controller-manager", "system:cloud-controller-manager"];
/// Refs that are never trusted.
pub(super) const UNTRUSTED_REFS: [&str; 2] = ["refs/pull/**", "refs/merge-requests/**"];
/// UIDs that the sidecar may have: no system user's, and one that fits every field.
const UIDS: std::ops::RangeInclusive<u32> = 1_000..=2_147_483_647;
/// Prefix of built-in rule ids.
const BUILT_IN_PREFIX: &str = "PF-";

type Errors = Vec<DocumentError>;

/// A scalar that several documents may set, to one value only.
struct Once<'d, T> {
    name: &'static str,
    set: Option<(T, Place<'d>)>,
}

impl<'d, T: PartialEq + Clone> Once<'d, T> {
    fn new(name: &'static str) -> Self {
        Self { name, set: None }
    }

    fn add(&mut self, value: Option<&T>, place: Place<'d>, errors: &mut Errors) {
        let Some(value) = value else { return };
        match &self.set {
            Some((earlier, other)) if earlier != value => {
                let at = other.error("");
                let message = format!(
                    "`{}` is set to another value at {}:{}:{}; keep one of them",
                    self.name, at.file, at.at.line, at.at.column
                );
                errors.push(place.error(message));
            }
            Some(_) => {}
            None => self.set = Some((value.clone(), place)),
        }
    }

    fn or(self, default: impl FnOnce() -> T) -> T {
        self.set.map_or_else(default, |(value, _)| value)
    }
}

/// Collects documents until [`Merge::finish`].
pub(super) struct Merge<'d> {
    mode: Once<'d, Mode>,
    namespace_label: Once<'d, String>,
    selector: Once<'d, BTreeMap<String, String>>,
    on_untrusted: Once<'d, OnUntrusted>,
    agent_ceiling: Once<'d, String>,
    profile: Once<'d, Profile>,
    image: Once<'d, String>,
    uid: Once<'d, u32>,
    admins: Option<RawAdmins>,
    platform_namespaces: Option<BTreeSet<String>>,
    untrusted_refs: Option<Vec<Pattern>>,
    schedulers: Option<Vec<String>>,
    node_managers: Option<Members>,
    policy: AdmissionPolicy,
    /// Ids of the custom rules of all documents, so that the order of files doesn't matter.
    declared: BTreeSet<RuleId>,
}

impl<'d> Merge<'d> {
    pub(super) fn new(digest: Digest) -> Self {
        Self {
            mode: Once::new("mode"),
            namespace_label: Once::new("namespaceLabel"),
            selector: Once::new("namespaceSelector"),
            on_untrusted: Once::new("onUntrusted"),
            agent_ceiling: Once::new("agentCeiling"),
            profile: Once::new("profile"),
            image: Once::new("image"),
            uid: Once::new("uid"),
            admins: None,
            platform_namespaces: None,
            untrusted_refs: None,
            schedulers: None,
            node_managers: None,
            policy: empty(digest),
            declared: BTreeSet::new(),
        }
    }

    /// Makes the custom rules of a document known; comes before any [`Merge::add`].
    pub(super) fn declare(&mut self, raw: &RawAdmission) {
        self.declared.extend(raw.custom.iter().map(|custom| RuleId::custom(&custom.id)));
    }

    pub(super) fn add(&mut self, raw: &RawAdmission, place: &Place<'d>, errors: &mut Errors) {
        self.mode.add(raw.mode.as_ref(), place.field("mode"), errors);
        self.add_organizations(raw, place, errors);
        self.add_trust(raw, &place.field("trust"), errors);
        let rbac = place.field("rbac");
        let ceiling = raw.rbac.agent_ceiling.as_ref();
        self.agent_ceiling.add(ceiling, rbac.field("agentCeiling"), errors);
        self.policy.rbac.add(&raw.rbac, &rbac, errors);
        let agents = raw.agents.service_accounts.iter().map(|glob| glob.0.clone());
        self.policy.agents.service_accounts.extend(agents);
        self.add_references(raw, &place.field("references"), errors);
        self.policy.grants.add(&raw.grants);
        self.policy.literals.add(&raw.literals);
        self.add_inject(&raw.inject, &place.field("inject"), errors);
        for (index, custom) in raw.custom.iter().enumerate() {
            let place = place.field("custom").item(index);
            match self.custom(custom, &place) {
                Ok(rule) => self.policy.custom.push(rule),
                Err(error) => errors.push(error),
            }
        }
        for (index, rule) in raw.rules.iter().enumerate() {
            let place = place.field("rules").item(index);
            if let Err(error) = self.rule(rule, &place) {
                errors.push(error);
            }
        }
        for (index, exception) in raw.exceptions.iter().enumerate() {
            let place = place.field("exceptions").item(index);
            match self.exception(exception, &place) {
                Ok(exception) => self.policy.exceptions.push(exception),
                Err(error) => errors.push(error),
            }
        }
    }

    fn add_organizations(&mut self, raw: &RawAdmission, place: &Place<'d>, errors: &mut Errors) {
        let organizations = &raw.organizations;
        let label = organizations.namespace_label.as_ref();
        let at = place.field("organizations").field("namespaceLabel");
        self.namespace_label.add(label, at, errors);
        if let Some(admins) = &organizations.platform_admins {
            let all = self.admins.get_or_insert_default();
            all.groups.extend(admins.groups.iter().cloned());
            all.users.extend(admins.users.iter().cloned());
        }
        if let Some(namespaces) = &organizations.platform_namespaces {
            let all = self.platform_namespaces.get_or_insert_default();
            all.extend(namespaces.iter().cloned());
        }
        let at = place.field("agents").field("namespaceSelector");
        if let Some(RawSelector { match_labels }) = &raw.agents.namespace_selector {
            if match_labels.is_empty() {
                errors
                    .push(at.error("an empty selector would guard every namespace; name a label"));
            }
            self.selector.add(Some(match_labels), at, errors);
        }
    }

    fn add_inject(&mut self, raw: &RawInject, place: &Place<'d>, errors: &mut Errors) {
        self.profile.add(raw.profile.as_ref(), place.field("profile"), errors);
        self.image.add(raw.image.as_ref(), place.field("image"), errors);
        self.uid.add(raw.uid.as_ref(), place.field("uid"), errors);
        if raw.uid.is_some_and(|uid| !UIDS.contains(&uid)) {
            let message = "expected a UID from 1000 to 2147483647 that no agent uses";
            errors.push(place.field("uid").error(message));
        }
        if raw
            .image
            .as_ref()
            .is_some_and(|image| image.is_empty() || image.contains(char::is_whitespace))
        {
            errors.push(place.field("image").error("expected an image reference"));
        }
    }

    fn add_references(&mut self, raw: &RawAdmission, place: &Place<'d>, errors: &mut Errors) {
        for (index, item) in raw.references.iter().enumerate() {
            match reference(item, object_match(&item.applies), &place.item(index)) {
                Ok(field) => self.policy.references.add(field),
                Err(error) => errors.push(error),
            }
        }
    }

    fn add_trust(&mut self, raw: &RawAdmission, place: &Place<'d>, errors: &mut Errors) {
        let raw = &raw.trust;
        self.on_untrusted.add(raw.on_untrusted.as_ref(), place.field("onUntrusted"), errors);
        for (index, item) in raw.controllers.iter().enumerate() {
            match controller(item, &place.field("controllers").item(index)) {
                Ok(item) => self.policy.trust.controllers.push(item),
                Err(error) => errors.push(error),
            }
        }
        for (index, item) in raw.pools.iter().enumerate() {
            let place = place.field("pools").item(index);
            let twice = self.policy.trust.pools.iter().any(|pool| pool.name == item.name);
            match pool(item, &place) {
                Ok(_) if twice => {
                    errors.push(place.field("name").error("a pool of that name exists"));
                }
                Ok(item) => self.policy.trust.pools.push(item),
                Err(error) => errors.push(error),
            }
        }
        let trusted = raw.trusted_refs.iter().map(|glob| glob.0.clone());
        self.policy.trust.trusted_refs.extend(trusted);
        if let Some(untrusted) = &raw.untrusted_refs {
            let all = self.untrusted_refs.get_or_insert_default();
            all.extend(untrusted.iter().map(|glob| glob.0.clone()));
        }
        for (index, item) in raw.provenance.iter().enumerate() {
            match Provenance::ready(item, &place.field("provenance").item(index)) {
                Ok(item) => self.policy.trust.provenance.push(item),
                Err(error) => errors.push(error),
            }
        }
        for (index, item) in raw.relays.iter().enumerate() {
            match controller(item, &place.field("relays").item(index)) {
                Ok(item) => self.policy.trust.relays.push(item),
                Err(error) => errors.push(error),
            }
        }
        let listed = raw.trusted_repositories.iter().map(|glob| glob.0.clone());
        self.policy.trust.trusted_repositories.extend(listed);
        self.add_placement(raw);
    }

    fn add_placement(&mut self, raw: &RawTrust) {
        let classes = raw.untrusted_runtime_classes.iter().cloned();
        self.policy.trust.untrusted_runtime_classes.extend(classes);
        if let Some(schedulers) = &raw.schedulers {
            self.schedulers.get_or_insert_default().extend(schedulers.iter().cloned());
        }
        if let Some(managers) = &raw.node_managers {
            let all = self.node_managers.get_or_insert_default();
            all.groups.extend(managers.groups.iter().cloned());
            all.users.extend(managers.users.iter().cloned());
        }
    }

    fn custom(&self, raw: &RawCustom, place: &Place<'_>) -> Result<CustomRule, DocumentError> {
        if raw.id.is_empty() || raw.id.starts_with(BUILT_IN_PREFIX) {
            return Err(place.field("id").error("expected an id that doesn't begin with `PF-`"));
        }
        let id = RuleId::custom(&raw.id);
        if self.policy.custom.iter().any(|earlier| earlier.id == id) {
            return Err(place.field("id").error(format!("rule `{id}` is defined twice")));
        }
        let deny = place.field("deny");
        let Some(message) = raw.deny.message.clone() else {
            return Err(deny.error("missing field `message`: what the user is told"));
        };
        if raw.deny.optional.is_some() || raw.deny.host.is_some() {
            return Err(deny.error("`optional` and `host` are for tool arguments only"));
        }
        let rule = value_rule(&raw.deny, &deny)?;
        let applies = object_match(&raw.applies);
        Ok(CustomRule { id, applies, path: rule.path, tests: rule.tests, message })
    }

    fn rule(&mut self, raw: &RawRule, place: &Place<'_>) -> Result<(), DocumentError> {
        let id = self.known(&raw.id, &place.field("id"))?;
        if id.as_str().starts_with("PF-REQ-") {
            return Err(place.field("id").error("requests that can't be read are always denied"));
        }
        let mode = match raw.mode {
            RawRuleMode::Enforce => RuleMode::On(Mode::Enforce),
            RawRuleMode::Warn => RuleMode::On(Mode::Warn),
            RawRuleMode::Audit => RuleMode::On(Mode::Audit),
            RawRuleMode::Off => RuleMode::Off,
        };
        match self.policy.rules.insert(id, mode) {
            Some(other) if other != mode => {
                Err(place.field("mode").error("the rule is set to another mode elsewhere"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn known(&self, id: &str, place: &Place<'_>) -> Result<RuleId, DocumentError> {
        let custom = self.declared.iter().find(|custom| custom.as_str() == id);
        if let Some(rule) = RuleId::built_in(id).or_else(|| custom.cloned()) {
            return Ok(rule);
        }
        let names = RuleId::BUILT_IN.iter().chain(&self.declared).map(RuleId::as_str);
        let hint = nearest(id, names).map(|near| format!("; did you mean `{near}`?"));
        Err(place.error(format!("no rule `{id}` in this version{}", hint.unwrap_or_default())))
    }

    fn exception(&self, raw: &RawException, place: &Place<'_>) -> Result<Exception, DocumentError> {
        let rules = place.field("rules");
        let named =
            raw.rules.iter().enumerate().map(|(index, id)| self.known(id, &rules.item(index)));
        let named: BTreeSet<RuleId> = named.collect::<Result<_, _>>()?;
        if named.is_empty() {
            return Err(rules.error("expected at least one rule"));
        }
        let applies = object_match(&raw.applies);
        let everything =
            applies.kinds.is_empty() && applies.namespaces.is_empty() && applies.names.is_empty();
        if everything {
            return Err(place
                .field("match")
                .error("would exempt everything; name kinds, namespaces or names"));
        }
        Ok(Exception {
            rules: named,
            applies,
            until: raw.until.as_ref().map(|day| day.0),
            owner: raw.owner.clone(),
            reason: raw.reason.clone(),
        })
    }

    pub(super) fn finish(self, errors: &mut Errors) -> AdmissionPolicy {
        let mut policy = self.policy;
        if let Some((name, place)) = self.agent_ceiling.set {
            policy.rbac.agent_ceiling = Some(name);
            policy.rbac.check(&place, errors);
        }
        policy.mode = self.mode.or(Mode::default);
        policy.trust.on_untrusted = self.on_untrusted.or(OnUntrusted::default);
        let label = self.namespace_label.or(|| ORGANIZATION_LABEL.to_owned());
        policy.organizations.namespace_labels = match label.as_str() {
            ORGANIZATION_LABEL => vec![label, ORGANIZATION_LABEL_NEW.to_owned()],
            _ => vec![label],
        };
        let admins = self.admins.unwrap_or_else(|| RawAdmins {
            groups: vec!["system:masters".to_owned()],
            users: Vec::new(),
        });
        policy.organizations.admin_groups = admins.groups.into_iter().collect();
        policy.organizations.admin_users = admins.users.into_iter().collect();
        let namespaces = self.platform_namespaces;
        policy.organizations.platform_namespaces =
            namespaces.unwrap_or_else(|| PLATFORM_NAMESPACES.map(str::to_owned).into());
        let (key, value) = GUARDED_LABEL;
        let guarded = || BTreeMap::from([(key.to_owned(), value.to_owned())]);
        policy.agents.namespace_labels = self.selector.or(guarded).into_iter().collect();
        let schedulers = self.schedulers.filter(|schedulers| !schedulers.is_empty());
        policy.trust.schedulers = schedulers.unwrap_or_else(|| vec![SCHEDULER.to_owned()]);
        policy.trust.node_managers = self.node_managers.unwrap_or_else(|| Members {
            groups: [NODE_MANAGER_GROUP.to_owned()].into(),
            users: NODE_MANAGERS.map(str::to_owned).into(),
        });
        policy.grants.finish();
        policy.inject = Inject {
            profile: self.profile.or(Profile::default),
            image: self.image.or(|| IMAGE_DEFAULT.to_owned()),
            uid: self.uid.or(|| UID_DEFAULT),
            ..Inject::default()
        };
        let untrusted = self.untrusted_refs;
        policy.trust.untrusted_refs = untrusted.unwrap_or_else(|| {
            UNTRUSTED_REFS.iter().filter_map(|glob| Pattern::path_glob(glob).ok()).collect()
        });
        policy
    }
}

fn empty(digest: Digest) -> AdmissionPolicy {
    AdmissionPolicy {
        digest,
        mode: Mode::default(),
        organizations: Organizations {
            namespace_labels: Vec::new(),
            admin_groups: BTreeSet::new(),
            admin_users: BTreeSet::new(),
            platform_namespaces: BTreeSet::new(),
        },
        agents: Agents { namespace_labels: Vec::new(), service_accounts: Vec::new() },
        trust: Trust::default(),
        rbac: Rbac::default(),
        references: References::default(),
        grants: Grants::default(),
        literals: Literals::default(),
        inject: Inject::default(),
        rules: BTreeMap::new(),
        custom: Vec::new(),
        exceptions: Vec::new(),
    }
}

pub(super) fn object_match(raw: &RawMatch) -> ObjectMatch {
    let patterns =
        |globs: &[super::values::NameGlob]| globs.iter().map(|glob| glob.0.clone()).collect();
    ObjectMatch {
        api_groups: raw.api_groups.clone(),
        kinds: raw.kinds.clone(),
        namespaces: patterns(&raw.namespaces),
        names: patterns(&raw.names),
    }
}

/// Splits `namespace/name`.
fn namespaced(text: &str, place: &Place<'_>) -> Result<(String, String), DocumentError> {
    match text.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
        {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        Some(_) | None => Err(place.error(format!("expected `namespace/name`, found `{text}`"))),
    }
}

pub(super) fn controller(
    raw: &RawController,
    place: &Place<'_>,
) -> Result<Controller, DocumentError> {
    match (&raw.user, &raw.service_account) {
        (Some(user), None) if raw.uid.is_none() => Ok(Controller::User(user.clone())),
        (None, Some(account)) => {
            let (namespace, name) = namespaced(account, &place.field("serviceAccount"))?;
            Ok(Controller::ServiceAccount { namespace, name, uid: raw.uid.clone() })
        }
        _ => Err(place.error("expected `user`, or `serviceAccount` with an optional `uid`")),
    }
}

fn all_namespaced(
    texts: &[String],
    place: &Place<'_>,
) -> Result<Vec<(String, String)>, DocumentError> {
    texts.iter().enumerate().map(|(index, text)| namespaced(text, &place.item(index))).collect()
}

fn pool(raw: &RawPool, place: &Place<'_>) -> Result<Pool, DocumentError> {
    let service_accounts = all_namespaced(&raw.service_accounts, &place.field("serviceAccounts"))?;
    if raw.node_selector.is_empty() && raw.taints.is_empty() && service_accounts.is_empty() {
        let message =
            "nothing says what is in the pool; give `nodeSelector`, `taints` or `serviceAccounts`";
        return Err(place.error(message));
    }
    let effect = |effect| match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    };
    let taints = raw.taints.iter().map(|taint| Toleration {
        key: taint.key.clone(),
        operator: "Equal".to_owned(),
        value: taint.value.clone(),
        effect: effect(taint.effect).to_owned(),
    });
    Ok(Pool {
        name: raw.name.clone(),
        tier: raw.tier,
        node_selector: raw.node_selector.clone().into_iter().collect(),
        taints: taints.collect(),
        service_accounts,
        runtime_classes: raw.runtime_classes.clone(),
        priority_classes: raw.priority_classes.clone(),
        caches: all_namespaced(&raw.caches, &place.field("caches"))?,
        filesystem_policies: raw.filesystem_policies.clone(),
    })
}
