//! What policy a pod should have.

use std::sync::Arc;

use pinfold_engine::inject::{Unapplied, compiled_for, is_confined};
use pinfold_model::digest::Digest;
use pinfold_model::object::Object;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::compile::Compiled;
use pinfold_model::snapshot::Snapshot;

/// What a pod gets to which no AgentPolicy applies any more: an old policy would go on allowing what nobody wants allowed.
const NOTHING: &str = r#"{"apiVersion":"pinfold.dev/v1alpha1","kind":"AgentPolicy","metadata":{"name":"none"},"spec":{}}"#;

/// The policy that a pod should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// Canonical JSON.
    pub(super) text: Arc<str>,
    /// Of exactly that text.
    pub(super) digest: Digest,
    /// No AgentPolicy applies: it allows nothing.
    pub(super) none: bool,
}

impl Wish {
    pub(super) fn of(text: Option<&str>) -> Self {
        let (text, none) = text.map_or((NOTHING, true), |text| (text, false));
        Self { text: text.into(), digest: Digest::of(text.as_bytes()), none }
    }
}

/// Compiles the policy of a pod, or says why it can't be; the pod then keeps what it has. `None` for a pod that isn't Pinfold's to write to.
pub(super) type Compile = fn(&Snapshot, &AdmissionPolicy, &Object) -> Result<Option<Wish>, String>;

/// As mutation does for a new pod.
pub(super) fn compile(
    view: &Snapshot,
    policy: &AdmissionPolicy,
    pod: &Object,
) -> Result<Option<Wish>, String> {
    if !is_confined(view, policy, pod) {
        return Ok(None);
    }
    match compiled_for(view, policy, pod) {
        Ok(Some(compiled)) => {
            let Compiled { text, digest, .. } = compiled.as_ref();
            Ok(Some(Wish { text: Arc::clone(text), digest: *digest, none: false }))
        }
        Ok(None) => Ok(Some(Wish::of(None))),
        Err(Unapplied { message, remedy, .. }) => Err(format!("{message}; {remedy}")),
    }
}
