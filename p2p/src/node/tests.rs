//! Nodes without sockets, clocks or disks.

mod agreeing;
mod conduct;
mod doubting;
mod finding;
mod relaying;
mod rendezvous;
mod stand_ins;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    CommandError, ConnectionKey, Event, Keep, KeepError, LinkInfo, Node, NodeConfig, Now, Output, Timer,
};
use crate::{
    discovery::{Remembered, Source},
    identity::{DeviceId, Identity},
    invite::{InviteTerms, Joiner, Progress, Response, Wish},
    membership::{Log, Refusal},
    record::{Founding, Grants, Record, RecordId, Timestamp, Verified, found},
    signal::{CANDIDATES, Hello, NatKind},
};

/// A disk that can be full.
#[derive(Clone, Default)]
struct Disk(Arc<AtomicBool>);

impl Keep for Disk {
    fn keep_records(&mut self, _: &[Verified<Record>], _: &[RecordId]) -> Result<(), KeepError> {
        if self.0.load(Ordering::Relaxed) { Err(KeepError("the disk is full".to_owned())) } else { Ok(()) }
    }

    fn keep_addresses(&mut self, _: &DeviceId, _: &[Remembered]) {}

    fn keep_grants(&mut self, _: &DeviceId, _: &Grants) -> Result<(), KeepError> {
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a moment to count from")]
fn start() -> Now {
    Now { instant: Instant::now(), wall: Timestamp::from_millis(1_900_000_000_000) }
}

fn later(now: Now, by: Duration) -> Now {
    Now { instant: now.instant + by, wall: now.wall.saturating_add(by) }
}

fn identity(seed: u8) -> Identity {
    Identity::generate([seed; 32])
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn founder(disk: &Disk, now: Now) -> Node {
    let identity = identity(1);
    let founding = Founding {
        mesh_name: "home".parse().unwrap(),
        subnet: "100.64.0.0/10".parse().unwrap(),
        name: "founder".parse().unwrap(),
        os: "test".parse().unwrap(),
        nonce: [0; 16],
    };
    let (mesh, records) = found(&identity, founding, now.wall).unwrap();
    node(identity, Log::from_records(mesh, records.to_vec()), disk, now)
}

fn node(identity: Identity, log: Log, disk: &Disk, now: Now) -> Node {
    let config = NodeConfig {
        identity,
        log,
        keep: Box::new(disk.clone()),
        addresses: BTreeMap::new(),
        grants: BTreeMap::new(),
        seed: 7,
    };
    Node::new(config, now)
}

/// Joins by a fresh invite; the answer of the founder to the last request.
fn ask_in(founder: &mut Node, seed: u8, name: &str, now: Now) -> (Joiner, Response) {
    let (code, _) = founder.create_invite(InviteTerms::default(), [seed; 16], now).unwrap();
    let key = code.invite_identity().device_id();
    let wish = Wish { name: name.parse().unwrap(), name_is_asked_for: true, os: "test".parse().unwrap() };
    let mut joiner = Joiner::new(code, identity(seed), wish);
    let terms = founder.handle_join(key, &joiner.ask(now.wall), None, now);
    joiner.handle_terms(&terms, now.wall).unwrap();
    let response = founder.handle_join(key, &joiner.request().unwrap(), Some(address(seed.into())), now);
    (joiner, response)
}

fn member(founder: &mut Node, seed: u8, name: &str, now: Now) -> Node {
    let (mut joiner, response) = ask_in(founder, seed, name, now);
    let witness = founder.own;
    let Ok(Progress::Admitted(log)) = joiner.handle_admitted(Some(&witness), &response) else {
        panic!("{response:?}")
    };
    node(identity(seed), *log, &Disk::default(), now)
}

fn outputs(node: &mut Node, now: Now) -> Vec<Output> {
    std::iter::from_fn(|| node.poll_output(now)).collect()
}

fn events(node: &mut Node, now: Now) -> Vec<Event> {
    let events = outputs(node, now)
        .into_iter()
        .filter_map(|output| if let Output::Event(event) = output { Some(event) } else { None });
    events.collect()
}

fn connect(node: &mut Node, peer: DeviceId, key: u64, dialled: bool, now: Now) {
    node.handle_connected(
        peer,
        ConnectionKey(key),
        LinkInfo { address: address(1), dialled, udp: true },
        now,
    );
}

fn hello(now: Timestamp) -> Hello {
    Hello {
        now,
        candidates: Vec::new(),
        nat: NatKind::Unknown,
        relay: false,
        grants: Grants::usual(),
        presences: Vec::new(),
    }
}

#[test]
fn a_full_disk_keeps_a_newcomer_out_and_the_log_as_it_was() {
    let (disk, now) = (Disk::default(), start());
    let mut node = founder(&disk, now);
    node.create_invite(InviteTerms::default(), [9; 16], now).unwrap();
    let before = node.log.len();
    let (code, _) = node.create_invite(InviteTerms::default(), [2; 16], now).unwrap();
    let key = code.invite_identity().device_id();
    let wish = Wish { name: "nas".parse().unwrap(), name_is_asked_for: true, os: "test".parse().unwrap() };
    let mut joiner = Joiner::new(code, identity(2), wish);
    joiner.handle_terms(&node.handle_join(key, &joiner.ask(now.wall), None, now), now.wall).unwrap();
    events(&mut node, now);

    disk.0.store(true, Ordering::Relaxed);
    let response = node.handle_join(key, &joiner.request().unwrap(), None, now);
    assert_eq!(response, Response::Refused(Refusal::Fault));
    assert_eq!(node.log.len(), before + 1);
    assert_eq!(node.roster().members().len(), 1);
    assert!(matches!(events(&mut node, now)[..], [Event::StoreFailed(_)]));

    disk.0.store(false, Ordering::Relaxed);
    let response = node.handle_join(key, &joiner.request().unwrap(), None, now);
    assert!(matches!(joiner.handle_admitted(None, &response), Ok(Progress::Admitted(_))));
}

#[test]
fn a_full_disk_makes_no_invite() {
    let (disk, now) = (Disk::default(), start());
    let mut node = founder(&disk, now);
    disk.0.store(true, Ordering::Relaxed);
    let made = node.create_invite(InviteTerms::default(), [2; 16], now);
    assert!(matches!(made, Err(CommandError::Keep(_))));
    assert!(node.roster().invites().is_empty());
}

#[test]
fn a_new_member_is_called_where_it_came_from() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    ask_in(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    let dials: Vec<_> = outputs(&mut node, now)
        .into_iter()
        .filter_map(|output| {
            if let Output::Dial { peer, addresses, .. } = output { Some((peer, addresses)) } else { None }
        })
        .collect();
    assert_eq!(dials, [(nas, vec![address(2)])]);
}

#[test]
fn a_reconnect_closes_the_old_connection_but_a_simultaneous_call_does_not() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    outputs(&mut node, now);
    connect(&mut node, nas, 1, true, now);
    connect(&mut node, nas, 2, false, later(now, Duration::from_millis(20)));
    assert!(!outputs(&mut node, now).iter().any(|output| matches!(output, Output::Close(_))));
    let reconnect = later(now, Duration::from_secs(6));
    connect(&mut node, nas, 3, false, reconnect);
    let closed: Vec<_> = outputs(&mut node, reconnect)
        .into_iter()
        .filter_map(|output| if let Output::Close(key) = output { Some(key) } else { None })
        .collect();
    assert_eq!(closed, [ConnectionKey(1), ConnectionKey(2)]);
    node.handle_disconnected(nas, ConnectionKey(1), reconnect);
    node.handle_disconnected(nas, ConnectionKey(2), reconnect);
    assert!(node.peers()[&nas].connected);
    node.handle_disconnected(nas, ConnectionKey(3), reconnect);
    assert!(matches!(events(&mut node, reconnect)[..], [Event::Disconnected { .. }]));
}

#[test]
fn a_clock_that_is_wrong_is_told_once() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    connect(&mut node, nas, 1, false, now);
    outputs(&mut node, now);
    let behind = Timestamp::from_millis(now.wall.as_millis() - 3_600_000);
    node.handle_hello(nas, hello(behind), now).unwrap();
    node.handle_hello(nas, hello(behind), now).unwrap();
    let skews: Vec<_> = events(&mut node, now)
        .into_iter()
        .filter_map(|event| if let Event::ClockSkew { ms, .. } = event { Some(ms) } else { None })
        .collect();
    assert_eq!(skews, [-3_600_000]);
}

#[test]
fn a_greeting_beyond_its_limits_is_a_violation() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    connect(&mut node, nas, 1, false, now);
    outputs(&mut node, now);
    let long = Hello { candidates: vec![address(3); CANDIDATES + 1], ..hello(now.wall) };
    assert!(node.handle_hello(nas, long, now).is_none());
    assert!(
        outputs(&mut node, now).iter().any(|output| matches!(output, Output::CutOff(peer) if *peer == nas))
    );
}

