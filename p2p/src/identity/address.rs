//! Which addresses a device has inside its mesh: they follow from its key, so nobody hands them out.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::DeviceId;
use crate::record::MeshId;

/// The IPv4 network that a mesh takes its addresses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(Ipv4Addr, u8)", into = "(Ipv4Addr, u8)")]
pub struct Subnet {
    address: Ipv4Addr,
    prefix: u8,
}

/// Why a network cannot be the one of a mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// Not of the form `100.64.0.0/10`.
    #[error("a network is written like 100.64.0.0/10")]
    Malformed,
    /// The prefix leaves too few or claims too many addresses.
    #[error("the prefix of a mesh's network must be between /8 and /24")]
    Prefix,
    /// Bits are set behind the prefix.
    #[error("the address has bits set behind its prefix")]
    HostBits,
    /// The network reaches into the public Internet.
    #[error(
        "a mesh takes its addresses from 100.64.0.0/10, 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16; \
         another network belongs to somebody on the Internet"
    )]
    Public,
}

/// The networks that belong to nobody: RFC 6598 (shared address space), RFC 1918.
const PRIVATE: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];

impl Subnet {
    /// 100.64.0.0/10, the shared address space of RFC 6598, used when no other is asked for.
    pub const DEFAULT: Self = Self { address: Ipv4Addr::new(100, 64, 0, 0), prefix: 10 };

    /// Checks the network. Every member gets a route for each other's address, so a founder who could claim
    /// public addresses could draw traffic meant for others.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Result<Self, SubnetError> {
        if !(8..=24).contains(&prefix) {
            return Err(SubnetError::Prefix);
        }
        let subnet = Self { address, prefix };
        if address.to_bits() & subnet.host_mask() != 0 {
            return Err(SubnetError::HostBits);
        }
        let inside = |(network, length): (Ipv4Addr, u8)| {
            prefix >= length && (address.to_bits() ^ network.to_bits()) >> (32 - u32::from(length)) == 0
        };
        if PRIVATE.into_iter().any(inside) { Ok(subnet) } else { Err(SubnetError::Public) }
    }

    /// The first address, all host bits zero.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// How many leading bits are fixed.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` lies in the network.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (address.to_bits() ^ self.address.to_bits()) & !self.host_mask() == 0
    }

    /// How many devices find an address here: all but the network's own and the broadcast address.
    pub const fn capacity(&self) -> u32 {
        self.host_mask() - 1
    }

    const fn host_mask(&self) -> u32 {
        u32::MAX >> self.prefix
    }
}

impl Default for Subnet {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<(Ipv4Addr, u8)> for Subnet {
    type Error = SubnetError;

    fn try_from((address, prefix): (Ipv4Addr, u8)) -> Result<Self, Self::Error> {
        Self::new(address, prefix)
    }
}

impl From<Subnet> for (Ipv4Addr, u8) {
    fn from(subnet: Subnet) -> Self {
        (subnet.address, subnet.prefix)
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = text.trim().split_once('/').ok_or(SubnetError::Malformed)?;
        let address = address.parse().map_err(|_| SubnetError::Malformed)?;
        Self::new(address, prefix.parse().map_err(|_| SubnetError::Malformed)?)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// How many hashes are tried before addresses are counted up one by one. In a network that is half full the
/// chance to get that far is 2^-32.
const HASHED_ATTEMPTS: u32 = 32;

/// No address of the network is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mesh's network has no free address")]
pub struct AddressesUsedUp;

/// The IPv4 address that `device` tries at its `attempt`, counted from 0: host bits are a hash of the key and
/// the attempt. Never the network's first or last address. After 32 hashes the address after the
/// last hashed one is tried, and so on round the network, until each address had its turn.
pub fn ipv4(subnet: &Subnet, device: &DeviceId, attempt: u32) -> Result<Ipv4Addr, AddressesUsedUp> {
    let hashed = attempt.min(HASHED_ATTEMPTS);
    let further = attempt - hashed;
    if further >= subnet.capacity() {
        return Err(AddressesUsedUp);
    }
    let mut hasher = blake3::Hasher::new_derive_key("warren ipv4 v1");
    hasher.update(device.as_bytes()).update(&hashed.to_le_bytes());
    let hash = hasher.finalize();
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    let number = u64::from_le_bytes([a, b, c, d, e, f, g, h]).wrapping_add(u64::from(further));
    let host = 1 + (number % u64::from(subnet.capacity())) as u32;
    Ok(Ipv4Addr::from_bits(subnet.address.to_bits() | host))
}

/// The IPv6 address of `device`: `fd`, 40 bits from the mesh (RFC 4193 global id), a zero subnet, 64 bits from
/// the device. Two members of 10,000 share one with a chance below 10^-11, so there is no second attempt.
pub fn ipv6(mesh: &MeshId, device: &DeviceId) -> Ipv6Addr {
    let network = blake3::derive_key("warren ipv6 network v1", mesh.as_bytes());
    let mut hasher = blake3::Hasher::new_derive_key("warren ipv6 host v1");
    let host = *hasher.update(mesh.as_bytes()).update(device.as_bytes()).finalize().as_bytes();
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[1..6].copy_from_slice(&network[..5]);
    octets[8..].copy_from_slice(&host[..8]);
    Ipv6Addr::from(octets)
}
