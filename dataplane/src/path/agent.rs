//! The agent of one peer: its inputs and outputs. What to send when is in `schedule.rs`, which pair to use in `choice.rs`.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::Attempts;
use super::budget::Bucket;
use super::candidate::usable;
use super::keepalive::KeepAlive;
use super::pair::Pair;
use super::probe::{Codec, LEN, Message, ProbeError, ProbeKey};
use super::random::Random;
use super::ration::Ration;
use super::replay::{Freshness, Sessions};
use super::schedule::Search;
use super::{Event, PathInfo, Room, Route, Transmit};

/// Pings: three rounds to a full list of candidates at once, then 40/s; a search over six candidates stays within it.
const PINGS: (u32, u32) = (96, 40);
/// Pongs: what the peer's own budget lets it ask for.
const PONGS: (u32, u32) = (128, 48);
/// Pongs to pings that may be replays: enough for the first rounds of an honest peer.
const FIRST_CONTACTS: (u32, u32) = (48, 16);
/// A ping of the peer is answered by one of ours, unless one left for there this short a time ago.
const TRIGGER_SPACING: Duration = Duration::from_millis(50);
/// A pair heard within this time needs no successor because a packet came from elsewhere.
pub(crate) const HEALTHY: Duration = Duration::from_secs(1);
/// A clock that is this late at a deadline jumped, or slept: what was under way then is no evidence.
const JUMP: Duration = Duration::from_secs(10);
/// Traffic that rested this long and wants the peer again gets a round at once.
const FRESH_WANT: Duration = Duration::from_secs(15);
/// Events nobody fetched; the oldest go.
const MAX_EVENTS: usize = 16;

/// Finds and keeps the best way to one peer. See the module's page.
pub struct Agent {
    pub(super) codec: Codec,
    pub(super) random: Random,
    /// This run of ours on this network, in the pings.
    pub(super) session: u64,
    pub(super) sequence: u64,
    /// The challenge the peer handed us last.
    pub(super) proof: u64,
    sessions: Sessions,
    /// Which of the two keeps an idle path alive.
    pub(super) ours_is_smaller: bool,

    pub(super) pairs: Vec<Pair>,
    /// The longest datagram that is of any use; 0 until that is known.
    pub(super) full_size: u16,
    /// What fits the active pair.
    pub(super) room: Option<Room>,
    /// How long an idle path may be silent.
    pub(super) keep_alive: KeepAlive,
    /// The networks of this machine's interfaces.
    pub(super) networks: Arc<[(IpAddr, u8)]>,
    /// Where WireGuard sends.
    pub(super) active: Option<Route>,
    /// Since when `active` is what it is.
    pub(super) active_since: Instant,
    pub(super) challenger: Option<super::choice::Challenger>,
    /// The verified path last told.
    pub(super) info: Option<PathInfo>,
    pub(super) search: Option<Search>,
    pub(super) attempts: Attempts,
    pub(super) ration: Ration,
    /// When the last burst began,
    pub(super) last_burst: Instant,
    /// and how long after it signalling alone may begin another.
    pub(super) patience: Duration,
    /// When the peer last told its candidates: somebody over there or here wants a path.
    pub(super) signalled_at: Option<Instant>,
    /// The last packet that wanted the peer.
    pub(super) wanted_at: Option<Instant>,
    /// The last packet in either direction.
    pub(super) used_at: Option<Instant>,
    /// When it was last said that the path is needed as it is.
    pub(super) kept_at: Option<Instant>,
    /// The first packet sent since the peer was last heard on the active pair.
    pub(super) waiting_since: Option<Instant>,
    /// When the active pair began to miss answers, and all others were asked.
    pub(super) silent_since: Option<Instant>,

    pub(super) pings: Bucket,
    pongs: Bucket,
    first_contacts: Bucket,
    pub(super) transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    /// Own budget or queue used up until then.
    pub(super) blocked_until: Option<Instant>,
    /// The next ping of a test of sizes.
    pub(super) sizes_at: Option<Instant>,
    pub(super) deadline: Option<Instant>,
}

