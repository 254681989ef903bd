//! The cases of the benches of decisions, and what they read. The text of a case says where it starts: from bytes, or from facts.

use std::hint::black_box;
use std::path::PathBuf;

use jiff::Timestamp;
use pinfold_engine::dns::{self, Question, RecordType};
use pinfold_engine::egress::{self, Attempt, Channel};
use pinfold_engine::rbac::coverage::{Coverage, covers};
use pinfold_engine::{admit, tool};
use pinfold_model::facts::AdmissionFacts;
use pinfold_model::finding::Finding;
use pinfold_model::host::Host;
use pinfold_model::object::rbac::{PolicyRule, RoleRef};
use pinfold_model::object::{self, Kind, from_value};
use pinfold_model::policy::PolicySet;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::load;
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot};
use pinfold_model::sources::{self, SourceFile};
use pinfold_model::strict_json::{self, ADMISSION_OBJECT, MCP_MESSAGE};
use pinfold_review::parse;
use pinfold_review::respond::{self, Reasons};
use pinfold_wire::dns::{self as wire, AskedName, Reply, ResponseCode};
use serde_json::{Value, json};

use crate::material::cluster::{self, DEVELOPERS, NAMESPACE};
use crate::material::reviews::{self, Names};
use crate::material::{self, Outcome, SITE_POLICY, admin_role};

const NOW: Timestamp = Timestamp::constant(1_795_219_200, 0);
/// Sizes of the cluster whose ratio is the point, in RoleBindings, and the namespaces that they are spread over.
const FEW_BINDINGS: usize = 100;
const MANY_BINDINGS: usize = 100_000;
const OTHER_NAMESPACES: usize = 4_000;

/// What injection compiles for the pod: it ends TLS, so that every part is put in.
const TYPICAL: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: typical}, spec: {appliesTo: {namespaces: [acme-*]}, egress: {
  loopbackPorts: [8080], limits: {connections: 64}, allow: [
  {host: github.com, ports: [443], protocol: tls}, {host: '*.githubusercontent.com', ports: [443], protocol: tls}, {host: pypi.org, ports: [443], protocol: tls},
  {host: api.github.com, ports: [443], protocol: https, methods: [GET], paths: ['/repos/acme/**']}]}}}";

/// One thing to measure.
pub(crate) struct Case<'a> {
    /// What, and where it starts.
    pub(crate) name: &'static str,
    /// Does it, and says whether it came out as expected.
    pub(crate) run: Box<dyn Fn() -> bool + 'a>,
}

/// Everything that the cases read.
pub(crate) struct Input {
    sources: Vec<SourceFile>,
    policy: AdmissionPolicy,
    /// The same with injection, for the agents of the AgentPolicy.
    injecting: AdmissionPolicy,
    agent: AgentPolicy,
    few: Snapshot,
    many: Snapshot,
    pod: Vec<u8>,
    admin: Vec<u8>,
    break_glass: Vec<u8>,
    call: Vec<u8>,
    host: Host,
}

impl Input {
    pub(crate) fn prepare() -> Outcome<Self> {
        let mut sources = sources::read(&material::library())?;
        sources.push(SourceFile { name: "site.yaml".to_owned(), text: SITE_POLICY.to_owned() });
        let agent = PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../policies/library/agents/github-read-only.yaml"
        ));
        let agent = sources::read(&[agent])?;
        let typical = SourceFile { name: "typical.yaml".to_owned(), text: TYPICAL.to_owned() };
        let mut injecting = vec![typical];
        for SourceFile { name, text } in &sources {
            // The stage's own document turns injection off.
            let text = text.replace("  inject: {profile: none}\n", "");
            injecting.push(SourceFile { name: name.clone(), text });
        }
        let agent = load_all(&agent)?;
        Ok(Self {
            injecting: load_all(&injecting)?
                .admission
                .ok_or("no AdmissionPolicy in the library")?,
            policy: load_all(&sources)?.admission.ok_or("no AdmissionPolicy in the library")?,
            agent: agent.agent(None).ok_or("no AgentPolicy in the library")?.clone(),
            sources,
            few: snapshot(FEW_BINDINGS)?,
            many: snapshot(MANY_BINDINGS)?,
            pod: reviews::pod()?,
            admin: binding("admin")?,
            break_glass: binding("break-glass")?,
            call: tool_call(),
            host: Host::parse("codeload.github.com")?,
        })
    }

    /// What the webhook decides on a body; `None` if it can't be read.
    fn allowed(&self, body: &[u8], view: &Snapshot) -> Option<bool> {
        let review = parse(black_box(body)).ok()?;
        Some(admit::admit(&review.facts, view, &self.policy, NOW).allowed())
    }

    /// For an error that says more than that.
    fn must_allow(&self, body: &[u8]) -> Outcome<()> {
        let decision = admit::admit(&parse(body)?.facts, &self.few, &self.policy, NOW);
        let said = |finding: &Finding| format!("{} {}", finding.rule.as_str(), finding.message);
        let denials: Vec<String> = decision.denials().map(said).collect();
        if decision.allowed() { Ok(()) } else { Err(denials.join("\n").into()) }
    }

    fn connects(&self) -> bool {
        let attempt = Attempt { host: black_box(&self.host), port: 443, channel: Channel::Tunnel };
        egress::judge(&self.agent, &attempt).is_ok()
    }

    /// Reads a DNS query and answers what policy says of it.
    fn asks(&self, query: &[u8], expected: ResponseCode) -> bool {
        let Ok(query) = wire::read(black_box(query)) else { return false };
        let AskedName::Host(name) = &query.name else { return false };
        let question = Question { name, kind: RecordType(query.kind), search: &[] };
        let code = match dns::judge(&self.agent, &question) {
            Ok(_) => ResponseCode::NoError,
            Err(_) => ResponseCode::Refused,
        };
        let reply = Reply { query: &query, code, answers: &[], error: None };
        !black_box(reply.encode(query.udp_reply_bytes_max())).is_empty() && code == expected
    }

    /// Reads a message and judges its arguments.
    fn calls(&self) -> bool {
        let Ok(message) = strict_json::parse(black_box(&self.call), MCP_MESSAGE) else {
            return false;
        };
        let arguments = message.pointer("/params/arguments").and_then(Value::as_object);
        let judged = arguments
            .map(|arguments| tool::call(&self.agent, "github", "get_file_contents", arguments));
        judged.is_some_and(|judged| judged.is_ok())
    }
}

