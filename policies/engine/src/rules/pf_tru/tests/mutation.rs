//! Mutation: the stamp, the move to the untrusted pool, and that a second pass changes nothing.

use pinfold_model::facts::Question;
use pinfold_model::object::ObjectKey;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::{Value, json};

use super::{CLUSTER, KEPT_OFF, POLICY, create, pod, update, user, value, with};
use crate::context::Context;
use crate::decision::Mutation;
use crate::organization::fixture::{self, NOW, spoken};

struct Gate {
    view: Snapshot,
    policy: AdmissionPolicy,
}

fn gate(extra: &str) -> Gate {
    let policy = format!("{extra}\n{POLICY}");
    Gate { view: fixture::view(CLUSTER), policy: fixture::policy(&policy) }
}

fn forced() -> Gate {
    let mut gate = gate("mode: enforce");
    gate.policy.trust.on_untrusted = pinfold_model::policy::admission::OnUntrusted::Force;
    gate
}

impl Gate {
    fn mutate(&self, facts: &pinfold_model::facts::AdmissionFacts) -> Mutation {
        let Self { view, policy } = self;
        super::super::rewrite(&Context { facts, view, policy, now: NOW })
    }

    /// The object after mutation; the property that a second pass changes nothing and that what was moved is let in holds for all.
    fn after(&self, name: &str, manifest: &Value) -> Value {
        let mutation = self.mutate(&create(name, manifest));
        let after = apply(manifest, &mutation);
        let again = self.mutate(&create(name, &after));
        assert!(again.patch.is_empty(), "{manifest}\n{again:#?}");
        let found = fixture::found(
            super::super::judge_placement,
            &create(name, &after),
            &self.view,
            &self.policy,
        );
        let moved = !mutation.notes.is_empty();
        assert!(!moved || spoken(&found).is_empty(), "{manifest}\n{after}\n{found:#?}");
        after
    }
}

fn apply(manifest: &Value, mutation: &Mutation) -> Value {
    let steps = serde_json::to_value(&mutation.patch).expect("a patch");
    let patch: json_patch::Patch = serde_json::from_value(steps).expect("a JSON Patch");
    let mut after = manifest.clone();
    json_patch::patch(&mut after, &patch).expect("it applies");
    after
}

fn labelled(manifest: Value, run: &str) -> Value {
    with(manifest, &["metadata", "labels"], json!({"krate.a5c.ai/dispatch-run": run}))
}

#[test]
fn what_a_controller_makes_for_a_run_is_stamped() {
    let gate = gate("mode: enforce");
    let stamp = |value: &Value| value["metadata"]["annotations"]["pinfold.dev/run"].clone();
    let cases = [
        ("controller", labelled(pod("g", KEPT_OFF), "main"), json!("main/u-main")),
        ("controller", labelled(pod("g", KEPT_OFF), "pull"), json!("pull/u-pull")),
        ("controller", labelled(pod("g", KEPT_OFF), "attempt"), json!("attempt/u-attempt")),
        ("controller", labelled(pod("g", KEPT_OFF), "not-there"), Value::Null),
        ("controller", labelled(pod("g", KEPT_OFF), "twice"), Value::Null),
        ("controller", pod("g", KEPT_OFF), Value::Null),
        ("dev", labelled(pod("g", KEPT_OFF), "main"), Value::Null),
        ("replicasets", labelled(pod("g", KEPT_OFF), "main"), Value::Null),
        ("", labelled(pod("g", KEPT_OFF), "main"), Value::Null),
    ];
    for (name, manifest, expected) in cases {
        assert_eq!(stamp(&gate.after(name, &manifest)), expected, "{name} {manifest}");
    }
    let kept =
        with(labelled(pod("g", KEPT_OFF), "main"), &["metadata", "annotations"], json!({"a": "b"}));
    assert_eq!(
        gate.after("controller", &kept)["metadata"]["annotations"],
        json!({"a": "b", "pinfold.dev/run": "main/u-main"})
    );
}

#[test]
fn a_run_that_no_watch_has_seen_yet_is_asked_for_and_then_stamped() {
    let gate = gate("mode: enforce");
    let manifest = labelled(pod("g", KEPT_OFF), "fresh");
    let mut facts = create("controller", &manifest);
    let key = ObjectKey::new("krate.a5c.ai", "AgentDispatchRun", "g", "fresh");
    assert!(gate.mutate(&facts).questions.contains(&Question::Object(key.clone())));
    let live = value(
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: fresh, namespace: g, uid: f}, spec: {ref: refs/heads/main}}",
    );
    facts.answers.objects = vec![(key, Some(fixture::object(&live)))];
    let after = apply(&manifest, &gate.mutate(&facts));
    assert_eq!(after["metadata"]["annotations"]["pinfold.dev/run"], "fresh/f");
    // Nobody else's claim is worth a question.
    assert!(gate.mutate(&create("dev", &manifest)).questions.is_empty());
}

