//! Who becomes a member, and by which name and address.

use super::super::fixture::{LIFETIME, Mesh, at, device, id, invite_key, removal};
use super::super::{Log, LogError, Refusal, Suspension};
use crate::identity;
use crate::record::{Body, Device, Record, Relation, Subject, Verified};

#[test]
fn the_founder_is_the_first_member_and_admin() {
    let mesh = Mesh::new();
    let log = mesh.log();
    let founder = log.roster().member(&id(0)).unwrap();
    assert_eq!(founder.name.as_str(), "zero");
    assert!(founder.admin);
    assert_eq!(founder.wireguard, device(0).wireguard_public(&mesh.id, 0));
    assert_eq!(log.roster().members().len(), 1);
}

#[test]
fn a_single_use_invite_admits_one() {
    let mut mesh = Mesh::new();
    let invite = mesh.invite(0, 1);
    mesh.join(0, invite, 1, 10);
    mesh.join(0, invite, 2, 20);
    assert_eq!(mesh.members(), [0, 1]);
}

#[test]
fn of_two_uses_of_a_single_use_invite_in_a_partition_the_earlier_stays_on_every_side() {
    let mut mesh = Mesh::of_members(2);
    let invite = mesh.invite(0, 1);
    let (mut left, mut right) = (mesh.clone(), mesh.clone());
    left.join(1, invite, 10, 500);
    right.join(2, invite, 11, 400);
    assert!(left.is_member(10) && right.is_member(11));

    let both: Vec<_> = left.records.iter().chain(&right.records).cloned().collect();
    let merged = Log::from_records(mesh.id, both.clone());
    assert!(merged.roster().is_member(&id(11)) && !merged.roster().is_member(&id(10)));
    let backwards = Log::from_records(mesh.id, both.into_iter().rev().collect());
    assert_eq!(merged.roster(), backwards.roster());
}

#[test]
fn at_one_and_the_same_time_the_smaller_record_id_wins() {
    let mut mesh = Mesh::of_members(2);
    let invite = mesh.invite(0, 1);
    let one = mesh.join(1, invite, 10, 500);
    let two = mesh.join(2, invite, 11, 500);
    assert_eq!(mesh.is_member(10), one < two);
    assert_eq!(mesh.is_member(11), two < one);
}

#[test]
fn an_invite_of_n_uses_admits_n_and_the_next_is_refused() {
    let mut mesh = Mesh::new();
    let invite = mesh.invite(0, 3);
    for number in 1..=3 {
        let join = mesh.joining(invite, number, "phone");
        let refusal = mesh.log().roster().check_join(&join, at(10)).err();
        assert!(!matches!(refusal, Some(Refusal::UsedUp { .. })));
        mesh.join(0, invite, number, u64::from(number) * 10);
    }
    let join = mesh.joining(invite, 4, "late");
    assert_eq!(mesh.log().roster().check_join(&join, at(40)), Err(Refusal::UsedUp { uses: 3 }));
    mesh.join(0, invite, 4, 40);
    assert_eq!(mesh.members(), [0, 1, 2, 3]);
}

#[test]
fn a_use_does_not_come_back_when_the_device_is_removed() {
    let mut mesh = Mesh::new();
    let invite = mesh.invite(0, 1);
    mesh.join(0, invite, 1, 10);
    mesh.remove(0, 1);
    mesh.join(0, invite, 2, 300);
    assert_eq!(mesh.members(), [0]);
}

#[test]
fn any_member_lets_newcomers_in_while_the_inviter_is_away() {
    let mut mesh = Mesh::of_members(1);
    let invite = mesh.invite(0, 1);
    mesh.join(1, invite, 2, 20);
    let log = mesh.log();
    let newcomer = log.roster().member(&id(2)).unwrap();
    assert_eq!((newcomer.witness, newcomer.inviter), (id(1), id(0)));
}

