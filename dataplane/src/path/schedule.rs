//! What is sent when: rounds of a search, keep-alive, and the pings a doubt asks for.
//!
//! A ping that is due sets its pair's `pending`; pending pings leave as the budget allows, the active pair's first.
//! Setting a flag twice is one ping, so nothing piles up while the budget or the clock stands still.

use std::time::{Duration, Instant};

use super::agent::Agent;
use super::candidate::Source;
use super::keepalive;
use super::pair::Pair;
use super::probe::{LEN, Message};
use super::score::Kind;
use super::{Route, Transmit};

/// Spacing of the first rounds of a search. Two NATs let each other in only if both sides send within their patience.
pub(super) const BURST_SPACING: Duration = Duration::from_millis(100);
/// How long the first rounds last.
pub(super) const BURST: Duration = Duration::from_secs(2);
/// Signalling that brings no news begins bursts of this length,
const SHORT_BURST: Duration = Duration::from_millis(500);
/// first so long after the last one, then doubling,
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// and at last so. Traffic to a peer that cannot be reached asks for signalling each 2 s.
const LAST_PATIENCE: Duration = Duration::from_secs(60);
/// Slowest rounds of a search that traffic still wants.
const SLOWEST: Duration = Duration::from_secs(30);
/// Traffic wants the peer while its last packet is younger than this.
pub(super) const WANTED: Duration = Duration::from_secs(30);

/// A path in use is measured so often at least.
const MEASURE: Duration = Duration::from_secs(25);
/// The other side waits this much longer before it keeps an idle path alive, so that one of the two suffices. Not so where
/// experience demands haste.
const KEEP_ALIVE_TURN: Duration = Duration::from_secs(2);
/// Time after the last packet until an idle path is left alone.
const KEEP_FOR: Duration = Duration::from_secs(600);
/// The active pair is measured, and second best kept alive, while the peer was used within this time.
pub(super) const IN_USE: Duration = Duration::from_secs(60);
/// All others are tried again so often while in use.
const SPARE_SPACING: Duration = Duration::from_secs(30);

/// We send and hear nothing for this long: ask.
const SILENCE: Duration = Duration::from_millis(500);
/// Spacing while the active pair is in doubt and wanted: the third miss is known 1.3 s after the last answer.
const DOUBT_SPACING: Duration = Duration::from_millis(250);
/// Spacing of a trial.
const TRIAL_SPACING: Duration = Duration::from_millis(500);
/// A new detour is tried at that spacing for so long.
const FIRST_TRIALS: Duration = Duration::from_secs(10);
/// Spacing while it is in doubt and nobody waits.
const IDLE_DOUBT_SPACING: Duration = Duration::from_secs(2);

/// Probes nobody fetched; further ones wait for their turn.
pub(super) const MAX_TRANSMITS: usize = 256;

/// Rounds to all pairs.
pub(super) struct Search {
    burst_until: Instant,
    /// Spacing of the last round after the burst.
    spacing: Duration,
    next_round: Instant,
}

impl Agent {
    /// Begins a search, or begins it anew.
    pub(super) fn start_search(&mut self, now: Instant) {
        self.hurry(now);
        self.patience = FIRST_PATIENCE;
        self.burst(BURST, BURST_SPACING, now);
    }

    /// Whether the last burst is long enough ago to begin another without any news.
    pub(super) fn may_search_again(&self, now: Instant) -> bool {
        self.last_burst + self.patience <= now
    }

    /// Begins another, shorter burst, and then goes on as slowly as before.
    pub(super) fn search_again(&mut self, now: Instant) {
        self.patience = (self.patience * 2).clamp(FIRST_PATIENCE, LAST_PATIENCE);
        let spacing = self.search.as_ref().map_or(SLOWEST, |search| search.spacing);
        self.burst(SHORT_BURST, spacing, now);
    }

    fn burst(&mut self, length: Duration, spacing: Duration, now: Instant) {
        let next_round = match &self.search {
            // A round just left: restarting must not double it.
            Some(search) if now < search.burst_until => search.next_round,
            Some(_) | None => now,
        };
        self.last_burst = now;
        self.search = Some(Search { burst_until: now + length, spacing, next_round });
    }

    /// A ping to this pair, as soon as may be.
    pub(super) fn ask(&mut self, route: Route) {
        if let Some(pair) = self.pair_at(route) {
            pair.pending = true;
        }
    }

