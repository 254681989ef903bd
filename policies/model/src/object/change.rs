//! How much an update changes, told from the JSON of the object before and after.

use serde_json::{Map, Value};

/// How much an update changes. What isn't known counts as content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Change {
    /// Nothing but finalizers, owner references and managed fields: what the garbage collector writes to get rid of an object.
    Garbage,
    /// Nothing but metadata.
    Metadata,
    /// Nothing but metadata, status, and settings of a pod or workload of Kubernetes that start nothing: no more replicas, a pause, suspension.
    Lowered,
    /// The same, and settings by which more pods of the same template start: replicas, a suspension that ends, a schedule, a gate that goes.
    Raised,
    /// Anything else.
    #[default]
    Content,
}

impl Change {
    /// Whether nothing starts, and nothing changes of what there is but metadata.
    #[must_use]
    pub fn starts_nothing(self) -> bool {
        match self {
            Self::Garbage | Self::Metadata | Self::Lowered => true,
            Self::Raised | Self::Content => false,
        }
    }
}

/// Settings of workloads that start nothing by themselves.
const QUIET_FIELDS: [&str; 10] = [
    "paused",
    "minReadySeconds",
    "revisionHistoryLimit",
    "progressDeadlineSeconds",
    "strategy",
    "updateStrategy",
    "ttlSecondsAfterFinished",
    "successfulJobsHistoryLimit",
    "failedJobsHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
];

/// Settings of workloads by which pods of the template that they have are made.
const STARTING_FIELDS: [&str; 8] = [
    "replicas",
    "parallelism",
    "suspend",
    "schedule",
    "timeZone",
    "concurrencyPolicy",
    "startingDeadlineSeconds",
    "backoffLimit",
];

/// Counts of pods, and how many an absent one means at most.
const COUNTS: [&str; 2] = ["replicas", "parallelism"];
const COUNT_DEFAULT: i64 = 1;

/// Metadata that neither rules nor workloads read (apiserver `IsOnlyMutatingGCFields`, and the counters of the store).
const GARBAGE_FIELDS: [&str; 6] =
    ["finalizers", "ownerReferences", "managedFields", "resourceVersion", "generation", "selfLink"];

/// How much changes from `old` to `new`. Of the members that are compared, `null`, absent and an empty list are the same, as they are to
/// the API server, which writes a Role without rules either way.
#[must_use]
pub fn change(old: &Value, new: &Value) -> Change {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return Change::Content };
    if !same_but(old, new, &["metadata"]) {
        return settings(old, new).unwrap_or(Change::Content);
    }
    let none = Map::new();
    let metadata = |object: &Map<String, Value>| match object.get("metadata") {
        Some(Value::Object(metadata)) => metadata.clone(),
        _ => none.clone(),
    };
    if same_but(&metadata(old), &metadata(new), &GARBAGE_FIELDS) {
        Change::Garbage
    } else {
        Change::Metadata
    }
}

