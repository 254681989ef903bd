//! The policy of running pods follows the policy files: by two replicas, each pod written once, in seconds; and nobody else may write it.
//!
//! Each test has an API server of its own: a webhook brings its policy to every confined pod of a cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use pinfold_model::digest::Digest;
use pinfold_tests::{User, until};
use serde_json::Value;

use crate::Outcome;
use crate::records::verifies;
use crate::registration::home::{Home, SOON};
use crate::replica::Replica;
use crate::stage::replace;

const POLICY: &str = "pinfold.dev/policy";
const DIGEST: &str = "pinfold.dev/policy-digest";
/// From the renamed file to the last annotation, with few pods: five looks at the files, two that agree, one write.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(2);
/// Writes a second of one replica, and so the fewest seconds for many pods by two.
const WRITES_PER_SECOND: u64 = 50;
/// May change pods in `acme`, and is no administrator.
const DEV: User<'_> = User { name: "dev", groups: &["acme:devs"] };

const RIGHTS: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: acme}, automountServiceAccountToken: false}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: dev, namespace: acme}, rules: [{apiGroups: [''], resources: [pods], verbs: ['*']}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: dev, namespace: acme}, subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: dev}],
   roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: dev}}
";

/// An AgentPolicy that allows one host to the pods of a namespace.
pub(super) fn agents(namespace: &str, host: &str) -> String {
    format!(
        "{{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {{name: agents}}, spec: {{appliesTo: {{namespaces: [{namespace}]}}, \
         egress: {{allow: [{{host: {host}, ports: [443], protocol: tls}}]}}}}}}\n"
    )
}

/// Pods that were confined when nobody knew of the present policy.
fn pods(number: usize) -> Outcome<String> {
    let mut text = String::new();
    for at in 0..number {
        writeln!(
            text,
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: p{at}, namespace: acme, annotations: {{{POLICY}: '{{}}', {DIGEST}: '{}', \
             pinfold.dev/policy-subject: '{{\"serviceAccount\":\"default\",\"stacks\":[]}}'}}}}, \
             spec: {{serviceAccountName: default, automountServiceAccountToken: false, containers: [{{name: c, image: 'r/a:1'}}]}}}}",
            Digest::of(b"{}")
        )?;
    }
    Ok(text)
}

/// A cluster with so many confined pods, and its policy.
pub(super) fn cluster(number: usize) -> Outcome<Home> {
    let home = Home::new()?;
    home.server.apply(RIGHTS)?;
    if number > 0 {
        home.server.kubectl(&["create", "-f", "-"], &pods(number)?)?.ok()?;
    }
    fs::write(home.path("policy").join("agents.yaml"), agents("acme", "one.example"))?;
    Ok(home)
}

/// Two replicas behind the Service; the first keeps the registration.
pub(super) fn replicas(home: &Home) -> Outcome<[Replica; 2]> {
    let flags = |mode: &str, audit: &str| {
        home.flags(mode).with("--policy-push", "on").with("--audit", home.path(audit))
    };
    let one = home.open(&flags("keep", "audit-one"))?;
    home.enforces()?;
    let two = Replica::start(&flags("off", "audit-two"))?;
    Ok([one, two])
}

/// Pods by name, with their annotations.
fn annotations(home: &Home) -> Outcome<BTreeMap<String, (String, String)>> {
    let list = home.server.kubectl(&["get", "pods", "-n", "acme", "-o", "json"], "")?.ok()?;
    let list: Value = serde_json::from_str(&list)?;
    let items = list.get("items").and_then(Value::as_array).ok_or("no items")?;
    let of = |pod: &Value| {
        let metadata = pod.get("metadata")?;
        let text = |key: &str| {
            let annotations = metadata.get("annotations")?;
            annotations.get(key)?.as_str().map(str::to_owned)
        };
        Some((metadata.get("name")?.as_str()?.to_owned(), (text(POLICY)?, text(DIGEST)?)))
    };
    Ok(items.iter().filter_map(of).collect())
}

/// Whether all of so many pods have a policy that names a host, with the digest of exactly that text.
pub(super) fn all_have(home: &Home, number: usize, host: &str) -> Option<()> {
    let pods = annotations(home).ok()?;
    let has = |(text, digest): &(String, String)| {
        text.contains(host) && *digest == Digest::of(text.as_bytes()).to_string()
    };
    (pods.len() == number && pods.values().all(has)).then_some(())
}

fn counted(replicas: &[Replica], result: &str) -> Outcome<f64> {
    let counts = replicas
        .iter()
        .map(|replica| replica.count("pinfold_policy_push_total", &[("result", result)]));
    counts.sum()
}

pub(super) fn logs(replicas: &[Replica]) -> String {
    replicas.iter().map(|replica| replica.process.log()).collect::<Vec<_>>().join("\n--\n")
}

