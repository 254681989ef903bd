//! Well-known custom kinds that name Secrets: Gateway, Certificate, ExternalSecret, SecretProviderClass, SealedSecret. Only the fields
//! that lead to another namespace or write a Secret; what else these kinds name is for the `references` of a policy.

use serde::Deserialize;

use super::meta::RawMeta;
use super::storage::KindRef;
use super::volume::Finder;
use super::wire::{Block, List, Text};
use crate::object::Facts;
use crate::object::reference::ReferenceKind;
use crate::object::storage::Referrer;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawCustom<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawSpec<'a>>,
}

/// The fields of these kinds together.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec<'a> {
    /// Gateway.
    #[serde(borrow)]
    listeners: List<Block<RawListener<'a>>>,
    /// Gateway.
    #[serde(borrow, rename = "backendTLS")]
    backend_tls: Block<RawBackendTls<'a>>,
    /// Certificate.
    #[serde(borrow)]
    secret_name: Text<'a>,
    /// ExternalSecret.
    #[serde(borrow)]
    target: Block<RawTarget<'a>>,
    /// SecretProviderClass.
    #[serde(borrow)]
    secret_objects: List<Block<RawSecretObject<'a>>>,
    /// SealedSecret.
    #[serde(borrow)]
    template: Block<RawSealedTemplate<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawListener<'a> {
    #[serde(borrow)]
    tls: Block<RawTls<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawTls<'a> {
    #[serde(borrow)]
    certificate_refs: List<Block<KindRef<'a>>>,
    #[serde(borrow)]
    frontend_validation: Block<RawValidation<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawValidation<'a> {
    #[serde(borrow)]
    ca_certificate_refs: List<Block<KindRef<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawBackendTls<'a> {
    #[serde(borrow)]
    client_certificate_ref: Block<KindRef<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawTarget<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSecretObject<'a> {
    #[serde(borrow)]
    secret_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawSealedTemplate<'a> {
    #[serde(borrow)]
    metadata: Block<RawMeta<'a>>,
}

impl RawCustom<'_> {
    /// What an object of this kind names.
    pub(super) fn ready(&self, kind: &str) -> Facts {
        let mut finder = Finder::default();
        if let Some(spec) = self.spec.get() {
            match kind {
                "Gateway" => spec.visit_gateway(&mut finder),
                "Certificate" => {
                    let path = "$.spec.secretName".to_owned();
                    finder.local(ReferenceKind::Secret, &spec.secret_name, path);
                }
                "ExternalSecret" => spec.visit_external_secret(&mut finder),
                "SecretProviderClass" => spec.visit_provider_class(&mut finder),
                "SealedSecret" => spec.visit_sealed(&mut finder),
                _ => {}
            }
        }
        let references = finder.references;
        Facts::Referrer(Box::new(Referrer { references, ..Referrer::default() }))
    }
}

/// Gateway API: an empty group is the core group, an empty kind `Secret`.
fn visit_certificate(reference: &KindRef<'_>, finder: &mut Finder, path: &str) {
    let kind = match reference.kind.as_str() {
        "" | "Secret" => ReferenceKind::Secret,
        "ConfigMap" => ReferenceKind::ConfigMap,
        _ => return,
    };
    if reference.group.is_empty() || reference.group.as_str() == "core" {
        let (namespace, name) = (reference.namespace.as_str(), reference.name.as_str());
        finder.add(kind, namespace, name, format!("{path}.name"));
    }
}

impl RawSpec<'_> {
    fn visit_gateway(&self, finder: &mut Finder) {
        for (index, listener) in self.listeners.each() {
            let Some(tls) = listener.tls.get() else { continue };
            let path = format!("$.spec.listeners[{index}].tls");
            for (index, reference) in tls.certificate_refs.each() {
                visit_certificate(reference, finder, &format!("{path}.certificateRefs[{index}]"));
            }
            let validation = tls.frontend_validation.get();
            for (index, reference) in
                validation.into_iter().flat_map(|validation| validation.ca_certificate_refs.each())
            {
                let path = format!("{path}.frontendValidation.caCertificateRefs[{index}]");
                visit_certificate(reference, finder, &path);
            }
        }
        let backend = self.backend_tls.get();
        if let Some(reference) = backend.and_then(|tls| tls.client_certificate_ref.get()) {
            visit_certificate(reference, finder, "$.spec.backendTLS.clientCertificateRef");
        }
    }

    fn visit_external_secret(&self, finder: &mut Finder) {
        if let Some(target) = self.target.get().filter(|target| !target.name.is_empty()) {
            finder.local(ReferenceKind::Secret, &target.name, "$.spec.target.name".to_owned());
        }
    }

    fn visit_provider_class(&self, finder: &mut Finder) {
        for (index, object) in self.secret_objects.each() {
            let path = format!("$.spec.secretObjects[{index}].secretName");
            finder.local(ReferenceKind::Secret, &object.secret_name, path);
        }
    }

    fn visit_sealed(&self, finder: &mut Finder) {
        let metadata = self.template.get().and_then(|template| template.metadata.get());
        if let Some(metadata) = metadata {
            let path = "$.spec.template.metadata.name".to_owned();
            let (namespace, name) = (metadata.namespace.as_str(), metadata.name.as_str());
            finder.add(ReferenceKind::Secret, namespace, name, path);
        }
    }
}
