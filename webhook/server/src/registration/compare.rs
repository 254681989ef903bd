//! Where a configuration differs from what it should be, by kind of change and by path.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::DynamicObject;
use serde_json::Value;

use super::desired::{Configuration, Wanted};
use super::entry::{bundle_of, defaulted, first_difference, name_of};

/// A kind of change; its text is a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Deleted,
    Emptied,
    EntryMissing,
    EntryAdded,
    Rules,
    FailurePolicy,
    MatchConditions,
    NamespaceSelector,
    ObjectSelector,
    Client,
    CaBundle,
    Labels,
    Other,
}

impl Change {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Emptied => "emptied",
            Self::EntryMissing => "entry-missing",
            Self::EntryAdded => "entry-added",
            Self::Rules => "rules",
            Self::FailurePolicy => "failure-policy",
            Self::MatchConditions => "match-conditions",
            Self::NamespaceSelector => "namespace-selector",
            Self::ObjectSelector => "object-selector",
            Self::Client => "client",
            Self::CaBundle => "ca-bundle",
            Self::Labels => "labels",
            Self::Other => "other",
        }
    }

    fn of_field(field: &str) -> Self {
        match field {
            "rules" => Self::Rules,
            "failurePolicy" => Self::FailurePolicy,
            "matchConditions" => Self::MatchConditions,
            "namespaceSelector" => Self::NamespaceSelector,
            "objectSelector" => Self::ObjectSelector,
            "clientConfig" => Self::Client,
            _ => Self::Other,
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) change: Change,
    /// The first differing place beneath the field.
    pub(crate) path: String,
}

impl Difference {
    fn new(change: Change, path: impl Into<String>) -> Self {
        Self { change, path: path.into() }
    }
}

/// The `caBundle` of each entry, by its name.
pub(crate) type Bundles = BTreeMap<String, String>;

/// What a configuration is held against.
#[derive(Debug)]
pub(crate) struct Standard<'w> {
    pub(crate) configuration: Configuration,
    pub(crate) wanted: &'w Wanted,
    /// The bundles that it must have; of other entries they are somebody else's business.
    pub(crate) bundles: &'w Bundles,
}

impl Standard<'_> {
    /// Everything that differs; nothing if the configuration is as it should be.
    pub(crate) fn differences(&self, found: Option<&DynamicObject>) -> Vec<Difference> {
        let Some(found) = found else {
            return vec![Difference::new(Change::Deleted, "$")];
        };
        let mut all = self.of_metadata(found);
        let entries = entries(found);
        if entries.is_empty() {
            all.push(Difference::new(Change::Emptied, "webhooks"));
            return all;
        }
        for wanted in &self.wanted.entries {
            let name = name_of(wanted);
            match entries.iter().find(|entry| name_of(entry) == name) {
                Some(entry) => self.of_entry(wanted, entry, &mut all),
                None => {
                    all.push(Difference::new(Change::EntryMissing, format!("webhooks[{name}]")));
                }
            }
        }
        let wanted: BTreeSet<&str> = self.wanted.entries.iter().map(name_of).collect();
        let added = entries.iter().map(name_of).filter(|name| !wanted.contains(name));
        all.extend(
            added.map(|name| Difference::new(Change::EntryAdded, format!("webhooks[{name}]"))),
        );
        all
    }

    fn of_metadata(&self, found: &DynamicObject) -> Vec<Difference> {
        let none = BTreeMap::new();
        let Wanted { labels, annotations, .. } = self.wanted;
        let metadata = &found.metadata;
        let maps = [
            ("labels", labels, metadata.labels.as_ref()),
            ("annotations", annotations, metadata.annotations.as_ref()),
        ];
        let mut all = Vec::new();
        for (field, wanted, found) in maps {
            let found = found.unwrap_or(&none);
            let lost = wanted.iter().filter(|(key, value)| found.get(*key) != Some(*value));
            all.extend(lost.map(|(key, _)| {
                Difference::new(Change::Labels, format!("metadata.{field}[{key}]"))
            }));
        }
        all
    }

    fn of_entry(&self, wanted: &Value, found: &Value, all: &mut Vec<Difference>) {
        let name = name_of(wanted);
        let bundle = self.bundles.get(name);
        if bundle.is_some_and(|bundle| bundle_of(found) != Some(bundle.as_str())) {
            let path = format!("webhooks[{name}].clientConfig.caBundle");
            all.push(Difference::new(Change::CaBundle, path));
        }
        let (wanted, found) = (bare(wanted, self.configuration), bare(found, self.configuration));
        let (Some(wanted), Some(found)) = (wanted.as_object(), found.as_object()) else { return };
        let fields: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
        for field in fields {
            let null = Value::Null;
            let sides = (wanted.get(field).unwrap_or(&null), found.get(field).unwrap_or(&null));
            if let Some(place) = first_difference(sides.0, sides.1) {
                let path = format!("webhooks[{name}].{field}{place}");
                all.push(Difference::new(Change::of_field(field), path));
            }
        }
    }
}

/// The entries of a configuration.
pub(crate) fn entries(found: &DynamicObject) -> &[Value] {
    found.data.get("webhooks").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The `caBundle` of each entry that has one.
pub(crate) fn bundles_of(entries: &[Value]) -> Bundles {
    let named = entries
        .iter()
        .filter_map(|entry| Some((name_of(entry).to_owned(), bundle_of(entry)?.to_owned())));
    named.collect()
}

/// An entry without its `caBundle`.
fn bare(entry: &Value, configuration: Configuration) -> Value {
    let mut entry = defaulted(entry, configuration);
    if let Some(client) = entry.get_mut("clientConfig").and_then(Value::as_object_mut) {
        client.remove("caBundle");
    }
    entry
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
