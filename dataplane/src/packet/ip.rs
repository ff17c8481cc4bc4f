//! One checked IPv4 or IPv6 packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length of an IPv4 header without options, in bytes (RFC 791, 3.1).
pub const IPV4_HEADER: usize = 20;
/// Length of the fixed IPv6 header, in bytes (RFC 8200, 3).
pub const IPV6_HEADER: usize = 40;

/// How many IPv6 extension headers are walked. RFC 8200, 4.1 lists six kinds, each once (destination options
/// twice); a longer chain is an attempt to make us work.
const MAX_EXTENSIONS: usize = 8;

/// The family of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// IPv4, RFC 791.
    V4,
    /// IPv6, RFC 8200.
    V6,
}

/// An IP protocol number, after IPv6 extension headers (IANA "Assigned Internet Protocol Numbers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);

    pub(super) const HOP_BY_HOP: Self = Self(0);
    pub(super) const DCCP: Self = Self(33);
    pub(super) const ROUTING: Self = Self(43);
    pub(super) const FRAGMENT: Self = Self(44);
    pub(super) const AUTHENTICATION: Self = Self(51);
    pub(super) const DESTINATION: Self = Self(60);
    pub(super) const SCTP: Self = Self(132);
    pub(super) const UDP_LITE: Self = Self(136);
}

/// Why bytes are no IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Malformed {
    /// There is no byte at all, or fewer than the header needs.
    #[error("the bytes end inside the IP header")]
    Truncated,
    /// The version nibble is neither 4 nor 6.
    #[error("the version is neither 4 nor 6")]
    Version,
    /// The IPv4 header length is below 20 bytes, or beyond the packet.
    #[error("the IPv4 header length is impossible")]
    HeaderLength,
    /// The total length is beyond the bytes there are.
    #[error("the stated length is beyond the end of the bytes")]
    TotalLength,
    /// An IPv6 extension header is cut off, or the chain is longer than any honest one.
    #[error("the chain of IPv6 extension headers is broken or too long")]
    Extensions,
}

/// A packet whose IP header, length and extension headers have been checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IpPacket<'a> {
    /// Header and payload, cut to the stated total length.
    bytes: &'a [u8],
    version: Version,
    protocol: Protocol,
    /// Where the transport header starts. Always within `bytes`.
    transport: usize,
    /// Offset of this fragment in units of 8 bytes.
    fragment_offset: u16,
    more_fragments: bool,
}

