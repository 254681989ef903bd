//! Sources of trust: whose claim counts and what the record behind it says. All of this work asks for the trusted pool.

use pinfold_model::facts::Question;
use pinfold_model::object::ObjectKey;
use serde_json::{Value, json};

use super::{CONTROLLER, cluster, create, pod, rows, value, with};
use crate::organization::fixture::{object, spoken};

const TRUSTED: &str = "nodeSelector: {pool: trusted, tier: free}";
const REFUSED: &str = "+.nodeSelector.pool";

/// `USER RUN => allowed, or what the reason says`; the run is named by the label `krate.a5c.ai/dispatch-run`.
const CLAIMS: &str = "
controller main => allowed
controller release => allowed
controller attempt => allowed
controller piped => allowed
controller circle => allowed
controller - => no record of a run
controller not-there => run `not-there` isn't in the view
controller pull => ref `refs/pull/7/head` is in `trust.untrustedRefs`
controller short => ref `main` isn't in `trust.trustedRefs`
controller tag => ref `refs/tags/refs/heads/main` isn't in `trust.trustedRefs`
controller listed-twice => ref `refs/heads/release/untrusted` is in `trust.untrustedRefs`
controller no-ref => it names no ref
controller fork => it comes from a fork
controller head => its code comes from `evil/r`, not from `r`
controller tier => its trust tier is `untrusted`
controller tier-case => its trust tier is `TRUSTED`
controller tier-space => its trust tier is `trusted `
controller tier-other => its trust tier is `semi`
controller ref-case => ref `refs/heads/Main` isn't in `trust.trustedRefs`
controller head-case => its code comes from `Acme/r`, not from `acme/r`
controller merge => ref `refs/pull/7/merge` is in `trust.untrustedRefs`
controller like-a-tag => ref `refs/heads/refs/heads/main` isn't in `trust.trustedRefs`
controller chained => PullRequest `g/from-fork`: it comes from a fork
controller piped-fork => Pipeline `g/forked`: it comes from a fork
controller proposed => PullRequest `g/pr`: ref `feature` isn't in `trust.trustedRefs`
controller sourceless => Pipeline `g/not-there` isn't in the view
controller twice => ref `refs/pull/1/head` is in `trust.untrustedRefs`
controller attempt-pull => ref `refs/pull/7/head`
controller attempt-lost => AgentDispatchRun `g/not-there` isn't in the view
controller attempt-empty => it names no run
dev main => counts only if a controller of `trust.controllers` sets it, and `dev` is none
system:serviceaccount:g:krate-controller main => counts only if
system:serviceaccount:krate-system:krate-controller2 main => counts only if
system:serviceaccount:kube-system:replicaset-controller main => no record of a run
system:masters main => counts only if
";

#[test]
fn claims_of_a_run() {
    let cluster = cluster();
    let rows = rows(CLAIMS);
    for row in &rows {
        let (claim, expected) = row.split_once("=>").expect("an arrow");
        let (name, run) = claim.trim().split_once(' ').expect("a user and a run");
        let mut manifest = pod("g", TRUSTED);
        if run != "-" {
            let labels = json!({"krate.a5c.ai/dispatch-run": run});
            manifest = with(manifest, &["metadata", "labels"], labels);
        }
        let found = cluster.judge(&create(name, &manifest));
        let expected = expected.trim();
        if expected == "allowed" {
            assert!(spoken(&found).is_empty(), "{row}\n{found:#?}");
        } else {
            assert_eq!(spoken(&found), ["PF-TRU-001 $.spec.nodeSelector.pool"], "{row}");
            let message = &found.raw[0].message;
            assert!(message.contains(expected), "{row}\n{message}");
        }
    }
    assert!(rows.len() >= 28);
}

#[test]
fn a_pinned_controller_counts_with_its_uid_alone() {
    let cluster = cluster();
    let labels = json!({"krate.a5c.ai/dispatch-run": "main"});
    let manifest = with(pod("g", TRUSTED), &["metadata", "labels"], labels);
    for (uid, paths) in [("right", REFUSED), ("wrong", REFUSED), ("", REFUSED)] {
        let mut facts = create("system:serviceaccount:krate-system:pinned", &manifest);
        facts.requester.as_mut().expect("a requester").uid = uid.to_owned();
        // The run is in the namespace of this controller too.
        let paths = if uid == "right" { "" } else { paths };
        cluster.expect(&facts, paths, uid);
    }
}