#[test]
fn greetings_without_end_are_a_violation() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    connect(&mut node, nas, 1, false, now);
    let answered = (0..1000).take_while(|_| node.handle_hello(nas, hello(now.wall), now).is_some()).count();
    assert_eq!(answered, 60);
    assert!(events(&mut node, now).iter().any(|event| matches!(event, Event::Misbehaved { .. })));
}

#[test]
fn whoever_is_cut_off_may_come_back_after_a_pause_that_doubles() {
    let mut now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    let mut pauses = Vec::new();
    for _ in 0..3 {
        node.handle_violation(nas, "nonsense", now);
        outputs(&mut node, now);
        let struck = now.instant;
        while !outputs(&mut node, now).iter().any(|output| matches!(output, Output::Forgive(_))) {
            let (at, _) = node.poll_timeout().unwrap();
            now = later(now, at.saturating_duration_since(now.instant));
            node.handle_timeout(now);
        }
        pauses.push(now.instant.duration_since(struck).as_secs());
    }
    assert_eq!(pauses, [30, 60, 120]);
}

#[test]
fn tunnel_addresses_are_never_dialled_nor_remembered() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    let (_, _) = ask_in(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    let inside = node.roster().member(&nas).unwrap().ipv4;
    node.handle_address(nas, SocketAddr::from((inside, 41820)), Source::Itself, now);
    node.set_tunnel([address(2).ip()].into());
    for output in outputs(&mut node, now) {
        assert!(!matches!(output, Output::Dial { .. }), "{output:?}");
    }
    assert!(node.peers()[&nas].addresses.is_empty());
}

