//! Placement on a real API server: what moves work that is there already, what moves nodes and pools, and what runs share. Each attack has its honest twin.

use pinfold_tests::until;
use serde_json::{Value, json};

use crate::Outcome;
use crate::rbac_client::{Answer, Call, Client, Person};
use crate::stage::{SOON, Stage};

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON: &str = "application/json";

/// What the people of these cases may do beside what a stage gives them, and what is there before the webhook is asked.
const BEFORE: &str = "
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {name: STAGE-more}
  rules:
  - {apiGroups: [''], resources: [nodes, nodes/status], verbs: [get, create, patch]}
  - {apiGroups: [''], resources: [pods, pods/binding, pods/ephemeralcontainers, pods/status], verbs: [get, create, patch, update]}
  - {apiGroups: [''], resources: [persistentvolumeclaims], verbs: [get, create]}
  - {apiGroups: [apps], resources: [deployments, deployments/scale], verbs: [get, create, patch]}
  - {apiGroups: [batch], resources: [jobs], verbs: [get, patch]}
  - {apiGroups: [krate.a5c.ai], resources: [runnerpools], verbs: ['*']}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: STAGE-more}
  subjects:
  - {kind: User, name: STAGE-dev, apiGroup: rbac.authorization.k8s.io}
  - {kind: User, name: 'system:node:STAGE-new', apiGroup: rbac.authorization.k8s.io}
  - {kind: ServiceAccount, name: krate-controller, namespace: STAGE-krate}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: STAGE-more}
- {apiVersion: v1, kind: Node, metadata: {name: STAGE-t1, labels: {pool: trusted}}, spec: {taints: [{key: pool, value: trusted, effect: NoSchedule}]}}
- {apiVersion: v1, kind: Node, metadata: {name: STAGE-s1, labels: {pool: untrusted}}}
- {apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: STAGE-onto}, handler: r, scheduling: {nodeSelector: {pool: trusted}}}
- {apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: STAGE-plain}, handler: r}
- {apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: release, namespace: STAGE-acme}, spec: {organizationRef: acme, trustTier: trusted, cache: [release-cache]}}
- {apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: forks, namespace: STAGE-acme}, spec: {organizationRef: acme, trustTier: untrusted}}
- {apiVersion: batch/v1, kind: Job, metadata: {name: sleeper, namespace: STAGE-acme}, spec: {suspend: true, template: {spec: TRUSTED}}}
- {apiVersion: batch/v1, kind: Job, metadata: {name: honest-sleeper, namespace: STAGE-acme}, spec: {suspend: true, template: {spec: UNTRUSTED}}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: zero, namespace: STAGE-acme}, spec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: DEPLOYED}}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: honest-zero, namespace: STAGE-acme}, spec: {replicas: 0, selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: c}}, spec: {automountServiceAccountToken: false, containers: [{name: c, image: 'r/a:1'}]}}}}
";

const TRUSTED: &str = "{restartPolicy: Never, automountServiceAccountToken: false, nodeSelector: {pool: trusted}, tolerations: [{key: pool, value: trusted, effect: NoSchedule}], containers: [{name: c, image: 'r/a:1'}]}";
const UNTRUSTED: &str = "{restartPolicy: Never, automountServiceAccountToken: false, nodeSelector: {pool: untrusted}, containers: [{name: c, image: 'r/a:1'}]}";

/// The people, and how they ask.
struct Scene {
    stage: Stage,
    client: Client,
    /// Nobody of another stage: what this one may do holds in the whole cluster.
    dev: Person,
    kubelet: Person,
    controller: Person,
    master: Person,
}

