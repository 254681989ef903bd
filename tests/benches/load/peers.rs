//! The servers, each a process of this program: what they need on disk, how they start, and that they end with their parent.

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, SystemTime};

use pinfold_certs::{Authority, Validity};
use pinfold_webhook::{Config, ServingSource};
use serde_json::json;

use crate::material::{self, Outcome, SITE_POLICY, cluster};
use crate::reference;

/// The flag of a server process; its kind and the folder follow.
pub(crate) const SERVE: &str = "--serve";
/// Names in the folder that all share.
pub(crate) const CERTIFICATE: &str = "tls.crt";
pub(crate) const KEY: &str = "tls.key";
pub(crate) const HOST: &str = "localhost";
const SITE: &str = "site.yaml";
const CLUSTER: &str = "cluster.json";
const AUDIT: &str = "audit";
const CERTIFICATE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Parses the body and allows.
    Reference,
    /// The webhook without audit.
    Webhook,
    /// The webhook that records each answer durably before it is given.
    Audited,
}

/// In the order of a round: the reference between the two, so that a slow moment hits it too.
pub(crate) const KINDS: [Kind; 3] = [Kind::Webhook, Kind::Reference, Kind::Audited];

impl Kind {
    fn flag(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Webhook => "webhook",
            Self::Audited => "audited",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Reference => "reference",
            Self::Webhook => "webhook",
            Self::Audited => "webhook with audit",
        })
    }
}

/// What the servers read, in a folder that goes away with it.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    /// The certificate authority, PEM.
    pub(crate) authority: String,
}

impl Stage {
    /// On the disk of the build, where an audit record costs what it costs; `/tmp` may be memory.
    pub(crate) fn prepare() -> Outcome<Self> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let at = |name: &str| folder.path().join(name);
        let validity = Validity::starting(SystemTime::now(), CERTIFICATE_LIFE)?;
        let authority = Authority::create("bench", validity)?;
        let serving = authority.issue_serving(&[HOST], validity)?;
        fs::write(at(CERTIFICATE), &serving.certificate)?;
        fs::write(at(KEY), serving.key.expose())?;
        fs::write(at(SITE), SITE_POLICY)?;
        let cluster = json!({"apiVersion": "v1", "kind": "List", "items": cluster::objects()});
        fs::write(at(CLUSTER), cluster.to_string())?;
        Ok(Self { authority: authority.certificate().to_owned(), folder })
    }

    /// How many records the audited server has on disk.
    pub(crate) fn audit_records(&self) -> Outcome<usize> {
        let mut records = 0_usize;
        for entry in fs::read_dir(self.folder.path().join(AUDIT))? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "jsonl") {
                let lines = BufReader::new(fs::File::open(path)?).split(b'\n').count();
                records = records.saturating_add(lines);
            }
        }
        Ok(records)
    }
}

/// A running server. Dropping it closes its stdin, which ends it.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Peer {
    /// Starts one and waits until it listens.
    pub(crate) fn start(kind: Kind, stage: &Stage) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([SERVE, kind.flag()])
            .arg(stage.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("a server has no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().map_err(|_| format!("the {kind} did not start"))?;
        Ok(Self { kind, address, child, stdin })
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It ends by itself; how it ended changes no figure.
        let _ = self.child.wait();
    }
}

/// The other side: serves until stdin is closed.
pub(crate) fn serve(kind: &str, folder: &Path) -> Outcome<()> {
    let kind = KINDS.into_iter().find(|known| known.flag() == kind).ok_or("unknown server")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match kind {
            Kind::Reference => {
                announce(reference::start(folder).await?)?;
                wait_for_parent().await?;
            }
            Kind::Webhook | Kind::Audited => {
                let audit = (kind == Kind::Audited).then(|| folder.join(AUDIT));
                let running = pinfold_webhook::start(config(folder, audit)).await?;
                announce(running.addresses.listen)?;
                wait_for_parent().await?;
                running.shutdown().await;
            }
        }
        Ok(())
    })
}

fn announce(address: SocketAddr) -> Outcome<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{address}")?;
    Ok(stdout.flush()?)
}

async fn wait_for_parent() -> Outcome<()> {
    let read = || std::io::stdin().read_to_end(&mut Vec::new());
    tokio::task::spawn_blocking(read).await??;
    Ok(())
}

fn config(folder: &Path, audit: Option<PathBuf>) -> Config {
    let mut policy = material::library();
    policy.push(folder.join(SITE));
    let serving = ServingSource::Files { cert: folder.join(CERTIFICATE), key: folder.join(KEY) };
    let cluster = vec![folder.join(CLUSTER)];
    Config { serving, audit, ..Config::on_loopback(policy, cluster, PathBuf::new()) }
}
