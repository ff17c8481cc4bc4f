//! Two logs become one, and what happens to whoever cheats.
#![expect(clippy::disallowed_methods, reason = "an instant to count from; none of it passes by itself")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::fixture::{Mesh, id};
use super::super::{Extended, Log, LogError, Message, Misbehaviour, Sync};
use crate::limits::{EXCHANGE_BYTES, EXCHANGE_IDS, EXCHANGE_MESSAGE_BURST};

/// A member with its log.
pub(super) struct Node {
    pub(super) log: Log,
    sync: Sync,
}

impl Node {
    pub(super) fn new(log: Log) -> Self {
        Self { log, sync: Sync::new() }
    }

    fn handle(&mut self, from: u32, message: Message, now: Instant) -> (Vec<Message>, Option<Misbehaviour>) {
        // Through bytes, as on the wire.
        let bytes = message.encode().unwrap();
        assert!(bytes.len() <= EXCHANGE_BYTES);
        let reaction = self.sync.handle_bytes(&self.log, id(from), &bytes, now);
        let extended = self.log.extended(reaction.records);
        let over = self.sync.settle(&id(from), &extended);
        self.log = extended.log;
        (reaction.replies, reaction.misbehaviour.or(over))
    }
}

/// Lets two nodes talk until both are silent; the number of messages.
pub(super) fn exchange(a: &mut Node, b: &mut Node, now: Instant) -> usize {
    let mut queue = VecDeque::from([(true, Sync::open(&a.log)), (false, Sync::open(&b.log))]);
    let mut count = 0;
    while let Some((to_b, message)) = queue.pop_front() {
        count += 1;
        assert!(count < 10_000, "the exchange does not end");
        let (replies, misbehaviour) =
            if to_b { b.handle(1, message, now) } else { a.handle(2, message, now) };
        assert_eq!(misbehaviour, None);
        queue.extend(replies.into_iter().map(|reply| (!to_b, reply)));
    }
    count
}

#[test]
fn equal_logs_have_two_words_to_say() {
    let log = Mesh::of_members(5).log();
    let mut nodes = (Node::new(log.clone()), Node::new(log));
    assert_eq!(exchange(&mut nodes.0, &mut nodes.1, Instant::now()), 2);
}

#[test]
fn logs_that_differ_both_ways_become_one() {
    let mut left = Mesh::of_members(20);
    let mut right = left.clone();
    let invite = left.invite(0, 3);
    left.join(0, invite, 30, 500);
    right.describe(3, "changed", 1);
    right.remove(0, 4);
    let mut nodes = (Node::new(left.log()), Node::new(right.log()));
    exchange(&mut nodes.0, &mut nodes.1, Instant::now());
    assert_eq!(nodes.0.log.digest(), nodes.1.log.digest());
    assert_eq!(nodes.0.log.roster(), nodes.1.log.roster());
    assert!(nodes.0.log.roster().is_member(&id(30)) && !nodes.0.log.roster().is_member(&id(4)));
}

#[test]
fn an_empty_log_is_filled() {
    let full = Mesh::of_members(40).log();
    let mut nodes = (Node::new(Log::new(full.mesh())), Node::new(full));
    exchange(&mut nodes.0, &mut nodes.1, Instant::now());
    assert_eq!(nodes.0.log.roster(), nodes.1.log.roster());
}

#[test]
fn records_that_come_before_what_they_build_on_wait_for_it() {
    let mesh = Mesh::of_members(2);
    let mut node = Node::new(Log::new(mesh.id));
    let now = Instant::now();
    for record in mesh.records.iter().rev() {
        let (_, misbehaviour) = node.handle(5, Message::Give(vec![record.bytes().to_vec()]), now);
        assert_eq!(misbehaviour, None);
    }
    assert_eq!(node.log.digest(), mesh.log().digest());
}

#[test]
fn garbage_and_oversized_messages_are_misbehaviour() {
    let log = Mesh::new().log();
    let mut sync = Sync::new();
    let now = Instant::now();
    let mut react = |bytes: &[u8]| sync.handle_bytes(&log, id(9), bytes, now).misbehaviour;
    assert!(matches!(react(&[0xff; 40]), Some(Misbehaviour::Garbage(_))));
    assert!(matches!(react(&[]), Some(Misbehaviour::Garbage(_))));
    assert!(matches!(react(&vec![0; EXCHANGE_BYTES + 1]), Some(Misbehaviour::Garbage(_))));
    let encode = |message: &Message| message.encode().unwrap();
    assert_eq!(react(&encode(&Message::Groups(vec![[0; 16]; 3]))), Some(Misbehaviour::Oversized));
    assert_eq!(
        react(&encode(&Message::Want(vec![[0; 16]; EXCHANGE_IDS + 1]))),
        Some(Misbehaviour::Oversized)
    );
    let have = Message::Have { groups: vec![1], ids: vec![[2; 16]] };
    assert_eq!(react(&encode(&have)), Some(Misbehaviour::Oversized));
}

#[test]
fn a_forged_record_is_misbehaviour_and_what_came_before_it_counts() {
    let mesh = Mesh::of_members(3);
    let (last, rest) = mesh.records.split_last().unwrap();
    let mut node = Node::new(Log::from_records(mesh.id, rest[..rest.len() - 1].to_vec()));
    let mut forged = last.bytes().to_vec();
    let end = forged.len() - 1;
    forged[end] ^= 1;
    let good = rest.last().unwrap().bytes().to_vec();
    let (_, misbehaviour) = node.handle(7, Message::Give(vec![good, forged]), Instant::now());
    assert!(matches!(misbehaviour, Some(Misbehaviour::InvalidRecord(_))), "{misbehaviour:?}");
    assert_eq!(node.log.len(), rest.len());
    assert_eq!(node.sync.rejected(&id(7)), 1);
    assert_eq!(node.sync.rejected(&id(6)), 0);
}

