//! What the registration should be: that of `manifests/base` of this version, or of a file.
//!
//! Read strictly, once: a field that the API server would drop is an error, because it would look like a change for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::core::{ApiResource, GroupVersionKind};
use pinfold_model::document::{Dialect, DocumentError, read};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::entry;

/// The name of both configurations.
pub(crate) const NAME: &str = "pinfold";
/// The entries that guard Pinfold's own objects; not there to judge what others run.
const OWN_ENTRIES: [&str; 2] = ["own.pinfold.dev", "own-policies.pinfold.dev"];

const VALIDATING: &str = include_str!("../../../../manifests/base/validating.yaml");
const MUTATING: &str = include_str!("../../../../manifests/base/mutating.yaml");

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Configuration {
    Validating,
    Mutating,
}

impl Configuration {
    pub(crate) const ALL: [Self; 2] = [Self::Validating, Self::Mutating];

    /// The value of the metrics' label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::Mutating => "mutating",
        }
    }

    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Validating => "ValidatingWebhookConfiguration",
            Self::Mutating => "MutatingWebhookConfiguration",
        }
    }

    pub(crate) fn resource(self) -> ApiResource {
        let plural = match self {
            Self::Validating => "validatingwebhookconfigurations",
            Self::Mutating => "mutatingwebhookconfigurations",
        };
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", self.kind());
        ApiResource::from_gvk_with_plural(&kind, plural)
    }
}

/// Why a registration can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DesiredError {
    #[error("can't read the registration `{file}`: {source}")]
    File { file: String, source: std::io::Error },
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("registration `{file}`: expected one {kind} named `{NAME}`, found {found}")]
    Count { file: String, kind: &'static str, found: usize },
    #[error(
        "registration `{file}`: expected nothing but the two webhook configurations named `{NAME}`, found {found}"
    )]
    Other { file: String, found: String },
    #[error("registration `{file}`: {kind}: {message}")]
    Shape { file: String, kind: &'static str, message: String },
}

/// One configuration as it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// Labels and annotations that must be there; others are nobody's business.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Every entry with the API server's defaults filled in; `caBundle` only if the file has one.
    pub(crate) entries: Vec<Value>,
}

/// Both configurations as they should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Desired {
    validating: Wanted,
    mutating: Wanted,
}

/// The Service that the API server calls, in place of the manifests'.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service<'s> {
    pub(crate) namespace: &'s str,
    pub(crate) name: &'s str,
}

impl Desired {
    /// What ships with this version.
    ///
    /// # Errors
    /// Never, as the tests say.
    pub(crate) fn built_in() -> Result<Self, DesiredError> {
        Self::of("manifests/base", &format!("{VALIDATING}\n---\n{MUTATING}"))
    }

    /// What ships with this version, for a Service of another name.
    pub(crate) fn calling(mut self, service: Service<'_>) -> Self {
        for wanted in [&mut self.validating, &mut self.mutating] {
            for entry in &mut wanted.entries {
                if let Some(found) = entry.pointer_mut("/clientConfig/service") {
                    found["name"] = json!(service.name);
                    found["namespace"] = json!(service.namespace);
                }
            }
        }
        self
    }

    /// What a file says: both configurations, and nothing else.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub(crate) fn from_file(path: &Path) -> Result<Self, DesiredError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::of(&file, &text),
            Err(source) => Err(DesiredError::File { file, source }),
        }
    }

    fn of(file: &str, text: &str) -> Result<Self, DesiredError> {
        let documents: Vec<Value> =
            read(file, text, Dialect::Manifest)?.iter().map(|node| node.to_json()).collect();
        for document in &documents {
            let kind = document["kind"].as_str().unwrap_or_default();
            let name =
                document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            if name != NAME || !Configuration::ALL.iter().any(|one| one.kind() == kind) {
                let found = format!("`{kind}` `{name}`");
                return Err(DesiredError::Other { file: file.to_owned(), found });
            }
        }
        let validating =
            one::<ValidatingWebhookConfiguration>(file, &documents, Configuration::Validating)?;
        let mutating =
            one::<MutatingWebhookConfiguration>(file, &documents, Configuration::Mutating)?;
        Ok(Self { validating, mutating })
    }

    pub(crate) fn of_configuration(&self, configuration: Configuration) -> &Wanted {
        match configuration {
            Configuration::Validating => &self.validating,
            Configuration::Mutating => &self.mutating,
        }
    }

    pub(crate) fn validating(&self) -> &Wanted {
        &self.validating
    }

    /// The same with one more entry that validates.
    pub(crate) fn with(&self, entry: Option<Value>) -> Self {
        let mut with = self.clone();
        with.validating.entries.extend(entry);
        with
    }

    /// The resources that are sent to be judged when they are made or changed, by group; `*` is all of a group. Not what guards Pinfold itself.
    pub(crate) fn sent(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut sent: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let entries = self.validating.entries.iter();
        let entries = entries.filter(|entry| !OWN_ENTRIES.contains(&entry::name_of(entry)));
        for rule in entries.flat_map(|entry| entry["rules"].as_array().into_iter().flatten()) {
            let made = texts(rule, "operations")
                .any(|operation| matches!(operation, "CREATE" | "UPDATE" | "*"));
            if !made {
                continue;
            }
            let resources = texts(rule, "resources").filter(|name| !name.contains('/'));
            let resources: BTreeSet<String> = resources.map(str::to_owned).collect();
            // Those of subresources alone name none.
            for group in texts(rule, "apiGroups").filter(|_| !resources.is_empty()) {
                sent.entry(group.to_owned()).or_default().extend(resources.clone());
            }
        }
        sent
    }
}

fn texts<'v>(rule: &'v Value, field: &str) -> impl Iterator<Item = &'v str> {
    rule[field].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The one configuration of a kind. Read as the API server's own type, and back: what is lost on the way it doesn't know.
fn one<T: DeserializeOwned + Serialize>(
    file: &str,
    documents: &[Value],
    configuration: Configuration,
) -> Result<Wanted, DesiredError> {
    let kind = configuration.kind();
    let found: Vec<&Value> = documents.iter().filter(|found| found["kind"] == kind).collect();
    let [document] = found.as_slice() else {
        return Err(DesiredError::Count { file: file.to_owned(), kind, found: found.len() });
    };
    let bad = |message: String| DesiredError::Shape { file: file.to_owned(), kind, message };
    let typed: T =
        serde_json::from_value((*document).clone()).map_err(|error| bad(error.to_string()))?;
    let back = serde_json::to_value(&typed).map_err(|error| bad(error.to_string()))?;
    if let Some(path) = entry::first_difference(document, &back) {
        return Err(bad(format!("`{path}` is no field of this kind, or not of this shape")));
    }
    let entries = document["webhooks"].as_array().filter(|entries| !entries.is_empty());
    let entries = entries.ok_or_else(|| bad("expected at least one of `webhooks`".to_owned()))?;
    let text_map = |field: &str| {
        let members = document.pointer(&format!("/metadata/{field}")).and_then(Value::as_object);
        let text =
            |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        members.into_iter().flatten().filter_map(text).collect()
    };
    Ok(Wanted {
        labels: text_map("labels"),
        annotations: text_map("annotations"),
        entries: entries.iter().map(|found| entry::defaulted(found, configuration)).collect(),
    })
}
