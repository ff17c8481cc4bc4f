//! Packets by hand, and a filter between us and one peer.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::filter::{Filter, Rules, Verdict};
use crate::packet::IpPacket;

pub(super) const US: [&str; 2] = ["100.64.0.1", "fd00::1"];
pub(super) const PEER: [&str; 2] = ["100.64.0.2", "fd00::2"];
pub(super) const FIN_ACK: u8 = 0x11;
pub(super) const SYN: u8 = 0x02;
pub(super) const SYN_ACK: u8 = 0x12;
pub(super) const RST: u8 = 0x04;
pub(super) const ACK: u8 = 0x10;

#[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
pub(super) fn epoch() -> Instant {
    Instant::now()
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// An IP packet; `fragment` is the IPv4 field or that of an IPv6 fragment header, which it gets if not 0.
pub(super) fn ip(source: &str, destination: &str, protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes;
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes = vec![0x45, 0];
            bytes.extend((20 + payload.len() as u16).to_be_bytes());
            bytes.extend([0, 7]);
            bytes.extend(fragment.to_be_bytes());
            bytes.extend([64, protocol, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = fragment != 0;
            bytes = vec![0x60, 0, 0, 0];
            bytes.extend((payload.len() as u16 + if header { 8 } else { 0 }).to_be_bytes());
            bytes.extend([if header { 44 } else { protocol }, 64]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            if header {
                // 0x2000 is "more" in IPv4 and 1 is in IPv6, where the offset is shifted by three.
                let more = u16::from(fragment & 0x2000 != 0);
                bytes.extend([protocol, 0]);
                bytes.extend(((fragment & 0x1fff) << 3 | more).to_be_bytes());
                bytes.extend([0, 0, 0, 7]);
            }
        }
        (IpAddr::V4(_) | IpAddr::V6(_), _) => panic!("one family"),
    }
    bytes.extend(payload);
    bytes
}

pub(super) fn ports(from: u16, to: u16, rest: &[u8]) -> Vec<u8> {
    [&from.to_be_bytes()[..], &to.to_be_bytes()[..], rest].concat()
}

pub(super) fn udp(from: u16, to: u16) -> Vec<u8> {
    ports(from, to, &[0, 8, 0, 0])
}

pub(super) fn tcp(from: u16, to: u16, flags: u8) -> Vec<u8> {
    ports(from, to, &[0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0])
}

/// A filter between us and peer 1, in one family.
pub(super) struct Door {
    pub(super) filter: Filter<u8>,
    pub(super) rules: Rules,
    pub(super) now: Instant,
    pub(super) family: usize,
}

impl Door {
    pub(super) fn new(rules: Rules) -> Self {
        Self { filter: Filter::default(), rules, now: epoch(), family: 0 }
    }

    /// The same test in both families.
    pub(super) fn each(rules: &Rules, test: impl Fn(Self)) {
        for family in 0..2 {
            test(Self { family, ..Self::new(rules.clone()) });
        }
    }

    pub(super) fn out(&mut self, protocol: u8, payload: &[u8]) {
        let bytes = ip(US[self.family], PEER[self.family], protocol, 0, payload);
        self.filter.outbound(&IpPacket::parse(&bytes).unwrap(), 1, self.now);
    }

    pub(super) fn incoming(&mut self, protocol: u8, payload: &[u8]) -> Verdict {
        self.fragment(protocol, 0, payload)
    }

    pub(super) fn fragment(&mut self, protocol: u8, fragment: u16, payload: &[u8]) -> Verdict {
        let bytes = ip(PEER[self.family], US[self.family], protocol, fragment, payload);
        self.filter.inbound(&IpPacket::parse(&bytes).unwrap(), 1, &self.rules, self.now)
    }

    pub(super) fn icmp(&self) -> u8 {
        [1, 58][self.family]
    }

    pub(super) fn echo(&self, reply: bool, id: u16) -> Vec<u8> {
        let kind = [[8, 0], [128, 129]][self.family][usize::from(reply)];
        [&[kind, 0, 0, 0][..], &id.to_be_bytes(), &[0, 1]].concat()
    }

    /// An error of the peer about a packet of ours.
    pub(super) fn unreachable(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let quoted = ip(US[self.family], PEER[self.family], protocol, 0, payload);
        [&[[3, 1][self.family], 0, 0, 0, 0, 0, 0, 0][..], &quoted].concat()
    }
}
