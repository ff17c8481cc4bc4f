//! What can happen next, and how people do it.

use std::time::Duration;

use warren_p2p::identity::DeviceId;
use warren_p2p::invite::{InviteTerms, Issued, Joiner, Progress, Request, Wish, answer};
use warren_p2p::membership::{Log, Refusal};
use warren_p2p::record::{Body, Join, Record, RecordId, Removal, Timestamp, Verified};

use super::reference::{Fact, Said};
use super::{HandedOut, World, name};

/// A step. Numbers name people and invites, and wrap around.
#[derive(Clone, Debug)]
pub enum Transition {
    /// The founder makes an invite.
    Invite {
        /// For so many.
        uses: u32,
        /// For so long.
        seconds: u64,
    },
    /// Somebody asks a member to let it in.
    Join {
        /// Who.
        person: usize,
        /// By which invite.
        invite: usize,
        /// Whom it asks.
        witness: usize,
    },
    /// A member lets somebody in whatever the rules say, at a time of its choice.
    CheatingJoin {
        /// Who.
        person: usize,
        /// By which invite.
        invite: usize,
        /// The cheat.
        witness: usize,
        /// So many seconds ago.
        ago: u64,
        /// Under a sequence number that it used before.
        equivocates: bool,
    },
    /// The founder takes an invite back.
    Revoke {
        /// Which.
        invite: usize,
    },
    /// The founder removes somebody.
    Remove {
        /// Whom.
        person: usize,
    },
    /// Somebody leaves.
    Leave {
        /// Who.
        person: usize,
    },
    /// A member tells others that somebody was removed, though it has no right to.
    ForgedRemoval {
        /// The cheat.
        by: usize,
        /// Whom.
        person: usize,
    },
    /// Two people exchange.
    Exchange(usize, usize),
    /// Everybody who can exchanges.
    Gossip,
    /// Somebody moves to a side of the partition.
    Side(usize, u8),
    /// Exchanges lose messages.
    Loss(u8),
    /// Somebody restarts from its records, in another order.
    Restart(usize),
    /// Somebody loses the later half of what it knew: its disk was restored from an old copy.
    OldCopy(usize),
    /// Time passes.
    Wait(u64),
}

impl World {
    /// Does a step, if it can be done.
    pub fn apply(&mut self, transition: &Transition) {
        let people = self.people.len();
        let invites = self.invites.len().max(1);
        self.pass(Duration::from_secs(1));
        match *transition {
            Transition::Invite { uses, seconds } => self.invite(uses, seconds),
            Transition::Join { person, invite, witness } => {
                // Refused or not: either is checked by what follows from it.
                let _ = self.join(person % people, invite % invites, witness % people);
            }
            Transition::CheatingJoin { person, invite, witness, ago, equivocates } => {
                self.cheat(person % people, invite % invites, witness % people, ago, equivocates);
            }
            Transition::Revoke { invite } => self.revoke(invite % invites),
            Transition::Remove { person } => self.remove(0, person % people),
            Transition::Leave { person } => self.remove(person % people, person % people),
            Transition::ForgedRemoval { by, person } => self.forge_removal(by % people, person % people),
            Transition::Exchange(a, b) => drop(self.exchange(a % people, b % people)),
            Transition::Gossip => self.gossip(),
            Transition::Side(person, side) => self.people[person % people].side = side,
            Transition::Loss(percent) => self.loss = percent,
            Transition::Restart(person) => self.restart(person % people),
            Transition::OldCopy(person) => self.old_copy(person % people),
            Transition::Wait(seconds) => self.pass(Duration::from_secs(seconds)),
        }
    }

