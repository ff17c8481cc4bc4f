//! Which inner addresses belong to which peer: longest prefix wins, IPv4 and IPv6.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::PeerId;

/// An address block: the host bits of its address are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The block of `length` leading bits that `address` lies in. None when the family has fewer bits.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        (length <= width(address)).then(|| Self { address: mask(address, length), length })
    }

    /// Its first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits it fixes.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// True when it is a single address.
    pub const fn is_host(&self) -> bool {
        self.length == width(self.address)
    }
}

/// The cryptokey routing table (WireGuard paper, 2).
///
/// One ordered map per family and prefix length in use. A mesh uses one or two lengths, so a look-up is one or
/// two searches; a trie would win only with many lengths, which routes to whole networks may bring.
#[derive(Clone, Debug, Default)]
pub struct AllowedIps {
    owners: BTreeMap<Prefix, PeerId>,
    /// How many blocks there are of each length; the keys are what a look-up walks, longest first.
    v4: BTreeMap<u8, usize>,
    v6: BTreeMap<u8, usize>,
}

impl AllowedIps {
    /// Give `prefix` to `peer`. Whoever had exactly this prefix loses it at once and is returned.
    pub fn insert(&mut self, prefix: Prefix, peer: PeerId) -> Option<PeerId> {
        let previous = self.owners.insert(prefix, peer);
        if previous.is_none() {
            *self.lengths(prefix.address).entry(prefix.length).or_default() += 1;
        }
        previous
    }

    /// Take every prefix from `peer` that is not in `keep`.
    pub fn retain(&mut self, peer: PeerId, keep: &BTreeSet<Prefix>) {
        let gone = |(prefix, owner): (&Prefix, &PeerId)| {
            (*owner == peer && !keep.contains(prefix)).then_some(*prefix)
        };
        let lost: Vec<Prefix> = self.owners.iter().filter_map(gone).collect();
        for prefix in lost {
            self.owners.remove(&prefix);
            let lengths = self.lengths(prefix.address);
            if let Some(count) = lengths.get_mut(&prefix.length) {
                *count -= 1;
                if *count == 0 {
                    lengths.remove(&prefix.length);
                }
            }
        }
    }

    /// Whose `address` is.
    pub fn find(&self, address: IpAddr) -> Option<PeerId> {
        let lengths = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        lengths.keys().rev().find_map(|&length| {
            let prefix = Prefix { address: mask(address, length), length };
            self.owners.get(&prefix).copied()
        })
    }

    /// True when `address` by itself, not as part of a network, is a peer's inner address.
    pub fn is_tunnel_address(&self, address: IpAddr) -> bool {
        self.owners.contains_key(&Prefix { address, length: width(address) })
    }

    fn lengths(&mut self, address: IpAddr) -> &mut BTreeMap<u8, usize> {
        if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn mask(address: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match address {
        IpAddr::V4(v4) => {
            let bits = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & bits).into()
        }
        IpAddr::V6(v6) => {
            let bits = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & bits).into()
        }
    }
}