#[test]
fn nobody_joins_after_the_end_of_an_invite() {
    let mut mesh = Mesh::new();
    let invite = mesh.invite(0, 2);
    let join = mesh.joining(invite, 1, "late");
    let (not_after, now) = (at(LIFETIME), at(LIFETIME + 1));
    assert_eq!(mesh.log().roster().check_join(&join, now), Err(Refusal::Expired { not_after, now }));
    mesh.join(0, invite, 1, LIFETIME + 1);
    mesh.join(0, invite, 2, LIFETIME);
    assert_eq!(mesh.members(), [0, 2]);
}

#[test]
fn a_witness_joined_before_those_it_lets_in() {
    let mut mesh = Mesh::of_members(1);
    let invite = mesh.invite(0, 5);
    mesh.join(1, invite, 2, 10);
    mesh.join(1, invite, 3, 9);
    mesh.join(1, invite, 4, 11);
    assert_eq!(mesh.members(), [0, 1, 4]);
}

#[test]
fn a_stranger_lets_nobody_in() {
    let mut mesh = Mesh::new();
    let invite = mesh.invite(0, 5);
    mesh.join(9, invite, 2, 10);
    assert_eq!(mesh.members(), [0]);
    let extended = Log::new(mesh.id).extended(mesh.records);
    assert!(extended.refused.iter().all(|(_, error)| *error == LogError::Unanchored));
    assert_eq!(extended.refused.len(), 1);
}

#[test]
fn a_newcomer_needs_the_key_of_the_invite_it_names() {
    let mut mesh = Mesh::new();
    let (_, invite) = mesh.invite(0, 5);
    let join = mesh.joining((77, invite), 1, "thief");
    assert_eq!(mesh.log().roster().check_join(&join, at(5)), Err(Refusal::Forged));
    mesh.say(0, Body::Join(Box::new(join)), 10);
    assert_eq!(mesh.members(), [0]);
    assert_ne!(invite_key(77).device_id(), invite_key(0).device_id());
}

#[test]
fn an_invite_that_was_revoked_admits_nobody_more_and_keeps_who_came() {
    let mut mesh = Mesh::new();
    let invite = mesh.invite(0, 5);
    mesh.join(0, invite, 1, 10);
    let body = mesh.log().roster().revoke_invite(&id(0), &invite.1).unwrap();
    mesh.say(0, body, 20);
    let join = mesh.joining(invite, 2, "late");
    assert_eq!(mesh.log().roster().check_join(&join, at(15)), Err(Refusal::Revoked));
    mesh.join(0, invite, 2, 15);
    assert_eq!(mesh.members(), [0, 1]);
    assert_eq!(mesh.log().roster().revoke_invite(&id(0), &invite.1), Err(Refusal::Revoked));
}

#[test]
fn a_removed_device_never_comes_back() {
    let mut mesh = Mesh::of_members(2);
    mesh.remove(0, 1);
    let invite = mesh.invite(0, 5);
    let join = mesh.joining(invite, 1, "again");
    assert_eq!(mesh.log().roster().check_join(&join, at(300)), Err(Refusal::Removed));
    mesh.join(2, invite, 1, 300);
    assert_eq!(mesh.members(), [0, 2]);
    assert!(mesh.log().roster().removed().contains_key(&id(1)));
}

#[test]
fn a_member_restored_from_an_old_copy_learns_of_the_removal_and_revives_nobody() {
    let mut mesh = Mesh::of_members(2);
    let old = mesh.log();
    mesh.remove(0, 1);
    let merged = old.extended(mesh.records.clone()).log;
    let replayed = mesh.log().extended(old.records().cloned().collect()).log;
    for log in [merged, replayed] {
        assert!(!log.roster().is_member(&id(1)));
    }
}

#[test]
fn leaving_is_for_good_and_throws_nobody_out() {
    let mut mesh = Mesh::of_members(1);
    let invite = mesh.invite(0, 1);
    mesh.join(1, invite, 2, 20);
    // Even one who wants to throw out whom it let in cannot.
    mesh.say(1, removal(Subject::Device(id(1)), &[]), 30);
    assert_eq!(mesh.members(), [0, 2]);
    let log = mesh.log();
    assert_eq!(log.roster().removed()[&id(1)].by, id(1));
}

