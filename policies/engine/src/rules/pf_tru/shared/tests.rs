//! Claims, caches, workspaces and warm pods that two pieces of work share: refused where one could build from what the other wrote.

use pinfold_model::facts::{AdmissionFacts, Question};
use pinfold_model::object::ObjectKey;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::context::Found;
use crate::organization::fixture::{self, object, request, spoken, value};

const POLICY: &str = "
trust:
  controllers: [{user: controller}]
  trustedRefs: [refs/heads/main]
  pools:
  - {name: linux, tier: trusted, nodeSelector: {pool: trusted}, caches: [g/policy-cache]}
";

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: g, labels: {pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: u}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: own, namespace: g}, spec: {trustTier: trusted, cache: [trusted-cache, both]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: free, namespace: g}, spec: {trustTier: untrusted, cache: [free-cache, both]}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: main, namespace: g, uid: u-main}, spec: {repository: r, ref: refs/heads/main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: main-2, namespace: g, uid: u-main-2}, spec: {repository: r, ref: refs/heads/main}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: fork, namespace: g, uid: u-fork}, spec: {repository: r, ref: refs/pull/1/head}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: fork-2, namespace: g, uid: u-fork-2}, spec: {repository: r, ref: refs/pull/2/head}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchAttempt, metadata: {name: main-again, namespace: g, uid: u-main-again}, spec: {agentDispatchRun: main}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: of-main, namespace: g, annotations: {pinfold.dev/run: main/u-main}}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: of-fork, namespace: g, annotations: {pinfold.dev/run: fork/u-fork}}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: of-nobody, namespace: g, annotations: {pinfold.dev/run: gone/u-gone}}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: badly, namespace: g, annotations: {pinfold.dev/run: what}}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: plain, namespace: g}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: by-main, namespace: g}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: by-fork, namespace: g}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: read-by-fork, namespace: g}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: by-nobody, namespace: g}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: was-by-main, namespace: g}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: trusted-cache, namespace: g}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: free-cache, namespace: g}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: both, namespace: g}}
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: policy-cache, namespace: g}}
{apiVersion: v1, kind: Pod, metadata: {name: m, namespace: g, annotations: {pinfold.dev/run: main/u-main}}, spec: {volumes: [{persistentVolumeClaim: {claimName: by-main}}, {persistentVolumeClaim: {claimName: trusted-cache}}]}}
{apiVersion: v1, kind: Pod, metadata: {name: f, namespace: g, annotations: {pinfold.dev/run: fork/u-fork}}, spec: {volumes: [{persistentVolumeClaim: {claimName: by-fork}}, {persistentVolumeClaim: {claimName: free-cache}}, {persistentVolumeClaim: {claimName: read-by-fork, readOnly: true}}]}}
{apiVersion: v1, kind: Pod, metadata: {name: n, namespace: g}, spec: {volumes: [{persistentVolumeClaim: {claimName: by-nobody}}]}}
{apiVersion: v1, kind: Pod, metadata: {name: done, namespace: g, annotations: {pinfold.dev/run: main/u-main}}, spec: {volumes: [{persistentVolumeClaim: {claimName: was-by-main}}]}, status: {phase: Succeeded}}
";

struct Cluster {
    view: Snapshot,
    policy: AdmissionPolicy,
}

fn cluster() -> Cluster {
    Cluster { view: fixture::view(CLUSTER), policy: fixture::policy(POLICY) }
}

impl Cluster {
    fn judge(&self, facts: &AdmissionFacts) -> Found {
        fixture::found(super::judge, facts, &self.view, &self.policy)
    }

    fn expect(&self, facts: &AdmissionFacts, paths: &[&str], row: &str) {
        let found = self.judge(facts);
        let mut expected: Vec<String> =
            paths.iter().map(|path| format!("PF-TRU-006 {path}")).collect();
        expected.sort();
        assert_eq!(spoken(&found), expected, "{row}\n{found:#?}");
    }
}

