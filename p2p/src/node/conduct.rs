//! Members that broke the protocol, and until when they are cut off.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::identity::DeviceId;

/// The first time; a broken version of the software should not need a day to recover after its update.
const FIRST: Duration = Duration::from_secs(30);
/// The longest time.
const LONGEST: Duration = Duration::from_secs(3600);

/// Strikes against members. They are never taken back while we run: whoever does it again waits twice as long.
#[derive(Debug, Default)]
pub(super) struct Conduct(BTreeMap<DeviceId, Record>);

#[derive(Debug, Default)]
struct Record {
    strikes: u32,
    until: Option<Instant>,
}

impl Conduct {
    /// One more strike; cut off for twice as long as last time. More of the same meanwhile counts once.
    pub(super) fn strike(&mut self, peer: DeviceId, now: Instant) {
        let record = self.0.entry(peer).or_default();
        if record.until.is_none() {
            let doubled = FIRST.saturating_mul(1u32.checked_shl(record.strikes).unwrap_or(u32::MAX));
            record.until = Some(now + doubled.min(LONGEST));
            record.strikes = record.strikes.saturating_add(1);
        }
    }

    pub(super) fn is_cut_off(&self, peer: &DeviceId) -> bool {
        self.0.get(peer).is_some_and(|record| record.until.is_some())
    }

    pub(super) fn strikes(&self, peer: &DeviceId) -> u32 {
        self.0.get(peer).map_or(0, |record| record.strikes)
    }

    /// Whose time is over.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<DeviceId> {
        let mut forgiven = Vec::new();
        for (peer, record) in &mut self.0 {
            if record.until.is_some_and(|until| until <= now) {
                record.until = None;
                forgiven.push(*peer);
            }
        }
        forgiven
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.0.values().filter_map(|record| record.until).min()
    }
}
