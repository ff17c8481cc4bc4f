//! Who may do what to whom.

use super::super::Refusal;
use super::super::fixture::{Mesh, id, removal};
use crate::limits::ADMIN_LEVELS;
use crate::record::{Admin, Body, RecordId, Subject};

fn dismissal(appointments: &[RecordId], device: u32, keeps: &[RecordId]) -> Body {
    let (mut appointments, mut keeps) = (appointments.to_vec(), keeps.to_vec());
    appointments.sort_unstable();
    keeps.sort_unstable();
    Body::Admin(Admin::Dismiss { device: id(device), appointments, keeps })
}

#[test]
fn only_admins_invite_and_remove() {
    let mut mesh = Mesh::of_members(3);
    let invite = mesh.invite(1, 1);
    mesh.join(0, invite, 9, 90);
    mesh.remove_keeping(1, 2, &[]);
    assert_eq!(mesh.members(), [0, 1, 2, 3]);
    assert_eq!(mesh.log().roster().remove_device(&id(1), &id(2)), Err(Refusal::NotAllowed));
    mesh.appoint(0, 1);
    let invite = mesh.invite(1, 1);
    mesh.join(0, invite, 10, 90);
    mesh.remove(1, 2);
    assert_eq!(mesh.members(), [0, 1, 3, 10]);
}

#[test]
fn a_member_that_claims_an_authority_of_another_says_nothing() {
    let mut mesh = Mesh::of_members(3);
    let appointment = mesh.appoint(0, 1);
    mesh.say_under(2, Some(appointment), removal(Subject::Device(id(3)), &[]), 200);
    mesh.say_under(2, None, removal(Subject::Device(id(3)), &[]), 200);
    assert_eq!(mesh.members(), [0, 1, 2, 3]);
}

#[test]
fn two_admins_of_one_level_cannot_remove_each_other() {
    let mut mesh = Mesh::of_members(2);
    mesh.appoint(0, 1);
    mesh.appoint(0, 2);
    mesh.remove_keeping(1, 2, &[]);
    mesh.remove_keeping(2, 1, &[]);
    assert_eq!(mesh.members(), [0, 1, 2]);
    assert_eq!(mesh.log().roster().remove_device(&id(1), &id(2)), Err(Refusal::NotAllowed));
}

#[test]
fn nobody_removes_the_founder_or_a_superior() {
    let mut mesh = Mesh::of_members(2);
    mesh.appoint(0, 1);
    mesh.appoint(1, 2);
    for (by, victim) in [(1, 0), (2, 0), (2, 1)] {
        mesh.remove_keeping(by, victim, &[]);
    }
    assert_eq!(mesh.members(), [0, 1, 2]);
    mesh.remove(1, 2);
    assert_eq!(mesh.members(), [0, 1]);
}

#[test]
fn what_a_removed_admin_says_afterwards_is_void_and_whom_it_brought_in_stays() {
    let mut mesh = Mesh::of_members(1);
    mesh.appoint(0, 1);
    let (used, open) = (mesh.invite(1, 1), mesh.invite(1, 1));
    mesh.join(0, used, 2, 90);
    mesh.remove(0, 1);
    mesh.join(0, open, 3, 95);
    let late = mesh.invite(1, 1);
    mesh.join(0, late, 4, 96);
    assert_eq!(mesh.members(), [0, 2]);
    let log = mesh.log();
    assert_eq!(log.roster().check_invite(&open.1, super::super::fixture::at(99)), Err(Refusal::Revoked));
}

#[test]
fn a_dismissed_admin_stays_a_member_and_its_later_records_are_void() {
    let mut mesh = Mesh::of_members(3);
    let appointment = mesh.appoint(0, 1);
    let used = mesh.invite(1, 1);
    mesh.join(1, used, 4, 90);
    let body = mesh.log().roster().dismiss_admin(&id(0), &id(1)).unwrap();
    mesh.say(0, body, 150);
    mesh.say_under(1, Some(appointment), removal(Subject::Device(id(2)), &[]), 120);
    assert_eq!(mesh.members(), [0, 1, 2, 3, 4]);
    assert!(!mesh.log().roster().is_admin(&id(1)));
    // It goes on letting people in, as any member does.
    let invite = mesh.invite(0, 1);
    mesh.join(1, invite, 5, 160);
    assert!(mesh.is_member(5));
}

#[test]
fn an_admin_appointed_again_acts_under_the_new_appointment_only() {
    let mut mesh = Mesh::of_members(3);
    let old = mesh.appoint(0, 1);
    mesh.say(0, dismissal(&[old], 1, &[]), 150);
    mesh.appoint(0, 1);
    mesh.say_under(1, Some(old), removal(Subject::Device(id(2)), &[]), 160);
    assert!(mesh.is_member(2));
    mesh.remove(1, 3);
    assert_eq!(mesh.members(), [0, 1, 2]);
}

