//! Object metadata, raw to ready.

use serde::Deserialize;

use super::AGENT_GROUPS;
use super::wire::{Block, List, Pairs, Text};
use crate::object::meta::{Meta, Owner};

/// `kubectl apply` keeps a copy of the whole object here; a Secret's holds its values, so it is never kept.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawMeta<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow)]
    generate_name: Text<'a>,
    #[serde(borrow)]
    deletion_timestamp: Text<'a>,
    #[serde(borrow)]
    pub(super) labels: Pairs<'a>,
    #[serde(borrow)]
    pub(super) annotations: Pairs<'a>,
    #[serde(borrow)]
    owner_references: List<Block<RawOwner<'a>>>,
    #[serde(borrow)]
    finalizers: List<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawOwner<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    controller: Option<bool>,
}

impl RawMeta<'_> {
    pub(super) fn ready(&self) -> Meta {
        Meta {
            uid: self.uid.owned(),
            generate_name: self.generate_name.owned(),
            labels: self.labels.to_map(|_| true),
            annotations: self.annotations.to_map(|key| key != LAST_APPLIED),
            owners: self.owner_references.each().map(|(_, owner)| owner.ready()).collect(),
            finalizers: self.finalizers().map(str::to_owned).collect(),
            deleting: !self.deletion_timestamp.is_empty(),
        }
    }
}

impl RawMeta<'_> {
    /// The finalizers of the agent control plane.
    fn finalizers(&self) -> impl Iterator<Item = &str> {
        let ours = |text: &&str| {
            let domain = text.split_once('/').map_or(*text, |(domain, _)| domain);
            AGENT_GROUPS.iter().any(|group| {
                domain
                    .strip_suffix(group)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        };
        self.finalizers.0.iter().map(Text::as_str).filter(ours)
    }
}

impl RawOwner<'_> {
    fn ready(&self) -> Owner {
        let group = self.api_version.as_str().split_once('/').map_or("", |(group, _)| group);
        Owner {
            group: group.to_owned(),
            kind: self.kind.owned(),
            name: self.name.owned(),
            uid: self.uid.owned(),
            controller: self.controller == Some(true),
        }
    }
}

/// Any object, as far as its metadata.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Bare<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
}
