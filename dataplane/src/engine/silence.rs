//! How long idle paths may be silent: one peer at a time tries longer, for all.
//!
//! What keeps a mapping is mostly our own router, so what one peer's path taught holds for the others as a guess. A
//! silence that was too long costs that path, which is why there is one *scout* at a time. It needs a peer that tries the
//! same just then, as the more careful of the two sides sets the pace; where that does not happen, another has its turn.
//! What experience forbids to one peer (`path/keepalive.rs`) nobody allows it.

use std::time::{Duration, Instant};

use crate::path::keepalive::{LONGEST, START};
use crate::path::{Agent, Kind, Route};
use crate::wg::PeerId;

/// How long one is the scout: four gaps of the longest kind, and some.
const TURN: Duration = Duration::from_secs(300);
/// After a failure nobody tries for so long.
const REST: Duration = Duration::from_secs(3600);

/// What is allowed, and who tries more.
#[derive(Debug)]
pub(super) struct Silence {
    allowed: Duration,
    scout: Option<(PeerId, Instant)>,
    not_before: Option<Instant>,
}

impl Default for Silence {
    fn default() -> Self {
        Self { allowed: START, scout: None, not_before: None }
    }
}

impl Silence {
    /// A peer was just dealt with: tell it what is allowed, and learn from it.
    pub(super) fn attend(&mut self, id: PeerId, path: &mut Agent, now: Instant) {
        let next = (self.allowed * 3 / 2).min(LONGEST);
        let experience = path.experience();
        let has_failed = experience.too_long.is_some_and(|gap| gap <= next);
        match self.scout {
            Some((scout, _)) if scout == id && has_failed => {
                self.scout = None;
                self.not_before = Some(now + REST);
            }
            Some((scout, _)) if scout == id && experience.proved >= Some(next) => {
                self.scout = None;
                self.allowed = next;
            }
            Some((_, since)) if since + TURN <= now => {
                // The next that comes by, which is seldom the same.
                self.scout = None;
            }
            Some(_) => {}
            None => {
                let may = self.allowed < LONGEST && self.not_before.is_none_or(|at| at <= now);
                if may && !has_failed && is_fit(path) {
                    self.scout = Some((id, now));
                }
            }
        }
        let is_scout = self.scout.is_some_and(|(scout, _)| scout == id);
        path.allow_silence(if is_scout { next } else { self.allowed });
    }
}

/// Whether there are routers between us and the peer, and nothing else.
fn is_fit(path: &Agent) -> bool {
    path.info().is_some_and(|info| info.kind == Kind::Direct && matches!(info.route, Route::Udp { .. }))
}
