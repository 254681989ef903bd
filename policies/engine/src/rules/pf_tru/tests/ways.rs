//! The ways onto a trusted pool that aren't in the pod itself: runtime classes, schedulers, volumes, templates that are scaled; and what is no way.

use pinfold_model::facts::{AdmissionFacts, Question};
use pinfold_model::object::ObjectKey;
use serde_json::{Value, json};

use super::{Cluster, KEPT_OFF, cluster, create, pod, rows, update, value, with};
use crate::organization::fixture::{self, object, spoken};

const MORE: &str = "
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: onto}, handler: r, scheduling: {nodeSelector: {pool: trusted}}}
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: tolerant}, handler: r, scheduling: {tolerations: [{key: pool, operator: Exists}]}}
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: away}, handler: r, scheduling: {nodeSelector: {pool: untrusted, tier: free}}}
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: plain}, handler: r}
{apiVersion: v1, kind: PersistentVolume, metadata: {name: on-t1}, spec: {nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [t1]}]}]}}}}
{apiVersion: v1, kind: PersistentVolume, metadata: {name: on-s1}, spec: {nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [s1]}]}]}}}}
{apiVersion: v1, kind: PersistentVolume, metadata: {name: on-pool}, spec: {nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [trusted]}]}]}}}}
{apiVersion: v1, kind: PersistentVolume, metadata: {name: anywhere}, spec: {}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: t1, namespace: g}, spec: {volumeName: on-t1}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: s1, namespace: g}, spec: {volumeName: on-s1}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: pool, namespace: g}, spec: {volumeName: on-pool}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: anywhere, namespace: g}, spec: {volumeName: anywhere}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: lost, namespace: g}, spec: {volumeName: not-there}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: chosen, namespace: g, annotations: {volume.kubernetes.io/selected-node: t1}}, spec: {}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: chosen-s1, namespace: g, annotations: {volume.kubernetes.io/selected-node: s1}}, spec: {}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: t1, namespace: u}, spec: {volumeName: on-t1}}
";

/// The cluster without the untainted pools, so that a pod that names nothing is kept off by the taint.
fn tainted() -> Cluster {
    let mut cluster = cluster();
    cluster.policy.trust.pools.retain(|pool| pool.name != "gold" && pool.name != "numbered");
    cluster.view.remove(&ObjectKey::new("kradle.a5c.ai", "RunnerPool", "other", "nodes"));
    for manifest in fixture::view(MORE).iter() {
        cluster.view.apply(manifest.clone());
    }
    cluster
}

/// `NAMESPACE | SPEC => PATH...` of a pod by somebody without a record.
const PODS: &str = "
g | =>
g | runtimeClassName: onto => +.runtimeClassName
g | runtimeClassName: tolerant => +.runtimeClassName
g | KEPT, runtimeClassName: onto =>
g | KEPT, runtimeClassName: tolerant => +.runtimeClassName
g | runtimeClassName: away =>
g | runtimeClassName: plain =>
g | runtimeClassName: not-there => +.runtimeClassName
g | KEPT, runtimeClassName: not-there =>
g | runtimeClassName: away, tolerations: [{key: pool, value: trusted}] => +.tolerations[0]
u | serviceAccountName: x, runtimeClassName: onto => +.runtimeClassName
u | serviceAccountName: x, runtimeClassName: plain =>
g | schedulerName: default-scheduler =>
g | schedulerName: mine => +.schedulerName
g | KEPT, schedulerName: mine => +.schedulerName
g | KEPT, schedulerName: mine, nodeName: s1 =>
u | serviceAccountName: x, schedulerName: volcano =>
g | volumes: [{persistentVolumeClaim: {claimName: t1}}] => +.volumes[0].persistentVolumeClaim.claimName
g | volumes: [{name: e, emptyDir: {}}, {persistentVolumeClaim: {claimName: pool, readOnly: true}}] => +.volumes[1].persistentVolumeClaim.claimName
g | volumes: [{persistentVolumeClaim: {claimName: chosen}}] => +.volumes[0].persistentVolumeClaim.claimName
g | volumes: [{persistentVolumeClaim: {claimName: s1}}, {persistentVolumeClaim: {claimName: chosen-s1}}, {persistentVolumeClaim: {claimName: anywhere}}] =>
g | volumes: [{persistentVolumeClaim: {claimName: lost}}, {persistentVolumeClaim: {claimName: not-there}}] =>
g | KEPT, volumes: [{persistentVolumeClaim: {claimName: t1}}] =>
u | serviceAccountName: x, volumes: [{persistentVolumeClaim: {claimName: t1}}] =>
g | affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {release: 'yes'}}}]}} =>
g | topologySpreadConstraints: [{maxSkew: 1, topologyKey: pool, whenUnsatisfiable: DoNotSchedule, nodeTaintsPolicy: Ignore}] =>
g | resourceClaims: [{name: gpu, resourceClaimName: trusted-gpu}] =>
";

