//! Places and what lies there: keys that say nothing, values that only the mesh opens.

use std::time::Duration;

use chacha20poly1305::{
    ChaCha20Poly1305, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};

use crate::{
    discovery::Presence,
    identity::DeviceId,
    record::{MeshId, Timestamp, Verified},
};

/// One day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Bytes that are sealed, whatever the presence: the longest has about 500.
const PADDED: usize = 1024;
const LENGTH: usize = 2;
const NONCE: usize = 12;
const TAG: usize = 16;
/// Bytes of every value.
pub const VALUE_BYTES: usize = NONCE + PADDED + TAG;

/// A day of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(u64);

impl Period {
    /// The day of a moment.
    pub const fn at(moment: Timestamp) -> Self {
        Self(moment.as_millis() / DAY_MS)
    }

    /// The days that somebody may think it is whose clock differs by up to `margin`, the likeliest first.
    pub fn around(now: Timestamp, margin: Duration) -> Vec<Self> {
        let margin = u64::try_from(margin.as_millis()).unwrap_or(u64::MAX);
        let today = Self::at(now);
        let mut days = vec![today];
        for edge in [now.as_millis().saturating_sub(margin), now.as_millis().saturating_add(margin)] {
            let day = Self(edge / DAY_MS);
            if !days.contains(&day) {
                days.push(day);
            }
        }
        days
    }
}

/// Whose place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Where a member leaves its presence.
    Member(DeviceId),
    /// Where members leave theirs for newcomers.
    Invite {
        /// The public half of the invite key.
        key: DeviceId,
        /// Which of the [`SLOTS`](super::SLOTS).
        slot: u8,
    },
}

impl Subject {
    /// The slot of an invite's place that a member uses.
    pub fn invite(key: DeviceId, member: &DeviceId) -> Self {
        Self::Invite { key, slot: member.as_bytes()[0] % super::SLOTS }
    }

    /// Everywhere a newcomer looks.
    pub fn slots(key: DeviceId) -> impl Iterator<Item = Self> {
        (0..super::SLOTS).map(move |slot| Self::Invite { key, slot })
    }
}

/// A place for a day.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    mesh: MeshId,
    subject: Subject,
    key: [u8; 32],
    seal: [u8; 32],
}

impl Place {
    /// The place of `subject` on that day.
    pub fn of(mesh: MeshId, subject: Subject, period: Period) -> Self {
        let derive = |context| {
            let (kind, device, slot) = match subject {
                Subject::Member(device) => (0, device, 0),
                Subject::Invite { key, slot } => (1, key, slot),
            };
            let mut hasher = blake3::Hasher::new_derive_key(context);
            hasher.update(mesh.as_bytes()).update(&[kind, slot]).update(device.as_bytes());
            *hasher.update(&period.0.to_be_bytes()).finalize().as_bytes()
        };
        Self {
            mesh,
            subject,
            key: derive("warren rendezvous place v1"),
            seal: derive("warren rendezvous seal v1"),
        }
    }

    /// Under which key the network keeps it.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// What to leave here. `None` if the presence is too long, which honest ones are not. `nonce` is random.
    pub fn seal(&self, presence: &Verified<Presence>, nonce: [u8; NONCE]) -> Option<Vec<u8>> {
        let bytes = presence.bytes();
        let length = u16::try_from(bytes.len()).ok()?;
        let mut plain = Vec::with_capacity(PADDED);
        plain.extend(length.to_be_bytes());
        plain.extend(bytes);
        if plain.len() > PADDED {
            return None;
        }
        plain.resize(PADDED, 0);
        self.seal_plain(&plain, nonce)
    }

    /// Seals bytes as they are, as a member that lies could.
    pub fn seal_plain(&self, plain: &[u8], nonce: [u8; NONCE]) -> Option<Vec<u8>> {
        let payload = Payload { msg: plain, aad: &self.key };
        let sealed = self.cipher().encrypt(Nonce::from_slice(&nonce), payload).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    /// What somebody left here, if it is a presence of the subject (of an invite: of anybody) in the mesh, as the device
    /// has signed it.
    pub fn open(&self, value: &[u8]) -> Option<Verified<Presence>> {
        let (nonce, sealed) = value.split_first_chunk::<NONCE>()?;
        if value.len() != VALUE_BYTES {
            return None;
        }
        let payload = Payload { msg: sealed, aad: &self.key };
        let plain = self.cipher().decrypt(Nonce::from_slice(nonce), payload).ok()?;
        let (length, rest) = plain.split_first_chunk::<LENGTH>()?;
        let (bytes, padding) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        if padding.iter().any(|byte| *byte != 0) {
            return None;
        }
        let presence = Verified::<Presence>::from_bytes(bytes).ok()?;
        let here = match self.subject {
            Subject::Member(device) => presence.value().device == device,
            Subject::Invite { .. } => true,
        };
        (here && presence.value().mesh == self.mesh).then_some(presence)
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(Key::from_slice(&self.seal))
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place({:?})", self.subject)
    }
}
