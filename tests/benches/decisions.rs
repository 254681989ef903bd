//! How long the decisions take, each from the bytes that arrive, and the stages and the parsing that they are made of.
//!
//! Every case is decided once before it is measured and must come out as expected, so that no figure is of an error.

mod material;
mod report;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::Criterion;
use jiff::civil::{Date, date};
use material::cluster::{self, DEVELOPERS, NAMESPACE};
use material::reviews::Names;
use material::{Outcome, SITE_POLICY, admin_role, reviews};
use pinfold_engine::egress::{self, Attempt, Channel};
use pinfold_engine::rbac::coverage::{Coverage, covers};
use pinfold_engine::{admit, tool};
use pinfold_model::facts::AdmissionFacts;
use pinfold_model::host::Host;
use pinfold_model::object::from_value;
use pinfold_model::object::rbac::RoleRef;
use pinfold_model::policy::PolicySet;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::load;
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot};
use pinfold_model::sources::{self, SourceFile};
use pinfold_model::strict_json::{self, ADMISSION_OBJECT, MCP_MESSAGE};
use pinfold_review::parse;
use report::{Asked, Table};
use serde_json::{Value, json};

const TODAY: Date = date(2026, 11, 21);
/// Sizes of the cluster whose ratio is the point, in RoleBindings, and the namespaces that they are spread over.
const FEW_BINDINGS: usize = 100;
const MANY_BINDINGS: usize = 100_000;
const OTHER_NAMESPACES: usize = 4_000;
/// How often a case is timed singly for its p99, after some times that don't count.
const SINGLE_RUNS: usize = 20_000;
const SINGLE_WARM_UPS: usize = 1_000;
const NANOS_PER_MICRO: f64 = 1e3;
const MICROS_PER_SECOND: f64 = 1e6;

/// One thing to measure.
struct Case<'a> {
    name: &'static str,
    budget: &'static str,
    /// Whether it came out as expected.
    run: Box<dyn Fn() -> bool + 'a>,
}