#[test]
fn appointments_fall_with_the_appointer_unless_they_are_kept() {
    for kept in [true, false] {
        let mut mesh = Mesh::of_members(3);
        mesh.appoint(0, 1);
        let second = mesh.appoint(1, 2);
        mesh.remove(2, 3);
        let keeps = if kept { vec![second] } else { Vec::new() };
        mesh.remove_keeping(0, 1, &keeps);
        let log = mesh.log();
        assert_eq!(log.roster().is_admin(&id(2)), kept);
        assert_eq!(
            log.roster().is_member(&id(3)),
            !kept,
            "a removal stands with the authority it was made under"
        );
    }
}

#[test]
fn several_bars_must_each_keep_what_stays() {
    let mut mesh = Mesh::of_members(2);
    mesh.appoint(0, 1);
    mesh.appoint(0, 2);
    let invite = mesh.invite(0, 1);
    let join = mesh.join(1, invite, 3, 90);
    mesh.remove_keeping(0, 1, &[join]);
    assert!(mesh.is_member(3));
    mesh.remove_keeping(0, 1, &[]);
    assert!(!mesh.is_member(3));
}

#[test]
fn an_admin_that_leaves_keeps_its_mesh_together() {
    let mut mesh = Mesh::of_members(2);
    mesh.appoint(0, 1);
    let open = mesh.invite(0, 3);
    mesh.remove(0, 0);
    assert_eq!(mesh.members(), [1, 2]);
    assert!(mesh.log().roster().is_admin(&id(1)));
    mesh.join(1, open, 3, 300);
    assert!(!mesh.is_member(3), "the leaver's open invites end");
    let invite = mesh.invite(1, 1);
    mesh.join(2, invite, 4, 300);
    assert_eq!(mesh.members(), [1, 2, 4]);
}

#[test]
fn a_removed_admin_cannot_throw_out_by_leaving_whom_its_superior_kept() {
    let mut mesh = Mesh::of_members(1);
    mesh.appoint(0, 1);
    let invite = mesh.invite(1, 1);
    mesh.join(0, invite, 2, 90);
    mesh.remove(0, 1);
    mesh.say(1, removal(Subject::Device(id(1)), &[]), 300);
    assert_eq!(mesh.members(), [0, 2]);
}

#[test]
fn an_admin_may_resign() {
    let mut mesh = Mesh::of_members(2);
    mesh.appoint(0, 1);
    let body = mesh.log().roster().dismiss_admin(&id(1), &id(1)).unwrap();
    mesh.say(1, body, 150);
    assert!(!mesh.log().roster().is_admin(&id(1)));
    assert_eq!(mesh.members(), [0, 1, 2]);
    // Nobody gives up what is another's.
    let appointment = mesh.appoint(0, 2);
    mesh.say(1, dismissal(&[appointment], 1, &[]), 160);
    assert!(mesh.log().roster().is_admin(&id(2)));
}

#[test]
fn a_junior_admin_that_revokes_a_seniors_invite_cannot_throw_out_a_senior() {
    let mut mesh = Mesh::new();
    let invite = mesh.invite(0, 5);
    for number in 1..=3 {
        mesh.join(0, invite, number, u64::from(number) * 10);
    }
    mesh.appoint(0, 1);
    mesh.appoint(1, 2);
    mesh.say(2, removal(Subject::Invite(invite.1), &[]), 200);
    // 1 and 2 are admins at least as senior as the revocation; 3 is a plain member, whom 2 may remove anyway.
    assert_eq!(mesh.members(), [0, 1, 2]);
}

#[test]
fn levels_of_admins_end_somewhere() {
    let levels = ADMIN_LEVELS + 3;
    let mut mesh = Mesh::of_members(levels);
    let mut authority = None;
    for number in 0..levels {
        let device = id(number + 1);
        authority = Some(mesh.say_under(number, authority, Body::Admin(Admin::Appoint { device }), 100));
    }
    let log = mesh.log();
    let admins = (0..=levels).filter(|number| log.roster().is_admin(&id(*number))).count();
    assert_eq!(admins as u32, ADMIN_LEVELS + 1);
}

#[test]
fn an_appointment_in_a_circle_lifts_nobody() {
    let mut mesh = Mesh::of_members(2);
    let first = mesh.appoint(0, 1);
    let second = mesh.appoint(1, 2);
    mesh.say_under(2, Some(second), Body::Admin(Admin::Appoint { device: id(1) }), 110);
    mesh.say(0, dismissal(&[first], 1, &[]), 150);
    let log = mesh.log();
    assert!(!log.roster().is_admin(&id(1)) && !log.roster().is_admin(&id(2)));
}
