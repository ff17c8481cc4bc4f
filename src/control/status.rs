//! What the daemon knows, as `warren status --json` prints it. Fields are added, never renamed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::grant::Grants;

/// Everything about a daemon, its mesh and its peers at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// The mesh this device is in; absent between `leave` and the next `join`.
    pub mesh: Option<Mesh>,
    /// This device.
    pub device: Device,
    /// How the outside world sees this device.
    #[serde(default)]
    pub nat: Nat,
    /// The other members, by name.
    pub peers: Vec<Peer>,
    /// The exit in use.
    #[serde(default)]
    pub exit: Option<Exit>,
    /// File transfers that are not finished.
    #[serde(default)]
    pub transfers: Vec<Transfer>,
    /// What the user should know and mend.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Packets dropped, by reason.
    #[serde(default)]
    pub drops: BTreeMap<String, u64>,
    /// Seconds since the daemon started.
    #[serde(default)]
    pub uptime_s: u64,
}

/// The mesh this device is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mesh {
    /// Its id in full.
    pub id: String,
    /// Its name, as its founder chose it.
    pub name: String,
    /// The domain its names live in, `home.internal`.
    #[serde(default)]
    pub domain: String,
    /// Its IPv4 network, `100.64.0.0/10`.
    #[serde(default)]
    pub subnet: String,
}

/// This device as the mesh knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its name in the mesh.
    pub name: String,
    /// Its id in full.
    pub id: String,
    /// Its address inside the mesh.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address inside the mesh.
    pub ipv6: Ipv6Addr,
    /// The UDP port it listens on.
    pub port: u16,
    /// Its operating system.
    #[serde(default)]
    pub os: String,
    /// Its WireGuard public key, base64 as `wg` prints it.
    #[serde(default)]
    pub wireguard: String,
    /// Its network interface.
    #[serde(default)]
    pub tun: String,
    /// Whether it may invite and remove.
    #[serde(default)]
    pub admin: bool,
    /// Largest packet inside the tunnel, in bytes.
    #[serde(default)]
    pub mtu: u16,
}

/// How the outside world sees this device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nat {
    /// `none`, `easy`, `hard`, or `unknown` until two members have told us.
    pub kind: String,
    /// Our addresses as members see them.
    #[serde(default)]
    pub observed: Vec<SocketAddr>,
}

/// Another member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name in the mesh.
    pub name: String,
    /// Its id in full.
    pub id: String,
    /// Whose device it is.
    pub relation: Relation,
    /// Its address inside the mesh.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address inside the mesh.
    pub ipv6: Ipv6Addr,
    /// Whether it answers now.
    pub online: bool,
    /// How packets reach it now; absent while none do.
    pub path: Option<Path>,
    /// Bytes of packets received from it.
    pub rx_bytes: u64,
    /// Bytes of packets sent to it.
    pub tx_bytes: u64,
    /// Seconds since the last WireGuard handshake.
    pub last_handshake_s: Option<u64>,
    /// What we allow it and what it allows us.
    pub grants: Both,
    /// Its operating system.
    #[serde(default)]
    pub os: String,
    /// Its WireGuard public key, base64.
    #[serde(default)]
    pub wireguard: String,
    /// Whether it may invite and remove.
    #[serde(default)]
    pub admin: bool,
    /// Whether a control connection to it stands.
    #[serde(default)]
    pub connected: bool,
    /// Seconds since it was last heard; absent if never, 0 while it is connected.
    #[serde(default)]
    pub last_seen_s: Option<u64>,
    /// How far its clock is ahead of ours, in milliseconds.
    #[serde(default)]
    pub clock_skew_ms: Option<i64>,
    /// Records it sent that were refused.
    #[serde(default)]
    pub rejected_records: u64,
    /// In short why the path is no better; absent when it is direct.
    #[serde(default)]
    pub why: Option<String>,
}

/// Whose device a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The same owner's as this one.
    Own,
    /// Somebody else's.
    Guest,
}

/// The permissions between this device and a peer, in both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Both {
    /// What this device allows the peer.
    pub mine: Grants,
    /// What the peer allows this device; absent until it has said so.
    pub theirs: Option<Grants>,
}

/// How packets reach a peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// What kind of way it is.
    pub kind: PathKind,
    /// The address packets go to.
    pub endpoint: SocketAddr,
    /// The member that relays, by name.
    #[serde(default)]
    pub via: Option<String>,
    /// Measured round trip, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Seconds since this path is in use.
    pub since_s: u64,
    /// Largest packet inside the tunnel that fits this path, in bytes, once it was measured.
    #[serde(default)]
    pub mtu: Option<u16>,
}

/// The kinds of path, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// Inside one local network.
    Lan,
    /// Straight through the Internet.
    Direct,
    /// Through another member.
    Relay,
    /// Through another member over TCP, where UDP is blocked.
    Stream,
    /// A kind that this version does not know yet.
    #[serde(other)]
    Other,
}

/// The exit in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The member Internet traffic leaves through, by name.
    pub peer: String,
}

/// A file transfer in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its id.
    pub id: String,
    /// The member at the other end, by name.
    pub peer: String,
}

/// Something the user should know and mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable spelling for programs, `clock_skew`.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl PathKind {
    /// The word people see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Stream => "stream",
            Self::Other => "other",
        }
    }
}

impl Relation {
    /// The word people see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Guest => "guest",
        }
    }
}