#[test]
fn a_claim_that_a_controller_makes_for_a_run_is_stamped_and_nothing_else_of_it_changes() {
    let gate = forced();
    let claim = value(
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: g}, spec: {storageClassName: fast}}",
    );
    for (name, run, stamp) in [
        ("controller", "main", json!("main/u-main")),
        ("controller", "pull", json!("pull/u-pull")),
        ("controller", "not-there", Value::Null),
        ("dev", "main", Value::Null),
    ] {
        let manifest = labelled(claim.clone(), run);
        let after = gate.after(name, &manifest);
        assert_eq!(after["metadata"]["annotations"]["pinfold.dev/run"], stamp, "{name} {run}");
        assert_eq!(after["spec"], manifest["spec"]);
    }
    // Of other kinds that make no pods nothing is stamped.
    let config = value("{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: g}}");
    assert!(gate.mutate(&create("controller", &labelled(config, "main"))).patch.is_empty());
}

#[test]
fn the_scheduler_and_the_sandbox_become_those_of_the_policy() {
    let cases: [(&[&str], &[&str], Value, Value); 3] = [
        (&["default-scheduler"], &[], Value::Null, Value::Null),
        (&["volcano"], &["gvisor", "kata-fc"], json!("volcano"), json!("gvisor")),
        (&["volcano", "default-scheduler"], &["kata-fc"], Value::Null, json!("kata-fc")),
    ];
    for (schedulers, sandboxes, scheduler, class) in cases {
        let mut gate = forced();
        let own = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        gate.policy.trust.schedulers = own(schedulers);
        gate.policy.trust.untrusted_runtime_classes = own(sandboxes);
        let spec = "schedulerName: mine, runtimeClassName: kata, overhead: {cpu: 1}, nodeSelector: {pool: trusted}";
        let after = gate.after("dev", &pod("g", spec));
        assert_eq!(after["spec"]["schedulerName"], scheduler);
        assert_eq!(after["spec"]["runtimeClassName"], class);
        assert_eq!(after["spec"]["overhead"], Value::Null);
    }
}

#[test]
fn a_volume_that_the_trusted_pools_nodes_alone_reach_cannot_hold_it_there() {
    let mut gate = forced();
    for manifest in [
        "{apiVersion: v1, kind: PersistentVolume, metadata: {name: local}, spec: {nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [trusted]}]}]}}}}",
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: local, namespace: g}, spec: {volumeName: local}}",
    ] {
        gate.view.apply(fixture::object(&value(manifest)));
    }
    let spec = "volumes: [{persistentVolumeClaim: {claimName: local}}], tolerations: [{key: pool, operator: Exists}]";
    let after = gate.after("dev", &pod("g", spec));
    // It waits for a node that there is none of.
    assert_eq!(after["spec"]["nodeSelector"], json!({"pool": "untrusted", "tier": "free"}));
}

#[test]
fn templates_are_stamped_so_that_their_pods_are() {
    let gate = gate("mode: enforce");
    let cron = value(
        "{apiVersion: batch/v1, kind: CronJob, metadata: {name: c, namespace: g}, spec: {jobTemplate: {spec: {template: {spec: {nodeSelector: {pool: untrusted, tier: free}}}}}}}",
    );
    let after = gate.after("controller", &labelled(cron, "main"));
    let template = &after["spec"]["jobTemplate"]["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"]["pinfold.dev/run"], "main/u-main");
    assert_eq!(after["metadata"]["annotations"]["pinfold.dev/run"], "main/u-main");
    // Without a template there is nothing to stamp but the object.
    let empty = value(
        "{apiVersion: v1, kind: ReplicationController, metadata: {name: c, namespace: g}, spec: {}}",
    );
    assert_eq!(gate.after("controller", &labelled(empty, "main"))["spec"], json!({}));
    // An update doesn't stamp.
    let manifest = labelled(pod("g", KEPT_OFF), "main");
    assert!(gate.mutate(&update("controller", &manifest, &manifest)).patch.is_empty());
}

