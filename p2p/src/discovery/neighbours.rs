//! With whom a member stays connected: everybody in a small mesh, a ring with chords in a large one.
//!
//! Members stand in a ring ordered by key. Each is connected with those 1, 2, 4, 8, … places to either side, so news
//! crosses a mesh of 1,000 in about five steps, the graph stays whole when many are off, and the wish is mutual: who is
//! my neighbour has me as one.

use std::collections::BTreeSet;

use crate::identity::DeviceId;

/// Up to this many others, all are neighbours: a family with all its devices, whose keep-alives cost nothing.
const ALL: usize = 32;

/// The neighbours of `own` among `members` (which may or may not contain `own`).
pub fn neighbours(own: &DeviceId, members: impl Iterator<Item = DeviceId>) -> BTreeSet<DeviceId> {
    let others: BTreeSet<DeviceId> = members.filter(|device| device != own).collect();
    if others.len() <= ALL {
        return others;
    }
    let ring: Vec<DeviceId> = others.iter().copied().collect();
    // `own` stands before the first greater key; the ring without it has `ring.len()` places.
    let place = ring.partition_point(|device| device < own);
    let count = ring.len();
    let mut chosen = BTreeSet::new();
    let mut step = 1;
    while step <= count.div_ceil(2) {
        chosen.insert(ring[(place + step - 1) % count]);
        chosen.insert(ring[(place + count - step) % count]);
        step *= 2;
    }
    chosen
}
