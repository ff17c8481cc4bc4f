//! The log: every record of the mesh that this device has, and the one source of its roster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Roster;
use crate::identity::{DeviceId, Identity};
use crate::limits::{BYTES_PER_AUTHOR, LOG_BYTES, LOG_RECORDS, RECORDS_PER_AUTHOR};
use crate::record::{Admin, Body, MeshId, Record, RecordError, RecordId, Timestamp, Verified};

/// How many groups the ids are sorted into for comparing two logs: one for each first byte.
pub(super) const BUCKETS: usize = 256;

/// Why a record does not enter the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// It speaks of another mesh.
    #[error("the record belongs to another mesh")]
    ForeignMesh,
    /// What it builds on is not here: its author's joining, its invite, its authority. Worth another try when
    /// more has arrived.
    #[error("the record builds on others that are not here yet")]
    Unanchored,
    /// The same author has said something newer that replaces it.
    #[error("a newer record of the same device replaces this one")]
    Superseded,
    /// The author has said too much.
    #[error("the author has said more than {RECORDS_PER_AUTHOR} records or {BYTES_PER_AUTHOR} bytes")]
    AuthorFull,
    /// The mesh has said too much.
    #[error("the log is full with {LOG_RECORDS} records or {LOG_BYTES} bytes")]
    Full,
}

/// The records of one mesh. A value: it never changes, [`Log::extended`] makes a longer one, so that the shell
/// can write to disk first and swap afterwards.
#[derive(Debug, Clone)]
pub struct Log {
    mesh: MeshId,
    records: BTreeMap<RecordId, Verified<Record>>,
    /// In order of arrival: what a record builds on stands before it.
    order: BTreeMap<u64, RecordId>,
    positions: BTreeMap<RecordId, u64>,
    arrivals: u64,
    bytes: usize,
    authors: BTreeMap<DeviceId, Author>,
    /// Devices that may speak: the founder, and whoever a Join or an appointment in the log names.
    anchored: BTreeSet<DeviceId>,
    devices: BTreeMap<DeviceId, (u64, RecordId)>,
    receipts: BTreeSet<(DeviceId, RecordId)>,
    buckets: Vec<[u8; 32]>,
    roster: Arc<Roster>,
}

#[derive(Debug, Clone, Default)]
struct Author {
    count: usize,
    bytes: usize,
    next_sequence: u64,
}

/// What came of adding records to a log.
#[derive(Debug)]
pub struct Extended {
    /// The longer log.
    pub log: Log,
    /// The records that are new in it, to be stored.
    pub added: Vec<Verified<Record>>,
    /// The records that are not in it any more, to be deleted from the store.
    pub dropped: Vec<RecordId>,
    /// Records that stay out, and why.
    pub refused: Vec<(Verified<Record>, LogError)>,
}

impl Log {
    /// The empty log of `mesh`.
    pub fn new(mesh: MeshId) -> Self {
        Self {
            mesh,
            records: BTreeMap::new(),
            order: BTreeMap::new(),
            positions: BTreeMap::new(),
            arrivals: 0,
            bytes: 0,
            authors: BTreeMap::new(),
            anchored: BTreeSet::new(),
            devices: BTreeMap::new(),
            receipts: BTreeSet::new(),
            buckets: vec![[0; 32]; BUCKETS],
            roster: Arc::new(Roster::fold(mesh, std::iter::empty())),
        }
    }

    /// The log of these records, in whatever order; what does not fit stays out.
    pub fn from_records(mesh: MeshId, records: Vec<Verified<Record>>) -> Self {
        Self::new(mesh).extended(records).log
    }

    /// Which mesh.
    pub fn mesh(&self) -> MeshId {
        self.mesh
    }

    /// Who is in the mesh, by these records.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether the record is here.
    pub fn contains(&self, id: &RecordId) -> bool {
        self.records.contains_key(id)
    }

    /// The record.
    pub fn get(&self, id: &RecordId) -> Option<&Verified<Record>> {
        self.records.get(id)
    }

    /// All records, each after those it builds on.
    pub fn records(&self) -> impl Iterator<Item = &Verified<Record>> {
        self.order.values().filter_map(|id| self.records.get(id))
    }

