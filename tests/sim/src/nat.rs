//! Routers that hide a network: address translation and filtering in the words of RFC 4787.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::Random;

/// What a mapping or a filter depends on (RFC 4787, sections 4.1 and 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependence {
    /// On our own address and port alone.
    Endpoint,
    /// Also on the other side's address.
    Address,
    /// Also on the other side's port.
    AddressAndPort,
}

/// How a router behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// When the same inside port gets another outside port.
    pub mapping: Dependence,
    /// Who may answer through a mapping.
    pub filtering: Dependence,
    /// Uses the inside port outside if it is free (section 4.2.1).
    pub preserves_port: bool,
    /// Rolls dice for other ports, instead of counting upwards.
    pub random_ports: bool,
    /// Devices behind it reach each other by their outside addresses (section 6).
    pub hairpins: bool,
    /// Lets no UDP through at all.
    pub blocks_udp: bool,
    /// A mapping lives this long after the last datagram from inside (section 4.3).
    pub expiry: Duration,
}

impl Behaviour {
    /// The usual home router on Linux: port-restricted cone, port preserving.
    pub const PORT_RESTRICTED: Self = Self {
        mapping: Dependence::Endpoint,
        filtering: Dependence::AddressAndPort,
        preserves_port: true,
        random_ports: false,
        hairpins: false,
        blocks_udp: false,
        expiry: Duration::from_secs(60),
    };
    /// The same, with other ports outside than inside.
    pub const PORT_RESTRICTED_NEW_PORT: Self = Self { preserves_port: false, ..Self::PORT_RESTRICTED };
    /// Anybody may answer who has the address: full cone, or a forwarded port.
    pub const FULL_CONE: Self = Self { filtering: Dependence::Endpoint, ..Self::PORT_RESTRICTED };
    /// Another port for each destination: symmetric, as carriers and enterprises like it.
    pub const SYMMETRIC: Self =
        Self { mapping: Dependence::AddressAndPort, preserves_port: false, ..Self::PORT_RESTRICTED };
    /// The same with ports that nobody can foresee, as `fully-random` makes them.
    pub const SYMMETRIC_RANDOM: Self = Self { random_ports: true, ..Self::SYMMETRIC };
    /// A network without UDP.
    pub const BLOCKED: Self = Self { blocks_udp: true, ..Self::PORT_RESTRICTED };
}

/// A router between a realm and its parent. IPv4 is translated; IPv6 is filtered only, as home routers do.
#[derive(Clone, Debug)]
pub struct Router {
    /// How it behaves.
    pub behaviour: Behaviour,
    /// Its IPv4 address outside.
    pub outside: Ipv4Addr,
    next_port: u16,
    random: Random,
    mappings: BTreeMap<Key, Mapping>,
    /// What an inside IPv6 address sent to lately, by inside and outside address.
    pinholes: BTreeMap<(SocketAddr, SocketAddr), Instant>,
}

/// The inside address, and as much of the other side as the mapping depends on.
type Key = (SocketAddr, Option<IpAddr>, Option<u16>);

#[derive(Clone, Debug)]
struct Mapping {
    port: u16,
    until: Instant,
    /// Whom the inside sent to through it.
    sent_to: BTreeMap<SocketAddr, Instant>,
}

