//! What records say.

use serde::{Deserialize, Serialize};

use super::{Grants, MeshId, Name, Os, RecordId, Timestamp};
use crate::identity::{DeviceId, Signature, Subnet, WireGuardKey};

/// A fact about a mesh, said by its author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The mesh spoken of; [`MeshId::UNFOUNDED`] in the Genesis record alone.
    pub mesh: MeshId,
    /// Who says it, and signs.
    pub author: DeviceId,
    /// The author's own count of its records, from 0. Orders its Device records; two records with one number
    /// are an equivocation, which the roster reports and which gains nothing.
    pub sequence: u64,
    /// The appointment that the author acts under. `None` for the founder, and for what every member may say.
    pub authority: Option<RecordId>,
    /// When, by the author's clock.
    pub issued_at: Timestamp,
    /// What.
    pub body: Body,
}

/// The seven kinds of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// A mesh begins.
    Genesis(Genesis),
    /// Whoever holds a key may join.
    Invite(Invite),
    /// A device has joined.
    Join(Box<Join>),
    /// A device describes itself.
    Device(Device),
    /// An admin is appointed or dismissed.
    Admin(Admin),
    /// A device or an invite is out.
    Removal(Removal),
    /// A removal is known.
    Receipt(Receipt),
}

/// The first record of a mesh. The founder's WireGuard key follows in a [`Device`] record, since it is derived
/// from the mesh id, which is the hash of this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// What people call the mesh.
    pub mesh_name: Name,
    /// Where its IPv4 addresses come from.
    pub subnet: Subnet,
    /// The founder's name.
    pub name: Name,
    /// The founder's operating system.
    pub os: Os,
    /// Random, so that two meshes of one device never share an id.
    pub nonce: [u8; 16],
}

/// How two members stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Relation {
    /// Devices of one owner.
    Own,
    /// Devices of different owners.
    Guest,
}

/// Leave to join for whoever holds the secret half of `key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// The public half of the invite key; the secret half is in the code.
    pub key: DeviceId,
    /// Whether the newcomer belongs to the inviter's owner or to itself.
    pub relation: Relation,
    /// How many devices may join by it, at least 1.
    pub uses: u32,
    /// The last moment at which a witness may let somebody in.
    pub not_after: Timestamp,
    /// What the inviter's device grants the newcomer on arrival.
    pub grants: Grants,
    /// The devices that a guest is shown, ascending; empty means all.
    pub only: Vec<DeviceId>,
}

/// A device has joined by an invite. The author of the record is the witness, a member that checked the invite;
/// `issued_at` is the witness' time and later than its own joining.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// What the newcomer said.
    pub newcomer: Newcomer,
    /// By the invite key, over the newcomer's statement.
    pub invite_signature: Signature,
    /// By the newcomer, over its statement.
    pub device_signature: Signature,
}

/// What a newcomer states about itself, signed twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newcomer {
    /// The invite it joins by.
    pub invite: RecordId,
    /// The public half of the invite key, so that the signature can be checked without the invite at hand.
    /// Whether it is the invite's key is the roster's question.
    pub key: DeviceId,
    /// The newcomer.
    pub device: DeviceId,
    /// The name it wants.
    pub name: Name,
    /// Its operating system.
    pub os: Os,
    /// Its WireGuard key.
    pub wireguard: WireGuardKey,
    /// Which epoch that key is of.
    pub epoch: u32,
}

/// A device describes itself; its record of the highest sequence counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The name it wants now; `None` keeps the one it joined with.
    pub name: Option<Name>,
    /// Its WireGuard key.
    pub wireguard: WireGuardKey,
    /// Which epoch that key is of.
    pub epoch: u32,
    /// Is willing to forward packets between others.
    pub relay: bool,
    /// Is willing to be a way to the Internet.
    pub exit: bool,
}

/// Who may invite, remove and appoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admin {
    /// `device` is an admin from now on, one level below the author.
    Appoint {
        /// The new admin.
        device: DeviceId,
    },
    /// `device` is no admin any more by these appointments.
    Dismiss {
        /// The admin of old.
        device: DeviceId,
        /// The appointments that end, ascending. A later one is a new record and stands.
        appointments: Vec<RecordId>,
        /// What it said and brought about as an admin that stays valid, ascending.
        keeps: Vec<RecordId>,
    },
}

/// A device or an invite is out, never undone for that key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Who or what.
    pub subject: Subject,
    /// What the subject said and brought about that stays valid, ascending.
    pub keeps: Vec<RecordId>,
}

/// What a removal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// A device.
    Device(DeviceId),
    /// An invite.
    Invite(RecordId),
}

/// The author has applied a removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which.
    pub removal: RecordId,
}
