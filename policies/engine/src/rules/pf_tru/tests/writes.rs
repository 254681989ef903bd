//! Updates, subresources, and who may write what trust rests on.

use serde_json::{Value, json};

use super::{KEPT_OFF, cluster, create, pod, update, value, with};

const STAMP_PATH: &str = "$.metadata.annotations['pinfold.dev/run']";

fn stamped(manifest: Value, run: &str) -> Value {
    with(manifest, &["metadata", "annotations"], json!({"pinfold.dev/run": run}))
}

fn deployment(spec: &str) -> Value {
    let bare = value("{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, namespace: g}}");
    with(bare, &["spec", "template", "spec"], pod("g", spec)["spec"].clone())
}

#[test]
fn the_stamp_is_written_by_controllers_alone() {
    let cluster = cluster();
    let (plain, main, pull) = (pod("g", KEPT_OFF), "main/u-main", "pull/u-pull");
    let creations = [
        ("dev", main, STAMP_PATH),
        ("dev", "anything", STAMP_PATH),
        ("controller", main, ""),
        ("system:node:s1", main, STAMP_PATH),
        ("replicasets", main, STAMP_PATH),
    ];
    for (name, run, paths) in creations {
        cluster.expect_claims(&create(name, &stamped(plain.clone(), run)), paths, name);
    }
    let updates = [
        ("dev", None, Some(main), STAMP_PATH),
        ("dev", Some(pull), Some(main), STAMP_PATH),
        ("dev", Some(main), None, STAMP_PATH),
        ("dev", Some(main), Some(main), ""),
        ("controller", None, Some(main), ""),
        ("controller", Some(pull), Some(main), ""),
        ("replicasets", None, Some(main), STAMP_PATH),
    ];
    for (name, old, new, paths) in updates {
        let make = |run: Option<&str>| run.map_or(plain.clone(), |run| stamped(plain.clone(), run));
        for subresource in ["", "status", "resize", "ephemeralcontainers"] {
            let mut facts = update(name, &make(old), &make(new));
            facts.subresource = subresource.to_owned();
            cluster.expect_claims(&facts, paths, &format!("{name} {old:?} {new:?} {subresource}"));
        }
    }
}

#[test]
fn the_stamp_of_a_template_and_of_a_binding_are_guarded_too() {
    let cluster = cluster();
    let template = with(
        deployment(KEPT_OFF),
        &["spec", "template", "metadata", "annotations"],
        json!({"pinfold.dev/run": "main/u-main"}),
    );
    let path = "$.spec.template.metadata.annotations['pinfold.dev/run']";
    cluster.expect_claims(&create("dev", &template), path, "template");
    cluster.expect_claims(&create("controller", &template), "", "template");
    cluster.expect_claims(&update("dev", &deployment(KEPT_OFF), &template), path, "template");
    let binding = value(
        "{apiVersion: v1, kind: Binding, metadata: {name: plain, namespace: g, annotations: {pinfold.dev/run: main/u-main}}, target: {name: s1}}",
    );
    cluster.expect_claims(&create("system:kube-scheduler", &binding), STAMP_PATH, "binding");
}

#[test]
fn built_in_controllers_pass_the_stamp_on_from_the_owner_by_uid() {
    let cluster = cluster();
    let owned = |name: &str, uid: &str, run: &str| {
        let owners = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": true}]);
        with(stamped(pod("g", KEPT_OFF), run), &["metadata", "ownerReferences"], owners)
    };
    let cases = [
        ("in-template", "in-template", "main/u-main", ""),
        ("in-template", "in-template", "pull/u-pull", STAMP_PATH),
        ("of-pull", "of-pull", "main/u-main", STAMP_PATH),
        ("bare", "bare", "main/u-main", STAMP_PATH),
        ("in-template", "other", "main/u-main", STAMP_PATH),
        ("not-there", "not-there", "main/u-main", STAMP_PATH),
    ];
    for (name, uid, run, paths) in cases {
        cluster.expect_claims(&create("replicasets", &owned(name, uid, run)), paths, name);
    }
}

