//! How long an idle path may rest before the routers on its way forget it: learned from what happened, one [`KeepAlive`] an agent.
//!
//! Routers differ. RFC 4787 (REQ-5) asks for two minutes and allows less; of the home routers that Halkes and Pouwelse
//! measured ("UDP NAT and firewall puncturing in the wild", 2011) more than 95 % keep a mapping for 55 s; some keep it for a
//! few seconds. A fixed interval is either too long for those or wakes every phone twice as often as needed.
//!
//! Every *gap*, the silence before the first thing we send on an idle path, is an experiment. Its outcomes:
//!
//! - It is answered at once, and the peer sees us where it did before: the mapping lived. Three gaps of about the interval's
//!   length prove it, and make it grow by half, up to what is allowed.
//! - The peer sees us at another port, or three pings are lost and then the same way works again: the mapping was
//!   gone after that gap. The interval becomes what was proved, or half of the gap, and stays below the gap for an hour. After a gap
//!   of less than ten seconds it begins again with one.
//! - There is no answer and never will be: the peer went away, and nothing is learned. Nor is anything from an answer
//!   that came late: the other side's keep-alive may have opened the way meanwhile.
//!
//! The side behind the router often cannot know: what it sends opens a new mapping. The other side can, as what it sends
//! is lost. Both keep the path alive, each by its own interval, so it is enough that one of them knows.
//!
//! A gap that is too long costs the path. So whoever owns all agents allows longer ones to one of them at a time
//! ([`super::Agent::allow_silence`]), and what it proved to all.

use std::time::{Duration, Instant};

use super::Route;

/// Where learning begins: NATs forget UDP after 30 s at the earliest, apart from broken ones.
pub(crate) const START: Duration = Duration::from_secs(25);
/// No longer interval is tried.
pub(crate) const LONGEST: Duration = Duration::from_secs(55);
/// No shorter one is used: a NAT that forgets in two seconds is kept open by it, even if every other ping is lost; who
/// forgets sooner cannot carry a conversation either.
const SHORTEST: Duration = Duration::from_secs(1);
/// A router that forgets within this time is a bad one.
const HASTY: Duration = Duration::from_secs(10);
/// Gaps survived before a longer interval is tried.
const GOOD: u8 = 3;
/// How long a gap that was too long is remembered. A router that was only restarted is not slow for ever.
const MEMORY: Duration = Duration::from_secs(3600);
/// An answer within this time was to what we sent, not to what the other side sent since.
const AT_ONCE: Duration = Duration::from_millis(1500);
/// A way that works again within this time was there all the time. Later, the peer may have been away.
const RECOVERY: Duration = Duration::from_secs(60);

/// The interval, and what is known of it.
pub(crate) struct KeepAlive {
    interval: Duration,
    /// A gap that was too long, and when that was.
    ceiling: Option<(Duration, Instant)>,
    good: u8,
    /// An interval that was survived so often.
    proved: Option<Duration>,
    /// It may grow up to this.
    longest: Duration,
    trial: Option<Trial>,
}

/// What gaps have taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Experience {
    /// An interval that was survived.
    pub(crate) proved: Option<Duration>,
    /// A gap that was not.
    pub(crate) too_long: Option<Duration>,
}

/// Something was sent after a gap.
struct Trial {
    route: Route,
    gap: Duration,
    at: Instant,
    /// It was not answered.
    failed: bool,
}

impl KeepAlive {
    pub(crate) const fn new() -> Self {
        Self { interval: START, ceiling: None, good: 0, proved: None, longest: START, trial: None }
    }

    /// How long the path may be silent.
    pub(crate) const fn interval(&self) -> Duration {
        self.interval
    }

    /// What was learned.
    pub(crate) fn experience(&self) -> Experience {
        Experience { proved: self.proved, too_long: self.ceiling.map(|(gap, _)| gap) }
    }

    /// Longer intervals up to this may be tried.
    pub(crate) fn allow(&mut self, longest: Duration) {
        self.longest = longest.min(LONGEST);
    }

