//! Calling members: at which addresses, by QUIC or TCP too, and what becomes of it.

use std::{cmp::Reverse, net::SocketAddr, time::Duration};

use super::{Node, Now, Output};
use crate::{identity::DeviceId, record::Timestamp};

/// So many calls by QUIC have failed before TCP is tried, where QUIC has worked with somebody else.
const BEFORE_TCP: u32 = 3;

/// After so many failed calls, others are asked where a member is.
const LOOKUPS: u32 = 3;
/// With the longest pauses, two minutes.
const CALLS_AN_HOUR: u32 = 30;
/// The news of a change is no older than this: a connection that is younger has begun after it.
const NEWS: Duration = Duration::from_secs(1);

/// The families whose packets left from an address that this machine has lost, and now leave from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renumbered {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

/// How long an answer to the hello of a doubt takes at most, when the round trip is known and when not.
const SHORTEST_DOUBT: Duration = Duration::from_millis(300);
const LONGEST_DOUBT: Duration = Duration::from_secs(2);

impl Node {
    /// No address of the peer answered.
    pub fn handle_dial_failed(&mut self, peer: DeviceId, now: Now) {
        match self.sessions.get(&peer) {
            Some(session) if !session.links.is_empty() => self.plan.handle_connected(&peer),
            Some(_) => self.plan.handle_failed(&peer, now.instant),
            None => {
                self.plan.handle_failed(&peer, now.instant);
                if self.is_worth_a_lookup(&peer) {
                    self.outputs.push_back(Output::Lookup(peer));
                }
            }
        }
    }

