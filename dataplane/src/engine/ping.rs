//! ICMP echo through the tunnel: what `warren ping` measures is the way a packet takes, kernel to kernel.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::packet::icmp::{self, EchoReply};
use crate::wg::{PeerId, PublicKey};

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many may be under way: a burst of one a second to each of 20 peers, and room.
const MAX_PENDING: usize = 256;

/// Pings under way.
#[derive(Debug)]
pub(super) struct Pings {
    /// Tells our echoes from those of programs on this machine, together with the token in the payload.
    identifier: u16,
    sequence: u16,
    pending: BTreeMap<u16, Pending>,
}

#[derive(Debug)]
struct Pending {
    peer: PeerId,
    key: PublicKey,
    token: u64,
    sent: Instant,
}

/// A ping that has come to its end.
pub(super) struct Finished {
    pub(super) key: PublicKey,
    pub(super) token: u64,
    pub(super) rtt: Duration,
}

impl Pings {
    pub(super) const fn new(seed: u64) -> Self {
        let [.., a, b] = seed.to_le_bytes();
        Self { identifier: u16::from_le_bytes([a, b]), sequence: 0, pending: BTreeMap::new() }
    }

    /// Write an echo request into `out`. False: too many are under way.
    pub(super) fn begin(
        &mut self,
        (peer, key, token): (PeerId, PublicKey, u64),
        (from, to): (IpAddr, IpAddr),
        out: &mut Vec<u8>,
        now: Instant,
    ) -> bool {
        self.sequence = self.sequence.wrapping_add(1);
        if self.pending.len() >= MAX_PENDING || self.pending.contains_key(&self.sequence) {
            return false;
        }
        let written = icmp::echo_request(from, to, self.identifier, self.sequence, &token.to_be_bytes(), out);
        if written {
            self.pending.insert(self.sequence, Pending { peer, key, token, sent: now });
        }
        written
    }

    /// If `reply` from `peer` answers a ping of ours, the ping is over.
    pub(super) fn finish(&mut self, peer: PeerId, reply: &EchoReply<'_>, now: Instant) -> Option<Finished> {
        let pending = self.pending.get(&reply.sequence)?;
        let ours = reply.identifier == self.identifier
            && pending.peer == peer
            && reply.payload == pending.token.to_be_bytes();
        if !ours {
            return None;
        }
        let pending = self.pending.remove(&reply.sequence)?;
        let rtt = now.saturating_duration_since(pending.sent);
        Some(Finished { key: pending.key, token: pending.token, rtt })
    }

    /// When the next ping is given up.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.sent + TIMEOUT).min()
    }

    /// A ping that is given up now.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Finished> {
        self.take(|pending| now.saturating_duration_since(pending.sent) >= TIMEOUT)
    }

    /// A ping whose peer is gone.
    pub(super) fn abandon(&mut self, peer: PeerId) -> Option<Finished> {
        self.take(|pending| pending.peer == peer)
    }

    fn take(&mut self, over: impl Fn(&Pending) -> bool) -> Option<Finished> {
        let sequence =
            self.pending.iter().find(|(_, pending)| over(pending)).map(|(sequence, _)| *sequence)?;
        let pending = self.pending.remove(&sequence)?;
        Some(Finished { key: pending.key, token: pending.token, rtt: Duration::ZERO })
    }
}
