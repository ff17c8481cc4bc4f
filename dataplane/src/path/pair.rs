//! One pair: what was sent to an address, what came back, and how long that took.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::Route;
use super::candidate::Source;
use super::detour::Detour;
use super::mtu::Mtu;
use super::score::{Kind, Score};

/// A ping is waited for at least this long before it counts as unanswered, and at least twice the round trip.
const MIN_PATIENCE: Duration = Duration::from_millis(300);
/// For this long where it must prove itself anew, since a network has changed: it probably leads nowhere now.
const ANEW_PATIENCE: Duration = Duration::from_millis(100);
/// It is never waited for longer: a round trip above half of this was measured over a sleep, or is of no use.
const MAX_PATIENCE: Duration = Duration::from_secs(3);
/// Pings without an answer that are remembered: the search's 20 of 2 s and as many again.
const MAX_OUTSTANDING: usize = 40;
/// After this time a pong is no longer taken: no path worth having is that slow.
const PING_LIFETIME: Duration = Duration::from_secs(15);
/// A round trip older than this says nothing of now and is replaced rather than smoothed.
const RTT_STALE: Duration = Duration::from_secs(10);
/// So many unanswered pings make a pair unfit to be chosen.
const UNFIT_MISSES: usize = 3;

/// A way to the peer, and what is known of it.
pub(crate) struct Pair {
    pub(crate) route: Route,
    pub(crate) source: Source,
    /// What stands between, where the route is no address. Without it such a pair carries nothing.
    pub(crate) detour: Option<Detour>,
    /// A ping is owed as soon as the budget allows.
    pub(crate) pending: bool,
    /// When a ping was sent last.
    pub(crate) last_sent: Option<Instant>,
    /// When the peer last showed that the pair carries its packets: a pong or an authenticated packet.
    pub(crate) heard: Option<Instant>,
    /// When a fresh ping of the peer came over it; our pong keeps both NATs open as well as a ping of ours.
    pub(crate) pinged: Option<Instant>,
    /// The last pong.
    pub(crate) verified: Option<Verified>,
    /// Which sizes pass.
    pub(crate) mtu: Mtu,
    /// A packet from here did not prove a path; until then, packets alone do not move us here again.
    pub(crate) distrusted_until: Option<Instant>,
    /// When it was last left because it had fallen silent.
    pub(crate) failed_at: Option<Instant>,
    /// Pings sent since the last pong.
    pub(crate) unanswered_pings: u32,
    outstanding: VecDeque<(u64, Instant)>,
    /// The last round trip, which is remembered when the path is not.
    last_rtt: Duration,
}

/// What the pongs of a pair told.
#[derive(Clone, Copy)]
pub(crate) struct Verified {
    /// When the last pong came.
    pub(crate) at: Instant,
    /// Our address as the peer saw it.
    pub(crate) seen: SocketAddr,
    /// Smoothed round trip.
    pub(crate) rtt: Duration,
    /// Pongs since verification.
    pub(crate) pongs: u32,
}

impl Pair {
    pub(crate) fn new(route: Route, source: Source, full_size: u16) -> Self {
        Self {
            route,
            source,
            detour: None,
            pending: false,
            last_sent: None,
            heard: None,
            pinged: None,
            verified: None,
            mtu: Mtu::new(full_size),
            distrusted_until: None,
            failed_at: None,
            unanswered_pings: 0,
            outstanding: VecDeque::new(),
            last_rtt: Duration::ZERO,
        }
    }

