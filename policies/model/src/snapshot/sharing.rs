//! What a view of a live cluster keeps of an object: parts that many have in common once, and of RBAC objects nothing that no rule reads.
//!
//! Offline views are small and keep all.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use super::RBAC_GROUP;
use crate::digest::Digest;
use crate::object::pod::Workload;
use crate::object::rbac::{PolicyRule, RoleRef, Rules, Subject};
use crate::object::{Facts, Object};
use crate::policy::inject::POLICY;

/// Fewest parts after which it is worth looking for those that nobody has any more.
const SWEEP_MIN: usize = 4_096;

/// The parts that objects have in common. One for each view, with whoever fills it.
#[derive(Debug, Default)]
pub struct Sharing {
    rules: HashSet<Arc<PolicyRule>>,
    roles: HashSet<Arc<RoleRef>>,
    subjects: HashSet<Arc<[Subject]>>,
    /// How many parts were left by the last sweep.
    kept: usize,
}

impl Sharing {
    /// The object as the view keeps it. Of a workload rules read, beside the metadata, which claims it uses. Of RBAC objects rules read the owners, the labels of ClusterRoles, because aggregation asks for them, and the
    /// uids of roles; nothing has a binding for its owner.
    #[must_use]
    pub fn keep(&mut self, mut object: Object) -> Object {
        if object.key.group.is_empty() && object.key.kind == "Pod" {
            shorten_policy(&mut object);
        }
        if object.key.group == RBAC_GROUP {
            object.meta.annotations.clear();
            if object.key.kind != "ClusterRole" {
                object.meta.labels.clear();
            }
        }
        if let Facts::Role(role) = &mut object.facts {
            let own = role.rules.0.iter().map(|rule| shared(&mut self.rules, rule));
            role.rules = Rules(own.collect());
        } else if let Facts::Binding(binding) = &mut object.facts {
            binding.role_ref = shared(&mut self.roles, &binding.role_ref);
            binding.subjects = shared(&mut self.subjects, &binding.subjects);
            object.meta.uid = String::new();
        } else if let Facts::Workload(workload) = &mut object.facts {
            let kept = kept_of(std::mem::take(workload));
            object.facts = kept.map_or(Facts::MetaOnly, |kept| Facts::Workload(Box::new(kept)));
        }
        if self.len() > self.kept.saturating_mul(2).max(SWEEP_MIN) {
            self.sweep();
        }
        object
    }

    fn len(&self) -> usize {
        self.rules.len().saturating_add(self.roles.len()).saturating_add(self.subjects.len())
    }

    /// Lets go of what no object has any more. It is due each time that the parts have doubled, so a change costs the same on average.
    fn sweep(&mut self) {
        self.rules.retain(|part| Arc::strong_count(part) > 1);
        self.roles.retain(|part| Arc::strong_count(part) > 1);
        self.subjects.retain(|part| Arc::strong_count(part) > 1);
        self.kept = self.len();
    }
}

/// What is kept of a watched workload: nothing beyond metadata unless it uses claims, because most pods use none and there are many of them. What a
/// template says is read whole where that matters (`Question::Whole`).
fn kept_of(workload: Workload) -> Option<Workload> {
    let Workload { spec_path, meta_path, claims, finished, .. } = workload;
    let kept = Workload { spec_path, meta_path, claims, finished, ..Workload::default() };
    (!kept.claims.is_empty()).then_some(kept)
}

/// A compiled policy takes up to 200 KiB, and every confined pod has one: its digest is kept in its place. Nothing of it is left on a pod that has ended,
/// which nobody has to reach any more.
fn shorten_policy(pod: &mut Object) {
    let finished = pod.facts.workload().is_some_and(|workload| workload.finished);
    if finished {
        pod.meta.annotations.remove(POLICY);
    } else if let Some(text) = pod.meta.annotations.get_mut(POLICY) {
        *text = Digest::of(text.as_bytes()).to_string();
    }
}

