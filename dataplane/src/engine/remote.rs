//! One peer and everything that is done for it: tunnel, path, rules, and the packets that wait.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::drops::Drop;
use super::event::Event;
use super::fit::Fit;
use super::held::Held;
use super::output::Output;
use super::timers::{Timer, Timers};
use super::transmit::Transmit;
use super::via::{Via, Way};
use crate::filter::Rules;
use crate::packet::IpPacket;
use crate::path::{self, Route};
use crate::wg::{OVERHEAD, Peer, PeerId};

/// How many packets wait for a path or a session: the first window of a few TCP connections (10 segments each,
/// RFC 6928), and little enough to be sent at once without harm.
const MAX_WAITING: usize = 32;
/// How long they wait. Older ones have been repeated, or nobody wants them any more.
const WAIT: Duration = Duration::from_secs(10);
/// How often the daemon is asked for candidates while traffic waits.
const WANT_AGAIN: Duration = Duration::from_secs(2);
/// How often relays are called while traffic flows: their paths count in seconds.
const CALL_AGAIN: Duration = Duration::from_millis(100);
/// Sealed packets are padded to a multiple of this many bytes (paper, 5.4.6), but not beyond the MTU.
const PADDING: usize = 16;

/// How a relay is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// It carries, or must.
    Now,
    /// It may have to.
    Reserve,
    /// It may have to soon, and may be cut off itself: ask it.
    Doubt,
}

/// A peer in the engine.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) id: PeerId,
    pub(super) peer: Peer,
    pub(super) path: path::Agent,
    /// Nothing at all until they are set.
    pub(super) rules: Rules,
    pub(super) preshared_key: Option<[u8; 32]>,
    /// How an authentic datagram came last, and when.
    pub(super) heard: Option<(Route, Instant)>,
    /// How an authentic probe came last.
    pub(super) neighbour: Option<Route>,
    /// It uses a session that we have lost: make a new one though we have nothing to send.
    pub(super) revive: bool,
    /// In the list of those to be pumped at the end of the batch.
    pub(super) touched: bool,
    /// Something was sent to it in this batch.
    sending: bool,
    /// The longest datagram of this batch that must arrive whole.
    longest: usize,
    /// Packets that waited, and turned out to be too long for the path: what fits.
    pub(super) refused: Vec<(Vec<u8>, u16)>,
    waiting: VecDeque<Vec<u8>>,
    held: Held,
    waiting_since: Option<Instant>,
    wanted_at: Option<Instant>,
    run: Option<Transmit>,
    /// The relays on its routes: the session, the relay, and what leads to the relay now.
    relays: Vec<(u64, PeerId, Option<Via>)>,
    /// Relays that are needed to send to it, and whether at once.
    calls: Vec<(PeerId, Call)>,
    /// When the relays were called last.
    called_at: Option<Instant>,
    /// It is needed as a relay and has no path.
    is_called: bool,
}

impl Remote {
    pub(super) fn new(id: PeerId, peer: Peer, path: path::Agent) -> Self {
        Self {
            id,
            peer,
            path,
            rules: Rules::default(),
            preshared_key: None,
            heard: None,
            neighbour: None,
            revive: false,
            touched: false,
            sending: false,
            longest: 0,
            refused: Vec::new(),
            waiting: VecDeque::new(),
            held: Held::default(),
            waiting_since: None,
            wanted_at: None,
            run: None,
            relays: Vec::new(),
            calls: Vec::new(),
            called_at: None,
            is_called: false,
        }
    }

    /// Send an inner packet: now if there is a path and a session, else as soon as there is. An error: it is too long, and
    /// this many bytes fit.
    pub(super) fn carry(
        &mut self,
        packet: &IpPacket<'_>,
        mtu: usize,
        out: &mut Output,
        now: Instant,
    ) -> Result<(), u16> {
        self.sending = true;
        let route = self.path.best().filter(|_| self.waiting.is_empty() && self.peer.tunnel.is_ready());
        match route.map_or(Fit::NotReady, |route| self.fit(packet, route, mtu, out, now)) {
            Fit::Sealed => {
                if let Some(route) = route {
                    self.held.sent(packet.bytes(), route, self.path.unanswered_for(now), out, now);
                }
            }
            Fit::NotReady => self.wait(packet.bytes(), out, now),
            Fit::TooBig(mtu) => return Err(mtu),
        }
        Ok(())
    }

    /// Take note that the peer sent something authentic from `from`.
    pub(super) fn hear(&mut self, from: Route, now: Instant) {
        if self.heard != Some((from, now)) {
            self.heard = Some((from, now));
            self.path.handle_authenticated_packet(from, now);
        }
    }

