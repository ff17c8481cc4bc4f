//! Members: real logs that exchange records under partitions, with honest and cheating people behind them.
//!
//! A [`World`] holds everybody who will ever be a member. The first of them founds the mesh. Each step is a
//! [`Transition`]; what cannot be done in the present state is done by nobody and changes nothing. After each step
//! [`invariants::check`] compares every log with [`mod@reference`], which is told who said what but knows no log.
//!
//! Who connects to whom follows the gate of the real swarm: both must see the other as a member, and be on the same side
//! of the partition.

mod exchange;
pub mod invariants;
pub mod reference;
mod transition;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use reference::Fact;
pub use transition::Transition;
use warren_p2p::identity::{Identity, Subnet};
use warren_p2p::invite::InviteCode;
use warren_p2p::membership::{Log, Sync};
use warren_p2p::record::{Founding, Name, Os, Record, RecordId, Timestamp, Verified, found};

use crate::{Random, epoch};

/// Somebody who is, was or will be a member.
pub struct Person {
    /// The device's key.
    pub identity: Identity,
    /// What it knows; nothing before it joined.
    pub log: Option<Log>,
    /// The exchange with others.
    pub sync: Sync,
    /// People on different sides do not reach each other.
    pub side: u8,
    /// Its clock is ahead by so many milliseconds.
    pub clock: u64,
}

/// An invite as its maker handed it out.
pub struct HandedOut {
    /// The code.
    pub code: InviteCode,
    /// The record it names.
    pub record: RecordId,
}

/// Everybody, and what was ever said.
pub struct World {
    /// The people; the founder is the first.
    pub people: Vec<Person>,
    /// The invites, in the order they were made.
    pub invites: Vec<HandedOut>,
    /// What was ever said, in terms of the reference.
    pub facts: Vec<Fact>,
    /// Those who signed two records with one sequence number.
    pub equivocators: BTreeSet<usize>,
    /// Messages lost in an exchange, in percent.
    pub loss: u8,
    random: Random,
    wall: u64,
    now: Instant,
}

impl World {
    /// A mesh just founded, and people who may join it.
    #[must_use]
    pub fn new(people: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut people: Vec<Person> = (0..people)
            .map(|_| Person {
                identity: Identity::generate(random.bytes()),
                log: None,
                sync: Sync::new(),
                side: 0,
                clock: random.below(20_000) as u64,
            })
            .collect();
        let wall = 1_800_000_000_000;
        let founding = Founding {
            mesh_name: name("home"),
            subnet: Subnet::DEFAULT,
            name: name("founder"),
            os: "Linux".parse::<Os>().expect("a system"),
            nonce: [7; 16],
        };
        let (mesh, records) =
            found(&people[0].identity, founding, Timestamp::from_millis(wall)).expect("a founding");
        people[0].log = Some(Log::from_records(mesh, records.to_vec()));
        Self {
            people,
            invites: Vec::new(),
            facts: Vec::new(),
            equivocators: BTreeSet::new(),
            loss: 0,
            random,
            wall,
            now: epoch(),
        }
    }

    /// Whether a person sees itself as a member.
    #[must_use]
    pub fn is_member(&self, person: usize) -> bool {
        let person = &self.people[person];
        person.log.as_ref().is_some_and(|log| log.roster().is_member(&person.identity.device_id()))
    }

    /// Whether two people would keep a connection.
    #[must_use]
    pub fn are_connected(&self, a: usize, b: usize) -> bool {
        let sees = |a: &Person, b: &Person| {
            a.log.as_ref().is_some_and(|log| log.roster().is_member(&b.identity.device_id()))
        };
        let (a, b) = (&self.people[a], &self.people[b]);
        a.side == b.side && sees(a, b) && sees(b, a)
    }

    /// What time a person believes it is.
    #[must_use]
    pub fn time_of(&self, person: usize) -> Timestamp {
        Timestamp::from_millis(self.wall + self.people[person].clock)
    }

    /// Adds to a person's log, as a node does with what it said itself.
    fn publish(&mut self, person: usize, record: &Verified<Record>) {
        if let Some(log) = &self.people[person].log {
            self.people[person].log = Some(log.extended(vec![record.clone()]).log);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.wall += time.as_millis() as u64;
        self.now += time;
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}
