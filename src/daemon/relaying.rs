//! Which members still need their relays.
//!
//! A relay session costs the relay a place and three members a message every few minutes, so it ends when packets have
//! gone directly for a while, or when there have been none. Until then it is the way back when the direct path dies.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use warren_p2p::identity::DeviceId;

/// A direct path that has held for so long does not need a relay beside it.
const DIRECT: Duration = Duration::from_secs(120);
/// A member that no packet went to or came from for so long needs no path at all.
const IDLE: Duration = Duration::from_secs(600);

/// What is known of the packets of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traffic {
    /// For how long they have gone without a relay; none while they do not.
    pub(super) direct: Option<Duration>,
    /// Bytes in both directions.
    pub(super) bytes: u64,
}

/// The members that have relays, the bytes they had last, and since when there were no more.
#[derive(Debug, Default)]
pub(super) struct Relayed(BTreeMap<DeviceId, Option<(u64, Instant)>>);

impl Relayed {
    /// A member has a relay.
    pub(super) fn add(&mut self, peer: DeviceId) {
        self.0.entry(peer).or_default();
    }

    /// Those that need none any more, each told once.
    pub(super) fn review(
        &mut self,
        traffic: impl Fn(&DeviceId) -> Option<Traffic>,
        now: Instant,
    ) -> Vec<DeviceId> {
        let mut unneeded = Vec::new();
        self.0.retain(|peer, last| {
            let Some(Traffic { direct, bytes }) = traffic(peer) else { return false };
            let since = match last {
                Some((before, since)) if *before == bytes => *since,
                Some(_) | None => now,
            };
            *last = Some((bytes, since));
            let over = direct.is_some_and(|time| time >= DIRECT) || now.duration_since(since) >= IDLE;
            if over {
                unneeded.push(*peer);
            }
            !over
        });
        unneeded
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::monotonic;
    use super::*;

    fn peer() -> DeviceId {
        warren_p2p::identity::Identity::generate([1; 32]).device_id()
    }

    #[test]
    fn a_relay_is_kept_until_the_direct_path_has_held() {
        let (mut relayed, now) = (Relayed::default(), monotonic());
        relayed.add(peer());
        let mut review = |direct: Option<u64>, bytes, after| {
            let traffic = Traffic { direct: direct.map(Duration::from_secs), bytes };
            relayed.review(|_| Some(traffic), now + Duration::from_secs(after))
        };
        assert!(review(None, 10, 0).is_empty());
        assert!(review(Some(119), 20, 500).is_empty());
        assert_eq!(review(Some(120), 30, 501), [peer()]);
        assert!(review(Some(200), 30, 600).is_empty(), "told once");
    }

    #[test]
    fn a_relay_without_packets_goes_after_ten_minutes() {
        let (mut relayed, now) = (Relayed::default(), monotonic());
        relayed.add(peer());
        let mut review = |bytes, after| {
            let traffic = Traffic { direct: None, bytes };
            relayed.review(|_| Some(traffic), now + Duration::from_secs(after))
        };
        assert!(review(10, 0).is_empty());
        assert!(review(10, 599).is_empty());
        assert!(review(11, 600).is_empty());
        assert_eq!(review(11, 1200), [peer()]);
    }
}