    /// A hash of all ids: equal in two logs that hold the same.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("warren log digest v1");
        for bucket in &self.buckets {
            hasher.update(bucket);
        }
        *hasher.finalize().as_bytes()
    }

    /// The XOR of all ids that begin with the byte; part of [`Log::digest`].
    pub(super) fn bucket(&self, first: u8) -> &[u8; 32] {
        &self.buckets[usize::from(first)]
    }

    /// The ids that begin with the byte.
    pub(super) fn ids_in_bucket(&self, first: u8) -> impl Iterator<Item = &RecordId> {
        let mut from = [0; 32];
        let mut to = [0xff; 32];
        from[0] = first;
        to[0] = first;
        self.records.range(RecordId::from_bytes(from)..=RecordId::from_bytes(to)).map(|(id, _)| id)
    }

    /// What shows by itself that `devices` joined: the Joins from them up to the founder, their invites, the
    /// authority of those, and how the devices on that way describe themselves.
    pub(crate) fn proof_of(&self, devices: &[DeviceId]) -> BTreeSet<RecordId> {
        let mut proof = BTreeSet::from([RecordId::from(self.mesh)]);
        let mut asked: BTreeSet<DeviceId> = devices.iter().copied().collect();
        let mut devices = devices.to_vec();
        while let Some(device) = devices.pop() {
            proof.extend(self.devices.get(&device).map(|(_, id)| *id));
            let Some(joined) = self.roster.joined.get(&device) else { continue };
            proof.insert(joined.record);
            let mut next = joined.invite;
            while let Some(record) = next.and_then(|id| self.records.get(&id)) {
                proof.insert(record.id());
                next = record.record().authority;
            }
            devices
                .extend([joined.witness, joined.inviter].into_iter().filter(|device| asked.insert(*device)));
        }
        proof
    }

    /// The id that begins so.
    pub(super) fn find_short(&self, short: &[u8; 16]) -> Option<RecordId> {
        let mut from = [0; 32];
        from[..16].copy_from_slice(short);
        let (id, _) = self.records.range(RecordId::from_bytes(from)..).next()?;
        id.as_bytes().starts_with(short).then_some(*id)
    }

    /// Sorts ids so that each stands behind what it builds on; drops those that are not here.
    pub(crate) fn in_order(&self, ids: impl IntoIterator<Item = RecordId>) -> Vec<RecordId> {
        let positions = ids.into_iter().filter_map(|id| self.positions.get(&id));
        positions
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter_map(|position| self.order.get(position).copied())
            .collect()
    }

    /// The next sequence number of an author.
    pub fn next_sequence(&self, author: &DeviceId) -> u64 {
        self.authors.get(author).map_or(0, |author| author.next_sequence)
    }

    /// Signs what `identity` says now, as the next of its records and under the authority it has. A Join gets
    /// the time at which it can count: later than the witness' own joining, even if the clock here is behind.
    pub fn compose(
        &self,
        identity: &Identity,
        body: Body,
        now: Timestamp,
    ) -> Result<Verified<Record>, RecordError> {
        let author = identity.device_id();
        let mut record = Record {
            mesh: self.mesh,
            author,
            sequence: self.next_sequence(&author),
            authority: None,
            issued_at: now,
            body,
        };
        if let (Body::Join(_), Some(joined)) = (&record.body, self.roster.joined.get(&author)) {
            record.issued_at = now.max(Timestamp::from_millis(joined.at.as_millis().saturating_add(1)));
        }
        if record.needs_authority() {
            record.authority = self.roster.admins.get(&author).and_then(|rank| rank.appointment);
        }
        Verified::sign(record, identity)
    }

    /// This log with `records` added, whatever their order. Everything is checked that does not depend on what
    /// else is to come; the roster is folded once.
    pub fn extended(&self, records: Vec<Verified<Record>>) -> Extended {
        let mut log = self.clone();
        let mut added = Vec::new();
        let mut dropped = BTreeSet::new();
        let mut refused = Vec::new();
        let mut waiting = records;
        // Each round admits what builds on the round before; sorted input takes one.
        loop {
            let before = added.len();
            let mut unanchored = Vec::new();
            for record in std::mem::take(&mut waiting) {
                match log.insert(&record, &mut dropped) {
                    Ok(true) => added.push(record),
                    Ok(false) => {}
                    Err(LogError::Unanchored) => unanchored.push(record),
                    Err(
                        error @ (LogError::ForeignMesh
                        | LogError::Superseded
                        | LogError::AuthorFull
                        | LogError::Full),
                    ) => {
                        refused.push((record, error));
                    }
                }
            }
            waiting = unanchored;
            if added.len() == before || waiting.is_empty() {
                break;
            }
        }
        refused.extend(waiting.into_iter().map(|record| (record, LogError::Unanchored)));
        added.retain(|record| log.contains(&record.id()));
        if !added.is_empty() || !dropped.is_empty() {
            log.roster = Arc::new(Roster::fold(log.mesh, log.records.values()));
        }
        let dropped = dropped.into_iter().filter(|id| self.contains(id)).collect();
        Extended { log, added, dropped, refused }
    }

    fn insert(
        &mut self,
        verified: &Verified<Record>,
        dropped: &mut BTreeSet<RecordId>,
    ) -> Result<bool, LogError> {
        let (id, record) = (verified.id(), verified.record());
        if self.records.contains_key(&id) {
            return Ok(false);
        }
        self.check_anchors(id, record)?;
        let length = verified.bytes().len();
        if self.records.len() >= LOG_RECORDS || self.bytes + length > LOG_BYTES {
            return Err(LogError::Full);
        }
        if self.authors.get(&record.author).is_some_and(|author| {
            author.count >= RECORDS_PER_AUTHOR || author.bytes + length > BYTES_PER_AUTHOR
        }) {
            return Err(LogError::AuthorFull);
        }
        match &record.body {
            Body::Device(_) => {
                // The higher sequence stays, then the smaller id: as the roster decides.
                let newer = |sequence, other: RecordId| (record.sequence, other) > (sequence, id);
                match self.devices.get(&record.author).copied() {
                    Some((sequence, other)) if !newer(sequence, other) => return Err(LogError::Superseded),
                    Some((_, other)) => {
                        self.drop_record(&other);
                        dropped.insert(other);
                    }
                    None => {}
                }
                self.devices.insert(record.author, (record.sequence, id));
            }
            Body::Receipt(receipt) if !self.receipts.insert((record.author, receipt.removal)) => {
                return Err(LogError::Superseded);
            }
            Body::Genesis(_) => {
                self.anchored.insert(record.author);
            }
            Body::Join(join) => {
                self.anchored.insert(join.newcomer.device);
            }
            Body::Admin(Admin::Appoint { device }) => {
                self.anchored.insert(*device);
            }
            Body::Receipt(_) | Body::Invite(_) | Body::Admin(Admin::Dismiss { .. }) | Body::Removal(_) => {}
        }
        let author = self.authors.entry(record.author).or_default();
        author.count += 1;
        author.bytes += length;
        self.bytes += length;
        author.next_sequence = author.next_sequence.max(record.sequence.saturating_add(1));
        self.toggle(&id);
        self.order.insert(self.arrivals, id);
        self.positions.insert(id, self.arrivals);
        self.arrivals += 1;
        self.records.insert(id, verified.clone());
        dropped.remove(&id);
        Ok(true)
    }

    fn check_anchors(&self, id: RecordId, record: &Record) -> Result<(), LogError> {
        if matches!(record.body, Body::Genesis(_)) {
            return if RecordId::from(self.mesh) == id { Ok(()) } else { Err(LogError::ForeignMesh) };
        }
        if record.mesh != self.mesh {
            return Err(LogError::ForeignMesh);
        }
        let authority = match record.authority {
            None => true,
            Some(authority) => self.records.get(&authority).is_some_and(|authority| {
                matches!(&authority.record().body, Body::Admin(Admin::Appoint { device }) if *device == record.author)
            }),
        };
        let invite = match &record.body {
            Body::Join(join) => self.records.get(&join.newcomer.invite).is_some_and(|invite| {
                matches!(&invite.record().body, Body::Invite(invite) if invite.key == join.newcomer.key)
            }),
            Body::Genesis(_) | Body::Invite(_) | Body::Device(_) | Body::Admin(_) | Body::Removal(_) | Body::Receipt(_) => true,
        };
        if authority && invite && self.anchored.contains(&record.author) {
            Ok(())
        } else {
            Err(LogError::Unanchored)
        }
    }

    fn drop_record(&mut self, id: &RecordId) {
        let Some(record) = self.records.remove(id) else { return };
        if let Some(position) = self.positions.remove(id) {
            self.order.remove(&position);
        }
        if let Some(author) = self.authors.get_mut(&record.record().author) {
            author.count -= 1;
            author.bytes -= record.bytes().len();
        }
        self.bytes -= record.bytes().len();
        self.toggle(id);
    }

    fn toggle(&mut self, id: &RecordId) {
        let bucket = &mut self.buckets[usize::from(id.as_bytes()[0])];
        for (sum, byte) in bucket.iter_mut().zip(id.as_bytes()) {
            *sum ^= byte;
        }
    }
}
