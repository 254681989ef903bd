//! The ways onto a trusted pool.

use pinfold_model::facts::Question;
use pinfold_model::object::ObjectKey;
use serde_json::json;

use super::{KEPT_OFF, cluster, create, pod, rows, value, with};
use crate::organization::fixture::{object, spoken};

/// `NAMESPACE | SPEC => PATH...` of a pod by somebody without a record; `+` is the spec's path.
const PODS: &str = "
g | nodeSelector: {pool: untrusted, tier: free} =>
g | =>  +.nodeSelector
g | nodeSelector: {pool: trusted} => +.nodeSelector.pool +.nodeSelector
g | nodeSelector: {pool: trusted, tier: free} => +.nodeSelector.pool
g | nodeSelector: {tier: gold} => +.nodeSelector.tier
g | nodeSelector: {kubernetes.io/os: linux, tier: free} =>
g | nodeSelector: {kubernetes.io/os: linux} => +.nodeSelector
g | nodeSelector: {runner: special, tier: special} => +.nodeSelector.runner +.nodeSelector.tier
g | nodeSelector: {runner: special, tier: free} =>
u | nodeSelector: {pool: trusted} => +.nodeSelector.pool +.serviceAccountName
u | nodeSelector: {kubernetes.io/os: linux} => +.serviceAccountName
u | serviceAccountName: x =>
nowhere | serviceAccountName: x => +.nodeSelector
kube-system | nodeSelector: {pool: trusted}, tolerations: [{operator: Exists}] =>
g | KEPT, nodeName: s1 =>
g | KEPT, nodeName: t1 => +.nodeName
g | nodeName: gold1 => +.nodeName
g | nodeName: s1 =>
u | serviceAccountName: x, nodeName: t1 => +.nodeName
u | serviceAccountName: x, nodeName: not-there => +.nodeName
g | KEPT, serviceAccountName: runner-trusted => +.serviceAccountName
g | KEPT, serviceAccountName: runner-untrusted =>
g | KEPT, serviceAccount: runner-trusted => +.serviceAccount
g | KEPT, serviceAccountName: a, serviceAccount: runner-trusted => +.serviceAccount
g | KEPT, serviceAccountName: pool-account => +.serviceAccountName
g | KEPT, serviceAccountName: wide-account => +.serviceAccountName
other | KEPT, serviceAccountName: wide-account =>
u | KEPT => +.serviceAccountName
u | KEPT, serviceAccountName: default => +.serviceAccountName
u | KEPT, serviceAccountName: runner-trusted =>
g | KEPT, runtimeClassName: kata => +.runtimeClassName
g | KEPT, runtimeClassName: gvisor =>
g | KEPT, priorityClassName: urgent => +.priorityClassName
g | KEPT, priorityClassName: low =>
g | KEPT, tolerations: [{key: pool, operator: Equal, value: trusted, effect: NoSchedule}] => +.tolerations[0]
g | KEPT, tolerations: [{key: pool, value: trusted}] => +.tolerations[0]
g | KEPT, tolerations: [{key: x, operator: Exists}, {key: pool, operator: Exists}] => +.tolerations[1]
g | KEPT, tolerations: [{operator: Exists}] => +.tolerations[0]
g | KEPT, tolerations: [{operator: Exists, effect: NoSchedule}] => +.tolerations[0]
g | KEPT, tolerations: [{operator: Exists, effect: NoExecute}] => +.tolerations[0]
g | KEPT, tolerations: [{operator: Exists, effect: PreferNoSchedule}] =>
g | KEPT, tolerations: [{key: pool, operator: Exists, effect: NoExecute}] =>
g | KEPT, tolerations: [{key: pool, value: untrusted, effect: NoSchedule}] =>
g | KEPT, tolerations: [{key: cores, operator: Gt, value: '1'}] => +.tolerations[0]
g | KEPT, tolerations: [{value: trusted}] =>
u | serviceAccountName: x, tolerations: [{key: pool, value: trusted}] => +.tolerations[0]
";

