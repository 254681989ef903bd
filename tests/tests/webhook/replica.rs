//! One webhook process.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use pinfold_tests::{Supervised, get, metric};
use serde_json::Value;

use crate::Outcome;

/// A cold start beside a compiler and other tests.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// What a webhook is started with; addresses are of the system's choice unless a test wants another.
#[derive(Debug, Clone)]
pub(crate) struct Flags {
    addresses: [(&'static str, String); 2],
    further: Vec<OsString>,
}

impl Default for Flags {
    fn default() -> Self {
        let addresses = ["--listen", "--metrics"].map(|flag| (flag, "127.0.0.1:0".to_owned()));
        Self { addresses, further: vec!["--drain".into(), "3".into()] }
    }
}

impl Flags {
    pub(crate) fn with(mut self, flag: &str, value: impl Into<OsString>) -> Self {
        self.further.extend([flag.into(), value.into()]);
        self
    }

    /// A flag without a value.
    pub(crate) fn with_switch(mut self, flag: &str) -> Self {
        self.further.push(flag.into());
        self
    }

    /// `--listen` or `--metrics` at an address of the test's choice.
    pub(crate) fn at(mut self, flag: &str, address: &str) -> Self {
        for (own, chosen) in &mut self.addresses {
            if *own == flag {
                address.clone_into(chosen);
            }
        }
        self
    }

    /// The process, ready or not.
    pub(crate) fn spawn(&self) -> Outcome<(Supervised, PathBuf)> {
        let dir = tempfile::tempdir()?;
        let ready_file = dir.path().join("ready.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold-webhook-under-test"));
        for (flag, address) in &self.addresses {
            command.args([flag, address.as_str()]);
        }
        command.arg("--ready-file").arg(&ready_file).args(&self.further);
        Ok((Supervised::start("pinfold-webhook", dir, &command)?, ready_file))
    }
}

/// A webhook that was ready once. Dropping it is `kill -9`.
pub(crate) struct Replica {
    pub(crate) process: Supervised,
    /// `/validate` and `/mutate`.
    pub(crate) listen: SocketAddr,
    metrics: SocketAddr,
}

impl Replica {
    pub(crate) fn start(flags: &Flags) -> Outcome<Self> {
        let replica = Self::start_unready(flags)?;
        replica.process.wait_ready(READY_WITHIN, || replica.is_ready())?;
        Ok(replica)
    }

    /// One that listens, whether it decides or not.
    pub(crate) fn start_unready(flags: &Flags) -> Outcome<Self> {
        let (process, ready_file) = flags.spawn()?;
        process.wait_ready(READY_WITHIN, || ready_file.exists())?;
        let addresses: Value = serde_json::from_slice(&std::fs::read(&ready_file)?)?;
        let address = |name: &str| -> Outcome<SocketAddr> {
            let text = addresses.get(name).and_then(Value::as_str);
            Ok(text.ok_or_else(|| format!("no `{name}` in {addresses}"))?.parse()?)
        };
        let (listen, metrics) = (address("listen")?, address("metrics")?);
        Ok(Self { process, listen, metrics })
    }

    /// What the kubelet's probe would find.
    pub(crate) fn is_ready(&self) -> bool {
        get(self.metrics, "/readyz").is_ok_and(|answer| answer.status == 200)
    }

    pub(crate) fn is_alive(&self) -> bool {
        get(self.metrics, "/healthz").is_ok_and(|answer| answer.status == 200)
    }

    /// The whole text of `/metrics`.
    pub(crate) fn exposition(&self) -> Outcome<String> {
        Ok(get(self.metrics, "/metrics")?.body)
    }

    /// The sum of a metric; 0 for what was never counted.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> Outcome<f64> {
        Ok(metric(&self.exposition()?, name, labels).unwrap_or(0.0))
    }

    /// Answered calls of `/validate` or `/mutate`.
    pub(crate) fn calls(&self, path: &str) -> Outcome<f64> {
        self.count("pinfold_admission_duration_seconds_count", &[("path", path)])
    }
}
