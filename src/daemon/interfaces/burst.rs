//! When many changes are one, and when the machine has slept: plain rules over clocks that are handed in.

use std::time::{Duration, Instant};

/// A cable that is plugged in, or a network that is joined, settles within this.
const QUIET: Duration = Duration::from_millis(100);
/// An interface that flaps all the time must not keep the news from us.
const PATIENCE: Duration = Duration::from_millis(600);
/// A busy machine is late by less, and one that slept for less has lost nothing.
const SLEPT: Duration = Duration::from_secs(5);

/// Changes that come together and are told once.
#[derive(Debug, Default)]
pub(super) struct Burst {
    first: Option<Instant>,
    last: Option<Instant>,
    told: bool,
}

impl Burst {
    /// Something changed.
    pub(super) fn handle_change(&mut self, now: Instant) {
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// When to tell; none when there is nothing to tell. The very first news is told at once: somebody waits for
    /// it to begin.
    pub(super) fn due(&self) -> Option<Instant> {
        let (first, last) = (self.first?, self.last?);
        Some(if self.told { (last + QUIET).min(first + PATIENCE) } else { first })
    }

    /// It was told.
    pub(super) fn handle_told(&mut self) {
        *self = Self { first: None, last: None, told: true };
    }
}

/// Notices that the machine was suspended or this process stopped: more time has passed than it was to wait. The clock
/// must be one that counts sleep.
#[derive(Debug, Default)]
pub(super) struct Sleep {
    last: Option<Duration>,
}

impl Sleep {
    /// Looks at the clock after a wait of `waited`; true when much more has passed since the last time.
    pub(super) fn handle_clock(&mut self, now: Duration, waited: Duration) -> bool {
        let before = self.last.replace(now);
        before.is_some_and(|before| now.saturating_sub(before) >= waited + SLEPT)
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

    /// The moments at which changes at these times (in ms) are told.
    fn told(changes: &[u64]) -> Vec<u64> {
        let start = start();
        let mut burst = Burst::default();
        let mut told = Vec::new();
        let mut note = |burst: &mut Burst, until: Option<Instant>| {
            while let Some(due) = burst.due().filter(|due| until.is_none_or(|until| *due <= until)) {
                told.push(u64::try_from(due.duration_since(start).as_millis()).unwrap());
                burst.handle_told();
            }
        };
        for change in changes {
            let now = start + Duration::from_millis(*change);
            note(&mut burst, Some(now));
            burst.handle_change(now);
        }
        note(&mut burst, None);
        told
    }

    #[test]
    fn the_first_news_is_told_at_once_and_a_burst_once() {
        assert_eq!(told(&[0]), [0]);
        assert_eq!(told(&[0, 1000, 1010, 1020, 1090]), [0, 1190]);
        assert_eq!(told(&[0, 1000, 2000]), [0, 1100, 2100]);
    }

    #[test]
    fn an_interface_that_flaps_without_end_is_told_now_and_then() {
        let flapping: Vec<u64> = (0..100).map(|turn| turn * 50).collect();
        let told = told(&flapping);
        assert!((7..=10).contains(&told.len()), "{told:?}");
    }

    #[test]
    fn sleep_is_told_once_and_a_busy_machine_never() {
        let seconds = Duration::from_secs_f64;
        let mut sleep = Sleep::default();
        let mut wakes = |now| sleep.handle_clock(seconds(now), seconds(3.0));
        // It may have slept before we began.
        assert!(!wakes(500.0));
        assert!(!wakes(503.1));
        assert!(!wakes(510.0));
        assert!(wakes(620.0));
        assert!(!wakes(623.0));
    }

    proptest! {
        #[test]
        fn every_change_is_told_and_soon(mut changes in prop::collection::vec(0u64..5000, 1..60)) {
            changes.sort_unstable();
            let told = told(&changes);
            prop_assert!(told.len() <= changes.len());
            for change in changes {
                prop_assert!(told.iter().any(|at| (change..=change + 600).contains(at)), "{}", change);
            }
        }
    }
}
