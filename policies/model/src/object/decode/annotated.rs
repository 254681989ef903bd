//! Kinds whose annotations name Secrets or ConfigMaps for somebody's controller: Ingress and Service, and what replicators copy. Values of Secrets
//! and ConfigMaps are not looked at.
//!
//! Sources: the annotation pages of ingress-nginx, haproxytech/kubernetes-ingress, jcmoraisjr/haproxy-ingress and Contour; the READMEs of
//! mittwald/kubernetes-replicator and emberstack/kubernetes-reflector.

use serde::Deserialize;

use super::meta::RawMeta;
use super::network::RawServiceSpec;
use super::storage::{ANNOTATIONS, referrer};
use super::volume::Finder;
use super::wire::{Block, List, Pairs, Text};
use crate::object::Facts;
use crate::object::reference::{ANY_NAMESPACE, ReferenceKind, is_namespace, member_path};
use crate::object::storage::Referrer;

/// Annotations that tell a replicator which object to copy from: `namespace/name`.
const COPIED_FROM: [&str; 2] =
    ["replicator.v1.mittwald.de/replicate-from", "reflector.v1.k8s.emberstack.com/reflects"];

/// Namespaces that the replicator writes copies into: names and regular expressions with commas between them.
const COPIED_TO: &str = "replicator.v1.mittwald.de/replicate-to";
/// The same by a selector of namespaces.
const COPIED_TO_MATCHING: &str = "replicator.v1.mittwald.de/replicate-to-matching";
/// Switches the reflector's copies on.
const REFLECTED: &str = "reflector.v1.k8s.emberstack.com/reflection-auto-enabled";
/// Where it writes them: a list as above, and a selector; everywhere without either.
const REFLECTED_TO: [&str; 2] = [
    "reflector.v1.k8s.emberstack.com/reflection-auto-namespaces",
    "reflector.v1.k8s.emberstack.com/reflection-auto-namespaces-selector",
];
/// What narrows that; everywhere without either.
const REFLECTION_ALLOWED: [&str; 2] = [
    "reflector.v1.k8s.emberstack.com/reflection-allowed-namespaces",
    "reflector.v1.k8s.emberstack.com/reflection-allowed-namespaces-selector",
];

/// Prefixes and names of annotations by which ingress controllers read a Secret, `namespace/name` or `name`.
pub(super) const INGRESS_SECRETS: [(&str, &[&str]); 7] = [
    ("nginx.ingress.kubernetes.io", &["auth-secret", "auth-tls-secret", "proxy-ssl-secret"]),
    // haproxytech/kubernetes-ingress; the third prefix is shared with haproxy-ingress and Traefik 1.
    ("haproxy.org", &HAPROXY),
    ("haproxy.com", &HAPROXY),
    ("ingress.kubernetes.io", &HAPROXY),
    ("ingress.kubernetes.io", &HAPROXY_INGRESS),
    ("haproxy-ingress.github.io", &HAPROXY_INGRESS),
    ("haproxy-ingress.github.io", &["auth-secret"]),
];
const HAPROXY: [&str; 3] = ["auth-secret", "server-ca", "server-crt"];
const HAPROXY_INGRESS: [&str; 3] =
    ["auth-tls-secret", "secure-crt-secret", "secure-verify-ca-secret"];

/// The same for ConfigMaps.
pub(super) const INGRESS_CONFIG_MAPS: [(&str, &[&str]); 1] = [(
    "nginx.ingress.kubernetes.io",
    &["auth-proxy-set-headers", "custom-headers", "fastcgi-params-configmap"],
)];

/// Contour looks for all TLS Secrets of an Ingress there.
const CONTOUR_NAMESPACE: &str = "projectcontour.io/tls-cert-namespace";

/// A file of haproxy-ingress' own, instead of a Secret.
const FILE: &str = "file://";

/// `namespace/name`, or `name`.
fn split(value: &str) -> (&str, &str) {
    let (namespace, name) = value.split_once('/').unwrap_or(("", value));
    (namespace.trim(), name.trim())
}

fn visit(annotations: &Pairs<'_>, key: &str, kind: ReferenceKind, finder: &mut Finder) {
    let Some(value) = annotations.get(key).filter(|value| !value.starts_with(FILE)) else { return };
    let (namespace, name) = split(value);
    finder.add(kind, namespace, name, member_path(ANNOTATIONS, key));
}

fn visit_ingress(annotations: &Pairs<'_>, finder: &mut Finder) {
    // Most objects have none of these prefixes, and comparing each annotation with each name would cost them.
    if !annotations.0.iter().any(|(key, _)| is_ingress(key.as_str())) {
        return;
    }
    let tables = [
        (ReferenceKind::Secret, INGRESS_SECRETS.as_slice()),
        (ReferenceKind::ConfigMap, INGRESS_CONFIG_MAPS.as_slice()),
    ];
    for (kind, table) in tables {
        for (prefix, names) in table {
            for name in *names {
                visit(annotations, &format!("{prefix}/{name}"), kind, finder);
            }
        }
    }
}