    /// Let the tunnel notice the time before something happens to it.
    pub(super) fn catch_up(&mut self, out: &mut Output, now: Instant) {
        self.peer.tunnel.catch_up(&mut out.answers, now);
        self.send_answers(out);
    }

    /// Do whatever has become possible or due, and say when to come again.
    pub(super) fn pump(&mut self, mtu: usize, out: &mut Output, timers: &mut Timers, now: Instant) {
        let sending = std::mem::take(&mut self.sending);
        if sending {
            self.path.want(now);
        }
        if sending || !self.waiting.is_empty() {
            self.call_relays(now);
        }
        self.pump_path(out);
        if std::mem::take(&mut self.is_called) && self.path.best().is_none() {
            self.ask_for_candidates(out, now);
        }
        for packet in self.held.moved(self.path.best()).rev() {
            self.waiting.push_front(packet);
            self.waiting_since.get_or_insert(now);
        }
        if !self.waiting.is_empty() || self.revive {
            self.pump_waiting(mtu, out, now);
        }
        self.send_answers(out);
        self.finish_run(out);
        self.path.sent(std::mem::take(&mut self.longest), now);
        self.pump_path(out);
        timers.set(Timer::Tunnel, Some(self.id), self.peer.tunnel.poll_timeout());
        timers.set(Timer::Path, Some(self.id), self.path.poll_timeout());
        timers.set(Timer::Waiting, Some(self.id), self.waiting_since.map(|since| since + WAIT));
    }

    /// Packets have waited too long. The last of them is returned, to be answered with an error.
    pub(super) fn expire(&mut self, out: &mut Output, now: Instant) -> Option<Vec<u8>> {
        self.waiting_since.filter(|since| now.saturating_duration_since(*since) >= WAIT)?;
        self.waiting_since = None;
        out.drops.add(Drop::WaitingExpired, self.waiting.len());
        let last = self.waiting.pop_back();
        self.waiting.drain(..).for_each(|packet| out.packets.give(packet));
        last
    }

    /// The peer is going: count what waited for it.
    pub(super) fn abandon(&mut self, out: &mut Output) {
        out.drops.add(Drop::WaitingRemoved, self.waiting.len());
        self.waiting.drain(..).for_each(|packet| out.packets.give(packet));
        self.finish_run(out);
    }

    fn pump_path(&mut self, out: &mut Output) {
        let key = self.peer.key;
        while let Some(event) = self.path.poll_event() {
            if event == path::Event::Silent {
                // What cut this path may have cut those to our relays: a router that forgot everything.
                self.calls.extend(self.relays.iter().map(|(_, relay, _)| (*relay, Call::Doubt)));
            }
            out.event(match event {
                path::Event::Changed(path) => Event::PathChanged { peer: key, path },
                path::Event::Silent => Event::PathSilent { peer: key },
                path::Event::Observed(address) => Event::Observed { peer: key, address },
            });
        }
        while let Some(probe) = self.path.poll_transmit() {
            let Some(way) = self.way(probe.route) else {
                out.drops.count(Drop::NoPath);
                continue;
            };
            if let Route::Relay { session } = probe.route
                && let Some((_, relay, _)) = self.relays.iter().find(|(known, ..)| *known == session)
            {
                self.calls.push((*relay, Call::Reserve));
            }
            out.transmits.push_back(way.single(probe.datagram));
        }
    }

    fn pump_waiting(&mut self, mtu: usize, out: &mut Output, now: Instant) {
        let Some(route) = self.path.best() else {
            self.path.want(now);
            self.ask_for_candidates(out, now);
            return;
        };
        self.revive = false;
        if !self.peer.tunnel.is_ready() {
            self.peer.tunnel.initiate(&mut out.answers, now);
            return;
        }
        while let Some(packet) = self.waiting.pop_front() {
            let parsed = IpPacket::parse(&packet);
            match parsed.map_or(Fit::Sealed, |parsed| self.fit(&parsed, route, mtu, out, now)) {
                Fit::Sealed => out.packets.give(packet),
                Fit::TooBig(mtu) => self.refused.push((packet, mtu)),
                Fit::NotReady => {
                    self.waiting.push_front(packet);
                    return;
                }
            }
        }
        self.waiting_since = None;
    }

    fn ask_for_candidates(&mut self, out: &mut Output, now: Instant) {
        if self.wanted_at.is_none_or(|at| now.saturating_duration_since(at) >= WANT_AGAIN) {
            self.wanted_at = Some(now);
            out.event(Event::WantCandidates { peer: self.peer.key });
        }
    }