#[test]
fn nobody_else_may_name_trusted_work_as_controller() {
    let cluster = cluster();
    let owner = |kind: &str, name: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true}]);
    let path = "$.metadata.ownerReferences";
    let cases = [
        ("dev", owner("Deployment", "d"), path),
        ("dev", owner("ReplicaSet", "d-1"), path),
        ("dev", owner("ReplicaSet", "of-pull"), ""),
        ("dev", owner("ReplicaSet", "bare"), ""),
        ("dev", owner("ReplicaSet", "not-there"), path),
        (
            "dev",
            json!([{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "t", "uid": "t", "controller": true}]),
            path,
        ),
        (
            "dev",
            json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "d"}]),
            "",
        ),
        ("controller", owner("Deployment", "d"), ""),
        ("replicasets", owner("Deployment", "d"), ""),
    ];
    let plain = pod("g", KEPT_OFF);
    for (name, owners, paths) in cases {
        let owned = with(plain.clone(), &["metadata", "ownerReferences"], owners.clone());
        cluster.expect_claims(&create(name, &owned), paths, &owners.to_string());
        // The garbage collector's fields are no way around.
        let adopts = name == "replicasets";
        let later = if adopts { path } else { paths };
        cluster.expect_claims(&update(name, &plain, &owned), later, &owners.to_string());
        cluster.expect_claims(&update(name, &owned, &plain), "", "orphaned");
        cluster.expect_claims(&update(name, &owned, &owned), "", "unchanged");
    }
}

#[test]
fn updates_keep_the_record_unless_somebody_else_changes_the_work() {
    let cluster = cluster();
    let trusted = "nodeSelector: {pool: trusted, tier: free}";
    let path = "$.spec.template.spec.nodeSelector.pool";
    let old = stamped(deployment(trusted), "main/u-main");
    let image =
        with(old.clone(), &["spec", "template", "spec", "containers"], json!([{"image": "evil"}]));
    let label = with(old.clone(), &["metadata", "labels"], json!({"a": "b"}));
    let finalizer = with(old.clone(), &["metadata", "finalizers"], json!(["x"]));
    let pull = stamped(deployment(trusted), "pull/u-pull");
    let bare = deployment(trusted);
    let cases = [
        ("controller", &old, &image, ""),
        ("replicasets", &old, &image, ""),
        ("dev", &old, &image, path),
        ("dev", &old, &label, ""),
        ("dev", &old, &finalizer, ""),
        ("controller", &old, &pull, path),
        ("controller", &pull, &old, path),
        ("controller", &bare, &old, ""),
        ("controller", &bare, &bare, ""),
    ];
    for (name, old, new, paths) in cases {
        cluster.expect(&update(name, old, new), paths, &format!("{name}\n{old}\n{new}"));
    }
    // Untrusted work that is there already may be let go.
    let gone = with(bare.clone(), &["metadata", "finalizers"], json!(["x"]));
    cluster.expect(&update("dev", &gone, &bare), "", "finalizer");
}

#[test]
fn untrusted_work_that_is_there_is_lowered_and_annotated_and_not_raised() {
    let cluster = cluster();
    let trusted = "nodeSelector: {pool: trusted, tier: free}";
    let path = "$.spec.template.spec.nodeSelector.pool";
    let scaled = |replicas: u32| with(deployment(trusted), &["spec", "replicas"], json!(replicas));
    let old = scaled(2);
    // From before Pinfold, or of a run that is gone.
    for base in [old.clone(), stamped(old, "gone/u-gone")] {
        let set = |pointer: &[&str], leaf: Value| with(base.clone(), pointer, leaf);
        let template_label = ["spec", "template", "metadata", "labels"];
        let cases = [
            (set(&["spec", "replicas"], json!(0)), ""),
            (set(&["spec", "replicas"], json!(3)), path),
            (set(&["spec", "paused"], json!(true)), ""),
            (set(&["metadata", "labels"], json!({"a": "b"})), ""),
            (set(&["metadata", "labels"], json!({"krate.a5c.ai/team": "b"})), path),
            (set(&template_label, json!({"a": "b"})), path),
            (set(&["spec", "template", "spec", "containers"], json!([{"image": "evil"}])), path),
        ];
        for (new, paths) in cases {
            for name in ["dev", "system:serviceaccount:kube-system:deployment-controller"] {
                cluster.expect(&update(name, &base, &new), paths, &format!("{name} {new}"));
            }
        }
    }
    let of_run = stamped(scaled(2), "main/u-main");
    let lowered = with(of_run.clone(), &["spec", "replicas"], json!(0));
    cluster.expect(&update("dev", &of_run, &lowered), "", "trusted, lowered");
    cluster.expect(&update("dev", &lowered, &of_run), path, "trusted, raised");
    let running = pod("g", "nodeSelector: {pool: trusted}, nodeName: t1");
    let annotated = with(running.clone(), &["metadata", "annotations"], json!({"cni/ip": "x"}));
    cluster.expect(&update("cni", &running, &annotated), "", "a pod's annotation");
    let cron = |suspend: bool| {
        let bare =
            value("{apiVersion: batch/v1, kind: CronJob, metadata: {name: c, namespace: g}}");
        let spec = pod("g", trusted)["spec"].clone();
        let cron = with(bare, &["spec", "jobTemplate", "spec", "template", "spec"], spec);
        with(cron, &["spec", "suspend"], json!(suspend))
    };
    let path = "$.spec.jobTemplate.spec.template.spec.nodeSelector.pool";
    cluster.expect(&update("dev", &cron(false), &cron(true)), "", "suspended");
    cluster.expect(&update("dev", &cron(true), &cron(false)), path, "resumed");
}

