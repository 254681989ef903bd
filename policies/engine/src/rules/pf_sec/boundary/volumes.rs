//! Volumes: claim to PersistentVolume to the Secrets of its driver, StorageClasses with their templates, and cluster-scoped objects that name
//! a Secret themselves.
//!
//! A claim, volume or class that isn't in the view leads nowhere yet: whatever comes later under its name is judged when it comes.

use pinfold_model::facts::Question;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::reference::Reference;
use pinfold_model::object::storage::Referrer;

use super::reach::{Home, Reach, Via};
use super::{is_platform, refuse};
use crate::context::{Context, Found};
use crate::organization::{Ownership, namespace_key, ownership};
use crate::rbac::describe::excerpt;

/// Templates that can only yield the namespace of whoever asks for the volume or snapshot.
const OWN_NAMESPACE: [&str; 3] =
    ["${pvc.namespace}", "${volumesnapshot.namespace}", "${volumegroupsnapshot.namespace}"];

fn referrer<'c>(context: &Context<'c>, key: &ObjectKey) -> Option<&'c Referrer> {
    context.lookup(key)?.facts.referrer()
}

/// A pod's PersistentVolumeClaim: judges the volume that it is bound to.
pub(super) fn judge_claim(reach: &mut Reach<'_, '_>, claim: &str, path: &str) {
    let key = ObjectKey::new("", "PersistentVolumeClaim", reach.home.name(), claim);
    if let Some(claim) = referrer(reach.context, &key) {
        judge_volume(reach, &claim.volume_name, path);
    }
}

/// A PersistentVolume that a namespace uses: its Secrets must be that namespace's organization's.
pub(super) fn judge_volume(reach: &mut Reach<'_, '_>, volume: &str, path: &str) {
    if volume.is_empty() {
        return;
    }
    let key = ObjectKey::new("", "PersistentVolume", "", volume);
    let Some(volume) = referrer(reach.context, &key) else { return };
    let claimed = volume.claim.as_ref().map(|(namespace, _)| namespace.as_str());
    let home = Home::Claim { name: reach.home.name(), owner: reach.home.owner().clone() };
    let mut reach = Reach { context: reach.context, home: &home, found: reach.found };
    for reference in &volume.references {
        let mut resolved = reference.clone();
        if resolved.namespace.is_empty() {
            claimed.unwrap_or_default().clone_into(&mut resolved.namespace);
        }
        reach.judge(&resolved, &Via::Object { path, key: &key, field: &reference.path });
    }
}

/// A StorageClass that a namespace uses.
pub(super) fn judge_class(reach: &mut Reach<'_, '_>, class: &str, path: &str) {
    if class.is_empty() {
        return;
    }
    let key = ObjectKey::new("storage.k8s.io", "StorageClass", "", class);
    let Some(class) = referrer(reach.context, &key) else { return };
    let home = Home::Claim { name: reach.home.name(), owner: reach.home.owner().clone() };
    let mut reach = Reach { context: reach.context, home: &home, found: reach.found };
    for reference in &class.references {
        let via = Via::Object { path, key: &key, field: &reference.path };
        match Template::of(&reference.namespace) {
            Template::Own => {}
            Template::Literal => reach.judge(reference, &via),
            Template::Any if is_platform(home.owner()) => {}
            Template::Any => refuse_template(reach.found, path, reference),
        }
    }
}

/// The namespace that a claim's data comes from: cloning reads another organization's data with its credentials.
pub(super) fn judge_source(reach: &mut Reach<'_, '_>, namespace: &str, path: &str) {
    if namespace.is_empty() || namespace == reach.home.name() {
        return;
    }
    let (own, owner) = (reach.home.owner(), ownership(reach.context, namespace));
    let same = own.organization().is_some() && own.organization() == owner.organization();
    let nobody = |owner: &Ownership| owner.organization().is_none();
    let known = |owner: &Ownership| matches!(owner, Ownership::Platform | Ownership::Unowned);
    if same || is_platform(own) || known(own) && known(&owner) {
        return;
    }
    for (name, owner) in [(reach.home.name(), own), (namespace, &owner)] {
        if nobody(owner) && matches!(owner, Ownership::Unknown) {
            reach.found.ask(Question::Object(namespace_key(name)));
        }
    }
    let path = format!("{path}.dataSourceRef.namespace");
    let message = format!(
        "the claim copies from namespace `{}`, which {owner}; its own namespace `{}` {own}",
        excerpt(namespace),
        excerpt(reach.home.name()),
    );
    let remedy = "copy from a namespace of the same organization".to_owned();
    refuse(reach.found, &path, message, remedy);
}

/// PersistentVolume, VolumeAttachment, snapshot content, StorageClass, snapshot class, and custom kinds without a namespace.
pub(super) fn judge_cluster_scoped(context: &Context<'_>, object: &Referrer, found: &mut Found) {
    let claim = object.claim.as_ref().map(|(namespace, _)| namespace.as_str());
    let Some(namespace) = claim.filter(|namespace| !namespace.is_empty()) else {
        object.references.iter().for_each(|reference| judge_unclaimed(context, reference, found));
        return;
    };
    let home = Home::Claim { name: namespace, owner: ownership(context, namespace) };
    let mut reach = Reach { context, home: &home, found };
    if !object.references.is_empty() && reach.refuses_home() {
        return;
    }
    for reference in &object.references {
        reach.judge(reference, &Via::Direct);
    }
}

/// What nobody has claimed yet is open to everybody, so it may name no organization's Secret.
pub(super) fn judge_unclaimed(context: &Context<'_>, reference: &Reference, found: &mut Found) {
    match Template::of(&reference.namespace) {
        Template::Own => return,
        Template::Any => return refuse_template(found, &reference.path, reference),
        Template::Literal => {}
    }
    // Without a namespace the claim's own is meant.
    let namespace = reference.namespace.as_str();
    if namespace.is_empty() {
        return;
    }
    let owner = ownership(context, namespace);
    match owner {
        Ownership::Platform | Ownership::Unowned => return,
        Ownership::Unknown => found.ask(Question::Object(namespace_key(namespace))),
        Ownership::Owned(_) | Ownership::Conflict(_) => {}
    }
    let message = format!(
        "{} `{}/{}` is named by an object that any namespace may claim; namespace `{}` {owner}",
        reference.kind,
        excerpt(namespace),
        excerpt(&reference.name),
        excerpt(namespace),
    );
    let remedy = "name a Secret of the claim's own namespace, or of a platform namespace; a \
                  PersistentVolume may also say whose it is with `spec.claimRef`";
    refuse(found, &reference.path, message, remedy.to_owned());
}

fn refuse_template(found: &mut Found, path: &str, reference: &Reference) {
    let message = format!(
        "the namespace of {} `{}` is the template `{}`, which can yield any namespace",
        reference.kind,
        excerpt(&reference.name),
        excerpt(&reference.namespace),
    );
    let remedy = "write exactly `${pvc.namespace}` (snapshots: `${volumesnapshot.namespace}`), or \
                  a platform namespace";
    refuse(found, path, message, remedy.to_owned());
}

/// What the namespace of a class parameter can yield; the CSI sidecars expand `$name` and `${name}`.
enum Template {
    Literal,
    Own,
    Any,
}

impl Template {
    fn of(namespace: &str) -> Self {
        match namespace {
            own if OWN_NAMESPACE.contains(&own) => Self::Own,
            template if template.contains('$') => Self::Any,
            _ => Self::Literal,
        }
    }
}
