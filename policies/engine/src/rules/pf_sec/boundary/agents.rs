//! Secrets and ConfigMaps that agent resources name: what the control plane would hand to an agent, it would hand across organizations too.

use pinfold_model::object::agent::RequiredObject;
use pinfold_model::object::reference::{Keys, Mount, Reference};

use super::reach::{Home, Reach, Via};
use crate::context::{Context, Found};
use crate::organization::ownership;

/// Judges what an agent resource names, from its own namespace.
pub(super) fn judge(context: &Context<'_>, named: &[RequiredObject], found: &mut Found) {
    let name = context.facts.target.namespace.as_str();
    if named.is_empty() || name.is_empty() {
        return;
    }
    let home = Home::Namespace { name, owner: ownership(context, name) };
    let mut reach = Reach { context, home: &home, found };
    for object in named {
        reach.judge(&reference(object), &Via::Direct);
    }
}

fn reference(object: &RequiredObject) -> Reference {
    Reference {
        kind: object.kind,
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        path: object.path.clone(),
        mount: Mount::default(),
        keys: Keys::All,
    }
}
