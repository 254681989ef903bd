//! Pinfold's own webhook configurations in a cluster, held against what ships with this version. The API server calls no webhook for them, so
//! only somebody who looks can tell.

use kube::Error;
use kube::api::Api;
use kube::core::DynamicObject;

use super::{Cluster, ClusterError, ListedKind, Unread, explained};
use crate::informers::{Depth, Source};
use crate::registration::{Bundles, Configuration, Desired, NAME, POLICY_ENTRY, Standard};

const NOT_FOUND: u16 = 404;

/// One of the two webhook configurations named `pinfold`.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Its kind.
    pub kind: ListedKind,
    /// Its name.
    pub name: &'static str,
    /// Whether it is there.
    pub exists: bool,
    /// What differs from what ships: the kind of change, and where. `caBundle` is the webhook's own and not compared.
    pub differences: Vec<(&'static str, String)>,
}

impl Cluster {
    /// Reads both configurations, and compares.
    ///
    /// # Errors
    /// [`ClusterError::Registration`], always a bug; inside, the configuration that can't be read.
    pub async fn registration(&self) -> Result<Vec<Result<Registered, Unread>>, ClusterError> {
        let desired =
            Desired::built_in().map_err(|error| ClusterError::Registration(error.to_string()))?;
        let mut all = Vec::new();
        for configuration in Configuration::ALL {
            let resource = configuration.resource();
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
            let kind = ListedKind::of(&Source { resource, depth: Depth::Whole, namespaced: false });
            let found = match api.get(NAME).await {
                Ok(found) => Some(found),
                Err(Error::Api(status)) if status.code == NOT_FOUND => None,
                Err(error) => {
                    all.push(Err(Unread { kind, reason: explained(&error) }));
                    continue;
                }
            };
            let wanted = desired.of_configuration(configuration);
            let standard = Standard { configuration, wanted, bundles: &Bundles::new() };
            // What the policy of the cluster names, which only the webhook there knows.
            let own = format!("webhooks[{POLICY_ENTRY}]");
            let differences = standard.differences(found.as_ref()).into_iter();
            let differences = differences.filter(|one| one.path != own);
            let differences = differences.map(|one| (one.change.as_str(), one.path)).collect();
            all.push(Ok(Registered { kind, name: NAME, exists: found.is_some(), differences }));
        }
        Ok(all)
    }
}
