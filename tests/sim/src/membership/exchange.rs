//! Two people compare their logs, message by message, as two nodes do over a connection.

use std::collections::VecDeque;
use std::time::Duration;

use warren_p2p::membership::{Message, Misbehaviour, Sync};

use super::World;

/// No honest exchange takes more messages.
const MESSAGES: usize = 500;

impl World {
    /// Two people exchange what they know, if they are connected. Returns what either did wrong in the other's eyes.
    pub fn exchange(&mut self, a: usize, b: usize) -> Vec<Misbehaviour> {
        if a == b || !self.are_connected(a, b) {
            return Vec::new();
        }
        self.pass(Duration::from_secs(5));
        let mut complaints = Vec::new();
        let mut wire: VecDeque<(usize, Message)> = VecDeque::new();
        for (from, to) in [(a, b), (b, a)] {
            if let Some(log) = &self.people[from].log {
                wire.push_back((to, Sync::open(log)));
            }
        }
        let mut count = 0;
        while let Some((to, message)) = wire.pop_front() {
            count += 1;
            assert!(count < MESSAGES, "{a} and {b} never stop talking");
            if self.random.percent(self.loss) {
                continue;
            }
            let from = if to == a { b } else { a };
            complaints.extend(self.deliver(from, to, &message, &mut wire));
            if !self.are_connected(a, b) {
                break;
            }
        }
        complaints
    }

    /// Everybody exchanges with everybody until nothing changes.
    pub fn gossip(&mut self) {
        loop {
            let before = self.digests();
            for a in 0..self.people.len() {
                for b in 0..a {
                    self.exchange(a, b);
                }
            }
            if self.digests() == before {
                return;
            }
        }
    }

    /// The partition ends, and no message is lost any more.
    pub fn heal(&mut self) {
        self.loss = 0;
        self.people.iter_mut().for_each(|person| person.side = 0);
    }

    /// One message, as bytes, and what it causes.
    fn deliver(
        &mut self,
        from: usize,
        to: usize,
        message: &Message,
        wire: &mut VecDeque<(usize, Message)>,
    ) -> Option<Misbehaviour> {
        let bytes = message.encode().expect("a message within its size");
        let sender = self.people[from].identity.device_id();
        let now = self.now;
        let person = &mut self.people[to];
        let log = person.log.as_ref()?;
        let reaction = person.sync.handle_bytes(log, sender, &bytes, now);
        wire.extend(reaction.replies.into_iter().map(|reply| (from, reply)));
        let mut complaint = reaction.misbehaviour;
        if !reaction.records.is_empty() {
            let extended = log.extended(reaction.records);
            let settled = person.sync.settle(&sender, &extended);
            complaint = complaint.or(settled);
            person.log = Some(extended.log);
        }
        complaint
    }

    fn digests(&self) -> Vec<Option<[u8; 32]>> {
        self.people.iter().map(|person| person.log.as_ref().map(|log| log.digest())).collect()
    }
}