    /// The founder makes an invite.
    pub fn invite(&mut self, uses: u32, seconds: u64) {
        let now = self.time_of(0);
        let Some(log) = &self.people[0].log else { return };
        let terms = InviteTerms { uses, lifetime: Duration::from_secs(seconds), ..InviteTerms::default() };
        let mut seed = [0; 16];
        seed.copy_from_slice(&self.random.bytes()[..16]);
        let issued = Issued::new(log, &self.people[0].identity, terms, &[], seed, now)
            .expect("the founder may invite");
        let not_after = now.as_millis() + seconds * 1000;
        let record = issued.record.id();
        self.facts.push(Fact { record, said: Said::Invited { uses, not_after } });
        self.invites.push(HandedOut { code: issued.code, record });
        self.publish(0, &issued.record);
    }

    /// Somebody asks a member to let it in, by the real protocol.
    ///
    /// # Errors
    ///
    /// The refusal, or `None` if there was nobody to ask.
    pub fn join(&mut self, person: usize, invite: usize, witness: usize) -> Result<(), Option<Refusal>> {
        let reachable = self.people[person].side == self.people[witness].side && person != witness;
        let (Some(log), Some(invite)) = (&self.people[witness].log, self.invites.get(invite)) else {
            return Err(None);
        };
        if !reachable || self.people[person].log.is_some() {
            return Err(None);
        }
        let wish = Wish {
            name: name(&format!("device{person}")),
            name_is_asked_for: false,
            os: "Linux".parse().map_err(|_| None)?,
        };
        let mut joiner = Joiner::new(invite.code.clone(), self.people[person].identity.clone(), wish);
        let key = invite.code.invite_identity().device_id();
        let (now, theirs) = (self.time_of(witness), self.time_of(person));
        let identity = &self.people[witness].identity;
        let terms = answer(log, identity, &key, &joiner.ask(theirs), now).response;
        joiner.handle_terms(&terms, theirs).map_err(refusal)?;
        let mut request = joiner.request().map_err(refusal)?;
        loop {
            let admission = answer(log, identity, &key, &request, now);
            match joiner.handle_admitted(Some(&identity.device_id()), &admission.response).map_err(refusal)? {
                Progress::Retry(next) => request = next,
                Progress::Admitted(own) => {
                    let extended = admission.extended.ok_or(None)?;
                    for record in &extended.added {
                        self.facts.extend(self.joined(record, person, witness));
                    }
                    self.people[witness].log = Some(extended.log);
                    self.people[person].log = Some(*own);
                    return Ok(());
                }
            }
        }
    }

    fn joined(&self, record: &Verified<Record>, person: usize, witness: usize) -> Option<Fact> {
        let Body::Join(join) = &record.record().body else { return None };
        let at = record.record().issued_at.as_millis();
        Some(Fact {
            record: record.id(),
            said: Said::Joined { invite: join.newcomer.invite, person, witness, at },
        })
    }

    fn cheat(&mut self, person: usize, invite: usize, witness: usize, ago: u64, equivocates: bool) {
        let now = self.time_of(witness);
        let (Some(log), Some(invite)) = (&self.people[witness].log, self.invites.get(invite)) else { return };
        if person == witness || !log.contains(&invite.record) {
            return;
        }
        let wish = Wish {
            name: name(&format!("device{person}")),
            name_is_asked_for: false,
            os: "Linux".parse().expect("a system"),
        };
        let joiner = Joiner::for_invite(
            invite.code.clone(),
            self.people[person].identity.clone(),
            wish,
            invite.record,
        );
        let Ok(Request::Join(join)) = joiner.request() else { return };
        let author = self.people[witness].identity.device_id();
        let sequence = if equivocates { 1 } else { log.next_sequence(&author) };
        let issued_at = Timestamp::from_millis(now.as_millis().saturating_sub(ago * 1000));
        let Some(record) = self.sign(witness, sequence, issued_at, Body::Join(Box::<Join>::clone(&join)))
        else {
            return;
        };
        self.facts.extend(self.joined(&record, person, witness));
        self.publish(witness, &record);
        // The newcomer is given what the cheat has, if that makes it a member in its own eyes.
        if self.people[person].log.is_none() && self.people[person].side == self.people[witness].side {
            let log = self.people[witness].log.clone();
            self.people[person].log =
                log.filter(|log| log.roster().is_member(&self.people[person].identity.device_id()));
        }
        if equivocates {
            self.equivocators.insert(witness);
        }
    }

