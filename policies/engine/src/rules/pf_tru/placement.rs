//! Every way by which a workload comes onto a trusted pool: label, ServiceAccount, node selector, affinity, node name, tolerations, runtime and priority
//! class, a volume that only its nodes reach, a scheduler of its own, or nothing that keeps it off.
//!
//! Pod affinity, topology spread and resource claims are no ways: the scheduler applies them on top of node selector and taints, so they lead nowhere that
//! these don't, and where these leave a trusted pool open that is what is refused.

mod runtime;
mod scheduler;
mod volumes;

use pinfold_model::facts::Question;
use pinfold_model::object::pod::{Toleration, Workload};
use pinfold_model::object::{AGENT_GROUPS, Object, ObjectKey};

use self::runtime::Class;
use super::nodes::{self, Says};
use super::pools::{self, Pool};
use crate::context::Context;
use crate::rbac::agents::DEFAULT;
use crate::rbac::describe::excerpt;

/// The label that names a pool, after the agent group and a slash.
pub(super) const POOL_LABEL: &str = "runner-pool";

/// One way onto a trusted pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// JSON path of the field at fault.
    pub(super) path: String,
    /// What was found there.
    pub(super) what: String,
    /// The pool; `None` if nobody can tell which.
    pub(super) pool: Option<String>,
    /// What untrusted work may not do, to stand after "may not".
    pub(super) forbidden: &'static str,
    /// What to change.
    pub(super) remedy: String,
    /// Whether the workload names the pool, rather than only not being kept off.
    pub(super) names_the_pool: bool,
    /// What a live answer could change.
    pub(super) questions: Vec<Question>,
}

impl Way {
    fn onto(pool: &Pool<'_>, path: String, what: String, remedy: String) -> Self {
        let pool = Some(excerpt(&pool.shown()));
        Self { pool, names_the_pool: true, ..Self::nowhere(path, what, remedy) }
    }

    fn unknown(path: String, what: String, remedy: &str, question: Question) -> Self {
        let questions = vec![question];
        Self { names_the_pool: true, questions, ..Self::nowhere(path, what, remedy.to_owned()) }
    }

    /// A way that nobody can tell where it leads, and that names no pool.
    fn nowhere(path: String, what: String, remedy: String) -> Self {
        let (pool, names_the_pool, questions) = (None, false, Vec::new());
        let forbidden = "run on a trusted pool";
        Self { path, what, pool, forbidden, remedy, names_the_pool, questions }
    }
}

/// All ways of a workload; each field speaks once.
pub(super) fn ways(
    context: &Context<'_>,
    namespace: &str,
    object: &Object,
    workload: &Workload,
) -> Vec<Way> {
    let near = pools::near(context, namespace);
    let mut ways = label_ways(context, namespace, object, workload);
    for pool in near.iter().filter(|pool| pool.is_trusted()) {
        ways.extend(account_ways(pool, namespace, workload));
        ways.extend(class_ways(pool, workload));
    }
    let untrusted = near.iter().find(|pool| !pool.is_trusted() && !pool.nodes().is_empty());
    let trusted = pools::trusted_by_nodes(context);
    if let Some(node) = workload.placement.node_name.as_ref().filter(|_| !trusted.is_empty()) {
        ways.extend(node_ways(context, node, &format!("{}.nodeName", workload.spec_path)));
    }
    let class = runtime::class(context, workload);
    for pool in &trusted {
        ways.extend(scheduling_ways(context, pool, untrusted, (workload, &class)));
        ways.extend(toleration_ways(pool, workload));
        ways.extend(runtime::ways(context, pool, (workload, &class)));
        ways.extend(volumes::ways(context, pool, (namespace, workload)));
    }
    ways.extend(scheduler::way(context, workload).filter(|_| !trusted.is_empty()));
    ways.extend(runtime::unconfined(context, workload));
    let mut seen = Vec::new();
    ways.retain(|way| {
        let new = !seen.contains(&way.path);
        seen.push(way.path.clone());
        new
    });
    ways
}

/// The ways by which the pool label leads there.
pub(super) fn label_ways(
    context: &Context<'_>,
    namespace: &str,
    object: &Object,
    workload: &Workload,
) -> Vec<Way> {
    pool_labels(object, workload)
        .into_iter()
        .filter_map(|(path, group, name)| named_pool(context, namespace, (group, name), &path))
        .collect()
}

