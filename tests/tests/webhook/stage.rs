//! One test's part of the cluster: two organizations, people, a policy, a webhook, its registration.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pinfold_tests::{ApiServer, KubectlOutput, TestAuthority, User, until};
use tempfile::TempDir;

use crate::Outcome;
use crate::kubernetes::{self, repository, webhook_kubeconfig};
use crate::registration::{self, Target};
use crate::replica::{Flags, Replica};
use crate::service::Service;

/// Leads acme's agents: no right to read Secrets, none in `globex`.
pub(crate) const ALICE: User<'_> = User { name: "alice", groups: &["acme:devs"] };
/// May `bind` `STAGE-viewer` without holding it.
pub(crate) const CAROL: User<'_> = User { name: "carol", groups: &["acme:devs"] };
/// Bound to cluster-admin, but no member of `system:masters`.
pub(crate) const ROOT: User<'_> = User { name: "root", groups: &["acme:admins"] };

/// How long what somebody does may take to show.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// An honest agent pod, for probes.
pub(crate) const HONEST_POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: honest, namespace: STAGE-acme}
spec: {containers: [{name: c, image: \"registry.example/a:1\"}]}
";

/// A stage. Its webhooks are separate, so that they can be stopped.
pub(crate) struct Stage {
    pub(crate) server: &'static ApiServer,
    pub(crate) name: &'static str,
    pub(crate) service: Service,
    pub(crate) authority: TestAuthority,
    dir: TempDir,
}

impl Stage {
    /// Everything but a webhook. The name must be no other stage's.
    pub(crate) fn prepare(name: &'static str) -> Outcome<Self> {
        let server = kubernetes::server()?;
        server.apply(&include_str!("stage.yaml").replace("STAGE", name))?;
        let authority = TestAuthority::new(name)?;
        let dir = tempfile::tempdir()?;
        let stage = Self { server, name, service: Service::new()?, authority, dir };
        stage.write_files()?;
        Ok(stage)
    }

    /// A stage with a webhook that the API server asks.
    pub(crate) fn open(name: &'static str) -> Outcome<(Self, Replica)> {
        let stage = Self::prepare(name)?;
        let replica = stage.open_with(&stage.flags())?;
        Ok((stage, replica))
    }

    /// Starts a webhook, makes it the only endpoint, registers it.
    pub(crate) fn open_with(&self, flags: &Flags) -> Outcome<Replica> {
        let replica = Replica::start(flags)?;
        self.service.route_to(&[replica.listen]);
        self.register(&replica)?;
        Ok(replica)
    }

    fn write_files(&self) -> Outcome {
        let policy = self.path("policy");
        fs::create_dir(&policy)?;
        for file in ["baseline.yaml", "references.yaml"] {
            fs::copy(repository("policies/library").join(file), policy.join(file))?;
        }
        fs::write(policy.join("site.yaml"), self.named(include_str!("site.yaml")))?;
        let serving = self.authority.serving(&["127.0.0.1"])?;
        fs::write(self.path("tls.crt"), serving.certificate_pem)?;
        fs::write(self.path("tls.key"), serving.key_pem)?;
        fs::write(self.path("apiserver-ca.crt"), self.server.authority_pem())?;
        let kubeconfig =
            webhook_kubeconfig(self.server, self.server.url(), &self.path("apiserver-ca.crt"))?;
        fs::write(self.path("kubeconfig"), kubeconfig)?;
        Ok(())
    }

    /// A file of the stage.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// A text of the stage: `STAGE` is its name.
    pub(crate) fn named(&self, text: &str) -> String {
        text.replace("STAGE", self.name)
    }

    /// What a webhook of this stage is started with, but for the audit directory and the cluster.
    pub(crate) fn flags_without_cluster(&self) -> Flags {
        Flags::default()
            .with("--policy", self.path("policy"))
            .with("--tls-cert", self.path("tls.crt"))
            .with("--tls-key", self.path("tls.key"))
    }

    /// What a webhook of this stage is started with.
    pub(crate) fn flags(&self) -> Flags {
        self.flags_without_cluster()
            .with("--kubeconfig", self.path("kubeconfig"))
            .with("--audit", self.audit())
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.path("audit")
    }

    /// Registers the service and waits until the API server asks `replica` on both paths.
    fn register(&self, replica: &Replica) -> Outcome {
        let url = format!("https://{}", self.service.address());
        let authority_pem = self.authority.certificate_pem();
        let target = Target { stage: self.name, url: &url, authority_pem: &authority_pem };
        registration::register(self.server, &target)?;
        let asked = until(SOON, || {
            self.try_as(ALICE, HONEST_POD).ok()?;
            let calls = |path| replica.calls(path).unwrap_or(0.0);
            (calls("validate") > 0.0 && calls("mutate") > 0.0).then_some(())
        });
        asked.ok_or_else(|| format!("the webhook is not asked:\n{}", replica.process.log()).into())
    }

    /// `kubectl apply` by somebody.
    pub(crate) fn apply_as(&self, user: User<'_>, manifest: &str) -> Outcome<KubectlOutput> {
        Ok(self.server.kubectl_as(user, &["apply", "-f", "-"], &self.named(manifest))?)
    }

    /// The same without storing anything: `--dry-run=server`, which is admitted or not like any other request.
    pub(crate) fn try_as(&self, user: User<'_>, manifest: &str) -> Outcome<KubectlOutput> {
        let apply = ["apply", "--dry-run=server", "-f", "-"];
        Ok(self.server.kubectl_as(user, &apply, &self.named(manifest))?)
    }

    /// Tries `manifest` as `user` until `wanted` says that the answer is it; the last answer if it never is.
    pub(crate) fn until_tried(
        &self,
        user: User<'_>,
        manifest: &str,
        wanted: impl Fn(&KubectlOutput) -> bool,
    ) -> Outcome<KubectlOutput> {
        let mut last = None;
        let answer = until(SOON, || {
            let answer = self.try_as(user, manifest).ok()?;
            last = Some(format!("{answer:?}"));
            wanted(&answer).then_some(answer)
        });
        answer.ok_or_else(|| format!("not within {SOON:?}; the last answer: {last:?}").into())
    }

    /// `kubectl get` by the administrator, one field by JSONPath.
    pub(crate) fn field(&self, object: &[&str], path: &str) -> Outcome<String> {
        let output = format!("jsonpath={{{path}}}");
        let arguments = [&["get"], object, &["-o", &output]].concat();
        Ok(self.server.kubectl(&arguments, "")?.ok()?)
    }
}

/// Replaces a file as editors and controllers do: written beside it, then renamed.
pub(crate) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(beside, path)
}
