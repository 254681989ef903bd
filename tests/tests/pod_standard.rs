//! PF-POD-002 against its authority: the same pods to the engine and to the PodSecurity admission of a real API server, level restricted.
//!
//! Every single edit of a pod that passes, then random sums of edits. The engine refuses what the plug-in refuses and nothing else, but for
//! root file systems, about which the standard says nothing. What the API server finds invalid is asked of nobody.

use std::collections::BTreeMap;
use std::error::Error;

use jiff::Timestamp;
use pinfold_engine::admit::admit;
use pinfold_model::facts::{AdmissionFacts, Answers, Operation, Requester};
use pinfold_model::finding::RuleId;
use pinfold_model::object::{Change, from_value};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::load;
use pinfold_model::snapshot::Snapshot;
use pinfold_model::sources::SourceFile;
use pinfold_tests::ApiServer;
use serde_json::{Value, json};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const NOW: Timestamp = Timestamp::constant(1_795_219_200, 0);
/// Sums of up to [`EDITS_MAX`] edits, beside every edit alone.
const SUMS: usize = 300;
const EDITS_MAX: u64 = 4;
/// Fewest answers of a kind: a run that asks less shows nothing.
const DENIED_MIN: usize = 150;
const ALLOWED_MIN: usize = 60;

/// Without injection: where that is missing PF-POD-001 speaks for what mutation would have said.
const POLICY: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AdmissionPolicy, metadata: {name: p}, spec: {inject: {profile: none}}}";

fn container(name: &str) -> Value {
    json!({"name": name, "image": "registry.example/agent:1", "securityContext": {"allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]}}})
}

fn honest(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "annotations": {}}, "spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "v", "emptyDir": {}}],
        "initContainers": [container("first")],
        "containers": [container("agent"), container("other")]}})
}

/// Edits of the pod: pointer and value; `null` takes away.
fn of_pod() -> Vec<(String, Value)> {
    let context = |field: &str| format!("/spec/securityContext/{field}");
    let mut edits: Vec<(String, Value)> =
        of_both().into_iter().map(|(field, value)| (context(field), value)).collect();
    let spec = [
        ("hostNetwork", json!(true)),
        ("hostPID", json!(true)),
        ("hostIPC", json!(true)),
        ("hostPID", json!(false)),
        ("hostUsers", json!(false)),
        ("hostUsers", json!(true)),
        ("shareProcessNamespace", json!(true)),
        ("dnsPolicy", json!("Default")),
        ("hostAliases", json!([{"ip": "192.0.2.1", "hostnames": ["a.example"]}])),
        ("os", json!({"name": "linux"})),
    ];
    edits.extend(spec.into_iter().map(|(field, value)| (format!("/spec/{field}"), value)));
    for name in [
        "kernel.shm_rmid_forced",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_keepalive_time",
        "kernel.msgmax",
        "net.core.somaxconn",
    ] {
        edits.push((context("sysctls"), json!([{"name": name, "value": "1"}])));
    }
    edits.push((context("supplementalGroups"), json!([1, 2])));
    edits.push((context("fsGroup"), json!(0)));
    edits.extend(volumes().into_iter().map(|source| ("/spec/volumes/0".to_owned(), source)));
    let agent = "/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1agent";
    for value in ["unconfined", "runtime/default", "localhost/mine"] {
        edits.push((agent.to_owned(), json!(value)));
    }
    edits
}

fn volumes() -> Vec<Value> {
    let sources = [
        json!({"hostPath": {"path": "/"}}),
        json!({"nfs": {"server": "s", "path": "/"}}),
        json!({"iscsi": {"targetPortal": "1.2.3.4:3260", "iqn": "iqn.2001-04.com.example:s", "lun": 0}}),
        json!({"gcePersistentDisk": {"pdName": "d"}}),
        json!({"awsElasticBlockStore": {"volumeID": "d"}}),
        json!({"azureDisk": {"diskName": "d", "diskURI": "/subscriptions/d", "kind": "Managed"}}),
        json!({"fc": {"targetWWNs": ["50060e801049cfd1"], "lun": 0}}),
        json!({"rbd": {"monitors": ["m"], "image": "i"}}),
        json!({"cephfs": {"monitors": ["m"]}}),
        json!({"flexVolume": {"driver": "a/b"}}),
        json!({"configMap": {"name": "c"}}),
        json!({"secret": {"secretName": "s"}}),
        json!({"projected": {"sources": [{"configMap": {"name": "c"}}]}}),
        json!({"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}}),
        json!({"csi": {"driver": "d.example"}}),
        json!({"persistentVolumeClaim": {"claimName": "c"}}),
        json!({"image": {"reference": "registry.example/data:1"}}),
        json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}}),
    ];
    let named = |mut source: Value| {
        source.as_object_mut().and_then(|members| members.insert("name".to_owned(), json!("v")));
        source
    };
    sources.into_iter().map(named).collect()
}

