//! The last addresses of every member, with where we have each from and when it last worked.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use serde::{Deserialize, Serialize};

use crate::{identity::DeviceId, record::Timestamp};

/// Addresses kept of one member: a few interfaces, both families, the NAT, and yesterday's network.
const PER_MEMBER: usize = 8;
/// Of these, for addresses that have not worked yet: otherwise a device that has been in eight places would not be found
/// in the ninth.
const UNTRIED: usize = 3;
/// And of these, for addresses that anybody may have made up: they must not crowd out what the device says itself.
const UNSIGNED: usize = 2;

/// Who told us an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// The mesh's Kademlia: whatever other members say.
    Hearsay,
    /// The member itself, perhaps passed on with its signature.
    Itself,
    /// Multicast DNS on the LAN.
    Lan,
    /// The invite by which we joined.
    Door,
    /// A connection that worked.
    Connection,
}

/// One address of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The address; QUIC and TCP share its port.
    pub address: SocketAddr,
    /// The best source that named it.
    pub source: Source,
    /// When it was last named.
    pub heard: Timestamp,
    /// When a connection to it last succeeded.
    pub succeeded: Option<Timestamp>,
}

impl Remembered {
    /// What is kept when room is short: what worked, latest first, then what was heard of last.
    fn rank(&self) -> (Option<Timestamp>, Timestamp, Source) {
        (self.succeeded, self.heard, self.source)
    }
}

/// The addresses of all members.
#[derive(Clone, Debug, Default)]
pub struct AddressBook {
    members: BTreeMap<DeviceId, Vec<Remembered>>,
    changed: BTreeSet<DeviceId>,
}

impl AddressBook {
    /// Takes back what an earlier run has kept.
    pub fn restore(&mut self, device: DeviceId, remembered: Vec<Remembered>) {
        let mut remembered: Vec<_> =
            remembered.into_iter().filter(|remembered| dialable(&remembered.address)).collect();
        sort(&mut remembered);
        self.members.insert(device, remembered);
    }

    /// Notes that `device` may be at `address`; says whether that is new.
    pub fn heard(&mut self, device: DeviceId, address: SocketAddr, source: Source, now: Timestamp) -> bool {
        let address = canonical(address);
        if !dialable(&address) {
            return false;
        }
        let entries = self.members.entry(device).or_default();
        let known = entries.iter_mut().find(|known| known.address == address);
        let new = known.is_none();
        match known {
            Some(known) => {
                known.heard = now;
                known.source = known.source.max(source);
            }
            None => entries.push(Remembered { address, source, heard: now, succeeded: None }),
        }
        sort(entries);
        let kept = entries.iter().any(|known| known.address == address);
        if new && kept {
            self.changed.insert(device);
        }
        new && kept
    }

    /// Notes that a connection with `device` at `address` works.
    pub fn succeeded(&mut self, device: DeviceId, address: SocketAddr, now: Timestamp) {
        let address = canonical(address);
        if !dialable(&address) {
            return;
        }
        let entries = self.members.entry(device).or_default();
        entries.retain(|known| known.address != address);
        entries.push(Remembered { address, source: Source::Connection, heard: now, succeeded: Some(now) });
        sort(entries);
        self.changed.insert(device);
    }

    /// Drops addresses, say because they turned out to be inside the tunnel.
    pub fn forget_addresses(&mut self, addresses: &BTreeSet<IpAddr>) {
        for (device, entries) in &mut self.members {
            let before = entries.len();
            entries.retain(|known| !addresses.contains(&known.address.ip()));
            if entries.len() != before {
                self.changed.insert(*device);
            }
        }
    }

    /// Drops whoever is no member any more.
    pub fn retain(&mut self, keep: impl Fn(&DeviceId) -> bool) {
        let gone: Vec<DeviceId> = self.members.keys().filter(|device| !keep(device)).copied().collect();
        for device in gone {
            self.members.remove(&device);
            self.changed.insert(device);
        }
    }

    /// What we know of a member, best first.
    pub fn of(&self, device: &DeviceId) -> &[Remembered] {
        self.members.get(device).map_or(&[], Vec::as_slice)
    }

    /// The addresses of a member, best first.
    pub fn addresses(&self, device: &DeviceId) -> Vec<SocketAddr> {
        self.of(device).iter().map(|remembered| remembered.address).collect()
    }

    /// Whether there is something to keep.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// A member whose entries changed since they were last kept; repeat until `None`.
    pub fn poll_changed(&mut self) -> Option<DeviceId> {
        self.changed.pop_first()
    }
}

fn sort(entries: &mut Vec<Remembered>) {
    entries.sort_by_key(|remembered| std::cmp::Reverse(remembered.rank()));
    if entries.len() <= PER_MEMBER {
        return;
    }
    let untried = entries.iter().filter(|remembered| remembered.succeeded.is_none()).count();
    let (mut tried_left, mut hearsay_left) = (PER_MEMBER - untried.min(UNTRIED), UNSIGNED);
    let hearsay_alone =
        entries.iter().all(|known| known.succeeded.is_some() || known.source == Source::Hearsay);
    entries.retain(|remembered| {
        let left = match (remembered.succeeded, remembered.source) {
            (Some(_), _) => &mut tried_left,
            (None, Source::Hearsay) if !hearsay_alone => &mut hearsay_left,
            (None, Source::Hearsay | Source::Itself | Source::Lan | Source::Door | Source::Connection) => {
                return true;
            }
        };
        let keep = *left > 0;
        *left = left.saturating_sub(1);
        keep
    });
    entries.truncate(PER_MEMBER);
}

/// IPv4 written as IPv6 is IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether an address can belong to one host that we can call. A link-local IPv6 address says nothing without its
/// interface, so it is not kept.
fn dialable(address: &SocketAddr) -> bool {
    let ip = address.ip();
    let ok = match ip {
        IpAddr::V4(v4) => !v4.is_broadcast() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    };
    ok && address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}
