//! A persistent hash set of small entries: a change copies the few nodes on its way, and who holds the old set keeps it.
//!
//! For what there is by the hundred thousand: an entry costs about 20 bytes beside its own size, where a map of `rpds` takes over 100. Hashes
//! are keyed, because whoever writes objects chooses their names.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::slice;
use std::sync::{Arc, LazyLock};

/// Bits of the hash that one branch consumes, and how many nodes it has therefore.
const BITS: u32 = 2;
const WIDTH: usize = 1 << BITS;
/// Those bits.
const MASK: u64 = (1 << BITS) - 1;
/// Entries of a bucket; one more and it becomes a branch, unless the hash is used up.
const BUCKET_MAX: usize = 16;
/// A branch with so few entries in buckets becomes a bucket again.
const MERGED_MAX: usize = 8;

/// One key for all sets of a process.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What an entry is found by; it must not change while the entry is in a set.
pub(super) trait Keyed: Clone {
    type Key: Hash + Eq + ?Sized;

    fn key(&self) -> &Self::Key;
}

/// A set of entries, at most one for each key.
pub(super) struct Trie<T> {
    root: Node<T>,
    size: usize,
}

enum Node<T> {
    Bucket(Arc<[Slot<T>]>),
    Branch(Arc<[Self; WIDTH]>),
}

#[derive(Clone)]
struct Slot<T> {
    hash: u64,
    entry: T,
}

/// What is left of a hash below the branches that have been passed.
#[derive(Clone, Copy)]
struct Rest {
    hash: u64,
    bits: u32,
}

impl<T: Keyed> Trie<T> {
    /// The entry of a key.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<&T>
    where
        T::Key: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = HASHER.hash_one(key);
        let (mut node, mut rest) = (&self.root, Rest::of(hash));
        loop {
            match node {
                Node::Branch(nodes) => {
                    node = nodes.get(rest.index())?;
                    rest = rest.below();
                }
                Node::Bucket(slots) => {
                    let found = |slot: &&Slot<T>| slot.is(hash, key);
                    return slots.iter().find(found).map(|slot| &slot.entry);
                }
            }
        }
    }

    /// Adds an entry, in the place of the one with its key.
    pub(super) fn insert(&mut self, entry: T) {
        let hash = HASHER.hash_one(entry.key());
        if self.root.insert(Rest::of(hash), Slot { hash, entry }) {
            self.size = self.size.saturating_add(1);
        }
    }

    /// Takes out the entry of a key, if there is one.
    pub(super) fn remove<Q>(&mut self, key: &Q)
    where
        T::Key: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.get(key).is_none() {
            return;
        }
        let hash = HASHER.hash_one(key);
        self.root.remove(Rest::of(hash), &|slot| slot.is(hash, key));
        self.size = self.size.saturating_sub(1);
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.size
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }
}

impl<T> Trie<T> {
    /// All entries, in no order.
    pub(super) fn iter(&self) -> Iter<'_, T> {
        Iter { open: vec![slice::from_ref(&self.root).iter()], slots: [].iter() }
    }
}

impl Rest {
    fn of(hash: u64) -> Self {
        Self { hash, bits: u64::BITS }
    }

    /// Which node of a branch.
    fn index(self) -> usize {
        usize::try_from(self.hash & MASK).unwrap_or_default()
    }

    fn below(self) -> Self {
        Self { hash: self.hash >> BITS, bits: self.bits.saturating_sub(BITS) }
    }
}

impl<T: Keyed> Slot<T> {
    fn is<Q>(&self, hash: u64, key: &Q) -> bool
    where
        T::Key: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.hash == hash && self.entry.key().borrow() == key
    }
}

impl<T: Keyed> Node<T> {
    /// Whether the key is new.
    fn insert(&mut self, rest: Rest, slot: Slot<T>) -> bool {
        match self {
            Self::Branch(nodes) => {
                let node = Arc::make_mut(nodes).get_mut(rest.index());
                node.is_some_and(|node| node.insert(rest.below(), slot))
            }
            Self::Bucket(slots) => {
                let (hash, key) = (slot.hash, slot.entry.key());
                let at = slots.iter().position(|other| other.is(hash, key));
                let mut all = Vec::with_capacity(slots.len().saturating_add(1));
                all.extend(slots.iter().cloned());
                match at.and_then(|at| all.get_mut(at)) {
                    Some(known) => *known = slot,
                    None => all.push(slot),
                }
                *self = Self::of(all, rest.bits);
                at.is_none()
            }
        }
    }

    /// A bucket, or a branch if these are too many for one.
    fn of(slots: Vec<Slot<T>>, bits: u32) -> Self {
        if slots.len() <= BUCKET_MAX || bits == 0 {
            return Self::Bucket(slots.into());
        }
        let passed = u64::BITS.saturating_sub(bits);
        let mut parts: [Vec<Slot<T>>; WIDTH] = Default::default();
        for slot in slots {
            let hash = slot.hash.checked_shr(passed).unwrap_or_default();
            let part = parts.get_mut(Rest { hash, bits }.index());
            part.into_iter().for_each(|part| part.push(slot.clone()));
        }
        Self::Branch(Arc::new(parts.map(|part| Self::of(part, bits.saturating_sub(BITS)))))
    }

    fn remove(&mut self, rest: Rest, is_it: &dyn Fn(&Slot<T>) -> bool) {
        match self {
            Self::Bucket(slots) => {
                *slots = slots.iter().filter(|slot| !is_it(slot)).cloned().collect();
            }
            Self::Branch(nodes) => {
                if let Some(node) = Arc::make_mut(nodes).get_mut(rest.index()) {
                    node.remove(rest.below(), is_it);
                }
                if let Some(slots) = merged(nodes.as_ref()) {
                    *self = Self::Bucket(slots);
                }
            }
        }
    }
}

/// The entries of nodes that are all buckets, and small.
fn merged<T: Clone>(nodes: &[Node<T>]) -> Option<Arc<[Slot<T>]>> {
    let mut count = 0_usize;
    for node in nodes {
        let Node::Bucket(slots) = node else { return None };
        count = count.saturating_add(slots.len());
    }
    let buckets = nodes.iter().filter_map(|node| match node {
        Node::Bucket(slots) => Some(slots),
        Node::Branch(_) => None,
    });
    (count <= MERGED_MAX).then(|| buckets.flat_map(|slots| slots.iter()).cloned().collect())
}

/// All entries of a set.
pub(super) struct Iter<'t, T> {
    open: Vec<slice::Iter<'t, Node<T>>>,
    slots: slice::Iter<'t, Slot<T>>,
}

impl<'t, T> Iterator for Iter<'t, T> {
    type Item = &'t T;

    fn next(&mut self) -> Option<&'t T> {
        loop {
            if let Some(slot) = self.slots.next() {
                return Some(&slot.entry);
            }
            match self.open.last_mut()?.next() {
                None => _ = self.open.pop(),
                Some(Node::Branch(nodes)) => self.open.push(nodes.iter()),
                Some(Node::Bucket(slots)) => self.slots = slots.iter(),
            }
        }
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Bucket(slots) => Self::Bucket(Arc::clone(slots)),
            Self::Branch(nodes) => Self::Branch(Arc::clone(nodes)),
        }
    }
}

impl<T> Clone for Trie<T> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), size: self.size }
    }
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { root: Node::Bucket(Arc::default()), size: 0 }
    }
}

impl<T: fmt::Debug> fmt::Debug for Trie<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[path = "trie_tests.rs"]
mod tests;