impl Scene {
    fn open(name: &'static str) -> Outcome<(Self, crate::replica::Replica)> {
        let stage = Stage::prepare(name)?;
        let items = BEFORE
            .replace("UNTRUSTED", UNTRUSTED)
            .replace("DEPLOYED", &TRUSTED.replace("restartPolicy: Never, ", ""))
            .replace("TRUSTED", TRUSTED)
            .replace("STAGE", name);
        stage.server.apply(&format!("apiVersion: v1\nkind: List\nitems:{items}"))?;
        let replica = stage.open_with(&stage.flags())?;
        let client = Client::new(stage.server)?;
        let node = format!("system:node:{name}-new");
        let scene = Self {
            client,
            dev: Person::new(&format!("{name}-dev"), &["acme:devs", "system:authenticated"]),
            kubelet: Person::new(&node, &["system:nodes", "system:authenticated"]),
            controller: Person::account(&format!("{name}-krate"), "krate-controller"),
            master: Person::new("platform", &["system:masters"]),
            stage,
        };
        Ok((scene, replica))
    }

    fn send(&self, who: &Person, (method, path, media, body): Call<'_>) -> Outcome<Answer> {
        let [path, body] = [path, body].map(|text| self.stage.named(text));
        self.client.send(who, (method, &path, media, &body))
    }

    /// Sends a request until its answer is as wanted: a watch may lag.
    fn until(
        &self,
        who: &Person,
        call: Call<'_>,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Outcome<Answer> {
        let mut last = None;
        let answer = until(SOON, || {
            let answer = self.send(who, call).ok()?;
            last = Some(answer.clone());
            wanted(&answer).then_some(answer)
        });
        answer.ok_or_else(|| format!("{call:?}: the last answer: {last:?}").into())
    }

    /// Refused by that rule at that path.
    fn refused(&self, who: &Person, call: Call<'_>, (rule, path): (&str, &str)) -> Outcome {
        let answer = self.send(who, call)?;
        let told = format!("{rule} at {path}");
        assert_eq!(answer.status, 403, "{call:?}: {answer:?}");
        let message = answer.message();
        assert!(message.contains(rule) && message.contains(path), "{told}: {call:?}: {answer:?}");
        Ok(())
    }

    fn admitted(&self, who: &Person, call: Call<'_>) -> Outcome {
        let answer = self.send(who, call)?;
        assert!(answer.is_success(), "{call:?}: {answer:?}");
        Ok(())
    }
}

const PODS: &str = "/api/v1/namespaces/STAGE-acme/pods";
const JOBS: &str = "/apis/batch/v1/namespaces/STAGE-acme/jobs";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/STAGE-acme/deployments";
const CLAIMS: &str = "/api/v1/namespaces/STAGE-acme/persistentvolumeclaims";
const POOLS: &str = "/apis/krate.a5c.ai/v1alpha1/namespaces/STAGE-acme/runnerpools";

/// A pod of a name, with the labels of a run if it is for one.
fn pod(name: &str, run: &str, spec: &Value) -> String {
    let mut spec = spec.clone();
    for (field, value) in [
        ("restartPolicy", json!("Never")),
        ("automountServiceAccountToken", json!(false)),
        ("containers", json!([{"name": "c", "image": "r/a:1"}])),
    ] {
        spec.as_object_mut().and_then(|spec| spec.insert(field.to_owned(), value));
    }
    let metadata = if run.is_empty() {
        json!({"name": name})
    } else {
        json!({"name": name, "labels": {"krate.a5c.ai/dispatch-run": run}})
    };
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).to_string()
}

fn trusted() -> Value {
    json!({"nodeSelector": {"pool": "trusted"}, "tolerations": [{"key": "pool", "value": "trusted", "effect": "NoSchedule"}]})
}

