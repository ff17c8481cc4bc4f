//! Meshes for tests: records made by whoever, saying whatever, at whatever time.

use std::net::Ipv4Addr;

use super::Log;
use crate::identity::{DeviceId, Identity, Subnet};
use crate::record::{
    Admin, Body, Device, Founding, Grants, Invite, Join, MeshId, Newcomer, Record, RecordId, Relation,
    Removal, Subject, Timestamp, Verified, found,
};

/// The founding, in milliseconds since the epoch.
pub(crate) const START: u64 = 1_800_000_000_000;
/// When invites of [`Mesh::invite`] end, in milliseconds after [`START`].
pub(crate) const LIFETIME: u64 = 1_000_000;

/// The device of this number.
pub(crate) fn device(number: u32) -> Identity {
    Identity::generate(blake3::derive_key("test device", &number.to_le_bytes()))
}

/// The invite key of this number.
pub(crate) fn invite_key(number: u32) -> Identity {
    Identity::generate(blake3::derive_key("test invite", &number.to_le_bytes()))
}

/// `milliseconds` after the founding.
pub(crate) fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(START + milliseconds)
}

/// A mesh founded by device 0, and everything said in it so far, standing or not.
#[derive(Clone)]
pub(crate) struct Mesh {
    pub(crate) id: MeshId,
    pub(crate) records: Vec<Verified<Record>>,
    pub(crate) invites: u32,
    sequence: u64,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        Self::of_subnet(Subnet::DEFAULT)
    }

    pub(crate) fn of_subnet(subnet: Subnet) -> Self {
        let founding = Founding {
            mesh_name: "home".parse().unwrap(),
            subnet,
            name: "zero".parse().unwrap(),
            os: "linux".parse().unwrap(),
            nonce: [7; 16],
        };
        let (id, records) = found(&device(0), founding, at(0)).unwrap();
        Self { id, records: records.to_vec(), invites: 0, sequence: 2 }
    }

    pub(crate) fn small() -> Self {
        Self::of_subnet(Subnet::new(Ipv4Addr::new(10, 1, 2, 0), 24).unwrap())
    }

    pub(crate) fn log(&self) -> Log {
        Log::from_records(self.id, self.records.clone())
    }

    /// `author` says `body` under the authority it has in the whole mesh.
    pub(crate) fn say(&mut self, author: u32, body: Body, now: u64) -> RecordId {
        let id = device(author).device_id();
        let authority = self.log().roster().admins.get(&id).and_then(|rank| rank.appointment);
        self.say_under(author, authority, body, now)
    }

    /// `author` says `body`, citing any authority.
    pub(crate) fn say_under(
        &mut self,
        author: u32,
        authority: Option<RecordId>,
        body: Body,
        now: u64,
    ) -> RecordId {
        self.sequence += 1;
        let mut record = Record {
            mesh: self.id,
            author: device(author).device_id(),
            sequence: self.sequence,
            authority,
            issued_at: at(now),
            body,
        };
        if !record.needs_authority() {
            record.authority = None;
        }
        let record = Verified::sign(record, &device(author)).unwrap();
        self.records.push(record);
        self.records.last().unwrap().id()
    }

    /// An invite by `author` with invite key number `self.invites`.
    pub(crate) fn invite(&mut self, author: u32, uses: u32) -> (u32, RecordId) {
        self.invite_to(author, uses, Relation::Own)
    }

    pub(crate) fn invite_to(&mut self, author: u32, uses: u32, relation: Relation) -> (u32, RecordId) {
        let key = self.invites;
        self.invites += 1;
        let body = Body::Invite(Invite {
            key: invite_key(key).device_id(),
            relation,
            uses,
            not_after: at(LIFETIME),
            grants: Grants::usual(),
            only: Vec::new(),
        });
        (key, self.say(author, body, 1))
    }

    /// What device `newcomer` says to join by an invite.
    pub(crate) fn joining(&self, (key, invite): (u32, RecordId), newcomer: u32, name: &str) -> Join {
        let identity = device(newcomer);
        let statement = Newcomer {
            invite,
            key: invite_key(key).device_id(),
            device: identity.device_id(),
            name: name.parse().unwrap(),
            os: "linux".parse().unwrap(),
            wireguard: identity.wireguard_public(&self.id, 0),
            epoch: 0,
        };
        Join {
            invite_signature: invite_key(key).sign(&statement.invite_message(&self.id).unwrap()),
            device_signature: identity.sign(&statement.device_message(&self.id).unwrap()),
            newcomer: statement,
        }
    }

    /// `witness` lets `newcomer` in.
    pub(crate) fn join(
        &mut self,
        witness: u32,
        invite: (u32, RecordId),
        newcomer: u32,
        now: u64,
    ) -> RecordId {
        let join = self.joining(invite, newcomer, &format!("device{newcomer}"));
        self.say(witness, Body::Join(Box::new(join)), now)
    }

    /// A mesh with members 0 to `last`, all let in by the founder at times 10, 20, ...
    pub(crate) fn of_members(last: u32) -> Self {
        let mut mesh = Self::new();
        let invite = mesh.invite(0, last);
        for number in 1..=last {
            mesh.join(0, invite, number, u64::from(number) * 10);
        }
        mesh
    }

    pub(crate) fn appoint(&mut self, by: u32, number: u32) -> RecordId {
        let device = device(number).device_id();
        self.say(by, Body::Admin(Admin::Appoint { device }), 100)
    }

    /// What `by`'s own roster makes of the wish to remove `number`.
    pub(crate) fn remove(&mut self, by: u32, number: u32) -> RecordId {
        let body = self.log().roster().remove_device(&id(by), &id(number)).unwrap();
        self.say(by, body, 200)
    }

    /// A removal whatever the rules say, keeping `keeps`.
    pub(crate) fn remove_keeping(&mut self, by: u32, number: u32, keeps: &[RecordId]) -> RecordId {
        self.say(by, removal(Subject::Device(id(number)), keeps), 200)
    }

    pub(crate) fn describe(&mut self, author: u32, name: &str, epoch: u32) -> RecordId {
        let wireguard = device(author).wireguard_public(&self.id, epoch);
        let name = Some(name.parse().unwrap());
        self.say(author, Body::Device(Device { name, wireguard, epoch, relay: false, exit: false }), 50)
    }

    pub(crate) fn is_member(&self, number: u32) -> bool {
        self.log().roster().is_member(&id(number))
    }

    /// The numbers of all members, among devices 0 to 63.
    pub(crate) fn members(&self) -> Vec<u32> {
        let log = self.log();
        (0..64).filter(|number| log.roster().is_member(&id(*number))).collect()
    }
}

pub(crate) fn id(number: u32) -> DeviceId {
    device(number).device_id()
}

pub(crate) fn removal(subject: Subject, keeps: &[RecordId]) -> Body {
    let mut keeps = keeps.to_vec();
    keeps.sort_unstable();
    keeps.dedup();
    Body::Removal(Removal { subject, keeps })
}