/// What pods and containers both have in their `securityContext`.
fn of_both() -> Vec<(&'static str, Value)> {
    vec![
        ("runAsNonRoot", json!(false)),
        ("runAsNonRoot", json!(true)),
        ("runAsNonRoot", json!(null)),
        ("runAsUser", json!(0)),
        ("runAsUser", json!(1000)),
        ("runAsGroup", json!(0)),
        ("seccompProfile", json!({"type": "Unconfined"})),
        ("seccompProfile", json!({"type": "RuntimeDefault"})),
        ("seccompProfile", json!({"type": "Localhost", "localhostProfile": "p.json"})),
        ("seccompProfile", json!(null)),
        ("appArmorProfile", json!({"type": "Unconfined"})),
        ("appArmorProfile", json!({"type": "RuntimeDefault"})),
        ("appArmorProfile", json!({"type": "Localhost", "localhostProfile": "p"})),
        ("seLinuxOptions", json!({"type": "spc_t"})),
        ("seLinuxOptions", json!({"type": "container_engine_t"})),
        ("seLinuxOptions", json!({"type": "container_kvm_t", "level": "s0:c1"})),
        ("seLinuxOptions", json!({"user": "u"})),
        ("seLinuxOptions", json!({"role": "r"})),
    ]
}

fn of_containers() -> Vec<(String, Value)> {
    let own = [
        ("privileged", json!(true)),
        ("privileged", json!(false)),
        ("allowPrivilegeEscalation", json!(true)),
        ("allowPrivilegeEscalation", json!(null)),
        ("procMount", json!("Default")),
        ("procMount", json!("Unmasked")),
        ("capabilities", json!(null)),
        ("capabilities/drop", json!([])),
        ("capabilities/drop", json!(["NET_RAW"])),
        ("capabilities/drop", json!(["all"])),
        ("capabilities/drop", json!(["NET_RAW", "ALL"])),
        ("capabilities/add", json!(["NET_BIND_SERVICE"])),
        ("capabilities/add", json!(["NET_ADMIN"])),
        ("capabilities/add", json!(["CHOWN", "NET_BIND_SERVICE"])),
        ("readOnlyRootFilesystem", json!(true)),
    ];
    let probe = |kind: &str, host: &str| json!({kind: {"host": host, "port": 80}});
    let below = [
        ("ports", json!([{"containerPort": 80, "hostPort": 8080}])),
        ("ports", json!([{"containerPort": 80}])),
        ("livenessProbe", probe("httpGet", "192.0.2.1")),
        ("readinessProbe", probe("tcpSocket", "127.0.0.1")),
        ("startupProbe", probe("httpGet", "")),
        ("lifecycle", json!({"postStart": probe("httpGet", "192.0.2.1")})),
        ("lifecycle", json!({"preStop": probe("tcpSocket", "192.0.2.1")})),
        ("lifecycle", json!({"preStop": {"exec": {"command": ["true"]}}})),
        ("securityContext", json!(null)),
    ];
    let mut edits = Vec::new();
    for at in ["/spec/containers/0", "/spec/initContainers/0"] {
        let context = own.iter().cloned().chain(of_both());
        edits
            .extend(context.map(|(field, value)| (format!("{at}/securityContext/{field}"), value)));
        edits.extend(below.iter().map(|(field, value)| (format!("{at}/{field}"), value.clone())));
    }
    edits
}

/// Puts a value into an object; what an earlier edit took away is made again.
fn put(object: &mut Value, pointer: &str, value: &Value) -> Outcome {
    let (parent, name) = pointer.rsplit_once('/').ok_or("a pointer has a slash")?;
    if !object.pointer(parent).is_some_and(|found| found.is_object() || found.is_array()) {
        put(object, parent, &json!({}))?;
    }
    let name = name.replace("~1", "/");
    match object.pointer_mut(parent) {
        Some(Value::Object(members)) if value.is_null() => drop(members.remove(&name)),
        Some(Value::Object(members)) => drop(members.insert(name, value.clone())),
        Some(Value::Array(items)) => {
            *items.get_mut(name.parse::<usize>()?).ok_or("an index")? = value.clone();
        }
        other => return Err(format!("{other:?} at {parent}").into()),
    }
    Ok(())
}

/// SplitMix64: the same pods on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(end).unwrap_or(0)
    }
}