#[test]
fn records_of_another_mesh_are_misbehaviour() {
    let mut node = Node::new(Mesh::of_members(2).log());
    let foreign = Mesh::small().records.iter().map(|record| record.bytes().to_vec()).collect();
    let (_, misbehaviour) = node.handle(7, Message::Give(foreign), Instant::now());
    assert_eq!(misbehaviour, Some(Misbehaviour::ForeignMesh));
}

#[test]
fn messages_without_end_are_cut_off_and_others_go_on() {
    let log = Mesh::new().log();
    let mut sync = Sync::new();
    let now = Instant::now();
    let message = Message::Digest([1; 32]);
    let mut last = None;
    for _ in 0..=EXCHANGE_MESSAGE_BURST {
        last = sync.handle_message(&log, id(3), message.clone(), now).misbehaviour;
    }
    assert_eq!(last, Some(Misbehaviour::EndlessMessages));
    assert!(sync.handle_message(&log, id(4), message.clone(), now).misbehaviour.is_none());
    let later = now + Duration::from_secs(5);
    assert!(sync.handle_message(&log, id(3), message, later).misbehaviour.is_none());
}

#[test]
fn records_without_end_are_cut_off() {
    let mut mesh = Mesh::new();
    let log = mesh.log();
    let mut sync = Sync::with_record_budget(3);
    for number in 0..5 {
        mesh.describe(0, &format!("name{number}"), 0);
    }
    let give = Message::Give(mesh.records.iter().map(|record| record.bytes().to_vec()).collect());
    let reaction = sync.handle_message(&log, id(3), give, Instant::now());
    assert_eq!(reaction.misbehaviour, Some(Misbehaviour::EndlessRecords));
    assert_eq!(reaction.records.len(), 3);
}

#[test]
fn a_short_question_makes_no_endless_answer() {
    let log = Mesh::of_members(50).log();
    let mut sync = Sync::new();
    let ids = log.records().map(|record| record.id().as_bytes()[..16].try_into().unwrap()).collect();
    let reaction = sync.handle_message(&log, id(3), Message::Want(ids), Instant::now());
    let bytes: usize = reaction.replies.iter().map(|reply| reply.encode().unwrap().len()).sum();
    assert!(bytes < 40_000 && reaction.misbehaviour.is_none());
}

#[test]
fn a_record_over_a_cap_is_held_against_its_author_alone_and_not_asked_for_again() {
    let mesh = Mesh::of_members(3);
    let log = mesh.log();
    let record = mesh.records.last().unwrap().clone();
    let author = record.record().author;
    let now = Instant::now();
    let rest = Log::from_records(mesh.id, mesh.records[..mesh.records.len() - 1].to_vec());
    let give = Message::Give(vec![record.bytes().to_vec()]);
    let over = |log: &Log| Extended {
        log: log.clone(),
        added: Vec::new(),
        dropped: Vec::new(),
        refused: vec![(record.clone(), LogError::AuthorFull)],
    };
    let mut sync = Sync::new();
    assert_ne!(author, id(7));
    let reaction = sync.handle_message(&rest, id(7), give.clone(), now);
    assert_eq!(reaction.records.len(), 1);
    assert_eq!(sync.settle(&id(7), &over(&rest)), None);
    assert_eq!(sync.rejected(&id(7)), 1);
    // Whoever else has it may say so, and nobody pays for it.
    assert!(sync.handle_message(&rest, id(8), give.clone(), now).records.is_empty());
    let Message::Groups(groups) = &sync.handle_message(&rest, id(8), Sync::open(&log), now).replies[0] else {
        panic!("groups")
    };
    let mut other = Sync::new();
    let have = other.handle_message(&log, id(9), Message::Groups(groups.clone()), now).replies;
    for message in have {
        assert_eq!(sync.handle_message(&rest, id(8), message, now).replies, []);
    }
    let mut sync = Sync::new();
    sync.handle_message(&rest, author, give, now);
    assert!(matches!(sync.settle(&author, &over(&rest)), Some(Misbehaviour::OverCap(_))));
}

#[test]
fn long_answers_are_paid_for_by_whoever_asks() {
    let mesh = Mesh::of_members(4);
    let log = mesh.log();
    let mut sync = Sync::new();
    let now = Instant::now();
    let want: Vec<_> = log.records().map(|record| record.id().as_bytes()[..16].try_into().unwrap()).collect();
    let mut asked = 0;
    while sync.handle_message(&log, id(3), Message::Want(want.clone()), now).misbehaviour.is_none() {
        asked += 1;
    }
    assert_eq!(asked, EXCHANGE_MESSAGE_BURST / 2);
}

#[test]
fn news_is_given_together_as_far_as_it_fits() {
    let mut first = Message::Give(vec![vec![1; 1000]]);
    assert_eq!(first.merge(Message::Give(vec![vec![2; 10], vec![3; 10]])), None);
    assert_eq!(first, Message::Give(vec![vec![1; 1000], vec![2; 10], vec![3; 10]]));
    let long = Message::Give(vec![vec![4; EXCHANGE_BYTES - 1000]]);
    assert_eq!(first.merge(long.clone()), Some(long));
    assert_eq!(first.merge(Message::Digest([0; 32])), Some(Message::Digest([0; 32])));
    while first.merge(Message::Give(vec![vec![5; 60_000]])).is_none() {}
    assert!(first.encode().is_ok());
}