impl Agent {
    /// An agent without candidates. `ours_is_smaller` must differ on the two sides (compare the public keys); `seed` must differ in each run.
    #[must_use]
    pub fn new(key: ProbeKey, ours_is_smaller: bool, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(&key, seed);
        let bucket = |(capacity, per_second)| Bucket::new(capacity, per_second, now);
        Self {
            codec: Codec::new(&key, ours_is_smaller),
            session: random.next(),
            sessions: Sessions::new(random.next()),
            random,
            sequence: 0,
            proof: 0,
            ours_is_smaller,
            pairs: Vec::new(),
            full_size: 0,
            room: None,
            keep_alive: KeepAlive::new(),
            networks: Arc::default(),
            active: None,
            active_since: now,
            challenger: None,
            info: None,
            search: None,
            attempts: Attempts::default(),
            ration: Ration::default(),
            last_burst: now,
            patience: Duration::ZERO,
            signalled_at: None,
            wanted_at: None,
            used_at: None,
            kept_at: None,
            waiting_since: None,
            silent_since: None,
            pings: bucket(PINGS),
            pongs: bucket(PONGS),
            first_contacts: bucket(FIRST_CONTACTS),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            blocked_until: None,
            sizes_at: None,
            deadline: None,
        }
    }

    /// The tag of the probes that are for this agent.
    #[must_use]
    pub fn tag_in(&self) -> [u8; 8] {
        self.codec.tag_in()
    }

    /// Where WireGuard should send; not verified yet right after roaming.
    #[must_use]
    pub fn best(&self) -> Option<Route> {
        self.active
    }

    /// The verified path in use.
    #[must_use]
    pub fn info(&self) -> Option<PathInfo> {
        self.info
    }