fn main() -> Outcome<()> {
    let asked = Asked::of_arguments();
    let input = Input::prepare()?;
    let cases = cases(&input)?;
    if let Some(case) = cases.iter().find(|case| !(case.run)()) {
        return Err(format!("`{}` does not come out as expected", case.name).into());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    let criterion =
        Criterion::default().output_directory(&folder).measurement_time(Duration::from_secs(3));
    // Criterion knows no `--write`.
    let mut criterion = match asked {
        Asked::Write => criterion,
        Asked::Measure | Asked::Try => criterion.configure_from_args(),
    };
    for case in &cases {
        criterion.bench_function(case.name, |bencher| bencher.iter(&case.run));
    }
    criterion.final_summary();
    match asked {
        Asked::Try => Ok(()),
        Asked::Measure | Asked::Write => {
            report::publish(asked, "decisions", &figures(&cases, &folder)?)
        }
    }
}

/// Everything that the cases read.
struct Input {
    sources: Vec<SourceFile>,
    policy: AdmissionPolicy,
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
    fn prepare() -> Outcome<Self> {
        let mut sources = sources::read(&material::library())?;
        sources.push(SourceFile { name: "site.yaml".to_owned(), text: SITE_POLICY.to_owned() });
        let agent = PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../policies/library/agents/github-read-only.yaml"
        ));
        let agent = load_all(&sources::read(&[agent])?)?;
        Ok(Self {
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
        Some(admit::admit(&review.facts, view, &self.policy, TODAY).allowed())
    }

    fn connects(&self) -> bool {
        let attempt = Attempt { host: black_box(&self.host), port: 443, channel: Channel::Tunnel };
        egress::judge(&self.agent, &attempt).is_ok()
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

fn cases(input: &Input) -> Outcome<Vec<Case<'_>>> {
    let mut cases = admission_cases(input)?;
    cases.extend(other_cases(input)?);
    Ok(cases)
}

fn admission_cases(input: &Input) -> Outcome<Vec<Case<'_>>> {
    let (few, many) = (&input.few, &input.many);
    let (pod, admin) = (parse(&input.pod)?.facts, parse(&input.admin)?.facts);
    let pod_again = pod.clone();
    let admin_again = admin.clone();
    let decide = move |facts: &AdmissionFacts, view| {
        admit::admit(black_box(facts), view, &input.policy, TODAY).allowed()
    };
    Ok(vec![
        Case::new("pod from bytes", "", || input.allowed(&input.pod, few) == Some(true)),
        Case::new("pod strict JSON check", "", || {
            strict_json::check(black_box(&input.pod), ADMISSION_OBJECT).is_ok()
        }),
        Case::new("pod bytes to facts", "", || parse(black_box(&input.pod)).is_ok()),
        Case::new("pod facts to decision", "≤ 30 µs", move || decide(&pod, few)),
        Case::new(
            "pod facts to decision, 100,000 RoleBindings",
            "≤ 1.5 times the line above",
            move || decide(&pod_again, many),
        ),
        Case::new("role binding from bytes", "", || input.allowed(&input.admin, few) == Some(true)),
        Case::new("role binding facts to decision", "p50 ≤ 50 µs, p99 ≤ 500 µs", move || {
            decide(&admin, few)
        }),
        Case::new(
            "role binding facts to decision, 100,000 RoleBindings",
            "≤ 1.5 times the line above",
            move || decide(&admin_again, many),
        ),
        Case::new("role binding refused from bytes", "", || {
            input.allowed(&input.break_glass, few) == Some(false)
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
    Ok(vec![
        Case::new("admin covers admin", "≤ 100 µs", || {
            covers(black_box(rules.as_ref()), rules.as_ref()) == Coverage::Covered
        }),
        Case::new("connection to a host", "", || input.connects()),
        Case::new("tool call from 1 KB", "≤ 100 µs", || input.calls()),
        Case::new("policy documents parsed", "", || load(black_box(&input.sources)).is_ok()),
    ])
}

impl<'a> Case<'a> {
    fn new(name: &'static str, budget: &'static str, run: impl Fn() -> bool + 'a) -> Self {
        Self { name, budget, run: Box::new(run) }
    }
}

/// Every case with criterion's median, and the p99 of single runs.
fn figures(cases: &[Case<'_>], folder: &Path) -> Outcome<String> {
    let mut table = Table::new(&["Case", "Median, µs", "p99, µs", "Budget"]);
    for case in cases {
        // What a filter left out has no figure.
        let Some(median) = median_micros(folder, case.name)? else { continue };
        let (median, p99) = (format!("{median:.2}"), format!("{:.2}", p99_micros(case)));
        table.line(&[case.name, &median, &p99, case.budget]);
    }
    let view = format!("{FEW_BINDINGS} RoleBindings in the cluster if nothing else is said.");
    Ok(report::machine(&view)? + &table.text())
}

fn median_micros(folder: &Path, case: &str) -> Outcome<Option<f64>> {
    let path = folder.join(case).join("new/estimates.json");
    if !path.exists() {
        return Ok(None);
    }
    let estimates: Value = serde_json::from_slice(&fs::read(&path)?)?;
    let nanos = estimates.pointer("/median/point_estimate").and_then(Value::as_f64);
    let nanos = nanos.ok_or_else(|| format!("`{}` has no median", path.display()))?;
    Ok(Some(nanos / NANOS_PER_MICRO))
}

fn p99_micros(case: &Case<'_>) -> f64 {
    let run = || {
        let began = Instant::now();
        black_box((case.run)());
        began.elapsed()
    };
    for _ in 0..SINGLE_WARM_UPS {
        run();
    }
    let mut times: Vec<Duration> = (0..SINGLE_RUNS).map(|_| run()).collect();
    times.sort_unstable();
    let p99 = times.get(SINGLE_RUNS.saturating_mul(99) / 100).copied().unwrap_or_default();
    p99.as_secs_f64() * MICROS_PER_SECOND
}
