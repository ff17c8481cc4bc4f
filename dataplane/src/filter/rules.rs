//! What a peer may begin with us. Nothing, unless it was granted.

use crate::packet::Protocol;

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Ports of one protocol, both ends included. A range whose first port is beyond its last holds none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// Of which protocol.
    pub transport: Transport,
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl PortRange {
    /// A single port.
    #[must_use]
    pub const fn single(transport: Transport, port: u16) -> Self {
        Self { transport, first: port, last: port }
    }

    fn contains(&self, protocol: Protocol, port: u16) -> bool {
        let same = match self.transport {
            Transport::Tcp => protocol == Protocol::TCP,
            Transport::Udp => protocol == Protocol::UDP,
        };
        same && (self.first..=self.last).contains(&port)
    }
}

/// The grant `incoming`: what the peer may open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Incoming {
    /// Nothing.
    #[default]
    None,
    /// These ports, and nothing else: no ping either. An empty list is nothing.
    Only(Vec<PortRange>),
    /// Everything.
    All,
}

/// What one peer may begin with us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The general grant.
    pub incoming: Incoming,
    /// Open whatever `incoming` says: a service with a grant of its own that this peer has.
    pub open: Vec<PortRange>,
    /// Closed whatever else is said: a service with a grant of its own that this peer has not.
    pub closed: Vec<PortRange>,
}

impl Rules {
    /// Nothing may come in, except answers.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Everything may come in.
    #[must_use]
    pub fn all() -> Self {
        Self { incoming: Incoming::All, ..Self::default() }
    }

    /// These ports may be reached, and nothing else.
    #[must_use]
    pub fn only(ports: Vec<PortRange>) -> Self {
        Self { incoming: Incoming::Only(ports), ..Self::default() }
    }

    /// Whether the peer may begin this. `port` is our port; 0 where the protocol has none.
    #[must_use]
    pub fn grant(&self, protocol: Protocol, port: u16) -> bool {
        let within = |ranges: &[PortRange]| ranges.iter().any(|range| range.contains(protocol, port));
        if within(&self.closed) {
            return false;
        }
        let granted = match &self.incoming {
            Incoming::None => false,
            Incoming::Only(ports) => within(ports),
            Incoming::All => true,
        };
        granted || within(&self.open)
    }

    /// Whether there is nothing that these rules refuse.
    #[must_use]
    pub fn grant_everything(&self) -> bool {
        self.incoming == Incoming::All && self.closed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSH: PortRange = PortRange::single(Transport::Tcp, 22);
    const GAME: PortRange = PortRange { transport: Transport::Udp, first: 27015, last: 27030 };

    #[test]
    fn no_rules_and_empty_rules_deny() {
        for rules in [Rules::default(), Rules::none(), Rules::only(vec![])] {
            for protocol in [Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ICMPV6, Protocol(47)] {
                assert!((0..=u16::MAX).all(|port| !rules.grant(protocol, port)), "{rules:?}");
            }
            assert!(!rules.grant_everything());
        }
    }

    #[test]
    fn a_list_grants_its_ports_and_nothing_else() {
        let rules = Rules::only(vec![SSH, GAME]);
        assert!(rules.grant(Protocol::TCP, 22));
        assert!(!rules.grant(Protocol::UDP, 22));
        assert!(rules.grant(Protocol::UDP, 27015) && rules.grant(Protocol::UDP, 27030));
        assert!(!rules.grant(Protocol::UDP, 27031));
        assert!(!rules.grant(Protocol::ICMP, 0), "no ping either");
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_empty() {
        let backwards = PortRange { transport: Transport::Tcp, first: 9, last: 3 };
        assert!((0..=u16::MAX).all(|port| !Rules::only(vec![backwards]).grant(Protocol::TCP, port)));
    }

    #[test]
    fn a_closed_port_is_closed_even_when_everything_is_granted() {
        let rules = Rules { closed: vec![SSH], ..Rules::all() };
        assert!(!rules.grant(Protocol::TCP, 22));
        assert!(rules.grant(Protocol::TCP, 23) && rules.grant(Protocol::UDP, 22));
        assert!(!rules.grant_everything());
    }

    #[test]
    fn an_open_port_is_open_even_when_nothing_is_granted() {
        let rules = Rules { open: vec![SSH], ..Rules::none() };
        assert!(rules.grant(Protocol::TCP, 22) && !rules.grant(Protocol::TCP, 23));
    }
}
