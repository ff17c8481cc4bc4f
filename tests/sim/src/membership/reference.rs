//! Who should be a member, told as simply as possible: only the founder invites and removes.
//!
//! The reference is given the facts that somebody knows, in any order, and says who the members are. It knows nothing of
//! signatures, logs, levels of admins or exchange; it was written from the rules of the design, not from the code.

use std::collections::{BTreeMap, BTreeSet};

use warren_p2p::record::RecordId;

/// Something that was said about membership. People are numbers, the founder is 0.
#[derive(Clone, Debug)]
pub struct Fact {
    /// The record that says it.
    pub record: RecordId,
    /// What it says.
    pub said: Said,
}

/// What a record says.
#[derive(Clone, Debug)]
pub enum Said {
    /// The founder lets so many people in until then.
    Invited {
        /// How many.
        uses: u32,
        /// The last moment.
        not_after: u64,
    },
    /// A member let somebody in.
    Joined {
        /// By this invite.
        invite: RecordId,
        /// Who.
        person: usize,
        /// By whom.
        witness: usize,
        /// When, by the witness' word.
        at: u64,
    },
    /// The founder took an invite back, but for these Joins.
    Revoked {
        /// Which.
        invite: RecordId,
        /// What stays.
        keeps: BTreeSet<RecordId>,
    },
    /// Somebody is out: the founder says so, or the person itself.
    Removed {
        /// Who.
        person: usize,
        /// Who says so.
        by: usize,
        /// Which of the Joins it witnessed stay.
        keeps: BTreeSet<RecordId>,
    },
}

/// What follows from facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Who is in.
    pub members: BTreeSet<usize>,
    /// Who used each invite, in order.
    pub used_by: BTreeMap<RecordId, Vec<usize>>,
}

/// Who is in, by these facts, in a mesh founded at `founded`.
#[must_use]
pub fn outcome(facts: &[&Fact], founded: u64) -> Outcome {
    let removed: BTreeSet<usize> = facts
        .iter()
        .filter_map(|fact| match &fact.said {
            Said::Removed { person, .. } => Some(*person),
            Said::Invited { .. } | Said::Joined { .. } | Said::Revoked { .. } => None,
        })
        .collect();
    let mut joined: BTreeMap<usize, u64> = BTreeMap::from([(0, founded)]);
    let mut used_by: BTreeMap<RecordId, Vec<usize>> = BTreeMap::new();
    let mut joins: Vec<(u64, RecordId, RecordId, usize, usize)> = Vec::new();
    for fact in facts {
        match &fact.said {
            Said::Joined { invite, person, witness, at } => {
                joins.push((*at, fact.record, *invite, *person, *witness))
            }
            Said::Invited { .. } => {
                used_by.entry(fact.record).or_default();
            }
            Said::Revoked { .. } | Said::Removed { .. } => {}
        }
    }
    joins.sort_unstable();
    for (at, record, invite, person, witness) in joins {
        let Some((uses, not_after)) = terms(facts, invite) else { continue };
        let users = used_by.entry(invite).or_default();
        let may = at <= not_after
            && joined.get(&witness).is_some_and(|since| at > *since)
            && !joined.contains_key(&person)
            && users.len() < uses as usize
            && !facts.iter().any(|fact| voids(&fact.said, record, invite, witness));
        if may {
            users.push(person);
            joined.insert(person, at);
        }
    }
    let members = joined.into_keys().filter(|person| !removed.contains(person)).collect();
    Outcome { members, used_by }
}

fn terms(facts: &[&Fact], invite: RecordId) -> Option<(u32, u64)> {
    facts.iter().find_map(|fact| match &fact.said {
        Said::Invited { uses, not_after } if fact.record == invite => Some((*uses, *not_after)),
        Said::Invited { .. } | Said::Joined { .. } | Said::Revoked { .. } | Said::Removed { .. } => None,
    })
}

/// Whether somebody with the right to it says that this Join is void.
fn voids(said: &Said, join: RecordId, by_invite: RecordId, witness: usize) -> bool {
    match said {
        Said::Revoked { invite, keeps } => *invite == by_invite && !keeps.contains(&join),
        Said::Removed { person, by, keeps } => *by == 0 && *person == witness && !keeps.contains(&join),
        Said::Invited { .. } | Said::Joined { .. } => false,
    }
}