/// Path, group and value of the labels that name a pool, on the object and on its pods.
fn pool_labels<'o>(
    object: &'o Object,
    workload: &'o Workload,
) -> Vec<(String, &'static str, &'o str)> {
    let mut found = Vec::new();
    for group in AGENT_GROUPS {
        let key = format!("{group}/{POOL_LABEL}");
        if let Some(name) = object.meta.labels.get(&key) {
            found.push((format!("$.metadata.labels['{key}']"), group, name.as_str()));
        }
        let of_pods = workload.pod_labels.iter().find(|(label, _)| *label == key);
        if let Some((_, name)) = of_pods.filter(|_| workload.meta_path != "$.metadata") {
            let path = format!("{}.labels['{key}']", workload.meta_path);
            found.push((path, group, name.as_str()));
        }
    }
    found
}

/// The way onto the pool that a field names, if it is a trusted one or unknown.
pub(super) fn named_pool(
    context: &Context<'_>,
    namespace: &str,
    (group, name): (&str, &str),
    path: &str,
) -> Option<Way> {
    if name.is_empty() {
        return None;
    }
    let key = ObjectKey::new(group, "RunnerPool", namespace, name);
    let named = pools::of_name(context, &key);
    let remedy = "name an untrusted pool".to_owned();
    let what = format!("`{}` is named", excerpt(name));
    match named.iter().find(|pool| pool.is_trusted()) {
        Some(pool) => Some(Way::onto(pool, path.to_owned(), what, remedy)),
        None if named.is_empty() => {
            let what = format!("runner pool `{}` isn't in the view of the cluster", excerpt(name));
            let (place, name) = name.split_once('/').unwrap_or((namespace, name));
            let question = Question::Object(ObjectKey::new(group, "RunnerPool", place, name));
            Some(Way::unknown(path.to_owned(), what, &remedy, question))
        }
        None => None,
    }
}

fn account_ways(pool: &Pool<'_>, namespace: &str, workload: &Workload) -> Vec<Way> {
    let placement = &workload.placement;
    let accounts = pool.accounts(namespace);
    let name = placement.service_account.as_deref();
    let alias = placement.service_account_alias.as_deref();
    let spec = &workload.spec_path;
    let remedy = "name a ServiceAccount of no trusted pool".to_owned();
    let mut ways = Vec::new();
    let used = name.unwrap_or(DEFAULT);
    if accounts.contains(&used) && alias != Some(used) {
        let what = match name {
            Some(name) => format!("ServiceAccount `{}` is the pool's", excerpt(name)),
            None => format!("no ServiceAccount is named, and `{DEFAULT}` is the pool's"),
        };
        ways.push(Way::onto(pool, format!("{spec}.serviceAccountName"), what, remedy.clone()));
    }
    if let Some(alias) = alias.filter(|alias| accounts.contains(alias)) {
        let what = format!("ServiceAccount `{}` is the pool's", excerpt(alias));
        ways.push(Way::onto(pool, format!("{spec}.serviceAccount"), what, remedy));
    }
    ways
}

fn class_ways(pool: &Pool<'_>, workload: &Workload) -> Vec<Way> {
    let placement = &workload.placement;
    let fields = [
        ("runtimeClassName", "runtime class", &placement.runtime_class, pool.runtime_classes()),
        ("priorityClassName", "priority class", &placement.priority_class, pool.priority_classes()),
    ];
    let way = |(field, what, class, of_pool): (&str, &str, &Option<String>, &[String])| {
        let class = class.as_ref().filter(|class| of_pool.contains(class))?;
        let path = format!("{}.{field}", workload.spec_path);
        let what = format!("{what} `{}` is the pool's", excerpt(class));
        Some(Way::onto(pool, path, what, format!("remove `{field}`")))
    };
    fields.into_iter().filter_map(way).collect()
}