impl Router {
    /// A router without state.
    #[must_use]
    pub fn new(outside: Ipv4Addr, behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            outside,
            next_port: 20_000,
            random: Random::new(1),
            mappings: BTreeMap::new(),
            pinholes: BTreeMap::new(),
        }
    }

    /// Dice of its own.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { random: Random::new(seed), ..self }
    }

    /// It restarts: all mappings are gone, and new ones get other ports unless it preserves them.
    pub fn reboot(&mut self) {
        self.mappings.clear();
        self.pinholes.clear();
        self.next_port = self.next_port.wrapping_add(1000).max(20_000);
    }

    /// How many mappings are alive, counted by destination as connection tracking does.
    #[must_use]
    pub fn entries(&self, now: Instant) -> usize {
        let live = self.mappings.values().filter(|mapping| mapping.until > now);
        live.map(|mapping| mapping.sent_to.values().filter(|until| **until > now).count()).sum()
    }

    /// Where the live mappings lead.
    #[must_use]
    pub fn destinations(&self, now: Instant) -> Vec<SocketAddr> {
        let live = self.mappings.values().filter(|mapping| mapping.until > now);
        live.flat_map(|mapping| mapping.sent_to.iter().filter(|(_, until)| **until > now).map(|(to, _)| *to))
            .collect()
    }

    /// A datagram leaves: the source it has outside, or none if it is not let out.
    pub fn outbound(&mut self, from: SocketAddr, to: SocketAddr, now: Instant) -> Option<SocketAddr> {
        if self.behaviour.blocks_udp {
            return None;
        }
        let until = now + self.behaviour.expiry;
        if from.is_ipv6() {
            self.pinholes.insert((from, to), until);
            return Some(from);
        }
        self.mappings.retain(|_, mapping| mapping.until > now);
        let key = match self.behaviour.mapping {
            Dependence::Endpoint => (from, None, None),
            Dependence::Address => (from, Some(to.ip()), None),
            Dependence::AddressAndPort => (from, Some(to.ip()), Some(to.port())),
        };
        let port = match self.mappings.get(&key) {
            Some(mapping) => mapping.port,
            None => self.free_port(from.port()),
        };
        let mapping =
            self.mappings.entry(key).or_insert_with(|| Mapping { port, until, sent_to: BTreeMap::new() });
        mapping.until = until;
        mapping.sent_to.insert(to, until);
        Some(SocketAddr::new(self.outside.into(), port))
    }

    /// A datagram arrives: the inside address it goes to, or none if it is not let in.
    #[must_use]
    pub fn inbound(&self, from: SocketAddr, to: SocketAddr, now: Instant) -> Option<SocketAddr> {
        if self.behaviour.blocks_udp {
            return None;
        }
        if to.is_ipv6() {
            return self.pinholes.get(&(to, from)).filter(|until| **until > now).map(|_| to);
        }
        let may = |mapping: &Mapping| match self.behaviour.filtering {
            Dependence::Endpoint => true,
            Dependence::Address => {
                mapping.sent_to.iter().any(|(to, until)| to.ip() == from.ip() && *until > now)
            }
            Dependence::AddressAndPort => mapping.sent_to.get(&from).is_some_and(|until| *until > now),
        };
        let live =
            self.mappings.iter().filter(|(_, mapping)| mapping.port == to.port() && mapping.until > now);
        live.filter(|(_, mapping)| may(mapping)).map(|((inside, ..), _)| *inside).next()
    }

    fn free_port(&mut self, wish: u16) -> u16 {
        let taken = |port: u16| self.mappings.values().any(|mapping| mapping.port == port);
        if self.behaviour.preserves_port && !taken(wish) {
            return wish;
        }
        let mut port = self.next_port;
        if self.behaviour.random_ports {
            port = 1024 + (self.random.number() % 64_512) as u16;
        }
        while taken(port) {
            port = port.checked_add(1).unwrap_or(20_000);
        }
        if !self.behaviour.random_ports {
            self.next_port = port.checked_add(1).unwrap_or(20_000);
        }
        port
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{epoch, secs};

    const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_full_cone_lets_anybody_in_where_somebody_went_out() {
        let now = epoch();
        let mut router = Router::new(OUTSIDE, Behaviour::FULL_CONE);
        let inside = address("10.0.0.2:41820");
        let outside = router.outbound(inside, address("192.0.2.1:1"), now).expect("let out");
        assert_eq!(outside, address("203.0.113.1:41820"));
        assert_eq!(router.inbound(address("192.0.2.9:9"), outside, now), Some(inside));
        assert_eq!(router.inbound(address("192.0.2.9:9"), address("203.0.113.1:41821"), now), None);
    }

    #[test]
    fn a_port_restricted_cone_lets_in_whom_it_was_sent_to() {
        let now = epoch();
        let mut router = Router::new(OUTSIDE, Behaviour::PORT_RESTRICTED_NEW_PORT);
        let inside = address("10.0.0.2:41820");
        let outside = router.outbound(inside, address("192.0.2.1:1"), now).expect("let out");
        assert_ne!(outside.port(), 41820);
        assert_eq!(router.outbound(inside, address("192.0.2.7:7"), now), Some(outside), "one port for all");
        assert_eq!(router.inbound(address("192.0.2.1:1"), outside, now), Some(inside));
        assert_eq!(router.inbound(address("192.0.2.1:2"), outside, now), None);
        assert_eq!(router.inbound(address("192.0.2.1:1"), outside, now + secs(60)), None, "expired");
    }

    #[test]
    fn a_symmetric_router_uses_another_port_for_each_destination() {
        let now = epoch();
        let mut router = Router::new(OUTSIDE, Behaviour::SYMMETRIC);
        let inside = address("10.0.0.2:41820");
        let first = router.outbound(inside, address("192.0.2.1:1"), now);
        assert_ne!(first, router.outbound(inside, address("192.0.2.1:2"), now));
        assert_eq!(first, router.outbound(inside, address("192.0.2.1:1"), now));
        assert_eq!(router.entries(now), 2);
        assert_eq!(router.entries(now + secs(61)), 0);
    }

    #[test]
    fn two_inside_devices_never_share_an_outside_port() {
        let now = epoch();
        let mut router = Router::new(OUTSIDE, Behaviour::PORT_RESTRICTED);
        let to = address("192.0.2.1:1");
        let first = router.outbound(address("10.0.0.2:41820"), to, now);
        let second = router.outbound(address("10.0.0.3:41820"), to, now);
        assert!(first.is_some() && first != second);
    }

    #[test]
    fn ipv6_is_let_in_only_as_an_answer() {
        let now = epoch();
        let mut router = Router::new(OUTSIDE, Behaviour::PORT_RESTRICTED);
        let (inside, far) = (address("[2001:db8:1::2]:41820"), address("[2001:db8:2::2]:41820"));
        assert_eq!(router.inbound(far, inside, now), None);
        assert_eq!(router.outbound(inside, far, now), Some(inside));
        assert_eq!(router.inbound(far, inside, now), Some(inside));
    }
}