/// [`Change::Lowered`] or [`Change::Raised`] of a pod or workload of which nothing but metadata, status and settings change; `None` of anything else.
fn settings(old: &Map<String, Value>, new: &Map<String, Value>) -> Option<Change> {
    let text = |field: &str| new.get(field).and_then(Value::as_str);
    let (starting, quiet): (&[&str], &[&str]) = match (text("apiVersion")?, text("kind")?) {
        ("apps/v1", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch/v1", "Job" | "CronJob")
        | ("v1", "ReplicationController") => (&STARTING_FIELDS, &QUIET_FIELDS),
        ("v1", "Pod") => (&["schedulingGates"], &["activeDeadlineSeconds"]),
        _ => return None,
    };
    let none = Map::new();
    let of = |object| spec(object).unwrap_or(&none);
    let (before, after) = (of(old), of(new));
    let but_settings: Vec<&str> = starting.iter().chain(quiet).copied().collect();
    if !same_but(old, new, &["metadata", "spec", "status"])
        || !same_but(before, after, &but_settings)
    {
        return None;
    }
    let others: Vec<&str> = starting.iter().copied().filter(|field| !is_weighed(field)).collect();
    let all_but = |kept: &[&str]| -> bool {
        kept.iter().all(|field| {
            let value = |spec: &Map<String, Value>| spec.get(*field).cloned().unwrap_or_default();
            value(before) == value(after)
        })
    };
    let count = |spec: &Map<String, Value>, field: &str| match spec.get(field) {
        None | Some(Value::Null) => Some(COUNT_DEFAULT),
        Some(count) => count.as_i64(),
    };
    let no_more = COUNTS.iter().all(|field| {
        let (before, after) = (count(before, field), count(after, field));
        before.is_some() && after.is_some() && after <= before
    });
    let suspended = |spec: &Map<String, Value>| spec.get("suspend") == Some(&Value::Bool(true));
    let wakes = suspended(before) && !suspended(after);
    Some(if no_more && !wakes && all_but(&others) { Change::Lowered } else { Change::Raised })
}

/// Whether a setting has a direction in which it starts nothing.
fn is_weighed(field: &str) -> bool {
    COUNTS.contains(&field) || field == "suspend"
}

fn spec(object: &Map<String, Value>) -> Option<&Map<String, Value>> {
    object.get("spec").and_then(Value::as_object)
}

/// Whether two objects are the same but for some members.
fn same_but(old: &Map<String, Value>, new: &Map<String, Value>, except: &[&str]) -> bool {
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let covered = |left: &Map<String, Value>, right: &Map<String, Value>| {
        left.iter().all(|(name, value)| {
            let other = right.get(name).unwrap_or(&Value::Null);
            except.contains(&name.as_str())
                || value == other
                || (is_empty(value) && is_empty(other))
        })
    };
    covered(old, new) && covered(new, old)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Change, change};

    /// The change from one spec to another.
    fn of(version: &str, kind: &str, (old, new): (Value, Value)) -> Change {
        let object = |spec: Value| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": spec});
        change(&object(old), &object(new))
    }

    #[test]
    fn replicas_are_lowered_or_raised() {
        let template = json!({"spec": {"containers": [{"image": "a"}]}});
        let other = json!({"spec": {"containers": [{"image": "b"}]}});
        let with = |replicas: Value| json!({"replicas": replicas, "template": template});
        let paused = json!({"replicas": 1, "template": template, "paused": true});
        let cases = [
            (with(json!(2)), with(json!(0)), Change::Lowered),
            (with(json!(2)), with(json!(null)), Change::Lowered),
            (with(json!(null)), with(json!(1)), Change::Lowered),
            (with(json!(0)), with(json!(null)), Change::Raised),
            (with(json!(0)), with(json!(1)), Change::Raised),
            (with(json!(1)), with(json!("0")), Change::Raised),
            (with(json!(1)), json!({"replicas": 0, "template": other}), Change::Content),
            (with(json!(1)), json!({"replicas": 0}), Change::Content),
            (with(json!(1)), paused, Change::Lowered),
        ];
        for (row, (old, new, expected)) in cases.into_iter().enumerate() {
            assert_eq!(of("apps/v1", "Deployment", (old, new)), expected, "row {row}");
        }
    }

    #[test]
    fn other_settings_are_lowered_or_raised() {
        let suspended = || json!({"jobTemplate": 1, "suspend": true});
        let awake = || json!({"jobTemplate": 1});
        let gated = json!({"schedulingGates": [{"name": "x"}]});
        let cases = [
            ("batch/v1", "CronJob", (awake(), suspended()), Change::Lowered),
            ("batch/v1", "CronJob", (suspended(), awake()), Change::Raised),
            (
                "batch/v1",
                "CronJob",
                (json!({"schedule": "a"}), json!({"schedule": "b", "suspend": true})),
                Change::Raised,
            ),
            (
                "batch/v1",
                "Job",
                (json!({"parallelism": 2}), json!({"parallelism": 3})),
                Change::Raised,
            ),
            ("v1", "Pod", (gated, json!({})), Change::Raised),
            (
                "v1",
                "Pod",
                (json!({"tolerations": []}), json!({"tolerations": [{}]})),
                Change::Content,
            ),
            (
                "krate.a5c.ai/v1",
                "Job",
                (json!({"suspend": false}), json!({"suspend": true})),
                Change::Content,
            ),
            ("tekton.dev/v1", "PipelineRun", (json!({}), json!({"paused": true})), Change::Content),
        ];
        for (version, kind, specs, expected) in cases {
            let shown = format!("{kind} {specs:?}");
            assert_eq!(of(version, kind, specs), expected, "{shown}");
        }
    }

    #[test]
    fn only_what_the_garbage_collector_writes_is_garbage() {
        let old = json!({"metadata": {"name": "a", "finalizers": ["x"], "labels": {"k": "v"}},
            "spec": {"a": 1}, "status": null});
        let cases = [
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"a": 1}}),
                Change::Garbage,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}, "resourceVersion": "7",
                    "ownerReferences": [{"uid": "u"}]}, "spec": {"a": 1}}),
                Change::Garbage,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "w"}}, "spec": {"a": 1}}),
                Change::Metadata,
            ),
            (
                json!({"metadata": {"name": "a", "annotations": {"k": "v"}, "labels": {"k": "v"}}, "spec": {"a": 1}}),
                Change::Metadata,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"a": 2}}),
                Change::Content,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"a": 1}, "data": {}}),
                Change::Content,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"a": 1}, "rules": []}),
                Change::Garbage,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"a": 1}, "rules": [{}]}),
                Change::Content,
            ),
            (json!({"metadata": {"name": "a", "labels": {"k": "v"}}}), Change::Content),
            (json!([]), Change::Content),
        ];
        for (new, expected) in cases {
            assert_eq!(change(&old, &new), expected, "{new}");
        }
    }
}
