//! What the engine tells.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::drops::Drops;
use crate::path::{PairReport, PathInfo};
use crate::relay::Forwarding;
use crate::wg::PublicKey;

/// Something the daemon may want to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another verified path carries a peer, or none does.
    PathChanged {
        /// Whose path.
        peer: PublicKey,
        /// The new one.
        path: Option<PathInfo>,
    },
    /// The path of a peer misses answers: now is the time to see to another.
    PathSilent {
        /// Whose path.
        peer: PublicKey,
    },
    /// Traffic waits for a peer that has no path: please exchange candidates. Repeated while that lasts.
    WantCandidates {
        /// Who is wanted.
        peer: PublicKey,
    },
    /// A peer sees us at this address.
    Observed {
        /// Who says so.
        peer: PublicKey,
        /// The outside address of our socket, as seen from there.
        address: SocketAddr,
    },
    /// A ping was answered, end to end.
    Pong {
        /// By whom.
        peer: PublicKey,
        /// Of the command.
        token: u64,
        /// From the command to the answer: path search and handshake included, if there was any.
        rtt: Duration,
    },
    /// A ping was not answered in time.
    PingTimedOut {
        /// By whom.
        peer: PublicKey,
        /// Of the command.
        token: u64,
    },
}

/// The state of the engine at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Every peer, in the order of keys.
    pub peers: Vec<PeerSnapshot>,
    /// What was dropped and why, since the start.
    pub drops: Drops,
    /// What we relay for others.
    pub forwarding: Forwarding,
}

/// The state of a peer at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSnapshot {
    /// Which peer.
    pub key: PublicKey,
    /// The verified path in use.
    pub path: Option<PathInfo>,
    /// Bytes of IP packets received from it.
    pub rx_bytes: u64,
    /// Bytes of IP packets sent to it.
    pub tx_bytes: u64,
    /// When its last handshake was complete.
    pub last_handshake: Option<Instant>,
    /// Every way to it that is known, used or not.
    pub pairs: Vec<PairReport>,
}
