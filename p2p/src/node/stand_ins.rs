//! Members that stand in for neighbours that are off.
//!
//! In a large mesh a member is connected with its neighbours in the ring. Where many members are off, all of them may
//! be: such a member would hear of nothing and could not be found, though it knows of others that are on, its witness
//! for one. So while it has hardly any neighbours, it calls a few others as well, first those that answered last, and
//! others every minute until somebody does.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{Node, Now};
use crate::identity::DeviceId;

/// With fewer connected neighbours than this, others stand in for them: the one that is left may be the next to go.
const ENOUGH: usize = 2;
/// How many do: the dialling budget allows ten addresses in half a minute, and neighbours come back too.
const STAND_INS: usize = 4;

impl Node {
    /// Whom to be connected with beside these neighbours.
    pub(super) fn stand_ins(&self, neighbours: &BTreeSet<DeviceId>) -> Vec<DeviceId> {
        let connected = neighbours.iter().filter(|device| self.is_direct(device)).count();
        if connected >= ENOUGH.min(neighbours.len()) {
            return Vec::new();
        }
        let roster = self.log.roster();
        let known = |device: &&DeviceId| {
            **device != self.own
                && !neighbours.contains(device)
                && roster.sees(&self.own, device)
                && !self.book.of(device).is_empty()
        };
        let mut others: Vec<DeviceId> = roster.members().keys().filter(known).copied().collect();
        let answered = |device: &DeviceId| {
            let best = self.book.of(device).first();
            best.map(|remembered| (remembered.succeeded, remembered.heard))
        };
        others.sort_by_key(|device| Reverse((self.is_direct(device), answered(device))));
        let stand = others.iter().filter(|device| self.is_direct(device)).count();
        // Those who answer stay; of the rest, others take their turn.
        if let Some(rest) = others.get_mut(stand..).filter(|rest| !rest.is_empty()) {
            let turn = self.stand_in_round.saturating_mul(STAND_INS) % rest.len();
            rest.rotate_left(turn);
        }
        others.truncate(STAND_INS);
        others
    }

    /// A minute has passed: whoever has not answered makes room for others.
    pub(super) fn next_stand_ins(&mut self, now: Now) {
        self.stand_in_round = self.stand_in_round.wrapping_add(1);
        self.set_targets(now);
    }
}
