//! Where a device is now: signed by it, passed on by others, short-lived, never in the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    identity::{DeviceId, Identity},
    record::{MeshId, RecordError, RecordId, Signable, Timestamp, Verified},
};

/// A presence says little about where a device is half a day later. Three times the interval at which it is renewed, and
/// more than most clocks differ.
pub(crate) const VALID: Duration = Duration::from_secs(6 * 60 * 60);
/// Addresses in one presence.
pub(crate) const ADDRESSES: usize = 16;
/// Relays in one presence: as many as a device keeps reservations with.
pub(crate) const RELAYS: usize = 2;
/// Bytes of one presence with its signature.
const BYTES: usize = 1024;

/// A device says where it can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Within which mesh.
    pub mesh: MeshId,
    /// Who.
    pub device: DeviceId,
    /// When, by the device's clock; the latest counts.
    pub issued_at: Timestamp,
    /// Where.
    pub addresses: Vec<SocketAddr>,
    /// The members through which it can be called when none of these answers.
    pub relays: Vec<DeviceId>,
}

impl Signable for Presence {
    const DOMAIN: &'static [u8] = b"warren presence v1\0";
    const LIMIT: usize = BYTES;

    fn author(&self) -> DeviceId {
        self.device
    }

    fn check(&self) -> Result<(), RecordError> {
        if self.addresses.len() > ADDRESSES {
            return Err(RecordError::Content("a presence has at most 16 addresses"));
        }
        if self.relays.len() > RELAYS {
            return Err(RecordError::Content("a presence has at most 2 relays"));
        }
        Ok(())
    }
}

/// The latest presence of each member.
#[derive(Debug, Default)]
pub struct Presences {
    latest: BTreeMap<DeviceId, Verified<Presence>>,
    ids: BTreeSet<RecordId>,
}

impl Presences {
    /// Our own presence.
    pub fn own(
        identity: &Identity,
        mesh: MeshId,
        mut addresses: Vec<SocketAddr>,
        mut relays: Vec<DeviceId>,
        now: Timestamp,
    ) -> Result<Verified<Presence>, RecordError> {
        addresses.truncate(ADDRESSES);
        relays.truncate(RELAYS);
        let device = identity.device_id();
        Verified::sign(Presence { mesh, device, issued_at: now, addresses, relays }, identity)
    }

    /// Through whom a device can be called, by what it said last.
    pub fn relays(&self, device: &DeviceId) -> &[DeviceId] {
        self.latest.get(device).map_or(&[], |presence| &presence.value().relays)
    }

    /// The members that others call their relays, from `own` on in the order of keys, so that not all choose the same.
    pub fn named_relays(&self, own: &DeviceId) -> impl Iterator<Item = DeviceId> {
        let named = self.latest.values().flat_map(|presence| &presence.value().relays);
        let named: BTreeSet<DeviceId> = named.copied().collect();
        let (before, after): (Vec<_>, Vec<_>) = named.into_iter().partition(|device| device < own);
        after.into_iter().chain(before)
    }

    /// Takes a presence if it is of this mesh, not too old, and newer than what we have; says whether it was taken.
    pub fn insert(&mut self, presence: &Verified<Presence>, mesh: &MeshId, now: Timestamp) -> bool {
        let value = presence.value();
        if value.mesh != *mesh || !fresh(value, now) {
            return false;
        }
        let newer =
            self.latest.get(&value.device).is_none_or(|known| known.value().issued_at < value.issued_at);
        if newer {
            self.ids.insert(presence.id());
            if let Some(old) = self.latest.insert(value.device, presence.clone()) {
                self.ids.remove(&old.id());
            }
        }
        newer
    }

    /// When the presence was signed that we have of a device.
    pub fn latest(&self, device: &DeviceId) -> Option<Timestamp> {
        self.latest.get(device).map(|presence| presence.value().issued_at)
    }

    /// Drops what is too old and whoever is no member.
    pub fn retain(&mut self, keep: impl Fn(&DeviceId) -> bool, now: Timestamp) {
        self.latest.retain(|device, presence| keep(device) && fresh(presence.value(), now));
        self.ids = self.latest.values().map(Verified::id).collect();
    }

    /// The presences to pass on to `peer` that it was not `told` before, the latest first, at most `limit`.
    pub fn for_peer(
        &self,
        peer: &DeviceId,
        told: &BTreeSet<RecordId>,
        limit: usize,
    ) -> Vec<&Verified<Presence>> {
        let new = |device: &DeviceId, presence: &Verified<Presence>| {
            device != peer && !told.contains(&presence.id())
        };
        let presences = self.latest.iter().filter(|(device, presence)| new(device, presence));
        let mut presences: Vec<_> = presences.map(|(_, presence)| presence).collect();
        presences.sort_by_key(|presence| std::cmp::Reverse(presence.value().issued_at));
        presences.truncate(limit);
        presences
    }

    /// Whether this is still the latest word of somebody.
    pub fn has(&self, id: &RecordId) -> bool {
        self.ids.contains(id)
    }
}

/// Neither too old nor from the future.
fn fresh(presence: &Presence, now: Timestamp) -> bool {
    presence.issued_at.distance(now) <= VALID
}
