//! What a workload uses: each Secret and ConfigMap once for each way in which it is used, with all keys.

use pinfold_model::object::pod::Workload;
use pinfold_model::object::reference::{Keys, Mount, Reference, ReferenceKind};
use pinfold_model::object::{Facts, ObjectKey};

use crate::agent_workload::service_account;
use crate::context::Context;
use crate::rbac::describe::list;

/// One use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) kind: ReferenceKind,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) mount: Mount,
    pub(super) keys: Keys,
    /// JSON path of the first field that names it.
    pub(super) path: String,
    /// Those of the others.
    pub(super) further: Vec<String>,
}

impl Use {
    fn of(reference: &Reference, namespace: &str, path: &str) -> Self {
        let Reference { kind, name, mount, keys, .. } = reference;
        let written = reference.namespace.as_str();
        let namespace = if written.is_empty() { namespace } else { written };
        Self {
            kind: *kind,
            namespace: namespace.to_owned(),
            name: name.clone(),
            mount: *mount,
            keys: keys.clone(),
            path: path.to_owned(),
            further: Vec::new(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let what = |one: &Self| (one.kind, one.mount);
        what(self) == what(other) && self.namespace == other.namespace && self.name == other.name
    }

    /// Where else it is used, to end a message.
    pub(super) fn also(&self) -> String {
        if self.further.is_empty() {
            return String::new();
        }
        format!("; also at {}", list(self.further.iter().map(String::as_str)))
    }
}

/// What a workload uses: by its own fields, and the pull secrets of its ServiceAccount. A ServiceAccount that isn't there brings nothing.
pub(super) fn of(context: &Context<'_>, workload: &Workload) -> Vec<Use> {
    let namespace = context.facts.target.namespace.as_str();
    let mut uses: Vec<Use> = Vec::new();
    for reference in &workload.references {
        add(&mut uses, Use::of(reference, namespace, &reference.path));
    }
    let key = ObjectKey::new("", "ServiceAccount", namespace, service_account(workload));
    let account = context.lookup(&key).map(|found| &found.facts);
    if let Some(Facts::Referrer(account)) = account {
        let path = format!("{}.serviceAccountName", workload.spec_path);
        let pulls = account.references.iter().filter(|one| one.mount == Mount::ImagePull);
        pulls.for_each(|reference| add(&mut uses, Use::of(reference, namespace, &path)));
    }
    uses
}

fn add(uses: &mut Vec<Use>, new: Use) {
    let Some(known) = uses.iter_mut().find(|known| known.is_same(&new)) else {
        return uses.push(new);
    };
    known.keys = match (std::mem::take(&mut known.keys), new.keys) {
        (Keys::Named(mut all), Keys::Named(more)) => {
            all.extend(more);
            all.sort();
            all.dedup();
            Keys::Named(all)
        }
        (Keys::All, _) | (_, Keys::All) => Keys::All,
    };
    known.further.push(new.path);
}
