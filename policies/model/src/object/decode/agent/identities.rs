//! AgentServiceAccount and RunnerPool: whom agents run as, and where.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::wire::{Link, LinkParts, List, Many, Named, Pairs, Text, Written};
use super::links::{Links, repository_name};
use super::{NoStatus, Spec};
use crate::object::agent::{AgentServiceAccount, RequiredObject, RunnerPool};
use crate::object::reference::ReferenceKind;
use crate::object::{Facts, ObjectKey};

/// A ServiceAccount that agents run as.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Account<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// The namespace of the ServiceAccount; the object's own if it is left out.
    #[serde(borrow)]
    namespace: Text<'a>,
    /// The ServiceAccount.
    #[serde(borrow)]
    service_account_name: Text<'a>,
    /// Whose it is.
    #[serde(borrow)]
    owner: Link<'a>,
    /// Repositories whose work may run as it; none means any of the organization.
    #[serde(borrow)]
    allowed_repositories: List<Link<'a>>,
    /// RunnerPools that it may run on; none means any untrusted pool.
    #[serde(borrow)]
    allowed_runner_pools: List<Link<'a>>,
    /// The audience of its tokens; the API server's own if it is left out.
    #[serde(borrow)]
    token_audience: Text<'a>,
    /// The longest life of a token.
    token_expiration_seconds: Option<i64>,
    /// Secrets that its images are pulled with.
    #[serde(borrow)]
    image_pull_secret_refs: List<Written<'a, LinkParts<'a>>>,
    /// Whether its token is mounted without being asked for; it isn't if it is left out.
    automount_service_account_token: Option<bool>,
}

impl<'a> Spec for Account<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, key: &ObjectKey) -> Facts {
        let links = Links::default().one("", "$.spec.owner", &self.owner).all(
            "RunnerPool",
            "$.spec.allowedRunnerPools",
            &self.allowed_runner_pools,
        );
        let namespace = self.namespace.some().unwrap_or_else(|| key.namespace.clone());
        let image_pulls = self.image_pulls(&namespace);
        let beside = image_pulls.iter().filter(|secret| secret.namespace == namespace);
        let repositories = self.allowed_repositories.0.iter().map(repository_name);
        Facts::AgentServiceAccount(Box::new(AgentServiceAccount {
            ties: links.ties(&self.organization_ref),
            image_pull_secrets: beside.map(|secret| secret.name.clone()).collect(),
            image_pulls,
            namespace,
            service_account: self.service_account_name.owned(),
            repositories: repositories.collect(),
            runner_pools: self.allowed_runner_pools.placed(&key.namespace),
            token_audience: self.token_audience.owned(),
            token_expiration_seconds: self.token_expiration_seconds,
            automount: self.automount_service_account_token == Some(true),
        }))
    }
}

impl Account<'_> {
    /// The Secrets that its images are pulled with, each with its namespace. Their names are never split.
    fn image_pulls(&self, namespace: &str) -> Vec<RequiredObject> {
        let refs = self.image_pull_secret_refs.0.iter().enumerate();
        let pulls = refs.map(|(index, secret)| {
            let (place, name) = match secret {
                Written::Text(name) => (None, name.owned()),
                Written::Parts(parts) => (parts.namespace.some(), parts.name.owned()),
            };
            RequiredObject {
                kind: ReferenceKind::Secret,
                namespace: place.unwrap_or_else(|| namespace.to_owned()),
                name,
                keys: Vec::new(),
                purpose: String::new(),
                path: format!("$.spec.imagePullSecretRefs[{index}]"),
            }
        });
        pulls.filter(|secret| !secret.name.is_empty()).collect()
    }
}

/// Where work runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Pool<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// `trusted` or `untrusted`; anything but `untrusted` is guarded as trusted.
    #[serde(borrow)]
    trust_tier: Text<'a>,
    /// The ServiceAccount that its work runs as.
    #[serde(borrow)]
    service_account_ref: Link<'a>,
    /// Labels of its nodes.
    #[serde(borrow)]
    node_selector: Pairs<'a>,
    /// PersistentVolumeClaims that its work shares: names, or objects with `claimName`; one or a list.
    #[serde(borrow)]
    cache: Many<Written<'a, Cache<'a>>>,
    /// Filesystem policies that it takes; none means any that its tier allows.
    #[serde(borrow)]
    allowed_filesystem_policies: List<Text<'a>>,
}

/// A claim that is shared.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Cache<'a> {
    #[serde(borrow)]
    claim_name: Text<'a>,
    #[serde(borrow)]
    persistent_volume_claim: Named<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

impl Cache<'_> {
    fn claim(&self) -> String {
        let claim = self.claim_name.some().or_else(|| self.persistent_volume_claim.0.some());
        claim.unwrap_or_else(|| self.name.owned())
    }
}

impl<'a> Spec for Pool<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, key: &ObjectKey) -> Facts {
        let account = "$.spec.serviceAccountRef";
        let links = Links::default().one("AgentServiceAccount", account, &self.service_account_ref);
        let claim = |cache: &Written<'_, Cache<'_>>| match cache {
            Written::Text(name) => name.owned(),
            Written::Parts(parts) => parts.claim(),
        };
        let caches = self.cache.0.iter().map(claim).filter(|name| !name.is_empty());
        Facts::RunnerPool(Box::new(RunnerPool {
            ties: links.ties(&self.organization_ref),
            trusted: self.trust_tier.as_str() != "untrusted",
            service_account: self.service_account_ref.placed(&key.namespace),
            node_selector: self.node_selector.owned(),
            caches: caches.collect(),
            filesystem_policies: self.allowed_filesystem_policies.owned(),
        }))
    }
}