#[test]
fn work_that_is_there_already_is_not_moved() -> Outcome {
    let (scene, _replica) = Scene::open("moved")?;
    let wake = r#"{"spec":{"suspend":false}}"#;
    let (sleeper, honest) = (format!("{JOBS}/sleeper"), format!("{JOBS}/honest-sleeper"));
    let at = ("PF-TRU-001", "$.spec.template.spec.nodeSelector");
    scene.refused(&scene.dev, ("PATCH", &sleeper, MERGE, wake), at)?;
    scene.admitted(&scene.dev, ("PATCH", &honest, MERGE, wake))?;

    let (zero, honest) =
        (format!("{DEPLOYMENTS}/zero/scale"), format!("{DEPLOYMENTS}/honest-zero/scale"));
    let more = r#"{"spec":{"replicas":2}}"#;
    scene.refused(&scene.dev, ("PATCH", &zero, MERGE, more), ("PF-TRU-001", "$.spec.replicas"))?;
    scene.admitted(&scene.dev, ("PATCH", &honest, MERGE, more))?;

    let gated = pod("gated", "", &json!({"schedulingGates": [{"name": "example.com/wait"}]}));
    scene.admitted(&scene.dev, ("POST", PODS, JSON, &gated))?;
    let path = format!("{PODS}/gated");
    let towards = |pool: &str| json!({"spec": {"nodeSelector": pool_of(pool)}}).to_string();
    let at = ("PF-TRU-001", "$.spec.nodeSelector");
    scene.refused(&scene.dev, ("PATCH", &path, MERGE, &towards("trusted")), at)?;
    scene.admitted(&scene.dev, ("PATCH", &path, MERGE, &towards("untrusted")))?;

    let live = pod("live", "", &json!({}));
    scene.admitted(&scene.dev, ("POST", PODS, JSON, &live))?;
    let path = format!("{PODS}/live");
    let tolerate = |key: &str| {
        json!([{"op": "add", "path": "/spec/tolerations/-", "value": {"key": key, "operator": "Exists"}}]).to_string()
    };
    let patch = "application/json-patch+json";
    let at = ("PF-TRU-001", "$.spec.tolerations");
    scene.refused(&scene.dev, ("PATCH", &path, patch, &tolerate("pool")), at)?;
    scene.admitted(&scene.dev, ("PATCH", &path, patch, &tolerate("other")))?;

    let bind = |node: &str| {
        json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "live"}, "target": {"apiVersion": "v1", "kind": "Node", "name": node}}).to_string()
    };
    let path = format!("{PODS}/live/binding");
    let at = ("PF-TRU-001", "$.target.name");
    scene.refused(&scene.dev, ("POST", &path, JSON, &bind("STAGE-t1")), at)?;
    scene.admitted(&scene.dev, ("POST", &path, JSON, &bind("STAGE-s1")))
}

fn pool_of(name: &str) -> Value {
    json!({"pool": name})
}

#[test]
fn what_a_pod_only_names_is_looked_up() -> Outcome {
    let (scene, _replica) = Scene::open("named")?;
    let template = |name: &str, class: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": 0,
        "selector": {"matchLabels": {"a": name}}, "template": {"metadata": {"labels": {"a": name}}, "spec": {"runtimeClassName": class,
        "automountServiceAccountToken": false, "containers": [{"name": "c", "image": "r/a:1"}]}}}}).to_string()
    };
    let classes = |name: &str, class: &str| pod(name, "", &json!({"runtimeClassName": class}));
    let at = ("PF-TRU-001", "$.spec.template.spec.runtimeClassName");
    scene.refused(&scene.dev, ("POST", DEPLOYMENTS, JSON, &template("onto", "STAGE-onto")), at)?;
    scene.admitted(&scene.dev, ("POST", DEPLOYMENTS, JSON, &template("plain", "STAGE-plain")))?;
    // Into pods the API server writes what the class says before anybody is asked.
    let at = ("PF-TRU-001", "$.spec.nodeSelector");
    scene.refused(&scene.dev, ("POST", PODS, JSON, &classes("onto", "STAGE-onto")), at)?;
    scene.admitted(&scene.dev, ("POST", PODS, JSON, &classes("plain", "STAGE-plain")))?;

    let scheduled = |name: &str, by: &str| pod(name, "", &json!({"schedulerName": by}));
    let at = ("PF-TRU-001", "$.spec.schedulerName");
    scene.refused(&scene.dev, ("POST", PODS, JSON, &scheduled("odd", "mine")), at)?;
    scene.admitted(&scene.dev, ("POST", PODS, JSON, &scheduled("even", "default-scheduler")))
}

