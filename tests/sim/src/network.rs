//! Hosts, realms and the way of a datagram between them.
//!
//! ```text
//!              Internet (realm 0)
//!              /      |        \
//!        Router    public     Router        a router hides a realm from its parent
//!          |        host        |
//!        realm                realm
//!        /   \                  |
//!     host   host             Router        carrier-grade NAT over a home: realms nest
//! ```
//!
//! A datagram goes up from its sender's realm, through each router, until it is in a realm where somebody has its destination;
//! then down again. Delay is the sum of both hosts' access delays, which within one realm are nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use warren_dataplane::path::Nat;

use crate::nat::{Behaviour, Dependence, Router};
use crate::{Random, ms};

/// Delay within one realm.
const LOCAL_DELAY: Duration = Duration::from_micros(300);
/// The UDP port of every device. It may open others.
pub const PORT: u16 = 41820;

/// Names a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

/// Names a realm: a network in which addresses mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealmId(pub usize);

/// The realm that all others are connected to.
pub const INTERNET: RealmId = RealmId(0);

struct Realm {
    /// The router towards the parent; none for the Internet.
    router: Option<(RealmId, Router)>,
    /// How many IPv4 addresses were given out.
    hosts: u8,
}

struct Host {
    realm: RealmId,
    addresses: Vec<IpAddr>,
    /// Where somebody listens.
    ports: BTreeSet<u16>,
    /// Its own share of the delay to the Internet, one way.
    access: Duration,
    /// Which side of a partition it is on.
    side: u8,
}

/// A datagram that arrived.
#[derive(Debug)]
pub struct Arrival {
    /// Where.
    pub host: HostId,
    /// At which of its ports.
    pub port: u16,
    /// From whom, as seen there.
    pub from: SocketAddr,
    /// What.
    pub datagram: Vec<u8>,
}

/// All hosts and what lies between them.
pub struct Network {
    random: Random,
    realms: Vec<Realm>,
    hosts: Vec<Host>,
    flights: BTreeMap<(Instant, u64), Arrival>,
    sent: u64,
    /// Datagrams lost, in percent.
    pub loss: u8,
    /// Each datagram is late by up to this, so that they overtake each other.
    pub jitter: Duration,
    /// Bytes that each host sent, IPv4 and UDP headers included.
    pub traffic: BTreeMap<HostId, u64>,
}