#[test]
fn the_template_of_trusted_work_is_its_controllers_to_change() {
    let cluster = cluster();
    let path = "$.spec.template.spec";
    let plain = with(deployment(KEPT_OFF), &["spec", "replicas"], json!(2));
    let main = stamped(plain.clone(), "main/u-main");
    let image = ["spec", "template", "spec", "containers"];
    let evil = |base: &Value| with(base.clone(), &image, json!([{"image": "evil"}]));
    let set = |pointer: &[&str], leaf: Value| with(main.clone(), pointer, leaf);
    let pull = stamped(plain.clone(), "pull/u-pull");
    let cases = [
        ("dev", &main, evil(&main), path),
        ("dev", &main, set(&["spec", "template", "metadata", "labels"], json!({"a": "b"})), path),
        ("replicasets", &main, evil(&main), ""),
        ("controller", &main, evil(&main), ""),
        ("dev", &pull, evil(&pull), ""),
        ("dev", &plain, evil(&plain), ""),
        ("dev", &main, set(&["spec", "replicas"], json!(5)), ""),
        ("dev", &main, set(&["spec", "replicas"], json!(0)), ""),
        ("dev", &main, set(&["spec", "paused"], json!(true)), ""),
        ("dev", &main, set(&["metadata", "labels"], json!({"a": "b"})), ""),
        ("dev", &main, set(&["status"], json!({"replicas": 1})), ""),
    ];
    for (name, old, new, paths) in cases {
        cluster.expect_claims(&update(name, old, &new), paths, &format!("{name} {new}"));
    }
    // What inherits is as much trusted work; and so is a pod that nothing has placed yet.
    let owned = |kind: &str, name: &str, manifest: Value| {
        let owners = json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true}]);
        with(manifest, &["metadata", "ownerReferences"], owners)
    };
    let set = with(plain.clone(), &["kind"], json!("ReplicaSet"));
    let set = owned("Deployment", "d", set);
    cluster.expect_claims(&update("dev", &set, &evil(&set)), path, "a ReplicaSet");
    let pending = owned("ReplicaSet", "d-1", pod("g", KEPT_OFF));
    let debugged = with(pending.clone(), &["spec", "ephemeralContainers"], json!([{"name": "x"}]));
    for (subresource, paths) in [("", "$.spec"), ("ephemeralcontainers", "$.spec"), ("resize", "")]
    {
        let mut facts = update("dev", &pending, &debugged);
        facts.subresource = subresource.to_owned();
        cluster.expect_claims(&facts, paths, subresource);
    }
}

#[test]
fn controllers_adopt_nothing_into_trusted_work_that_was_not_trusted() {
    let cluster = cluster();
    let path = "$.metadata.ownerReferences";
    let orphan = pod("g", KEPT_OFF);
    let owned = |manifest: &Value, kind: &str, name: &str| {
        let owners = json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true}]);
        with(manifest.clone(), &["metadata", "ownerReferences"], owners)
    };
    let set = with(deployment(KEPT_OFF), &["kind"], json!("ReplicaSet"));
    let (main, pull) =
        (stamped(orphan.clone(), "main/u-main"), stamped(orphan.clone(), "pull/u-pull"));
    let cases = [
        (&orphan, "ReplicaSet", "d-1", path),
        (&orphan, "ReplicaSet", "in-template", path),
        (&orphan, "ReplicaSet", "not-there", path),
        (&set, "Deployment", "d", path),
        // It would be stamped like its owner next.
        (&pull, "ReplicaSet", "d-1", path),
        // Its own stamp was written when it was made.
        (&main, "ReplicaSet", "d-1", ""),
        (&orphan, "ReplicaSet", "bare", ""),
        (&orphan, "ReplicaSet", "of-pull", ""),
    ];
    for (old, kind, name, paths) in cases {
        let new = owned(old, kind, name);
        for user in ["replicasets", "system:serviceaccount:kube-system:statefulset-controller"] {
            cluster.expect_claims(&update(user, old, &new), paths, &format!("{kind} {name} {old}"));
        }
        cluster.expect_claims(&update("controller", old, &new), "", "a controller vouches");
        cluster.expect_claims(&create("replicasets", &owned(&orphan, kind, name)), "", "made");
    }
    // From one trusted owner to another.
    let (from, to) =
        (owned(&orphan, "ReplicaSet", "d-1"), owned(&orphan, "ReplicaSet", "in-template"));
    cluster.expect_claims(&update("replicasets", &from, &to), "", "handed over");
}

