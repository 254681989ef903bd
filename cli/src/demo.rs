//! `pinfold demo`: both gates on this machine, no cluster. Starts them in this process, plays attacks and honest work against
//! them through real sockets, verifies what they recorded, and passes only if every one was decided as it should be.

mod agent;
mod client;
mod reviews;
mod row;
mod world;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, process};

use pinfold_ledger::verify;

use crate::{CliError, Outcome};
use agent::Sidecar;
use client::{fail, send};
use reviews::Webhook;
use row::Row;
use world::World;

const ADMISSION_POLICY: &str = include_str!("demo/files/admission-policy.yaml");
const AGENT_POLICY: &str = include_str!("demo/files/agent-policy.yaml");
const CLUSTER: &str = include_str!("demo/files/cluster.yaml");
/// A name that the webhook's own certificate is for.
const WEBHOOK_NAME: &str = "pinfold-webhook.pinfold-system.svc";

pub(crate) fn run(out: &mut dyn Write) -> Result<Outcome, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| fail("the runtime")(&error))?;
    let folder = Folder::create()?;
    let rows = runtime.block_on(play(&folder, out))?;
    let wrong = rows.iter().filter(|row| !row.is_right()).count();
    writeln!(out, "\n{} decisions, {wrong} wrong", rows.len())?;
    Ok(if wrong == 0 { Outcome::Passed } else { Outcome::Denied })
}

/// A folder of its own below the system's temporary one, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self, CliError> {
        let fail = fail("a temporary folder");
        let path = std::env::temp_dir().join(format!("pinfold-demo-{}", process::id()));
        fs::create_dir(&path).map_err(|error| fail(&error))?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, CliError> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(|error| fail(name)(&error))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing depends on it; the system clears its temporary folder in any case.
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn play(folder: &Folder, out: &mut dyn Write) -> Result<Vec<Row>, CliError> {
    let mut rows = play_webhook(folder, out).await?;
    row::print(&rows, out)?;
    let sidecar = play_sidecar(folder, out).await?;
    row::print(&sidecar, out)?;
    let records = ["webhook", "sidecar"].map(|gate| verify_records(&folder.0.join(gate), gate));
    row::print(&records, out)?;
    rows.extend(sidecar);
    rows.extend(records);
    Ok(rows)
}

async fn play_webhook(folder: &Folder, out: &mut dyn Write) -> Result<Vec<Row>, CliError> {
    let authority = folder.0.join("ca.pem");
    let mut config = pinfold_webhook::Config::on_loopback(
        vec![folder.write("admission-policy.yaml", ADMISSION_POLICY)?],
        vec![folder.write("cluster.yaml", CLUSTER)?],
        authority.clone(),
    );
    config.audit = Some(folder.0.join("webhook"));
    let running =
        pinfold_webhook::start(config).await.map_err(|error| fail("the webhook")(&error))?;
    let address = running.addresses.listen;
    writeln!(out, "webhook: https://{address}, metrics http://{}\n", running.addresses.metrics)?;
    let webhook =
        Webhook { connector: client::tls(&authority)?, address, name: WEBHOOK_NAME.to_owned() };
    let mut rows = reviews::play(&webhook).await?;
    rows.push(
        metrics("webhook", running.addresses.metrics, "pinfold_admission_denials_total").await?,
    );
    running.shutdown().await;
    Ok(rows)
}

async fn play_sidecar(folder: &Folder, out: &mut dyn Write) -> Result<Vec<Row>, CliError> {
    let world = World::start().await?;
    let port = world.address.port();
    let text = AGENT_POLICY.replace("PORT", &port.to_string());
    let policy = folder.write("agent-policy.yaml", &text)?;
    let mut config = pinfold_sidecar::Config::on_loopback(vec![policy]);
    config.audit = Some(folder.0.join("sidecar"));
    let running =
        pinfold_sidecar::start(config).await.map_err(|error| fail("the sidecar")(&error))?;
    let first = |addresses: &[std::net::SocketAddr]| {
        addresses.first().copied().ok_or_else(|| fail("the sidecar")(&"no address"))
    };
    let addresses = &running.addresses;
    let (proxy, gateway) = (first(&addresses.proxy)?, first(&addresses.gateway)?);
    let admin = first(&addresses.admin)?;
    writeln!(
        out,
        "\nsidecar: proxy http://{proxy}, gateway http://{gateway}, metrics http://{admin}\n"
    )?;
    let mut rows = agent::play(&Sidecar { proxy, gateway, world: port }).await?;
    rows.push(metrics("sidecar", admin, "pinfold_egress_connections_total").await?);
    rows.push(reached(&world, &rows));
    running.shutdown().await;
    world.stop();
    Ok(rows)
}

/// The outside world was reached by what was allowed, and by nothing else.
fn reached(world: &World, rows: &[Row]) -> Row {
    let allowed =
        rows.iter().filter(|row| row.expected == row::ALLOWED || row.expected == "read_file");
    Row {
        gate: "world",
        title: "requests that reached the outside world".to_owned(),
        expected: allowed.count().to_string(),
        answered: world.served().to_string(),
        why: String::new(),
    }
}

/// Whether the denials are counted.
async fn metrics(
    gate: &'static str,
    address: std::net::SocketAddr,
    name: &str,
) -> Result<Row, CliError> {
    let fail = fail("the metrics");
    let request = hyper::Request::get("/metrics").header("host", address.to_string());
    let request = request.body(http_body_util::Full::default()).map_err(|error| fail(&error))?;
    let answer = send(address, request).await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let denials: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(name) && !line.contains("decision=\"allow\""))
        .collect();
    let answered = if denials.is_empty() { "not counted" } else { "counted" }.to_owned();
    let title = "the denials in /metrics".to_owned();
    Ok(Row { gate, title, expected: "counted".to_owned(), answered, why: denials.join("\n") })
}

fn verify_records(directory: &Path, gate: &'static str) -> Row {
    let (answered, why) = match verify::verify(&[directory.to_path_buf()], None) {
        Ok(report) => ("intact".to_owned(), format!("{} records", report.records())),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            ("damaged".to_owned(), lines.join("\n"))
        }
    };
    let title = "the audit records, by the independent verifier".to_owned();
    Row { gate, title, expected: "intact".to_owned(), answered, why }
}
