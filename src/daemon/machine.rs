//! What the daemon asks the machine itself: the time, its name for itself, and whether to stop.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use warren_p2p::limits::OS_LENGTH;
use warren_p2p::record::{Os, Timestamp};

use crate::control::{Cause, Failure, Result};

/// SIGTERM and SIGINT, both of which end the daemon in order.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(Cause::Failed, format!("cannot listen to signals: {error}")))
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for either.
    pub(super) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// This machine's operating system as peers see it, `Debian GNU/Linux 12` or just `linux`.
pub(super) fn os() -> Os {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = pretty.map_or(std::env::consts::OS, |name| name.trim_matches('"'));
    let name = name.split(" (").next().unwrap_or_default();
    let fits: String = name.chars().filter(|letter| (' '..='~').contains(letter)).take(OS_LENGTH).collect();
    fits.parse().expect("a few printable ASCII characters are an operating system")
}

/// The wall clock.
pub(super) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the daemon is the shell that reads the clock")]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The clock that never jumps.
pub(super) fn monotonic() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the daemon is the shell that reads the clock")]
    Instant::now()
}

/// The time since the machine started, its sleep included.
pub(super) fn with_sleep() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// Waits until then; for ever without a time.
pub(super) async fn at(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// A moment from now.
pub(super) fn within(duration: Duration) -> tokio::time::Instant {
    tokio::time::Instant::from_std(monotonic()) + duration
}
