//! Records: what peers tell us, what we tell them, and the one way into the log.

use std::{sync::Arc, time::Duration};

use super::{Event, KeepError, Node, Now, Output, Paces, SessionId};
use crate::{
    identity::DeviceId,
    membership::{Extended, Message, Sync},
    record::{Record, Verified},
};

/// Messages waiting for one peer, which takes them one at a time: 16 MiB at most, more than the largest mesh has to say.
/// One that never takes any gets no more, and the next comparison repairs what it missed.
const QUEUE: usize = 64;
/// How often a message is sent again that was not taken.
const RETRIES: u32 = 3;
/// How long a member that is out still hears of it before its connection is closed.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

impl Node {
    /// A peer sent a message of the record exchange.
    pub fn handle_exchange(&mut self, peer: DeviceId, message: Message, now: Now) {
        if !self.sessions.contains_key(&peer) || !self.roster().is_member(&peer) {
            return;
        }
        let reaction = self.sync.handle_message(&self.log, peer, message, now.instant);
        if !reaction.records.is_empty() {
            // A store that fails has said so; nothing of it is the peer's fault.
            let _ = self.learn(reaction.records, Some(peer), now);
        }
        match reaction.misbehaviour {
            Some(misbehaviour) => self.handle_violation(peer, &misbehaviour.to_string(), now),
            None => self.tell(peer, reaction.replies, now),
        }
    }

    /// A peer took our message, or it was lost.
    pub fn handle_exchange_answer(&mut self, peer: DeviceId, id: SessionId, taken: bool, now: Now) {
        let Some(session) = self.sessions.get_mut(&peer).filter(|session| session.id == id) else { return };
        let told = session.telling.take();
        session.failures = if taken { 0 } else { session.failures + 1 };
        if session.failures > RETRIES {
            // The peer is too slow, or too old: a later comparison finds again what was queued.
            session.queue.clear();
            session.failures = 0;
        } else if !taken && let Some(message) = told {
            // One of two connections went; the other still stands.
            session.queue.push_front(message);
        }
        self.tell(peer, Vec::new(), now);
        self.end_farewells(now);
    }

    /// Whether everything we had to say was taken.
    pub fn is_flushed(&self) -> bool {
        self.sessions.values().all(|session| session.telling.is_none() && session.queue.is_empty())
    }

    pub(super) fn start_exchange(&mut self, peer: DeviceId, now: Now) {
        let opening = Sync::open(&self.log);
        self.tell(peer, vec![opening], now);
    }

    pub(super) fn repair_all(&mut self, now: Now) {
        let peers: Vec<DeviceId> = self.sessions.keys().copied().collect();
        for peer in peers {
            self.start_exchange(peer, now);
        }
    }

    /// Queues messages for a peer, records together as far as they fit, and sends the first if none is on its way and
    /// it is not too soon.
    fn tell(&mut self, peer: DeviceId, messages: Vec<Message>, now: Now) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        for message in messages {
            let alone = match session.queue.back_mut() {
                Some(last) => last.merge(message),
                None => Some(message),
            };
            if let Some(message) = alone
                && session.queue.len() < QUEUE
            {
                session.queue.push_back(message);
            }
        }
        if session.telling.is_some() || session.queue.is_empty() {
            return;
        }
        let paces = self.paces.entry(peer).or_insert_with(|| Paces::new(now.instant));
        session.tell_at = paces.messages.take(now.instant).err();
        if session.tell_at.is_none()
            && let Some(message) = session.queue.pop_front()
        {
            session.telling = Some(message.clone());
            self.outputs.push_back(Output::Exchange { peer, session: session.id, message });
        }
    }

    /// Says what has waited for its pace.
    pub(super) fn go_on(&mut self, now: Now) {
        let due = |at: Option<std::time::Instant>| at.is_some_and(|at| at <= now.instant);
        let sessions = self.sessions.iter();
        let waited: Vec<_> = sessions
            .filter(|(_, session)| due(session.due()))
            .map(|(peer, session)| (*peer, due(session.greet_at), due(session.tell_at)))
            .collect();
        for (peer, greet, tell) in waited {
            if greet {
                self.say_hello(peer, now);
            }
            if tell {
                self.tell(peer, Vec::new(), now);
            }
        }
    }

    /// The one way into the log: first the store, then the log, then everybody else hears of it.
    pub(super) fn learn(
        &mut self,
        records: Vec<Verified<Record>>,
        from: Option<DeviceId>,
        now: Now,
    ) -> Result<(), KeepError> {
        let extended = self.log.extended(records);
        self.adopt(&extended, from, now)
    }

    /// Writes what a longer log has more than ours, then puts it in its place.
    pub(super) fn adopt(
        &mut self,
        extended: &Extended,
        from: Option<DeviceId>,
        now: Now,
    ) -> Result<(), KeepError> {
        if !extended.added.is_empty() || !extended.dropped.is_empty() {
            if let Err(error) = self.keep.keep_records(&extended.added, &extended.dropped) {
                tracing::error!(%error, "records were not taken in");
                self.outputs.push_back(Output::Event(Event::StoreFailed(error.clone())));
                return Err(error);
            }
            let before = Arc::clone(self.log.roster());
            self.log = extended.log.clone();
            let news = Sync::push(&extended.added);
            let peers: Vec<DeviceId> = self.sessions.keys().copied().collect();
            for peer in peers.into_iter().filter(|peer| Some(*peer) != from) {
                self.tell(peer, news.clone(), now);
            }
            if *before != **self.log.roster() {
                self.roster_changed(now);
            }
        }
        if let Some(peer) = from
            && let Some(misbehaviour) = self.sync.settle(&peer, extended)
        {
            self.handle_violation(peer, &misbehaviour.to_string(), now);
        }
        Ok(())
    }

    /// Closes the door behind those who are out and have heard it, or had the time to.
    pub(super) fn end_farewells(&mut self, now: Now) {
        let before = self.farewells.len();
        let sessions = &self.sessions;
        self.farewells.retain(|peer, until| {
            let telling = sessions
                .get(peer)
                .is_some_and(|session| session.telling.is_some() || !session.queue.is_empty());
            telling && now.instant < *until
        });
        if self.farewells.len() != before {
            self.admit();
        }
    }
}
