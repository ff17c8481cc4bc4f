//! The ICMP we speak ourselves: echo to measure a tunnel, errors for packets that cannot be carried.

use std::net::IpAddr;

use super::ip::{IPV4_HEADER, IPV6_HEADER};
use super::{IpPacket, Protocol, Version};

/// Bytes of the quoted packet in an ICMPv4 error: the datagram stays within 576 bytes (RFC 1812, 4.3.2.3).
const QUOTE_V4: usize = 576 - IPV4_HEADER - HEADER;
/// Bytes of the quoted packet in an ICMPv6 error: the datagram stays within the minimum MTU (RFC 4443, 2.4 c).
const QUOTE_V6: usize = 1280 - IPV6_HEADER - HEADER;
/// An ICMP header, both families, in bytes.
const HEADER: usize = 8;
/// Hop limit of what we send ourselves (the default of RFC 1700 and of Linux).
const HOP_LIMIT: u8 = 64;

/// Why a packet is answered with an error instead of being carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No peer has that address.
    NoRoute,
    /// The peer has it, but cannot be reached now.
    Host,
    /// A rule forbids it.
    Prohibited,
    /// The packet is too big for the path, whose MTU is this many bytes.
    TooBig(u16),
}

impl Unreachable {
    /// Type, code, and the 32 bits that follow the checksum (RFC 792, RFC 1191, RFC 1812; RFC 4443).
    fn wire(self, version: Version) -> (u8, u8, u32) {
        match (version, self) {
            (Version::V4, Self::NoRoute) => (3, 0, 0),
            (Version::V4, Self::Host) => (3, 1, 0),
            (Version::V4, Self::Prohibited) => (3, 13, 0),
            (Version::V4, Self::TooBig(mtu)) => (3, 4, u32::from(mtu)),
            (Version::V6, Self::NoRoute) => (1, 0, 0),
            (Version::V6, Self::Host) => (1, 3, 0),
            (Version::V6, Self::Prohibited) => (1, 1, 0),
            (Version::V6, Self::TooBig(mtu)) => (2, 0, u32::from(mtu)),
        }
    }
}

/// A reply to one of our echo requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoReply<'a> {
    /// Who answered.
    pub source: IpAddr,
    /// Identifier of the request.
    pub identifier: u16,
    /// Sequence number of the request.
    pub sequence: u16,
    /// What the request carried.
    pub payload: &'a [u8],
}

impl<'a> EchoReply<'a> {
    /// Read a whole, unfragmented echo reply with a right checksum.
    pub fn parse(packet: &IpPacket<'a>) -> Option<Self> {
        let expected = match packet.version() {
            Version::V4 => (Protocol::ICMP, 0),
            Version::V6 => (Protocol::ICMPV6, 129),
        };
        let message = packet.payload();
        let (header, payload) = message.split_first_chunk::<HEADER>()?;
        if packet.is_fragment()
            || (packet.protocol(), header[0]) != expected
            || header[1] != 0
            || checksum(packet.source(), packet.destination(), message) != 0
        {
            return None;
        }
        Some(Self {
            source: packet.source(),
            identifier: u16::from_be_bytes([header[4], header[5]]),
            sequence: u16::from_be_bytes([header[6], header[7]]),
            payload,
        })
    }
}

/// Append an echo request to `out`. False, and nothing written, when the addresses are of two families or the
/// payload does not fit a packet.
pub fn echo_request(
    source: IpAddr,
    destination: IpAddr,
    identifier: u16,
    sequence: u16,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    let kind = if source.is_ipv4() { 8 } else { 128 };
    let rest = (u32::from(identifier) << 16) | u32::from(sequence);
    message(source, destination, (kind, 0, rest), payload, out)
}

/// Append to `out` the error that tells the sender of `original` why it is not carried. `from` is our own address
/// of the same family. False, and nothing written, where no error may be sent: about errors, later fragments,
/// and packets from or to more than one host (RFC 1122, 3.2.2; RFC 4443, 2.4 e).
pub fn unreachable(original: &IpPacket<'_>, from: IpAddr, reason: Unreachable, out: &mut Vec<u8>) -> bool {
    let to = original.source();
    let limited_broadcast = |address| address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    // A "too big" must be sent about multicast too in IPv6; nothing here forwards multicast.
    if original.is_icmp_error()
        || original.is_later_fragment()
        || to.is_unspecified()
        || to.is_multicast()
        || limited_broadcast(to)
        || original.destination().is_multicast()
        || limited_broadcast(original.destination())
    {
        return false;
    }
    let quote = match original.version() {
        Version::V4 => QUOTE_V4,
        Version::V6 => QUOTE_V6,
    };
    let bytes = original.bytes();
    let quoted = bytes.get(..quote).unwrap_or(bytes);
    message(from, to, reason.wire(original.version()), quoted, out)
}

fn message(
    source: IpAddr,
    destination: IpAddr,
    (kind, code, rest): (u8, u8, u32),
    payload: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    let start = out.len();
    let Ok(length) = u16::try_from(HEADER + payload.len()) else {
        return false;
    };
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let Some(total) = length.checked_add(IPV4_HEADER as u16) else {
                return false;
            };
            out.extend_from_slice(&[0x45, 0]);
            out.extend_from_slice(&total.to_be_bytes());
            // Identification 0 with "don't fragment": atomic datagrams need none (RFC 6864, 4.1).
            out.extend_from_slice(&[0, 0, 0x40, 0, HOP_LIMIT, Protocol::ICMP.0, 0, 0]);
            out.extend_from_slice(&source.octets());
            out.extend_from_slice(&destination.octets());
            let sum = fold(sum(out.get(start..).unwrap_or_default()));
            put(out, start + 10, sum);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&[Protocol::ICMPV6.0, HOP_LIMIT]);
            out.extend_from_slice(&source.octets());
            out.extend_from_slice(&destination.octets());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    }
    let header = out.len();
    out.extend_from_slice(&[kind, code, 0, 0]);
    out.extend_from_slice(&rest.to_be_bytes());
    out.extend_from_slice(payload);
    let sum = checksum(source, destination, out.get(header..).unwrap_or_default());
    put(out, header + 2, sum);
    true
}

fn put(out: &mut [u8], at: usize, value: u16) {
    if let Some(field) = out.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// The Internet checksum of an ICMP message (RFC 1071), with the pseudo header for ICMPv6 (RFC 4443, 2.3).
/// Over a message whose checksum field is filled in the result is 0 when it is right.
fn checksum(source: IpAddr, destination: IpAddr, message: &[u8]) -> u16 {
    let pseudo = match (source, destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            sum(&source.octets())
                + sum(&destination.octets())
                + message.len() as u64
                + u64::from(Protocol::ICMPV6.0)
        }
        _ => 0,
    };
    fold(pseudo + sum(message))
}

/// Sum of 16-bit words in network order; an odd last byte is padded with zero. 64 bits cannot overflow here:
/// a packet has at most 2^15 words.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let whole: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    whole + rest.first().map_or(0, |byte| u64::from(*byte) << 8)
}

/// The checksum that makes a header of this sum right.
pub(super) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