#[test]
fn templates_suspended_jobs_and_gated_pods_that_are_moved() {
    let cluster = cluster();
    let job = |suspend: bool, spec: &str| {
        let job = value("{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: g}}");
        let job = with(job, &["spec", "suspend"], json!(suspend));
        with(job, &["spec", "template", "spec"], pod("g", spec)["spec"].clone())
    };
    let trusted = "nodeSelector: {pool: trusted, tier: free}";
    let path = "$.spec.template.spec.nodeSelector.pool";
    cluster.expect(&create("dev", &job(true, trusted)), path, "suspended");
    cluster.expect(&update("dev", &job(true, KEPT_OFF), &job(false, KEPT_OFF)), "", "resumed");
    cluster.expect(
        &update("dev", &job(true, KEPT_OFF), &job(false, trusted)),
        path,
        "resumed elsewhere",
    );
    cluster.expect(&update("dev", &job(true, trusted), &job(false, trusted)), path, "resumed");
    cluster.expect(&update("dev", &deployment(KEPT_OFF), &deployment(trusted)), path, "template");
    cluster.expect(
        &update("dev", &pod("g", KEPT_OFF), &pod("g", trusted)),
        "+.nodeSelector.pool",
        "gated",
    );
    let tolerant = pod("g", &format!("{KEPT_OFF}, tolerations: [{{operator: Exists}}]"));
    cluster.expect(
        &update("dev", &pod("g", KEPT_OFF), &tolerant),
        "+.tolerations[0]",
        "toleration",
    );
}

#[test]
fn an_ephemeral_container_in_a_trusted_pod_is_somebody_elses_work() {
    let cluster = cluster();
    let running =
        stamped(pod("g", "nodeSelector: {pool: trusted, tier: free}, nodeName: t1"), "main/u-main");
    let debugged = with(
        running.clone(),
        &["spec", "ephemeralContainers"],
        json!([{"name": "x", "image": "evil"}]),
    );
    let paths = "+.nodeName +.nodeSelector.pool";
    for (name, paths) in [("dev", paths), ("controller", "")] {
        let mut facts = update(name, &running, &debugged);
        facts.subresource = "ephemeralcontainers".to_owned();
        cluster.expect(&facts, paths, name);
    }
    let safe = stamped(pod("g", &format!("{KEPT_OFF}, nodeName: s1")), "pull/u-pull");
    let mut facts = update(
        "dev",
        &safe,
        &with(safe.clone(), &["spec", "ephemeralContainers"], json!([{"name": "x"}])),
    );
    facts.subresource = "ephemeralcontainers".to_owned();
    cluster.expect(&facts, "", "on the untrusted pool");
}

#[test]
fn a_status_update_moves_nothing_but_may_relabel() {
    let cluster = cluster();
    let old = pod("g", "nodeSelector: {pool: trusted}, nodeName: t1");
    let running = with(old.clone(), &["status"], json!({"phase": "Running"}));
    let labelled =
        with(running.clone(), &["metadata", "labels"], json!({"krate.a5c.ai/runner-pool": "own"}));
    for (new, paths) in [(running, ""), (labelled, "$.metadata.labels['krate.a5c.ai/runner-pool']")]
    {
        let mut facts = update("system:node:t1", &old, &new);
        facts.subresource = "status".to_owned();
        cluster.expect(&facts, paths, "status");
    }
}

#[test]
fn deletion_is_no_matter_of_trust() {
    let mut facts = create("dev", &pod("g", "nodeSelector: {pool: trusted}"));
    facts.operation = pinfold_model::facts::Operation::Delete;
    facts.old_object = facts.object.take();
    cluster().expect(&facts, "", "deletion");
}