#[test]
fn whoever_removes_a_witness_keeps_whom_it_let_in_but_not_whom_it_lets_in_later() {
    let mut mesh = Mesh::of_members(1);
    let invite = mesh.invite(0, 5);
    mesh.join(1, invite, 2, 20);
    mesh.remove(0, 1);
    // With the stolen key of the removed device, dated back.
    mesh.join(1, invite, 3, 21);
    assert_eq!(mesh.members(), [0, 2]);
}

#[test]
fn equal_names_are_numbered_in_the_order_of_joining() {
    let mut mesh = Mesh::new();
    let invite = mesh.invite(0, 9);
    for number in 1..=3_u32 {
        let join = mesh.joining(invite, number, "nas");
        mesh.say(0, Body::Join(Box::new(join)), 100 - u64::from(number));
    }
    let log = mesh.log();
    let name = |number| log.roster().member(&id(number)).unwrap().name.to_string();
    assert_eq!([name(3), name(2), name(1)], ["nas", "nas-2", "nas-3"]);
    let join = mesh.joining(invite, 4, "NAS");
    let refusal = log.roster().check_join(&join, at(200)).unwrap_err();
    let Refusal::NameTaken { suggestion, .. } = refusal else { panic!("{refusal}") };
    assert_eq!(suggestion.as_str(), "nas-4");
}

#[test]
fn the_newest_description_of_a_device_counts_whatever_came_last() {
    let mut mesh = Mesh::of_members(1);
    mesh.describe(1, "first", 0);
    mesh.describe(1, "second", 3);
    mesh.records.reverse();
    let log = mesh.log();
    let member = log.roster().member(&id(1)).unwrap();
    assert_eq!((member.name.as_str(), member.epoch), ("second", 3));
    assert_eq!(member.wireguard, device(1).wireguard_public(&mesh.id, 3));
    // The log forgets what was replaced, whichever came first.
    let described = |log: &Log| log.records().filter(|r| matches!(r.record().body, Body::Device(_))).count();
    assert_eq!(described(&log), 2);
    mesh.records.reverse();
    assert_eq!(mesh.log().digest(), log.digest());
}

#[test]
fn addresses_are_unique_until_the_network_is_full() {
    let mut mesh = Mesh::small();
    let invite = mesh.invite(0, 400);
    for number in 1..=300 {
        let join = mesh.joining(invite, number, "n");
        let record = Record {
            mesh: mesh.id,
            author: id(0),
            sequence: u64::from(number) + 9,
            authority: None,
            issued_at: at(u64::from(number)),
            body: Body::Join(Box::new(join)),
        };
        mesh.records.push(Verified::sign(record, &device(0)).unwrap());
    }
    let log = mesh.log();
    let roster = log.roster();
    assert_eq!(roster.members().len(), 254);
    let addresses: std::collections::BTreeSet<_> =
        roster.members().values().map(|member| member.ipv4).collect();
    assert_eq!(addresses.len(), 254);
    assert!(addresses.iter().all(|address| roster.subnet().contains(*address)));
    let join = mesh.joining(invite, 301, "full");
    assert_eq!(roster.check_join(&join, at(900)), Err(Refusal::Full(254)));
}

#[test]
fn a_member_that_joined_earlier_keeps_its_address() {
    // Two devices whose first addresses collide in a small network.
    let subnet = Mesh::small().log().roster().subnet();
    let first = |number| identity::ipv4(&subnet, &id(number), 0).unwrap();
    let other = (2..200).find(|number| first(*number) == first(1) && first(1) != first(0)).unwrap();
    for order in [[1, other], [other, 1]] {
        let mut mesh = Mesh::small();
        let invite = mesh.invite(0, 9);
        mesh.join(0, invite, order[0], 10);
        mesh.join(0, invite, order[1], 20);
        let log = mesh.log();
        assert_eq!(log.roster().member(&id(order[0])).unwrap().ipv4, first(1));
        assert_ne!(log.roster().member(&id(order[1])).unwrap().ipv4, first(1));
    }
}

