//! Services and their endpoints: those of their ports that lead to a sidecar. All others are nobody's concern here, and aren't kept.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::meta::RawMeta;
use super::wire::{Block, List};
use crate::object::Facts;
use crate::object::storage::{Referrer, SidecarPort};
use crate::policy::inject::{ADMIN_PORT, ADMIN_PORT_NAME, PORTS, RESERVED_PREFIX};

/// A port by number or by the name that a container gives it; `None` where it is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Target(Option<Result<i64, String>>);

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetVisitor).map(Self)
    }
}

struct TargetVisitor;

impl Visitor<'_> for TargetVisitor {
    type Value = Option<Result<i64, String>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number or a name")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Ok(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Ok(i64::try_from(number).unwrap_or(i64::MAX))))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Some(Err(name.to_owned())))
    }
}

impl Target {
    /// As left out: the API server takes 0 and an empty name for that.
    fn is_silent(&self) -> bool {
        match &self.0 {
            None => true,
            Some(Ok(number)) => *number == 0,
            Some(Err(name)) => name.is_empty(),
        }
    }

    /// The sidecar's port that this is, if it is one.
    fn sidecar(&self, path: String) -> Option<SidecarPort> {
        match self.0.as_ref()? {
            Ok(number) => {
                let port = PORTS.into_iter().find(|own| i64::from(*own) == *number)?;
                Some(SidecarPort { path, port: port.to_string(), metrics: port == ADMIN_PORT })
            }
            Err(name) => name.starts_with(RESERVED_PREFIX).then(|| SidecarPort {
                path,
                port: name.clone(),
                metrics: name == ADMIN_PORT_NAME,
            }),
        }
    }
}

/// `spec` of a Service.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawServiceSpec {
    ports: List<Block<RawPort>>,
}

/// A port of any of the three kinds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawPort {
    port: Target,
    target_port: Target,
}

impl RawServiceSpec {
    pub(super) fn sidecar_ports(&self) -> Vec<SidecarPort> {
        let each = self.ports.each().filter_map(|(index, port)| {
            let (field, target) = if port.target_port.is_silent() {
                ("port", &port.port)
            } else {
                ("targetPort", &port.target_port)
            };
            target.sidecar(format!("$.spec.ports[{index}].{field}"))
        });
        each.collect()
    }
}

/// The ports of endpoints at `path`.
fn endpoints<'p>(
    ports: &'p List<Block<RawPort>>,
    path: &'p str,
) -> impl Iterator<Item = SidecarPort> + 'p {
    let each = ports.each();
    each.filter_map(move |(index, port)| port.port.sidecar(format!("{path}.ports[{index}].port")))
}

fn facts(sidecar_ports: Vec<SidecarPort>) -> Facts {
    if sidecar_ports.is_empty() {
        return Facts::MetaOnly;
    }
    Facts::Referrer(Box::new(Referrer { sidecar_ports, ..Referrer::default() }))
}

/// EndpointSlice.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawEndpointSlice<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    ports: List<Block<RawPort>>,
}

impl RawEndpointSlice<'_> {
    pub(super) fn ready(&self) -> Facts {
        facts(endpoints(&self.ports, "$").collect())
    }
}

/// Endpoints.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawEndpoints<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    subsets: List<Block<RawSubset>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawSubset {
    ports: List<Block<RawPort>>,
}

impl RawEndpoints<'_> {
    pub(super) fn ready(&self) -> Facts {
        let mut found = Vec::new();
        for (index, subset) in self.subsets.each() {
            found.extend(endpoints(&subset.ports, &format!("$.subsets[{index}]")));
        }
        facts(found)
    }
}
