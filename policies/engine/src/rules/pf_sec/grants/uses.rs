//! What a workload uses: each Secret and ConfigMap once for each way in which it is used, with all keys.

use std::collections::{BTreeSet, HashMap};

use pinfold_model::object::pod::Workload;
use pinfold_model::object::reference::{Keys, Mount, Reference, ReferenceKind};
use pinfold_model::object::{Facts, ObjectKey};

use crate::agent_workload::service_account;
use crate::context::Context;
use crate::inject;
use crate::rbac::describe::list;

/// Most uses of one workload that are judged. More is no workload, but a way to keep the webhook busy; and each may be a question, of which a
/// decision has no more than a few beyond this.
pub(super) const USES_MAX: usize = 1_000;

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
    let mut gathered = Gathered::default();
    let sidecar = inject::credentials_path(context);
    for reference in &workload.references {
        let by_sidecar =
            sidecar.as_ref().is_some_and(|path| reference.path.starts_with(path.as_str()));
        let mount = if by_sidecar { Mount::ByReference } else { reference.mount };
        gathered.add(reference, mount, namespace, &reference.path);
    }
    let key = ObjectKey::new("", "ServiceAccount", namespace, service_account(workload));
    let path = format!("{}.serviceAccountName", workload.spec_path);
    let account = context.lookup(&key).map(|found| &found.facts);
    if let Some(Facts::Referrer(account)) = account {
        let pulls = account.references.iter().filter(|one| one.mount == Mount::ImagePull);
        pulls.for_each(|reference| gathered.add(reference, reference.mount, namespace, &path));
    }
    gathered.all.into_iter().map(|(way, named)| named.of(way)).collect()
}

/// One thing in one way: kind, namespace, name, mount.
type Way<'r> = (ReferenceKind, &'r str, &'r str, Mount);

/// Uses in the order in which they are first named; found by what they are, because a workload may name very many.
#[derive(Default)]
struct Gathered<'r> {
    at: HashMap<Way<'r>, usize>,
    all: Vec<(Way<'r>, Named<'r>)>,
}

impl<'r> Gathered<'r> {
    fn add(&mut self, reference: &'r Reference, mount: Mount, namespace: &'r str, path: &'r str) {
        let written = reference.namespace.as_str();
        let namespace = if written.is_empty() { namespace } else { written };
        let way = (reference.kind, namespace, reference.name.as_str(), mount);
        let known = self.at.get(&way).and_then(|at| self.all.get_mut(*at));
        let Some((_, named)) = known else {
            self.at.insert(way, self.all.len());
            return self.all.push((way, Named::new(&reference.keys, path)));
        };
        named.further.push(path);
        named.take(&reference.keys);
    }
}

/// Where something is named, and with which keys; `None` is all of them.
struct Named<'r> {
    keys: Option<BTreeSet<&'r str>>,
    path: &'r str,
    further: Vec<&'r str>,
}

impl<'r> Named<'r> {
    fn new(keys: &'r Keys, path: &'r str) -> Self {
        let mut named = Self { keys: Some(BTreeSet::new()), path, further: Vec::new() };
        named.take(keys);
        named
    }

    fn take(&mut self, more: &'r Keys) {
        match (more, &mut self.keys) {
            (Keys::Named(more), Some(keys)) => keys.extend(more.iter().map(String::as_str)),
            (Keys::Named(_), None) => {}
            (Keys::All, keys) => *keys = None,
        }
    }

    fn of(self, (kind, namespace, name, mount): Way<'_>) -> Use {
        let keys = self.keys.map(|keys| keys.into_iter().map(str::to_owned).collect());
        Use {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            mount,
            keys: keys.map_or(Keys::All, Keys::Named),
            path: self.path.to_owned(),
            further: self.further.into_iter().map(str::to_owned).collect(),
        }
    }
}
