//! Addresses: where members are said to be, where we are seen, and where we listen.

use std::net::SocketAddr;

use super::{Event, Node, Now, Output, Paces};
use crate::{discovery::Source, identity::DeviceId};

impl Node {
    /// Somebody says that a member is at an address.
    pub fn handle_address(&mut self, peer: DeviceId, address: SocketAddr, source: Source, now: Now) {
        let known = peer != self.own && self.roster().is_member(&peer);
        if known && !self.inside_tunnel(&address.ip()) && self.book.heard(peer, address, source, now.wall) {
            if self.sessions.is_empty() {
                // It may be the one that answers.
                self.set_targets(now);
            }
            self.plan.handle_news(&peer, now.instant);
        }
    }

    /// A peer saw us at this address, on the shared UDP socket. What it repeats, or changes all the time, is no news.
    pub fn handle_observed(&mut self, by: DeviceId, address: SocketAddr, now: Now) {
        if self.inside_tunnel(&address.ip()) {
            return;
        }
        let Some(session) = self.sessions.get_mut(&by).filter(|session| session.observed != Some(address))
        else {
            return;
        };
        let paces = self.paces.entry(by).or_insert_with(|| Paces::new(now.instant));
        if paces.observations.take(now.instant).is_ok() {
            session.observed = Some(address);
            self.outputs.push_back(Output::Event(Event::Observed { by, address }));
        }
    }

    /// We listen on an address, or do not any more.
    pub fn handle_listening(&mut self, address: SocketAddr, listening: bool, now: Now) {
        let changed =
            if listening { self.listening.insert(address) } else { self.listening.remove(&address) };
        if !changed {
            return;
        }
        if listening {
            self.ask_soon(now);
            // A new interface may reach whom the others could not.
            self.plan.handle_network_changed(now.instant);
        }
        self.say_hello_to_all(now);
    }

    /// Writes down all there is to write. Call it before the end: who is connected then is the first to call afterwards.
    pub fn keep_everything(&mut self, now: Now) {
        for (peer, session) in &self.sessions {
            for link in session.links.values().filter(|link| link.callable) {
                self.book.succeeded(*peer, link.address, now.wall);
            }
        }
        self.keep_addresses();
    }

    /// Writes down addresses that are new.
    pub(super) fn keep_addresses(&mut self) {
        self.addresses_due = None;
        while let Some(device) = self.book.poll_changed() {
            self.keep.keep_addresses(&device, self.book.of(&device));
        }
    }
}
