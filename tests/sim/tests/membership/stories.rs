//! Stories with a known end.

use std::collections::BTreeSet;

use warren_p2p::membership::Refusal;
use warren_sim::membership::{Transition, World, invariants};

fn holds(world: &World) {
    invariants::check(world).expect("the invariants hold");
}

fn agreed(world: &mut World) {
    world.heal();
    world.gossip();
    holds(world);
    invariants::converged(world).expect("everybody agrees");
}

/// The members, as the founder sees them.
fn members(world: &World) -> BTreeSet<usize> {
    let log = world.people[0].log.as_ref().expect("the founder");
    (0..world.people.len())
        .filter(|n| log.roster().is_member(&world.people[*n].identity.device_id()))
        .collect()
}

#[test]
fn any_member_lets_a_newcomer_in_while_the_founder_is_away() {
    let mut world = World::new(3, 1);
    world.invite(2, 3600);
    world.join(1, 0, 0).expect("let in by the founder");
    world.people[0].side = 1;
    world.join(2, 0, 1).expect("let in by a member");
    world.gossip();
    assert_eq!(members(&world), BTreeSet::from([0, 1]), "the founder has not heard of it");
    agreed(&mut world);
    assert_eq!(members(&world), BTreeSet::from([0, 1, 2]));
}

#[test]
fn a_single_use_invite_used_in_two_partitions_admits_the_earlier() {
    let mut world = World::new(4, 2);
    world.invite(1, 3600);
    world.join(1, 0, 0).expect("let in");
    world.invite(1, 3600);
    world.gossip();
    // The clock of each witness decides: make them agree.
    world.people.iter_mut().for_each(|person| person.clock = 0);
    world.apply(&Transition::Side(1, 1));
    world.people[3].side = 1;
    world.join(2, 1, 0).expect("free on this side");
    world.apply(&Transition::Wait(10));
    world.join(3, 1, 1).expect("free on that side");
    agreed(&mut world);
    assert_eq!(members(&world), BTreeSet::from([0, 1, 2]));
    assert!(world.is_member(3), "the loser does not know yet: nobody talks to it");
    assert!(!world.are_connected(0, 3));
}

#[test]
fn a_used_up_expired_or_revoked_invite_is_refused_with_its_reason() {
    let mut world = World::new(5, 3);
    world.people.iter_mut().for_each(|person| person.clock = 0);
    world.invite(1, 3600);
    world.join(1, 0, 0).expect("let in");
    assert!(matches!(world.join(2, 0, 0), Err(Some(Refusal::UsedUp { uses: 1 }))));
    world.invite(1, 60);
    world.apply(&Transition::Wait(120));
    assert!(matches!(world.join(2, 1, 0), Err(Some(Refusal::Expired { .. }))));
    world.invite(1, 3600);
    world.apply(&Transition::Revoke { invite: 2 });
    assert!(matches!(world.join(2, 2, 0), Err(Some(Refusal::Revoked))));
    world.invite(1, 3600);
    assert!(
        matches!(world.join(2, 3, 1), Err(Some(Refusal::UnknownInvite))),
        "that member has not heard of it"
    );
    holds(&world);
}

#[test]
fn a_removed_member_is_out_everywhere_once_known_and_never_returns() {
    let mut world = World::new(5, 4);
    world.invite(9, 3600);
    for person in 1..5 {
        world.join(person, 0, 0).expect("let in");
    }
    world.gossip();
    world.apply(&Transition::Remove { person: 3 });
    world.gossip();
    assert_eq!(members(&world), BTreeSet::from([0, 1, 2, 4]));
    assert!((0..5).filter(|n| *n != 3).all(|n| !world.are_connected(n, 3)));
    // It tries by the code that is still good, with its old key, and through a friend who cheats.
    world.people[3].log = None;
    assert!(matches!(world.join(3, 0, 1), Err(Some(Refusal::Removed))));
    world.apply(&Transition::CheatingJoin { person: 3, invite: 0, witness: 2, ago: 0, equivocates: false });
    world.apply(&Transition::OldCopy(4));
    agreed(&mut world);
    assert_eq!(members(&world), BTreeSet::from([0, 1, 2, 4]));
}

#[test]
fn an_old_copy_does_not_bring_a_banned_member_back() {
    let mut world = World::new(4, 5);
    world.invite(9, 3600);
    for person in 1..4 {
        world.join(person, 0, 0).expect("let in");
    }
    world.gossip();
    world.apply(&Transition::Remove { person: 3 });
    world.gossip();
    world.apply(&Transition::OldCopy(1));
    world.apply(&Transition::OldCopy(0));
    world.apply(&Transition::Exchange(0, 1));
    agreed(&mut world);
    assert!(!members(&world).contains(&3), "another member remembered");
}

#[test]
fn a_witness_that_oversells_an_invite_gains_nothing() {
    let mut world = World::new(6, 6);
    world.people.iter_mut().for_each(|person| person.clock = 0);
    world.invite(2, 3600);
    world.join(1, 0, 0).expect("let in");
    world.join(2, 0, 0).expect("let in");
    world.gossip();
    for person in 3..6 {
        world.apply(&Transition::CheatingJoin {
            person,
            invite: 0,
            witness: 1,
            ago: 0,
            equivocates: person == 5,
        });
    }
    agreed(&mut world);
    assert_eq!(members(&world), BTreeSet::from([0, 1, 2]));
}

#[test]
fn an_equivocation_is_seen_and_changes_nothing() {
    let mut world = World::new(5, 7);
    world.invite(9, 3600);
    world.join(1, 0, 0).expect("let in");
    world.gossip();
    for person in [2, 3] {
        world.apply(&Transition::CheatingJoin { person, invite: 0, witness: 1, ago: 0, equivocates: true });
    }
    agreed(&mut world);
    let log = world.people[0].log.as_ref().expect("the founder");
    assert!(log.roster().equivocations().contains_key(&world.people[1].identity.device_id()));
    assert_eq!(members(&world), BTreeSet::from([0, 1, 2, 3]), "each record is judged by itself");
}

#[test]
fn forty_members_in_two_halves_agree_after_a_few_meetings() {
    let mut world = World::new(40, 8);
    world.invite(100, 360_000);
    for person in 1..40 {
        world.join(person, 0, (person - 1) / 2).expect("let in by a member");
    }
    for person in 20..40 {
        world.people[person].side = 1;
    }
    // On each side everybody tells the next one only, twice around.
    for _ in 0..2 {
        for person in 0..40 {
            world.exchange(person, (person + 1) % 40);
        }
    }
    agreed(&mut world);
    assert_eq!(members(&world).len(), 40);
}