fn is_ingress(key: &str) -> bool {
    let prefixes = INGRESS_SECRETS.iter().chain(&INGRESS_CONFIG_MAPS);
    let prefix = key.split_once('/').map(|(prefix, _)| prefix);
    prefix.is_some_and(|prefix| prefixes.into_iter().any(|(known, _)| *known == prefix))
}

/// Secret, ConfigMap.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawCopy<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
}

impl RawCopy<'_> {
    pub(super) fn ready(&self, kind: &str) -> Facts {
        let Some(metadata) = self.metadata.get() else { return Facts::MetaOnly };
        let mut finder = Finder::default();
        let secret = kind == "Secret";
        let kind = if secret { ReferenceKind::Secret } else { ReferenceKind::ConfigMap };
        for key in COPIED_FROM {
            visit(&metadata.annotations, key, kind, &mut finder);
        }
        for (key, namespace) in pushed(&metadata.annotations) {
            finder.add(kind, namespace, metadata.name.as_str(), member_path(ANNOTATIONS, key));
        }
        if finder.references.is_empty() {
            return Facts::MetaOnly;
        }
        Facts::Referrer(Box::new(referrer(finder)))
    }
}

/// The namespaces that copies are written into, each with the annotation that says so.
fn pushed<'v>(annotations: &'v Pairs<'_>) -> Vec<(&'static str, &'v str)> {
    let mut found: Vec<(&'static str, &'v str)> = Vec::new();
    let to = annotations.get(COPIED_TO).unwrap_or_default();
    found.extend(items(to).map(|namespace| (COPIED_TO, namespace)));
    if annotations.get(COPIED_TO_MATCHING).is_some_and(|selector| !selector.trim().is_empty()) {
        found.push((COPIED_TO_MATCHING, ANY_NAMESPACE));
    }
    if annotations.get(REFLECTED).is_some_and(|text| text.trim().eq_ignore_ascii_case("true")) {
        found.extend(reflected(annotations).into_iter().map(|namespace| (REFLECTED, namespace)));
    }
    found
}

/// Both lists must agree to a namespace, so either bounds the copies, if it isn't a matter of selectors.
fn reflected<'v>(annotations: &'v Pairs<'_>) -> Vec<&'v str> {
    let bound = |[list, selector]: [&str; 2]| -> Option<Vec<&'v str>> {
        let listed: Vec<&str> = items(annotations.get(list).unwrap_or_default()).collect();
        let selects = annotations.get(selector).is_some_and(|text| !text.trim().is_empty());
        (!selects && !listed.is_empty()).then_some(listed)
    };
    let bounds: Vec<Vec<&str>> =
        [REFLECTED_TO, REFLECTION_ALLOWED].into_iter().filter_map(bound).collect();
    let exact = bounds.iter().find(|list| list.iter().all(|text| is_namespace(text)));
    exact.or(bounds.first()).cloned().unwrap_or_else(|| vec![ANY_NAMESPACE])
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Service: what haproxy reads of it to speak to its pods, and the ports that lead to a sidecar.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawService<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    spec: Block<RawServiceSpec>,
}

impl RawService<'_> {
    pub(super) fn ready(&self) -> Facts {
        let mut finder = Finder::default();
        if let Some(metadata) = self.metadata.get() {
            visit_ingress(&metadata.annotations, &mut finder);
        }
        let sidecar_ports = self.spec.get().map(RawServiceSpec::sidecar_ports).unwrap_or_default();
        if finder.references.is_empty() && sidecar_ports.is_empty() {
            return Facts::MetaOnly;
        }
        Facts::Referrer(Box::new(Referrer { sidecar_ports, ..referrer(finder) }))
    }
}

/// Ingress of `networking.k8s.io` and `extensions`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawIngress<'a> {
    #[serde(borrow)]
    pub(super) metadata: Block<RawMeta<'a>>,
    #[serde(borrow)]
    spec: Block<RawIngressSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawIngressSpec<'a> {
    #[serde(borrow)]
    tls: List<Block<RawIngressTls<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawIngressTls<'a> {
    #[serde(borrow)]
    secret_name: Text<'a>,
}

impl RawIngress<'_> {
    pub(super) fn ready(&self) -> Facts {
        let mut finder = Finder::default();
        let none = RawMeta::default();
        let annotations = &self.metadata.get().unwrap_or(&none).annotations;
        visit_ingress(annotations, &mut finder);
        let elsewhere = annotations.get(CONTOUR_NAMESPACE).unwrap_or_default();
        for (index, tls) in self.spec.get().into_iter().flat_map(|spec| spec.tls.each()) {
            // Without a name the controller uses its own certificate.
            if !tls.secret_name.is_empty() {
                let path = format!("$.spec.tls[{index}].secretName");
                // Contour takes `namespace/name` too.
                let (namespace, name) = split(tls.secret_name.as_str());
                let namespace = if namespace.is_empty() { elsewhere.trim() } else { namespace };
                finder.add(ReferenceKind::Secret, namespace, name, path);
            }
        }
        Facts::Referrer(Box::new(referrer(finder)))
    }
}
