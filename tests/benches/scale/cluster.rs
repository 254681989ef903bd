//! Fills a real API server, in two steps, and looks at the webhook at each: empty but for the fixtures, with the objects of the memory budget,
//! and with 120,000 RBAC objects.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use pinfold_model::snapshot::RBAC_GROUP;
use pinfold_tests::ApiServer;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::client::Server;
use crate::generated::{self, Size};
use crate::material::cluster::{DEVELOPERS, NAMESPACE};
use crate::material::reviews::{self, Names};
use crate::material::{Outcome, cluster};
use crate::report::{self, Table};
use crate::requests;
use crate::webhook::{Resident, Webhook};

const SEED: u64 = 4;
const MIDDLE: Size = Size { namespaces: 4_000, bindings: 13_000, roles: 2_600 };
const LARGE: Size = Size { namespaces: 4_000, bindings: 100_000, roles: 20_000 };
const SECRETS: usize = 10_000;
/// Changes of bindings between two looks at the memory.
const CHANGES: usize = 10_000;
/// Connections to the API server.
const CONNECTIONS: usize = 24;
/// For the API server, so that filling it is not slowed down on purpose.
const FLAGS: [&str; 3] = [
    "--enable-priority-and-fairness=false",
    "--max-requests-inflight=3000",
    "--max-mutating-requests-inflight=3000",
];

/// What was seen at one size.
#[derive(Default)]
struct Figures {
    objects: f64,
    ready: Duration,
    ready_again: Duration,
    synced: Resident,
    churned: Resident,
    p50: Duration,
    p99: Duration,
}

impl Figures {
    fn line(&self) -> String {
        let Self { objects, ready, ready_again, synced, churned, p50, p99 } = self;
        format!(
            "{objects} objects: ready {ready:?}, {ready_again:?}; MiB {:.1} ({:.1}), changed {:.1} ({:.1}); {p50:?} ({p99:?})",
            synced.now, synced.most, churned.now, churned.most
        )
    }
}

/// An API server and how it is filled.
struct Bench {
    api: ApiServer,
    server: Server,
    runtime: Runtime,
}

/// Measures, and says what came out.
pub(crate) fn run() -> Outcome<String> {
    let bench = Bench::start()?;
    bench.fill(cluster::objects().into_iter().chain(requests::fixed()))?;
    let small = bench.look(None)?;
    say(&small.line());
    let took =
        bench.fill(generated::objects(MIDDLE, true, SEED).chain((0..SECRETS).map(secret)))?;
    say(&format!("{took:?} to fill the middle size"));
    let middle = bench.look(Some((MIDDLE, 0)))?;
    say(&middle.line());
    let took = bench.fill(generated::rights((MIDDLE.roles, MIDDLE.bindings), LARGE, SEED))?;
    say(&format!("{took:?} to fill the large size"));
    let large = bench.look(Some((LARGE, MIDDLE.bindings)))?;
    say(&large.line());
    report(&[small, middle, large])
}

fn say(line: &str) {
    // For people who wait; nothing depends on it.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
}

