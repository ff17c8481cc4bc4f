//! A network that changed, ours or the peer's: what the pairs have proved is void, and who knows first tells the other.
//!
//! Only one of the two notices. To the other its path falls silent, and by the common rules it takes two seconds to
//! leave it: too long for a download. So the side whose network changed goes on with another session, as if it had
//! restarted, and a ping of that is reason enough for the peer to have everything prove itself anew.

use std::time::Instant;

use super::Event;
use super::agent::Agent;
use super::schedule::IN_USE;

impl Agent {
    /// Our own network changed: nothing known of any pair holds, so all are tried at once. The active one carries on until
    /// it misses answers.
    pub fn network_changed(&mut self, now: Instant) {
        self.advance(now);
        self.session = self.random.next();
        self.keep_alive.restart();
        self.forget_attempts();
        self.begin_anew(now);
        if self.active.is_some() && self.used_within(IN_USE, now) {
            self.push_event(Event::Silent);
        }
        self.run(now);
    }

    /// Everything is asked. An active pair that was good before is left sooner than one that just moved here.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        self.forget_all();
        if self.active.is_some() || self.is_wanted(now) {
            self.start_search(now);
        }
    }

    /// Nothing known of any pair holds; the active one carries on until it misses answers.
    pub(super) fn forget_all(&mut self) {
        for pair in &mut self.pairs {
            pair.forget();
        }
        self.challenger = None;
        self.silent_since = None;
    }
}
