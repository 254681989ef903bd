//! A real etcd and kube-apiserver on this machine, for one test process.
//!
//! There is no controller manager: nothing fills aggregated ClusterRoles (`admin`, `edit` and
//! `view` are empty), makes default ServiceAccounts ([`ApiServer::namespace`] does), collects
//! garbage or finishes the deletion of a namespace. Tests share one server and keep to
//! namespaces of their own.

use crate::kubectl::{Kubectl, kubeconfig};
use crate::pki::{TestAuthority, signing_key};
use crate::{HarnessError, KubeAssets, KubectlOutput, Supervised, User, free_ports};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Start takes about 7 s; a machine that compiles at the same time takes longer.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Another process may take a port between our look and the server's bind.
const START_ATTEMPTS: usize = 4;

/// What etcd and kube-apiserver write when a port is taken.
const PORT_TAKEN: &str = "address already in use";

/// A running control plane. Dropping it ends both processes.
#[derive(Debug)]
pub struct ApiServer {
    // Dropped first: an API server without its etcd writes pages of complaints.
    apiserver: Supervised,
    /// None beside another server.
    _etcd: Option<Supervised>,
    etcd_port: u16,
    kubectl: Kubectl,
    url: String,
    authority_pem: String,
}

impl ApiServer {
    /// The server that the tests of this process share, started by the first that asks. It ends
    /// with the process.
    pub fn shared() -> Result<&'static Self, &'static HarnessError> {
        static SHARED: OnceLock<Result<ApiServer, HarnessError>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// A server of one's own.
    pub fn start() -> Result<Self, HarnessError> {
        Self::start_with(&[])
    }

    /// A server of one's own with further flags for kube-apiserver; of a flag that is given
    /// twice the last one counts.
    pub fn start_with(flags: &[&str]) -> Result<Self, HarnessError> {
        let assets = KubeAssets::find()?;
        let mut attempt = Self::try_start(&assets, free_ports()?, flags);
        for _ in 1..START_ATTEMPTS {
            if !attempt.as_ref().is_err_and(is_port_clash) {
                break;
            }
            attempt = Self::try_start(&assets, free_ports()?, flags);
        }
        attempt
    }

    /// A second server on the etcd of this one, as after a restart: it reconciles its own objects before it is ready. It must
    /// go before this one does.
    pub fn start_beside(&self) -> Result<Self, HarnessError> {
        let assets = KubeAssets::find()?;
        let [_, _, port] = free_ports()?;
        Self::serve(&assets, [self.etcd_port, port], None, &[])
    }

    fn try_start(
        assets: &KubeAssets,
        ports: [u16; 3],
        flags: &[&str],
    ) -> Result<Self, HarnessError> {
        let [etcd_port, peer_port, port] = ports;
        let etcd = start_etcd(assets, etcd_port, peer_port)?;
        Self::serve(assets, [etcd_port, port], Some(etcd), flags)
    }

    fn serve(
        assets: &KubeAssets,
        [etcd_port, port]: [u16; 2],
        etcd: Option<Supervised>,
        flags: &[&str],
    ) -> Result<Self, HarnessError> {
        let url = format!("https://127.0.0.1:{port}");
        let dir = directory("kube-apiserver")?;
        let authority = TestAuthority::new("pinfold-tests-ca")?;
        write_credentials(dir.path(), &authority, &url)?;
        let kubectl = Kubectl {
            program: assets.program("kubectl"),
            kubeconfig: dir.path().join("kubeconfig"),
            cache: dir.path().join("kubectl-cache"),
        };
        let mut command = Command::new(assets.program("kube-apiserver"));
        command.args(apiserver_flags(etcd_port, port)).args(flags).current_dir(dir.path());
        let apiserver = Supervised::start("kube-apiserver", dir, &command)?;
        apiserver.wait_ready(READY_WITHIN, || kubectl.ready())?;
        let authority_pem = authority.certificate_pem();
        Ok(Self { apiserver, _etcd: etcd, etcd_port, kubectl, url, authority_pem })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the server's authority, PEM.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// The administrator's kubeconfig (group `system:masters`).
    pub fn kubeconfig(&self) -> &Path {
        &self.kubectl.kubeconfig
    }

    /// The end of the API server's log, for a test that wants to say why a webhook was not asked.
    pub fn log(&self) -> String {
        self.apiserver.log()
    }

    /// Runs `kubectl ARGS` with `stdin` as the administrator. An exit code other than 0 is not an
    /// error: a refusal is what most tests look for.
    pub fn kubectl(&self, args: &[&str], stdin: &str) -> Result<KubectlOutput, HarnessError> {
        self.kubectl.run(None, args, stdin)
    }

    /// The same as another user (`--as`, `--as-group`).
    pub fn kubectl_as(
        &self,
        user: User<'_>,
        args: &[&str],
        stdin: &str,
    ) -> Result<KubectlOutput, HarnessError> {
        self.kubectl.run(Some(user), args, stdin)
    }

    /// `kubectl apply` of a manifest that has to be accepted.
    pub fn apply(&self, manifest: &str) -> Result<String, HarnessError> {
        self.kubectl(&["apply", "-f", "-"], manifest)?.ok()
    }

    /// Makes a namespace with a name of its own, these labels (`key=value`) and a ServiceAccount
    /// `default`, which in a whole cluster the controller manager would make. Returns the name.
    pub fn namespace(&self, prefix: &str, labels: &[&str]) -> Result<String, HarnessError> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&["create", "namespace", &name], "")?.ok()?;
        if !labels.is_empty() {
            self.kubectl(&[&["label", "namespace", &name], labels].concat(), "")?.ok()?;
        }
        self.kubectl(&["create", "serviceaccount", "default", "-n", &name], "")?.ok()?;
        Ok(name)
    }
}