#[test]
fn every_way_of_a_pod() {
    let cluster = cluster();
    let rows = rows(PODS);
    for row in &rows {
        let (pod_row, paths) = row.split_once("=>").expect("an arrow");
        let (namespace, spec) = pod_row.split_once('|').expect("a bar");
        let manifest = pod(namespace.trim(), &spec.trim().replace("KEPT", KEPT_OFF));
        cluster.expect(&create("dev", &manifest), paths, row);
    }
    assert!(rows.len() >= 45);
}

/// Terms of the required affinity as `KEY OPERATOR VALUE...`, `;` between requirements, `|` between terms; `@` is a field.
const AFFINITY: &str = "
pool In untrusted; tier In free =>
pool In trusted; tier In free => 0.matchExpressions[0]
pool NotIn untrusted; tier In free => 0.matchExpressions[0]
pool NotIn trusted; tier In free =>
pool Exists; tier In free => 0.matchExpressions[0]
pool DoesNotExist; tier In free =>
pool In untrusted; tier In free | pool In trusted; tier In free => 1.matchExpressions[0]
pool In untrusted, trusted; tier In free => 0.matchExpressions[0]
zone In a; tier In free =>
tier NotIn gold; tier NotIn many, special =>
tier NotIn free => 0.matchExpressions[0]
cores Gt 32 => 0.matchExpressions[0] +.nodeSelector
cores Gt 64; tier In free =>
cores Lt 65; tier NotIn gold, special => 0.matchExpressions[0] 0.matchExpressions[1]
cores Gt many; tier In free =>
pool Sometimes x; tier In free =>
@metadata.name In s1; tier In free =>
@metadata.name In t1 => 0.matchFields[0]
@metadata.name In s1, t1 => 0.matchFields[0]
@metadata.name In not-there => 0.matchFields[0]
@metadata.name NotIn s1; tier In free =>
kubernetes.io/hostname In t1 => 0.matchExpressions[0]
kubernetes.io/hostname In s1 =>
kubernetes.io/hostname In not-there => 0.matchExpressions[0]
NOTHING =>
";

fn terms(text: &str) -> serde_json::Value {
    let requirement = |text: &str| {
        let mut words = text.split([' ', ',']).filter(|word| !word.is_empty());
        let key = words.next().expect("a key").trim_start_matches('@').to_owned();
        let operator = words.next().expect("an operator").to_owned();
        json!({"key": key, "operator": operator, "values": words.collect::<Vec<_>>()})
    };
    let term = |text: &str| {
        if text.trim() == "NOTHING" {
            return json!({});
        }
        let all = text.split(';').map(str::trim);
        let (fields, labels): (Vec<_>, Vec<_>) = all.partition(|text| text.starts_with('@'));
        json!({"matchFields": fields.into_iter().map(requirement).collect::<Vec<_>>(),
            "matchExpressions": labels.into_iter().map(requirement).collect::<Vec<_>>()})
    };
    text.split('|').map(term).collect()
}

#[test]
fn required_node_affinity() {
    let cluster = cluster();
    let base =
        "+.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[";
    for row in rows(AFFINITY) {
        let (text, paths) = row.split_once("=>").expect("an arrow");
        let required = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms(text)}}});
        let manifest = with(pod("g", "containers: []"), &["spec", "affinity"], required);
        let full = |path: &str| match path.split_once('.') {
            Some((index, rest)) if index != "+" => format!("{base}{index}].{rest}"),
            _ => path.to_owned(),
        };
        let paths: Vec<String> = paths.split_whitespace().map(full).collect();
        cluster.expect(&create("dev", &manifest), &paths.join(" "), row);
    }
}

#[test]
fn preferred_node_affinity_names_a_pool_unless_something_keeps_the_pod_off() {
    let cluster = cluster();
    let path = "+.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0]";
    let preferred = |values: &str| {
        json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "pool", "operator": "In", "values": [values]}]}}]}})
    };
    let cases = [
        ("tier: free", "trusted", path),
        ("tier: free", "untrusted", ""),
        ("pool: untrusted, tier: free", "trusted", ""),
    ];
    for (selector, value, paths) in cases {
        let manifest = pod("g", &format!("nodeSelector: {{{selector}}}"));
        let manifest = with(manifest, &["spec", "affinity"], preferred(value));
        cluster.expect(&create("dev", &manifest), paths, selector);
    }
}