    /// The daemon knows that the network of this machine changed. Whoever is not connected is called, and so is whoever
    /// is connected in a way that cannot follow us to another address: it would take the idle timeout to notice. What
    /// cannot follow and certainly had to is closed: until then half of what is said would be said there.
    pub fn handle_network_changed(&mut self, renumbered: Renumbered, now: Now) {
        self.plan.handle_network_changed(now.instant);
        self.udp_works = false;
        self.budget.renew(now.instant);
        self.forget_reach(now);
        for session in self.sessions.values() {
            let lost = session.links.iter().filter(|(_, link)| {
                let had_to = if link.address.is_ipv4() { renumbered.v4 } else { renumbered.v6 };
                had_to && !session.follows(link) && now.instant.duration_since(link.since) >= NEWS
            });
            self.outputs.extend(lost.map(|(key, _)| Output::Close(*key)));
        }
        let stuck = self.sessions.iter().filter(|(_, session)| session.is_stuck(now.instant));
        for peer in stuck.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            let addresses = self.callable_addresses(&peer);
            if self.roster().is_member(&peer) && !addresses.is_empty() {
                self.outputs.push_back(Output::Dial { peer, streams: addresses.clone(), addresses });
            }
        }
    }

    /// The connections of all may be dead. Those that relay are called again if they do not answer soon: they are needed
    /// now, and to call the others as well is more than a router bears when many of them died.
    pub(super) fn doubt_all(&mut self, now: Now) {
        self.say_hello_to_all(now);
        for session in
            self.sessions.values_mut().filter(|session| session.relays && !session.links.is_empty())
        {
            let round_trip = session.round_trip.unwrap_or_default();
            let patience = (round_trip * 3).clamp(SHORTEST_DOUBT, LONGEST_DOUBT);
            session.doubted.get_or_insert(now.instant + patience);
        }
    }

    /// Calls those that have not answered, as far as the budget goes.
    pub(super) fn call_doubted(&mut self, now: Now) {
        let due = |session: &super::Session| session.doubted.is_some_and(|at| at <= now.instant);
        let due = self.sessions.iter().filter(|(_, session)| due(session));
        for peer in due.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            let mut addresses = self.callable_addresses(&peer);
            let share = self.budget.share(1, true, now.instant);
            addresses.truncate(share as usize);
            let Some(session) = self.sessions.get_mut(&peer) else { continue };
            session.doubted = None;
            if addresses.is_empty() || !self.log.roster().is_member(&peer) {
                continue;
            }
            session.called_again = true;
            let by_udp = session.links.values().any(|link| link.udp);
            let output = self.call(peer, addresses, if by_udp { 0 } else { share }, now);
            self.outputs.push_back(output);
        }
    }

    /// A call was answered: it has cost the router nothing.
    pub(super) fn call_answered(&mut self, peer: &DeviceId, udp: bool) {
        self.udp_works |= udp;
        if let Some(taken) = self.calls.remove(peer) {
            self.budget.give_back(taken);
        }
    }

    /// Where to call a member, best first.
    fn callable_addresses(&self, peer: &DeviceId) -> Vec<SocketAddr> {
        let mut addresses = self.book.addresses(peer);
        addresses.retain(|address| !self.inside_tunnel(&address.ip()));
        addresses
    }

    /// The next call that is due and that the budget allows.
    pub(super) fn next_call(&mut self, now: Now) -> Option<Output> {
        loop {
            let due = self.plan.due(now.instant);
            let urgent =
                |peer: &&DeviceId| self.interests.contains_key(peer) || self.sessions.contains_key(peer);
            let pressing = due.iter().filter(urgent).min_by_key(|device| self.prospects(device)).copied();
            let peer =
                pressing.or_else(|| due.iter().min_by_key(|device| self.prospects(device)).copied())?;
            let mut addresses = self.callable_addresses(&peer);
            if self.conduct.is_cut_off(&peer) {
                self.plan.begin(&peer, now.instant);
                self.plan.handle_failed(&peer, now.instant);
                continue;
            }
            if addresses.is_empty() {
                self.plan.begin(&peer, now.instant);
                self.plan.handle_failed(&peer, now.instant);
                self.call_through(peer, now.instant);
                if self.is_worth_a_lookup(&peer) {
                    return Some(Output::Lookup(peer));
                }
                continue;
            }
            let share = self.budget.share(due.len(), pressing.is_some(), now.instant);
            if share == 0 {
                return None;
            }
            let failures = self.plan.failures(&peer);
            self.plan.begin(&peer, now.instant);
            // Not all of them: then others each time.
            let share = (share as usize).min(addresses.len());
            let turn = (failures as usize).saturating_mul(share) % addresses.len();
            addresses.rotate_left(turn);
            addresses.truncate(share);
            let wanted = if self.udp_works && failures < BEFORE_TCP { 0 } else { share };
            let output = self.call(peer, addresses, u32::try_from(wanted).unwrap_or(u32::MAX), now);
            self.call_through(peer, now.instant + super::relaying::CIRCUIT_AFTER);
            return Some(output);
        }
    }

    /// Where there are more to call than the budget allows, the least come first: whoever has failed least, and of these
    /// whoever answered last.
    fn prospects(&self, peer: &DeviceId) -> (u32, Reverse<Option<Timestamp>>) {
        let best = self.book.of(peer).first();
        (self.plan.failures(peer), Reverse(best.and_then(|remembered| remembered.succeeded)))
    }

    /// Everybody connected is asked, so not after each call: at first, and once an hour. Whoever is connected with nobody
    /// has only the rendezvous, which keeps its own pace.
    fn is_worth_a_lookup(&self, peer: &DeviceId) -> bool {
        let failures = self.plan.failures(peer);
        self.sessions.is_empty() || failures <= LOOKUPS || failures.is_multiple_of(CALLS_AN_HOUR)
    }

    /// A call at these addresses, and by TCP at so many of them if the budget allows.
    fn call(&mut self, peer: DeviceId, addresses: Vec<SocketAddr>, streams: u32, now: Now) -> Output {
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let taken = self.budget.take(count, streams, now.instant);
        self.calls.insert(peer, taken);
        let streams = addresses.iter().take(taken.streams as usize).copied().collect();
        Output::Dial { peer, addresses, streams }
    }
}