    /// Another network has other routers.
    pub(crate) const fn restart(&mut self) {
        *self = Self::new();
    }

    /// What was under way is no evidence: the clock jumped.
    pub(crate) fn forgive(&mut self) {
        self.trial = None;
    }

    /// There is no router on the way that could forget.
    pub(crate) const fn assume_open(&mut self) {
        if self.ceiling.is_none() {
            self.interval = LONGEST;
        }
    }

    /// Something is sent on the path in use after it was silent for `gap`.
    pub(crate) fn tried(&mut self, route: Route, gap: Duration, now: Instant) {
        // What follows while that is not answered is no experiment of its own.
        let is_first = self.trial.as_ref().is_none_or(|trial| trial.at + RECOVERY <= now);
        if gap >= SHORTEST && is_first {
            self.trial = Some(Trial { route, gap, at: now, failed: false });
        }
    }

    /// A route is silent: what was sent last was lost, and what was sent after it.
    pub(crate) fn missed(&mut self, route: Route) {
        if let Some(trial) = self.trial.as_mut().filter(|trial| trial.route == route) {
            trial.failed = true;
        }
    }

    /// The peer was heard on a route. `moved`: it sees us at another address than before.
    pub(crate) fn heard(&mut self, route: Route, moved: bool, now: Instant) {
        let Some(trial) = self.trial.take_if(|trial| is_same_way(trial.route, route)) else { return };
        match (trial.failed, moved) {
            (true, _) if trial.at + RECOVERY <= now => {}
            (true, _) | (false, true) => self.was_too_long(trial.gap, now),
            (false, false) if trial.at + AT_ONCE > now => self.was_short_enough(trial.gap, now),
            (false, false) => {}
        }
    }

    fn was_too_long(&mut self, gap: Duration, now: Instant) {
        self.good = 0;
        self.proved = self.proved.filter(|proved| *proved < gap);
        // A gap far beyond the interval says nothing of the interval. Nor does a hasty router say how hasty: it is measured
        // from below, as each gap that is too long costs the path until the side behind the router speaks.
        let less = if gap < HASTY { SHORTEST } else { gap / 2 };
        self.interval = self.interval.min(self.proved.unwrap_or(less));
        if gap <= late(LONGEST) {
            let lower = self.ceiling.map_or(gap, |(ceiling, _)| ceiling.min(gap));
            self.ceiling = Some((lower, now));
        }
    }

    fn was_short_enough(&mut self, gap: Duration, now: Instant) {
        self.ceiling = self.ceiling.filter(|(_, at)| *at + MEMORY > now);
        if gap < self.interval * 3 / 4 {
            return;
        }
        self.good = self.good.saturating_add(1);
        if self.good < GOOD {
            return;
        }
        self.proved = self.proved.max(Some(self.interval));
        // What is below the usual was cut short by experience, not by others.
        let longer = (self.interval * 3 / 2).min(self.longest.max(START));
        if longer > self.interval && self.ceiling.is_none_or(|(ceiling, _)| late(longer) < ceiling) {
            self.interval = longer;
            self.good = 0;
        }
    }
}

/// A gap is a little longer than the interval that made it.
fn late(interval: Duration) -> Duration {
    interval * 9 / 8
}