#[test]
fn ways_outside_of_the_pod_itself() {
    let cluster = tainted();
    let rows = rows(PODS);
    for row in &rows {
        let (pod_row, paths) = row.split_once("=>").expect("an arrow");
        let (namespace, spec) = pod_row.split_once('|').expect("a bar");
        let manifest = pod(namespace.trim(), &spec.trim().replace("KEPT", KEPT_OFF));
        cluster.expect(&create("dev", &manifest), paths, row);
    }
    assert!(rows.len() >= 25);
}

#[test]
fn a_runtime_class_that_is_not_known_is_asked_for_and_the_answer_decides() {
    let cluster = tainted();
    let mut facts = create("dev", &pod("g", "runtimeClassName: new"));
    let key = ObjectKey::new("node.k8s.io", "RuntimeClass", "", "new");
    assert_eq!(cluster.judge(&facts).questions, [Question::Object(key.clone())]);
    let class = |scheduling: &str| {
        object(&value(&format!(
            "{{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {{name: new}}, handler: r, scheduling: {{{scheduling}}}}}"
        )))
    };
    let cases = [
        (Some(class("nodeSelector: {pool: trusted}")), true),
        (Some(class("")), false),
        // The API server refuses pods of a class that doesn't exist.
        (None, false),
    ];
    for (live, denied) in cases {
        facts.answers.objects = vec![(key.clone(), live)];
        assert_eq!(!spoken(&cluster.judge(&facts)).is_empty(), denied);
    }
}

#[test]
fn trusted_work_may_have_a_scheduler_of_its_own_and_sites_list_theirs() {
    let mut cluster = tainted();
    let run = |spec: &str| {
        with(pod("g", spec), &["metadata", "labels"], json!({"krate.a5c.ai/dispatch-run": "main"}))
    };
    cluster.expect(&create("controller", &run("schedulerName: volcano")), "", "trusted");
    cluster.policy.trust.schedulers = vec!["volcano".to_owned()];
    cluster.expect(&create("dev", &pod("g", "schedulerName: volcano")), "", "listed");
    cluster.expect(
        &create("dev", &pod("g", "schedulerName: default-scheduler")),
        "+.schedulerName",
        "not listed",
    );
    cluster.policy.trust.pools.clear();
    let runner_pools: Vec<ObjectKey> =
        cluster.view.of_kind("RunnerPool").map(|pool| pool.key.clone()).collect();
    runner_pools.iter().for_each(|pool| cluster.view.remove(pool));
    cluster.expect(&create("dev", &pod("g", "schedulerName: mine")), "", "no pools at all");
}

#[test]
fn untrusted_work_runs_in_the_sandbox_that_a_site_asks_for() {
    let mut cluster = tainted();
    cluster.policy.trust.untrusted_runtime_classes = vec!["plain".to_owned(), "away".to_owned()];
    let cases = [
        ("", "+.runtimeClassName"),
        ("runtimeClassName: onto", "+.runtimeClassName"),
        ("runtimeClassName: away", ""),
    ];
    for (spec, paths) in cases {
        cluster.expect(&create("dev", &pod("g", spec)), paths, spec);
        let outside =
            pod("u", &format!("serviceAccountName: x, {}", spec.replace("onto", "plain")));
        cluster.expect(&create("dev", &outside), "", spec);
        let main = with(
            pod("g", spec),
            &["metadata", "labels"],
            json!({"krate.a5c.ai/dispatch-run": "main"}),
        );
        cluster.expect(&create("controller", &main), "", spec);
    }
    let found = cluster.judge(&create(
        "dev",
        &pod("g", "runtimeClassName: runc, nodeSelector: {pool: untrusted}"),
    ));
    assert_eq!(
        found.raw[0].message,
        "untrusted work (no record of a run) may not run without a sandbox: runtime class `runc` isn't in `trust.untrustedRuntimeClasses`"
    );
}

#[test]
fn a_cluster_without_pools_and_runs_sees_nothing_of_this() {
    let view = fixture::view(
        "{apiVersion: v1, kind: Namespace, metadata: {name: g, labels: {pinfold.dev/agents: 'true'}}}
        {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: g}}
        {apiVersion: v1, kind: Pod, metadata: {name: other, namespace: g}, spec: {volumes: [{persistentVolumeClaim: {claimName: c}}]}}",
    );
    let policy = fixture::policy("mode: enforce");
    let spec = "nodeSelector: {pool: trusted}, tolerations: [{operator: Exists}], nodeName: n, runtimeClassName: r, schedulerName: s, \
         priorityClassName: p, serviceAccountName: a, volumes: [{persistentVolumeClaim: {claimName: c}}], resourceClaims: [{name: x}]";
    let old = pod("g", "nodeSelector: {a: b}");
    let job = with(deployment("d", spec, ""), &["kind"], json!("StatefulSet"));
    let node = value("{apiVersion: v1, kind: Node, metadata: {name: n, labels: {pool: trusted}}}");
    let binding = value(
        "{apiVersion: v1, kind: Binding, metadata: {name: other, namespace: g}, target: {name: n}}",
    );
    let rules = [
        super::super::judge_placement,
        super::super::guarded_pools::judge,
        super::super::allowed::judge,
        super::super::shared::judge,
    ];
    for rule in rules {
        for facts in [
            create("dev", &pod("g", spec)),
            update("dev", &old, &pod("g", spec)),
            create("dev", &job),
            create("dev", &node),
            create("dev", &binding),
            scale("d", 0, 9),
        ] {
            let found = fixture::found(rule, &facts, &view, &policy);
            assert!(found.raw.is_empty() && found.questions.is_empty(), "{found:#?}");
        }
    }
}

