//! Bindings of admission policies, whose parameters may be a ConfigMap or a Secret: by `paramRef` of the binding and `paramKind` of its policy.
//!
//! The API server never sends these kinds to a webhook; `pinfold check` and `pinfold scan` judge them.

use pinfold_model::object::storage::{Param, Referrer};
use pinfold_model::object::{Facts, ObjectKey};

use super::volumes::judge_unclaimed;
use crate::context::{Context, Found};

/// A binding names parameters of any kind; those of a known policy that takes another kind are no matter of this rule.
pub(super) fn judge(context: &Context<'_>, binding: &Referrer, found: &mut Found) {
    let Some(Param::Of { policy }) = binding.param.as_deref() else { return };
    let kind = kind_of(context, policy);
    for reference in &binding.references {
        match kind {
            Kind::Other => {}
            Kind::Unknown => judge_unclaimed(context, reference, found),
            Kind::Reference(kind) => {
                let mut reference = reference.clone();
                reference.kind = kind;
                judge_unclaimed(context, &reference, found);
            }
        }
    }
}

enum Kind {
    Reference(pinfold_model::object::reference::ReferenceKind),
    Other,
    /// The policy isn't in the view: its parameters are taken for ConfigMaps.
    Unknown,
}

fn kind_of(context: &Context<'_>, policy: &str) -> Kind {
    let group = &context.facts.target.group;
    let kind = context.facts.target.kind.trim_end_matches("Binding");
    let key = ObjectKey::new(group, kind, "", policy);
    let Some(found) = context.lookup(&key) else { return Kind::Unknown };
    let Facts::Referrer(referrer) = &found.facts else { return Kind::Other };
    match referrer.param.as_deref() {
        Some(Param::Kind(kind)) => Kind::Reference(*kind),
        Some(Param::Of { .. }) | None => Kind::Other,
    }
}
