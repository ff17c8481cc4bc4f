//! What two connected members tell each other about now: clock, candidates, grants, who else is where.
//!
//! Each side says [`Hello`] when a connection stands and whenever something in it changes; the answer is the other
//! side's own `Hello`. Nothing here is recorded: it ends with the connection. Candidates are addresses of the
//! dataplane's sockets, which the daemon hands to its path agent.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::record::{Grants, Timestamp};

/// Candidates in one message: interfaces of both families, NAT, port mappings.
pub const CANDIDATES: usize = 32;
/// Presences in one message.
pub const PRESENCES: usize = 64;
/// Addresses in one request to test them.
pub const REACH_ADDRESSES: usize = 8;
/// Bytes of such a request and its answer.
pub(crate) const REACH_BYTES: usize = 512;
/// Bytes of one message: 64 presences of at most 1 KiB, and the rest.
pub const BYTES: usize = 96 * 1024;

/// How the router in front of a device numbers its outgoing UDP flows (RFC 4787, section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NatKind {
    /// Fewer than two members have said where they see the device.
    #[default]
    Unknown,
    /// Seen at an address of its own interfaces: no NAT.
    Open,
    /// Every destination sees one address (endpoint-independent mapping).
    Easy,
    /// Each destination sees another port ("symmetric").
    Hard,
}

/// The state of one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The sender's clock.
    pub now: Timestamp,
    /// Where the sender's dataplane may be reached.
    pub candidates: Vec<SocketAddr>,
    /// What stands between the sender's dataplane and the Internet.
    pub nat: NatKind,
    /// The sender forwards datagrams and control connections between members.
    pub relay: bool,
    /// What the sender grants the receiver.
    pub grants: Grants,
    /// Signed [`Presence`](crate::discovery::Presence)s, the sender's own first.
    pub presences: Vec<Vec<u8>>,
}

/// "Can you reach me there, from a port I have never heard of?"
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachRequest {
    /// Where, at most [`REACH_ADDRESSES`].
    pub addresses: Vec<SocketAddr>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachAnswer {
    /// Each address that was tried, and whether the sender answered there.
    pub verdicts: Vec<(SocketAddr, bool)>,
}

impl Hello {
    /// Whether the sender kept to the limits.
    pub(crate) fn within_limits(&self) -> bool {
        self.candidates.len() <= CANDIDATES
            && self.presences.len() <= PRESENCES
            && self.grants.ports.len() <= crate::limits::PORT_GRANTS
    }
}
