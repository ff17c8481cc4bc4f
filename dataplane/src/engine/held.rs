//! Packets that left on a path which has not answered since: sent once more when another path takes over.
//!
//! TCP notices a loss by a timer that doubles (RFC 6298: 0.2, 0.6, 1.4, 3.0, 6.2 s and so on after the last answer). A path
//! that takes over just after a try is used only at the next, so that two seconds of outage become three or six. What was
//! tried in vain is the next that TCP needs; sent again it costs nothing, and if it had arrived after all it is a duplicate,
//! which IP allows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::output::Output;
use crate::path::Route;

/// The peer answers sooner if it lives: then nothing is copied.
const UNANSWERED: Duration = Duration::from_millis(150);
/// A flow that needs no answers is not copied packet by packet.
const SPACING: Duration = Duration::from_millis(10);
/// The last tries of a few connections.
const MAX_HELD: usize = 16;

/// Copies of the last packets on a path in doubt.
#[derive(Debug, Default)]
pub(super) struct Held {
    packets: VecDeque<Vec<u8>>,
    /// Where they went.
    route: Option<Route>,
    last: Option<Instant>,
}

impl Held {
    /// A packet was sent on a route whose peer has left something unanswered for so long.
    pub(super) fn sent(
        &mut self,
        packet: &[u8],
        route: Route,
        unanswered: Duration,
        out: &mut Output,
        now: Instant,
    ) {
        if unanswered < UNANSWERED {
            return self.packets.drain(..).for_each(|packet| out.packets.give(packet));
        }
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < SPACING) {
            return;
        }
        if self.packets.len() >= MAX_HELD
            && let Some(oldest) = self.packets.pop_front()
        {
            out.packets.give(oldest);
        }
        let mut copy = out.packets.take();
        copy.extend_from_slice(packet);
        self.packets.push_back(copy);
        (self.route, self.last) = (Some(route), Some(now));
    }

    /// What is to be sent again, the oldest first: everything, if the path is another one now.
    pub(super) fn moved(&mut self, best: Option<Route>) -> impl DoubleEndedIterator<Item = Vec<u8>> {
        let all = if self.route == best { 0 } else { self.packets.len() };
        self.packets.drain(..all)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
mod tests {
    use super::*;

    fn way(port: u16) -> Route {
        Route::udp(([192, 0, 2, 1], port).into())
    }

    #[test]
    fn the_last_tries_are_sent_again_where_the_path_goes_next_and_only_once() {
        let (mut held, mut out, start) = (Held::default(), Output::new(), Instant::now());
        for number in 0..20u8 {
            let now = start + SPACING * u32::from(number);
            held.sent(&[number], way(1), UNANSWERED, &mut out, now);
            held.sent(&[99], way(1), UNANSWERED, &mut out, now);
        }
        assert_eq!(held.moved(Some(way(1))).count(), 0);
        let again: Vec<Vec<u8>> = held.moved(Some(way(2))).collect();
        assert_eq!(again, (4..20u8).map(|number| vec![number]).collect::<Vec<_>>());
        assert_eq!(held.moved(None).count(), 0);
    }

    #[test]
    fn what_an_answering_peer_gets_is_not_kept() {
        let (mut held, mut out, now) = (Held::default(), Output::new(), Instant::now());
        held.sent(&[1], way(1), UNANSWERED, &mut out, now);
        held.sent(&[2], way(1), Duration::ZERO, &mut out, now + SPACING);
        assert_eq!(held.moved(None).count(), 0);
    }
}
