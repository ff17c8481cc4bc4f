//! What tells one connection from another: ports, and the ICMP fields that serve as such.

use std::net::IpAddr;

use super::{IpPacket, Protocol, Version};

/// The key of a connection, in the direction of the packet it was taken from.
///
/// TCP, UDP and the protocols shaped like them have two ports. An ICMP echo request has its identifier as source
/// port and 0 as destination port, a reply the other way round; so `reversed()` of a request's flow is the flow
/// of its replies and of nothing else. Other protocols (GRE, ESP, ..) have port 0 on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The transport protocol.
    pub protocol: Protocol,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Source port, or what stands for it.
    pub source_port: u16,
    /// Destination port, or what stands for it.
    pub destination_port: u16,
}

impl Flow {
    /// The same connection seen from the other side.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            protocol: self.protocol,
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }
}

/// What an ICMP message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Icmp {
    EchoRequest,
    EchoReply,
    Error,
    Other,
}

impl<'a> IpPacket<'a> {
    /// The connection this packet belongs to. None where the packet cannot tell: later fragments, transport
    /// headers that are cut off, and ICMP other than echo (see [`IpPacket::quoted`] for its errors).
    pub fn flow(&self) -> Option<Flow> {
        if self.is_later_fragment() {
            return None;
        }
        let (source_port, destination_port) = match self.icmp() {
            Some(Icmp::EchoRequest) => (self.field(4)?, 0),
            Some(Icmp::EchoReply) => (0, self.field(4)?),
            Some(Icmp::Error | Icmp::Other) => return None,
            None if self.is_icmp() => return None,
            None => match self.protocol() {
                Protocol::TCP | Protocol::UDP | Protocol::UDP_LITE | Protocol::SCTP | Protocol::DCCP => {
                    (self.field(0)?, self.field(2)?)
                }
                _ => (0, 0),
            },
        };
        Some(Flow {
            protocol: self.protocol(),
            source: self.source(),
            destination: self.destination(),
            source_port,
            destination_port,
        })
    }

    /// If this is an ICMP error: the flow of the packet it complains about, in that packet's own direction.
    /// An error is a reply to a connection when this flow is one that we opened.
    pub fn quoted(&self) -> Option<Flow> {
        let quoted = IpPacket::parse_quoted(self.payload().get(8..)?).ok()?;
        let same_family = quoted.version() == self.version();
        (self.is_icmp_error() && same_family).then(|| quoted.flow()).flatten()
    }

    /// True for ICMP and ICMPv6 error messages (RFC 792; RFC 4443, 2.1).
    pub fn is_icmp_error(&self) -> bool {
        self.icmp() == Some(Icmp::Error)
    }

    /// True for the first packet of a TCP connection: SYN without ACK (RFC 9293, 3.1). Nobody answers
    /// anything but a reset to other packets of a connection it does not know.
    pub fn is_tcp_open(&self) -> bool {
        let flags = self.payload().get(13).copied().unwrap_or_default();
        self.protocol() == Protocol::TCP && !self.is_later_fragment() && flags & 0x12 == 0x02
    }

    fn is_icmp(&self) -> bool {
        match self.version() {
            Version::V4 => self.protocol() == Protocol::ICMP,
            Version::V6 => self.protocol() == Protocol::ICMPV6,
        }
    }

    /// None: no ICMP of this family, or too short to tell.
    fn icmp(&self) -> Option<Icmp> {
        if !self.is_icmp() || self.is_later_fragment() {
            return None;
        }
        let kind = *self.payload().first()?;
        Some(match (self.version(), kind) {
            (Version::V4, 8) | (Version::V6, 128) => Icmp::EchoRequest,
            (Version::V4, 0) | (Version::V6, 129) => Icmp::EchoReply,
            // Unreachable, source quench, redirect, time exceeded, parameter problem.
            (Version::V4, 3 | 4 | 5 | 11 | 12) | (Version::V6, 0..=127) => Icmp::Error,
            _ => Icmp::Other,
        })
    }

    /// Two bytes of the transport header in network order.
    fn field(&self, at: usize) -> Option<u16> {
        let bytes = self.payload().get(at..)?.first_chunk::<2>()?;
        Some(u16::from_be_bytes(*bytes))
    }
}