fn load_all(sources: &[SourceFile]) -> Outcome<PolicySet> {
    load(sources).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n").into()
    })
}

/// The cluster with further RoleBindings for the requester's own group, spread over other namespaces.
fn snapshot(bindings: usize) -> Outcome<Snapshot> {
    let developers = cluster::developers();
    let mut objects = Vec::new();
    for value in cluster::objects() {
        objects.push(from_value(&value)?);
    }
    for number in 0..bindings {
        let namespace = number.checked_rem(OTHER_NAMESPACES).unwrap_or_default();
        let binding = cluster::binding(
            &format!("team-{namespace}"),
            &format!("binding-{number}"),
            "admin",
            &developers,
        );
        objects.push(from_value(&binding)?);
    }
    Ok(Snapshot::of(objects))
}

/// An administrator of the namespace gives a role to a ServiceAccount.
fn binding(role: &str) -> Outcome<Vec<u8>> {
    let user = json!({"username": "ada", "groups": [DEVELOPERS, "system:authenticated"]});
    let deployer = json!({"kind": "ServiceAccount", "name": "deployer", "namespace": NAMESPACE});
    let object = cluster::binding(NAMESPACE, "deployers", role, &deployer);
    let names = Names { group: RBAC_GROUP, kind: "RoleBinding", resource: "rolebindings" };
    Ok(serde_json::to_vec(&reviews::review(&names, &user, &object))?)
}

/// A query for an A record, as musl sends it.
fn dns_query(name: &str) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.extend(u8::try_from(label.len()));
        query.extend(label.bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

/// A `tools/call` of about 1 KB, most of it the fields that it wants.
fn tool_call() -> Vec<u8> {
    let fields: Vec<String> =
        (0..20).map(|number| format!("{:a<34}", format!("field_{number}_"))).collect();
    let arguments = json!({"owner": "acme", "repo": "shop", "path": "services/checkout/src/main.rs",
        "ref": "refs/heads/main", "fields": fields});
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "get_file_contents", "arguments": arguments}})
        .to_string()
        .into_bytes()
}

/// Every case, tried once.
///
/// # Errors
/// When one does not come out as expected, so that no figure is of an error.
pub(crate) fn cases(input: &Input) -> Outcome<Vec<Case<'_>>> {
    let mut cases = admission_cases(input)?;
    cases.extend(mutations(input)?);
    cases.extend(other_cases(input)?);
    cases.extend(stages(input)?);
    match cases.iter().find(|case| !(case.run)()) {
        Some(case) => Err(format!("`{}` does not come out as expected", case.name).into()),
        None => Ok(cases),
    }
}

fn admission_cases(input: &Input) -> Outcome<Vec<Case<'_>>> {
    let (few, many) = (&input.few, &input.many);
    input.must_allow(&input.pod)?;
    input.must_allow(&input.admin)?;
    let (pod, admin) = (parse(&input.pod)?.facts, parse(&input.admin)?.facts);
    let pod_again = pod.clone();
    let admin_again = admin.clone();
    let decide = move |facts: &AdmissionFacts, view| {
        admit::admit(black_box(facts), view, &input.policy, NOW).allowed()
    };
    Ok(vec![
        Case::new("pod from bytes", || input.allowed(&input.pod, few) == Some(true)),
        Case::new("pod bytes to facts", || parse(black_box(&input.pod)).is_ok()),
        Case::new("pod facts to decision", move || decide(&pod, few)),
        Case::new("pod facts to decision, 100,000 RoleBindings", move || decide(&pod_again, many)),
        Case::new("role binding from bytes", || input.allowed(&input.admin, few) == Some(true)),
        Case::new("role binding facts to decision", move || decide(&admin, few)),
        Case::new("role binding facts to decision, 100,000 RoleBindings", move || {
            decide(&admin_again, many)
        }),
        Case::new("role binding refused from bytes", || {
            input.allowed(&input.break_glass, few) == Some(false)
        }),
    ])
}

