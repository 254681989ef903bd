//! Which objects have changed since somebody last looked; past a bound, that many have. Never holds up who reports a change.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use pinfold_model::object::ObjectKey;
use tokio::sync::Notify;

/// Changed objects that are kept by name.
const TOUCHED_MAX: usize = 1_024;

/// Collects what has changed.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    keys: Mutex<Keys>,
    changed: Notify,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keys {
    /// These.
    Some(BTreeSet<ObjectKey>),
    /// Too much to name.
    Many,
}

impl Default for Keys {
    fn default() -> Self {
        Self::Some(BTreeSet::new())
    }
}

impl Touched {
    /// Notes changes that readers of the view can see by now.
    pub(crate) fn add(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        let mut held = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            let Keys::Some(set) = &mut *held else { break };
            set.insert(key);
            if set.len() > TOUCHED_MAX {
                *held = Keys::Many;
            }
        }
        drop(held);
        self.changed.notify_one();
    }

    /// Waits for a change.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What has changed since the last call.
    pub(crate) fn take(&self) -> Keys {
        std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_named_until_it_is_too_much() {
        let key = |at: usize| ObjectKey::new("", "Pod", "a", &at.to_string());
        let touched = Touched::default();
        touched.add([key(1), key(1), key(2)]);
        assert_eq!(touched.take(), Keys::Some([key(1), key(2)].into()));
        assert_eq!(touched.take(), Keys::default());
        touched.add((0..=TOUCHED_MAX).map(key));
        assert_eq!(touched.take(), Keys::Many);
        assert_eq!(touched.take(), Keys::default());
    }
}