    /// A ping was sent.
    pub(crate) fn sent(&mut self, transaction: u64, now: Instant) {
        while self.outstanding.len() >= MAX_OUTSTANDING
            || self.outstanding.front().is_some_and(|(_, sent)| *sent + PING_LIFETIME <= now)
        {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back((transaction, now));
        self.unanswered_pings = self.unanswered_pings.saturating_add(1);
        self.last_sent = Some(now);
        self.pending = false;
    }

    /// A pong came. False if it answers no ping of ours, or one that came too late to matter.
    pub(crate) fn answered(&mut self, transaction: u64, seen: SocketAddr, now: Instant) -> bool {
        let Some(index) = self.outstanding.iter().position(|(id, _)| *id == transaction) else {
            return false;
        };
        let sent = self.outstanding[index].1;
        // Those before it are lost, or their pongs are overtaken and tell nothing new.
        self.outstanding.drain(..=index);
        if sent + PING_LIFETIME <= now {
            return false;
        }
        let sample = now - sent;
        let (rtt, pongs) = match &self.verified {
            Some(before) if before.at + RTT_STALE > now => {
                ((before.rtt * 3 + sample) / 4, before.pongs.saturating_add(1))
            }
            Some(before) => (sample, before.pongs.saturating_add(1)),
            None => (sample, 1),
        };
        self.last_rtt = rtt;
        self.unanswered_pings = 0;
        self.verified = Some(Verified { at: now, seen, rtt, pongs });
        self.heard = Some(now);
        self.distrusted_until = None;
        true
    }

    /// A pong to a ping of a test came. False if it answers none.
    pub(crate) fn answered_size(&mut self, transaction: u64, size: u16, now: Instant) -> bool {
        let answers = self.mtu.answered(transaction, size, now);
        if answers {
            self.heard = Some(now);
        }
        answers
    }

    /// Nothing known of the pair holds any more: our network changed, or it died.
    pub(crate) fn forget(&mut self) {
        self.verified = None;
        self.distrusted_until = None;
        self.outstanding.clear();
        self.mtu.forget();
    }

    /// Pings under way are no evidence: the clock jumped over their answers.
    pub(crate) fn forgive(&mut self) {
        self.outstanding.clear();
        self.mtu.forgive();
    }

    /// Pings sent since the peer was last heard here that should have been answered by now.
    pub(crate) fn missed(&self, now: Instant) -> usize {
        let patience = self.patience();
        self.unanswered().take_while(|sent| *sent + patience <= now).count()
    }

    /// When [`Self::missed`] will next grow.
    pub(crate) fn next_miss(&self, now: Instant) -> Option<Instant> {
        let patience = self.patience();
        self.unanswered().map(|sent| sent + patience).find(|due| *due > now)
    }

    /// Whether a ping is under way that nothing was heard after.
    pub(crate) fn is_waiting(&self) -> bool {
        self.unanswered().next().is_some()
    }

    /// A detour that carries nothing at the moment.
    pub(crate) const fn is_closed(&self) -> bool {
        self.route.address().is_none() && self.detour.is_none()
    }

    /// When the peer last showed that it is there.
    pub(crate) fn proved_at(&self) -> Option<Instant> {
        self.heard.max(self.pinged).filter(|_| !self.is_closed())
    }

    /// Where it leads, as far as we can see.
    pub(crate) fn endpoint(&self) -> SocketAddr {
        self.detour.map_or_else(|| self.route.seen(), |detour| detour.endpoint)
    }

    /// Verified, and nothing speaks against it.
    pub(crate) fn is_fit(&self, now: Instant) -> bool {
        self.verified.is_some() && self.missed(now) < UNFIT_MISSES
    }

    /// What the pair is worth, once verified, on a machine with interfaces in these networks.
    pub(crate) fn score(&self, networks: &[(IpAddr, u8)]) -> Option<Score> {
        let verified = self.verified.as_ref()?;
        let kind = match self.route {
            Route::Udp { to, .. } => Kind::of(to, verified.seen, networks),
            Route::Relay { .. } | Route::Stream { .. } => self.detour.as_ref()?.kind,
        };
        Some(Score { kind, rtt: verified.rtt })
    }

    /// When anything was last sent or received on it, as far as probes know.
    pub(crate) fn last_touched(&self) -> Option<Instant> {
        self.heard.max(self.pinged).max(self.last_sent)
    }

    fn unanswered(&self) -> impl Iterator<Item = Instant> {
        let heard = self.heard;
        self.outstanding
            .iter()
            .map(|(_, sent)| *sent)
            .filter(move |sent| heard.is_none_or(|heard| *sent > heard))
    }

    fn patience(&self) -> Duration {
        let proved_before = self.verified.is_none() && !self.last_rtt.is_zero();
        let least = if proved_before { ANEW_PATIENCE } else { MIN_PATIENCE };
        (self.last_rtt * 2).clamp(least, MAX_PATIENCE)
    }
}