fn scale(name: &str, from: i64, to: i64) -> AdmissionFacts {
    let scale = |replicas: i64| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name, "namespace": "g"}, "spec": {"replicas": replicas}});
    let mut facts = update("dev", &scale(from), &scale(to));
    facts.subresource = "scale".to_owned();
    facts
}

fn deployment(name: &str, spec: &str, run: &str) -> Value {
    let bare = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "g", "uid": name}});
    let placed = with(bare, &["spec", "template", "spec"], pod("g", spec)["spec"].clone());
    match run {
        "" => placed,
        run => with(placed, &["metadata", "annotations"], json!({"pinfold.dev/run": run})),
    }
}

#[test]
fn more_pods_of_a_template_are_judged_by_its_own_record() {
    let mut cluster = cluster();
    let trusted = "nodeSelector: {pool: trusted, tier: free}";
    let templates = [
        ("main-d", trusted, "main/u-main"),
        ("pull-d", trusted, "pull/u-pull"),
        ("nobodys", trusted, ""),
        ("kept", KEPT_OFF, ""),
    ];
    for (name, spec, run) in templates {
        cluster.view.apply(object(&deployment(name, spec, run)));
    }
    let path = "$.spec.replicas";
    let cases = [
        ("main-d", 0, 3, ""),
        ("pull-d", 0, 1, path),
        ("pull-d", 3, 2, ""),
        ("pull-d", 2, 2, ""),
        ("nobodys", 1, 2, path),
        ("kept", 0, 9, ""),
        ("not-there", 0, 9, ""),
    ];
    for (name, from, to, paths) in cases {
        cluster.expect(&scale(name, from, to), paths, &format!("{name} {from} {to}"));
    }
}

#[test]
fn of_a_watched_template_there_is_metadata_alone_so_it_is_read_whole() {
    let mut cluster = cluster();
    let trusted = "nodeSelector: {pool: trusted, tier: free}";
    let whole = object(&deployment("d2", trusted, ""));
    let mut watched = whole.clone();
    watched.facts = pinfold_model::object::Facts::MetaOnly;
    cluster.view.apply(watched);
    let mut facts = scale("d2", 0, 1);
    let found = cluster.judge(&facts);
    assert_eq!(
        (found.raw.len(), found.confirmations),
        (0, vec![Question::Whole(whole.key.clone())])
    );
    for (live, paths) in [(Some(whole.clone()), "$.spec.replicas"), (None, "")] {
        facts.answers.whole = vec![(whole.key.clone(), live)];
        cluster.expect(&facts, paths, "read");
    }
}

#[test]
fn who_wakes_a_job_vouches_for_it_or_is_refused() {
    let cluster = cluster();
    let job = |suspend: bool, run: &str| {
        let job = value("{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: g}}");
        let job = with(job, &["spec", "suspend"], json!(suspend));
        let spec = pod("g", "nodeSelector: {pool: trusted, tier: free}")["spec"].clone();
        let job = with(job, &["spec", "template", "spec"], spec);
        with(job, &["metadata", "annotations"], json!({"pinfold.dev/run": run}))
    };
    let path = "$.spec.template.spec.nodeSelector.pool";
    let cases = [
        ("controller", "main/u-main", ""),
        ("dev", "main/u-main", path),
        ("system:serviceaccount:kube-system:job-controller", "main/u-main", ""),
        ("controller", "pull/u-pull", path),
        ("system:serviceaccount:kube-system:job-controller", "pull/u-pull", path),
    ];
    for (name, run, paths) in cases {
        cluster.expect(
            &update(name, &job(true, run), &job(false, run)),
            paths,
            &format!("{name} {run}"),
        );
    }
}

#[test]
fn a_live_pods_image_is_its_work_and_its_size_is_not() {
    let cluster = cluster();
    let running = |image: &str, cpu: &str| {
        let spec = format!(
            "nodeSelector: {{pool: trusted, tier: free}}, nodeName: t1, containers: [{{name: c, image: {image}, resources: {{limits: {{cpu: {cpu}}}}}}}]"
        );
        with(
            pod("g", &spec),
            &["metadata", "annotations"],
            json!({"pinfold.dev/run": "main/u-main"}),
        )
    };
    let (old, other_image, other_size) =
        (running("good", "a"), running("evil", "a"), running("good", "b"));
    let paths = "+.nodeName +.nodeSelector.pool";
    for (name, new, subresource, paths) in [
        ("dev", &other_image, "", paths),
        ("controller", &other_image, "", ""),
        ("dev", &other_size, "resize", ""),
        ("dev", &old, "", ""),
    ] {
        let mut facts = update(name, &old, new);
        facts.subresource = subresource.to_owned();
        cluster.expect(&facts, paths, &format!("{name} {subresource}"));
    }
}
