//! Targets of the control plane: what people paste, what members and newcomers send.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str;

use warren_p2p::discovery::rendezvous::{Period, Place, Subject};
use warren_p2p::discovery::{Presence, Remembered};
use warren_p2p::identity::{DeviceId, Identity};
use warren_p2p::invite::{InviteCode, Request, Response};
use warren_p2p::limits::{JOIN_REQUEST_BYTES, RECORD_BYTES};
use warren_p2p::membership::{Log, Message, Sync};
use warren_p2p::node::{ConnectionKey, Keep, KeepError, LinkInfo, Node, NodeConfig, Now};
use warren_p2p::record::codec::{decode, encode};
use warren_p2p::record::{Grants, Record, RecordId, Verified};
use warren_p2p::signal::{BYTES, CANDIDATES, Hello, PRESENCES, ReachRequest};

use crate::bench::{Mesh, NOW, instant};

/// Text that a user pasted.
#[must_use]
pub fn invite_code(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let Ok(code) = text.parse::<InviteCode>() else { return false };
    let written = code.to_string();
    assert_eq!(written.parse::<InviteCode>().as_ref(), Ok(&code), "a code reads back as itself");
    // The secret is in the code, so it must not be in what logs show of it.
    let shown = format!("{code:?}").to_lowercase();
    assert!(!shown.contains(&written[8..24]), "Debug shows the seed: {shown}");
    assert!(written.len() <= 250, "a code fits in a chat message");
    true
}

/// A record from disk or from a member: as it is, and, so that checks behind the signature are reached, signed by
/// a key of ours.
#[must_use]
pub fn record(bytes: &[u8]) -> bool {
    let verified = Verified::<Record>::from_bytes(bytes).ok();
    if let Some(record) = &verified {
        assert_eq!(record.bytes(), bytes, "a record has one spelling");
        fold(record);
    }
    let author = Identity::generate([7; 32]);
    if let Ok(mut content) = decode::<Record>(bytes, RECORD_BYTES) {
        content.author = author.device_id();
        if let Ok(signed) = Verified::sign(content, &author) {
            let again = Verified::<Record>::from_bytes(signed.bytes());
            assert_eq!(again.map(|again| again.id()), Ok(signed.id()), "what we sign, others accept");
            fold(&signed);
            return true;
        }
    }
    verified.is_some()
}

/// A record may be anything: the fold makes a roster of it, alone and among others.
fn fold(record: &Verified<Record>) {
    let alone = Log::from_records(record.record().mesh, vec![record.clone()]);
    assert!(alone.len() <= 1);
    let bench = Mesh::new();
    let before = bench.log.roster().members().len();
    let extended = bench.log.extended(vec![record.clone()]).log;
    let forged = record.record().author == Identity::generate([7; 32]).device_id();
    assert!(!forged || extended.roster().members().len() == before, "a stranger changes no membership");
}

/// What a newcomer says to a member and a member to a newcomer.
#[must_use]
pub fn join_message(bytes: &[u8]) -> bool {
    let bench = Mesh::new();
    let mut accepted = false;
    if let Ok(request) = Request::decode(bytes) {
        assert_eq!(request.encode().as_deref(), Ok(bytes), "a request has one spelling");
        let (response, _) = bench.answer(&request);
        let sent = response.encode().unwrap_or_else(|error| panic!("our own answer: {error}"));
        assert_eq!(Response::decode(&sent), Ok(response));
        accepted = true;
    }
    if let Ok(response) = Response::decode(bytes) {
        assert_eq!(response.encode().as_deref(), Ok(bytes), "a response has one spelling");
        let mut newcomer = bench.newcomer();
        if newcomer.handle_terms(&response, NOW).is_ok() {
            let request = newcomer.request().unwrap_or_else(|error| panic!("after good terms: {error}"));
            assert!(encode(&request, JOIN_REQUEST_BYTES).is_ok());
        }
        let _ = newcomer.handle_admitted(None, &response);
        accepted = true;
    }
    accepted
}