    /// How datagrams are sent on a route.
    pub(super) fn way(&self, route: Route) -> Option<Way> {
        match route {
            Route::Udp { .. } | Route::Stream { .. } => Some(Way { via: Via::of(route)?, session: None }),
            Route::Relay { session } => {
                let (.., via) = self.relays.iter().find(|(known, ..)| *known == session)?;
                Some(Way { via: (*via)?, session: Some(session) })
            }
        }
    }

    /// Through which relays it may be reached.
    pub(super) fn relays_mut(&mut self) -> &mut Vec<(u64, PeerId, Option<Via>)> {
        self.called_at = None;
        &mut self.relays
    }

    /// The relays that are needed to reach it, and how. To be given back empty.
    pub(super) fn calls_mut(&mut self) -> &mut Vec<(PeerId, Call)> {
        &mut self.calls
    }

    /// It relays for us and is needed.
    pub(super) fn call(&mut self, call: Call, now: Instant) {
        match call {
            Call::Now => {
                self.is_called = true;
                self.path.want(now);
            }
            Call::Reserve => self.path.keep(now),
            Call::Doubt => self.path.doubt(now),
        }
    }

    pub(super) fn call_relays(&mut self, now: Instant) {
        if self.called_at.is_some_and(|at| now.saturating_duration_since(at) < CALL_AGAIN) {
            return;
        }
        self.called_at = Some(now);
        let best = self.path.best();
        let needed = |session: u64| best.is_none_or(|best| best == Route::Relay { session });
        let call = |session: u64| if needed(session) { Call::Now } else { Call::Reserve };
        self.calls.extend(self.relays.iter().map(|(session, relay, _)| (*relay, call(*session))));
    }

    /// Seal into the run of this batch. False: the session is gone.
    pub(super) fn seal(
        &mut self,
        packet: &[u8],
        route: Route,
        mtu: usize,
        may_fragment: bool,
        out: &mut Output,
        now: Instant,
    ) -> bool {
        let Some(way) = self.way(route) else { return false };
        let padded = packet.len().next_multiple_of(PADDING).min(mtu.max(packet.len()));
        let length = padded + OVERHEAD + way.overhead();
        if !self.run.as_ref().is_some_and(|run| run.accepts(way.via, length, may_fragment)) {
            self.finish_run(out);
        }
        let run = self.run.get_or_insert_with(|| Transmit {
            destination: way.via,
            segment_size: length,
            contents: out.runs.take(),
            may_fragment,
        });
        let start = run.contents.len();
        way.begin(&mut run.contents);
        let sealed = if padded == packet.len() {
            self.peer.tunnel.seal(packet, &mut run.contents, &mut out.answers, now)
        } else {
            out.scratch.clear();
            out.scratch.extend_from_slice(packet);
            out.scratch.resize(padded, 0);
            self.peer.tunnel.seal(&out.scratch, &mut run.contents, &mut out.answers, now)
        };
        if sealed.is_ok() {
            self.peer.tx_bytes += packet.len() as u64;
            if !may_fragment {
                self.longest = self.longest.max(padded + OVERHEAD);
            }
        } else {
            run.contents.truncate(start);
        }
        sealed.is_ok()
    }

    fn wait(&mut self, packet: &[u8], out: &mut Output, now: Instant) {
        if self.waiting.len() >= MAX_WAITING
            && let Some(oldest) = self.waiting.pop_front()
        {
            out.drops.count(Drop::WaitingOverflow);
            out.packets.give(oldest);
        }
        let mut kept = out.packets.take();
        kept.extend_from_slice(packet);
        self.waiting.push_back(kept);
        self.waiting_since.get_or_insert(now);
    }

    fn send_answers(&mut self, out: &mut Output) {
        if out.answers.is_empty() {
            return;
        }
        // A handshake message overtakes the run of this batch, which belongs to the session before it.
        match self.path.best() {
            Some(route) => self.send_answers_to(route, out),
            None => {
                out.drops.add(Drop::NoPath, out.answers.len());
                out.answers.clear();
            }
        }
    }

    /// Send what a tunnel answered by a certain route.
    pub(super) fn send_answers_to(&self, route: Route, out: &mut Output) {
        match self.way(route) {
            Some(way) => out.transmits.extend(out.answers.drain(..).map(|answer| way.single(answer))),
            None => {
                out.drops.add(Drop::NoPath, out.answers.len());
                out.answers.clear();
            }
        }
    }

    fn finish_run(&mut self, out: &mut Output) {
        match self.run.take() {
            Some(run) if run.contents.is_empty() => out.runs.give(run.contents),
            Some(run) => out.transmits.push_back(run),
            None => {}
        }
    }
}