#[test]
fn nobody_takes_over_the_wireguard_key_of_another() {
    let mut mesh = Mesh::of_members(2);
    let stolen = device(2).wireguard_public(&mesh.id, 0);
    let device = Device { name: None, wireguard: stolen, epoch: 1, relay: false, exit: false };
    mesh.say(1, Body::Device(device), 60);
    let log = mesh.log();
    assert!(log.roster().is_member(&id(2)) && !log.roster().is_member(&id(1)));
    assert_eq!(log.roster().suspended()[&id(1)], Suspension::WireGuardKeyOf(id(2)));
    mesh.describe(1, "honest", 2);
    assert!(mesh.is_member(1));
}

#[test]
fn own_devices_share_an_owner_and_guests_have_their_own() {
    let mut mesh = Mesh::of_members(1);
    let guest = mesh.invite_to(0, 1, Relation::Guest);
    mesh.join(0, guest, 2, 30);
    let log = mesh.log();
    let relation = |a, b| log.roster().relation(&id(a), &id(b));
    assert_eq!(relation(0, 1), Relation::Own);
    assert_eq!(relation(0, 2), Relation::Guest);
    assert_eq!(relation(1, 2), Relation::Guest);
    assert_eq!(relation(1, 50), Relation::Guest);
}

#[test]
fn a_member_is_refused_as_a_newcomer() {
    let mut mesh = Mesh::of_members(1);
    let invite = mesh.invite(0, 1);
    let join = mesh.joining(invite, 1, "again");
    assert_eq!(mesh.log().roster().check_join(&join, at(50)), Err(Refusal::AlreadyMember));
}

#[test]
fn records_of_another_mesh_stay_out() {
    let mesh = Mesh::of_members(1);
    let other = Mesh::small();
    let extended = mesh.log().extended(other.records);
    assert!(extended.added.is_empty());
    assert!(extended.refused.iter().all(|(_, error)| *error == LogError::ForeignMesh));
}

#[test]
fn one_sequence_number_given_twice_is_noticed() {
    let mut mesh = Mesh::of_members(1);
    assert!(mesh.log().roster().equivocations().is_empty());
    let invite = mesh.records[2].record().clone();
    let Body::Invite(body) = &invite.body else { panic!("the third record is the invite") };
    let mut twin = body.clone();
    twin.uses = 99;
    let twin = Record { body: Body::Invite(twin), ..invite.clone() };
    mesh.records.push(Verified::sign(twin, &device(0)).unwrap());
    let log = mesh.log();
    assert!(log.roster().equivocations()[&id(0)].contains(&invite.sequence));
    assert_eq!(mesh.members(), [0, 1]);
}

#[test]
fn the_log_takes_a_record_only_after_what_it_builds_on() {
    let mut mesh = Mesh::of_members(1);
    let appointment = mesh.appoint(0, 1);
    mesh.invite(1, 1);
    let [genesis, rest @ ..] = mesh.records.as_slice() else { panic!("a mesh has a founder") };
    for record in rest {
        let extended = Log::new(mesh.id).extended(vec![record.clone()]);
        assert!(matches!(extended.refused.as_slice(), [(_, LogError::Unanchored)]));
    }
    // Without the invite its Join stays out, without the appointment what is said under it.
    let without = |id| mesh.records.iter().filter(move |record| record.id() != id).cloned().collect();
    let invite = mesh.records[2].id();
    assert_eq!(Log::from_records(mesh.id, without(invite)).len(), mesh.records.len() - 2);
    assert_eq!(Log::from_records(mesh.id, without(appointment)).len(), mesh.records.len() - 2);
    assert_eq!(Log::from_records(mesh.id, without(genesis.id())).len(), 0);
    let log = mesh.log();
    assert_eq!(
        log.in_order(mesh.records.iter().rev().map(Verified::id)),
        log.records().map(Verified::id).collect::<Vec<_>>()
    );
}
