//! Any history: after each step everybody sees what the reference says follows from what it knows, and in the end all agree.

use proptest::prelude::*;
use warren_sim::Random;
use warren_sim::membership::{Transition, World, invariants};

const PEOPLE: usize = 7;

fn transition() -> impl Strategy<Value = Transition> {
    let person = || 0..PEOPLE;
    let invite = || 0..4_usize;
    prop_oneof![
        2 => (1..4_u32, 30..400_u64).prop_map(|(uses, seconds)| Transition::Invite { uses, seconds }),
        8 => (person(), invite(), person())
            .prop_map(|(person, invite, witness)| Transition::Join { person, invite, witness }),
        2 => (person(), invite(), person(), 0..100_u64, any::<bool>()).prop_map(
            |(person, invite, witness, ago, equivocates)| {
                Transition::CheatingJoin { person, invite, witness, ago, equivocates }
            }
        ),
        1 => invite().prop_map(|invite| Transition::Revoke { invite }),
        1 => person().prop_map(|person| Transition::Remove { person }),
        1 => person().prop_map(|person| Transition::Leave { person }),
        1 => (person(), person()).prop_map(|(by, person)| Transition::ForgedRemoval { by, person }),
        6 => (person(), person()).prop_map(|(a, b)| Transition::Exchange(a, b)),
        1 => Just(Transition::Gossip),
        3 => (person(), 0..2_u8).prop_map(|(person, side)| Transition::Side(person, side)),
        1 => (0..50_u8).prop_map(Transition::Loss),
        1 => person().prop_map(Transition::Restart),
        1 => person().prop_map(Transition::OldCopy),
        1 => (0..60_u64).prop_map(Transition::Wait),
    ]
}

fn live(seed: u64, history: &[Transition]) -> Result<(), String> {
    let mut world = World::new(PEOPLE, seed);
    world.apply(&Transition::Invite { uses: 3, seconds: 300 });
    for (step, transition) in history.iter().enumerate() {
        world.apply(transition);
        invariants::check(&world).map_err(|what| format!("after step {step}, {transition:?}: {what}"))?;
    }
    world.heal();
    world.gossip();
    invariants::check(&world)?;
    invariants::converged(&world)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn everybody_sees_what_follows_and_all_agree_in_the_end(
        seed: u64,
        history in prop::collection::vec(transition(), 0..80),
    ) {
        if let Err(what) = live(seed, &history) {
            return Err(TestCaseError::fail(what));
        }
    }
}

#[test]
fn long_histories_from_fixed_seeds_hold_too() {
    for seed in 0..6 {
        let mut random = Random::new(seed);
        let mut pick = |bound: usize| random.below(bound);
        let history: Vec<Transition> = (0..250)
            .map(|_| match pick(12) {
                0 => Transition::Invite { uses: pick(3) as u32 + 1, seconds: 100 + pick(900) as u64 },
                1 => Transition::CheatingJoin {
                    person: pick(PEOPLE),
                    invite: pick(20),
                    witness: pick(PEOPLE),
                    ago: pick(500) as u64,
                    equivocates: pick(2) == 0,
                },
                2 => Transition::Side(pick(PEOPLE), pick(2) as u8),
                3 => Transition::Revoke { invite: pick(20) },
                4 if pick(4) == 0 => Transition::Remove { person: pick(PEOPLE) },
                5 => Transition::Restart(pick(PEOPLE)),
                6 => Transition::Gossip,
                7 | 8 => Transition::Exchange(pick(PEOPLE), pick(PEOPLE)),
                _ => Transition::Join { person: pick(PEOPLE), invite: pick(20), witness: pick(PEOPLE) },
            })
            .collect();
        live(seed, &history).expect("holds");
    }
}
