//! A monotonic clock that counts the time a machine sleeps.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Now, in the terms the engine wants: never backwards, and with suspend counted, so that a session that expired
/// while the lid was closed is known to have expired. `Instant::now` stands still during suspend on Linux.
pub fn now() -> Instant {
    static START: OnceLock<(Instant, Duration)> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "this is the clock everybody else is given")]
    let (start, at_start) = *START.get_or_init(|| (Instant::now(), since_boot()));
    start + since_boot().saturating_sub(at_start)
}

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(CLOCK)).unwrap_or_default()
}
