//! A map of bounded size that pushes out the entry used least lately.

use std::collections::HashMap;
use std::hash::Hash;

const NOWHERE: u32 = u32::MAX;

/// At most `capacity` entries; inserting one more removes the one not touched for longest. All in constant time.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    capacity: usize,
    /// Looked up only, never walked: its order is random.
    index: HashMap<K, u32>,
    /// A doubly linked list through a vector.
    entries: Vec<Entry<K, V>>,
    newest: u32,
    oldest: u32,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    newer: u32,
    older: u32,
}

impl<K: Copy + Eq + Hash, V> Lru<K, V> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// An entry, touched.
    pub(super) fn get(&mut self, key: &K) -> Option<&mut V> {
        let at = *self.index.get(key)?;
        self.touch(at);
        self.entries.get_mut(at as usize).map(|entry| &mut entry.value)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if let Some(old) = self.get(&key) {
            *old = value;
            return;
        }
        if self.entries.len() >= self.capacity {
            self.remove_at(self.oldest);
        }
        let at = self.entries.len() as u32;
        self.entries.push(Entry { key, value, newer: NOWHERE, older: NOWHERE });
        self.index.insert(key, at);
        self.link(at);
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(at) = self.index.get(key) {
            self.remove_at(*at);
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            if keep(&entry.value) {
                at += 1;
            } else {
                self.remove_at(at as u32);
            }
        }
    }

    fn touch(&mut self, at: u32) {
        if self.newest != at {
            self.unlink(at);
            self.link(at);
        }
    }

    fn link(&mut self, at: u32) {
        let second = std::mem::replace(&mut self.newest, at);
        if let Some(entry) = self.entries.get_mut(at as usize) {
            (entry.newer, entry.older) = (NOWHERE, second);
        }
        match self.entries.get_mut(second as usize) {
            Some(entry) => entry.newer = at,
            None => self.oldest = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Some(entry) = self.entries.get(at as usize) else { return };
        let (newer, older) = (entry.newer, entry.older);
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }

    /// Removes an entry; the last of the vector moves into its place.
    fn remove_at(&mut self, at: u32) {
        if at as usize >= self.entries.len() {
            return;
        }
        self.unlink(at);
        let removed = self.entries.swap_remove(at as usize);
        self.index.remove(&removed.key);
        let Some(moved) = self.entries.get(at as usize) else { return };
        let (newer, older) = (moved.newer, moved.older);
        self.index.insert(moved.key, at);
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = at,
            None => self.newest = at,
        }
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = at,
            None => self.oldest = at,
        }
    }
}

impl<K, V> Lru<K, V> {
    /// An empty map. Memory grows with use.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, index: HashMap::new(), entries: Vec::new(), newest: NOWHERE, oldest: NOWHERE }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_least_lately_used_entry_goes_first() {
        let mut lru = Lru::new(3);
        for key in [1, 2, 3] {
            lru.insert(key, key * 10);
        }
        assert_eq!(lru.get(&1), Some(&mut 10));
        lru.insert(4, 40);
        assert_eq!(lru.get(&2), None);
        assert!([1, 3, 4].iter().all(|key| lru.get(key).is_some()));
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_list_that_is_searched(ops in prop::collection::vec((0..5_u8, 0..12_u8), 0..400)) {
            let mut lru = Lru::new(6);
            // Newest last.
            let mut model: Vec<(u8, usize)> = Vec::new();
            for (step, (op, key)) in ops.into_iter().enumerate() {
                let known = model.iter().position(|(k, _)| *k == key);
                match op {
                    0 | 1 => {
                        lru.insert(key, step);
                        match known {
                            Some(at) => drop(model.remove(at)),
                            None if model.len() == 6 => drop(model.remove(0)),
                            None => {}
                        }
                        model.push((key, step));
                    }
                    2 => {
                        lru.remove(&key);
                        model.retain(|(k, _)| *k != key);
                    }
                    3 => {
                        let found = known.map(|at| model.remove(at));
                        model.extend(found);
                        prop_assert_eq!(lru.get(&key).copied(), found.map(|(_, value)| value));
                    }
                    _ => {
                        lru.retain(|value| value % 3 != 0);
                        model.retain(|(_, value)| value % 3 != 0);
                    }
                }
                prop_assert_eq!(lru.len(), model.len());
            }
            for (key, value) in model {
                prop_assert_eq!(lru.get(&key).copied(), Some(value));
            }
        }
    }
}
