//! The relay's side: which sessions there are, and whom they join.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Message, Output, Session, Why};
use crate::identity::DeviceId;

/// Sessions of one member through us: it keeps two relays for each peer it talks to.
const PER_MEMBER: usize = 64;
/// Sessions in all.
const ALL: usize = 1024;
/// An offer that is not taken up by then is void. The asker asks another relay after a second.
const OFFER: Duration = Duration::from_secs(10);
/// A session that neither end asks for any more ends after this time; they ask every four minutes.
pub(super) const UNWANTED: Duration = Duration::from_secs(600);
/// An end may be away for so long: a restart, a change of network.
pub(super) const AWAY: Duration = Duration::from_secs(60);
/// The same offer is not repeated to an end more often than this.
const REPEAT: Duration = Duration::from_secs(2);

/// What decides whether we may carry between two members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fitness {
    /// We relay at all.
    pub relaying: bool,
    /// Both are members that see each other.
    pub known: bool,
    /// Both are connected with us directly.
    pub connected: bool,
}

type Pair = [DeviceId; 2];

#[derive(Debug)]
struct Forwarded {
    session: Session,
    /// Whether each end has agreed, in the order of the pair.
    agreed: [bool; 2],
    /// When each end was last offered it.
    offered: [Option<Instant>; 2],
    /// Since when each end is away.
    away: [Option<Instant>; 2],
    began: Instant,
    wanted: Instant,
}

impl Forwarded {
    fn stands(&self) -> bool {
        self.agreed == [true; 2]
    }

    fn ends_at(&self) -> Instant {
        if !self.stands() {
            return self.began + OFFER;
        }
        let away = self.away.into_iter().flatten().min().map(|since| since + AWAY);
        away.into_iter().chain([self.wanted + UNWANTED]).min().unwrap_or(self.wanted)
    }
}

/// The sessions that we carry for others.
#[derive(Debug)]
pub struct Middle {
    /// Makes numbers that nobody can guess.
    secret: [u8; 32],
    count: u64,
    forwarded: BTreeMap<Pair, Forwarded>,
    /// Who asked for somebody that was not there, and when: a newcomer is known before it is connected.
    absent: BTreeMap<Pair, (DeviceId, Instant)>,
}

