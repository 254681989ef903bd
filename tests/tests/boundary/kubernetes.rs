//! The repository's files, and the webhook's identity on a server.

use std::path::{Path, PathBuf};

use pinfold_tests::ApiServer;
use serde_json::json;

use crate::Outcome;

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A kubeconfig with the rights of the webhook's own ServiceAccount and no more.
pub(crate) fn webhook_kubeconfig(server: &ApiServer, authority: &Path) -> Outcome<String> {
    let create = ["create", "token", "pinfold-webhook", "-n", "pinfold-system", "--duration=2h"];
    let token = server.kubectl(&create, "")?.ok()?;
    let cluster = json!({"server": server.url(), "certificate-authority": authority});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "t",
        "clusters": [{"name": "t", "cluster": cluster}],
        "users": [{"name": "t", "user": {"token": token.trim()}}],
        "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
    });
    Ok(config.to_string())
}
