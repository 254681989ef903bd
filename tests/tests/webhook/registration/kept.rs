//! Pinfold's own registration: whatever somebody does to it is found, told and undone, and what it isn't responsible for isn't touched.

use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pinfold_tests::{KubectlOutput, until};
use serde_json::Value;

use super::home::{Home, SOON};
use crate::Outcome;
use crate::replica::Replica;

const VALIDATING: &str = "validatingwebhookconfiguration";
const MUTATING: &str = "mutatingwebhookconfiguration";

/// What somebody does to a configuration, as a JSON patch or `delete`, and how it is counted.
const DRIFTS: &[(&str, &str, &str)] = &[
    (VALIDATING, r#"[{"op":"replace","path":"/webhooks","value":[]}]"#, "emptied"),
    (VALIDATING, r#"[{"op":"remove","path":"/webhooks/0"}]"#, "entry-missing"),
    (VALIDATING, r#"[{"op":"remove","path":"/webhooks/0/rules/0"}]"#, "rules"),
    (
        VALIDATING,
        r#"[{"op":"replace","path":"/webhooks/0/rules/0/operations","value":["DELETE"]}]"#,
        "rules",
    ),
    (
        VALIDATING,
        r#"[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]"#,
        "failure-policy",
    ),
    (
        VALIDATING,
        r#"[{"op":"add","path":"/webhooks/0/matchConditions/-","value":{"name":"never","expression":"false"}}]"#,
        "match-conditions",
    ),
    (
        VALIDATING,
        r#"[{"op":"add","path":"/webhooks/1/namespaceSelector","value":{"matchLabels":{"no":"where"}}}]"#,
        "namespace-selector",
    ),
    (
        VALIDATING,
        r#"[{"op":"add","path":"/webhooks/0/objectSelector","value":{"matchLabels":{"no":"where"}}}]"#,
        "object-selector",
    ),
    (
        VALIDATING,
        r#"[{"op":"replace","path":"/webhooks/0/clientConfig/url","value":"https://127.0.0.1:1/healthz"}]"#,
        "client",
    ),
    (VALIDATING, r#"[{"op":"remove","path":"/metadata/labels"}]"#, "labels"),
    (VALIDATING, r#"[{"op":"replace","path":"/webhooks/0/matchPolicy","value":"Exact"}]"#, "other"),
    (VALIDATING, "delete", "deleted"),
    (MUTATING, r#"[{"op":"replace","path":"/webhooks","value":[]}]"#, "emptied"),
    (
        MUTATING,
        r#"[{"op":"replace","path":"/webhooks/0/reinvocationPolicy","value":"Never"}]"#,
        "other",
    ),
    (MUTATING, "delete", "deleted"),
];

fn short(kind: &str) -> &str {
    kind.trim_end_matches("webhookconfiguration")
}

/// What matters of a configuration.
fn content(home: &Home, kind: &str) -> Outcome<Option<(Value, Value)>> {
    let of = |found: Value| {
        let part = |path: &str| found.pointer(path).cloned().unwrap_or_default();
        (part("/webhooks"), part("/metadata/labels"))
    };
    Ok(home.configuration(kind)?.map(of))
}

fn drift(home: &Home, kind: &str, what: &str) -> Outcome<KubectlOutput> {
    let patch = ["patch", kind, "pinfold", "--type=json", "--field-manager=mallory", "-p", what];
    let delete = ["delete", kind, "pinfold"];
    let arguments = if what == "delete" { &delete[..] } else { &patch[..] };
    Ok(home.server.kubectl(arguments, "")?)
}

fn changes(replica: &Replica, kind: &str, change: &str, result: &str) -> Outcome<f64> {
    let labels = [("configuration", short(kind)), ("change", change), ("result", result)];
    replica.count("pinfold_registration_changes_total", &labels)
}

fn is_intact(replica: &Replica, kind: &str) -> bool {
    let labels = [("configuration", short(kind))];
    replica.count("pinfold_registration_intact", &labels).is_ok_and(|value| value > 0.5)
}

/// Waits until both configurations are as they should be, and with a CA.
fn intact(home: &Home, replicas: &[&Replica]) -> Outcome {
    let all = until(SOON, || {
        let whole = |kind: &&str| {
            let found = home.configuration(kind).ok().flatten().unwrap_or_default();
            let entries = found.pointer("/webhooks").and_then(Value::as_array).cloned();
            entries
                .unwrap_or_default()
                .iter()
                .all(|entry| entry.pointer("/clientConfig/caBundle").is_some())
        };
        let seen = |kind: &&str| replicas.iter().all(|replica| is_intact(replica, kind));
        let kinds = [VALIDATING, MUTATING];
        (kinds.iter().all(seen) && kinds.iter().all(whole)).then_some(())
    });
    let log = || replicas.iter().map(|replica| replica.process.log()).collect::<String>();
    all.ok_or_else(|| format!("the registration is not as it should be:\n{}", log()).into())
}

#[test]
fn every_change_is_undone_and_told() -> Outcome {
    let home = Home::new()?;
    let foreign = "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: foreign}, webhooks: []}";
    home.server.apply(foreign)?;
    let audit = home.path("audit");
    let replica = home.open(&home.flags("keep").with("--audit", &audit))?;
    intact(&home, &[&replica])?;
    assert_eq!(
        changes(&replica, VALIDATING, "deleted", "restored")?,
        1.0,
        "made where there was none"
    );
    home.enforces()?;

    for (kind, what, change) in DRIFTS {
        let before = content(&home, kind)?;
        let counted = changes(&replica, kind, change, "restored")?;
        drift(&home, kind, what)?.ok()?;
        let began = Instant::now();
        let undone = until(SOON, || (content(&home, kind).ok()? == before).then_some(()));
        undone.ok_or_else(|| {
            format!("{change} stands: {:#?}\n{}", content(&home, kind), replica.process.log())
        })?;
        assert!(began.elapsed() < SOON, "{change} took {:?}", began.elapsed());
        intact(&home, &[&replica])?;
        let now = changes(&replica, kind, change, "restored")?;
        assert_eq!(now, counted + 1.0, "{kind} {what} is counted once as {change}");
        home.enforces().map_err(|error| format!("after {change}: {error}"))?;
    }
    assert_ca_comes_back(&home, &replica)?;
    assert_told(&home, &replica)?;
    let version =
        ["get", VALIDATING, "foreign", "-o", "jsonpath={.metadata.generation} {.webhooks}"];
    assert_eq!(
        home.server.kubectl(&version, "")?.ok()?.trim(),
        "1",
        "somebody else's is nobody's business"
    );
    Ok(())
}

/// Another CA than the webhook's: nobody could be asked any more.
fn assert_ca_comes_back(home: &Home, replica: &Replica) -> Outcome {
    let before = content(home, VALIDATING)?;
    let other = BASE64_STANDARD.encode(home.server.authority_pem());
    let path = "/webhooks/0/clientConfig/caBundle";
    let patch = format!(r#"[{{"op":"replace","path":"{path}","value":"{other}"}}]"#);
    drift(home, VALIDATING, &patch)?.ok()?;
    let undone = until(SOON, || (content(home, VALIDATING).ok()? == before).then_some(()));
    undone.ok_or_else(|| format!("another CA stands:\n{}", replica.process.log()))?;
    assert_eq!(changes(replica, VALIDATING, "ca-bundle", "restored")?, 1.0);
    home.enforces()
}

fn assert_told(home: &Home, replica: &Replica) -> Outcome {
    let log = replica.process.log();
    assert!(log.contains("mallory") && log.contains("failurePolicy"), "{log}");
    let told = until(SOON, || {
        let get = [
            "get",
            "events",
            "-n",
            "pinfold-system",
            "--field-selector=reason=RegistrationChanged",
            "-o",
            "jsonpath={.items[*].message}",
        ];
        let messages = home.server.kubectl(&get, "").ok()?.ok().ok()?;
        messages.contains("; last written by `mallory`").then_some(())
    });
    told.ok_or_else(|| {
        let written = replica.count("pinfold_events_total", &[("result", "written")]);
        let all = home.server.kubectl(&["get", "events", "-A"], "");
        format!("no Event of the change, {written:?} written: {all:?}")
    })?;
    replica.process.terminate()?;
    assert_eq!(replica.process.wait(SOON), Some(0), "{}", replica.process.log());
    let mut recorded = String::new();
    for file in std::fs::read_dir(home.path("audit"))? {
        recorded.push_str(&std::fs::read_to_string(file?.path()).unwrap_or_default());
    }
    let of_changes = recorded.lines().filter(|line| line.contains("PF-RBAC-008")).count();
    // The two that were made at first, too.
    assert_eq!(of_changes, DRIFTS.len().saturating_add(2), "{recorded}");
    Ok(())
}

#[test]
fn two_replicas_undo_a_change_once() -> Outcome {
    let home = Home::new()?;
    let replicas = [home.open(&home.flags("keep"))?, home.open(&home.flags("keep"))?];
    let both: Vec<&Replica> = replicas.iter().collect();
    home.service.route_to(&[replicas[0].listen, replicas[1].listen]);
    intact(&home, &both)?;
    let restored = || -> Outcome<f64> {
        let mut sum = 0.0;
        for replica in &replicas {
            sum +=
                replica.count("pinfold_registration_changes_total", &[("result", "restored")])?;
        }
        Ok(sum)
    };
    let at_first = restored()?;
    let drifts = [&DRIFTS[0], &DRIFTS[4], &DRIFTS[11], &DRIFTS[5]];
    for (round, (kind, what, change)) in (1_u32..).zip(drifts) {
        let before = content(&home, kind)?;
        drift(&home, kind, what)?.ok()?;
        let undone = until(SOON, || (content(&home, kind).ok()? == before).then_some(()));
        undone.ok_or_else(|| format!("{change} stands"))?;
        intact(&home, &both)?;
        assert_eq!(restored()?, at_first + f64::from(round), "{change} is undone by one of them");
    }
    home.enforces()
}

#[test]
fn what_is_only_watched_is_told_and_stands() -> Outcome {
    let home = Home::new()?;
    let replica = home.open(&home.flags("watch"))?;
    let reported = |change: &str| changes(&replica, VALIDATING, change, "reported").unwrap_or(0.0);
    until(SOON, || (reported("deleted") > 0.5).then_some(()))
        .ok_or("nobody said that there is none")?;
    assert!(home.configuration(VALIDATING)?.is_none(), "nobody makes one");
    assert!(!is_intact(&replica, VALIDATING));

    home.server
        .kubectl(&["apply", "-f", &home.path("registration.yaml").to_string_lossy()], "")?
        .ok()?;
    intact(&home, &[&replica])?;
    home.enforces()?;
    drift(&home, VALIDATING, DRIFTS[4].1)?.ok()?;
    until(SOON, || (reported("failure-policy") > 0.5).then_some(())).ok_or("not reported")?;
    assert!(!is_intact(&replica, VALIDATING));
    let found = home.configuration(VALIDATING)?.unwrap_or_default();
    assert_eq!(found.pointer("/webhooks/0/failurePolicy"), Some(&"Ignore".into()));
    Ok(())
}

/// The built-in registration, and a webhook that can't decide: whoever made it again would stop the cluster.
#[test]
fn a_replica_that_does_not_decide_restores_nothing() -> Outcome {
    let home = Home::new()?;
    let site = home.path("policy/baseline.yaml");
    let policy = std::fs::read_to_string(&site)?;
    std::fs::remove_file(&site)?;
    std::fs::remove_file(home.path("policy/references.yaml"))?;
    let flags = home.flags_without_registration().with("--registration", "keep");
    let replica = Replica::start_unready(&flags)?;
    let waiting =
        || changes(&replica, VALIDATING, "deleted", "waiting").ok().filter(|found| *found > 0.5);
    until(SOON, waiting).ok_or_else(|| format!("nobody looked:\n{}", replica.process.log()))?;
    assert!(home.configuration(VALIDATING)?.is_none());

    std::fs::write(&site, policy)?;
    intact(&home, &[&replica])?;
    let found = home.configuration(VALIDATING)?.unwrap_or_default();
    let service = found.pointer("/webhooks/0/clientConfig/service/name");
    assert_eq!(service, Some(&"pinfold-webhook".into()), "what ships with this version");
    Ok(())
}

fn pod(home: &Home, name: &str, template: &str) -> Outcome {
    home.server.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: pinfold-system, labels: {{app.kubernetes.io/name: pinfold-webhook, \
         pod-template-hash: {template}}}}}, spec: {{serviceAccountName: pinfold-webhook, automountServiceAccountToken: false, securityContext: \
         {{runAsNonRoot: true, runAsUser: 1, seccompProfile: {{type: RuntimeDefault}}}}, containers: [{{name: c, image: i, securityContext: \
         {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}}}]}}}}"
    ))?;
    let ready = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    let patch = [
        "patch",
        "pod",
        name,
        "-n",
        "pinfold-system",
        "--subresource=status",
        "--type=merge",
        "-p",
        ready,
    ];
    home.server.kubectl(&patch, "")?.ok()?;
    Ok(())
}

/// A rolling upgrade: what the newer version registered is left alone by the older, which takes over when the newer is gone.
#[test]
fn a_replica_that_is_being_replaced_leaves_it_to_the_newer() -> Outcome {
    let home = Home::new()?;
    pod(&home, "old", "a")?;
    let replica = home.open(&home.flags("keep").with("--pod", "old"))?;
    intact(&home, &[&replica])?;
    let age = |name: &str| {
        home.server.kubectl(
            &[
                "get",
                "pod",
                name,
                "-n",
                "pinfold-system",
                "-o",
                "jsonpath={.metadata.creationTimestamp}",
            ],
            "",
        )
    };
    let old = age("old")?.ok()?;
    pod(&home, "new", "b")?;
    // Kubernetes counts in seconds.
    assert!(age("new")?.ok()? > old, "made in one second");
    drift(&home, VALIDATING, DRIFTS[4].1)?.ok()?;
    let left = || {
        changes(&replica, VALIDATING, "failure-policy", "left-to-newer")
            .ok()
            .filter(|found| *found > 0.5)
    };
    until(SOON, left)
        .ok_or_else(|| format!("not left to the newer:\n{}", replica.process.log()))?;
    let found = home.configuration(VALIDATING)?.unwrap_or_default();
    assert_eq!(found.pointer("/webhooks/0/failurePolicy"), Some(&"Ignore".into()));

    home.server
        .kubectl(
            &["delete", "pod", "new", "-n", "pinfold-system", "--grace-period=0", "--force"],
            "",
        )?
        .ok()?;
    intact(&home, &[&replica])?;
    assert_eq!(changes(&replica, VALIDATING, "failure-policy", "restored")?, 1.0);
    Ok(())
}
