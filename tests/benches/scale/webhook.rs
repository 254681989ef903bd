//! One webhook process beside the API server: how long it takes to be ready, what it keeps resident, how long its answers take.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use pinfold_tests::{ApiServer, Supervised, TestAuthority, get, metric};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::client::Server;
use crate::material::{self, Outcome, SITE_POLICY};

/// Only for something that hangs.
const READY_MAX: Duration = Duration::from_secs(300);
const SEEN_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const KIB_PER_MIB: f64 = 1024.0;
/// Requests for a latency, after some that don't count.
const REQUESTS: usize = 3_000;
const WARM_UPS: usize = 300;
const ALLOWED: &[u8] = br#""allowed":true"#;

/// A running one.
pub(crate) struct Webhook {
    process: Supervised,
    server: Server,
    metrics: SocketAddr,
    /// From the start of the process to `/readyz`.
    pub(crate) took: Duration,
}

/// Memory of the process, in MiB.
#[derive(Clone, Copy, Default)]
pub(crate) struct Resident {
    pub(crate) now: f64,
    pub(crate) most: f64,
}

impl Webhook {
    pub(crate) fn start(api: &ApiServer) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let authority = TestAuthority::new("scale")?;
        let serving = authority.serving(&["127.0.0.1"])?;
        fs::write(at("tls.crt"), serving.certificate_pem)?;
        fs::write(at("tls.key"), serving.key_pem)?;
        fs::write(at("site.yaml"), SITE_POLICY)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold-webhook-under-test"));
        command.args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
        for policy in material::library().into_iter().chain([at("site.yaml")]) {
            command.arg("--policy").arg(policy);
        }
        command.arg("--kubeconfig").arg(api.kubeconfig()).arg("--tls-cert").arg(at("tls.crt"));
        command.arg("--tls-key").arg(at("tls.key")).arg("--ready-file").arg(at("ready.json"));
        let ready_file = at("ready.json");
        let began = Instant::now();
        let process = Supervised::start("pinfold-webhook", folder, &command)?;
        let log = || process.log();
        wait(READY_MAX, || ready_file.exists().then_some(())).ok_or_else(log)?;
        let addresses: Value = serde_json::from_slice(&fs::read(&ready_file)?)?;
        let address = |name: &str| addresses.get(name).and_then(Value::as_str).ok_or("no address");
        let (listen, metrics) = (address("listen")?, address("metrics")?.parse()?);
        let ready =
            || get(metrics, "/readyz").is_ok_and(|answer| answer.status == 200).then_some(());
        wait(READY_MAX, ready).ok_or_else(log)?;
        let took = began.elapsed();
        let server = Server::new(listen, &authority.certificate_pem(), None)?;
        Ok(Self { process, server, metrics, took })
    }

    pub(crate) fn resident(&self) -> Outcome<Resident> {
        let status = fs::read_to_string(
            Path::new("/proc").join(self.process.pid().to_string()).join("status"),
        )?;
        let mib = |name: &str| -> Outcome<f64> {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / KIB_PER_MIB)
        };
        Ok(Resident { now: mib("VmRSS:")?, most: mib("VmHWM:")? })
    }

    /// Objects of a kind in the view; of all without one.
    pub(crate) fn objects(&self, kind: Option<&str>) -> Outcome<f64> {
        let labels: Vec<(&str, &str)> = kind.map(|kind| ("kind", kind)).into_iter().collect();
        let text = get(self.metrics, "/metrics")?.body;
        Ok(metric(&text, "pinfold_cache_objects", &labels).unwrap_or(0.0))
    }

    /// Waits until the view has so many objects of a kind.
    pub(crate) fn sees(&self, kind: &str, count: f64) -> Outcome<()> {
        let seen = || self.objects(Some(kind)).is_ok_and(|seen| seen >= count).then_some(());
        wait(SEEN_MAX, seen)
            .ok_or_else(|| format!("the webhook does not see {count} objects of {kind}").into())
    }

    /// Latencies of `/validate`, one request after the other, shortest first.
    pub(crate) fn latencies(&self, runtime: &Runtime, body: &Bytes) -> Outcome<Vec<Duration>> {
        runtime.block_on(async {
            let mut connection = self.server.connect().await?;
            let mut times = Vec::new();
            for number in 0..REQUESTS.saturating_add(WARM_UPS) {
                let began = Instant::now();
                let (status, answer) =
                    connection.send(Method::POST, "/validate", body.clone()).await?;
                let took = began.elapsed();
                if status != StatusCode::OK
                    || !answer.windows(ALLOWED.len()).any(|part| part == ALLOWED)
                {
                    return Err(format!("{status}: {}", String::from_utf8_lossy(&answer)).into());
                }
                times.extend((number >= WARM_UPS).then_some(took));
            }
            times.sort_unstable();
            Ok(times)
        })
    }
}

fn wait<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        let found = look();
        if found.is_some() || began.elapsed() > limit {
            return found;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