    fn revoke(&mut self, invite: usize) {
        let Some(invite) = self.invites.get(invite).map(|invite| invite.record) else { return };
        let Some(body) = self.body(0, |log, founder| log.roster().revoke_invite(founder, &invite)) else {
            return;
        };
        let Body::Removal(Removal { keeps, .. }) = &body else { return };
        let keeps = keeps.iter().copied().collect();
        self.say(0, body, |_| Said::Revoked { invite, keeps });
    }

    fn remove(&mut self, by: usize, person: usize) {
        // The founder stays: what follows when it goes is for tests of admins.
        if person == 0 || !self.is_member(by) {
            return;
        }
        let device = self.people[person].identity.device_id();
        let Some(body) = self.body(by, |log, by| log.roster().remove_device(by, &device)) else { return };
        let Body::Removal(Removal { keeps, .. }) = &body else { return };
        let keeps = keeps.iter().copied().collect();
        self.say(by, body, |_| Said::Removed { person, by, keeps });
    }

    /// The record is well made, but its author has no authority: it is no fact.
    fn forge_removal(&mut self, by: usize, person: usize) {
        if by == 0 || by == person {
            return;
        }
        let device = self.people[person].identity.device_id();
        let body = self.body(0, |log, founder| log.roster().remove_device(founder, &device));
        let now = self.time_of(by);
        let author = self.people[by].identity.device_id();
        let sequence = self.people[by].log.as_ref().map(|log| log.next_sequence(&author));
        if let (Some(body), Some(sequence)) = (body, sequence)
            && let Some(record) = self.sign(by, sequence, now, body)
        {
            self.publish(by, &record);
        }
    }

    fn restart(&mut self, person: usize) {
        let Some(log) = &self.people[person].log else { return };
        let mut records: Vec<Verified<Record>> = log.records().cloned().collect();
        for last in (1..records.len()).rev() {
            records.swap(last, self.random.below(last + 1));
        }
        self.people[person].log = Some(Log::from_records(log.mesh(), records));
    }

    fn old_copy(&mut self, person: usize) {
        let Some(log) = &self.people[person].log else { return };
        let half = log.records().take(log.len().div_ceil(2).max(2)).cloned().collect();
        self.people[person].log = Some(Log::from_records(log.mesh(), half));
    }

    fn body(&self, by: usize, make: impl FnOnce(&Log, &DeviceId) -> Result<Body, Refusal>) -> Option<Body> {
        let log = self.people[by].log.as_ref()?;
        make(log, &self.people[by].identity.device_id()).ok()
    }

    fn say(&mut self, by: usize, body: Body, said: impl FnOnce(RecordId) -> Said) {
        let now = self.time_of(by);
        let Some(log) = &self.people[by].log else { return };
        let record = log.compose(&self.people[by].identity, body, now).expect("a record that may be said");
        self.facts.push(Fact { record: record.id(), said: said(record.id()) });
        self.publish(by, &record);
    }

    fn sign(&self, by: usize, sequence: u64, issued_at: Timestamp, body: Body) -> Option<Verified<Record>> {
        let person = &self.people[by];
        let mesh = person.log.as_ref()?.mesh();
        let record =
            Record { mesh, author: person.identity.device_id(), sequence, authority: None, issued_at, body };
        Verified::sign(record, &person.identity).ok()
    }
}

fn refusal(error: warren_p2p::invite::JoinCheckError) -> Option<Refusal> {
    match error {
        warren_p2p::invite::JoinCheckError::Refused(refusal) => Some(refusal),
        warren_p2p::invite::JoinCheckError::Record(_)
        | warren_p2p::invite::JoinCheckError::ForeignMesh
        | warren_p2p::invite::JoinCheckError::OtherTerms
        | warren_p2p::invite::JoinCheckError::NotAdmitted
        | warren_p2p::invite::JoinCheckError::OutOfTurn => None,
    }
}
