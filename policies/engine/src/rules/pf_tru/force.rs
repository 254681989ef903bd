//! Mutation: the stamp on what a controller made for a run, and under `force` the rewriting of untrusted work to the untrusted pool.
//!
//! The rewritten object is judged again before it is offered; where it would still come onto a trusted pool nothing is rewritten, and
//! validation denies.

use pinfold_model::facts::{Operation, Question};
use pinfold_model::finding::{Finding, Mode, RuleId};
use pinfold_model::object::pod::{Toleration, Workload};
use pinfold_model::object::{AGENT_GROUPS, Kind, Object, decode_value};
use pinfold_model::policy::admission::OnUntrusted;
use serde_json::{Map, Value, json};

use super::placement::{POOL_LABEL, Way, named_pool, tolerates};
use super::pools::{self, Pool};
use super::ways_of;
use crate::context::Context;
use crate::decision::Mutation;
use crate::edit::{Edit, unmount};
use crate::trust::stamp::{STAMP, stamps};
use crate::trust::standing::{self, Actor, Standing, actor};

/// What the old ServiceAccount, class, node and scheduler brought along.
const DROPPED: [&str; 9] = [
    "nodeName",
    "schedulerName",
    "serviceAccount",
    "priorityClassName",
    "priority",
    "preemptionPolicy",
    "runtimeClassName",
    "overhead",
    "imagePullSecrets",
];

/// Where a claim has its metadata.
const CLAIM_META: &str = "$.metadata";

/// The scheduler of a pod that names none.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// What mutation does.
pub(super) fn rewrite(context: &Context<'_>) -> Mutation {
    let facts = context.facts;
    let (Some(object), Some(document)) = (&facts.object, &facts.document) else {
        return Mutation::default();
    };
    let written = match facts.operation {
        Operation::Create | Operation::Update => facts.subresource.is_empty(),
        Operation::Delete | Operation::Connect => false,
    };
    if !written {
        return Mutation::default();
    }
    let mut edit = Edit { document: document.clone(), patch: Vec::new() };
    let workload = object.facts.workload();
    let meta_path = workload.map_or(CLAIM_META, |workload| workload.meta_path.as_str());
    if workload.is_none() && !is_claim(object) {
        return Mutation::default();
    }
    stamp(context, object, meta_path, &mut edit);
    let note = workload
        .filter(|_| is_enforced(context))
        .and_then(|workload| force(context, object, workload, &mut edit));
    let questions = open_questions(context, object, note.is_some());
    Mutation { patch: edit.patch, notes: note.into_iter().collect(), questions }
}

/// A claim is stamped too: PF-TRU-006 keeps other runs from writing it.
fn is_claim(object: &Object) -> bool {
    object.key.group.is_empty() && object.key.kind == "PersistentVolumeClaim"
}

/// What could still show that the work is trusted, where that decides about the stamp or the move: a controller makes the run and the
/// work for it within a millisecond, which no watch follows.
fn open_questions(context: &Context<'_>, object: &Object, moved: bool) -> Vec<Question> {
    let Some(requester) = &context.facts.requester else { return Vec::new() };
    if !moved && actor(context, requester) != Actor::Controller {
        return Vec::new();
    }
    match standing::of_request(context, object, requester) {
        Standing::Untrusted { questions, .. } => questions,
        Standing::Trusted => Vec::new(),
    }
}

/// A rule that only warns, is off, or is excepted for this object doesn't rewrite it.
fn is_enforced(context: &Context<'_>) -> bool {
    let rule = RuleId::TRU_PLACEMENT;
    let target = &context.facts.target;
    context.policy.mode_of(&rule) == Some(Mode::Enforce)
        && !context.policy.exempts(&rule, target, context.now)
}

/// `$.spec.template.spec` as a JSON Pointer, and the one of what holds it.
fn pointer(path: &str) -> (String, String) {
    let pointer = path.trim_start_matches('$').replace('.', "/");
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
    (pointer, parent)
}

