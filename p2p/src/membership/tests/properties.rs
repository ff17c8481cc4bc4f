//! What holds for any history, in any order, with any lies in it.
#![expect(clippy::disallowed_methods, reason = "an instant to count from; none of it passes by itself")]

use std::collections::BTreeSet;
use std::time::Instant;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::fixture::{Mesh, id, removal};
use super::super::{Log, Roster};
use super::exchange::{Node, exchange};
use crate::record::{Admin, Body, Record, RecordId, Relation, Subject, Verified};

/// How many devices play.
const DEVICES: u32 = 8;

/// Something said by somebody, allowed or not. Indexes choose among what was said before.
#[derive(Debug, Clone)]
enum Step {
    Invite { by: u32, uses: u32, guest: bool },
    Join { witness: u32, invite: Index, newcomer: u32, at: u64 },
    Describe { by: u32, name: u8, epoch: u32 },
    Appoint { by: u32, device: u32, honest: bool, authority: Index },
    Dismiss { by: u32, device: u32, appointments: Vec<Index>, keeps: Vec<Index> },
    Remove { by: u32, device: u32, keeps: Vec<Index> },
    HonestRemove { by: u32, device: u32 },
    Revoke { by: u32, invite: Index, keeps: Vec<Index> },
}

fn step() -> impl Strategy<Value = Step> {
    let device = || 0..DEVICES;
    let index = any::<Index>;
    let some = || prop::collection::vec(any::<Index>(), 0..6);
    prop_oneof![
        2 => (device(), 1..3_u32, any::<bool>()).prop_map(|(by, uses, guest)| Step::Invite { by, uses, guest }),
        6 => (device(), index(), device(), 0..200_u64)
            .prop_map(|(witness, invite, newcomer, at)| Step::Join { witness, invite, newcomer, at }),
        2 => (device(), 0..3_u8, 0..2_u32).prop_map(|(by, name, epoch)| Step::Describe { by, name, epoch }),
        3 => (device(), device(), prop::bool::weighted(0.8), index())
            .prop_map(|(by, device, honest, authority)| Step::Appoint { by, device, honest, authority }),
        1 => (device(), device(), some(), some())
            .prop_map(|(by, device, appointments, keeps)| Step::Dismiss { by, device, appointments, keeps }),
        1 => (device(), device(), some()).prop_map(|(by, device, keeps)| Step::Remove { by, device, keeps }),
        2 => (device(), device()).prop_map(|(by, device)| Step::HonestRemove { by, device }),
        1 => (device(), index(), some()).prop_map(|(by, invite, keeps)| Step::Revoke { by, invite, keeps }),
    ]
}

fn chosen(mesh: &Mesh, indexes: &[Index]) -> Vec<RecordId> {
    let ids: BTreeSet<_> = indexes.iter().map(|index| index.get(&mesh.records).id()).collect();
    ids.into_iter().collect()
}

fn history(steps: &[Step]) -> Mesh {
    let mut mesh = Mesh::new();
    let mut invites = vec![mesh.invite(0, 3)];
    mesh.join(0, invites[0], 1, 1);
    for step in steps {
        match step {
            Step::Invite { by, uses, guest } => {
                let relation = if *guest { Relation::Guest } else { Relation::Own };
                invites.push(mesh.invite_to(*by, *uses, relation));
            }
            Step::Join { witness, newcomer, .. } if witness == newcomer => {}
            Step::Join { witness, invite, newcomer, at } => {
                mesh.join(*witness, *invite.get(&invites), *newcomer, *at);
            }
            Step::Describe { by, name, epoch } => {
                mesh.describe(*by, &format!("name{name}"), *epoch);
            }
            Step::Appoint { by, device, .. } if by == device => {}
            Step::Appoint { by, device, honest: true, .. } => {
                mesh.appoint(*by, *device);
            }
            Step::Appoint { by, device, authority, .. } => {
                let authority = Some(authority.get(&mesh.records).id());
                mesh.say_under(*by, authority, Body::Admin(Admin::Appoint { device: id(*device) }), 100);
            }
            Step::Dismiss { by, device, appointments, keeps } => {
                let (appointments, keeps) = (chosen(&mesh, appointments), chosen(&mesh, keeps));
                mesh.say(*by, Body::Admin(Admin::Dismiss { device: id(*device), appointments, keeps }), 100);
            }
            Step::Remove { by, device, keeps } => {
                let keeps = chosen(&mesh, keeps);
                mesh.remove_keeping(*by, *device, &keeps);
            }
            Step::HonestRemove { by, device } => {
                if let Ok(body) = mesh.log().roster().remove_device(&id(*by), &id(*device)) {
                    mesh.say(*by, body, 200);
                }
            }
            Step::Revoke { by, invite, keeps } => {
                let keeps = chosen(&mesh, keeps);
                mesh.say(*by, removal(Subject::Invite(invite.get(&invites).1), &keeps), 150);
            }
        }
    }
    mesh
}

fn histories() -> impl Strategy<Value = Mesh> {
    prop::collection::vec(step(), 0..24).prop_map(|steps| history(&steps))
}

