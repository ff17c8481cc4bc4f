//! The settings of a daemon: a flag beats the environment, the environment the file, the file the default.
//!
//! [`mod@file`] reads the file as people write it and refuses what it does not know, with the line;
//! [`resolve`] puts the sources together. What comes out is one [`Config`] in which nothing is left to
//! decide: every field has a value, a unit and a default that is written beside it.

pub mod file;
pub mod paths;
pub mod resolve;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use warren_p2p::swarm::rendezvous;

use crate::control::Grant;

/// The resolved settings of one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Folder of keys, records and the journal, mode 0700. Default `/var/lib/warren`.
    pub state: PathBuf,
    /// The local API's socket. Default `/run/warren/warren.sock`.
    pub socket: PathBuf,
    /// The one UDP port, and the TCP port of the same number. Default 41820, or the next free one.
    pub port: Port,
    /// Name of the network interface, 1 to 15 bytes. Default `warren0`.
    pub tun: String,
    /// Largest packet inside the tunnel, in bytes, 1280 to 65535. Default 1420.
    pub mtu: u16,
    /// Whether to look for members in the local network by multicast. Default yes.
    pub mdns: bool,
    /// What this device wants to be called. Default the host's name, made to fit.
    pub name: DeviceName,
    /// Name of the mesh, should one be founded. Default `home`.
    pub mesh: String,
    /// IPv4 network of the mesh, should one be founded. Default `100.64.0.0/10`.
    pub subnet: Subnet,
    /// What other people's devices may do here until told otherwise. Default `incoming`, `files`.
    pub allow: Vec<Grant>,
    /// The public network in which members find each other when nobody knows their addresses. Default none.
    pub rendezvous: Option<rendezvous::Config>,
}

/// Which UDP port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// This one if it is free, else the next free one above it.
    From(u16),
    /// This one and no other.
    Fixed(u16),
}

/// The name wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceName {
    /// Valid as a name: 1 to 25 of `a-z`, `0-9` and single inner `-`.
    pub name: String,
    /// Whether the user asked for it: then a taken name is a failure, else it is changed until it is free.
    pub chosen: bool,
}

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// Its first address.
    pub address: Ipv4Addr,
    /// Number of leading bits that are the same in all its addresses, 8 to 24.
    pub prefix: u8,
}

/// The port to try first: in no registry, and near WireGuard's own 51820.
pub const DEFAULT_PORT: u16 = 41820;
/// How many ports above the first to try.
pub const PORT_TRIES: u16 = 100;
/// A link of 1500 bytes less IPv6 (40), UDP (8) and WireGuard (32), as `wg-quick` does.
pub const DEFAULT_MTU: u16 = 1420;
/// What IPv6 asks of every link (RFC 8200, section 5).
pub const MIN_MTU: u16 = 1280;
/// `IFNAMSIZ` less the closing zero.
pub const TUN_NAME_MAX: usize = 15;
/// Shared address space of RFC 6598, which no host on the Internet has.
pub const DEFAULT_SUBNET: Subnet = Subnet { address: Ipv4Addr::new(100, 64, 0, 0), prefix: 10 };
