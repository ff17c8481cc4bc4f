//! When to ask the router: at once in a new network, seldom when nobody answers, now and then to see that it still
//! remembers.

use std::time::{Duration, Instant};

/// A restarted router is found out this soon. Asking is two packets, or two requests to the router's web server.
const CONFIRM: Duration = Duration::from_secs(60);
/// After the first failure, doubled with each; a router that starts is back within a minute or two.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// A router without any of the protocols is asked no oftener: three packets to it, one multicast.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);
/// Signs may come in numbers.
const DOUBT_PAUSE: Duration = Duration::from_secs(30);
/// A network that has just changed may change again.
const SETTLE: Duration = Duration::from_millis(300);

/// When the next attempt is due.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: Option<Instant>,
    last: Option<Instant>,
    failures: u32,
    /// Whether there is a router to ask.
    possible: bool,
    holds: bool,
}

impl Schedule {
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The network changed; `possible` if there may be a router that translates.
    pub(super) fn handle_network(&mut self, possible: bool, now: Instant) {
        let before = std::mem::replace(&mut self.possible, possible);
        match possible {
            true if before => {
                // A cable that flaps must not make us ask all the time.
                self.failures = 0;
                let next = self.last.map_or(now, |last| last + DOUBT_PAUSE).max(now + SETTLE);
                self.due = Some(self.due.map_or(next, |due| due.min(next)));
            }
            true => *self = Self { due: Some(now + SETTLE), possible, ..Self::default() },
            false => *self = Self::default(),
        }
    }

    /// There is a sign that the router has forgotten us.
    pub(super) fn handle_doubt(&mut self, now: Instant) {
        if self.holds {
            let next = self.last.map_or(now, |last| last + DOUBT_PAUSE).max(now);
            self.due = self.due.map(|due| due.min(next));
        }
    }

    /// An attempt ended, with a mapping or without.
    pub(super) fn handle_outcome(&mut self, holds: bool, now: Instant) {
        self.holds = holds;
        self.last = Some(now);
        self.due = self.possible.then(|| now + if holds { CONFIRM } else { self.pause() });
        self.failures = if holds { 0 } else { self.failures.saturating_add(1) };
    }

    /// An attempt was given up because something else came.
    pub(super) fn handle_cut_short(&mut self, now: Instant) {
        self.last = Some(now);
        self.due = self.possible.then(|| now + FIRST_PAUSE);
    }

    fn pause(&self) -> Duration {
        let doubled = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        FIRST_PAUSE.checked_mul(doubled).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
        Instant::now()
    }

    #[test]
    fn nobody_is_asked_where_there_is_no_router() {
        let now = start();
        let mut schedule = Schedule::default();
        assert_eq!(schedule.due(), None);
        schedule.handle_network(true, now);
        assert_eq!(schedule.due(), Some(now + SETTLE));
        schedule.handle_network(false, now);
        assert_eq!(schedule.due(), None);
        schedule.handle_doubt(now);
        schedule.handle_cut_short(now);
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn a_silent_router_is_asked_seldom_and_at_once_in_another_network() {
        let mut now = start();
        let mut schedule = Schedule::default();
        schedule.handle_network(true, now);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            now = schedule.due().unwrap();
            schedule.handle_outcome(false, now);
            pauses.push(schedule.due().unwrap().duration_since(now).as_secs());
        }
        assert_eq!(pauses, [15, 30, 60, 120, 240, 480, 900, 900, 900, 900]);
        now += Duration::from_secs(100);
        schedule.handle_network(false, now);
        schedule.handle_network(true, now);
        assert_eq!(schedule.due(), Some(now + SETTLE));
    }

    #[test]
    fn a_mapping_is_confirmed_now_and_then_and_soon_after_a_sign() {
        let now = start();
        let mut schedule = Schedule::default();
        schedule.handle_network(true, now);
        schedule.handle_outcome(true, now);
        assert_eq!(schedule.due(), Some(now + CONFIRM));
        schedule.handle_doubt(now + Duration::from_secs(1));
        assert_eq!(schedule.due(), Some(now + DOUBT_PAUSE));
        schedule.handle_outcome(true, now + DOUBT_PAUSE);
        schedule.handle_doubt(now + Duration::from_secs(70));
        assert_eq!(schedule.due(), Some(now + Duration::from_secs(70)));
        // A link that flapped is a sign too.
        schedule.handle_outcome(true, now + Duration::from_secs(70));
        schedule.handle_network(true, now + Duration::from_secs(110));
        assert_eq!(schedule.due(), Some(now + Duration::from_secs(110) + SETTLE));
    }

    proptest! {
        #[test]
        fn whatever_happens_a_router_is_asked_at_most_every_fifteen_seconds(
            events in prop::collection::vec((0u64..20_000, 0u8..4), 1..200)
        ) {
            let mut now = start();
            let mut schedule = Schedule::default();
            schedule.handle_network(true, now);
            let mut asked: Vec<Instant> = Vec::new();
            for (wait, event) in events {
                let until = now + Duration::from_millis(wait);
                while let Some(due) = schedule.due().filter(|due| *due <= until) {
                    asked.push(due);
                    schedule.handle_outcome(event & 1 == 0, due);
                }
                now = until;
                match event {
                    0 => schedule.handle_doubt(now),
                    1 => schedule.handle_network(true, now),
                    _ => {}
                }
            }
            for pair in asked.windows(2) {
                prop_assert!(pair[1].duration_since(pair[0]) >= FIRST_PAUSE, "{:?}", asked);
            }
        }
    }
}
