//! What the daemon knows of the network it is in, as `warren netcheck --json` prints it. Fields are added, never
//! renamed.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The network this device is in, and what it allows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Netcheck {
    /// This device, by name.
    pub device: String,
    /// The port everything goes through.
    pub port: u16,
    /// Whether UDP gets out and back; absent until somebody outside was asked.
    pub udp: Option<bool>,
    /// IPv4.
    pub ipv4: FamilyCheck,
    /// IPv6.
    pub ipv6: FamilyCheck,
    /// Whether the router is asked for a port.
    #[serde(default)]
    pub port_mapping: MappingState,
    /// The ports the router lent us.
    #[serde(default)]
    pub mappings: Vec<PortMapping>,
    /// What members found when they called our addresses from outside.
    #[serde(default)]
    pub probed: Vec<Probed>,
    /// Whether this device forwards for others: `auto`, `on`, `off`.
    #[serde(default)]
    pub relay: String,
    /// The members that forward for us, or would.
    #[serde(default)]
    pub relays: Vec<RelayCheck>,
    /// The public rendezvous; absent unless one is configured.
    #[serde(default)]
    pub rendezvous: Option<String>,
    /// The clocks of the members.
    #[serde(default)]
    pub clocks: Vec<ClockCheck>,
    /// Largest packet inside the tunnel, in bytes.
    #[serde(default)]
    pub mtu: u16,
    /// What fits the path to each peer.
    #[serde(default)]
    pub path_mtus: Vec<PathMtu>,
    /// What to do about it.
    #[serde(default)]
    pub advice: Vec<Advice>,
}

/// One family of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyCheck {
    /// The addresses of our interfaces.
    pub addresses: Vec<IpAddr>,
    /// The one packets leave from for the Internet; absent without a way there.
    pub outward: Option<IpAddr>,
    /// `none`, `easy`, `hard`, or `unknown` until two members outside have told us.
    pub nat: String,
    /// Where members see us.
    pub seen: Vec<Sighting>,
}

/// Where a member sees us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The member, by name.
    pub by: String,
    /// Our address, as it sees it.
    pub address: SocketAddr,
    /// Whether that says anything of our NAT: the member is outside, and has not been contradicted since.
    pub counts: bool,
}

/// Whether the router is asked for a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappingState {
    /// It lent us one.
    Held,
    /// It is being asked.
    #[default]
    Asking,
    /// It does not answer, or refuses.
    Refused,
    /// There is no router to ask: this device sends from no private address.
    Needless,
    /// The user does not want that.
    Off,
    /// A state that this version does not know yet.
    #[serde(other)]
    Other,
}

/// A port of the router that leads here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// `NAT-PMP`, `UPnP`, `PCP`.
    pub protocol: String,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Where packets go to reach us.
    pub external: SocketAddr,
    /// Seconds until it ends unless it is renewed, which it is.
    pub lease_s: u64,
    /// Seconds since the router last said that it holds.
    pub confirmed_s: u64,
}

/// What members found when they called one of our addresses from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// The member, by name; absent when several agree, or it was longer ago.
    #[serde(default)]
    pub by: Option<String>,
    /// Our address.
    pub address: SocketAddr,
    /// Whether they got through.
    pub reachable: bool,
}

/// A member that forwards for others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelayCheck {
    /// The member, by name.
    pub name: String,
    /// Round trip to it, in milliseconds; absent while it does not answer.
    pub rtt_ms: Option<f64>,
    /// Whether it holds a place for us, so that members can call us through it; absent while that is not known.
    #[serde(default)]
    pub reserved: Option<bool>,
    /// The peers we reach through it now, by name.
    #[serde(default)]
    pub carries: Vec<String>,
}

/// How far a member's clock is from ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockCheck {
    /// The member, by name.
    pub peer: String,
    /// Milliseconds by which it is ahead of ours.
    pub ahead_ms: i64,
}

/// What fits the path to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathMtu {
    /// The peer, by name.
    pub peer: String,
    /// Largest packet inside the tunnel, in bytes.
    pub mtu: u16,
}

/// Something to do, for a person who is tired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// Stable spelling for programs, `upnp_off`.
    pub code: String,
    /// What is the matter and what to do.
    pub message: String,
}
