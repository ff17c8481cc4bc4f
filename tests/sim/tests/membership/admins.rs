//! Several admins act at once: no reference, but what must hold whoever may do what.

use proptest::prelude::*;
use warren_p2p::membership::{Log, Roster};
use warren_p2p::record::{Body, RecordId};
use warren_sim::membership::{World, invariants};

const PEOPLE: usize = 6;

#[derive(Clone, Debug)]
enum Act {
    Appoint(usize, usize),
    Dismiss(usize, usize),
    Remove(usize, usize),
    Revoke(usize, usize),
    Exchange(usize, usize),
    Side(usize, u8),
}

fn act() -> impl Strategy<Value = Act> {
    let person = || 0..PEOPLE;
    prop_oneof![
        3 => (person(), person()).prop_map(|(by, whom)| Act::Appoint(by, whom)),
        1 => (person(), person()).prop_map(|(by, whom)| Act::Dismiss(by, whom)),
        1 => (person(), person()).prop_map(|(by, whom)| Act::Remove(by, whom)),
        1 => (person(), 0..2_usize).prop_map(|(by, invite)| Act::Revoke(by, invite)),
        4 => (person(), person()).prop_map(|(a, b)| Act::Exchange(a, b)),
        2 => (person(), 0..2_u8).prop_map(|(person, side)| Act::Side(person, side)),
    ]
}

/// Adds what `by` says to its own log, if the roster it has lets it.
fn say(world: &mut World, by: usize, make: impl FnOnce(&Roster) -> Option<Body>) {
    let now = world.time_of(by);
    let person = &mut world.people[by];
    let Some(log) = &person.log else { return };
    let Some(body) = make(log.roster()) else { return };
    let record = log.compose(&person.identity, body, now).expect("a record that may be said");
    person.log = Some(log.extended(vec![record]).log);
}

fn perform(world: &mut World, act: &Act) {
    let ids: Vec<_> = world.people.iter().map(|person| person.identity.device_id()).collect();
    match *act {
        Act::Appoint(by, whom) => say(world, by, |roster| roster.appoint_admin(&ids[by], &ids[whom]).ok()),
        Act::Dismiss(by, whom) => say(world, by, |roster| roster.dismiss_admin(&ids[by], &ids[whom]).ok()),
        Act::Remove(by, whom) => say(world, by, |roster| roster.remove_device(&ids[by], &ids[whom]).ok()),
        Act::Revoke(by, invite) => {
            let invite: RecordId = world.invites[invite].record;
            say(world, by, |roster| roster.revoke_invite(&ids[by], &invite).ok());
        }
        Act::Exchange(a, b) => drop(world.exchange(a, b)),
        Act::Side(person, side) => world.people[person].side = side,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn admins_at_cross_purposes_end_in_one_view(seed: u64, acts in prop::collection::vec(act(), 0..60)) {
        let mut world = World::new(PEOPLE, seed);
        world.invite(3, 36_000);
        world.invite(9, 36_000);
        for person in 1..PEOPLE {
            world.join(person, usize::from(person > 3), 0).expect("let in");
        }
        world.gossip();
        for act in &acts {
            perform(&mut world, act);
            for person in &world.people {
                let Some(log) = &person.log else { continue };
                prop_assert_eq!(invariants::sane(log.roster()), Ok(()));
            }
        }
        world.heal();
        world.gossip();
        prop_assert_eq!(invariants::converged(&world), Ok(()));
        for person in &world.people {
            let Some(log) = &person.log else { continue };
            let backwards: Vec<_> = log.records().cloned().collect::<Vec<_>>().into_iter().rev().collect();
            let again = Log::from_records(log.mesh(), backwards);
            prop_assert_eq!(again.roster(), log.roster(), "a fold of the records, whatever their order");
        }
    }
}