/// The ways by which being put on a node leads onto trusted pools.
pub(super) fn node_ways(context: &Context<'_>, node: &str, path: &str) -> Vec<Way> {
    let pools = pools::trusted_by_nodes(context);
    let with_nodes = pools.iter().filter(|pool| !pool.nodes().is_empty());
    let remedy = "choose a node of no trusted pool";
    let way = |pool: &Pool<'_>| match nodes::is_in(context, node, pool) {
        Some(true) => {
            let what = format!("node `{}` is one of the pool's", excerpt(node));
            Some(Way::onto(pool, path.to_owned(), what, remedy.to_owned()))
        }
        Some(false) => None,
        None => Some(unknown_node(path.to_owned(), node)),
    };
    with_nodes.filter_map(way).take(1).collect()
}

fn unknown_node(path: String, node: &str) -> Way {
    let what = format!("node `{}` isn't in the view of the cluster", excerpt(node));
    Way::unknown(path, what, "choose a node of no trusted pool", nodes::question(node))
}

fn scheduling_ways(
    context: &Context<'_>,
    pool: &Pool<'_>,
    untrusted: Option<&Pool<'_>>,
    (workload, class): (&Workload, &Class<'_>),
) -> Vec<Way> {
    if pool.nodes().is_empty() || class.keeps_off(context, pool) {
        return Vec::new();
    }
    let placement = &workload.placement;
    let spec = &workload.spec_path;
    let mut said = nodes::required(context, placement, pool);
    if said.contains(&Says::Off) {
        return Vec::new();
    }
    said.extend(nodes::preferred(context, placement, pool));
    let select = select_untrusted(untrusted);
    let mut ways = Vec::new();
    for says in said {
        match says {
            Says::There(path, what) => {
                ways.push(Way::onto(pool, format!("{spec}{path}"), what, select.clone()));
            }
            Says::UnknownNode(path, node) => {
                ways.push(unknown_node(format!("{spec}{path}"), &node));
            }
            Says::Off | Says::Open => {}
        }
    }
    let kept_off = pool.taints().iter().any(is_hard) || placement.node_name.is_some();
    if ways.is_empty() && !kept_off {
        let what = "nothing keeps it off the pool's nodes".to_owned();
        let way = Way::onto(pool, format!("{spec}.nodeSelector"), what, select);
        ways.push(Way { names_the_pool: false, ..way });
    }
    ways
}

fn select_untrusted(untrusted: Option<&Pool<'_>>) -> String {
    let Some(pool) = untrusted else {
        return "select the nodes of an untrusted pool with `nodeSelector`".to_owned();
    };
    let labels: Vec<String> = pool.nodes().iter().map(|(k, v)| format!("`{k}={v}`")).collect();
    let (name, labels) = (pool.shown(), labels.join(" and "));
    format!("select the nodes of untrusted pool `{name}` with `nodeSelector` {labels}")
}

fn toleration_ways(pool: &Pool<'_>, workload: &Workload) -> Vec<Way> {
    let tolerations = workload.placement.tolerations.iter().enumerate();
    let way = |(index, toleration): (usize, &Toleration)| {
        let taint = pool.taints().iter().find(|taint| tolerates(toleration, taint))?;
        let path = format!("{}.tolerations[{index}]", workload.spec_path);
        let what = format!("it tolerates the pool's taint `{}={}`", taint.key, taint.value);
        Some(Way::onto(pool, path, what, "remove the toleration".to_owned()))
    };
    tolerations.filter_map(way).collect()
}

/// Whether a taint keeps pods off, rather than only being avoided.
fn is_hard(taint: &Toleration) -> bool {
    taint.effect != "PreferNoSchedule"
}

/// Whether a toleration tolerates a taint (core/v1 `ToleratesTaint`): an empty key with `Exists` tolerates all, an empty effect every effect.
pub(super) fn tolerates(toleration: &Toleration, taint: &Toleration) -> bool {
    let effect = toleration.effect.is_empty()
        || taint.effect.is_empty()
        || toleration.effect == taint.effect;
    let key = toleration.key.is_empty() || toleration.key == taint.key;
    let value = match toleration.operator.as_str() {
        "" | "Equal" => toleration.value == taint.value && !toleration.key.is_empty(),
        "Exists" => true,
        // `Gt` and `Lt` (KEP-5471) compare numbers; not knowing better, they are taken to hold.
        _ => true,
    };
    effect && key && value
}