#[test]
fn a_trusted_pod_is_nobody_elses_to_change() -> Outcome {
    let (scene, _replica) = Scene::open("handed")?;
    scene.admitted(
        &scene.controller,
        ("POST", PODS, JSON, &pod("release", "run-main", &trusted())),
    )?;
    scene.admitted(&scene.dev, ("POST", PODS, JSON, &pod("own", "", &json!({}))))?;
    let debug = r#"{"spec":{"ephemeralContainers":[{"name":"debug","image":"r/b:1"}]}}"#;
    let at = |name: &str| format!("{PODS}/{name}/ephemeralcontainers");
    let rule = ("PF-TRU-001", "$.spec.nodeSelector");
    scene.refused(&scene.dev, ("PATCH", &at("release"), STRATEGIC, debug), rule)?;
    scene.admitted(&scene.dev, ("PATCH", &at("own"), STRATEGIC, debug))?;
    let image = r#"{"spec":{"containers":[{"name":"c","image":"evil/a:1"}]}}"#;
    let at = |name: &str| format!("{PODS}/{name}");
    scene.refused(&scene.dev, ("PATCH", &at("release"), STRATEGIC, image), rule)?;
    scene.admitted(&scene.dev, ("PATCH", &at("own"), STRATEGIC, image))?;
    let handed = r#"{"metadata":{"labels":{"krate.a5c.ai/dispatch-run":"run-fork"}}}"#;
    let label = ("PF-TRU-006", "$.metadata.labels['krate.a5c.ai/dispatch-run']");
    scene.refused(&scene.controller, ("PATCH", &at("release"), MERGE, handed), label)?;
    let noted = r#"{"metadata":{"labels":{"app":"release"}}}"#;
    scene.admitted(&scene.dev, ("PATCH", &at("release"), MERGE, noted))
}

#[test]
fn nodes_and_pools_are_their_administrators() -> Outcome {
    let (scene, _replica) = Scene::open("nodes")?;
    let nodes = "/api/v1/nodes";
    let (t1, s1) = ("/api/v1/nodes/STAGE-t1", "/api/v1/nodes/STAGE-s1");
    let label = |key: &str, value: &str| json!({"metadata": {"labels": {key: value}}}).to_string();
    let moved = ("PF-TRU-004", "$.metadata.labels.pool");
    let into = label("pool", "trusted");
    scene.refused(&scene.dev, ("PATCH", s1, MERGE, &into), moved)?;
    scene.admitted(&scene.dev, ("PATCH", s1, MERGE, &label("zone", "a")))?;
    scene.refused(&scene.dev, ("PATCH", t1, MERGE, &label("pool", "untrusted")), moved)?;
    let bare = r#"{"spec":{"taints":null}}"#;
    scene.refused(&scene.dev, ("PATCH", t1, MERGE, bare), ("PF-TRU-004", "$.spec.taints"))?;
    let status = "/api/v1/nodes/STAGE-s1/status";
    scene.refused(&scene.kubelet, ("PATCH", status, STRATEGIC, &into), moved)?;
    let beat = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    scene.admitted(&scene.kubelet, ("PATCH", status, STRATEGIC, beat))?;
    let joins = |labels: Value| {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "STAGE-new", "labels": labels}}).to_string()
    };
    scene.refused(
        &scene.kubelet,
        ("POST", nodes, JSON, &joins(json!({"pool": "trusted"}))),
        moved,
    )?;
    scene.admitted(&scene.kubelet, ("POST", nodes, JSON, &joins(json!({"zone": "a"}))))?;
    scene.admitted(&scene.master, ("PATCH", "/api/v1/nodes/STAGE-new", MERGE, &into))?;

    let pool = |name: &str, tier: &str| {
        json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "RunnerPool", "metadata": {"name": name},
        "spec": {"organizationRef": "acme", "trustTier": tier}}).to_string()
    };
    let raised = ("PF-TRU-004", "$.spec.trustTier");
    scene.refused(&scene.dev, ("POST", POOLS, JSON, &pool("mine", "trusted")), raised)?;
    scene.admitted(&scene.dev, ("POST", POOLS, JSON, &pool("mine", "untrusted")))?;
    let (forks, release) = (format!("{POOLS}/forks"), format!("{POOLS}/release"));
    let tier = r#"{"spec":{"trustTier":"trusted"}}"#;
    scene.refused(&scene.dev, ("PATCH", &forks, MERGE, tier), raised)?;
    let nodes = r#"{"spec":{"nodeSelector":{"pool":"untrusted"}}}"#;
    scene.refused(
        &scene.dev,
        ("PATCH", &release, MERGE, nodes),
        ("PF-TRU-004", "$.spec.nodeSelector"),
    )?;
    scene.admitted(&scene.dev, ("PATCH", &forks, MERGE, nodes))?;
    scene.refused(
        &scene.dev,
        ("DELETE", &release, JSON, ""),
        ("PF-TRU-004", "deletes trusted runner pool"),
    )?;
    scene.admitted(&scene.dev, ("DELETE", &forks, JSON, ""))?;
    scene.admitted(&scene.master, ("DELETE", &release, JSON, ""))
}

