//! Two members compare their logs and give each other what is missing.
//!
//! ```text
//! A                                   B
//! │ ── Digest (hash of all ids) ────► │  equal: nothing more to say
//! │ ◄─ Groups (256 sums of ids) ───── │  else: which groups differ?
//! │ ── Have (ids in those groups) ──► │
//! │ ◄─ Want (what B lacks) ────────── │
//! │ ◄─ Give (what A lacks) ────────── │
//! │ ── Give ────────────────────────► │
//! ```
//!
//! News is pushed by `Give` without being asked for. Every message stands alone: none is waited for, each may be
//! lost or repeated, and opening again repairs whatever is missing then.
//!
//! Driving: [`Sync::open`] on every connection and now and then; [`Sync::handle_message`] for each message, whose
//! [`Reaction`] holds replies, records to add to the log ([`Log::extended`]), and perhaps a reason to cut the
//! peer off. After the log was extended, [`Sync::settle`] with the outcome, for every peer whose records were in
//! it. [`Sync::forget`] when a peer is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::log::{BUCKETS, Extended, Log, LogError};
use crate::identity::DeviceId;
use crate::limits::{
    EXCHANGE_BYTES, EXCHANGE_IDS, EXCHANGE_MESSAGE_BURST, EXCHANGE_MESSAGES_PER_SECOND, EXCHANGE_PENDING,
    EXCHANGE_RECORD_BURST, EXCHANGE_RECORDS_PER_SECOND, EXCHANGE_REFUSED, EXCHANGE_REPLIES,
};
use crate::record::codec::{self, CodecError};
use crate::record::{Record, RecordError, RecordId, Verified};

/// The first half of a record id: enough to tell records apart, at half the price.
type ShortId = [u8; 16];

/// What two members say to each other about their logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The hash of everything I have.
    Digest([u8; 32]),
    /// For each first byte of ids, the first half of the sum (XOR) of mine.
    Groups(Vec<ShortId>),
    /// All my ids that begin with one of these bytes.
    Have {
        /// The first bytes.
        groups: Vec<u8>,
        /// The ids.
        ids: Vec<ShortId>,
    },
    /// I lack these.
    Want(Vec<ShortId>),
    /// Records, each after what it builds on.
    Give(Vec<Vec<u8>>),
}

impl Message {
    /// The bytes to send.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(self, EXCHANGE_BYTES)
    }

    /// Takes up what `other` gives, if both give records and it still fits; else hands `other` back.
    pub(crate) fn merge(&mut self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Give(ours), Self::Give(theirs)) if length(ours) + length(&theirs) <= GIVE_BYTES => {
                ours.extend(theirs);
                None
            }
            (_, other) => Some(other),
        }
    }

    /// Reads what a peer sent.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, EXCHANGE_BYTES)
    }
}

/// Bytes that the records of one `Give` may take, without the message's own head.
const GIVE_BYTES: usize = EXCHANGE_BYTES - 16;

/// Bytes of these records in a `Give`: 8 more each for its length.
fn length(records: &[Vec<u8>]) -> usize {
    records.iter().map(|record| record.len() + 8).sum()
}

/// Why a peer is to be cut off for a while.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// Bytes that are no message.
    #[error("sent a message that makes no sense: {0}")]
    Garbage(CodecError),
    /// A record that does not verify.
    #[error("sent a record that does not verify: {0}")]
    InvalidRecord(RecordError),
    /// A record of another mesh.
    #[error("sent a record of another mesh")]
    ForeignMesh,
    /// More records than a mesh needs.
    #[error("sends records without end")]
    EndlessRecords,
    /// More messages than an exchange needs.
    #[error("sends messages without end")]
    EndlessMessages,
    /// A list longer than allowed, or one that is not sorted into groups.
    #[error("sent a list that is too long or does not fit its groups")]
    Oversized,
    /// A record of its own over the log's caps.
    #[error("wrote a record beyond what the log holds: {0}")]
    OverCap(LogError),
}

/// What came of a message.
#[derive(Debug, Default)]
pub struct Reaction {
    /// To be sent to the peer, in this order.
    pub replies: Vec<Message>,
    /// Verified records that are not in the log.
    pub records: Vec<Verified<Record>>,
    /// A reason to cut the peer off. What came before it in the message stays valid.
    pub misbehaviour: Option<Misbehaviour>,
}

/// The exchange of records with all peers.
#[derive(Debug)]
pub struct Sync {
    peers: BTreeMap<DeviceId, Peer>,
    /// Records beyond the caps of the log. Which of an author's too many records a member holds depends on which came
    /// first, so two honest members can differ for ever, and must not hold it against each other.
    refused: BTreeSet<RecordId>,
    record_burst: u32,
}

#[derive(Debug)]
struct Peer {
    messages: Budget,
    records: Budget,
    /// Records that came before what they build on.
    pending: Vec<Verified<Record>>,
    rejected: u64,
}

