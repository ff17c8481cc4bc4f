//! When to leave what where, and when to look for whom.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::sealing::{Period, Place, Subject};
use crate::{
    discovery::{Presence, Presences},
    identity::{DeviceId, Identity},
    record::{MeshId, Timestamp, Verified},
};

/// How often a presence is renewed that has not changed. The network keeps it for a day, but its nodes come and go.
const RENEW: Duration = Duration::from_secs(3 * 3600);
/// How soon one that changes is renewed, and, when changes do not end, how often at most: at the start addresses become
/// known one after the other, and a device on a train changes them by the minute.
const CHANGED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// The first pause after the network refused a value, and the longest.
const REFUSED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(1800));
/// The first pause after a member was looked for, and the longest, which also follows when it was found: two members
/// that start at the same time miss each other once.
const LOOKED: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(300));
/// Clocks may differ by an hour; half an hour more for members whose day begins late.
const MARGIN: Duration = Duration::from_secs(90 * 60);
/// Up to this much later a member begins its day, so that not everybody calls at midnight.
const LATE: Duration = Duration::from_secs(15 * 60);
/// What is older has expired: a day, and an hour for clocks.
const VALID: Duration = Duration::from_secs(25 * 3600);
/// Asks under way.
const AT_ONCE: usize = 8;
/// Devices to be looked for that are remembered.
const WANTED: usize = 1024;

/// How long to wait between asks, and between looks for one subject.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// A member has time.
    Member,
    /// A newcomer has twenty seconds and four slots.
    Newcomer,
}

impl Pace {
    const fn between(self) -> Duration {
        match self {
            Self::Member => Duration::from_secs(1),
            Self::Newcomer => Duration::from_millis(100),
        }
    }

    fn after_look(self, misses: u32) -> Duration {
        match self {
            Self::Member => pause(LOOKED, misses),
            Self::Newcomer => Duration::from_secs(4),
        }
    }
}

/// What there is to leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Where we are; nothing is left while this is empty.
    pub addresses: Vec<SocketAddr>,
    /// Through whom we can be called.
    pub relays: Vec<DeviceId>,
    /// Keys of open invites, and when they expire.
    pub invites: Vec<(DeviceId, Timestamp)>,
}

impl Own {
    /// Whether this is where we are.
    pub(crate) fn is_at(&self, addresses: &[SocketAddr], relays: &[DeviceId]) -> bool {
        self.addresses == addresses && self.relays == relays
    }
}

/// What to ask the network. Exactly one [`Meeting::handle_done`] follows.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Keep a value for a day.
    Put {
        /// For whom it is.
        subject: Subject,
        /// Where.
        place: Place,
        /// What.
        value: Vec<u8>,
    },
    /// Say what is there.
    Get {
        /// Who is looked for.
        subject: Subject,
        /// Where.
        place: Place,
    },
}

/// Our addresses, and the members through whom we can be called.
type Whereabouts = (Vec<SocketAddr>, Vec<DeviceId>);

#[derive(Debug, Default)]
struct Left {
    /// What was left last: on which day, where we were then, and when that was.
    last: Option<(Period, Whereabouts, Instant)>,
    /// How many changes in a row were left.
    changes: u32,
    not_before: Option<Instant>,
    refusals: u32,
    asking: bool,
}

#[derive(Debug)]
struct Look {
    /// Days still to look under.
    days: Vec<Period>,
    not_before: Instant,
    misses: u32,
}

/// Plans what one device leaves and looks for.
#[derive(Debug)]
pub struct Meeting {
    mesh: MeshId,
    pace: Pace,
    /// Who leaves presences; a newcomer leaves none.
    identity: Option<Identity>,
    late: Duration,
    own: Own,
    left: BTreeMap<Subject, Left>,
    looks: BTreeMap<Subject, Look>,
    /// When the newest presence of each device that was found was signed.
    newest: BTreeMap<DeviceId, Timestamp>,
    asking: usize,
    next: Option<Instant>,
}

impl Meeting {
    /// A member that leaves its own presence. `seed` decides by how much its day begins late.
    pub fn member(mesh: MeshId, identity: Identity, seed: u64) -> Self {
        let late = Duration::from_millis(seed % u64::try_from(LATE.as_millis()).unwrap_or(1));
        Self::new(mesh, Pace::Member, Some(identity), late)
    }