/// Stamps an object that a controller makes for a run, and its pods. A claim that leads to no run is left for validation to judge.
fn stamp(context: &Context<'_>, object: &Object, meta_path: &str, edit: &mut Edit) {
    let Some(requester) = &context.facts.requester else { return };
    let created = context.facts.operation == Operation::Create;
    if !created || actor(context, requester) != Actor::Controller || stamps(object).next().is_some()
    {
        return;
    }
    let claims = standing::claimed_runs(context, object, requester);
    let mut runs = claims.into_iter().filter_map(Result::ok);
    let Some(run) = runs.find(|run| !run.meta.uid.is_empty()) else { return };
    // Several runs: the stamp can name one, so none is stamped, and nothing is inherited.
    if runs.any(|other| other.meta.uid != run.meta.uid) {
        return;
    }
    let text = Value::String(format!("{}/{}", run.key.name, run.meta.uid));
    let (of_pods, template) = pointer(meta_path);
    if edit.document.pointer(&template).is_some_and(Value::is_object) {
        edit.ensure(&template, "metadata");
    }
    for metadata in ["/metadata", &of_pods] {
        edit.ensure(metadata, "annotations");
        edit.set(&format!("{metadata}/annotations"), STAMP, text.clone());
    }
}

/// Rewrites untrusted work that comes onto a trusted pool; says so.
fn force(
    context: &Context<'_>,
    object: &Object,
    workload: &Workload,
    edit: &mut Edit,
) -> Option<Finding> {
    let requester = context.facts.requester.as_ref()?;
    if context.policy.trust.on_untrusted != OnUntrusted::Force || !may_rewrite(context, object) {
        return None;
    }
    let ways = ways_of(context, object);
    if ways.is_empty() {
        return None;
    }
    let Standing::Untrusted { reason, .. } = standing::of_request(context, object, requester)
    else {
        return None;
    };
    let namespace = context.facts.target.namespace.as_str();
    let candidates = pools::near(context, namespace).into_iter().filter(|pool| !pool.is_trusted());
    for pool in candidates {
        let mut attempt =
            Edit { document: edit.document.clone(), patch: std::mem::take(&mut edit.patch) };
        let stamped = attempt.patch.len();
        move_to(context, &pool, (object, workload), &mut attempt);
        if still_placed(context, object, &attempt.document) {
            attempt.patch.truncate(stamped);
            edit.patch = attempt.patch;
            continue;
        }
        *edit = attempt;
        return Some(note(&pool, &reason, &ways, workload));
    }
    None
}

/// Live pods can't be moved, and what another workload's controller compares with its own template must stay as it is.
fn may_rewrite(context: &Context<'_>, object: &Object) -> bool {
    let kind = object.key.kind.as_str();
    let controlled = object.meta.controller().is_some();
    match context.facts.operation {
        Operation::Create => !controlled || matches!(kind, "Pod" | "Job"),
        Operation::Update => !controlled && kind != "Pod",
        Operation::Delete | Operation::Connect => false,
    }
}

fn still_placed(context: &Context<'_>, object: &Object, document: &Value) -> bool {
    let kind = Kind {
        group: object.key.group.clone(),
        version: String::new(),
        kind: object.key.kind.clone(),
    };
    match decode_value(&kind, document) {
        Ok(moved) => !ways_of(context, &moved).is_empty(),
        Err(_) => true,
    }
}

fn note(pool: &Pool<'_>, reason: &str, ways: &[Way], workload: &Workload) -> Finding {
    let from = ways.iter().find_map(|way| way.pool.as_deref()).unwrap_or("a trusted pool");
    Finding {
        rule: RuleId::TRU_PLACEMENT,
        mode: Mode::Warn,
        path: workload.spec_path.clone(),
        message: format!("untrusted work ({reason}) was moved from `{from}` to `{}`", pool.shown()),
        remedy: format!("place it on `{}` yourself; {}", pool.shown(), super::HOW_TO_TRUST),
    }
}

