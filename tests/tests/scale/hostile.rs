//! Objects that are made to be dear: what a decision allocates stays a small multiple of the request, whatever its shape.

use allocation_counter::measure;
use jiff::Timestamp;
use pinfold_engine::admit::admit;
use pinfold_engine::decision::Decision;
use pinfold_model::object::from_value;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::load;
use pinfold_model::snapshot::Snapshot;
use pinfold_model::sources::{self, SourceFile};
use pinfold_review::{explain, parse};
use serde_json::{Map, Value, json};

use crate::material::cluster::{self, NAMESPACE};
use crate::material::reviews::{Names, review};
use crate::material::{self, Outcome, SITE_POLICY};

/// When the decisions are made: 2026-11-21.
const NOW: Timestamp = Timestamp::constant(1_795_219_200, 0);
/// The most bytes that are held at a time for each byte of a request: a map of JSON takes 640 bytes for the 9 of `{"a":{}}`, a volume of a
/// pod 3 KB for its 50, and both are read before anything is judged.
const HELD_FACTOR_MAX: u64 = 100;
const HELD_ANY: u64 = 1024 * 1024;
/// The most bytes that all findings have together.
const FINDINGS_BYTES_MAX: usize = 4 * 1024 * 1024;
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// A shape that fits into any object, put into the member that the kind is read by.
struct Shape {
    name: &'static str,
    members: Value,
}

fn shape(name: &'static str, members: Value) -> Shape {
    Shape { name, members }
}

fn many(count: usize, of: impl Fn(usize) -> Value) -> Value {
    (0..count).map(of).collect()
}

fn named(count: usize, of: impl Fn(usize) -> (String, Value)) -> Value {
    (0..count).map(of).collect::<Map<_, _>>().into()
}

/// One member of a long name.
fn long(below: Value) -> Value {
    Value::Object(Map::from_iter([("k".repeat(60_000), below)]))
}

fn shapes() -> Vec<Shape> {
    let claim = json!({"labels": {"krate.a5c.ai/dispatch-run": "run-1"}});
    let secret = json!({"secretName": "a", "secretRef": {"name": "b"}, "valueFrom": {"secretKeyRef": {"name": "c"}}});
    let container = |at| json!({"name": format!("c{at}"), "image": "i"});
    let env = |at| json!({"name": format!("V{at}"), "valueFrom": {"secretKeyRef": {"name": format!("s{at}"), "key": "k"}}});
    let volume = |at| json!({"name": format!("v{at}"), "secret": {"secretName": format!("s{at}")}});
    vec![
        shape("long name, list", long(many(50_000, |_| json!(0)))),
        shape("long name, objects", long(many(20_000, |_| json!({"a": {}})))),
        shape("long name, claims", long(many(5_000, |_| claim.clone()))),
        shape("long name, references", long(many(5_000, |_| secret.clone()))),
        shape("long list", json!({"a": many(100_000, |_| json!(0))})),
        shape(
            "long list of names",
            json!({"secretNames": many(20_000, |at| json!(format!("s{at}")))}),
        ),
        shape("long text", json!({"a": "x".repeat(3_000_000)})),
        shape("containers", json!({"containers": many(10_000, container)})),
        shape(
            "variables",
            json!({"containers": [{"name": "a", "image": "i", "env": many(5_000, env)}]}),
        ),
        shape("volumes", json!({"containers": [], "volumes": many(5_000, volume)})),
    ]
}

struct Kind {
    names: Names,
    version: &'static str,
    /// The member that the shape is put into.
    at: &'static str,
}

const KINDS: [Kind; 5] = [
    kind("", "Pod", "pods", "v1", "spec"),
    kind("", "ConfigMap", "configmaps", "v1", "data"),
    kind("argoproj.io", "Workflow", "workflows", "argoproj.io/v1alpha1", "spec"),
    kind("krate.a5c.ai", "AgentStack", "agentstacks", "krate.a5c.ai/v1alpha1", "spec"),
    kind("unknown.example.com", "Thing", "things", "unknown.example.com/v1", "spec"),
];

const fn kind(
    group: &'static str,
    kind: &'static str,
    resource: &'static str,
    version: &'static str,
    at: &'static str,
) -> Kind {
    Kind { names: Names { group, kind, resource }, version, at }
}

struct Gate {
    view: Snapshot,
    policy: AdmissionPolicy,
}

impl Gate {
    fn new() -> Outcome<Self> {
        let mut objects = Vec::new();
        for value in cluster::objects() {
            objects.push(from_value(&value)?);
        }
        let mut sources = sources::read(&material::library())?;
        sources.push(SourceFile { name: "site.yaml".into(), text: SITE_POLICY.into() });
        let loaded = load(&sources).map_err(|errors| format!("{errors:?}"))?;
        let policy = loaded.admission.ok_or("no AdmissionPolicy in the library")?;
        Ok(Self { view: Snapshot::of(objects), policy })
    }

