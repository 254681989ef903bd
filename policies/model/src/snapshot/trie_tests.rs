//! Cases of the set: it does what a map of the standard library does, also with hashes that collide, and copies keep what they had.

use std::collections::BTreeMap;

use super::{Keyed, Node, Trie};

/// Half of the keys share a few hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u32);

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (if self.0.is_multiple_of(2) { self.0 % 6 } else { self.0 }).hash(state);
    }
}

impl Keyed for (Key, u32) {
    type Key = Key;

    fn key(&self) -> &Key {
        &self.0
    }
}

fn sorted(trie: &Trie<(Key, u32)>) -> Vec<(Key, u32)> {
    let mut all: Vec<_> = trie.iter().copied().collect();
    all.sort_unstable();
    all
}

#[test]
fn it_is_a_map_through_changes_and_copies_keep_what_they_had() {
    let (mut trie, mut map) = (Trie::default(), BTreeMap::new());
    let mut copies = Vec::new();
    let mut random = 1_u32;
    for step in 0..20_000_u32 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let key = Key(random >> 22);
        // Grows, shrinks, and grows again.
        if (random >> 8) % 4 < if step / 5_000 % 2 == 0 { 3 } else { 1 } {
            trie.insert((key, step));
            map.insert(key, step);
        } else {
            trie.remove(&key);
            map.remove(&key);
        }
        assert_eq!(trie.get(&key).map(|entry| entry.1), map.get(&key).copied());
        assert_eq!(trie.len(), map.len());
        if step % 2_000 == 0 {
            copies.push((trie.clone(), map.clone()));
        }
    }
    copies.push((trie, map));
    for (trie, map) in &copies {
        let expected: Vec<_> = map.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(sorted(trie), expected);
    }
}

#[test]
fn what_is_emptied_is_one_bucket_again() {
    let mut trie = Trie::default();
    for number in 0..1_000 {
        trie.insert((Key(number), number));
    }
    assert!(matches!(trie.root, Node::Branch(_)));
    for number in 0..1_000 {
        trie.remove(&Key(number));
    }
    assert!(trie.is_empty() && matches!(&trie.root, Node::Bucket(slots) if slots.is_empty()));
}
