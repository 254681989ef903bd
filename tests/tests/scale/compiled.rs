//! What tenants write to make compiling a pod's policy dear: stacks, tool profiles, hosts. Each bound refuses with its reason, for little work, and what is just
//! within it passes.

use allocation_counter::{AllocationInfo, measure};
use jiff::Timestamp;
use pinfold_engine::admit::{admit, mutate};
use pinfold_model::facts::AdmissionFacts;
use pinfold_model::object::{Object, from_value};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::load;
use pinfold_model::snapshot::Snapshot;
use pinfold_model::sources::{self, SourceFile};
use pinfold_review::parse;
use serde_json::{Value, json};

use crate::material::reviews::{Names, review};
use crate::material::{self, Outcome};

/// When the decisions are made: 2026-11-21.
const NOW: Timestamp = Timestamp::constant(1_795_219_200, 0);
/// Where the pod is; of the reviews.
const NAMESPACE: &str = material::cluster::NAMESPACE;
const SITE: &str =
    "{apiVersion: pinfold.dev/v1alpha1, kind: AdmissionPolicy, metadata: {name: site}, spec: {}}";
/// The most bytes that compiling may hold, and that it may allocate in all, however much tenants wrote: a few times what a pod can carry, read and written.
const HELD_MAX: u64 = 24 * 1024 * 1024;
const ALLOCATED_MAX: u64 = 64 * 1024 * 1024;
/// What is compiled already, or refused already, costs no more than this.
const AGAIN_MAX: u64 = 4 * 1024 * 1024;

/// What tenants wrote, the platform's policy, and what is to come of it.
struct Attack {
    name: &'static str,
    /// Documents of the platform's AgentPolicy.
    rules: Value,
    records: Vec<Value>,
    /// Part of the reason; none for the honest twin.
    refused: Option<&'static str>,
}

fn record(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

fn stack(name: &str, further: Value) -> Value {
    let mut spec = json!({"runtimeIdentity": {"serviceAccountRef": "default"}});
    if let (Some(spec), Value::Object(further)) = (spec.as_object_mut(), further) {
        spec.extend(further);
    }
    record("AgentStack", name, &spec)
}

/// Tool profiles, and a stack for each; each with so many hosts of its own, as long as names may be.
fn profiles(hosts: &[usize]) -> Vec<Value> {
    let mut records = Vec::new();
    for (at, count) in hosts.iter().enumerate() {
        let name = format!("t{at}");
        let hosts: Vec<String> = (0..*count).map(long).collect();
        let policy = json!({"networkPolicy": {"default": "deny", "allowHosts": hosts}});
        records.push(record("AgentToolProfile", &name, &policy));
        records.push(stack(&format!("s{at}"), json!({"toolProfileRef": name})));
    }
    records
}

/// The same hosts in every profile, so that they are not emptied by each other.
fn long(host: usize) -> String {
    let label = "x".repeat(55);
    format!("{label}.{label}.{label}.h{host}.wild.example")
}

fn wild(count: usize) -> Value {
    let rule = |port: usize| json!({"host": "**.wild.example", "ports": [port.saturating_add(1)], "protocol": "tls"});
    (0..count).map(rule).collect()
}

fn attack(name: &'static str, records: Vec<Value>, refused: Option<&'static str>) -> Attack {
    Attack { name, rules: wild(1), records, refused }
}

fn attacks() -> Vec<Attack> {
    let stacks = |count: usize| (0..count).map(|at| stack(&format!("s{at}"), json!({}))).collect();
    let identities = |count: usize| {
        let identity = |at: usize| {
            record(
                "AgentServiceAccount",
                &format!("i{at}"),
                &json!({"serviceAccountName": "default"}),
            )
        };
        (0..count).map(identity).collect::<Vec<_>>()
    };
    let naming = |count: usize| {
        let mut records = profiles(&[1]);
        let list = vec![json!({"kind": "AgentToolProfile", "name": "t0"}); count];
        records.push(stack("many", json!({"mcpServerRefs": list})));
        records
    };
    let wide = |rules: usize, hosts: usize| {
        profiles(&[hosts]).into_iter().fold(
            Attack {
                name: "a rule for each of each",
                rules: wild(rules),
                records: Vec::new(),
                refused: None,
            },
            |mut attack, record| {
                attack.records.push(record);
                attack
            },
        )
    };
    let absent = vec![stack("s", json!({"toolProfileRef": "gone"}))];
    vec![
        attack("64 stacks", stacks(64), None),
        attack(
            "65 stacks",
            stacks(65),
            Some("too many agent records name ServiceAccount `default`"),
        ),
        attack("64 identities", identities(64), None),
        attack("65 identities", identities(65), Some("too many agent records")),
        attack("1,000 references to profiles", naming(1_000), None),
        attack(
            "1,100 references to profiles",
            naming(1_100),
            Some("name tool profiles more than 1024 times"),
        ),
        attack("700 hosts", profiles(&[700]), None),
        attack(
            "1,001 hosts",
            profiles(&[1_001]),
            Some("has more than 1000 `networkPolicy.allowHosts`"),
        ),
        attack(
            "100,000 hosts",
            profiles(&[100_000]),
            Some("has more than 1000 `networkPolicy.allowHosts`"),
        ),
        attack("2 profiles", profiles(&[700, 700]), None),
        attack(
            "3 profiles",
            profiles(&[700, 700, 700]),
            Some("more than 2000 `networkPolicy.allowHosts` together"),
        ),
        wide(10, 50),
        Attack { refused: Some("more than the 204800 that a pod can carry"), ..wide(10, 700) },
        // Each list on its own is short, what they make of wide rules isn't.
        Attack { refused: Some("more than the 204800 that a pod can carry"), ..wide(2_000, 1_000) },
        attack("a profile that isn't there", absent, Some("AgentToolProfile")),
    ]
}

struct Gate {
    view: Snapshot,
    policy: AdmissionPolicy,
    body: Vec<u8>,
}

impl Gate {
    fn new(attack: &Attack) -> Outcome<Self> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE,
            "labels": {"krate.a5c.ai/org": "acme", "pinfold.dev/agents": "true"}}});
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}, "automountServiceAccountToken": false});
        let mut objects: Vec<Object> = Vec::new();
        for value in attack.records.iter().chain([&namespace, &account]) {
            objects.push(from_value(value)?);
        }
        let agents = json!({"apiVersion": "pinfold.dev/v1alpha1", "kind": "AgentPolicy", "metadata": {"name": "agents"},
            "spec": {"appliesTo": {"namespaces": [NAMESPACE]}, "egress": {"allow": attack.rules}}});
        let mut files = sources::read(&material::library())?;
        for (name, text) in [("site.yaml", SITE.to_owned()), ("agents.json", agents.to_string())] {
            files.push(SourceFile { name: name.to_owned(), text });
        }
        let loaded = load(&files).map_err(|errors| format!("{errors:?}"))?;
        let policy = loaded.admission.ok_or("no AdmissionPolicy")?;
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": NAMESPACE},
            "spec": {"serviceAccountName": "default", "securityContext": {"runAsUser": 1000}, "containers": [{"name": "c", "image": "i"}]}});
        let user = json!({"username": "alice", "groups": ["system:authenticated"]});
        let names = Names { group: "", kind: "Pod", resource: "pods" };
        let body = serde_json::to_vec(&review(&names, &user, &pod))?;
        Ok(Self { view: Snapshot::of(objects), policy, body })
    }

    fn facts(&self) -> Outcome<AdmissionFacts> {
        Ok(parse(&self.body)?.facts)
    }

    /// What PF-POD-001 says of the pod as it comes, and whether mutation would confine it.
    fn judge(&self, facts: &AdmissionFacts) -> (Vec<String>, bool) {
        let mutation = mutate(facts, &self.view, &self.policy, NOW);
        let confined = serde_json::to_string(&mutation.patch)
            .is_ok_and(|patch| patch.contains("pinfold-sidecar"));
        let decision = admit(facts, &self.view, &self.policy, NOW);
        let ours = decision.findings.into_iter().filter(|one| one.rule.as_str() == "PF-POD-001");
        (ours.map(|one| one.message).collect(), confined)
    }
}

