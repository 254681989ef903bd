//! Which object a workload is reported at: the one that somebody wrote, not the hundred that controllers made of it.

use std::collections::BTreeMap;

use pinfold_model::object::{AGENT_GROUPS, Object, ObjectKey};
use pinfold_model::snapshot::Snapshot;

/// Longest chain of owners that is followed.
const OWNERS_MAX: usize = 8;

/// `apiVersion` of every kind that a scan looks at, by group and kind.
pub(super) type Kinds = BTreeMap<(String, String), String>;

/// The first owner above a workload; the workload itself if it has none, or names one that can't be it.
pub(super) fn root(object: &Object, view: &Snapshot, kinds: &Kinds) -> ObjectKey {
    let mut key = object.key.clone();
    if !key.is_workload() {
        return key;
    }
    let mut current = object;
    for _ in 0..OWNERS_MAX {
        let Some(owner) = current.meta.controller() else { break };
        if !kinds.contains_key(&(owner.group.clone(), owner.kind.clone())) {
            break;
        }
        let above = ObjectKey::new(&owner.group, &owner.kind, &key.namespace, &owner.name);
        match view.get(&above) {
            Some(found) if found.meta.uid == owner.uid => {
                key = above;
                current = found;
            }
            // The view holds every object of these kinds: a name that is not among them is no owner.
            _ if above.is_workload() || AGENT_GROUPS.contains(&above.group.as_str()) => break,
            _ => return above,
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use pinfold_model::object::{Object, ObjectKey, from_value};
    use pinfold_model::snapshot::Snapshot;
    use serde_json::json;

    use super::{Kinds, root};

    fn owned(kind: &str, name: &str, owner: &str) -> Object {
        let group = |kind: &str| if kind == "Pod" { "v1" } else { "apps/v1" };
        let owners: Vec<_> = owner
            .split_once('/')
            .map(|(kind, name)| {
                let (name, uid) = name.split_once('#').unwrap_or((name, name));
                let version = if kind == "Workflow" { "argoproj.io/v1" } else { "apps/v1" };
                json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true})
            })
            .into_iter()
            .collect();
        let metadata =
            json!({"name": name, "namespace": "a", "uid": name, "ownerReferences": owners});
        from_value(&json!({"apiVersion": group(kind), "kind": kind, "metadata": metadata})).unwrap()
    }

    #[test]
    fn what_controllers_made_is_reported_at_what_somebody_wrote() {
        let view = Snapshot::of([
            owned("Deployment", "web", ""),
            owned("ReplicaSet", "web-1", "Deployment/web"),
            owned("ReplicaSet", "stray", "Deployment/gone"),
            owned("ReplicaSet", "own", "ReplicaSet/own"),
        ]);
        let kinds: Kinds =
            [("apps", "Deployment"), ("apps", "ReplicaSet"), ("argoproj.io", "Workflow")]
                .map(|(group, kind)| ((group.to_owned(), kind.to_owned()), String::new()))
                .into();
        let cases = [
            ("", "Pod", "p"),
            ("ReplicaSet/web-1", "Deployment", "web"),
            ("ReplicaSet/web-1#other", "Pod", "p"),
            ("ReplicaSet/stray", "ReplicaSet", "stray"),
            ("ReplicaSet/gone", "Pod", "p"),
            ("StatefulSet/web", "Pod", "p"),
            ("Workflow/w", "Workflow", "w"),
            ("ReplicaSet/own", "ReplicaSet", "own"),
        ];
        for (owner, kind, name) in cases {
            let ObjectKey { kind: found, name: found_name, .. } =
                root(&owned("Pod", "p", owner), &view, &kinds);
            assert_eq!((found.as_str(), found_name.as_str()), (kind, name), "{owner}");
        }
    }
}
