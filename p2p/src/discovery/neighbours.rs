//! With whom a member stays connected: everybody in a small mesh, a ring with chords in a large one.
//!
//! Members stand in a ring ordered by key. Each is connected with those 1, 3, 9, 27, … places to either side, and with a
//! few more of the nearest: seven to either side. So news crosses a mesh of 1,000 in about five steps, the graph stays
//! whole when many are off, and the wish is mutual: who is my neighbour has me as one.

use std::collections::BTreeSet;

use crate::identity::DeviceId;

/// Up to this many others, all are neighbours: a family with all its devices, whose keep-alives cost nothing.
const ALL: usize = 16;
/// In a larger mesh, at most so many to either side.
const SIDE: usize = 7;
/// Other admins that an admin stays connected with.
const FELLOWS: usize = 4;

/// The neighbours of `own` among `members` (which may or may not contain `own`).
pub fn neighbours(own: &DeviceId, members: impl Iterator<Item = DeviceId>) -> BTreeSet<DeviceId> {
    ring(own, members, ALL, steps)
}

/// The neighbours of an admin among the admins, besides: what one of them decides, all of them know soon.
pub fn fellow_admins(own: &DeviceId, admins: impl Iterator<Item = DeviceId>) -> BTreeSet<DeviceId> {
    ring(own, admins, FELLOWS, |_| BTreeSet::from([1, 2]))
}

fn ring(
    own: &DeviceId,
    members: impl Iterator<Item = DeviceId>,
    all: usize,
    steps: impl Fn(usize) -> BTreeSet<usize>,
) -> BTreeSet<DeviceId> {
    let others: BTreeSet<DeviceId> = members.filter(|device| device != own).collect();
    if others.len() <= all {
        return others;
    }
    let ring: Vec<DeviceId> = others.iter().copied().collect();
    // `own` stands before the first greater key; the ring without it has `ring.len()` places.
    let place = ring.partition_point(|device| device < own);
    let count = ring.len();
    let mut chosen = BTreeSet::new();
    for step in steps(count) {
        chosen.insert(ring[(place + step - 1) % count]);
        chosen.insert(ring[(place + count - step) % count]);
    }
    chosen
}

/// How many places away the neighbours are: powers of three up to half of the ring, then the nearest others.
fn steps(count: usize) -> BTreeSet<usize> {
    let half = count.div_ceil(2);
    let powers = std::iter::successors(Some(1usize), |step| step.checked_mul(3));
    let mut steps: BTreeSet<usize> = powers.take_while(|step| *step <= half).collect();
    for step in 1..=half {
        if steps.len() >= SIDE {
            break;
        }
        steps.insert(step);
    }
    steps
}