#[test]
fn claims_are_not_shared_across_tiers_and_runs() -> Outcome {
    let (scene, _replica) = Scene::open("shared")?;
    let claim = |name: &str, run: &str| {
        let labels =
            if run.is_empty() { json!({}) } else { json!({"krate.a5c.ai/dispatch-run": run}) };
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "labels": labels},
            "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}}).to_string()
    };
    scene.admitted(&scene.controller, ("POST", CLAIMS, JSON, &claim("of-main", "run-main")))?;
    scene.admitted(&scene.controller, ("POST", CLAIMS, JSON, &claim("plain", "")))?;
    scene.admitted(&scene.master, ("POST", CLAIMS, JSON, &claim("release-cache", "")))?;
    let stamped = scene.stage.named("STAGE-acme");
    let stamp = scene.stage.field(
        &["persistentvolumeclaim", "of-main", "-n", &stamped],
        ".metadata.annotations.pinfold\\.dev/run",
    )?;
    assert!(stamp.starts_with("run-main/"), "{stamp:?}");

    let uses = |name: &str, run: &str, claim: &str, read_only: bool| {
        let volume = json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}}]});
        pod(name, run, &volume)
    };
    let at = ("PF-TRU-006", "$.spec.volumes[0].persistentVolumeClaim.claimName");
    let controller = &scene.controller;
    for claim in ["of-main", "release-cache"] {
        let name = format!("fork-{claim}");
        scene.refused(
            controller,
            ("POST", PODS, JSON, &uses(&name, "run-fork", claim, false)),
            at,
        )?;
        scene.admitted(controller, ("POST", PODS, JSON, &uses(&name, "run-fork", claim, true)))?;
        let name = format!("main-{claim}");
        scene.admitted(controller, ("POST", PODS, JSON, &uses(&name, "run-main", claim, false)))?;
    }
    // A claim is a run's too once a pod of the run uses it, as soon as the watch has brought the pod.
    scene.admitted(controller, ("POST", PODS, JSON, &uses("first", "run-main", "plain", false)))?;
    let second = uses("second", "run-fork", "plain", false);
    let dry = format!("{PODS}?dryRun=All");
    let refused = |answer: &Answer| answer.status == 403 && answer.message().contains("PF-TRU-006");
    scene.until(controller, ("POST", &dry, JSON, &second), refused)?;
    scene.admitted(controller, ("POST", PODS, JSON, &uses("reader", "run-fork", "plain", true)))?;
    scene.admitted(controller, ("POST", PODS, JSON, &uses("again", "run-main", "plain", false)))
}
