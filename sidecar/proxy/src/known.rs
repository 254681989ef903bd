//! Injected credentials as they are looked for in replies, kept from use to use: making one ready costs more than looking for it.

use std::sync::{Arc, Mutex, PoisonError};

use pinfold_model::reason::Denial;
use pinfold_redact::Known;

use crate::credential::{Injected, Secret};
use crate::dial::unreachable;

/// Credentials kept, over all upstreams; a rotated one takes the place of the oldest.
const KEPT_MAX: usize = 16;

/// Those that were used last.
#[derive(Default)]
pub(crate) struct KnownSecrets(Mutex<Vec<(Secret, Arc<Known>)>>);

impl KnownSecrets {
    /// What to look for in replies to a request that carries this credential.
    ///
    /// # Errors
    /// A denial of reason `upstream`: a credential that could not be found again is not sent.
    pub(crate) fn of(
        &self,
        injected: Option<&Injected>,
        place: &str,
    ) -> Result<Option<Arc<Known>>, Denial> {
        let Some(injected) = injected else { return Ok(None) };
        let secret = &injected.secret;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &&(Secret, Arc<Known>)| one.0.as_bytes() == secret.as_bytes();
        if let Some((_, known)) = kept.iter().find(same) {
            return Ok(Some(Arc::clone(known)));
        }
        let known = Known::new(&[secret.as_bytes()])
            .map(Arc::new)
            .ok_or_else(|| unreachable(place, "its credential can't be looked for in replies"))?;
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push((secret.clone(), Arc::clone(&known)));
        Ok(Some(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn each_is_made_once_and_few_are_kept() {
        let secrets = KnownSecrets::default();
        let of = |text: &str| {
            let injected = Injected {
                name: HeaderName::from_static("x-key"),
                value: HeaderValue::from_static("x"),
                secret: Secret::of(text),
            };
            secrets.of(Some(&injected), "spec").expect("known").expect("one")
        };
        let first = of("t0ken-0");
        assert!(Arc::ptr_eq(&first, &of("t0ken-0")));
        assert!(first.is_in(b"a t0ken-0") && !first.is_in(b"a t0ken-1"));
        for number in 1..=KEPT_MAX {
            of(&format!("t0ken-{number}"));
        }
        assert!(!Arc::ptr_eq(&first, &of("t0ken-0")), "the oldest is gone");
        assert!(secrets.of(None, "spec").expect("none").is_none());
    }
}
