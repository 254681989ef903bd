//! Runtime classes: what one adds to the pods that name it, and whether untrusted work runs in a sandbox at all.
//!
//! The API server's own admission adds a class's node selector and tolerations to pods before any webhook is asked (KEP-585); templates, and pods offline,
//! only name it.

use pinfold_model::facts::Question;
use pinfold_model::object::pod::{Placement, Toleration, Workload};
use pinfold_model::object::scheduling::Scheduling;
use pinfold_model::object::{Object, ObjectKey};

use super::Way;
use crate::context::Context;
use crate::rbac::describe::excerpt;
use crate::rules::pf_tru::nodes::{self, Says};
use crate::rules::pf_tru::pools::Pool;

/// What the runtime class of a workload adds to its placement.
pub(super) enum Class<'c> {
    /// None is named, or one that doesn't exist: the API server refuses the pods.
    Nothing,
    /// These.
    Adds(Box<Placement>, &'c [Toleration]),
    /// The view doesn't know the class.
    Unknown(ObjectKey),
}

impl Class<'_> {
    /// Whether its node selector keeps pods off a pool.
    pub(super) fn keeps_off(&self, context: &Context<'_>, pool: &Pool<'_>) -> bool {
        match self {
            Self::Adds(placement, _) => {
                nodes::required(context, placement, pool).contains(&Says::Off)
            }
            Self::Nothing | Self::Unknown(_) => false,
        }
    }
}

/// The runtime class of a workload.
pub(super) fn class<'c>(context: &Context<'c>, workload: &Workload) -> Class<'c> {
    let Some(name) = &workload.placement.runtime_class else { return Class::Nothing };
    let key = ObjectKey::new("node.k8s.io", "RuntimeClass", "", name);
    let found: Option<&'c Object> = context.lookup(&key);
    match found.map(|found| found.facts.scheduling()) {
        Some(Some(Scheduling::RuntimeClass { node_selector, tolerations })) => {
            let node_selector = node_selector.clone();
            let placement = Placement { node_selector, ..Placement::default() };
            Class::Adds(Box::new(placement), tolerations)
        }
        // Read live, and not there.
        None if context.facts.answers.live(&key).is_some() => Class::Nothing,
        Some(_) | None => Class::Unknown(key),
    }
}

/// The ways by which the class leads onto a trusted pool.
pub(super) fn ways(
    context: &Context<'_>,
    pool: &Pool<'_>,
    (workload, class): (&Workload, &Class<'_>),
) -> Vec<Way> {
    let name = workload.placement.runtime_class.as_deref().unwrap_or_default();
    let own = nodes::required(context, &workload.placement, pool);
    let path = format!("{}.runtimeClassName", workload.spec_path);
    let remedy = "name another runtime class".to_owned();
    let kept_off = own.contains(&Says::Off) || workload.placement.node_name.is_some();
    match class {
        Class::Nothing => Vec::new(),
        Class::Unknown(_) if kept_off || pool.nodes().is_empty() => Vec::new(),
        Class::Unknown(key) => {
            let what =
                format!("runtime class `{}` isn't in the view of the cluster", excerpt(name));
            vec![Way::unknown(path, what, &remedy, Question::Object(key.clone()))]
        }
        Class::Adds(placement, tolerations) => {
            let there = nodes::required(context, placement, pool)
                .into_iter()
                .find_map(|says| if let Says::There(_, what) = says { Some(what) } else { None });
            let tolerated = pool
                .taints()
                .iter()
                .find(|taint| {
                    tolerations.iter().any(|toleration| super::tolerates(toleration, taint))
                })
                .map(|taint| format!("the pool's taint `{}={}`", taint.key, taint.value));
            let adds = there.filter(|_| !kept_off).or(tolerated);
            let way = |adds| {
                let what = format!("runtime class `{}` adds {adds}", excerpt(name));
                Way::onto(pool, path, what, remedy)
            };
            adds.map(way).into_iter().collect()
        }
    }
}

/// Untrusted work in none of the sandboxes that the policy asks for.
pub(super) fn unconfined(context: &Context<'_>, workload: &Workload) -> Option<Way> {
    let sandboxes = &context.policy.trust.untrusted_runtime_classes;
    let class = workload.placement.runtime_class.as_deref();
    if sandboxes.is_empty() || class.is_some_and(|class| sandboxes.iter().any(|one| one == class)) {
        return None;
    }
    let what = match class {
        Some(class) => {
            format!("runtime class `{}` isn't in `trust.untrustedRuntimeClasses`", excerpt(class))
        }
        None => "no runtime class is named".to_owned(),
    };
    let remedy = format!("name one of `{}`", excerpt(&sandboxes.join("`, `")));
    let path = format!("{}.runtimeClassName", workload.spec_path);
    Some(Way { forbidden: "run without a sandbox", ..Way::nowhere(path, what, remedy) })
}