    /// A newcomer that only looks, again and again, for whoever awaits it under the key of its invite.
    pub fn newcomer(mesh: MeshId, invite: DeviceId, instant: Instant, wall: Timestamp) -> Self {
        let mut meeting = Self::new(mesh, Pace::Newcomer, None, Duration::ZERO);
        for slot in Subject::slots(invite) {
            meeting.look_up(slot, instant, wall);
        }
        meeting
    }

    fn new(mesh: MeshId, pace: Pace, identity: Option<Identity>, late: Duration) -> Self {
        Self {
            mesh,
            pace,
            identity,
            late,
            own: Own::default(),
            left: BTreeMap::new(),
            looks: BTreeMap::new(),
            newest: BTreeMap::new(),
            asking: 0,
            next: None,
        }
    }

    /// What there is to leave from now on.
    pub fn set_own(&mut self, own: Own) {
        self.own = own;
        let subjects = self.subjects(Timestamp::from_millis(0));
        self.left.retain(|subject, left| left.asking || subjects.contains(subject));
    }

    /// Looks for a subject, when its pause is over.
    pub fn look_up(&mut self, subject: Subject, instant: Instant, wall: Timestamp) {
        if self.looks.len() >= WANTED {
            self.looks.retain(|_, look| !look.days.is_empty() || look.not_before > instant);
        }
        if self.looks.len() < WANTED || self.looks.contains_key(&subject) {
            let new = Look { days: Vec::new(), not_before: instant, misses: 0 };
            let look = self.looks.entry(subject).or_insert(new);
            if look.days.is_empty() {
                look.days = Period::around(wall, MARGIN);
            }
        }
    }

    /// What to ask next; call it until it returns `None`. `nonce` is random and used once.
    pub fn poll(&mut self, instant: Instant, wall: Timestamp, nonce: [u8; 12]) -> Option<Ask> {
        if self.asking >= AT_ONCE || self.next.is_some_and(|next| next > instant) {
            return None;
        }
        let ask = self.put(instant, wall, nonce).or_else(|| self.get(instant, wall))?;
        self.asking += 1;
        self.next = Some(instant + self.pace.between());
        Some(ask)
    }

    fn put(&mut self, instant: Instant, wall: Timestamp, nonce: [u8; 12]) -> Option<Ask> {
        let period = self.day(wall);
        let due = |subject: &Subject| self.due(subject, period, instant) <= instant;
        let subject = self.subjects(wall).into_iter().find(due)?;
        let (addresses, relays) = self.whereabouts();
        let presence = Presences::own(self.identity.as_ref()?, self.mesh, addresses, relays, wall).ok()?;
        let place = Place::of(self.mesh, subject, period);
        let value = place.seal(&presence, nonce)?;
        let whereabouts = self.whereabouts();
        let left = self.left.entry(subject).or_default();
        left.changes = match &left.last {
            Some((_, before, _)) if *before != whereabouts => left.changes.saturating_add(1),
            Some(_) | None => 0,
        };
        left.last = Some((period, whereabouts, instant));
        left.asking = true;
        Some(Ask::Put { subject, place, value })
    }

    fn get(&mut self, instant: Instant, wall: Timestamp) -> Option<Ask> {
        let (mesh, pace) = (self.mesh, self.pace);
        let (subject, look) =
            self.looks.iter_mut().find(|(_, look)| !look.days.is_empty() && look.not_before <= instant)?;
        let period = look.days.remove(0);
        if look.days.is_empty() {
            look.not_before = instant + pace.after_look(look.misses);
            look.misses = look.misses.saturating_add(1);
            if let Pace::Newcomer = pace {
                look.days = Period::around(wall, MARGIN);
            }
        }
        Some(Ask::Get { subject: *subject, place: Place::of(mesh, *subject, period) })
    }

