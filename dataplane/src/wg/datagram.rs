//! What a datagram on the shared port is, by its first bytes.
//!
//! ```text
//!   byte 0          bytes 1-3
//!   01 02 03 04     00 00 00     WireGuard: initiation, response, cookie reply, data
//!   05              any          path probe
//!   06              any          relayed datagram (`relay::frame`)
//!   40..ff          any          QUIC: its fixed bit is set in every packet (RFC 9000, 17.2 and 17.3;
//!                                `grease_quic_bit` must stay off, RFC 9287)
//!   else                         unknown
//! ```
//!
//! A GRO buffer may hold datagrams of several kinds from one sender: classify each segment, never the buffer.

/// The protocol a datagram belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// First message of a WireGuard handshake.
    Initiation,
    /// A WireGuard message for a session or a handshake of ours: response, cookie reply or data.
    Session,
    /// QUIC: the control connections.
    Quic,
    /// An authenticated ping or pong of `path`.
    Probe,
    /// A WireGuard datagram on its way through a relay.
    Relayed,
    /// None of them.
    Unknown,
}

/// Length of an initiation, in bytes (WireGuard paper, 5.4.2).
const INITIATION: usize = 148;
/// Length of a response, in bytes (5.4.3).
const RESPONSE: usize = 92;
/// Length of a cookie reply, in bytes (5.4.7).
const COOKIE: usize = 64;
/// Length of the shortest data message, a keepalive, in bytes (5.4.6).
const DATA: usize = 32;

impl Kind {
    /// Classify one datagram.
    pub const fn of(datagram: &[u8]) -> Self {
        match *datagram {
            [1, 0, 0, 0, ..] if datagram.len() == INITIATION => Self::Initiation,
            [2, 0, 0, 0, ..] if datagram.len() == RESPONSE => Self::Session,
            [3, 0, 0, 0, ..] if datagram.len() == COOKIE => Self::Session,
            [4, 0, 0, 0, ..] if datagram.len() >= DATA => Self::Session,
            [5, ..] => Self::Probe,
            [6, ..] => Self::Relayed,
            [0x40..=0xff, ..] => Self::Quic,
            _ => Self::Unknown,
        }
    }
}

/// Which of our sessions or handshakes a [`Kind::Session`] message is for.
pub(crate) fn receiver_index(datagram: &[u8]) -> Option<u32> {
    let at = match datagram.first()? {
        2 => 8,
        _ => 4,
    };
    let index = datagram.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*index))
}