impl Bench {
    fn start() -> Outcome<Self> {
        let api = ApiServer::start_with(&FLAGS)?;
        let definitions = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/crds");
        api.kubectl(&["apply", "-k", definitions], "")?.ok()?;
        api.kubectl(&["wait", "--for=condition=Established", "crd", "--all"], "")?.ok()?;
        let identity = api.kubeconfig().parent().map(PathBuf::from);
        let address = api.url().trim_start_matches("https://");
        let server = Server::new(address, api.authority_pem(), identity.as_deref())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { api, server, runtime })
    }

    /// Creates objects, each with one request, or replaces them.
    fn fill(&self, objects: impl Iterator<Item = Value> + Send + 'static) -> Outcome<Duration> {
        let began = Instant::now();
        let objects = Arc::new(Mutex::new(objects));
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..CONNECTIONS {
                let (mut connection, objects) =
                    (self.server.connect().await?, Arc::clone(&objects));
                tasks.spawn(async move {
                    loop {
                        let Some(object) = objects.lock().await.next() else {
                            return Outcome::Ok(());
                        };
                        let (path, name, body) = written(object)?;
                        let (mut status, mut answer) =
                            connection.send(Method::POST, &path, body.clone()).await?;
                        if status == StatusCode::CONFLICT {
                            let path = format!("{path}/{name}");
                            (status, answer) = connection.send(Method::PUT, &path, body).await?;
                        }
                        if !status.is_success() {
                            return Err(format!(
                                "{path}: {status}: {}",
                                String::from_utf8_lossy(&answer)
                            )
                            .into());
                        }
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended??;
            }
            Ok(began.elapsed())
        })
    }

    /// Starts the webhook twice, the second time to stay; changes bindings of a size from a first one on.
    fn look(&self, size: Option<(Size, usize)>) -> Outcome<Figures> {
        let ready = Webhook::start(&self.api)?.took;
        let webhook = Webhook::start(&self.api)?;
        let mut figures = Figures {
            ready,
            ready_again: webhook.took,
            objects: webhook.objects(None)?,
            ..Figures::default()
        };
        figures.synced = webhook.resident()?;
        let body = Bytes::from(binding_body()?);
        let times = webhook.latencies(&self.runtime, &body)?;
        let at = |percent: usize| {
            times.get(times.len().saturating_mul(percent) / 100).copied().unwrap_or_default()
        };
        (figures.p50, figures.p99) = (at(50), at(99));
        if let Some((size, first)) = size {
            let seen = webhook.objects(Some("RoleBinding"))?;
            let marker = cluster::binding(
                "default",
                &format!("marker-{}", size.bindings),
                "view",
                &cluster::developers(),
            );
            let changes = (0..CHANGES).map(move |number| {
                let number = number.saturating_mul(7).saturating_add(first);
                generated::changed(number, size, SEED)
            });
            self.fill(changes.chain([marker]))?;
            webhook.sees("RoleBinding", seen + 1.0)?;
            figures.churned = webhook.resident()?;
        }
        Ok(figures)
    }
}

/// An administrator of a namespace gives its role to a ServiceAccount.
fn binding_body() -> Outcome<Vec<u8>> {
    let ada = json!({"username": "ada", "groups": [DEVELOPERS, "system:authenticated"]});
    let account = json!({"kind": "ServiceAccount", "name": "deployer", "namespace": NAMESPACE});
    let names = Names { group: RBAC_GROUP, kind: "RoleBinding", resource: "rolebindings" };
    let object = cluster::binding(NAMESPACE, "new", "admin", &account);
    Ok(serde_json::to_vec(&reviews::review(&names, &ada, &object))?)
}

fn secret(number: usize) -> Value {
    let value = "c2VjcmV0".repeat(32);
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("secret-{number}"), "namespace": "default"},
        "data": {"token": value}})
}

/// Path of the collection, name, and body of an object that the API server is to take; it gives the uid.
fn written(mut object: Value) -> Outcome<(String, String, Bytes)> {
    let text =
        |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("/apiVersion"), text("/kind"));
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let group = if version.contains('/') { "apis" } else { "api" };
    let plural = format!("{}s", kind.to_lowercase());
    let path = if namespace.is_empty() {
        format!("/{group}/{version}/{plural}")
    } else {
        format!("/{group}/{version}/namespaces/{namespace}/{plural}")
    };
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("uid");
    }
    Ok((path, name, serde_json::to_vec(&object)?.into()))
}

fn report(figures: &[Figures; 3]) -> Outcome<String> {
    let mut table =
        Table::new(&["", "Fixtures only", "13,000 bindings", "100,000 bindings", "Budget"]);
    let mut line = |name: &str, budget: &str, text: &dyn Fn(&Figures) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(figures.iter().map(text));
        cells.push(budget.to_owned());
        table.line(&cells);
    };
    let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
    let micros = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e6);
    line("Objects in the view", "", &|found| format!("{:.0}", found.objects));
    line("Start to ready, s (again)", "≤ 2; -", &|found| {
        format!("{} ({})", seconds(found.ready), seconds(found.ready_again))
    });
    line("Resident when ready, MiB", "≤ 64; ≤ 150", &|found| {
        format!("{:.1}", found.synced.now)
    });
    line("Most until then, MiB", "", &|found| format!("{:.1}", found.synced.most));
    line("Resident after 10,000 changes, MiB", "≤ 64; ≤ 150", &|found| {
        format!("{:.1}", found.churned.now)
    });
    line("Most until then, MiB", "", &|found| format!("{:.1}", found.churned.most));
    line("RoleBinding over TLS, p50 (p99), µs", "", &|found| {
        format!("{} ({})", micros(found.p50), micros(found.p99))
    });
    let notes = "13,000 bindings with 2,600 roles, 4,000 namespaces and 10,000 Secrets; 100,000 with 20,000 roles.";
    Ok(report::machine(notes)? + &table.text())
}
