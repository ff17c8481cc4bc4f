//! What a device keeps on its disk about one mesh.
//!
//! A [`Store`] is a directory that belongs to it alone and to one daemon at a time. What is in it stands in
//! `layout.rs`; that sled keeps it, in `sled_store.rs` and nowhere else; and how damage shows that sled does not
//! notice, in `seal.rs`.
//!
//! - Every write is one batch, on the disk when the call returns, or not made at all: the caller advances its
//!   log after the store has said yes.
//! - Before a write the free space is looked at: the store must not be the one to find out by half a write.
//! - Whatever is in the directory, opening it gives a store or a [`StoreError`] that says what to do: no panic,
//!   and nothing is deleted or moved unless [`Store::set_aside`] is called for it. Records can be fetched again
//!   from any member; the device's identity is not in here.
//!
//! Calls block for as long as the disk takes (a flush: some milliseconds).

mod contents;
mod error;
mod layout;
mod quiet;
mod seal;
mod sled_store;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use contents::Store;
pub use error::StoreError;

use crate::record::Timestamp;

/// Where a peer was reached, the latest first; at most
/// [`ADDRESSES_PER_PEER`](crate::limits::ADDRESSES_PER_PEER).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses(pub Vec<RememberedAddress>);

/// An address at which a peer was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RememberedAddress {
    /// The address.
    pub address: SocketAddr,
    /// When it worked last.
    pub last_worked: Timestamp,
}

impl Addresses {
    /// Notes that an address worked; the oldest one gives way.
    pub fn note(&mut self, address: SocketAddr, now: Timestamp) {
        self.0.retain(|known| known.address != address);
        self.0.insert(0, RememberedAddress { address, last_worked: now });
        self.0.truncate(crate::limits::ADDRESSES_PER_PEER);
    }
}

#[cfg(test)]
mod tests;
