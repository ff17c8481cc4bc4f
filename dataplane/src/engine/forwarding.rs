//! Relay frames: those for us are opened, those for others go on as they are.

use std::time::Instant;

use super::Engine;
use super::command::CommandError;
use super::detours::Session;
use super::drops::Drop;
use super::transmit::Transmit;
use super::via::Via;
use crate::path::Route;
use crate::relay::{Exceeded, Refused, frame};
use crate::wg::{PeerId, PublicKey};

impl Engine {
    pub(super) fn add_forward(
        &mut self,
        session: u64,
        (a, b): (PublicKey, PublicKey),
    ) -> Result<(), CommandError> {
        let of = |key| self.peers.by_key(&key).map(|id| (id, key)).ok_or(CommandError::UnknownPeer);
        let ends = [of(a)?, of(b)?];
        if a == b {
            return Err(CommandError::NotThreeDevices);
        }
        if self.detours.session(session).is_some() {
            return Err(CommandError::SessionTaken(session));
        }
        self.forwards.add(session, ends).map_err(|refused| match refused {
            Refused::Taken => CommandError::SessionTaken(session),
            Refused::Full => CommandError::TooManySessions,
        })
    }

    /// Frames at the beginning of what one receive call brought. Returns how many bytes of it were dealt with: one
    /// datagram, or all that go on through the same session.
    pub(super) fn handle_frames(&mut self, from: Via, contents: &[u8], stride: usize, now: Instant) -> usize {
        let stride = stride.clamp(1, contents.len().max(1));
        let first = contents.get(..stride).unwrap_or_default();
        let outcome = match frame::parse(first) {
            Err(_) => Err(Drop::RelayMalformed),
            Ok((session, inside)) => match (self.detours.session(session), self.forwards.ends(session)) {
                (Some(ours), _) => self.unwrap(ours, session, from, inside, now),
                (None, Some(ends)) => return self.forward(session, ends, from, contents, stride, now),
                (None, None) => Err(Drop::Relayed),
            },
        };
        if let Err(reason) = outcome {
            self.out.drops.count(reason);
        }
        first.len()
    }

    /// A frame for us: what is inside came from the other end of the session, if the relay sent it.
    fn unwrap(
        &mut self,
        ours: Session,
        session: u64,
        from: Via,
        inside: &[u8],
        now: Instant,
    ) -> Result<(), Drop> {
        if self.proved_at(ours.relay, from).is_none() {
            return Err(Drop::RelayUnproven);
        }
        self.receive(Route::Relay { session }, inside, now)?;
        // What it relays shows that the relay is there.
        if let Some(relay) = self.remotes.get_mut(ours.relay.slot()).and_then(Option::as_mut)
            && relay.path.best() == Some(from.route())
        {
            relay.hear(from.route(), now);
        }
        Ok(())
    }

    /// Frames for somebody else go on, unopened, in runs as they came.
    fn forward(
        &mut self,
        session: u64,
        [a, b]: [PeerId; 2],
        from: Via,
        contents: &[u8],
        stride: usize,
        now: Instant,
    ) -> usize {
        let header = frame::header(session);
        let count = contents.chunks(stride).take_while(|datagram| datagram.starts_with(&header)).count();
        let taken = contents.get(..count * stride).unwrap_or(contents);
        // Both, if a router gave the mapping of one to the other; then it is the one who proved it last.
        let (of_a, of_b) = (self.proved_at(a, from), self.proved_at(b, from));
        if of_a.max(of_b).is_none() {
            self.out.drops.add(Drop::RelayUnproven, count);
            return taken.len();
        }
        let (sender, receiver) = if of_a > of_b { (a, b) } else { (b, a) };
        let leg = self.remotes.get(receiver.slot()).and_then(Option::as_ref);
        let leg = leg.and_then(|remote| remote.path.leg(now)).and_then(|(route, _)| Via::of(route));
        let Some(via) = leg else {
            self.out.drops.add(Drop::RelayNoPath, count);
            return taken.len();
        };
        let mut run: Option<Transmit> = None;
        for datagram in taken.chunks(stride) {
            if frame::parse(datagram).is_err() {
                self.out.drops.count(Drop::RelayMalformed);
                continue;
            }
            if let Err(exceeded) = self.forwards.pass(session, sender, datagram.len(), now) {
                self.out.drops.count(match exceeded {
                    Exceeded::Rate => Drop::RelayOverRate,
                    Exceeded::Day => Drop::RelayOverDay,
                });
                continue;
            }
            if let Some(full) = run.take_if(|run| !run.accepts(via, datagram.len(), false)) {
                self.out.transmits.push_back(full);
            }
            let run = run.get_or_insert_with(|| Transmit {
                destination: via,
                segment_size: datagram.len(),
                contents: self.out.runs.take(),
                may_fragment: false,
            });
            run.contents.extend_from_slice(datagram);
        }
        self.out.transmits.extend(run);
        taken.len()
    }

    fn proved_at(&self, id: PeerId, from: Via) -> Option<Instant> {
        self.remotes.get(id.slot())?.as_ref()?.path.proved_at(from.route())
    }
}