impl Network {
    /// The Internet with nobody on it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            realms: vec![Realm { router: None, hosts: 0 }],
            hosts: Vec::new(),
            flights: BTreeMap::new(),
            sent: 0,
            loss: 0,
            jitter: Duration::ZERO,
            traffic: BTreeMap::new(),
        }
    }

    /// A network behind a router of its own, below `parent`.
    pub fn add_realm(&mut self, parent: RealmId, behaviour: Behaviour) -> RealmId {
        let id = RealmId(self.realms.len());
        let outside = self.free_ipv4(parent);
        let router = Router::new(outside, behaviour).with_seed(self.random.number());
        self.realms.push(Realm { router: Some((parent, router)), hosts: 0 });
        id
    }

    /// A host in a realm, 10 ms away from the Internet.
    pub fn add_host(&mut self, realm: RealmId) -> HostId {
        let id = HostId(self.hosts.len());
        let addresses = vec![self.free_ipv4(realm).into()];
        self.hosts.push(Host { realm, addresses, ports: BTreeSet::from([PORT]), access: ms(10), side: 0 });
        id
    }

    /// Gives a host a global IPv6 address, beside or instead of its IPv4 address.
    pub fn add_ipv6(&mut self, host: HostId, instead: bool) {
        let address =
            Ipv6Addr::new(0x2001, 0xdb8, self.hosts[host.0].realm.0 as u16, 0, 0, 0, 0, host.0 as u16 + 1);
        let addresses = &mut self.hosts[host.0].addresses;
        if instead {
            addresses.clear();
        }
        addresses.push(address.into());
    }

    /// Opens a further UDP port on a host.
    pub fn open_port(&mut self, host: HostId) -> u16 {
        let ports = &self.hosts[host.0].ports;
        let port = (50_000..=u16::MAX).find(|port| !ports.contains(port)).expect("a free port");
        self.hosts[host.0].ports.insert(port);
        port
    }

    /// Closes it.
    pub fn close_port(&mut self, host: HostId, port: u16) {
        self.hosts[host.0].ports.remove(&port);
    }

    /// What kind of NAT two observers would find a host behind.
    #[must_use]
    pub fn nat(&self, host: HostId) -> Nat {
        let host = &self.hosts[host.0];
        let mut realm = host.realm;
        let mut nat = if host.addresses.iter().any(IpAddr::is_ipv4) { Nat::Open } else { Nat::Unknown };
        while let (Some((parent, router)), true) = (&self.realms[realm.0].router, nat != Nat::Unknown) {
            nat = match router.behaviour {
                Behaviour { blocks_udp: true, .. } => Nat::Unknown,
                Behaviour { mapping: Dependence::Endpoint, .. } if nat != Nat::Hard => Nat::Easy,
                Behaviour { .. } => Nat::Hard,
            };
            realm = *parent;
        }
        nat
    }

    /// Moves a host to another realm, where it gets another address.
    pub fn move_host(&mut self, host: HostId, realm: RealmId) {
        let address = self.free_ipv4(realm);
        let host = &mut self.hosts[host.0];
        host.realm = realm;
        host.addresses = vec![address.into()];
    }

    /// How far a host is from the Internet, one way.
    pub fn set_access(&mut self, host: HostId, delay: Duration) {
        self.hosts[host.0].access = delay;
    }

    /// How far a host is from the Internet, one way.
    #[must_use]
    pub fn access(&self, host: HostId) -> Duration {
        self.hosts[host.0].access
    }

    /// Puts a host on a side; hosts on different sides do not reach each other.
    pub fn set_side(&mut self, host: HostId, side: u8) {
        self.hosts[host.0].side = side;
    }

    /// Whether no partition is between two hosts.
    #[must_use]
    pub fn is_united(&self, a: HostId, b: HostId) -> bool {
        self.hosts[a.0].side == self.hosts[b.0].side
    }

    /// The router of a realm.
    pub fn router(&mut self, realm: RealmId) -> Option<&mut Router> {
        self.realms[realm.0].router.as_mut().map(|(_, router)| router)
    }

    /// Where a host is.
    #[must_use]
    pub fn realm(&self, host: HostId) -> RealmId {
        self.hosts[host.0].realm
    }

    /// The addresses of a host's interfaces, with the port of its device.
    #[must_use]
    pub fn interfaces(&self, host: HostId) -> Vec<SocketAddr> {
        self.hosts[host.0].addresses.iter().map(|address| SocketAddr::new(*address, PORT)).collect()
    }

    /// How a public observer sees the host's socket: what members tell each other of themselves. Makes or refreshes the
    /// mappings on the way.
    pub fn observe(&mut self, host: HostId, now: Instant) -> Option<SocketAddr> {
        let observer = SocketAddr::from(([192, 0, 2, 1], PORT));
        let mut source = self.interfaces(host).into_iter().find(SocketAddr::is_ipv4)?;
        let mut realm = self.hosts[host.0].realm;
        while let Some((parent, router)) = &mut self.realms[realm.0].router {
            source = router.outbound(source, observer, now)?;
            realm = *parent;
        }
        Some(source)
    }

    /// Sends a datagram from a host's device.
    pub fn send(&mut self, host: HostId, to: SocketAddr, datagram: &[u8], now: Instant) {
        self.send_from(host, PORT, to, datagram, now);
    }

    /// Sends a datagram from any port of a host.
    pub fn send_from(&mut self, host: HostId, port: u16, to: SocketAddr, datagram: &[u8], now: Instant) {
        *self.traffic.entry(host).or_default() += datagram.len() as u64 + if to.is_ipv4() { 28 } else { 48 };
        let Some(from) = self.interfaces(host).into_iter().find(|from| from.is_ipv4() == to.is_ipv4()) else {
            return;
        };
        let from = SocketAddr::new(from.ip(), port);
        let Some(((receiver, port), from)) = self.route(host, from, to, now) else { return };
        if self.hosts[receiver.0].side != self.hosts[host.0].side || self.random.percent(self.loss) {
            return;
        }
        let realm = self.hosts[host.0].realm;
        let delay = if realm != INTERNET && self.hosts[receiver.0].realm == realm {
            LOCAL_DELAY
        } else {
            self.hosts[receiver.0].access + self.hosts[host.0].access
        };
        let late = self.jitter.mul_f64(self.random.below(1000) as f64 / 1000.0);
        self.sent += 1;
        let arrival = Arrival { host: receiver, port, from, datagram: datagram.to_vec() };
        self.flights.insert((now + delay + late, self.sent), arrival);
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.flights.keys().next().map(|(at, _)| *at)
    }

    /// A datagram that has arrived by now.
    pub fn receive(&mut self, now: Instant) -> Option<Arrival> {
        let entry = self.flights.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// Who gets it, and from whom it seems to come; none if it goes astray.
    fn route(
        &mut self,
        sender: HostId,
        mut from: SocketAddr,
        to: SocketAddr,
        now: Instant,
    ) -> Option<((HostId, u16), SocketAddr)> {
        let mut realm = self.hosts[sender.0].realm;
        let mut came_through = BTreeSet::new();
        loop {
            if let Some(found) = self.descend(realm, from, to, &came_through, now) {
                return found.map(|receiver| (receiver, from));
            }
            let (parent, router) = self.realms[realm.0].router.as_mut()?;
            from = router.outbound(from, to, now)?;
            came_through.insert(realm);
            realm = *parent;
        }
    }

    /// Delivers within a realm and below. `None`: nobody there has this address. `Some(None)`: somebody has, but it is
    /// not let in.
    fn descend(
        &self,
        realm: RealmId,
        from: SocketAddr,
        to: SocketAddr,
        came_through: &BTreeSet<RealmId>,
        now: Instant,
    ) -> Option<Option<(HostId, u16)>> {
        let here = |host: &Host| host.realm == realm && host.addresses.contains(&to.ip());
        if let Some(index) = self.hosts.iter().position(here) {
            let listens = self.hosts[index].ports.contains(&to.port());
            return Some(listens.then_some((HostId(index), to.port())));
        }
        for (index, child) in self.realms.iter().enumerate() {
            let Some((parent, router)) = &child.router else { continue };
            let below = RealmId(index);
            if *parent != realm {
                continue;
            }
            let hairpin = came_through.contains(&below);
            if to.ip() == IpAddr::V4(router.outside) {
                if hairpin && !router.behaviour.hairpins {
                    return Some(None);
                }
                let inside = router.inbound(from, to, now);
                return Some(
                    inside.and_then(|to| self.descend(below, from, to, came_through, now).flatten()),
                );
            }
            if to.is_ipv6()
                && !hairpin
                && let Some(found) = self.descend(below, from, to, came_through, now)
            {
                return Some(found.filter(|_| router.inbound(from, to, now).is_some()));
            }
        }
        None
    }

    fn free_ipv4(&mut self, realm: RealmId) -> Ipv4Addr {
        let number = &mut self.realms[realm.0].hosts;
        *number += 1;
        match realm {
            INTERNET => Ipv4Addr::new(203, 0, 113, *number),
            RealmId(realm) => Ipv4Addr::new(192, 168, realm as u8, *number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch;

    fn arrives(
        network: &mut Network,
        host: HostId,
        to: SocketAddr,
        now: Instant,
    ) -> Option<(HostId, SocketAddr)> {
        network.send(host, to, b"hello", now);
        network.receive(now + ms(1000)).map(|arrival| (arrival.host, arrival.from))
    }

    #[test]
    fn a_datagram_finds_its_way_up_and_down_through_nested_routers() {
        let (mut network, now) = (Network::new(1), epoch());
        let carrier = network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED_NEW_PORT);
        let home = network.add_realm(carrier, Behaviour::PORT_RESTRICTED);
        let (inner, public) = (network.add_host(home), network.add_host(INTERNET));
        let server = network.interfaces(public)[0];
        let (host, seen) = arrives(&mut network, inner, server, now).expect("arrives");
        assert_eq!(host, public);
        assert_eq!(network.realms[carrier.0].router.as_ref().map(|(_, r)| r.outside.into()), Some(seen.ip()));
        assert_eq!(arrives(&mut network, public, seen, now), Some((inner, server)), "and back");
        let private = network.interfaces(inner)[0];
        assert_eq!(arrives(&mut network, public, private, now), None);
    }

    #[test]
    fn neighbours_reach_each_other_directly_and_by_hairpin_only_where_the_router_does_that() {
        for hairpins in [false, true] {
            let (mut network, now) = (Network::new(1), epoch());
            let home = network.add_realm(INTERNET, Behaviour { hairpins, ..Behaviour::FULL_CONE });
            let (a, b) = (network.add_host(home), network.add_host(home));
            let direct = network.interfaces(b)[0];
            assert_eq!(arrives(&mut network, a, direct, now), Some((b, network.interfaces(a)[0])));
            let outside = network.observe(b, now).expect("seen");
            assert_eq!(arrives(&mut network, a, outside, now).is_some(), hairpins);
        }
    }

    #[test]
    fn ipv6_hosts_reach_each_other_once_both_have_sent() {
        let (mut network, now) = (Network::new(1), epoch());
        let realms = [0, 1].map(|_| network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED));
        let [a, b] = realms.map(|realm| network.add_host(realm));
        [a, b].into_iter().for_each(|host| network.add_ipv6(host, true));
        let (to_a, to_b) = (network.interfaces(a)[0], network.interfaces(b)[0]);
        assert_eq!(arrives(&mut network, a, to_b, now), None);
        assert_eq!(arrives(&mut network, b, to_a, now), Some((a, to_b)));
        assert_eq!(arrives(&mut network, a, to_b, now), Some((b, to_a)));
    }

    #[test]
    fn the_two_sides_of_a_partition_do_not_hear_each_other() {
        let (mut network, now) = (Network::new(1), epoch());
        let (a, b) = (network.add_host(INTERNET), network.add_host(INTERNET));
        let to = network.interfaces(b)[0];
        network.set_side(a, 1);
        assert_eq!(arrives(&mut network, a, to, now), None);
        network.set_side(a, 0);
        assert!(arrives(&mut network, a, to, now).is_some());
    }
}