#[test]
fn the_least_trusted_claim_wins() {
    let cluster = cluster();
    let labels = |own: &str, of_pods: &str| {
        let label = |run: &str| json!({"krate.a5c.ai/dispatch-run": run});
        let job = value("{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: g}}");
        let job = with(job, &["spec", "template", "spec"], pod("g", TRUSTED)["spec"].clone());
        let job = with(job, &["metadata", "labels"], label(own));
        with(job, &["spec", "template", "metadata", "labels"], label(of_pods))
    };
    let path = "$.spec.template.spec.nodeSelector.pool";
    for (own, of_pods, paths) in [
        ("main", "main", ""),
        ("main", "pull", path),
        ("pull", "main", path),
        ("main", "release", ""),
    ] {
        cluster.expect(&create("controller", &labels(own, of_pods)), paths, own);
    }
    let both = json!({"krate.a5c.ai/dispatch-run": "main", "kradle.a5c.ai/dispatch-run": "main"});
    // The newer group has no such run.
    cluster.expect(
        &create("controller", &with(pod("g", TRUSTED), &["metadata", "labels"], both)),
        REFUSED,
        "groups",
    );
}

#[test]
fn a_controllers_owner_reference_to_a_run_is_a_claim() {
    let cluster = cluster();
    let owned = |name: &str, uid: &str| {
        let owners = json!([{"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentDispatchRun", "name": name, "uid": uid, "controller": true}]);
        with(pod("g", TRUSTED), &["metadata", "ownerReferences"], owners)
    };
    let cases = [
        ("controller", "release", "u-release", ""),
        ("controller", "release", "u-other", REFUSED),
        ("controller", "pull", "u-pull", REFUSED),
        ("dev", "release", "u-release", REFUSED),
    ];
    for (name, run, uid, paths) in cases {
        cluster.expect(&create(name, &owned(run, uid)), paths, run);
    }
}

#[test]
fn provenance_of_other_runners() {
    let cluster = cluster();
    let annotated = |pairs: Value| with(pod("g", TRUSTED), &["metadata", "annotations"], pairs);
    let cases = [
        ("tekton", json!({"ci/ref": "refs/heads/main"}), REFUSED),
        ("tekton", json!({"ci/ref": "refs/heads/main", "ci/repository": "r"}), REFUSED),
        ("tekton", json!({"ci/ref": "refs/heads/main", "ci/repository": "r", "ci/head": "r"}), ""),
        (
            "tekton",
            json!({"ci/ref": "refs/heads/main", "ci/repository": "other", "ci/head": "other"}),
            REFUSED,
        ),
        (
            "tekton",
            json!({"ci/ref": "refs/heads/main", "ci/repository": "r", "ci/head": "evil/r"}),
            REFUSED,
        ),
        ("tekton", json!({"ci/ref": "refs/heads/main", "ci/head": "evil/r"}), REFUSED),
        ("tekton", json!({"ci/ref": "refs/pull/1/merge"}), REFUSED),
        ("tekton", json!({"ci/ref": ""}), REFUSED),
        ("tekton", json!({}), REFUSED),
        (
            "dev",
            json!({"ci/ref": "refs/heads/main", "ci/repository": "r", "ci/head": "r"}),
            REFUSED,
        ),
        (
            "replicasets",
            json!({"ci/ref": "refs/heads/main", "ci/repository": "r", "ci/head": "r"}),
            REFUSED,
        ),
    ];
    for (name, pairs, paths) in cases {
        cluster.expect(&create(name, &annotated(pairs.clone())), paths, &pairs.to_string());
    }
    // A run and an extractor: both must be trusted.
    let labelled = |pairs: Value| {
        with(
            annotated(pairs),
            &["metadata", "labels"],
            json!({"krate.a5c.ai/dispatch-run": "main"}),
        )
    };
    cluster.expect(
        &create(
            "controller",
            &labelled(json!({"ci/ref": "refs/heads/main", "ci/repository": "r", "ci/head": "r"})),
        ),
        "",
        "both",
    );
    cluster.expect(
        &create("controller", &labelled(json!({"ci/ref": "refs/pull/1/head"}))),
        REFUSED,
        "both",
    );
}

/// `OWNER UID CONTROLS => allowed, or the reason`, of a pod that the ReplicaSet controller makes.
const OWNERS: &str = "
in-template in-template true => allowed
d-1 d-1 true => allowed
of-pull of-pull true => ref `refs/pull/7/head` is in `trust.untrustedRefs`
bare bare true => no record of a run
remade remade true => run `main` of uid `u-older` isn't in the view
uncontrolled uncontrolled true => no record of a run
in-template in-template false => no record of a run
in-template other true => its owner ReplicaSet `g/in-template` isn't in the view
not-there not-there true => its owner ReplicaSet `g/not-there` isn't in the view
";

fn owned_by(kind: (&str, &str), name: &str, uid: &str, controls: bool) -> Value {
    let owners = json!([{"apiVersion": kind.0, "kind": kind.1, "name": name, "uid": uid, "controller": controls}]);
    with(pod("g", TRUSTED), &["metadata", "ownerReferences"], owners)
}