/// Injection into the same pod: made new, asked again, and judged.
fn mutations(input: &Input) -> Outcome<Vec<Case<'_>>> {
    let bare = parse(&input.pod)?.facts;
    let mutate = |facts: &AdmissionFacts| {
        admit::mutate(black_box(facts), &input.few, &input.injecting, NOW).patch
    };
    let patch = mutate(&bare);
    let mut body: Value = serde_json::from_slice(&input.pod)?;
    let object = body.pointer_mut("/request/object").ok_or("the review has no object")?;
    let steps: json_patch::Patch = serde_json::from_value(serde_json::to_value(&patch)?)?;
    json_patch::patch(object, &steps)?;
    let first = object.pointer("/spec/initContainers/0/name");
    if first != Some(&json!("pinfold-guard")) {
        return Err("the pod was not injected".into());
    }
    let body = serde_json::to_vec(&body)?;
    let injected = parse(&body)?.facts;
    let again = injected.clone();
    let decide =
        |facts: &AdmissionFacts| admit::admit(black_box(facts), &input.few, &input.injecting, NOW);
    if decide(&bare).allowed() || !decide(&injected).allowed() {
        return Err(format!(
            "a bare pod passes, or an injected one doesn't: {:#?}",
            decide(&injected).findings
        )
        .into());
    }
    Ok(vec![
        Case::new("pod facts to injection", move || !mutate(&bare).is_empty()),
        Case::new("pod bytes to injection's answer", || {
            let Ok(review) = parse(black_box(&input.pod)) else { return false };
            let mutation = admit::mutate(&review.facts, &input.few, &input.injecting, NOW);
            let reasons = Reasons {
                findings: &[],
                decision_id: "0123456789abcdef-1",
                policy_digest: "sha256:0",
            };
            let patch = serde_json::to_vec(&mutation.patch).unwrap_or_default();
            let uid = "5b9f2f0e-4d1c-4f8e-9a53-0f8f4f2a9c11";
            !respond::patched(uid, &reasons, Some(&patch)).is_empty()
        }),
        Case::new("injected pod facts, asked again", move || mutate(&again).is_empty()),
        Case::new("injected pod facts to decision", move || decide(&injected).allowed()),
    ])
}

/// What the way from a pod's bytes to its answer is made of, beside what the load bench's reference does.
fn stages(input: &Input) -> Outcome<Vec<Case<'_>>> {
    let body: Value = serde_json::from_slice(&input.pod)?;
    let object = body.pointer("/request/object").ok_or("the review has no object")?.to_string();
    let object_again = object.clone();
    let kind = Kind::new("v1", "Pod");
    let reasons =
        Reasons { findings: &[], decision_id: "0123456789abcdef-1", policy_digest: "sha256:0" };
    Ok(vec![
        Case::new("pod body parsed as the reference does", || {
            serde_json::from_slice::<Value>(black_box(&input.pod)).is_ok()
        }),
        Case::new("pod body checked for strict JSON", || {
            strict_json::check(black_box(&input.pod), ADMISSION_OBJECT).is_ok()
        }),
        Case::new("pod object strictly parsed", move || {
            strict_json::parse(black_box(object.as_bytes()), ADMISSION_OBJECT).is_ok()
        }),
        Case::new("pod object decoded", move || {
            object::decode(&kind, black_box(object_again.as_bytes())).is_ok()
        }),
        Case::new("answer to bytes", move || {
            !respond::allowed(black_box("5b9f2f0e-4d1c-4f8e-9a53-0f8f4f2a9c11"), &reasons)
                .is_empty()
        }),
    ])
}

fn other_cases(input: &Input) -> Outcome<Vec<Case<'_>>> {
    let reference =
        RoleRef { kind: "ClusterRole".to_owned(), name: "admin".to_owned(), ..RoleRef::default() };
    let rules = &input.few.role(&reference, NAMESPACE).ok_or("the cluster has no `admin`")?.rules;
    if rules.len() != admin_role::rules().len() {
        return Err("the rules of `admin` were not all read".into());
    }
    let (listed, unlisted) = (dns_query("codeload.github.com"), dns_query("data.evil.example"));
    // Rules that are the very same would not be looked into.
    let copies: Vec<PolicyRule> = rules.iter().cloned().collect();
    Ok(vec![
        Case::new("admin covers admin", move || {
            covers(black_box(&copies), rules) == Coverage::Covered
        }),
        Case::new("connection to a host", || input.connects()),
        Case::new("DNS query to permit and reply", move || {
            input.asks(&listed, ResponseCode::NoError)
        }),
        Case::new("DNS query to denial and reply", move || {
            input.asks(&unlisted, ResponseCode::Refused)
        }),
        Case::new("tool call from 1 KB", || input.calls()),
        Case::new("policy documents parsed", || load(black_box(&input.sources)).is_ok()),
    ])
}

impl<'a> Case<'a> {
    fn new(name: &'static str, run: impl Fn() -> bool + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}