    /// When [`Self::handle_timeout`] wants to be called. Changes with every input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// The next probe to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.run(now);
    }

    /// The addresses the peer tells of itself, best guess first; they replace those told before. What has proved itself stays.
    /// Told again without news and without a path, they begin a short burst, less and less often.
    pub fn set_candidates(&mut self, candidates: &[SocketAddr], now: Instant) {
        self.advance(now);
        let news = self.replace_told(candidates, now);
        self.signalled_at = Some(now);
        self.note_targets(candidates, now);
        let is_stale = self.active.is_some_and(|active| self.is_stale(active, now));
        if is_stale && self.may_search_again(now) {
            self.forget_all();
            self.start_search(now);
        } else if news {
            self.start_search(now);
        } else if self.is_roundabout() && !self.pairs.is_empty() && self.may_search_again(now) {
            self.search_again(now);
        }
        // The peer may signal because it does not hear us any more.
        self.doubt_active(now);
        self.run(now);
    }

    /// The networks that this machine's interfaces are in, as an address and its prefix length in bits. If a path becomes
    /// another kind by that, its next pong tells.
    pub fn set_local_networks(&mut self, networks: Arc<[(IpAddr, u8)]>) {
        self.networks = networks;
    }

    /// A packet waits for the peer, or was just sent to it. Cheap enough for every packet.
    pub fn want(&mut self, now: Instant) {
        self.advance(now);
        let rested = self.wanted_at.is_none_or(|at| at + FRESH_WANT <= now);
        if self.waiting_since.is_none() {
            self.end_silence(now);
        }
        self.wanted_at = Some(now);
        self.used_at = Some(now);
        if self.waiting_since.is_some() && !rested {
            return;
        }
        self.waiting_since.get_or_insert(now);
        match self.active {
            None if self.search.is_none() && !self.pairs.is_empty() => self.start_search(now),
            None if rested => {
                self.hurry(now);
                self.ask_all();
            }
            // Kept alive no longer: it may be gone, so the others are asked too, and it answers soonest if it lives.
            Some(active) if rested && self.is_stale(active, now) => {
                self.ask_all();
            }
            Some(_) | None => {}
        }
        self.run(now);
    }

    /// A WireGuard packet of this peer came from `from` and was authentic. Cheap when it came over the active pair.
    pub fn handle_authenticated_packet(&mut self, from: Route, now: Instant) {
        self.advance(now);
        let Some(from) = from.usable() else { return };
        self.used_at = Some(now);
        let Some(active) = self.active else {
            self.learn(from, now);
            self.activate(from, now);
            self.run(now);
            return;
        };
        let known = self.pair_at(from).map(|pair| {
            pair.heard = Some(now);
            (pair.verified.is_some(), pair.distrusted_until.is_some_and(|until| until > now))
        });
        if from == active {
            self.waiting_since = None;
            self.silent_since = None;
            self.keep_alive.heard(from, false, now);
            return;
        }
        match known {
            // A detour is no address that the peer moved to.
            _ if from.address().is_none() && self.info.is_some() => {
                if matches!(known, Some((false, _))) {
                    self.ask(from);
                }
                self.doubt_active(now);
            }
            // The peer uses another of its addresses; that is its choice. Ours stands while it carries, so ask it.
            Some((true, _)) => self.doubt_active(now),
            Some((false, true)) => {}
            Some((false, false)) if self.was_heard_within(active, HEALTHY, now) => {
                self.ask(from);
                self.doubt_active(now);
            }
            Some((false, false)) | None => {
                self.learn(from, now);
                self.activate(from, now);
            }
        }
        self.run(now);
    }

    /// A datagram that [`super::probe::peek`] gave our tag for.
    ///
    /// # Errors
    ///
    /// Says why it was refused; then it changed nothing.
    pub fn handle_probe(&mut self, from: Route, datagram: &[u8], now: Instant) -> Result<(), ProbeError> {
        let from = from.usable().ok_or(ProbeError::UnusableSource)?;
        match self.codec.decode(datagram)? {
            Message::Ping { transaction, session, sequence, challenge, size } => {
                let random = &mut self.random;
                let before = self.sessions.current();
                let freshness = self.sessions.judge(session, sequence, challenge, || random.next());
                let is_another = before.is_some_and(|before| self.sessions.current() != Some(before));
                let bucket = match freshness {
                    Freshness::Fresh => &mut self.pongs,
                    Freshness::Unproven => &mut self.first_contacts,
                    Freshness::Replayed => return Err(ProbeError::Replayed),
                };
                if !bucket.take(now) {
                    return Err(ProbeError::OverBudget);
                }
                self.advance(now);
                let challenge = self.sessions.challenge_for(session);
                self.send(from, &Message::Pong { transaction, challenge, seen: from.seen(), size });
                if is_another {
                    self.begin_anew(now);
                }
                if freshness == Freshness::Fresh {
                    self.handle_fresh_ping(from, now);
                }
            }
            Message::Pong { transaction, challenge, seen, size } => {
                self.learn_guessed(from, transaction, now);
                let pair = self.pair_at(from).ok_or(ProbeError::Unsolicited)?;
                let seen_before = pair.verified.as_ref().map(|verified| verified.seen);
                let is_answer = if usize::from(size) == LEN {
                    pair.answered(transaction, seen, now)
                } else {
                    pair.answered_size(transaction, size, now)
                };
                if !is_answer {
                    return Err(ProbeError::Unsolicited);
                }
                self.keep_alive.heard(from, seen_before.is_some_and(|before| before != seen), now);
                self.advance(now);
                // Tell the peer at once that we are no replay: it believes nothing of us before.
                if std::mem::replace(&mut self.proof, challenge) != challenge {
                    self.ask(from);
                }
                // What an extra socket looks like from outside is of no use to anybody else.
                let is_shared = !matches!(from, Route::Udp { socket: 1.., .. });
                if seen_before != Some(seen) && is_shared && usable(seen).is_some() {
                    self.push_event(Event::Observed(seen));
                }
                self.handle_pong(from, now);
            }
        }
        self.run(now);
        Ok(())
    }

    fn handle_fresh_ping(&mut self, from: Route, now: Instant) {
        self.learn(from, now);
        if let Some(pair) = self.pair_at(from) {
            pair.pinged = Some(now);
            let unverified = pair.verified.is_none();
            let rested = pair.last_sent.is_none_or(|at| at + TRIGGER_SPACING <= now);
            // RFC 8445 section 7.3.1.4, triggered checks.
            pair.pending |= unverified && rested;
        }
        match self.active {
            None if self.search.is_none() => self.start_search(now),
            // It may call from a new mapping of its router, which has forgotten the old one.
            Some(active) if active != from => self.doubt_active(now),
            Some(_) | None => {}
        }
    }

    pub(super) fn push_event(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Notices a clock that jumped.
    pub(super) fn advance(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline + JUMP) {
            return;
        }
        for pair in &mut self.pairs {
            pair.forgive();
        }
        self.keep_alive.forgive();
        self.waiting_since = None;
        self.silent_since = None;
        self.challenger = None;
        self.ask_all();
        self.deadline = None;
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("best", &self.active).field("info", &self.info).finish_non_exhaustive()
    }
}