/// What a member says of itself and of others: a greeting to a node that is connected with it, and the presences in it.
#[must_use]
pub fn signal_message(bytes: &[u8]) -> bool {
    let mut accepted = false;
    if let Ok(presence) = Verified::<Presence>::from_bytes(bytes) {
        assert_eq!(presence.bytes(), bytes, "a presence has one spelling");
        accepted = true;
    }
    if let Ok(asked) = decode::<ReachRequest>(bytes, RECORD_BYTES) {
        assert_eq!(encode(&asked, RECORD_BYTES).as_deref(), Ok(bytes), "a request has one spelling");
    }
    let Ok(hello) = decode::<Hello>(bytes, BYTES) else { return accepted };
    assert_eq!(encode(&hello, BYTES).as_deref(), Ok(bytes), "a greeting has one spelling");
    let now = Now { instant: instant(), wall: NOW };
    let (mut node, member) = connected(now);
    if let Some(answer) = node.handle_hello(member, hello, now) {
        assert!(answer.candidates.len() <= CANDIDATES && answer.presences.len() <= PRESENCES);
        accepted = true;
    }
    // Whatever it was, the node comes to rest.
    let done = std::iter::from_fn(|| node.poll_output(now)).take(1000).count();
    assert!(done < 1000, "one greeting makes the node busy without end");
    accepted
}

/// A node that is connected with another member of its mesh.
pub(crate) fn connected(now: Now) -> (Node, DeviceId) {
    let bench = Mesh::new();
    let mut newcomer = bench.newcomer();
    let (terms, _) = bench.answer(&newcomer.ask(NOW));
    let _ = newcomer.handle_terms(&terms, NOW);
    let join = newcomer.request().unwrap_or_else(|error| panic!("a request: {error}"));
    let (_, log) = bench.answer(&join);
    let member = Identity::generate([4; 32]).device_id();
    let config = NodeConfig {
        identity: bench.founder.clone(),
        log,
        keep: Box::new(Nowhere),
        addresses: BTreeMap::new(),
        grants: BTreeMap::new(),
        seed: 1,
    };
    let mut node = Node::new(config, now);
    let link = LinkInfo { address: SocketAddr::from(([192, 0, 2, 4], 41820)), dialled: true, udp: true };
    node.handle_connected(member, ConnectionKey(1), link, now);
    (node, member)
}

/// Keeps nothing.
struct Nowhere;

impl Keep for Nowhere {
    fn keep_records(&mut self, _: &[Verified<Record>], _: &[RecordId]) -> Result<(), KeepError> {
        Ok(())
    }

    fn keep_addresses(&mut self, _: &DeviceId, _: &[Remembered]) {}

    fn keep_grants(&mut self, _: &DeviceId, _: &Grants) -> Result<(), KeepError> {
        Ok(())
    }
}

/// What a member says of its records.
#[must_use]
pub fn exchange_message(bytes: &[u8]) -> bool {
    let bench = Mesh::new();
    let member = Identity::generate([4; 32]).device_id();
    let mut sync = Sync::new();
    let reaction = sync.handle_bytes(&bench.log, member, bytes, instant());
    for reply in &reaction.replies {
        let sent = reply.encode().unwrap_or_else(|error| panic!("our own reply: {error}"));
        assert_eq!(Message::decode(&sent).as_ref(), Ok(reply));
    }
    let extended = bench.log.extended(reaction.records);
    let _ = sync.settle(&member, &extended);
    sync.forget(&member);
    match Message::decode(bytes) {
        Ok(message) => {
            assert_eq!(message.encode().as_deref(), Ok(bytes), "a message has one spelling");
            true
        }
        Err(_) => {
            assert!(reaction.misbehaviour.is_some(), "garbage is held against its sender");
            false
        }
    }
}

/// Bytes in a sealed value: a length, a presence, zeros.
const PLAIN: usize = 1024;

/// What somebody left at the public rendezvous: as it is, and, so that what lies behind the seal is reached, sealed
/// as whoever knows the mesh can.
#[must_use]
pub fn rendezvous_value(bytes: &[u8]) -> bool {
    let bench = Mesh::new();
    let founder = Subject::Member(bench.founder.device_id());
    let place = Place::of(bench.log.mesh(), founder, Period::at(NOW));
    let mut plain = bytes.to_vec();
    plain.resize(PLAIN, 0);
    let sealed = place.seal_plain(&plain, [0; 12]);
    let found = place.open(bytes).or_else(|| sealed.as_deref().and_then(|sealed| place.open(sealed)));
    let Some(presence) = found else { return false };
    assert_eq!(presence.value().device, bench.founder.device_id(), "only the member itself speaks here");
    let again = place.seal(&presence, [0; 12]).unwrap_or_else(|| panic!("what was found fits"));
    assert_eq!(place.open(&again).as_ref(), Some(&presence));
    assert!(
        sealed.is_none_or(|sealed| place.open(&sealed).is_none() || sealed == again),
        "it has one spelling"
    );
    true
}