#[test]
fn untrusted_work_is_moved_to_the_untrusted_pool_with_nothing_of_the_old_one() {
    let manifest = value(
        "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: g, labels: {krate.a5c.ai/runner-pool: own, app: x}}, spec: {
          serviceAccountName: runner-trusted, serviceAccount: runner-trusted, imagePullSecrets: [{name: x}],
          nodeName: t1, nodeSelector: {pool: trusted, disk: ssd}, priorityClassName: urgent, priority: 9, preemptionPolicy: Never,
          runtimeClassName: kata, overhead: {cpu: 1}, automountServiceAccountToken: true, containers: [{name: c, image: i}],
          affinity: {podAffinity: {a: 1}, nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: Exists}]}]}}},
          tolerations: [{operator: Exists}, {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}, {key: pool, value: trusted}]}}",
    );
    let gate = forced();
    let after = gate.after("dev", &manifest);
    let expected = json!({
        "serviceAccountName": "runner-untrusted", "nodeSelector": {"pool": "untrusted", "tier": "free"},
        "automountServiceAccountToken": false, "containers": [{"name": "c", "image": "i"}], "affinity": {"podAffinity": {"a": 1}},
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "pool", "operator": "Equal", "value": "untrusted", "effect": "NoSchedule"}]});
    assert_eq!(after["spec"], expected);
    assert_eq!(
        after["metadata"]["labels"],
        json!({"krate.a5c.ai/runner-pool": "sandbox", "app": "x"})
    );
    let note = &gate.mutate(&create("dev", &manifest)).notes[0];
    assert_eq!(
        note.message,
        "untrusted work (no record of a run) was moved from `g/own` to `sandbox`"
    );
}

#[test]
fn every_way_onto_a_trusted_pool_is_undone() {
    let gate = forced();
    let specs = [
        "containers: []",
        "nodeSelector: {pool: trusted}",
        "nodeSelector: {tier: gold}",
        "serviceAccount: runner-trusted",
        "serviceAccountName: pool-account",
        "nodeName: t1",
        "nodeName: not-there",
        "runtimeClassName: kata",
        "priorityClassName: urgent",
        "tolerations: [{operator: Exists}]",
        "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: pool, operator: In, values: [trusted]}]}}]}}",
        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [t1]}]}]}}}",
    ];
    for spec in specs {
        let bare = pod("g", spec);
        let deployment =
            value("{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: g}}");
        let deployment = with(deployment, &["spec", "template", "spec"], bare["spec"].clone());
        for manifest in [bare, deployment] {
            assert!(!gate.mutate(&create("dev", &manifest)).notes.is_empty(), "{manifest}");
            gate.after("dev", &manifest);
            // With `deny` nothing moves.
            assert!(
                super::super::force::rewrite(&context(&self::gate("mode: enforce"), &manifest))
                    .patch
                    .is_empty()
            );
        }
    }
}

fn context<'a>(gate: &'a Gate, manifest: &Value) -> Context<'a> {
    let facts = Box::leak(Box::new(create("dev", manifest)));
    Context { facts, view: &gate.view, policy: &gate.policy, now: NOW }
}

#[test]
fn a_controller_of_an_untrusted_run_is_moved_and_stamped_at_once() {
    let gate = forced();
    let after =
        gate.after("controller", &labelled(pod("g", "nodeSelector: {pool: trusted}"), "pull"));
    assert_eq!(after["metadata"]["annotations"]["pinfold.dev/run"], "pull/u-pull");
    assert_eq!(after["spec"]["nodeSelector"], json!({"pool": "untrusted", "tier": "free"}));
    let trusted =
        gate.after("controller", &labelled(pod("g", "nodeSelector: {pool: trusted}"), "main"));
    assert_eq!(trusted["spec"]["nodeSelector"], json!({"pool": "trusted"}));
}