    /// A ping to every pair, as soon as may be.
    pub(super) fn ask_all(&mut self) {
        for pair in &mut self.pairs {
            pair.pending = true;
        }
    }

    /// The peer speaks to us from elsewhere: if nothing comes over the active pair either, it may be dead.
    pub(super) fn doubt_active(&mut self, now: Instant) {
        let Some(active) = self.active else { return };
        if !self.was_heard_within(active, super::agent::HEALTHY, now) {
            self.waiting_since.get_or_insert_with(|| now.checked_sub(SILENCE).unwrap_or(now));
        }
    }

    /// Something speaks against the path in use: it is asked at once, unless it was heard just now.
    pub fn doubt(&mut self, now: Instant) {
        self.doubt_active(now);
        self.run(now);
    }

    /// Whether traffic here or signalling from there wanted a path lately.
    pub(super) fn is_wanted(&self, now: Instant) -> bool {
        [self.wanted_at, self.signalled_at].into_iter().flatten().any(|at| at + WANTED > now)
    }

    /// Decides, sends what is due, and sets the next deadline. Ends every input.
    pub(super) fn run(&mut self, now: Instant) {
        self.choose(now);
        self.run_guess(now);
        self.run_search(now);
        for index in 0..self.pairs.len() {
            if self.due(&self.pairs[index], now).is_some_and(|due| due <= now) {
                self.pairs[index].pending = true;
            }
        }
        self.sizes_at = self.test_sizes(now);
        self.blocked_until = self.flush(now);
        self.set_deadline(now);
    }

    /// When to run again.
    pub(super) fn set_deadline(&mut self, now: Instant) {
        let search = self.search.as_ref().map(|search| search.next_round);
        let pairs =
            self.pairs.iter().filter(|pair| !pair.pending).filter_map(|pair| self.due(pair, now)).min();
        let active = self.pairs.iter().find(|pair| Some(pair.route) == self.active);
        let miss = active.and_then(|pair| pair.next_miss(now));
        let guess = self.guess_deadline(now);
        self.deadline =
            [self.sizes_at, self.blocked_until, search, pairs, miss, guess].into_iter().flatten().min();
    }

    fn run_search(&mut self, now: Instant) {
        let wanted = self.is_wanted(now);
        let starves = self.starves(now);
        let verified = self.info.filter(|info| {
            self.active == Some(info.route)
                && self.pairs.iter().any(|p| p.route == info.route && p.verified.is_some())
        });
        let Some(search) = &mut self.search else { return };
        if now < search.next_round {
            return;
        }
        let bursting = now < search.burst_until;
        match verified {
            // Nothing is better than a LAN; and once we have a path, the others get their burst and no more.
            Some(info) if info.kind == Kind::Lan || !bursting => {
                self.search = None;
                return;
            }
            Some(_) => {
                let asked = |pair: &&mut Pair| pair.verified.is_none() && has_round(pair, now);
                self.pairs.iter_mut().filter(asked).for_each(|pair| pair.pending = true);
            }
            None if !wanted && (starves || search.spacing >= SLOWEST) => {
                self.search = None;
                self.give_way(now);
                return;
            }
            None => {
                let asked = |pair: &&mut Pair| has_round(pair, now);
                self.pairs.iter_mut().filter(asked).for_each(|pair| pair.pending = true);
            }
        }
        if bursting {
            search.next_round = now + BURST_SPACING;
            // A round that could not leave is no round: the burst waits for its turn.
            if starves {
                search.burst_until += BURST_SPACING;
                self.stay_urgent(now);
            }
        } else {
            search.spacing = (search.spacing * 2).min(SLOWEST);
            search.next_round = now + search.spacing;
        }
    }

