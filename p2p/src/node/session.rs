//! What we know about one connected member.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{ConnectionKey, SessionId};
use crate::{membership::Message, record::Grants};

/// A connection older than this is not the other half of a simultaneous call, since handshakes are given 5 s (QUIC)
/// and the peer called again: for the peer it is dead.
const OLD: Duration = Duration::from_secs(5);

/// Greetings that a peer may send in a minute. Each may hold 64 signatures to check; an honest one says hello when it
/// connects and when its addresses or grants change.
const GREETINGS: u32 = 60;
const GREETINGS_EVERY: Duration = Duration::from_secs(60);

/// One connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) address: SocketAddr,
    pub(super) since: Instant,
    /// Somebody else could call the peer there: we did, or it calls from its shared socket.
    pub(super) callable: bool,
}

/// From the first connection with a member to the last.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) links: BTreeMap<ConnectionKey, Link>,
    /// A `Hello` is on its way.
    pub(super) greeting: bool,
    /// Something changed while it was.
    pub(super) greet_again: bool,
    /// Greetings that the peer may still send, and since when they are counted.
    greetings: (u32, Option<Instant>),
    /// A message of the record exchange that is on its way.
    pub(super) telling: Option<Message>,
    /// How often in a row that failed.
    pub(super) failures: u32,
    /// Those that follow.
    pub(super) queue: VecDeque<Message>,
    pub(super) round_trip: Option<Duration>,
    pub(super) candidates: Vec<SocketAddr>,
    pub(super) grants_theirs: Option<Grants>,
    pub(super) clock_skew_ms: Option<i64>,
    pub(super) skew_told: bool,
}

impl Session {
    pub(super) fn new(id: SessionId) -> Self {
        Self {
            id,
            links: BTreeMap::new(),
            greeting: false,
            greet_again: false,
            greetings: (GREETINGS, None),
            telling: None,
            failures: 0,
            queue: VecDeque::new(),
            round_trip: None,
            candidates: Vec::new(),
            grants_theirs: None,
            clock_skew_ms: None,
            skew_told: false,
        }
    }

    /// The connections that a new one replaces.
    pub(super) fn supersede(&self, now: Instant) -> Vec<ConnectionKey> {
        let old = |link: &Link| now.duration_since(link.since) >= OLD;
        self.links.iter().filter(|(_, link)| old(link)).map(|(key, _)| *key).collect()
    }

    /// Counts a greeting; `false` when there were too many.
    pub(super) fn allow_greeting(&mut self, now: Instant) -> bool {
        let (left, since) = &mut self.greetings;
        let begun = *since.get_or_insert(now);
        if now.duration_since(begun) >= GREETINGS_EVERY {
            *left = GREETINGS;
            *since = Some(now);
        }
        let allowed = *left > 0;
        *left = left.saturating_sub(1);
        allowed
    }

    /// Whether the peer is on this very machine, as far as we see.
    pub(super) fn on_loopback(&self) -> bool {
        self.links.values().any(|link| link.address.ip().is_loopback())
    }
}
