//! What makes a ping fresh, without clocks and without anything kept on disk.
//!
//! The key of a pair of devices outlives their runs, so a captured ping stays authentic for ever. It is
//! believed only if it proves that its sender has heard of *this* run of ours: our pongs hand out a
//! challenge, and a ping that carries it opens a session. From then on the session's pings are told
//! apart by their sequence in a sliding window (RFC 6479 in spirit). A session that was replaced cannot
//! come back, because every opening uses up its challenge.
//!
//! A ping without the right challenge is a first contact, or a replay: one cannot tell. It is answered,
//! from a small bucket of its own, and nothing else; the real peer then has the challenge and pings
//! again, so an honest first contact costs one round trip more.

/// Pings older than this many sequence numbers are refused. A search sends up to 320 pings/s over paths whose
/// delays may differ by seconds.
const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// What is known of a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Made by the peer's present run, after our start, and not seen before.
    Fresh,
    /// Made by the peer some time: answer it, but believe nothing.
    Unproven,
    /// Seen before.
    Replayed,
}

/// The peer's present session, and the challenge that would open another one.
pub(crate) struct Sessions {
    current: Option<Session>,
    next_challenge: u64,
}

struct Session {
    id: u64,
    challenge: u64,
    window: Window,
}

impl Sessions {
    pub(crate) fn new(challenge: u64) -> Self {
        Self { current: None, next_challenge: challenge }
    }

    /// Judges a ping. `fresh_challenge` replaces the one in use if the ping opens a session.
    pub(crate) fn judge(
        &mut self,
        session: u64,
        sequence: u64,
        challenge: u64,
        fresh_challenge: impl FnOnce() -> u64,
    ) -> Freshness {
        if let Some(current) = &mut self.current
            && current.id == session
            && current.challenge == challenge
        {
            return if current.window.accept(sequence) { Freshness::Fresh } else { Freshness::Replayed };
        }
        if challenge != self.next_challenge {
            return Freshness::Unproven;
        }
        self.next_challenge = fresh_challenge();
        let mut window = Window::default();
        window.accept(sequence);
        self.current = Some(Session { id: session, challenge, window });
        Freshness::Fresh
    }

    /// The session whose pings are believed.
    pub(crate) fn current(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.id)
    }

    /// The challenge to hand to the sender of a ping of this session.
    pub(crate) fn challenge_for(&self, session: u64) -> u64 {
        match &self.current {
            Some(current) if current.id == session => current.challenge,
            Some(_) | None => self.next_challenge,
        }
    }
}

/// A bitmap of the last [`WINDOW`] sequence numbers, as a ring of words.
#[derive(Default)]
struct Window {
    highest: Option<u64>,
    seen: [u64; WORDS],
}

impl Window {
    /// True once for each sequence number that is not too old.
    fn accept(&mut self, sequence: u64) -> bool {
        let word = |sequence: u64| (sequence / 64 % WORDS as u64) as usize;
        match self.highest {
            // One word is always partly reused, hence the lower bound.
            Some(highest) if sequence <= highest => {
                if highest / 64 - sequence / 64 >= WORDS as u64 {
                    return false;
                }
            }
            Some(highest) => {
                let steps = (sequence / 64 - highest / 64).min(WORDS as u64);
                for step in 0..steps {
                    self.seen[word(sequence - step * 64)] = 0;
                }
                self.highest = Some(sequence);
            }
            None => self.highest = Some(sequence),
        }
        let bit = 1 << (sequence % 64);
        let entry = &mut self.seen[word(sequence)];
        let new = *entry & bit == 0;
        *entry |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_accepts_each_number_once_in_any_near_order() {
        let mut window = Window::default();
        for sequence in [5, 3, 4, 900, 6, 899] {
            assert!(window.accept(sequence), "{sequence}");
            assert!(!window.accept(sequence), "{sequence} again");
        }
    }

    #[test]
    fn a_window_forgets_what_it_passed_and_refuses_what_is_too_old() {
        let mut window = Window::default();
        assert!(window.accept(10));
        assert!(window.accept(10 + 5 * WINDOW));
        assert!(!window.accept(10), "too old");
        assert!(window.accept(10 + 5 * WINDOW - 1), "near enough");
        assert!(window.accept(u64::MAX));
        assert!(!window.accept(u64::MAX));
    }

    #[test]
    fn a_ping_is_unproven_until_it_carries_the_challenge() {
        let mut sessions = Sessions::new(100);
        assert_eq!(sessions.judge(1, 0, 0, || 200), Freshness::Unproven);
        assert_eq!(sessions.judge(1, 1, sessions.challenge_for(1), || 200), Freshness::Fresh);
        assert_eq!(sessions.judge(1, 1, 100, || 300), Freshness::Replayed);
        assert_eq!(sessions.judge(1, 2, sessions.challenge_for(1), || 300), Freshness::Fresh);
    }

    #[test]
    fn a_replaced_session_never_comes_back() {
        let mut sessions = Sessions::new(100);
        assert_eq!(sessions.judge(1, 7, 100, || 200), Freshness::Fresh);
        assert_eq!(sessions.judge(2, 0, 0, || 300), Freshness::Unproven, "the peer restarted");
        assert_eq!(sessions.judge(2, 1, sessions.challenge_for(2), || 300), Freshness::Fresh);
        for sequence in 0..20 {
            assert_eq!(sessions.judge(1, sequence, 100, || 400), Freshness::Unproven);
        }
        assert_eq!(sessions.judge(2, 2, 200, || 400), Freshness::Fresh, "the new session goes on");
    }
}
