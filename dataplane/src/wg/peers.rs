//! Finding a peer: by key, or by the receiver index of a datagram.

use std::collections::BTreeMap;

use super::PublicKey;

/// The place of a peer in the engine's tables. Small, dense, and reused after a peer has gone; whoever keeps one
/// beyond the peer's life must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(u16);

impl PeerId {
    /// Index into a table of peers.
    pub const fn slot(self) -> usize {
        self.0 as usize
    }
}

/// All 65,536 places are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for another peer (65536 are the limit)")]
pub struct TooManyPeers;

/// Who is where.
///
/// WireGuard's 32-bit receiver index is ours to give out. The tunnel room keeps the low 8 bits for the sessions of
/// one peer; of the other 24, the low 16 are the peer's place and the high 8 a generation, so that a datagram for
/// a peer that left cannot be mistaken for one of its successor's. A look-up is one array access, and a sharded
/// engine finds the shard of a datagram (place modulo shards) without touching any table.
#[derive(Debug)]
pub struct Peers {
    by_key: BTreeMap<PublicKey, PeerId>,
    places: Vec<Place>,
    free: Vec<PeerId>,
    /// Where generations start: differs from run to run, as a restarted engine must not meet its own old indices.
    first_generation: u8,
}

#[derive(Debug)]
struct Place {
    generation: u8,
    taken: bool,
}

impl Peers {
    /// An empty table.
    pub const fn new(seed: u64) -> Self {
        let [first_generation, ..] = seed.to_le_bytes();
        Self { by_key: BTreeMap::new(), places: Vec::new(), free: Vec::new(), first_generation }
    }

    /// The place of `key`, a new one if it has none.
    pub fn insert(&mut self, key: PublicKey) -> Result<PeerId, TooManyPeers> {
        if let Some(id) = self.by_key.get(&key) {
            return Ok(*id);
        }
        let id = if let Some(id) = self.free.pop() {
            id
        } else {
            let id = PeerId(u16::try_from(self.places.len()).map_err(|_| TooManyPeers)?);
            self.places.push(Place { generation: self.first_generation, taken: false });
            id
        };
        if let Some(place) = self.places.get_mut(id.slot()) {
            place.taken = true;
        }
        self.by_key.insert(key, id);
        Ok(id)
    }

    /// Free the place of `key`.
    pub fn remove(&mut self, key: &PublicKey) -> Option<PeerId> {
        let id = self.by_key.remove(key)?;
        self.renew(id);
        if let Some(place) = self.places.get_mut(id.slot()) {
            place.taken = false;
        }
        self.free.push(id);
        Some(id)
    }

    /// Make all indices given out for `id` so far invalid, because its tunnel is replaced.
    pub fn renew(&mut self, id: PeerId) {
        if let Some(place) = self.places.get_mut(id.slot()) {
            place.generation = place.generation.wrapping_add(1);
        }
    }

    /// The peer that has this static key.
    pub fn by_key(&self, key: &PublicKey) -> Option<PeerId> {
        self.by_key.get(key).copied()
    }

    /// The peer a receiver index (all 32 bits) was given out for.
    pub fn by_receiver_index(&self, index: u32) -> Option<PeerId> {
        let [_, low, high, generation] = index.to_le_bytes();
        let id = PeerId(u16::from_le_bytes([low, high]));
        let place = self.places.get(id.slot())?;
        (place.taken && place.generation == generation).then_some(id)
    }

    /// The 24 bits that a tunnel of `id` puts above its session number.
    pub fn tunnel_index(&self, id: PeerId) -> u32 {
        let generation = self.places.get(id.slot()).map_or(0, |place| place.generation);
        (u32::from(generation) << 16) | u32::from(id.0)
    }

    /// Every peer, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&PublicKey, PeerId)> {
        self.by_key.iter().map(|(key, id)| (key, *id))
    }
}
