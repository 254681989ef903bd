//! What was compiled already. The same policies give the same result, so nothing here can be stale.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use super::{CompileError, Compiled, compile};
use crate::digest::Digest;
use crate::policy::agent::AgentPolicy;

/// Most results that are kept; tool profiles, which tenants write, make many.
const RESULTS_MAX: usize = 256;
/// Most bytes of policy texts that are kept; what was read from them takes a few times as much.
const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

type Outcome = Result<Arc<Compiled>, CompileError>;

/// Results by a digest of what they were compiled of.
#[derive(Debug, Default)]
struct Results {
    known: HashMap<Digest, Outcome>,
    bytes: usize,
}

impl Results {
    fn keep(&mut self, key: Digest, outcome: Outcome) {
        let bytes = outcome.as_ref().map_or(0, |compiled| compiled.text.len());
        let together = self.bytes.saturating_add(bytes);
        if self.known.len() >= RESULTS_MAX || together > TEXT_BYTES_MAX {
            *self = Self::default();
        }
        if self.known.insert(key, outcome).is_none() {
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }
}

/// Results by the policies that they were compiled of. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Memo(Arc<RwLock<Results>>);

impl Memo {
    /// What [`compile`] gives, compiled only if it wasn't yet.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub fn compiled(
        &self,
        policies: &[&AgentPolicy],
        narrowing: &[&[String]],
    ) -> Result<Arc<Compiled>, CompileError> {
        let key = key(policies, narrowing);
        // A poisoned lock only means that somebody else failed: results are whole or absent.
        let known = self.0.read().ok().and_then(|results| results.known.get(&key).cloned());
        if let Some(known) = known {
            return known;
        }
        let outcome = compile(policies, narrowing).map(Arc::new);
        if let Ok(mut results) = self.0.write() {
            results.keep(key, outcome.clone());
        }
        outcome
    }
}

/// Of policies and lists, each with its length in front.
fn key(policies: &[&AgentPolicy], narrowing: &[&[String]]) -> Digest {
    let sizes: Vec<[u8; 8]> = std::iter::once(policies.len())
        .chain(narrowing.iter().map(|list| list.len()))
        .map(|size| u64::try_from(size).unwrap_or(u64::MAX).to_be_bytes())
        .collect();
    let digests: Vec<String> = policies.iter().map(|policy| policy.digest.to_string()).collect();
    let sizes = sizes.concat();
    let hosts = narrowing.iter().flat_map(|list| list.iter());
    let parts = digests.iter().chain(hosts).map(|text| text.as_bytes());
    Digest::of_parts(std::iter::once(sizes.as_slice()).chain(parts))
}