fn move_to(
    context: &Context<'_>,
    pool: &Pool<'_>,
    (object, workload): (&Object, &Workload),
    edit: &mut Edit,
) {
    let namespace = context.facts.target.namespace.as_str();
    let (spec, _) = pointer(&workload.spec_path);
    let nodes: Map<String, Value> =
        pool.nodes().iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    if nodes.is_empty() {
        edit.remove(&spec, "nodeSelector");
    } else {
        edit.set(&spec, "nodeSelector", Value::Object(nodes));
    }
    edit.remove(&format!("{spec}/affinity"), "nodeAffinity");
    let tolerations = tolerations(context, pool, edit.list(&spec, "tolerations"), workload);
    if tolerations.is_empty() {
        edit.remove(&spec, "tolerations");
    } else {
        edit.set(&spec, "tolerations", Value::Array(tolerations));
    }
    let account = pool.accounts(namespace).first().copied().unwrap_or("default");
    edit.set(&spec, "serviceAccountName", json!(account));
    for field in DROPPED {
        edit.remove(&spec, field);
    }
    confine(context, &spec, edit);
    edit.set(&spec, "automountServiceAccountToken", json!(false));
    unmount(&spec, edit);
    relabel(context, pool, (object, workload), edit);
}

/// A scheduler and a sandbox where the policy asks for others than those of a pod that names none.
fn confine(context: &Context<'_>, spec: &str, edit: &mut Edit) {
    let trust = &context.policy.trust;
    let is_default = |name: &String| name == DEFAULT_SCHEDULER;
    if let Some(scheduler) = trust.schedulers.first()
        && !trust.schedulers.iter().any(is_default)
    {
        edit.set(spec, "schedulerName", json!(scheduler));
    }
    if let Some(class) = trust.untrusted_runtime_classes.first() {
        edit.set(spec, "runtimeClassName", json!(class));
    }
}

/// The tolerations without those of trusted taints, and with those of the pool.
fn tolerations(
    context: &Context<'_>,
    pool: &Pool<'_>,
    written: Vec<Value>,
    workload: &Workload,
) -> Vec<Value> {
    let trusted = pools::trusted_by_nodes(context);
    let forbidden = |toleration: &Toleration| {
        trusted.iter().flat_map(Pool::taints).any(|taint| tolerates(toleration, taint))
    };
    let decoded = workload.placement.tolerations.iter();
    let kept = written.into_iter().zip(decoded).filter(|(_, toleration)| !forbidden(toleration));
    let mut tolerations: Vec<Value> = kept.map(|(written, _)| written).collect();
    for taint in pool.taints() {
        let mut toleration = json!({"key": taint.key, "operator": "Equal", "value": taint.value});
        if let (Value::Object(members), false) = (&mut toleration, taint.effect.is_empty()) {
            members.insert("effect".to_owned(), json!(taint.effect));
        }
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    tolerations
}

/// Rewrites labels that name a trusted or unknown pool. Where a controller finds its pods by labels they stay, and validation denies.
fn relabel(
    context: &Context<'_>,
    pool: &Pool<'_>,
    (object, workload): (&Object, &Workload),
    edit: &mut Edit,
) {
    if object
        .meta
        .controller()
        .is_some_and(|owner| !matches!(owner.kind.as_str(), "Job" | "CronJob"))
    {
        return;
    }
    let namespace = context.facts.target.namespace.as_str();
    let (of_pods, _) = pointer(&workload.meta_path);
    for group in AGENT_GROUPS {
        let key = format!("{group}/{POOL_LABEL}");
        for metadata in ["/metadata", of_pods.as_str()] {
            let labels = format!("{metadata}/labels");
            let named = edit.document.pointer(&labels).and_then(|labels| labels.get(&key));
            let Some(name) = named.and_then(Value::as_str) else { continue };
            if named_pool(context, namespace, (group, name), "").is_some() {
                edit.set(&labels, &key, json!(pool.name()));
            }
        }
    }
}
