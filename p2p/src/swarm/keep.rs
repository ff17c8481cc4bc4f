//! The store as the node sees it.

use crate::{
    discovery::{Remembered, Source},
    identity::DeviceId,
    node::{Keep, KeepError},
    record::{Grants, Record, RecordId, Timestamp, Verified},
    store::{Addresses, RememberedAddress, Store, StoreError},
};

/// Writes through to the store.
pub(super) struct StoreKeeper(pub(super) Store);

impl From<StoreError> for KeepError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl Keep for StoreKeeper {
    fn keep_records(&mut self, added: &[Verified<Record>], dropped: &[RecordId]) -> Result<(), KeepError> {
        Ok(self.0.apply(added, dropped)?)
    }

    fn keep_addresses(&mut self, device: &DeviceId, addresses: &[Remembered]) {
        if let Err(error) = self.0.put_addresses(device, &kept(addresses)) {
            tracing::warn!(%error, "addresses of a member were not kept");
        }
    }

    fn keep_grants(&mut self, device: &DeviceId, grants: &Grants) -> Result<(), KeepError> {
        Ok(self.0.put_grants(device, grants)?)
    }
}

/// Addresses as the store has them. One that never worked stands there with the time 0.
pub(super) fn kept(addresses: &[Remembered]) -> Addresses {
    let kept = addresses.iter().map(|remembered| RememberedAddress {
        address: remembered.address,
        last_worked: remembered.succeeded.unwrap_or_default(),
    });
    Addresses(kept.collect())
}

/// The way back.
pub(super) fn restore(kept: &Addresses) -> Vec<Remembered> {
    let remembered = kept.0.iter().map(|kept| {
        let worked = kept.last_worked != Timestamp::default();
        Remembered {
            address: kept.address,
            source: if worked { Source::Connection } else { Source::Hearsay },
            heard: kept.last_worked,
            succeeded: worked.then_some(kept.last_worked),
        }
    });
    remembered.collect()
}