/// The pods by name, each with what was edited.
fn pods(namespace: &str) -> Outcome<BTreeMap<String, (Value, String)>> {
    let mut edits = of_pod();
    edits.extend(of_containers());
    let mut random = Random(20_261_121);
    let mut sums: Vec<Vec<&(String, Value)>> = edits.iter().map(|edit| vec![edit]).collect();
    sums.push(Vec::new());
    for _ in 0..SUMS {
        let count = 2_u64.saturating_add(random.below(EDITS_MAX.saturating_sub(1)));
        let mut sum = Vec::new();
        for _ in 0..count {
            let at = usize::try_from(random.below(u64::try_from(edits.len())?))?;
            sum.push(edits.get(at).ok_or("an edit")?);
        }
        sums.push(sum);
    }
    let mut pods = BTreeMap::new();
    for (at, sum) in sums.into_iter().enumerate() {
        let name = format!("p-{at}");
        let mut pod = honest(namespace, &name);
        for (pointer, value) in &sum {
            put(&mut pod, pointer, value)?;
        }
        let edits: Vec<String> =
            sum.iter().map(|(pointer, value)| format!("{pointer} = {value}")).collect();
        pods.insert(name, (pod, edits.join(", ")));
    }
    Ok(pods)
}

/// Whether PF-POD-002 refuses a pod, root file systems aside.
fn engine(pod: &Value, view: &Snapshot, policy: &AdmissionPolicy) -> Outcome<bool> {
    let object = from_value(pod)?;
    let facts = AdmissionFacts {
        uid: "u".to_owned(),
        requester: Some(Requester { name: "alice".to_owned(), ..Requester::default() }),
        operation: Operation::Create,
        subresource: String::new(),
        target: object.key.clone(),
        request_name: String::new(),
        dry_run: true,
        object: Some(object),
        old_object: None,
        document: Some(pod.clone()),
        change: Change::default(),
        answers: Answers::default(),
    };
    let found = admit(&facts, view, policy, NOW).findings;
    let own = found.iter().filter(|finding| finding.rule == RuleId::POD_STANDARD);
    Ok(own.into_iter().any(|finding| !finding.path.ends_with(".readOnlyRootFilesystem")))
}

fn policy() -> Outcome<AdmissionPolicy> {
    let file = SourceFile { name: "policy.yaml".to_owned(), text: POLICY.to_owned() };
    let set = load(&[file]).map_err(|errors| format!("{errors:?}"))?;
    Ok(set.admission.ok_or("an AdmissionPolicy")?)
}

/// The pods that the plug-in refuses, and those that it lets by.
fn server(pods: &BTreeMap<String, (Value, String)>, namespace: &str) -> Outcome<[Vec<String>; 2]> {
    let items: Vec<&Value> = pods.values().map(|(pod, _)| pod).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let create = ["create", "--dry-run=server", "--validate=false", "-n", namespace, "-f", "-"];
    let answer = ApiServer::shared()?.kubectl(&create, &list)?;
    let mut answers = [Vec::new(), Vec::new()];
    let [denied, allowed] = &mut answers;
    for name in pods.keys() {
        let refused =
            format!("pods \"{name}\" is forbidden: violates PodSecurity \"restricted:latest\"");
        if answer.stderr.contains(&refused) {
            denied.push(name.clone());
        } else if answer.stdout.contains(&format!("pod/{name} created")) {
            allowed.push(name.clone());
        } else if !answer.stderr.contains(&format!("Pod \"{name}\" is invalid")) {
            return Err(format!("no answer about {name}: {answer:?}").into());
        }
    }
    Ok(answers)
}

#[test]
fn refuses_what_pod_security_admission_refuses() -> Outcome {
    let restricted = ["pod-security.kubernetes.io/enforce=restricted"];
    let namespace = ApiServer::shared()?.namespace("standard", &restricted)?;
    let pods = pods(&namespace)?;
    let [denied, allowed] = server(&pods, &namespace)?;
    println!(
        "{} pods: {} refused, {} allowed, the others invalid",
        pods.len(),
        denied.len(),
        allowed.len()
    );
    assert!(denied.len() >= DENIED_MIN && allowed.len() >= ALLOWED_MIN, "too few answers");
    let guarded = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"pinfold.dev/agents": "true"}}});
    let (view, policy) = (Snapshot::of([from_value(&guarded)?]), policy()?);
    let mut differences = Vec::new();
    for (names, expected) in [(denied, true), (allowed, false)] {
        for name in names {
            let (pod, edits) = pods.get(&name).ok_or("a pod")?;
            if engine(pod, &view, &policy)? != expected {
                differences.push(format!("the API server refuses: {expected}; {edits}"));
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    Ok(())
}