/// `POD LABEL=VALUE => PATH...`; the object's label is in front of a slash, the template's behind.
#[test]
fn labels_that_name_a_pool() {
    let cluster = cluster();
    let own = "$.metadata.labels['krate.a5c.ai/runner-pool']";
    let of_pods = "$.spec.template.metadata.labels['krate.a5c.ai/runner-pool']";
    let cases = [
        ("krate.a5c.ai", "own", own, of_pods),
        ("krate.a5c.ai", "linux", own, of_pods),
        ("krate.a5c.ai", "sandbox", "", ""),
        ("krate.a5c.ai", "misspelt", own, of_pods),
        ("krate.a5c.ai", "shared-name", "", ""),
        ("krate.a5c.ai", "far", own, of_pods),
        ("krate.a5c.ai", "far-free", "", ""),
        ("krate.a5c.ai", "wide", own, of_pods),
        ("krate.a5c.ai", "not-there", own, of_pods),
        ("krate.a5c.ai", "", "", ""),
        (
            "kradle.a5c.ai",
            "own",
            "$.metadata.labels['kradle.a5c.ai/runner-pool']",
            "$.spec.template.metadata.labels['kradle.a5c.ai/runner-pool']",
        ),
        ("example.com", "own", "", ""),
    ];
    for (group, name, on_object, on_pods) in cases {
        let label = json!({ format!("{group}/runner-pool"): name });
        let bare = pod("g", KEPT_OFF);
        let labelled = with(bare.clone(), &["metadata", "labels"], label.clone());
        cluster.expect(&create("dev", &labelled), on_object, name);
        let deployment =
            value("{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: g}}");
        let deployment = with(deployment, &["spec", "template", "spec"], bare["spec"].clone());
        let on_template =
            with(deployment.clone(), &["spec", "template", "metadata", "labels"], label.clone());
        cluster.expect(&create("dev", &on_template), on_pods, name);
        let on_both = with(on_template, &["metadata", "labels"], label);
        cluster.expect(&create("dev", &on_both), &format!("{on_object} {on_pods}"), name);
    }
}

#[test]
fn every_kind_that_embeds_a_pod() {
    let cluster = cluster();
    let kinds: [(&str, &str, &[&str]); 9] = [
        ("v1", "Pod", &["spec"]),
        ("v1", "PodTemplate", &["template", "spec"]),
        ("v1", "ReplicationController", &["spec", "template", "spec"]),
        ("apps/v1", "Deployment", &["spec", "template", "spec"]),
        ("extensions/v1beta1", "ReplicaSet", &["spec", "template", "spec"]),
        ("apps/v1beta1", "StatefulSet", &["spec", "template", "spec"]),
        ("apps/v1", "DaemonSet", &["spec", "template", "spec"]),
        ("batch/v1", "Job", &["spec", "template", "spec"]),
        ("batch/v1", "CronJob", &["spec", "jobTemplate", "spec", "template", "spec"]),
    ];
    for (version, kind, steps) in kinds {
        let bare = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "w", "namespace": "g"}});
        let base = format!("$.{}", steps.join("."));
        let placed = |selector| with(bare.clone(), &[steps, &["nodeSelector"]].concat(), selector);
        let honest = placed(json!({"pool": "untrusted", "tier": "free"}));
        cluster.expect(&create("dev", &honest), "", kind);
        let attack = placed(json!({"pool": "trusted", "tier": "free"}));
        cluster.expect(&create("dev", &attack), &format!("{base}.nodeSelector.pool"), kind);
    }
}

#[test]
fn bindings_put_pods_on_nodes() {
    let cluster = cluster();
    let cases = [
        ("g", "plain", "s1", ""),
        ("g", "plain", "t1", "$.target.name"),
        ("g", "plain", "gold1", "$.target.name"),
        ("g", "stamped", "t1", ""),
        ("g", "of-d-1", "t1", ""),
        ("g", "not-there", "t1", "$.target.name"),
        ("g", "plain", "not-there", "$.target.name"),
        ("u", "stamped", "t1", "$.target.name"),
        ("kube-system", "proxy", "t1", ""),
    ];
    for (namespace, name, node, paths) in cases {
        let manifest = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": namespace}, "target": {"kind": "Node", "name": node}});
        let mut facts = create("system:kube-scheduler", &manifest);
        facts.subresource = "binding".to_owned();
        cluster.expect(&facts, paths, &format!("{namespace}/{name} on {node}"));
        // The `bindings` resource is the same without a subresource.
        cluster.expect(&create("system:kube-scheduler", &manifest), paths, name);
    }
}

