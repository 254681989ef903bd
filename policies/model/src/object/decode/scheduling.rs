//! Node, RuntimeClass and Scale, raw to ready.

use serde::Deserialize;

use super::meta::RawMeta;
use super::pod::{RawToleration, ready_toleration};
use super::wire::{Block, List, Pairs};
use crate::object::Facts;
use crate::object::pod::Toleration;
use crate::object::scheduling::Scheduling;

fn ready(scheduling: Scheduling) -> Facts {
    Facts::Scheduling(Box::new(scheduling))
}

/// A Node. A taint has the fields of the toleration that would tolerate it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawNode<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawNodeSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawNodeSpec<'a> {
    #[serde(borrow)]
    taints: List<Block<RawToleration<'a>>>,
}

impl RawNode<'_> {
    pub(super) fn ready(&self) -> Facts {
        let taints = self.spec.get().map(|spec| spec.taints.0.as_slice()).unwrap_or_default();
        let taint = |taint| Toleration { operator: "Equal".to_owned(), ..ready_toleration(taint) };
        ready(Scheduling::Node { taints: taints.iter().map(taint).collect() })
    }
}

/// A RuntimeClass.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRuntimeClass<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    scheduling: Block<RawScheduling<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawScheduling<'a> {
    #[serde(borrow)]
    node_selector: Pairs<'a>,
    #[serde(borrow)]
    tolerations: List<Block<RawToleration<'a>>>,
}

impl RawRuntimeClass<'_> {
    pub(super) fn ready(&self) -> Facts {
        let none = RawScheduling::default();
        let scheduling = self.scheduling.get().unwrap_or(&none);
        ready(Scheduling::RuntimeClass {
            node_selector: scheduling.node_selector.owned(),
            tolerations: scheduling.tolerations.0.iter().map(ready_toleration).collect(),
        })
    }
}

/// A Scale.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawScale<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    spec: Block<RawScaleSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawScaleSpec {
    replicas: Option<i64>,
}

impl RawScale<'_> {
    pub(super) fn ready(&self) -> Facts {
        let replicas = self.spec.get().and_then(|spec| spec.replicas).unwrap_or_default();
        ready(Scheduling::Scale { replicas })
    }
}