/// What a decision costs the first time, and once its policy was compiled or refused.
fn costs(gate: &Gate) -> Outcome<(Vec<String>, bool, [AllocationInfo; 2])> {
    let facts = gate.facts()?;
    let mut said = (Vec::new(), false);
    let costs = [0, 1].map(|_| measure(|| said = gate.judge(&facts)));
    Ok((said.0, said.1, costs))
}

#[test]
fn each_bound_of_compiling_refuses_for_little_and_its_twin_passes() -> Outcome<()> {
    let mut faults = Vec::new();
    for attack in attacks() {
        let name = attack.name;
        let (said, confined, [first, again]) = costs(&Gate::new(&attack)?)?;
        let reason = attack.refused;
        let told = reason.is_some_and(|reason| said.iter().any(|text| text.contains(reason)));
        if confined != reason.is_none() || told != reason.is_some() {
            faults.push(format!("{name}: confined {confined}, {said:.300?}"));
        }
        // A twin costs what it carries: up to 200 KiB, read, written and patched.
        let bounds = [
            (first.bytes_max, HELD_MAX),
            (first.bytes_total, ALLOCATED_MAX),
            (again.bytes_total, AGAIN_MAX),
        ];
        if bounds.iter().any(|(found, most)| found > most) {
            faults.push(format!("{name}: found and most {bounds:?}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    Ok(())
}

/// Profiles that change all the time make a result each; what is kept of them is bounded.
#[test]
fn profiles_that_change_all_the_time_fill_no_memory() -> Outcome<()> {
    let gate = Gate::new(&attack("", profiles(&[100]), None))?;
    let facts = gate.facts()?;
    let kept = measure(|| {
        for round in 0..300_usize {
            let hosts: Vec<String> =
                (0..100_usize).map(|host| long(host.saturating_add(round))).collect();
            let policy = json!({"networkPolicy": {"default": "deny", "allowHosts": hosts}});
            let Ok(profile) = from_value(&record("AgentToolProfile", "t0", &policy)) else {
                return;
            };
            let mut view = gate.view.clone();
            view.apply(profile);
            let mutation = mutate(&facts, &view, &gate.policy, NOW);
            assert!(!mutation.patch.is_empty());
        }
    });
    // 300 results have 8 MB of text and a few times as much of what was read; 256 of them may be kept.
    assert!(kept.bytes_current < 64 * 1024 * 1024, "{} bytes kept", kept.bytes_current);
    Ok(())
}
