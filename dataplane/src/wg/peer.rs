//! One peer as WireGuard sees it.

use std::net::IpAddr;

use super::{Prefix, PublicKey, Tunnel};

/// Key, tunnel, inner addresses and counters of a peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) key: PublicKey,
    pub(crate) tunnel: Tunnel,
    /// What it owns, in the order given: the first is the address it is pinged at.
    pub(crate) allowed_ips: Vec<Prefix>,
    /// Inner bytes received, before the filter.
    pub(crate) rx_bytes: u64,
    /// Inner bytes sent.
    pub(crate) tx_bytes: u64,
}

impl Peer {
    pub(crate) const fn new(key: PublicKey, tunnel: Tunnel) -> Self {
        Self { key, tunnel, allowed_ips: Vec::new(), rx_bytes: 0, tx_bytes: 0 }
    }

    /// The address that stands for the peer itself.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.allowed_ips.iter().find(|prefix| prefix.is_host()).map(Prefix::address)
    }
}