fn shared<T: Hash + Eq + ?Sized>(known: &mut HashSet<Arc<T>>, part: &Arc<T>) -> Arc<T> {
    if let Some(known) = known.get(part) {
        return Arc::clone(known);
    }
    known.insert(Arc::clone(part));
    Arc::clone(part)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::{SWEEP_MIN, Sharing};
    use crate::digest::Digest;
    use crate::object::{Facts, Meta, Object, from_value};
    use crate::policy::inject::POLICY;

    fn binding(name: &str, user: &str) -> Object {
        let object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": "n", "uid": "u", "labels": {"a": "b"}, "annotations": {"c": "d"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "o"}]},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            "subjects": [{"kind": "User", "name": user}]});
        from_value(&object).expect("a binding")
    }

    fn role(kind: &str, name: &str) -> Object {
        let object = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "metadata": {"name": name, "uid": "r", "labels": {"a": "b"}, "annotations": {"c": "d"}},
            "rules": [{"verbs": ["get"], "resources": [name]}, {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
        from_value(&object).expect("a role")
    }

    #[test]
    fn equal_parts_are_one_and_what_rules_read_stays() {
        let mut sharing = Sharing::default();
        let (one, two) = (binding("one", "ada"), binding("two", "ada"));
        let kept = [sharing.keep(one.clone()), sharing.keep(two.clone())];
        let [Facts::Binding(left), Facts::Binding(right)] = kept.each_ref().map(|one| &one.facts)
        else {
            panic!("bindings")
        };
        assert!(Arc::ptr_eq(&left.role_ref, &right.role_ref));
        assert!(Arc::ptr_eq(&left.subjects, &right.subjects));
        for (kept, whole) in kept.iter().zip([&one, &two]) {
            assert_eq!((&kept.key, &kept.facts), (&whole.key, &whole.facts));
            assert_eq!(kept.meta, Meta { owners: whole.meta.owners.clone(), ..Meta::default() });
        }
        let whole = role("ClusterRole", "a");
        let roles = [sharing.keep(whole.clone()), sharing.keep(role("Role", "b"))];
        assert_eq!(roles[0].facts, whole.facts);
        assert_eq!(roles[0].meta.labels, whole.meta.labels, "aggregation asks for them");
        assert_eq!((roles[0].meta.uid.as_str(), roles[0].meta.annotations.len()), ("r", 0));
        let [Facts::Role(left), Facts::Role(right)] = roles.each_ref().map(|one| &one.facts) else {
            panic!("roles")
        };
        assert!(!Arc::ptr_eq(&left.rules.0[0], &right.rules.0[0]));
        assert!(Arc::ptr_eq(&left.rules.0[1], &right.rules.0[1]));
    }

    #[test]
    fn of_a_pod_stay_the_metadata_and_the_claims_that_it_uses() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "labels": {"a": "b"},
                "annotations": {"pinfold.dev/run": "r/u"}},
            "spec": {"serviceAccountName": "s", "nodeName": "t1", "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}],
                "containers": [{"envFrom": [{"secretRef": {"name": "x"}}]}],
                "volumes": [{"persistentVolumeClaim": {"claimName": "c", "readOnly": true}}]},
            "status": {"phase": "Failed"}});
        let whole = from_value(&pod).expect("a pod");
        let kept = Sharing::default().keep(whole.clone());
        assert_eq!((&kept.key, &kept.meta), (&whole.key, &whole.meta));
        let [Some(kept), Some(whole)] = [&kept, &whole].map(|object| object.facts.workload())
        else {
            panic!("pods")
        };
        assert_eq!((&kept.claims, kept.finished), (&whole.claims, true));
        assert_eq!(kept.claims.len(), 1);
        assert!(kept.references.is_empty() && kept.placement.tolerations.is_empty());
        assert!(kept.pod_annotations.is_empty(), "they are the object's own");
        let mut bare = pod;
        bare["spec"]["volumes"] = json!([]);
        let kept = Sharing::default().keep(from_value(&bare).expect("a pod"));
        assert_eq!((kept.facts, kept.meta.annotations.len()), (Facts::MetaOnly, 1));
    }

    #[test]
    fn of_a_compiled_policy_the_digest_stays_until_the_pod_has_ended() {
        let pod = |phase: &str| {
            let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n",
                    "annotations": {POLICY: "{}", "pinfold.dev/policy-digest": "d"}},
                "spec": {"containers": []}, "status": {"phase": phase}});
            Sharing::default().keep(from_value(&object).expect("a pod"))
        };
        let running = pod("Running");
        let kept = running.meta.annotations.get(POLICY).expect("its digest");
        assert_eq!(*kept, Digest::of(b"{}").to_string());
        assert_eq!(
            running.meta.annotations.get("pinfold.dev/policy-digest").expect("as written"),
            "d"
        );
        for phase in ["Succeeded", "Failed"] {
            assert_eq!(pod(phase).meta.annotations.get(POLICY), None, "{phase}");
        }
    }

    #[test]
    fn parts_of_objects_that_are_gone_are_let_go() {
        let mut sharing = Sharing::default();
        let kept = sharing.keep(binding("stays", "ada"));
        for number in 0..4 * SWEEP_MIN {
            drop(sharing.keep(binding("goes", &number.to_string())));
            assert!(sharing.len() <= SWEEP_MIN + 2);
        }
        let Facts::Binding(binding) = &kept.facts else { panic!("a binding") };
        assert!(sharing.subjects.contains(&binding.subjects));
    }
}
