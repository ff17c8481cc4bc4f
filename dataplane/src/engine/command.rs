//! What the engine is told.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::filter::Rules;
use crate::path::Nat;
use crate::relay::Quota;
use crate::wg::{PrivateKey, PublicKey};

/// What an engine is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The WireGuard key of this device in this mesh.
    pub private_key: PrivateKey,
    /// Its IPv4 address inside the mesh.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address inside the mesh.
    pub ipv6: Ipv6Addr,
    /// MTU of the TUN device in bytes.
    pub mtu: u16,
    /// Where everything that must differ from run to run comes from. Must be unpredictable in earnest.
    pub seed: u64,
}

/// A peer as the daemon describes it.
#[derive(Clone)]
pub struct PeerConfig {
    /// Its WireGuard key.
    pub key: PublicKey,
    /// Its inner addresses: address and prefix length. The first single address is the one it is pinged at.
    pub allowed_ips: Vec<(IpAddr, u8)>,
    /// A secret mixed into the handshake.
    pub preshared_key: Option<[u8; 32]>,
    /// What it may do to us.
    pub rules: Rules,
}

impl fmt::Debug for PeerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConfig")
            .field("key", &self.key)
            .field("allowed_ips", &self.allowed_ips)
            .field("preshared_key", &self.preshared_key.map(|_| ".."))
            .field("rules", &self.rules)
            .finish()
    }
}

/// An order to the engine.
#[derive(Clone, Debug)]
pub enum Command {
    /// Add a peer or change one. Sessions survive unless the preshared key changes. Prefixes that another peer
    /// had move here at once.
    SetPeer(PeerConfig),
    /// Forget a peer. Its session ends now.
    RemovePeer(PublicKey),
    /// Where a peer may be found. Addresses inside the mesh are ignored.
    SetCandidates {
        /// Whose they are.
        peer: PublicKey,
        /// All of them; what is not in here is forgotten.
        candidates: Vec<SocketAddr>,
        /// What it says of its NAT.
        nat: Nat,
    },
    /// A peer may be reached through another member, which has agreed to relay.
    AddRelay {
        /// Whom it leads to.
        peer: PublicKey,
        /// Who relays. A peer itself.
        relay: PublicKey,
        /// What both ends and the relay call it.
        session: u64,
    },
    /// A relay's session has ended. One that is not known is ended already.
    RemoveRelay {
        /// Whom it led to.
        peer: PublicKey,
        /// What it was called.
        session: u64,
    },
    /// Relay between two peers.
    AddForward {
        /// What both ends call it.
        session: u64,
        /// The ends.
        between: (PublicKey, PublicKey),
    },
    /// Relay no more. A session that is not known is ended already.
    RemoveForward {
        /// Which.
        session: u64,
    },
    /// What each peer may send through us.
    SetQuota(Quota),
    /// What our own NAT turned out to be.
    SetNat(Nat),
    /// What a peer may do to us, from now on, established connections included.
    SetRules {
        /// Which peer.
        peer: PublicKey,
        /// Its new rules.
        rules: Rules,
    },
    /// The networks that the machine's interfaces are in, as an address and its prefix length in bits: who is reached
    /// within one of them is on the LAN, whatever the addresses look like.
    SetLocalNetworks(Vec<(IpAddr, u8)>),
    /// The machine's addresses or routes changed: verify every path again.
    NetworkChanged,
    /// Send an ICMP echo through the tunnel; `Event::Pong` or `Event::PingTimedOut` follows.
    Ping {
        /// Whom to ping.
        peer: PublicKey,
        /// Comes back in the event.
        token: u64,
    },
}

/// Why a command was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The key of the peer is our own.
    #[error("the peer's key is this device's own key")]
    OwnKey,
    /// The key of the peer is of low order.
    #[error("the peer's key is of low order: no secret can be agreed with it")]
    LowOrderKey,
    /// A prefix is longer than an address of its family.
    #[error("a prefix of {1} bits does not fit the address {0}")]
    BadPrefix(IpAddr, u8),
    /// An address of the peer is our own.
    #[error("the peer's address {0} is this device's own")]
    OwnAddress(IpAddr),
    /// There is no such peer.
    #[error("there is no peer with this key")]
    UnknownPeer,
    /// The peer has no address to ping.
    #[error("the peer has no address in the mesh that could be pinged")]
    NoAddress,
    /// Too many pings are under way.
    #[error("too many pings are waiting for an answer")]
    TooManyPings,
    /// A device at the end of a session is also its relay, or both ends are one device.
    #[error("the two ends of a relayed session and its relay must be three devices")]
    NotThreeDevices,
    /// The session has other ends already.
    #[error("the relayed session {0:#x} belongs to others already")]
    SessionTaken(u64),
    /// There are too many relays, streams or sessions.
    #[error("there is no room for another relayed session or stream")]
    TooManySessions,
    /// There is no room for another peer.
    #[error("there is no room for another peer")]
    TooManyPeers,
}