impl Peer {
    fn new(record_burst: u32, now: Instant) -> Self {
        Self {
            messages: Budget::new(EXCHANGE_MESSAGE_BURST, EXCHANGE_MESSAGES_PER_SECOND, now),
            records: Budget::new(record_burst, EXCHANGE_RECORDS_PER_SECOND, now),
            pending: Vec::new(),
            rejected: 0,
        }
    }
}

impl Default for Sync {
    fn default() -> Self {
        Self::new()
    }
}

impl Sync {
    /// No peer yet.
    pub fn new() -> Self {
        Self::with_record_budget(EXCHANGE_RECORD_BURST)
    }

    /// No peer yet, and another number of new records that each may give at once.
    pub fn with_record_budget(record_burst: u32) -> Self {
        Self { peers: BTreeMap::new(), refused: BTreeSet::new(), record_burst }
    }

    /// What to say on a new connection, and now and then afterwards.
    pub fn open(log: &Log) -> Message {
        Message::Digest(log.digest())
    }

    /// The messages that tell a peer of these records.
    pub fn push(records: &[Verified<Record>]) -> Vec<Message> {
        give(records.iter())
    }

    /// Drops what was held for a peer. Its counters stay: going and coming back must not refill its budget.
    pub fn forget(&mut self, peer: &DeviceId) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.pending.clear();
        }
    }

    /// How many records of the peer were refused so far.
    pub fn rejected(&self, peer: &DeviceId) -> u64 {
        self.peers.get(peer).map_or(0, |peer| peer.rejected)
    }

    /// Takes the bytes of a message from a peer.
    pub fn handle_bytes(&mut self, log: &Log, from: DeviceId, bytes: &[u8], now: Instant) -> Reaction {
        match Message::decode(bytes) {
            Ok(message) => self.handle_message(log, from, message, now),
            Err(error) => {
                Reaction { misbehaviour: Some(Misbehaviour::Garbage(error)), ..Reaction::default() }
            }
        }
    }

    /// Takes a message from a peer.
    pub fn handle_message(&mut self, log: &Log, from: DeviceId, message: Message, now: Instant) -> Reaction {
        let peer = self.peers.entry(from).or_insert_with(|| Peer::new(self.record_burst, now));
        let mut reaction = Reaction::default();
        if !peer.messages.spend(now) {
            reaction.misbehaviour = Some(Misbehaviour::EndlessMessages);
            return reaction;
        }
        match message {
            Message::Digest(digest) if digest == log.digest() => {}
            Message::Digest(_) => reaction.replies.push(Message::Groups(groups(log))),
            Message::Groups(theirs) if theirs.len() != BUCKETS => {
                reaction.misbehaviour = Some(Misbehaviour::Oversized);
            }
            Message::Groups(theirs) => reaction.replies = have(log, &theirs),
            Message::Have { groups, ids } => match compare(log, &self.refused, &groups, &ids) {
                Some(replies) => reaction.replies = replies,
                None => reaction.misbehaviour = Some(Misbehaviour::Oversized),
            },
            Message::Want(ids) if ids.len() > EXCHANGE_IDS => {
                reaction.misbehaviour = Some(Misbehaviour::Oversized);
            }
            Message::Want(ids) => {
                let wanted = log.in_order(ids.iter().filter_map(|id| log.find_short(id)));
                reaction.replies = give(wanted.iter().filter_map(|id| log.get(id)));
            }
            Message::Give(records) => peer.take(log, &self.refused, records, now, &mut reaction),
        }
        // A short question must not make a long answer; opening again fetches the rest. Nor are answers free.
        reaction.replies.truncate(EXCHANGE_REPLIES);
        peer.messages.charge(reaction.replies.len());
        reaction
    }

    /// Takes note of what came of a peer's records: those whose foundation is missing are tried again with its
    /// next ones, and its own records over a cap are a reason to cut it off.
    pub fn settle(&mut self, from: &DeviceId, extended: &Extended) -> Option<Misbehaviour> {
        let peer = self.peers.get_mut(from)?;
        let mut misbehaviour = None;
        peer.pending.clear();
        for (record, error) in &extended.refused {
            match error {
                LogError::Unanchored if peer.pending.len() < EXCHANGE_PENDING => {
                    peer.pending.push(record.clone())
                }
                LogError::Unanchored | LogError::Superseded => {}
                LogError::ForeignMesh => {
                    peer.rejected += 1;
                    misbehaviour = Some(Misbehaviour::ForeignMesh);
                }
                LogError::AuthorFull | LogError::Full => {
                    if self.refused.len() >= EXCHANGE_REFUSED {
                        self.refused.clear();
                    }
                    self.refused.insert(record.id());
                    peer.rejected += 1;
                    // Whoever passes on what another wrote cannot know what we hold of it.
                    if record.record().author == *from {
                        misbehaviour = Some(Misbehaviour::OverCap(*error));
                    }
                }
            }
        }
        misbehaviour
    }
}

