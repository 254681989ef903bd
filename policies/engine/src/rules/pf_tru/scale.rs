//! More pods of a template that is there already (`*/scale`): the template is judged by its own record, whoever scales.
//!
//! A Scale holds no template, and of workloads the view has metadata alone, so the workload is read whole. Its pods are judged once more when they come.

use pinfold_model::facts::{Operation, Question};
use pinfold_model::object::scheduling::Scheduling;
use pinfold_model::object::{Facts, Object, ObjectKey};

use super::placement::{self, Way};
use super::{in_scope, refuse};
use crate::context::{Context, Found};
use crate::trust::{Scope, scope, standing};

/// Kinds with a `scale` of their own that make pods. A Scale doesn't say of which it is, so all of its name are judged.
const SCALED: [(&str, &str); 4] = [
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("", "ReplicationController"),
];

const PATH: &str = "$.spec.replicas";

/// Judges a Scale.
pub(super) fn judge(context: &Context<'_>, replicas: i64, found: &mut Found) {
    let facts = context.facts;
    let place = scope(context, &facts.target.namespace);
    let guarded = matches!(place, Scope::Guarded | Scope::Unknown);
    if !guarded || facts.operation != Operation::Update || replicas <= before(context) {
        return;
    }
    let name = if facts.target.name.is_empty() { &facts.request_name } else { &facts.target.name };
    let key = |(group, kind)| ObjectKey::new(group, kind, &facts.target.namespace, name);
    let mut keys: Vec<ObjectKey> = SCALED.map(key).into();
    // One that no watch has seen yet is looked for among all.
    if keys.iter().any(|key| context.lookup(key).is_some()) {
        keys.retain(|key| context.lookup(key).is_some());
    }
    keys.iter().for_each(|key| judge_template(context, key, found));
}

fn before(context: &Context<'_>) -> i64 {
    match context.facts.old_object.as_ref().and_then(|old| old.facts.scheduling()) {
        Some(Scheduling::Scale { replicas }) => *replicas,
        Some(Scheduling::Node { .. } | Scheduling::RuntimeClass { .. }) | None => 0,
    }
}

fn judge_template(context: &Context<'_>, key: &ObjectKey, found: &mut Found) {
    let read = context.facts.answers.whole.iter().find(|(asked, _)| asked == key);
    let template = match read {
        Some((_, read)) => read.as_ref(),
        None => context.lookup(key).filter(|known| matches!(known.facts, Facts::Workload(_))),
    };
    match template {
        Some(template) => {
            let ways = ways(context, template);
            if !ways.is_empty() {
                refuse(standing::of_stored(context, template), ways, found);
            }
        }
        // It is gone since.
        None if read.is_some() => {}
        None => found.confirm(Question::Whole(key.clone())),
    }
}

fn ways(context: &Context<'_>, template: &Object) -> Vec<Way> {
    let Some(workload) = template.facts.workload() else { return Vec::new() };
    let namespace = context.facts.target.namespace.as_str();
    let ways = in_scope(context, placement::ways(context, namespace, template, workload));
    let at = |way: Way| {
        let what = format!("the template of {} at `{}`: {}", template.key, way.path, way.what);
        Way { path: PATH.to_owned(), what, ..way }
    };
    // They would all be told of one field.
    ways.into_iter().map(at).take(1).collect()
}