    /// When a pair wants its next ping, searches apart. In the past if at once.
    fn due(&self, pair: &Pair, now: Instant) -> Option<Instant> {
        if pair.is_closed() {
            return None;
        }
        let spaced = |spacing: Duration| pair.last_sent.map_or(now, |sent| sent + spacing);
        if Some(pair.route) == self.active {
            let Some(verified) = &pair.verified else { return Some(spaced(TRIAL_SPACING)) };
            if self.challenger.is_some() {
                return Some(spaced(TRIAL_SPACING));
            }
            if let Some(waiting) = self.waiting_since {
                return Some(spaced(DOUBT_SPACING).max(waiting + SILENCE));
            }
            if pair.is_waiting() {
                return Some(spaced(IDLE_DOUBT_SPACING));
            }
            let interval = self.keep_alive.interval();
            let is_ours = self.ours_is_smaller || interval < keepalive::START;
            let turn = if is_ours { Duration::ZERO } else { KEEP_ALIVE_TURN };
            let keep_alive = pair.last_touched().unwrap_or(verified.at) + interval + turn;
            // Also when packets prove it alive, for its round trip.
            if self.used_within(IN_USE, now) {
                return Some(spaced(MEASURE).min(keep_alive));
            }
            let kept = self.kept_at.is_some_and(|at| at + IN_USE > now);
            return (kept || self.used_within(KEEP_FOR, now)).then_some(keep_alive);
        }
        if let Some(challenger) = self.challenger.as_ref().filter(|challenger| challenger.route == pair.route)
        {
            return Some(spaced(if challenger.hasty { BURST_SPACING } else { TRIAL_SPACING }));
        }
        // Both ends and the relay learn of a session one after the other: the first pings may be lost.
        if let Source::Agreed(since) = pair.source
            && pair.verified.is_none()
            && now < since + FIRST_TRIALS
        {
            return Some(spaced(TRIAL_SPACING));
        }
        // Without an active pair there is a search, or quiet.
        if self.active.is_none() || !self.used_within(IN_USE, now) {
            return None;
        }
        let is_standby = self.second_best(now) == Some(pair.route);
        Some(spaced(if is_standby { MEASURE.min(self.keep_alive.interval()) } else { SPARE_SPACING }))
    }

    /// How long the path may be silent while nobody uses it, at most. Where experience is against it, it is shorter.
    pub fn allow_silence(&mut self, longest: Duration) {
        self.keep_alive.allow(longest);
    }

    /// What silences have taught.
    pub(crate) fn experience(&self) -> keepalive::Experience {
        self.keep_alive.experience()
    }

    /// Something is about to be sent on the active pair: after a silence it shows whether the routers remember.
    pub(super) fn end_silence(&mut self, now: Instant) {
        let Some(active) = self.active else { return };
        let Some(pair) = self.pair_at(active).filter(|pair| pair.verified.is_some()) else { return };
        let touched = pair.last_touched().max(self.used_at);
        let gap = touched.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.keep_alive.tried(active, gap, now);
    }

    /// For how long something sent has been without any answer.
    pub(crate) fn unanswered_for(&self, now: Instant) -> Duration {
        self.waiting_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    pub(super) fn used_within(&self, time: Duration, now: Instant) -> bool {
        self.used_at.is_some_and(|at| at + time > now)
    }

    /// Sends the pending pings. Returns when to go on if some must wait.
    fn flush(&mut self, now: Instant) -> Option<Instant> {
        let mut order: Vec<usize> =
            (0..self.pairs.len()).filter(|index| self.may_send(&self.pairs[*index], now)).collect();
        if order.is_empty() {
            return None;
        }
        // Those that waited longest first, so that a scarce budget is shared.
        order.sort_by_key(|index| {
            let pair = &self.pairs[*index];
            (Some(pair.route) != self.active, pair.last_sent, *index)
        });
        for index in order {
            if self.transmits.len() >= MAX_TRANSMITS {
                return Some(now + BURST_SPACING);
            }
            if !self.pings.take(now) {
                return Some(self.pings.next_at());
            }
            if Some(self.pairs[index].route) == self.active {
                self.end_silence(now);
            }
            let (transaction, ping) = self.next_ping();
            self.pairs[index].sent(transaction, now);
            self.send(self.pairs[index].route, &ping);
        }
        None
    }

    /// A ping that was not sent before, and its transaction.
    pub(super) fn next_ping(&mut self) -> (u64, Message) {
        let transaction = self.random.next();
        (transaction, self.ping(transaction, LEN as u16))
    }

    pub(super) fn send(&mut self, route: Route, message: &Message) {
        if self.transmits.len() < MAX_TRANSMITS {
            self.transmits.push_back(Transmit { route, datagram: self.codec.encode(message) });
        }
    }
}

/// Whether a pair takes part in a round of the search. Rounds follow each other as quickly as NATs need it; a detour has
/// none to open, so that is only for its beginning.
fn has_round(pair: &Pair, now: Instant) -> bool {
    match pair.source {
        Source::Agreed(since) => {
            now < since + BURST || pair.last_sent.is_none_or(|sent| sent + TRIAL_SPACING <= now)
        }
        Source::Told | Source::Learned(_) => true,
    }
}
