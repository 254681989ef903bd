//! The client of the cluster, from a kubeconfig or from the pod's own ServiceAccount.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::config::ViewSource;
use crate::error::StartError;

/// How long a connection to the API server may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The client, if there is a cluster.
///
/// # Errors
/// The file and what is wrong with it. Whether the cluster answers is not tried here.
pub(crate) async fn client(view: &ViewSource) -> Result<Option<Client>, StartError> {
    let (place, config) = match view {
        ViewSource::Files(_) => return Ok(None),
        ViewSource::InCluster => {
            let place = "of the pod's ServiceAccount".to_owned();
            (place, Config::incluster().map_err(|error| error.to_string()))
        }
        ViewSource::Kubeconfig(path) => (format!("`{}`", path.display()), read(path).await),
    };
    let connect = |mut config: Config| {
        config.connect_timeout = Some(CONNECT_MAX);
        Client::try_from(config).map_err(|error| error.to_string())
    };
    config.and_then(connect).map(Some).map_err(|message| StartError::Cluster { place, message })
}

async fn read(path: &Path) -> Result<Config, String> {
    let file = Kubeconfig::read_from(path).map_err(|error| error.to_string())?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(|error| error.to_string())
}