fn pod(namespace: &str, run: &str, claim: &str, read_only: bool) -> Value {
    let labels = match run {
        "" => json!({}),
        run => json!({"krate.a5c.ai/dispatch-run": run}),
    };
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace, "labels": labels},
        "spec": {"volumes": [{"name": "e"}, {"persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}}]}})
}

const PATH: &str = "$.spec.volumes[1].persistentVolumeClaim.claimName";

/// `CLAIM | what writes it that may | what reads it that may`: `t` work of main, `T` of another trusted run, `f` of fork, `F` of another, `n` of nobody.
const CLAIMS: &str = "
plain         | tTfFn | tTfFn
of-main       | t     | tTfFn
of-fork       | f     | fFn
of-nobody     |       | fFn
badly         |       |
by-main       | t     | tTfFn
by-fork       | f     | fFn
read-by-fork  | tTf   | tTfFn
by-nobody     | n     | fFn
was-by-main   | tTfFn | tTfFn
trusted-cache | tT    | tTfFn
free-cache    | fFn   | fFn
both          | tT    | tTfFn
policy-cache  | tT    | tTfFn
not-there     | tTfFn | tTfFn
";

const WORKERS: [(char, &str); 5] =
    [('t', "main"), ('T', "main-2"), ('f', "fork"), ('F', "fork-2"), ('n', "")];

#[test]
fn a_claim_is_of_one_tier_and_one_run() {
    let cluster = cluster();
    for row in CLAIMS.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let [claim, write, read] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        for (letter, run) in WORKERS {
            for (allowed, read_only) in [(write, false), (read, true)] {
                let paths: &[&str] = if allowed.contains(letter) { &[] } else { &[PATH] };
                let facts = request("controller", &pod("g", run, claim, read_only), None);
                cluster.expect(&facts, paths, &format!("{row}: {letter} {read_only}"));
                let outside = request("controller", &pod("u", run, claim, read_only), None);
                cluster.expect(&outside, &[], "outside guarded namespaces nothing is recorded");
            }
        }
    }
}

#[test]
fn an_attempt_is_its_runs_and_a_template_is_judged_like_its_pods() {
    let cluster = cluster();
    for claim in ["of-main", "by-main"] {
        cluster.expect(
            &request("controller", &pod("g", "main-again", claim, false), None),
            &[],
            claim,
        );
    }
    let template = pod("g", "fork", "of-main", false);
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": template["metadata"], "spec": {"template": {"spec": template["spec"]}}});
    let path = "$.spec.template.spec.volumes[1].persistentVolumeClaim.claimName";
    cluster.expect(&request("controller", &job, None), &[path], "a template");
    // Somebody else's label is no claim.
    cluster.expect(&request("dev", &pod("g", "main", "of-main", false), None), &[PATH], "dev");
}

#[test]
fn the_pod_itself_is_no_other_and_metadata_may_change() {
    let cluster = cluster();
    let mut own = pod("g", "", "by-nobody", false);
    own["metadata"]["name"] = json!("n");
    let mut labelled = own.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    cluster.expect(&request("dev", &labelled, Some(&own)), &[], "itself");
    let mut deleting = pod("g", "fork", "of-main", false);
    deleting["metadata"]["finalizers"] = json!(["x"]);
    let released = pod("g", "fork", "of-main", false);
    cluster.expect(&request("dev", &released, Some(&deleting)), &[], "garbage");
}

#[test]
fn a_claim_that_no_watch_has_seen_yet_is_confirmed() {
    let cluster = cluster();
    let mut facts = request("controller", &pod("g", "fork", "fresh", false), None);
    let key = ObjectKey::new("", "PersistentVolumeClaim", "g", "fresh");
    assert_eq!(cluster.judge(&facts).confirmations, [Question::Object(key.clone())]);
    let live = value(
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: fresh, namespace: g, annotations: {pinfold.dev/run: main/u-main}}}",
    );
    facts.answers.objects = vec![(key, Some(object(&live)))];
    cluster.expect(&facts, &[PATH], "read live");
    let reading = request("controller", &pod("g", "fork", "fresh", true), None);
    assert!(cluster.judge(&reading).confirmations.is_empty());
}

#[test]
fn nobody_known_to_ask_is_undecided_where_a_claim_could_be_somebodys() {
    let cluster = cluster();
    for (claim, undecided) in [("of-main", 1), ("by-nobody", 1), ("trusted-cache", 1), ("plain", 0)]
    {
        let found = cluster.judge(&request("", &pod("g", "", claim, false), None));
        assert_eq!((found.raw.len(), found.undecided.len()), (0, undecided), "{claim}");
    }
}

#[test]
fn messages_say_whose_the_claim_is() {
    let cluster = cluster();
    let message = |run: &str, claim: &str| {
        let found = cluster.judge(&request("controller", &pod("g", run, claim, false), None));
        found.raw.first().map(|raw| raw.message.clone()).unwrap_or_default()
    };
    let cases = [
        (
            "fork",
            "of-main",
            "claim `of-main` belongs to another run, `main`, and this work could write it",
        ),
        (
            "fork",
            "trusted-cache",
            "claim `trusted-cache` is a cache of trusted pool `g/own`, and untrusted work could write it",
        ),
        (
            "main",
            "free-cache",
            "claim `free-cache` is a cache of untrusted pool `g/free`, and trusted work would build from it",
        ),
        (
            "fork",
            "by-main",
            "claim `by-main` is used by pod `m`, whose work is trusted, and untrusted work could write it",
        ),
        (
            "main",
            "by-fork",
            "claim `by-fork` is used by pod `f`, whose work isn't trusted and can write it",
        ),
        ("fork-2", "by-fork", "claim `by-fork` is used by pod `f`, which is of another run"),
    ];
    for (run, claim, expected) in cases {
        assert_eq!(message(run, claim), expected);
    }
}