    /// Decides on an object of somebody of no rank. What can't be read is denied before the engine.
    fn judge(&self, names: &Names, object: &Value) -> Outcome<Option<(Decision, u64, u64)>> {
        let user = json!({"username": "alice", "groups": ["system:authenticated"]});
        let mut review = review(names, &user, object);
        let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        let version = version.rsplit('/').next().unwrap_or_default();
        for member in ["kind", "resource", "requestKind", "requestResource"] {
            let at = format!("/request/{member}/version");
            *review.pointer_mut(&at).ok_or("a review has versions")? = version.into();
        }
        let body = serde_json::to_vec(&review)?;
        let size = u64::try_from(body.len())?;
        let mut decision = None;
        let counted = measure(|| {
            if let Ok(review) = parse(&body) {
                decision = Some(admit(&review.facts, &self.view, &self.policy, NOW));
            }
        });
        Ok(decision.map(|decision| (decision, size, counted.bytes_max)))
    }

    /// What is too dear or told at too great length.
    fn faults(&self, what: &str, names: &Names, object: &Value) -> Outcome<Vec<String>> {
        let Some((decision, size, held)) = self.judge(names, object)? else { return Ok(vec![]) };
        let mut faults = Vec::new();
        if held > size.saturating_mul(HELD_FACTOR_MAX).saturating_add(HELD_ANY) {
            faults.push(format!("{what}: {held} bytes held for a request of {size}"));
        }
        let findings = decision.findings.iter();
        let told: usize = findings
            .flat_map(|found| [&found.path, &found.message, &found.remedy])
            .map(String::len)
            .sum();
        let message = explain(&decision.findings).len();
        if told > FINDINGS_BYTES_MAX || message > MESSAGE_BYTES_MAX {
            faults.push(format!("{what}: {told} bytes of findings, {message} of a message"));
        }
        Ok(faults)
    }
}

#[test]
fn a_decision_holds_a_small_multiple_of_the_request_whatever_its_shape() -> Outcome<()> {
    let gate = Gate::new()?;
    let mut faults = Vec::new();
    for Kind { names, version, at } in &KINDS {
        for Shape { name, members } in shapes() {
            let mut object = json!({"apiVersion": version, "kind": names.kind,
                "metadata": {"name": "hostile", "namespace": NAMESPACE}});
            object[*at] = members;
            faults.extend(gate.faults(&format!("{}, {name}", names.kind), names, &object)?);
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    Ok(())
}

#[test]
fn metadata_of_any_size_is_as_cheap() -> Outcome<()> {
    let gate = Gate::new()?;
    let text = |at| (format!("example.com/key-{at}"), json!("text"));
    let owner = |at| json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentDispatchRun", "name": format!("r{at}"), "uid": format!("u{at}")});
    let shapes = [
        ("annotations", named(50_000, text)),
        ("labels", named(50_000, text)),
        ("ownerReferences", many(10_000, owner)),
    ];
    let mut faults = Vec::new();
    for Kind { names, version, .. } in &KINDS {
        for (member, value) in &shapes {
            let mut object = json!({"apiVersion": version, "kind": names.kind,
                "metadata": {"name": "hostile", "namespace": NAMESPACE}});
            object["metadata"][*member] = value.clone();
            faults.extend(gate.faults(&format!("{}, {member}", names.kind), names, &object)?);
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    Ok(())
}

/// More claims than are judged one by one are no way around the rule, and a few that are harmless are allowed.
#[test]
fn claims_that_nobody_counts_are_denied() -> Outcome<()> {
    let gate = Gate::new()?;
    let Kind { names, version, .. } = &KINDS[2];
    let workflow = |list: Value| {
        json!({"apiVersion": version, "kind": "Workflow", "metadata": {"name": "w", "namespace": NAMESPACE},
        "spec": {"podMetadata": list}})
    };
    let told = |object: &Value| -> Outcome<Vec<String>> {
        let (decision, ..) = gate.judge(names, object)?.ok_or("an object that can be read")?;
        let claims =
            decision.findings.into_iter().filter(|found| found.rule.as_str() == "PF-TRU-003");
        Ok(claims.map(|found| found.message).collect())
    };
    let claim = json!({"labels": {"krate.a5c.ai/dispatch-run": "run-1"}});
    let cannot_tell = |told: &[String]| told.iter().any(|text| text.contains("nobody can tell"));
    assert!(cannot_tell(&told(&workflow(many(300, |_| claim.clone())))?));
    assert!(cannot_tell(&told(&workflow(long(many(10, |_| claim.clone()))))?));
    let few = told(&workflow(many(3, |_| claim.clone())))?;
    assert!(few.len() == 3 && !cannot_tell(&few), "{few:?}");
    assert!(told(&workflow(long(many(50_000, |_| json!(0)))))?.is_empty());
    Ok(())
}

/// Every rule that is broken is named, however often another one is.
#[test]
fn a_flood_of_findings_is_counted_and_hides_no_rule() -> Outcome<()> {
    let gate = Gate::new()?;
    let container = |at| json!({"name": format!("c{at}"), "image": "i"});
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": NAMESPACE,
            "labels": {"krate.a5c.ai/trust-tier": "trusted"}},
        "spec": {"serviceAccountName": "runner-trusted", "containers": many(10_000, container)}});
    let (decision, ..) = gate.judge(&KINDS[0].names, &object)?.ok_or("a pod that can be read")?;
    let rules: Vec<&str> = decision.findings.iter().map(|found| found.rule.as_str()).collect();
    assert!(decision.findings.len() < 1_000, "{} findings", decision.findings.len());
    assert!(decision.findings.iter().any(|found| found.message.contains("more of this rule")));
    assert!(rules.contains(&"PF-TRU-003"), "{rules:?}");
    assert!(explain(&decision.findings).len() <= MESSAGE_BYTES_MAX);
    Ok(())
}