fn fold(mesh: &Mesh, records: &[Verified<Record>]) -> Roster {
    Roster::fold(mesh.id, records.iter())
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.records).finish()
    }
}

fn check_invariants(roster: &Roster) {
    for state in roster.invites().values() {
        assert!(state.used_by.len() <= state.invite.uses as usize);
        let distinct: BTreeSet<_> = state.used_by.iter().collect();
        assert_eq!(distinct.len(), state.used_by.len());
    }
    let members = roster.members();
    assert!(members.keys().all(|device| !roster.removed().contains_key(device)));
    assert!(members.keys().all(|device| !roster.suspended().contains_key(device)));
    let names: BTreeSet<_> = members.values().map(|member| &member.name).collect();
    let addresses: BTreeSet<_> = members.values().map(|member| member.ipv4).collect();
    let keys: BTreeSet<_> = members.values().map(|member| member.wireguard).collect();
    assert_eq!([names.len(), addresses.len(), keys.len()], [members.len(); 3]);
    for member in members.values().filter(|member| member.id != id(0)) {
        assert!(member.joined_at > roster.joined[&member.witness].at);
        let invite = &roster.invites()[&member.invite.unwrap()];
        assert!(invite.used_by.contains(&member.id) && member.joined_at <= invite.invite.not_after);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_repetition_gives_the_same_roster(
        (mesh, shuffled) in histories().prop_flat_map(|mesh| {
            let twice: Vec<_> = mesh.records.iter().chain(&mesh.records).cloned().collect();
            (Just(mesh), Just(twice).prop_shuffle())
        }),
    ) {
        let roster = fold(&mesh, &mesh.records);
        prop_assert_eq!(&fold(&mesh, &shuffled), &roster);
        let (ordered, mixed) = (mesh.log(), Log::from_records(mesh.id, shuffled));
        prop_assert_eq!(ordered.digest(), mixed.digest());
        prop_assert_eq!(ordered.roster(), mixed.roster());
        check_invariants(&roster);
    }

    #[test]
    fn partitions_that_meet_agree(mesh in histories(), sides in prop::collection::vec(0..3_u8, 64)) {
        // 0: both sides have it; 1 and 2: only one has.
        let side = |mine: u8| {
            let here = |index: usize| index < 2 || sides.get(index).is_none_or(|side| *side == 0 || *side == mine);
            let records = mesh.records.iter().enumerate().filter(|(index, _)| here(*index));
            Node::new(Log::from_records(mesh.id, records.map(|(_, record)| record.clone()).collect()))
        };
        let (mut left, mut right) = (side(1), side(2));
        exchange(&mut left, &mut right, Instant::now());
        prop_assert_eq!(left.log.digest(), right.log.digest());
        prop_assert_eq!(left.log.roster(), right.log.roster());
        check_invariants(left.log.roster());
    }

    #[test]
    fn no_forged_or_spliced_record_is_accepted(
        mesh in histories(),
        which in any::<(Index, Index)>(),
        bit in any::<Index>(),
    ) {
        let (one, other) = (which.0.get(&mesh.records), which.1.get(&mesh.records));
        let mut flipped = one.bytes().to_vec();
        let bit = bit.index(flipped.len() * 8);
        flipped[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Verified::<Record>::from_bytes(&flipped).is_err());
        if one != other {
            let mut spliced = one.bytes().to_vec();
            let signature = spliced.len() - 64;
            spliced[signature..].copy_from_slice(&other.bytes()[other.bytes().len() - 64..]);
            prop_assert!(Verified::<Record>::from_bytes(&spliced).is_err());
        }
    }

    #[test]
    fn whom_the_founder_removed_and_who_left_stays_out_whatever_follows(
        mesh in histories(),
        device in 1..DEVICES,
        leaves in any::<bool>(),
        later in prop::collection::vec(step(), 0..12),
    ) {
        let mut mesh = mesh;
        prop_assume!(!mesh.log().roster().removed().contains_key(&id(0)));
        mesh.remove_keeping(if leaves { device } else { 0 }, device, &[]);
        let admin_then = mesh.log().roster().is_admin(&id(device));
        prop_assert!(!mesh.is_member(device) && !admin_then);
        let mut more = history(&later);
        // Founder's own leaving ends its power; that case is another.
        more.records.retain(|record| {
            !matches!(&record.record().body, Body::Removal(removal) if removal.subject == Subject::Device(id(0)))
        });
        mesh.records.append(&mut more.records);
        prop_assert!(!mesh.is_member(device));
    }

    #[test]
    fn what_plain_members_say_removes_nobody(mesh in histories(), by in 1..DEVICES, victim in 0..DEVICES) {
        let mut mesh = mesh;
        prop_assume!(by != victim && !mesh.log().roster().is_admin(&id(by)));
        let before = mesh.members();
        mesh.remove_keeping(by, victim, &[]);
        mesh.say(by, removal(Subject::Invite(mesh.records[2].id()), &[]), 300);
        prop_assert_eq!(mesh.members(), before);
    }
}
