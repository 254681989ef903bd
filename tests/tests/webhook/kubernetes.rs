//! What all stages share on the API server: the agent resources and the webhook's identity, as `manifests/` has them.

mod openapi;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pinfold_tests::ApiServer;

use crate::Outcome;

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The server of this process, with the resources and the identity.
pub(crate) fn server() -> Outcome<&'static ApiServer> {
    static PREPARED: OnceLock<Result<(), String>> = OnceLock::new();
    let server = ApiServer::shared()?;
    PREPARED.get_or_init(|| prepare(server).map_err(|error| error.to_string())).clone()?;
    Ok(server)
}

fn prepare(server: &ApiServer) -> Outcome {
    install_resources(server)?;
    for file in ["namespace.yaml", "identity.yaml"] {
        let path = repository("manifests/base").join(file);
        server.kubectl(&["apply", "-f", &path.to_string_lossy()], "")?.ok()?;
    }
    Ok(())
}

/// The CRDs, until the server serves them.
pub(crate) fn install_resources(server: &ApiServer) -> Outcome {
    let crds = repository("manifests/crds");
    server.kubectl(&["apply", "-k", &crds.to_string_lossy()], "")?.ok()?;
    server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"], "")?.ok()?;
    Ok(())
}

/// A kubeconfig with the rights of the webhook's own ServiceAccount and no more. `server` may be reached by another address and authority.
pub(crate) fn webhook_kubeconfig(
    server: &ApiServer,
    url: &str,
    authority: &Path,
) -> Outcome<String> {
    let create = ["create", "token", "pinfold-webhook", "-n", "pinfold-system", "--duration=2h"];
    let token = server.kubectl(&create, "")?.ok()?;
    Ok(format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: t, cluster: {{server: {url:?}, certificate-authority: {authority:?}}}}}]
users: [{{name: t, user: {{token: {:?}}}}}]
contexts: [{{name: t, context: {{cluster: t, user: t}}}}]
current-context: t
",
        token.trim()
    ))
}
