//! An API server of one's own with Pinfold's namespace and identity, for what concerns the registration by its real name.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use pinfold_tests::{ApiServer, KubectlOutput, until};
use serde_json::Value;
use tempfile::TempDir;

use super::leading_to;
use crate::Outcome;
use crate::kubernetes::{install_resources, repository, webhook_kubeconfig};
use crate::replica::{Flags, Replica};
use crate::service::Service;

/// How long what somebody does may take to show; a change of the registration must be found within this.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A volume of nobody's namespace with an organization's Secret: whoever asks Pinfold is told no.
const FORBIDDEN: &str = "{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], \
     claimRef: {namespace: nobodys, name: c}, csi: {driver: d, volumeHandle: h, nodeStageSecretRef: {name: disk-key, namespace: acme}}}}";

pub(crate) struct Home {
    pub(crate) server: ApiServer,
    pub(crate) service: Service,
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Outcome<Self> {
        let server = ApiServer::start()?;
        install_resources(&server)?;
        Self::on(server)
    }

    /// Without the agent resources, as in a cluster that has no control plane of agents.
    pub(crate) fn without_resources() -> Outcome<Self> {
        Self::on(ApiServer::start()?)
    }

    fn on(server: ApiServer) -> Outcome<Self> {
        for file in ["namespace.yaml", "identity.yaml", "own-writes.yaml", "service.yaml"] {
            let path = repository("manifests/base").join(file);
            server.kubectl(&["apply", "-f", &path.to_string_lossy()], "")?.ok()?;
        }
        for (name, labels) in
            [("nobodys", ""), ("acme", "krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'")]
        {
            server.apply(&format!(
                "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}}}}}"
            ))?;
        }
        let home = Self { server, service: Service::new()?, dir: tempfile::tempdir()? };
        home.write_files()?;
        Ok(home)
    }

    fn write_files(&self) -> Outcome {
        let policy = self.path("policy");
        fs::create_dir(&policy)?;
        for file in ["baseline.yaml", "references.yaml"] {
            fs::copy(repository("policies/library").join(file), policy.join(file))?;
        }
        let authority = self.path("apiserver-ca.crt");
        fs::write(&authority, self.server.authority_pem())?;
        let kubeconfig = webhook_kubeconfig(&self.server, self.server.url(), &authority)?;
        fs::write(self.path("kubeconfig"), kubeconfig)?;
        let url = format!("https://{}", self.service.address());
        fs::write(self.path("registration.yaml"), leading_to(&self.server, &url)?)?;
        Ok(())
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// What a webhook of this server is started with, without a word on the registration.
    pub(crate) fn flags_without_registration(&self) -> Flags {
        Flags::default()
            .with("--policy", self.path("policy"))
            .with("--kubeconfig", self.path("kubeconfig"))
            .with_switch("--tls-self-managed")
    }

    /// What a webhook of this server is started with; the registration is that of `manifests/`, led to the Service.
    pub(crate) fn flags(&self, mode: &str) -> Flags {
        self.flags_without_registration()
            .with("--registration", mode)
            .with("--registration-file", self.path("registration.yaml"))
    }

    /// Starts a webhook behind the Service.
    pub(crate) fn open(&self, flags: &Flags) -> Outcome<Replica> {
        let replica = Replica::start(flags)?;
        self.service.route_to(&[replica.listen]);
        Ok(replica)
    }

    /// A configuration named `pinfold` as it is, if it is.
    pub(crate) fn configuration(&self, kind: &str) -> Outcome<Option<Value>> {
        let get = ["get", kind, "pinfold", "--ignore-not-found", "-o", "json"];
        let text = self.server.kubectl(&get, "")?.ok()?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&text)?))
    }

    /// Waits until Pinfold is asked, and denies.
    pub(crate) fn enforces(&self) -> Outcome {
        self.until_tried(FORBIDDEN, |answer| answer.stderr.contains("PF-SEC-001"))
    }

    /// Tries something until the answer is as wanted.
    pub(crate) fn until_tried(
        &self,
        manifest: &str,
        wanted: impl Fn(&KubectlOutput) -> bool,
    ) -> Outcome {
        let mut last = None;
        let found = until(SOON, || {
            let apply = ["apply", "--dry-run=server", "-f", "-"];
            let answer = self.server.kubectl(&apply, manifest).ok()?;
            last = Some(format!("{answer:?}"));
            wanted(&answer).then_some(())
        });
        found.ok_or_else(|| format!("not within {SOON:?}; the last answer: {last:?}").into())
    }
}