impl Middle {
    /// No sessions. `secret` must be known to nobody else and differ in each run.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret, count: 0, forwarded: BTreeMap::new(), absent: BTreeMap::new() }
    }

    /// How many sessions stand.
    pub fn count(&self) -> usize {
        self.forwarded.values().filter(|forwarded| forwarded.stands()).count()
    }

    /// Whether we forward for this member.
    pub fn serves(&self, member: &DeviceId) -> bool {
        self.forwarded.keys().any(|pair| pair.contains(member))
    }

    /// A member wants to reach another through us.
    pub fn open(
        &mut self,
        (from, peer): (DeviceId, DeviceId),
        fitness: Fitness,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Fitness { relaying, known, connected } = fitness;
        let refuse = |why| Output::Send(from, Message::Refuse { peer, why });
        if !relaying {
            return out.push(refuse(Why::NotRelaying));
        }
        if from == peer || !known {
            return out.push(refuse(Why::Unknown));
        }
        let pair = pair(from, peer);
        if !connected {
            self.absent.retain(|_, (_, at)| now < *at + OFFER);
            if self.absent.len() < ALL {
                self.absent.insert(pair, (from, now));
            }
            return out.push(refuse(Why::NotConnected));
        }
        if !self.forwarded.contains_key(&pair) {
            let of = |device| self.forwarded.keys().filter(|pair| pair.contains(&device)).count();
            if self.forwarded.len() >= ALL || of(from) >= PER_MEMBER || of(peer) >= PER_MEMBER {
                return out.push(refuse(Why::Full));
            }
            let session = self.number();
            let (agreed, offered, away) = ([false; 2], [None; 2], [None; 2]);
            let begun = Forwarded { session, agreed, offered, away, began: now, wanted: now };
            self.forwarded.insert(pair, begun);
        }
        let Some(forwarded) = self.forwarded.get_mut(&pair) else { return };
        forwarded.wanted = now;
        // Asking is agreeing.
        Self::agree(pair, forwarded, from, now, out);
    }

    /// An end takes up an offer.
    pub fn accept(&mut self, from: DeviceId, session: Session, now: Instant, out: &mut Vec<Output>) {
        if let Some((pair, forwarded)) = self.find(from, session)
            && !forwarded.agreed[side(pair, from)]
        {
            Self::agree(pair, forwarded, from, now, out);
        }
    }

    /// An end does not take up our offer of `peer`.
    pub fn decline(&mut self, from: DeviceId, peer: DeviceId, out: &mut Vec<Output>) {
        let pair = pair(from, peer);
        if let Some(forwarded) = self.forwarded.remove(&pair) {
            if forwarded.stands() {
                out.push(Output::ForwardEnded { session: forwarded.session });
            }
            out.push(Output::Send(peer, Message::Refuse { peer: from, why: Why::Declined }));
        }
    }

    /// An end is through with a session. False if it is none of its sessions.
    pub fn close(&mut self, from: DeviceId, session: Session, out: &mut Vec<Output>) -> bool {
        let Some((pair, _)) = self.find(from, session) else { return false };
        self.end(pair, Some(from), out);
        true
    }

    /// There is a new direct connection with a member. It may have restarted, and have forgotten what it had agreed to;
    /// and what we offered may be lost with the connection before.
    pub fn connected(&mut self, peer: DeviceId, now: Instant, out: &mut Vec<Output>) {
        for (pair, forwarded) in self.forwarded.iter_mut().filter(|(pair, _)| pair.contains(&peer)) {
            let side = side(*pair, peer);
            forwarded.away[side] = None;
            forwarded.offered[side] = None;
            if forwarded.agreed[1 - side] {
                offer(*pair, forwarded, side, now, out);
            }
        }
        let waited = |pair: &Pair, (from, at): &mut (DeviceId, Instant)| {
            pair.contains(&peer) && *from != peer && now < *at + OFFER
        };
        let waited: Vec<DeviceId> = self.absent.extract_if(.., waited).map(|(_, (from, _))| from).collect();
        for from in waited {
            let fitness = Fitness { relaying: true, known: true, connected: true };
            self.open((from, peer), fitness, now, out);
        }
    }

    /// The last direct connection with a member ended.
    pub fn disconnected(&mut self, peer: DeviceId, now: Instant) {
        for (pair, forwarded) in self.forwarded.iter_mut().filter(|(pair, _)| pair.contains(&peer)) {
            forwarded.away[side(*pair, peer)].get_or_insert(now);
        }
    }

    /// Ends what may not be any more.
    pub fn retain(&mut self, may: impl Fn(&DeviceId, &DeviceId) -> bool, out: &mut Vec<Output>) {
        self.absent.retain(|[a, b], _| may(a, b));
        let over: Vec<Pair> = self.forwarded.keys().filter(|[a, b]| !may(a, b)).copied().collect();
        for pair in over {
            self.end(pair, None, out);
        }
    }

    /// Ends what has lasted long enough.
    pub fn timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        let due = |(_, forwarded): &(&Pair, &Forwarded)| forwarded.ends_at() <= now;
        let over: Vec<Pair> = self.forwarded.iter().filter(due).map(|(pair, _)| *pair).collect();
        for pair in over {
            self.end(pair, None, out);
        }
    }

    /// When [`Self::timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.forwarded.values().map(Forwarded::ends_at).min()
    }

    fn agree(pair: Pair, forwarded: &mut Forwarded, from: DeviceId, now: Instant, out: &mut Vec<Output>) {
        let stood = forwarded.stands();
        let ours = side(pair, from);
        forwarded.agreed[ours] = true;
        if !forwarded.stands() {
            return offer(pair, forwarded, 1 - ours, now, out);
        }
        if !stood {
            out.push(Output::Forward { session: forwarded.session, between: pair });
        }
        // Whoever asked learns the number; the other may have forgotten it.
        offer(pair, forwarded, 0, now, out);
        offer(pair, forwarded, 1, now, out);
    }

    fn end(&mut self, pair: Pair, by: Option<DeviceId>, out: &mut Vec<Output>) {
        let Some(forwarded) = self.forwarded.remove(&pair) else { return };
        let session = forwarded.session;
        if forwarded.stands() {
            out.push(Output::ForwardEnded { session });
        }
        let others = pair.into_iter().filter(|end| Some(*end) != by);
        out.extend(others.map(|end| Output::Send(end, Message::Close { session })));
    }

    fn find(&mut self, from: DeviceId, session: Session) -> Option<(Pair, &mut Forwarded)> {
        let mut all = self.forwarded.iter_mut();
        all.find(|(pair, forwarded)| forwarded.session == session && pair.contains(&from))
            .map(|(pair, forwarded)| (*pair, forwarded))
    }

    fn number(&mut self) -> Session {
        self.count += 1;
        let hash = blake3::keyed_hash(&self.secret, &self.count.to_le_bytes());
        u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("32 bytes have 8"))
    }
}

fn pair(a: DeviceId, b: DeviceId) -> Pair {
    if a < b { [a, b] } else { [b, a] }
}

fn side(pair: Pair, device: DeviceId) -> usize {
    usize::from(pair[1] == device)
}

fn offer(pair: Pair, forwarded: &mut Forwarded, side: usize, now: Instant, out: &mut Vec<Output>) {
    if forwarded.offered[side].is_some_and(|at| now < at + REPEAT) {
        return;
    }
    forwarded.offered[side] = Some(now);
    let message = Message::Offer { peer: pair[1 - side], session: forwarded.session };
    out.push(Output::Send(pair[side], message));
}