#[test]
fn pods_of_built_in_controllers_inherit_by_uid() {
    let cluster = cluster();
    for row in rows(OWNERS) {
        let (owner, expected) = row.split_once("=>").expect("an arrow");
        let words: Vec<&str> = owner.split_whitespace().collect();
        let manifest = owned_by(("apps/v1", "ReplicaSet"), words[0], words[1], words[2] == "true");
        let found = cluster.judge(&create("replicasets", &manifest));
        let expected = expected.trim();
        if expected == "allowed" {
            assert!(spoken(&found).is_empty(), "{row}\n{found:#?}");
            // The same owner written by somebody else is worth nothing.
            assert!(!spoken(&cluster.judge(&create("dev", &manifest))).is_empty(), "{row}");
        } else {
            let message = found.raw.first().map(|raw| raw.message.as_str()).unwrap_or_default();
            assert!(message.contains(expected), "{row}\n{found:#?}");
        }
    }
}

#[test]
fn outside_guarded_namespaces_nothing_is_inherited() {
    let owners = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "unguarded", "uid": "unguarded", "controller": true}]);
    let manifest = with(
        pod("u", &format!("{TRUSTED}, serviceAccountName: x")),
        &["metadata", "ownerReferences"],
        owners,
    );
    cluster().expect(&create("replicasets", &manifest), REFUSED, "unguarded");
}

#[test]
fn owners_are_followed_eight_levels_up_and_no_further() {
    for (levels, paths) in [(8, ""), (9, REFUSED)] {
        let mut cluster = cluster();
        for level in 0..levels {
            let mut owner = value(&format!(
                "{{apiVersion: apps/v1, kind: ReplicaSet, metadata: {{name: o{level}, namespace: g, uid: o{level}}}}}"
            ));
            let above = level + 1;
            owner = if above == levels {
                with(owner, &["metadata", "annotations"], json!({"pinfold.dev/run": "main/u-main"}))
            } else {
                let name = format!("o{above}");
                with(
                    owner,
                    &["metadata", "ownerReferences"],
                    json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": name, "controller": true}]),
                )
            };
            cluster.view.apply(object(&owner));
        }
        let manifest = owned_by(("apps/v1", "ReplicaSet"), "o0", "o0", true);
        cluster.expect(&create("replicasets", &manifest), paths, &levels.to_string());
    }
}

#[test]
fn an_owner_or_run_that_is_not_known_is_asked_for_and_its_uid_must_match() {
    let cluster = cluster();
    let mut facts = create("replicasets", &owned_by(("apps/v1", "ReplicaSet"), "new", "new", true));
    let key = ObjectKey::new("apps", "ReplicaSet", "g", "new");
    assert_eq!(cluster.judge(&facts).questions, [Question::Object(key.clone())]);
    for (uid, paths) in [("new", ""), ("other", REFUSED)] {
        let live = value(&format!(
            "{{apiVersion: apps/v1, kind: ReplicaSet, metadata: {{name: new, namespace: g, uid: {uid}, annotations: {{pinfold.dev/run: main/u-main}}}}}}"
        ));
        facts.answers.objects = vec![(key.clone(), Some(object(&live)))];
        cluster.expect(&facts, paths, uid);
    }
    let labels = json!({"krate.a5c.ai/dispatch-run": "fresh"});
    let mut facts = create("controller", &with(pod("g", TRUSTED), &["metadata", "labels"], labels));
    let asked =
        |namespace: &str| ObjectKey::new("krate.a5c.ai", "AgentDispatchRun", namespace, "fresh");
    let expected = [Question::Object(asked("g")), Question::Object(asked("krate-system"))];
    assert_eq!(cluster.judge(&facts).questions, expected);
    let live = value(
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: fresh, namespace: g, uid: f}, spec: {ref: refs/heads/main}}",
    );
    facts.answers.objects = vec![(asked("g"), Some(object(&live)))];
    cluster.expect(&facts, "", "the live run");
    // A run that is gone is no record, whatever the view still says.
    let labels = json!({"krate.a5c.ai/dispatch-run": "release"});
    let mut facts = create("controller", &with(pod("g", TRUSTED), &["metadata", "labels"], labels));
    facts.answers.objects =
        vec![(ObjectKey::new("krate.a5c.ai", "AgentDispatchRun", "g", "release"), None)];
    cluster.expect(&facts, REFUSED, "a run that is gone");
}

#[test]
fn a_chain_of_records_without_end_is_cut() {
    let mut cluster = cluster();
    let record = |kind: &str, name: String, spec: Value| {
        object(
            &json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "g", "uid": name}, "spec": spec}),
        )
    };
    for index in 0..40 {
        cluster.view.apply(record(
            "Pipeline",
            format!("p{index}"),
            json!({"job": format!("p{index}")}),
        ));
        cluster.view.apply(record(
            "Job",
            format!("p{index}"),
            json!({"pipeline": format!("p{}", index + 1)}),
        ));
    }
    cluster.view.apply(record(
        "AgentDispatchRun",
        "long".to_owned(),
        json!({"ref": "refs/heads/main", "pipeline": "p0"}),
    ));
    let labels = json!({"krate.a5c.ai/dispatch-run": "long"});
    let found = cluster
        .judge(&create(CONTROLLER, &with(pod("g", TRUSTED), &["metadata", "labels"], labels)));
    assert!(found.raw[0].message.contains("more than 32 records"), "{found:#?}");
}