fn is_port_clash(error: &HarnessError) -> bool {
    matches!(error, HarnessError::NotReady { log, .. } if log.contains(PORT_TAKEN))
}

fn start_etcd(assets: &KubeAssets, port: u16, peer_port: u16) -> Result<Supervised, HarnessError> {
    let dir = directory("etcd")?;
    let client = format!("http://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    let mut command = Command::new(assets.program("etcd"));
    command.arg("--data-dir").arg(dir.path().join("data"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    // A test's data need not survive a power cut.
    command.args(["--unsafe-no-fsync", "--log-level", "error"]);
    let etcd = Supervised::start("etcd", dir, &command)?;
    etcd.wait_ready(READY_WITHIN, || {
        crate::get(([127, 0, 0, 1], port).into(), "/health")
            .is_ok_and(|answer| answer.status == 200)
    })?;
    Ok(etcd)
}

/// Everything that is not said here is the default, admission plugins included.
fn apiserver_flags(etcd_port: u16, port: u16) -> Vec<String> {
    let mut flags = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        format!("--secure-port={port}"),
    ];
    let fixed = [
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        // Its endpoint would be a loopback address, which the API refuses and logs for ever.
        "--endpoint-reconciler-type=none",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--client-ca-file=ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=sa.pub",
        "--service-account-signing-key-file=sa.key",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
    ];
    flags.extend(fixed.map(str::to_owned));
    flags
}

fn write_credentials(dir: &Path, authority: &TestAuthority, url: &str) -> Result<(), HarnessError> {
    let server =
        authority.serving(&["127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc"])?;
    let admin = authority.client("admin", Some("system:masters"))?;
    let (token_key, token_public_key) = signing_key()?;
    let files = [
        ("ca.crt", authority.certificate_pem()),
        ("server.crt", server.certificate_pem),
        ("server.key", server.key_pem),
        ("admin.crt", admin.certificate_pem),
        ("admin.key", admin.key_pem),
        ("sa.key", token_key),
        ("sa.pub", token_public_key),
        ("kubeconfig", kubeconfig(url, dir)),
    ];
    for (name, text) in files {
        let path: PathBuf = dir.join(name);
        fs::write(&path, text).map_err(HarnessError::io("write", path))?;
    }
    Ok(())
}

fn directory(name: &str) -> Result<TempDir, HarnessError> {
    tempfile::Builder::new()
        .prefix(&format!("pinfold-{name}-"))
        .tempdir()
        .map_err(HarnessError::io("make a directory in", std::env::temp_dir()))
}

#[cfg(test)]
mod tests {
    use super::{ApiServer, is_port_clash};
    use crate::{KubeAssets, free_ports};
    use std::net::TcpListener;

    #[test]
    fn a_taken_port_is_known_as_such() {
        let assets = KubeAssets::find().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        for server in 0..3 {
            let mut ports = free_ports().unwrap();
            ports[server] = taken.local_addr().unwrap().port();
            let refused = ApiServer::try_start(&assets, ports, &[]).unwrap_err();
            assert!(is_port_clash(&refused), "port {server}: {refused}");
        }
        let refused = ApiServer::try_start(&assets, free_ports().unwrap(), &["--no-such-flag"]);
        assert!(!is_port_clash(&refused.unwrap_err()));
    }
}
