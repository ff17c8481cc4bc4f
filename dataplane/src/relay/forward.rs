//! The sessions that we relay: who is at their ends, and what passed.

use std::collections::BTreeMap;
use std::time::Instant;

use super::quota::{Exceeded, Meter, Quota};
use crate::wg::{PeerId, PublicKey};

/// Sessions at most: 20 peers that all need us for each other, and room.
const MAX_SESSIONS: usize = 1024;

/// What we relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// Bytes of frames since the start, ended sessions included.
    pub bytes: u64,
    /// Datagrams since the start.
    pub packets: u64,
    /// The sessions of now.
    pub sessions: Vec<SessionReport>,
}

/// One session that we relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// Its number.
    pub session: u64,
    /// Its ends.
    pub between: [PublicKey; 2],
    /// Bytes of frames that passed, both ways.
    pub bytes: u64,
    /// Datagrams that passed, both ways.
    pub packets: u64,
}

/// Why a session was not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Its number belongs to two others.
    Taken,
    /// There are too many.
    Full,
}

#[derive(Debug)]
struct Session {
    ends: [(PeerId, PublicKey); 2],
    bytes: u64,
    packets: u64,
}

/// All sessions that we relay, and what each peer used.
#[derive(Debug, Default)]
pub(crate) struct Forwards {
    sessions: BTreeMap<u64, Session>,
    meters: BTreeMap<PeerId, Meter>,
    quota: Quota,
    bytes: u64,
    packets: u64,
}

impl Forwards {
    /// Take up a session. Told again it goes on.
    pub(crate) fn add(&mut self, session: u64, ends: [(PeerId, PublicKey); 2]) -> Result<(), Refused> {
        match self.sessions.get(&session) {
            Some(known) if ends.iter().all(|end| known.ends.contains(end)) => return Ok(()),
            Some(_) => return Err(Refused::Taken),
            None if self.sessions.len() >= MAX_SESSIONS => return Err(Refused::Full),
            None => {}
        }
        self.sessions.insert(session, Session { ends, bytes: 0, packets: 0 });
        Ok(())
    }

    /// End a session.
    pub(crate) fn remove(&mut self, session: u64) {
        self.sessions.remove(&session);
    }

    /// End all sessions of a peer that is gone.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        self.sessions.retain(|_, session| session.ends.iter().all(|(end, _)| *end != peer));
        self.meters.remove(&peer);
    }

    /// What each peer may send through us from now on.
    pub(crate) fn set_quota(&mut self, quota: Quota, now: Instant) {
        self.quota = quota;
        self.meters.values_mut().for_each(|meter| meter.set_quota(quota, now));
    }

    /// The ends of a session.
    pub(crate) fn ends(&self, session: u64) -> Option<[PeerId; 2]> {
        self.sessions.get(&session).map(|session| session.ends.map(|(end, _)| end))
    }

    /// Counts a frame of `bytes` bytes that `sender` sends, if it may.
    pub(crate) fn pass(
        &mut self,
        session: u64,
        sender: PeerId,
        bytes: usize,
        now: Instant,
    ) -> Result<(), Exceeded> {
        let quota = self.quota;
        self.meters.entry(sender).or_insert_with(|| Meter::new(quota, now)).take(bytes, now)?;
        let length = bytes as u64;
        if let Some(session) = self.sessions.get_mut(&session) {
            session.bytes = session.bytes.saturating_add(length);
            session.packets = session.packets.saturating_add(1);
        }
        self.bytes = self.bytes.saturating_add(length);
        self.packets = self.packets.saturating_add(1);
        Ok(())
    }

    /// What passed.
    pub(crate) fn report(&self) -> Forwarding {
        let of = |(number, session): (&u64, &Session)| SessionReport {
            session: *number,
            between: session.ends.map(|(_, key)| key),
            bytes: session.bytes,
            packets: session.packets,
        };
        let sessions = self.sessions.iter().map(of).collect();
        Forwarding { bytes: self.bytes, packets: self.packets, sessions }
    }
}