#[test]
fn a_changed_policy_reaches_running_pods_within_two_seconds() -> Outcome {
    const PODS: usize = 12;
    let home = cluster(PODS)?;
    let replicas = replicas(&home)?;
    until(SOON, || all_have(&home, PODS, "one.example"))
        .ok_or_else(|| format!("what was missed is not made up for:\n{}", logs(&replicas)))?;
    let written = counted(&replicas, "written")?;
    assert_eq!(written, 12.0, "each pod once, whoever does it");

    let file = home.path("policy").join("agents.yaml");
    replace(&file, &agents("acme", "two.example"))?;
    let changed = Instant::now();
    until(SOON, || all_have(&home, PODS, "two.example"))
        .ok_or_else(|| format!("not followed:\n{}", logs(&replicas)))?;
    let took = changed.elapsed();
    assert!(took < FOLLOWS_WITHIN, "{took:?}");
    let behind = until(SOON, || {
        let behind = |replica: &Replica| replica.count("pinfold_policy_push_pods_behind", &[]);
        replicas.iter().all(|replica| behind(replica).is_ok_and(|count| count == 0.0)).then_some(())
    });
    behind.ok_or("pods are counted as behind that aren't")?;
    assert_eq!(counted(&replicas, "written")?, 24.0);
    assert_eq!(
        counted(&replicas, "failed")? + counted(&replicas, "busy")?,
        0.0,
        "{}",
        logs(&replicas)
    );
    assert_recorded(&home, 24)?;

    // No AgentPolicy applies any more: nothing may leave, and an Event says so.
    replace(&file, &agents("elsewhere", "two.example"))?;
    let empty = |home: &Home| {
        let pods = annotations(home).ok()?;
        pods.values().all(|(text, _)| !text.contains("two.example")).then_some(())
    };
    until(SOON, || empty(&home)).ok_or("a policy stands that applies no more")?;
    let events =
        ["get", "events", "-n", "acme", "--field-selector", "reason=NoPolicyApplies", "-o", "name"];
    until(SOON, || {
        let events = home.server.kubectl(&events, "").ok()?.ok().ok()?;
        (events.lines().count() >= PODS).then_some(())
    })
    .ok_or("no Events on the pods")?;
    Ok(())
}

/// Each write is in the ledger of the replica that made it.
fn assert_recorded(home: &Home, writes: usize) -> Outcome {
    let mut found = 0_usize;
    for audit in ["audit-one", "audit-two"] {
        let directory = home.path(audit);
        let (passes, said) = verifies(&directory)?;
        assert!(passes, "{said}");
        for file in fs::read_dir(&directory)? {
            let text = fs::read_to_string(file?.path()).unwrap_or_default();
            let wanted = |line: &&str| line.contains("the compiled policy was");
            found = found.saturating_add(text.lines().filter(wanted).count());
        }
    }
    assert_eq!(found, writes);
    Ok(())
}

#[test]
fn only_pinfold_writes_the_policy_of_a_pod() -> Outcome {
    let home = cluster(1)?;
    let _replicas = replicas(&home)?;
    until(SOON, || all_have(&home, 1, "one.example")).ok_or("not followed")?;
    let before = annotations(&home)?;
    let annotate = |what: &[&str]| {
        let arguments = [&["annotate", "pod", "p0", "-n", "acme", "--overwrite"], what].concat();
        home.server.kubectl_as(DEV, &arguments, "")
    };
    let wide = format!("{POLICY}={}", agents("acme", "'**'"));
    let cases: [&[&str]; 4] = [
        &[&wide],
        &["pinfold.dev/policy-digest=sha256:0"],
        &["pinfold.dev/policy-"],
        &["pinfold.dev/policy-", "pinfold.dev/policy-digest-"],
    ];
    for case in cases {
        let answer = annotate(case)?;
        assert!(!answer.success() && answer.stderr.contains("PF-RBAC-008"), "{case:?}: {answer:?}");
    }
    let honest = annotate(&["team=search"])?;
    assert!(honest.success(), "{honest:?}");
    assert_eq!(annotations(&home)?, before);
    Ok(())
}

#[test]
fn many_pods_are_written_in_good_order_and_hold_nobody_up() -> Outcome {
    const PODS: usize = 500;
    let home = cluster(PODS)?;
    let replicas = replicas(&home)?;
    until(SOON.saturating_mul(4), || all_have(&home, PODS, "one.example"))
        .ok_or_else(|| format!("not followed:\n{}", logs(&replicas)))?;
    let before = counted(&replicas, "written")?;

    replace(&home.path("policy").join("agents.yaml"), &agents("acme", "two.example"))?;
    let changed = Instant::now();
    let mut slowest = Duration::ZERO;
    let followed = until(SOON.saturating_mul(4), || {
        let asked = Instant::now();
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: asked, namespace: acme}, spec: {hostNetwork: true, containers: [{name: c, image: 'r/a:1'}]}}";
        home.server.kubectl(&["apply", "--dry-run=server", "-f", "-"], pod).ok()?;
        slowest = slowest.max(asked.elapsed());
        all_have(&home, PODS, "two.example")
    });
    followed.ok_or_else(|| format!("not followed:\n{}", logs(&replicas)))?;
    let took = changed.elapsed();
    let fastest = Duration::from_secs(500_u64.checked_div(2 * WRITES_PER_SECOND).unwrap_or(0));
    assert!(
        took > fastest.saturating_sub(Duration::from_secs(1)),
        "faster than its own bound: {took:?}"
    );
    assert!(slowest < Duration::from_secs(5), "an admission took {slowest:?}");
    assert_eq!(counted(&replicas, "written")? - before, 500.0, "each pod once");
    assert_eq!(counted(&replicas, "failed")?, 0.0, "{}", logs(&replicas));
    Ok(())
}