#[test]
fn where_it_cannot_be_moved_nothing_is_and_validation_denies() {
    let attack = pod("g", "nodeSelector: {pool: trusted}");
    let owned = |kind: &str, manifest: Value| {
        let owners = json!([{"apiVersion": "apps/v1", "kind": kind, "name": "bare", "uid": "bare", "controller": true}]);
        with(manifest, &["metadata", "ownerReferences"], owners)
    };
    let gate = forced();
    let replica_set = value(
        "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r, namespace: g}, spec: {template: {spec: {nodeSelector: {pool: trusted}}}}}",
    );
    let pool_label = json!({"krate.a5c.ai/runner-pool": "own"});
    let unmoved = [
        // A Deployment's controller would make another ReplicaSet for ever.
        owned("Deployment", replica_set),
        // A ReplicaSet finds its pods by their labels.
        with(owned("ReplicaSet", attack.clone()), &["metadata", "labels"], pool_label),
    ];
    for manifest in unmoved {
        assert!(gate.mutate(&create("replicasets", &manifest)).patch.is_empty(), "{manifest}");
        let found = fixture::found(
            super::super::judge_placement,
            &create("replicasets", &manifest),
            &gate.view,
            &gate.policy,
        );
        assert!(!spoken(&found).is_empty());
    }
    assert!(
        !gate.mutate(&create("replicasets", &owned("ReplicaSet", attack.clone()))).patch.is_empty()
    );
    // Live pods, unknown requesters, exempt or warned rules.
    assert!(gate.mutate(&update("dev", &attack, &attack)).patch.is_empty());
    assert!(gate.mutate(&create("", &attack)).patch.is_empty());
    for extra in [
        "rules: [{id: PF-TRU-001, mode: warn}]",
        "rules: [{id: PF-TRU-001, mode: 'off'}]",
        "exceptions: [{rules: [PF-TRU-001], match: {namespaces: [g]}, until: 2027-01-01, owner: o, reason: r}]",
    ] {
        let mut gate = self::gate(extra);
        gate.policy.trust.on_untrusted = pinfold_model::policy::admission::OnUntrusted::Force;
        assert!(gate.mutate(&create("dev", &attack)).patch.is_empty(), "{extra}");
    }
    // Without an untrusted pool that keeps work off the trusted ones there is nowhere to go.
    let mut gate = forced();
    gate.policy.trust.pools.retain(|pool| pool.name != "sandbox");
    assert!(gate.mutate(&create("dev", &attack)).patch.is_empty());
}

#[test]
fn the_namespaces_own_untrusted_pool_serves_too() {
    let mut gate = forced();
    gate.policy.trust.pools.retain(|pool| pool.name != "sandbox");
    let runner = value(
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: free, namespace: g}, spec: {trustTier: untrusted, serviceAccountRef: free-account, nodeSelector: {pool: untrusted, tier: free}}}",
    );
    gate.view.apply(fixture::object(&runner));
    let after = gate.after(
        "dev",
        &with(
            pod("g", "nodeSelector: {pool: trusted}"),
            &["metadata", "labels"],
            json!({"krate.a5c.ai/runner-pool": "own"}),
        ),
    );
    assert_eq!(after["spec"]["serviceAccountName"], "free-account");
    assert_eq!(after["metadata"]["labels"]["krate.a5c.ai/runner-pool"], "free");
}

mod twice {
    use proptest::prelude::*;

    use super::*;

    /// Parts of a pod spec, each a way onto a pool or none.
    fn spec() -> impl Strategy<Value = String> {
        let part = |choices: &'static [&'static str]| prop::sample::select(choices);
        (
            part(&["", "nodeSelector: {pool: trusted}, ", "nodeSelector: {tier: gold}, ", "nodeSelector: {pool: untrusted, tier: free}, "]),
            part(&["", "serviceAccountName: runner-trusted, ", "serviceAccount: runner-trusted, ", "serviceAccountName: a, serviceAccount: runner-trusted, "]),
            part(&["", "tolerations: [{operator: Exists}, {key: a, operator: Exists}], ", "tolerations: [{key: pool, value: trusted}], ", "tolerations: null, "]),
            part(&["", "nodeName: t1, ", "nodeName: s1, ", "nodeName: gone, "]),
            part(&["", "schedulerName: mine, ", "runtimeClassName: onto, schedulerName: default-scheduler, ", "runtimeClassName: not-there, "]),
            part(&["", "runtimeClassName: kata, ", "priorityClassName: urgent, priority: 3, ", "imagePullSecrets: [{name: x}], "]),
            part(&["", "affinity: null, ", "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: NotIn, values: [untrusted]}]}]}}}, "]),
        )
            .prop_map(|(a, b, c, d, g, e, f)| {
                // One runtime class: a document with two is refused before anybody judges it.
                let e = if g.contains("runtimeClassName") { e.replace("runtimeClassName: kata, ", "") } else { e.to_owned() };
                format!("{a}{b}{c}{d}{e}{f}{g}containers: []")
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn is_once_and_what_is_moved_is_let_in(
            spec in spec(),
            namespace in prop::sample::select(&["g", "u", "other", "nowhere"][..]),
            name in prop::sample::select(&["dev", "controller", "replicasets"][..]),
            run in prop::sample::select(&["", "main", "pull", "not-there"][..]),
            pool in prop::sample::select(&["", "own", "sandbox", "unknown"][..]),
        ) {
            let mut manifest = pod(namespace, &spec);
            if !run.is_empty() {
                manifest["metadata"]["labels"]["krate.a5c.ai/dispatch-run"] = json!(run);
            }
            if !pool.is_empty() {
                manifest["metadata"]["labels"]["krate.a5c.ai/runner-pool"] = json!(pool);
            }
            forced().after(user(name), &manifest);
        }
    }
}