#[test]
fn a_node_that_is_not_known_is_asked_for_and_the_answer_decides() {
    let cluster = cluster();
    let mut facts = create("dev", &pod("g", &format!("{KEPT_OFF}, nodeName: new")));
    let key = ObjectKey::new("", "Node", "", "new");
    let found = cluster.judge(&facts);
    assert_eq!(found.questions, [Question::Object(key.clone())]);
    for (label, denied) in [("trusted", true), ("untrusted", false)] {
        let node = value(&format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: new, labels: {{pool: {label}, kubernetes.io/os: linux, tier: free}}}}}}"
        ));
        facts.answers.objects = vec![(key.clone(), Some(object(&node)))];
        assert_eq!(!spoken(&cluster.judge(&facts)).is_empty(), denied, "{label}");
    }
}

#[test]
fn runs_name_their_pool_themselves() {
    let cluster = cluster();
    let run = |git_ref: &str, pool: &str| json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentDispatchRun", "metadata": {"name": "n", "namespace": "g"}, "spec": {"repository": "r", "ref": git_ref, "runnerPool": pool}});
    let cases = [
        ("refs/heads/main", "own", ""),
        ("refs/pull/1/head", "own", "$.spec.runnerPool"),
        ("refs/pull/1/head", "linux", "$.spec.runnerPool"),
        ("refs/pull/1/head", "sandbox", ""),
        ("refs/pull/1/head", "", ""),
        ("refs/pull/1/head", "not-there", ""),
    ];
    for (git_ref, pool, paths) in cases {
        cluster.expect(&create("dev", &run(git_ref, pool)), paths, pool);
    }
}

#[test]
fn messages_are_for_people() {
    let found =
        cluster().judge(&create("dev", &pod("g", "nodeSelector: {pool: trusted, tier: free}")));
    let raw = found.raw.first().expect("a finding");
    assert_eq!(
        raw.message,
        "untrusted work (no record of a run) may not run on trusted pool `linux`: nodeSelector `pool=trusted`"
    );
    assert_eq!(
        raw.remedy,
        "select the nodes of untrusted pool `sandbox` with `nodeSelector` `pool=untrusted` and `tier=free`; work is trusted only if a \
         controller of `trust.controllers` makes it for a run of a ref in `trust.trustedRefs`"
    );
}

#[test]
fn nobody_known_to_ask_leaves_placed_work_undecided_and_judges_the_rest() {
    let cluster = cluster();
    let found = cluster.judge(&create("", &pod("g", "nodeSelector: {pool: trusted}")));
    assert!(found.raw.is_empty() && found.undecided.len() == 1);
    let found = cluster.judge(&create("", &pod("g", KEPT_OFF)));
    assert!(found.raw.is_empty() && found.undecided.is_empty());
}

#[test]
fn a_runner_pool_that_goes_away_stops_counting_and_leaves_its_twin() {
    let mut cluster = cluster();
    let row = "nodeSelector: {runner: special, tier: free}";
    let twin = "{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: twin, namespace: g}, spec: {trustTier: trusted, nodeSelector: {runner: twin}}}";
    let pods = |runner: &str| create("dev", &pod("g", &row.replace("special", runner)));
    cluster.expect(&pods("twin"), "", "before");
    cluster.view.apply(object(&value(twin)));
    cluster.view.apply(object(&value(
        &twin.replace("name: twin, namespace: g", "name: other-twin, namespace: other"),
    )));
    cluster.expect(&pods("twin"), "+.nodeSelector.runner", "two of them");
    cluster.view.remove(&ObjectKey::new("krate.a5c.ai", "RunnerPool", "g", "twin"));
    cluster.expect(&pods("twin"), "+.nodeSelector.runner", "one of them");
    cluster.view.apply(object(&value(
        &twin
            .replace("name: twin, namespace: g", "name: other-twin, namespace: other")
            .replace("trustTier: trusted", "trustTier: untrusted"),
    )));
    cluster.expect(&pods("twin"), "", "none of them is trusted");
}