#[test]
fn a_running_trusted_pod_is_handed_to_nobody() {
    let cluster = cluster();
    let live = |run: &str, labels: Value, owner: &str| {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "warm", "namespace": "g", "labels": labels,
            "annotations": {"pinfold.dev/run": run}}, "spec": {}});
        if !owner.is_empty() {
            pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "agents.x-k8s.io/v1", "kind": "Sandbox", "name": owner, "uid": owner, "controller": true}]);
        }
        pod
    };
    let run = |name: &str| json!({"krate.a5c.ai/dispatch-run": name});
    let (label, owners) =
        ("$.metadata.labels['krate.a5c.ai/dispatch-run']", "$.metadata.ownerReferences");
    let main = "main/u-main";
    let idle = live(main, json!({}), "");
    let cases: [(&str, &Value, Value, &[&str]); 12] = [
        ("dev", &idle, live(main, run("fork"), ""), &[label]),
        ("dev", &idle, live(main, run("main"), ""), &[label]),
        (
            "dev",
            &idle,
            live(main, json!({"kradle.a5c.ai/workspace": "w"}), ""),
            &["$.metadata.labels['kradle.a5c.ai/workspace']"],
        ),
        ("dev", &idle, live(main, json!({"app": "x"}), ""), &[]),
        ("dev", &idle, live(main, json!({}), "claim"), &[owners]),
        ("dev", &idle, live(main, run("fork"), "claim"), &[label, owners]),
        ("controller", &idle, live(main, run("fork"), "claim"), &[label]),
        ("controller", &idle, live(main, run("not-there"), ""), &[label]),
        ("controller", &idle, live(main, run("main-2"), "claim"), &[]),
        (
            "system:serviceaccount:kube-system:replicaset-controller",
            &idle,
            live(main, json!({}), "claim"),
            &[],
        ),
        (
            "dev",
            &live("fork/u-fork", json!({}), ""),
            live("fork/u-fork", run("main"), "claim"),
            &[],
        ),
        ("dev", &live(main, run("main"), "claim"), live(main, run("main"), ""), &[]),
    ];
    for (user, old, new, paths) in cases {
        for subresource in ["", "status"] {
            let mut facts = request(user, &new, Some(old));
            facts.subresource = subresource.to_owned();
            cluster.expect(&facts, paths, &format!("{user} {subresource} {new}"));
        }
    }
}

const WORKSPACES: &str = "
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentToolProfile, metadata: {name: reader, namespace: g}, spec: {filesystemPolicy: read-only}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentToolProfile, metadata: {name: writer, namespace: g}, spec: {filesystemPolicy: workspace-write}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: reader, namespace: g}, spec: {toolProfileRef: reader}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: writer, namespace: g}, spec: {toolProfileRef: writer}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: first, namespace: g, uid: a}, spec: {repository: r, ref: refs/heads/main, workspaceRef: shared}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: dirty, namespace: g, uid: b}, spec: {repository: r, ref: refs/pull/9/head, workspaceRef: of-a-fork}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: elsewhere, namespace: u, uid: c}, spec: {repository: r, ref: refs/pull/9/head, workspaceRef: fresh}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentWorkspace, metadata: {name: owned, namespace: g}, spec: {dispatchRunRef: first}}
";

#[test]
fn a_workspace_is_one_runs() {
    let mut cluster = cluster();
    for manifest in fixture::view(WORKSPACES).iter() {
        cluster.view.apply(manifest.clone());
    }
    let run = |name: &str, git_ref: &str, stack: &str, workspace: &str| {
        json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentDispatchRun", "metadata": {"name": name, "namespace": "g"},
            "spec": {"repository": "r", "ref": git_ref, "agentStack": stack, "workspaceRef": workspace}})
    };
    let (main, pull) = ("refs/heads/main", "refs/pull/1/head");
    let path = "$.spec.workspaceRef";
    let cases: [(&str, &str, &str, &str, &[&str]); 11] = [
        ("new", main, "writer", "fresh", &[]),
        ("new", pull, "", "fresh", &[]),
        ("new", main, "writer", "", &[]),
        ("new", main, "writer", "shared", &[path]),
        ("new", main, "reader", "shared", &[]),
        ("new", main, "", "shared", &[path]),
        ("new", main, "not-there", "shared", &[path]),
        ("new", pull, "reader", "shared", &[path]),
        ("new", main, "reader", "of-a-fork", &[path]),
        ("first", main, "writer", "shared", &[]),
        ("dirty", pull, "writer", "of-a-fork", &[]),
    ];
    for (name, git_ref, stack, workspace, paths) in cases {
        let manifest = run(name, git_ref, stack, workspace);
        cluster.expect(&request("dev", &manifest, None), paths, &manifest.to_string());
    }
}