impl<'a> IpPacket<'a> {
    /// Check `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::parse_with(bytes, Length::Whole)
    }

    /// Check the beginning of a packet as ICMP errors quote it: it may be cut anywhere behind the headers.
    pub(super) fn parse_quoted(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::parse_with(bytes, Length::MayBeCut)
    }

    fn parse_with(bytes: &'a [u8], length: Length) -> Result<Self, Malformed> {
        match bytes.first().ok_or(Malformed::Truncated)? >> 4 {
            4 => Self::parse_v4(bytes, length),
            6 => Self::parse_v6(bytes, length),
            _ => Err(Malformed::Version),
        }
    }

    fn parse_v4(bytes: &'a [u8], length: Length) -> Result<Self, Malformed> {
        let header: &[u8; IPV4_HEADER] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        let header_length = usize::from(header[0] & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header_length < IPV4_HEADER || header_length > total {
            return Err(Malformed::HeaderLength);
        }
        let bytes = length.cut(bytes, total)?;
        if header_length > bytes.len() {
            return Err(Malformed::Truncated);
        }
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        Ok(Self {
            bytes,
            version: Version::V4,
            protocol: Protocol(header[9]),
            transport: header_length,
            fragment_offset: fragment & 0x1fff,
            more_fragments: fragment & 0x2000 != 0,
        })
    }

    fn parse_v6(bytes: &'a [u8], length: Length) -> Result<Self, Malformed> {
        let header: &[u8; IPV6_HEADER] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        let total = IPV6_HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let bytes = length.cut(bytes, total)?;
        let mut packet = Self {
            bytes,
            version: Version::V6,
            protocol: Protocol(header[6]),
            transport: IPV6_HEADER,
            fragment_offset: 0,
            more_fragments: false,
        };
        for _ in 0..MAX_EXTENSIONS {
            // What follows the fragment header of a later fragment is payload, not a header.
            if packet.fragment_offset != 0 || !packet.step_extension()? {
                return Ok(packet);
            }
        }
        Err(Malformed::Extensions)
    }

    /// Step over one extension header. False: the chain is at its end.
    fn step_extension(&mut self) -> Result<bool, Malformed> {
        let rest = self.payload();
        let field = |at: usize| rest.get(at).copied().ok_or(Malformed::Extensions);
        let length = match self.protocol {
            Protocol::HOP_BY_HOP | Protocol::ROUTING | Protocol::DESTINATION => {
                (usize::from(field(1)?) + 1) * 8
            }
            Protocol::AUTHENTICATION => (usize::from(field(1)?) + 2) * 4,
            Protocol::FRAGMENT => {
                let fragment = u16::from_be_bytes([field(2)?, field(3)?]);
                self.fragment_offset = fragment >> 3;
                self.more_fragments = fragment & 1 != 0;
                8
            }
            _ => return Ok(false),
        };
        if length > rest.len() {
            return Err(Malformed::Extensions);
        }
        self.protocol = Protocol(field(0)?);
        self.transport += length;
        Ok(true)
    }

    /// The whole packet, IP header included, without trailing bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// IPv4 or IPv6.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Where the packet says it comes from.
    pub fn source(&self) -> IpAddr {
        match self.version {
            Version::V4 => self.v4_at(12).into(),
            Version::V6 => self.v6_at(8).into(),
        }
    }

    /// Where the packet wants to go.
    pub fn destination(&self) -> IpAddr {
        match self.version {
            Version::V4 => self.v4_at(16).into(),
            Version::V6 => self.v6_at(24).into(),
        }
    }

    /// The transport protocol. IPv6 extension headers are behind us.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// True for every piece of a fragmented packet, the first included.
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// True where a packet that is too long for its way may be cut up: IPv4 without "don't fragment". In IPv6 only its
    /// sender may do that (RFC 8200, 4.5).
    pub fn may_be_fragmented(&self) -> bool {
        self.version == Version::V4 && self.bytes.get(6).is_some_and(|flags| flags & 0x40 == 0)
    }

    /// True for the pieces that do not begin with the transport header.
    pub const fn is_later_fragment(&self) -> bool {
        self.fragment_offset != 0
    }

    /// What follows the IP headers: the transport header and its payload, or the middle of it in a later fragment.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.transport..).unwrap_or_default()
    }

    /// How long the IP headers are, in bytes: options and extension headers included.
    pub const fn header_length(&self) -> usize {
        self.transport
    }

    fn v4_at(&self, at: usize) -> Ipv4Addr {
        let octets = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
        Ipv4Addr::from(octets.copied().unwrap_or_default())
    }

    fn v6_at(&self, at: usize) -> Ipv6Addr {
        let octets = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<16>());
        Ipv6Addr::from(octets.copied().unwrap_or_default())
    }
}

impl std::fmt::Debug for IpPacket<'_> {
    /// Addresses and sizes, never the payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IpPacket")
            .field("source", &self.source())
            .field("destination", &self.destination())
            .field("protocol", &self.protocol.0)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Whether the stated length must be covered by the bytes there are.
#[derive(Clone, Copy)]
enum Length {
    Whole,
    MayBeCut,
}

impl Length {
    fn cut(self, bytes: &[u8], total: usize) -> Result<&[u8], Malformed> {
        match (self, bytes.get(..total)) {
            (_, Some(whole)) => Ok(whole),
            (Self::MayBeCut, None) => Ok(bytes),
            (Self::Whole, None) => Err(Malformed::TotalLength),
        }
    }
}