/// One route, or the peer's router gave it another port.
fn is_same_way(one: Route, other: Route) -> bool {
    let host = |route: Route| route.address().map(|address| address.ip());
    one == other || (host(one).is_some() && host(one) == host(other))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
mod tests {
    use super::*;

    /// One that may try everything.
    fn learner() -> KeepAlive {
        let mut keep = KeepAlive::new();
        keep.allow(LONGEST);
        keep
    }

    fn way() -> Route {
        Route::udp(([192, 0, 2, 1], 41820).into())
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A path whose router forgets after `lifetime`; returns the intervals used in `time`, one a change.
    fn live(keep: &mut KeepAlive, lifetime: Duration, time: Duration, now: &mut Instant) -> Vec<Duration> {
        let until = *now + time;
        let mut intervals = vec![keep.interval()];
        while *now < until {
            // As timers are: late.
            let gap = keep.interval() + Duration::from_millis(2);
            *now += gap;
            keep.tried(way(), gap, *now);
            if gap >= lifetime {
                keep.missed(way());
                *now += s(5);
            }
            keep.heard(way(), false, *now);
            if intervals.last() != Some(&keep.interval()) {
                intervals.push(keep.interval());
            }
        }
        intervals
    }

    #[test]
    fn a_usual_router_is_called_every_55_seconds_in_the_end() {
        let mut now = Instant::now();
        let intervals = live(&mut learner(), s(120), s(600), &mut now);
        assert_eq!(intervals, [s(25), Duration::from_millis(37_500), s(55)]);
    }

    #[test]
    fn a_router_that_forgets_soon_is_called_soon_enough_and_no_more_often_than_needed() {
        for lifetime in [2, 5, 10, 20, 30, 40, 50] {
            let (mut keep, mut now) = (learner(), Instant::now());
            live(&mut keep, s(lifetime), s(1200), &mut now);
            let settled = live(&mut keep, s(lifetime), s(1200), &mut now);
            assert_eq!(settled.len(), 1, "{lifetime}: no more experiments, {settled:?}");
            assert!(settled[0] < s(lifetime) && settled[0] * 5 / 2 >= s(lifetime), "{lifetime}: {settled:?}");
        }
    }

    #[test]
    fn nothing_longer_is_tried_than_is_allowed_and_what_was_proved_is_kept() {
        let (mut keep, mut now) = (KeepAlive::new(), Instant::now());
        live(&mut keep, s(30), s(600), &mut now);
        let learned = |proved, too_long| Experience { proved, too_long };
        assert_eq!((keep.interval(), keep.experience()), (START, learned(Some(START), None)));
        keep.allow(s(40));
        live(&mut keep, s(30), s(600), &mut now);
        let gap = Duration::from_millis(37_502);
        assert_eq!((keep.interval(), keep.experience()), (START, learned(Some(START), Some(gap))));
    }

    #[test]
    fn a_peer_that_went_away_teaches_nothing() {
        let (mut keep, now) = (learner(), Instant::now());
        keep.tried(way(), s(25), now);
        keep.missed(way());
        keep.heard(way(), false, now + s(300));
        assert_eq!(keep.interval(), START);
    }

    #[test]
    fn another_port_after_a_gap_is_a_mapping_that_was_gone() {
        let (mut keep, now) = (learner(), Instant::now());
        keep.tried(way(), s(25), now);
        keep.heard(way(), true, now);
        assert_eq!(keep.interval(), s(25) / 2);
        keep.restart();
        assert_eq!(keep.interval(), START, "another network, other routers");
    }

    #[test]
    fn a_long_rest_that_ended_badly_says_nothing_of_shorter_ones() {
        let (mut keep, now) = (learner(), Instant::now());
        keep.tried(way(), s(500), now);
        keep.heard(way(), true, now);
        assert_eq!(keep.interval(), START);
        live(&mut keep, s(120), s(600), &mut now.clone());
        assert_eq!(keep.interval(), LONGEST);
    }

    #[test]
    fn a_router_that_was_restarted_is_trusted_again_after_an_hour() {
        let (mut keep, mut now) = (learner(), Instant::now());
        keep.tried(way(), s(25), now);
        keep.heard(way(), true, now);
        live(&mut keep, s(120), s(1800), &mut now);
        assert!(keep.interval() < s(25));
        live(&mut keep, s(120), s(2400), &mut now);
        assert_eq!(keep.interval(), LONGEST);
    }

    #[test]
    fn without_a_router_the_longest_interval_is_used_unless_experience_is_against_it() {
        let (mut keep, now) = (learner(), Instant::now());
        keep.assume_open();
        assert_eq!(keep.interval(), LONGEST);
        keep.tried(way(), s(55), now);
        keep.missed(way());
        keep.heard(way(), false, now + s(10));
        keep.assume_open();
        assert_eq!(keep.interval(), LONGEST / 2, "a firewall forgets as well");
    }
}
