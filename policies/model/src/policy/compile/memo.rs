//! What was compiled already. The same policies give the same result, so nothing here can be stale.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use super::{CompileError, Compiled, compile};
use crate::digest::Digest;
use crate::policy::agent::AgentPolicy;

/// Most results that are kept; tool profiles, which tenants write, make many.
const RESULTS_MAX: usize = 256;

type Key = (Vec<Digest>, Vec<Vec<String>>);
type Outcome = Result<Arc<Compiled>, CompileError>;

/// Results by the policies that they were compiled of. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Memo(Arc<RwLock<HashMap<Key, Outcome>>>);

impl Memo {
    /// What [`compile`] gives, compiled only if it wasn't yet.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub fn compiled(
        &self,
        policies: &[&AgentPolicy],
        narrowing: &[Vec<String>],
    ) -> Result<Arc<Compiled>, CompileError> {
        let digests = policies.iter().map(|policy| policy.digest).collect();
        let key: Key = (digests, narrowing.to_vec());
        // A poisoned lock only means that somebody else failed: results are whole or absent.
        let known = self.0.read().ok().and_then(|results| results.get(&key).cloned());
        if let Some(known) = known {
            return known;
        }
        let outcome = compile(policies, narrowing).map(Arc::new);
        if let Ok(mut results) = self.0.write() {
            if results.len() >= RESULTS_MAX {
                results.clear();
            }
            results.insert(key, outcome.clone());
        }
        outcome
    }
}
