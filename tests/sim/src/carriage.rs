//! What the control plane arranges beyond candidates: sessions through members that relay, and streams over TCP.
//!
//! TCP is a line here: it gets through every router, in order, without loss, as late as the hosts are far away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use warren_dataplane::engine::{Command, Via};

use crate::mesh::Mesh;

/// A datagram in a stream: the receiver, the stream, the bytes.
type InStream = (usize, u64, Vec<u8>);

/// Members that relay, and who is connected by a stream.
#[derive(Default)]
pub struct Carriage {
    /// Devices that relay for everybody.
    pub relays: BTreeSet<usize>,
    streams: BTreeMap<u64, [usize; 2]>,
    flights: BTreeMap<(Instant, u64), InStream>,
    sent: u64,
}

impl Carriage {
    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.flights.keys().next().map(|(at, _)| *at)
    }

    pub(crate) fn receive(&mut self, now: Instant) -> Option<InStream> {
        let entry = self.flights.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}

impl Mesh {
    /// A stream between two devices, whatever is between them.
    pub fn open_stream(&mut self, a: usize, b: usize) {
        if self.carriage.streams.values().any(|ends| *ends == [a, b] || *ends == [b, a]) {
            return;
        }
        let id = self.carriage.streams.len() as u64 + 1;
        self.carriage.streams.insert(id, [a, b]);
        for (own, other) in [(a, b), (b, a)] {
            let (peer, host) = (self.devices[other].key(), self.devices[other].host);
            let address = self.network.interfaces(host)[0];
            let added = self.devices[own].engine.add_stream(&peer, id, address, self.now);
            added.expect("a stream that can be used");
            self.collect(own);
        }
    }

    /// Both devices agree with every relay they reach. Who has no UDP opens a stream to it.
    pub(crate) fn agree_on_relays(&mut self, a: usize, b: usize) {
        for relay in self.carriage.relays.clone() {
            let host = |n: usize| self.devices[n].host;
            let united = [a, b].iter().all(|end| self.network.is_united(host(*end), host(relay)));
            if [a, b].contains(&relay) || !united {
                continue;
            }
            for end in [a, b] {
                let realm = self.network.realm(self.devices[end].host);
                if self.network.router(realm).is_some_and(|router| router.behaviour.blocks_udp) {
                    self.open_stream(end, relay);
                }
            }
            let session = (a.min(b) * 1_000_000 + a.max(b) * 1000 + relay) as u64;
            let key = |n: usize| self.devices[n].key();
            let (at_a, at_b, via) = (key(a), key(b), key(relay));
            self.command(relay, Command::AddForward { session, between: (at_a, at_b) });
            self.command(a, Command::AddRelay { peer: at_b, relay: via, session });
            self.command(b, Command::AddRelay { peer: at_a, relay: via, session });
        }
    }

    pub(crate) fn send_in_stream(&mut self, from: usize, id: u64, datagram: &[u8]) {
        let Some([a, b]) = self.carriage.streams.get(&id).copied() else { return };
        let to = if a == from { b } else { a };
        let (here, there) = (self.devices[from].host, self.devices[to].host);
        if self.network.is_united(here, there) {
            self.carriage.sent += 1;
            let at = self.now + self.network.access(here) + self.network.access(there);
            self.carriage.flights.insert((at, self.carriage.sent), (to, id, datagram.to_vec()));
        }
    }

    pub(crate) fn receive_from_streams(&mut self) {
        while let Some((to, id, datagram)) = self.carriage.receive(self.now) {
            self.devices[to].engine.handle_datagram(Via::Stream { id }, &datagram, self.now);
            self.collect(to);
        }
    }
}