#[test]
fn news_goes_to_everybody_but_its_bringer() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    let nas = member(&mut node, 2, "nas", now);
    member(&mut node, 3, "phone", now);
    let (nas_id, phone_id) = (nas.own, identity(3).device_id());
    connect(&mut node, nas_id, 1, false, now);
    connect(&mut node, phone_id, 2, false, now);
    let opened: Vec<_> = outputs(&mut node, now)
        .into_iter()
        .filter_map(|output| {
            if let Output::Exchange { peer, session, .. } = output { Some((peer, session)) } else { None }
        })
        .collect();
    for (peer, session) in opened {
        node.handle_exchange_answer(peer, session, true, now);
    }
    let mut nas = nas;
    nas.rename("attic".parse().unwrap(), now).unwrap();
    let news = crate::membership::Sync::push(&nas.log.records().cloned().collect::<Vec<_>>());
    for message in news {
        node.handle_exchange(nas_id, message, now);
    }
    assert_eq!(node.roster().member(&nas_id).unwrap().name.as_str(), "attic");
    let told: Vec<_> = outputs(&mut node, now)
        .into_iter()
        .filter_map(|output| if let Output::Exchange { peer, .. } = output { Some(peer) } else { None })
        .collect();
    assert_eq!(told, [phone_id]);
}

#[test]
fn an_answer_of_an_earlier_session_changes_nothing() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    connect(&mut node, nas, 1, false, now);
    let session = |node: &mut Node| {
        outputs(node, now).into_iter().find_map(|output| {
            if let Output::Exchange { session, .. } = output { Some(session) } else { None }
        })
    };
    let old = session(&mut node).unwrap();
    node.handle_disconnected(nas, ConnectionKey(1), now);
    connect(&mut node, nas, 2, false, now);
    let new = session(&mut node).unwrap();
    assert_ne!(old, new);
    node.handle_exchange_answer(nas, old, false, now);
    assert!(!node.is_flushed());
    node.handle_exchange_answer(nas, new, true, now);
    assert!(node.is_flushed());
}

#[test]
fn a_message_that_was_not_taken_is_sent_again_but_not_for_ever() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    connect(&mut node, nas, 1, false, now);
    let mut sent = 0;
    while let Some(session) = outputs(&mut node, now)
        .into_iter()
        .find_map(|output| if let Output::Exchange { session, .. } = output { Some(session) } else { None })
    {
        sent += 1;
        node.handle_exchange_answer(nas, session, false, now);
    }
    assert_eq!(sent, 4);
    assert!(node.is_flushed());
}

#[test]
fn a_suspended_machine_does_not_catch_up_in_a_burst() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    connect(&mut node, identity(2).device_id(), 1, false, now);
    outputs(&mut node, now);
    let awake = later(now, Duration::from_secs(8 * 3600));
    node.handle_timeout(awake);
    assert!(outputs(&mut node, awake).len() <= 4);
    let (next, timer) = node.poll_timeout().unwrap();
    assert!(next > awake.instant, "{timer:?}");
    assert_ne!(timer, Timer::Dial);
}