    /// Something was found. Returns it if it is of the mesh, of the subject, not expired, and newer than what was found
    /// of that device before: nodes may keep what was replaced long ago, and anybody may put it there again.
    pub fn handle_value(
        &mut self,
        place: &Place,
        value: &[u8],
        wall: Timestamp,
    ) -> Option<Verified<Presence>> {
        let presence = place.open(value)?;
        let Presence { device, issued_at, .. } = *presence.value();
        let stale = self.newest.get(&device).is_some_and(|newest| *newest >= issued_at);
        if stale || issued_at.distance(wall) > VALID {
            return None;
        }
        self.newest.insert(device, issued_at);
        if let Some(look) = self.looks.get_mut(&Subject::Member(device)) {
            // It leaves its presence: who misses it again does so because it moved, and that takes its time.
            look.misses = u32::MAX;
        }
        Some(presence)
    }

    /// An ask has come to its end; `taken` says whether a value was kept.
    pub fn handle_done(&mut self, ask: &Ask, taken: bool, instant: Instant) {
        self.asking = self.asking.saturating_sub(1);
        let Ask::Put { subject, .. } = ask else { return };
        let Some(left) = self.left.get_mut(subject) else { return };
        left.asking = false;
        left.not_before = (!taken).then(|| instant + pause(REFUSED, left.refusals));
        left.refusals = if taken { 0 } else { left.refusals.saturating_add(1) };
        if !taken {
            left.last = None;
        }
    }

    /// The network did not answer at all: what was asked is asked again as soon as it does.
    pub fn handle_lost(&mut self, ask: &Ask, instant: Instant, wall: Timestamp) {
        self.asking = self.asking.saturating_sub(1);
        match ask {
            Ask::Put { subject, .. } => {
                if let Some(left) = self.left.get_mut(subject) {
                    *left = Left::default();
                }
            }
            Ask::Get { subject, .. } => {
                if let Some(look) = self.looks.get_mut(subject) {
                    *look = Look { days: Period::around(wall, MARGIN), not_before: instant, misses: 0 };
                }
            }
        }
    }

    /// When [`Self::poll`] may have something; `None` while only news or answers can change that.
    pub fn poll_timeout(&self, instant: Instant, wall: Timestamp) -> Option<Instant> {
        if self.asking >= AT_ONCE {
            return None;
        }
        let period = self.day(wall);
        let subjects = self.subjects(wall);
        let puts = subjects.iter().filter(|subject| !self.left.get(subject).is_some_and(|left| left.asking));
        let puts = puts.map(|subject| self.due(subject, period, instant));
        let gets = self.looks.values().filter(|look| !look.days.is_empty()).map(|look| look.not_before);
        let due = puts.chain(gets).min()?;
        // Days change by the wall clock, which may be set: look at it once an hour.
        let due = due.min(instant + Duration::from_secs(3600));
        Some(self.next.map_or(due, |next| due.max(next)))
    }

    /// The day it is for what we leave.
    fn day(&self, wall: Timestamp) -> Period {
        let late = u64::try_from(self.late.as_millis()).unwrap_or_default();
        Period::at(Timestamp::from_millis(wall.as_millis().saturating_sub(late)))
    }

    /// For whom we leave our presence.
    fn subjects(&self, wall: Timestamp) -> Vec<Subject> {
        let Some(own) = self.identity.as_ref().map(Identity::device_id) else { return Vec::new() };
        if self.own.addresses.is_empty() {
            return Vec::new();
        }
        let open = self.own.invites.iter().filter(|(_, not_after)| *not_after > wall);
        let invites = open.map(|(key, _)| Subject::invite(*key, &own));
        std::iter::once(Subject::Member(own)).chain(invites).collect()
    }

    fn whereabouts(&self) -> Whereabouts {
        (self.own.addresses.clone(), self.own.relays.clone())
    }

    fn due(&self, subject: &Subject, period: Period, now: Instant) -> Instant {
        let Some(left) = self.left.get(subject) else { return now };
        let due = match &left.last {
            Some((day, before, at)) if *day == period => {
                *at + if *before == self.whereabouts() { RENEW } else { pause(CHANGED, left.changes) }
            }
            Some(_) | None => now,
        };
        let due = left.not_before.map_or(due, |pause| due.max(pause));
        // One answer at a time.
        if left.asking { due.max(now + RENEW) } else { due }
    }
}

/// The first pause doubled `times` times, up to the longest.
fn pause((first, longest): (Duration, Duration), times: u32) -> Duration {
    first.saturating_mul(1u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest)
}
