//! The pod that a request makes or changes, as the rules about it see it: PF-POD-002 to 005 and 007.
//!
//! What an update leaves as it was is let be, so that it can still be scaled down, labelled and deleted; its pods are judged when they are made.

use std::collections::{HashMap, HashSet};

use pinfold_model::finding::{Mode, RuleId};
use pinfold_model::object::Object;
use pinfold_model::object::pod::Workload;
use pinfold_model::object::security::{Container, ContainerList, PodSecurity};
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::inject::{GUARD, Profile, SIDECAR};

use super::{identity, network, reserved, shared, standard};
use crate::agent_workload::{Membership, membership};
use crate::context::{Context, Found, Raw};

/// Most faults of one rule that are told: far more than anybody mends at a time.
pub(super) const FAULTS_MAX: usize = 256;

/// A pod or template of an agent.
pub(super) struct Pod<'c> {
    context: &'c Context<'c>,
    object: &'c Object,
    workload: &'c Workload,
    /// What decides how it is confined.
    pub(super) security: &'c PodSecurity,
    /// Whether pods are made from it: mutation fills in defaults then, not here.
    pub(super) is_template: bool,
    /// PF-POD-001 says that mutation didn't do its work.
    unconfined: bool,
}

impl<'c> Pod<'c> {
    fn of(context: &'c Context<'c>, object: &'c Object, workload: &'c Workload) -> Option<Self> {
        let security = workload.security.as_deref()?;
        let is_template = (object.key.group.as_str(), object.key.kind.as_str()) != ("", "Pod");
        Some(Self { context, object, workload, security, is_template, unconfined: false })
    }

    /// Whether what a container leaves unset is mutation's to say, and not said here: in a template, and in a pod that PF-POD-001 refuses anyway
    /// because mutation did nothing. No mutation reaches ephemeral containers.
    pub(super) fn leaves_unset(&self, container: &Container, rule: &RuleId) -> bool {
        let refused = self.unconfined && self.vouches_for_own(rule);
        self.is_template || (refused && container.list != ContainerList::Ephemeral)
    }

    /// JSON path of the pod spec.
    pub(super) fn spec(&self) -> &str {
        &self.workload.spec_path
    }

    /// JSON path of a container.
    pub(super) fn path(&self, container: &Container) -> String {
        container.path(self.spec())
    }

    /// JSON path of the pod's metadata.
    pub(super) fn metadata(&self) -> &str {
        &self.workload.meta_path
    }

    /// Annotations of the pod that would run.
    pub(super) fn annotations(&self) -> &'c [(String, String)] {
        &self.workload.pod_annotations
    }

    /// The field that names the pod, and the name, as far as it is known before the pod is made; nothing of a template.
    pub(super) fn name(&self) -> (&'static str, &'c str) {
        let Object { key, meta, .. } = self.object;
        match (self.is_template, key.name.as_str()) {
            (true, _) => ("name", ""),
            (false, "") => ("generateName", &meta.generate_name),
            (false, name) => ("name", name),
        }
    }

    /// Its namespace, also where an object of a request doesn't say it.
    pub(super) fn namespace(&self) -> &'c str {
        &self.context.facts.target.namespace
    }

    /// The AgentPolicies that any pod of the namespace may have: a policy reaches pods that run too, and a template's pods may have any.
    pub(super) fn agent_policies(&self) -> impl Iterator<Item = &'c AgentPolicy> {
        let namespace = self.namespace();
        let agents = self.context.policy.inject.agents.iter();
        agents.filter(move |policy| {
            policy.applies_to.namespaces.iter().any(|glob| glob.matches(namespace))
        })
    }

    /// UID and GID of the sidecar.
    pub(super) fn sidecar_id(&self) -> i64 {
        i64::from(self.context.policy.inject.uid)
    }

    /// The containers but for Pinfold's own two, as far as a rule is concerned.
    pub(super) fn containers(&self, rule: &RuleId) -> impl Iterator<Item = &'c Container> {
        let vouched = self.vouches_for_own(rule);
        let own = move |container: &&Container| vouched && is_own(container);
        self.security.containers.iter().filter(move |container| !own(container))
    }

    /// Whether PF-POD-001 judges what has Pinfold's names, as strictly as the rule that lets it pass by name. A name alone is no exemption.
    pub(super) fn vouches_for_own(&self, rule: &RuleId) -> bool {
        let Context { facts, policy, now, .. } = self.context;
        let mode = |rule: &RuleId| policy.mode_of(rule);
        let confined = RuleId::POD_CONFINED;
        let exempt = policy.exempts(&confined, &facts.target, *now);
        let stricter = mode(&confined).is_some_and(|own| own <= mode(rule).unwrap_or(Mode::Audit));
        !self.is_template && policy.inject.profile == Profile::Default && !exempt && stricter
    }
}

fn is_own(container: &Container) -> bool {
    container.list == ContainerList::Init && matches!(container.name.as_str(), GUARD | SIDECAR)
}

/// Judges the pod or template of a request.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let written = matches!(facts.subresource.as_str(), "" | "ephemeralcontainers");
    let Some(object) = facts.object.as_ref().filter(|_| written && facts.brings_content()) else {
        return;
    };
    let Some(workload) = object.facts.workload() else { return };
    let unsure = match membership(context, object, workload) {
        Membership::Agent(_) => Vec::new(),
        Membership::Other(unknown) if unknown.is_empty() => return,
        Membership::Other(unknown) => unknown,
    };
    let unconfined = found.raw.iter().any(|raw| raw.rule == RuleId::POD_CONFINED);
    let mut faults = faults(context, object, unconfined);
    if faults.raw.is_empty() {
        return;
    }
    let old = facts.old_object.as_ref().filter(|old| is_agent(context, old));
    let before = old.map(|old| self::faults(context, old, false)).unwrap_or_default();
    keep_new(&mut faults.raw, &before.raw);
    if unsure.is_empty() {
        found.raw.append(&mut faults.raw);
    } else if !faults.raw.is_empty() {
        unsure.into_iter().for_each(|question| found.confirm(question));
    }
}

/// Leaves of some faults those that weren't there before, [`FAULTS_MAX`] of each rule: the lists that they come from are as long as a request. What is cut
/// off has a rule that denies already, and is cut off only once what was there before is out, or it would hide behind that.
fn keep_new(faults: &mut Vec<Raw>, before: &[Raw]) {
    let before: HashSet<&Raw> = before.iter().collect();
    let mut told = HashMap::<RuleId, usize>::new();
    faults.retain(|fault| {
        if before.contains(fault) {
            return false;
        }
        let count = told.entry(fault.rule.clone()).or_default();
        *count = count.saturating_add(1);
        *count <= FAULTS_MAX
    });
}

fn is_agent(context: &Context<'_>, object: &Object) -> bool {
    let membership = object.facts.workload().map(|workload| membership(context, object, workload));
    matches!(membership, Some(Membership::Agent(_)))
}

/// What is wrong with a pod or template, whoever asks.
fn faults(context: &Context<'_>, object: &Object, unconfined: bool) -> Found {
    let mut found = Found::default();
    let pod = object.facts.workload().and_then(|workload| Pod::of(context, object, workload));
    let Some(mut pod) = pod else { return found };
    pod.unconfined = unconfined;
    standard::judge(&pod, &mut found);
    if context.policy.inject.profile == Profile::Default {
        identity::judge(&pod, &mut found);
        shared::judge(&pod, &mut found);
        reserved::judge(&pod, &mut found);
        network::judge(&pod, &mut found);
    }
    found
}