impl Peer {
    fn take(
        &mut self,
        log: &Log,
        refused: &BTreeSet<RecordId>,
        records: Vec<Vec<u8>>,
        now: Instant,
        reaction: &mut Reaction,
    ) {
        let mut seen: BTreeSet<RecordId> = BTreeSet::new();
        let mut fresh = std::mem::take(&mut self.pending);
        fresh.retain(|record| !log.contains(&record.id()) && seen.insert(record.id()));
        for bytes in records {
            // What is here already costs a hash, no signature check and no budget.
            let id = RecordId::from_bytes(*blake3::hash(&bytes).as_bytes());
            if log.contains(&id) || refused.contains(&id) || !seen.insert(id) {
                continue;
            }
            if !self.records.spend(now) {
                self.rejected += 1;
                reaction.misbehaviour = Some(Misbehaviour::EndlessRecords);
                break;
            }
            match Verified::<Record>::from_bytes(&bytes) {
                Ok(record) => fresh.push(record),
                // A newer Warren is no crime; its records wait until this one is brought up to date.
                Err(RecordError::NewerVersion(_)) => self.rejected += 1,
                Err(error) => {
                    self.rejected += 1;
                    reaction.misbehaviour = Some(Misbehaviour::InvalidRecord(error));
                    break;
                }
            }
        }
        reaction.records = fresh;
    }
}

fn groups(log: &Log) -> Vec<ShortId> {
    (0..=u8::MAX).map(|first| short(log.bucket(first))).collect()
}

/// `Have` messages for the groups that differ, each with whole groups.
fn have(log: &Log, theirs: &[ShortId]) -> Vec<Message> {
    let mut messages = Vec::new();
    let (mut differing, mut ids) = (Vec::new(), Vec::new());
    for (first, theirs) in (0..=u8::MAX).zip(theirs) {
        if short(log.bucket(first)) == *theirs {
            continue;
        }
        let group: Vec<ShortId> = log.ids_in_bucket(first).map(|id| short(id.as_bytes())).collect();
        if !differing.is_empty() && ids.len() + group.len() > EXCHANGE_IDS {
            let (groups, ids) = (std::mem::take(&mut differing), std::mem::take(&mut ids));
            messages.push(Message::Have { groups, ids });
        }
        differing.push(first);
        ids.extend(group.into_iter().take(EXCHANGE_IDS));
    }
    if !differing.is_empty() {
        messages.push(Message::Have { groups: differing, ids });
    }
    messages
}

/// What to give and what to want, given all of the peer's ids in these groups. `None` if the lists are absurd.
fn compare(log: &Log, refused: &BTreeSet<RecordId>, groups: &[u8], ids: &[ShortId]) -> Option<Vec<Message>> {
    let groups: BTreeSet<u8> = groups.iter().copied().collect();
    if ids.len() > EXCHANGE_IDS || ids.iter().any(|id| !groups.contains(&id[0])) {
        return None;
    }
    let theirs: BTreeSet<ShortId> = ids.iter().copied().collect();
    let mut ours = BTreeSet::new();
    let mut lacking = Vec::new();
    for id in groups.iter().flat_map(|first| log.ids_in_bucket(*first)) {
        ours.insert(short(id.as_bytes()));
        if !theirs.contains(&short(id.as_bytes())) {
            lacking.push(*id);
        }
    }
    let wanted = theirs.difference(&ours).filter(|id| find_short(refused, id).is_none());
    let wanted: Vec<ShortId> = wanted.copied().collect();
    let mut replies = if wanted.is_empty() { Vec::new() } else { vec![Message::Want(wanted)] };
    replies.extend(give(log.in_order(lacking).iter().filter_map(|id| log.get(id))));
    Some(replies)
}

/// `Give` messages of a size that is allowed.
fn give<'a>(records: impl Iterator<Item = &'a Verified<Record>>) -> Vec<Message> {
    let mut messages = Vec::new();
    let (mut batch, mut length) = (Vec::new(), 0);
    for record in records {
        let bytes = record.bytes();
        if length + bytes.len() + 8 > GIVE_BYTES {
            messages.push(Message::Give(std::mem::take(&mut batch)));
            length = 0;
        }
        length += bytes.len() + 8;
        batch.push(bytes.to_vec());
    }
    if !batch.is_empty() {
        messages.push(Message::Give(batch));
    }
    messages
}

/// The id among these that begins so.
fn find_short(ids: &BTreeSet<RecordId>, short: &ShortId) -> Option<RecordId> {
    let mut from = [0; 32];
    from[..16].copy_from_slice(short);
    ids.range(RecordId::from_bytes(from)..).next().copied().filter(|id| id.as_bytes().starts_with(short))
}

fn short(id: &[u8; 32]) -> ShortId {
    let mut short = [0; 16];
    short.copy_from_slice(&id[..16]);
    short
}
