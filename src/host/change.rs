//! A change to the machine, plain enough to be written down before it is made.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Something of ours that is so on this machine while we run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// The link is up and carries packets of this size. Its inverse takes it down.
    LinkUp {
        /// Name of the link.
        link: String,
        /// Largest packet, in bytes.
        mtu: u32,
    },
    /// The link has this address. Its inverse removes it.
    Address {
        /// Name of the link.
        link: String,
        /// The address.
        address: IpAddr,
        /// Length of the network's prefix, in bits.
        prefix: u8,
    },
    /// Packets for this network leave by the link. Its inverse removes the route.
    Route {
        /// Name of the link.
        link: String,
        /// First address of the network.
        destination: IpAddr,
        /// Length of its prefix, in bits.
        prefix: u8,
    },
}

impl Change {
    /// Whether it needs IPv6.
    pub(super) fn is_ipv6(&self) -> bool {
        match self {
            Self::LinkUp { .. } => false,
            Self::Address { address, .. } | Self::Route { destination: address, .. } => address.is_ipv6(),
        }
    }

    /// The link this is about.
    pub fn link(&self) -> &str {
        match self {
            Self::LinkUp { link, .. } | Self::Address { link, .. } | Self::Route { link, .. } => link,
        }
    }
}

/// Reads as the `ip` command that would do the same, because that is what an administrator knows.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkUp { link, mtu } => write!(f, "ip link set {link} mtu {mtu} up"),
            Self::Address { link, address, prefix } => {
                write!(f, "ip address add {address}/{prefix} dev {link}")
            }
            Self::Route { link, destination, prefix } => {
                write!(f, "ip route add {destination}/{prefix} dev {link}")
            }
        }
    }
}
