//! Who may speak as an admin: rules 2 to 4 of `precedence.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::roster::Rank;
use crate::identity::DeviceId;
use crate::limits::ADMIN_LEVELS;
use crate::record::{Admin, Body, Record, RecordId, Subject};

/// All bars of one depth on one thing, as one: what each of them keeps.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) depth: u32,
    pub(super) keeps: Rc<BTreeSet<RecordId>>,
}

/// The outcome of rules 2 to 4.
pub(super) struct Authority {
    /// The bars that reach each statement whose chain leads to the founder; none if it stands.
    statements: BTreeMap<RecordId, Vec<Rc<Bar>>>,
    /// Every admin, at the best level it has.
    pub(super) admins: BTreeMap<DeviceId, Rank>,
    /// The appointments that are in force.
    pub(super) appointments: BTreeMap<DeviceId, BTreeSet<RecordId>>,
    /// The removals of devices that take effect, self-removals apart.
    pub(super) removals: BTreeSet<RecordId>,
    /// What the revocations of an invite keep.
    pub(super) revocations: BTreeMap<RecordId, Vec<Rc<Bar>>>,
    removed: BTreeMap<DeviceId, Vec<Rc<Bar>>>,
    dismissed: BTreeMap<RecordId, Vec<Rc<Bar>>>,
    own: Own,
}

/// What devices said against themselves.
#[derive(Default)]
struct Own {
    removals: BTreeMap<DeviceId, Said>,
    dismissals: BTreeMap<RecordId, Said>,
}

/// What each of one's own bars keeps. Only the first few by id count: one is what an honest device writes, and
/// a flood of them must not cost every member the product of their number and the records they reach.
type Said = BTreeMap<RecordId, Rc<BTreeSet<RecordId>>>;

/// How many bars of a device against itself are looked at, for each subject.
const OWN_BARS: usize = 4;

impl Authority {
    /// Judges `statements`, level by level: what a level says depends on the levels above it alone.
    pub(super) fn of(founder: DeviceId, statements: &BTreeMap<RecordId, &Record>) -> Self {
        let mut authority = Self {
            statements: BTreeMap::new(),
            admins: BTreeMap::new(),
            appointments: BTreeMap::new(),
            removals: BTreeSet::new(),
            revocations: BTreeMap::new(),
            removed: BTreeMap::new(),
            dismissed: BTreeMap::new(),
            own: Own::collect(statements),
        };
        if !authority.own.removals.contains_key(&founder) {
            authority.admins.insert(founder, Rank { level: 0, appointment: None });
        }
        let mut under: BTreeMap<Option<RecordId>, Vec<(RecordId, &Record)>> = BTreeMap::new();
        for (id, record) in statements {
            if record.needs_authority() {
                under.entry(record.authority).or_default().push((*id, record));
            }
        }
        let mut level = under.remove(&None).unwrap_or_default();
        level.retain(|(_, record)| record.author == founder);
        for depth in 0..=ADMIN_LEVELS {
            for (id, record) in &level {
                let reaching = authority.judge(*id, record, depth);
                authority.statements.insert(*id, reaching);
            }
            authority.bar(founder, &level, depth);
            authority.appoint(&level, depth);
            level = level
                .iter()
                .filter_map(|(id, record)| Some((under.remove(&Some(*id))?, appointee(record)?)))
                .flat_map(|(said, device)| {
                    said.into_iter().filter(move |(_, record)| record.author == device)
                })
                .collect();
            if level.is_empty() {
                break;
            }
        }
        authority
    }

    /// Whether the statement's chain of authorities leads to the founder.
    pub(super) fn knows(&self, id: &RecordId) -> bool {
        self.statements.contains_key(id)
    }

    /// Whether the statement was said with authority, and no bar reaches it.
    pub(super) fn stands(&self, id: &RecordId) -> bool {
        self.statements.get(id).is_some_and(Vec::is_empty)
    }

    /// The bars that reach the statement.
    pub(super) fn reaching(&self, id: &RecordId) -> &[Rc<Bar>] {
        self.statements.get(id).map_or(&[], Vec::as_slice)
    }

    /// The bars by which a device is removed, self-removals apart.
    pub(super) fn removed(&self, device: &DeviceId) -> &[Rc<Bar>] {
        self.removed.get(device).map_or(&[], Vec::as_slice)
    }

    /// The level of an admin.
    pub(super) fn level(&self, device: &DeviceId) -> Option<u32> {
        self.admins.get(device).map(|rank| rank.level)
    }

    /// Rule 4: the bars that reach a record of this depth: those on its author, and those on its authority that
    /// go on until they are told to stop.
    fn judge(&self, id: RecordId, record: &Record, depth: u32) -> Vec<Rc<Bar>> {
        let mut bars: Vec<Rc<Bar>> = Vec::new();
        if let Some(authority) = &record.authority {
            bars.extend(self.reaching(authority).iter().cloned());
        }
        bars.extend(self.above(record.author, record.authority, depth).cloned());
        bars.extend(self.own_bars(record, depth).map(Rc::new));
        bars.retain(|bar| !bar.keeps.contains(&id));
        bars
    }

    /// The bars by seniors on what `author` says under `authority`.
    fn above(
        &self,
        author: DeviceId,
        authority: Option<RecordId>,
        depth: u32,
    ) -> impl Iterator<Item = &Rc<Bar>> {
        let dismissed = authority.and_then(|authority| self.dismissed.get(&authority));
        let removed = self.removed.get(&author);
        removed.into_iter().chain(dismissed).flatten().filter(move |bar| bar.depth < depth)
    }

    /// The author's own bars on what it says, as far as the bars above it keep them: whoever was barred has no
    /// say any more in what stays.
    fn own_bars(&self, record: &Record, depth: u32) -> impl Iterator<Item = Bar> {
        let removals = self.own.removals.get(&record.author);
        let dismissals = record.authority.and_then(|authority| self.own.dismissals.get(&authority));
        let said = removals.into_iter().chain(dismissals).flatten();
        let said = said.filter(move |(id, _)| {
            self.above(record.author, record.authority, depth).all(|bar| bar.keeps.contains(id))
        });
        said.map(move |(_, keeps)| Bar { depth, keeps: Rc::clone(keeps) })
    }

    /// Rule 3: what the statements of this level bar.
    fn bar(&mut self, founder: DeviceId, level: &[(RecordId, &Record)], depth: u32) {
        let mut removed: BTreeMap<DeviceId, BTreeSet<RecordId>> = BTreeMap::new();
        let mut dismissed: BTreeMap<RecordId, BTreeSet<RecordId>> = BTreeMap::new();
        let mut revoked: BTreeMap<RecordId, BTreeSet<RecordId>> = BTreeMap::new();
        for (id, record) in level {
            if !self.stands(id) {
                continue;
            }
            match &record.body {
                Body::Removal(removal) => match removal.subject {
                    Subject::Device(device) => {
                        // Levels above this one are settled: an admin found here is not junior.
                        if device != founder && !self.admins.contains_key(&device) {
                            self.removals.insert(*id);
                            merge(&mut removed, device, &removal.keeps);
                        }
                    }
                    Subject::Invite(invite) => merge(&mut revoked, invite, &removal.keeps),
                },
                Body::Admin(Admin::Dismiss { appointments, keeps, .. }) => {
                    for appointment in appointments {
                        merge(&mut dismissed, *appointment, keeps);
                    }
                }
                Body::Genesis(_)
                | Body::Invite(_)
                | Body::Join(_)
                | Body::Device(_)
                | Body::Admin(Admin::Appoint { .. })
                | Body::Receipt(_) => {}
            }
        }
        let bar = |keeps| Rc::new(Bar { depth, keeps: Rc::new(keeps) });
        for (device, keeps) in removed {
            self.removed.entry(device).or_default().push(bar(keeps));
        }
        for (appointment, keeps) in dismissed {
            self.dismissed.entry(appointment).or_default().push(bar(keeps));
        }
        for (invite, keeps) in revoked {
            self.revocations.entry(invite).or_default().push(bar(keeps));
        }
    }

    /// Rule 2: the admins that this level makes. Dismissals of equal depth are known by now; those of a greater
    /// depth were said by somebody not senior.
    fn appoint(&mut self, level: &[(RecordId, &Record)], depth: u32) {
        if depth == ADMIN_LEVELS {
            return;
        }
        for (id, record) in level {
            let Some(device) = appointee(record) else { continue };
            let out = self.removed.contains_key(&device)
                || self.own.removals.contains_key(&device)
                || self.dismissed.contains_key(id)
                || self.own.dismissals.contains_key(id);
            if self.stands(id) && !out {
                let rank = Rank { level: depth + 1, appointment: Some(*id) };
                self.admins.entry(device).or_insert(rank);
                self.appointments.entry(device).or_default().insert(*id);
            }
        }
    }
}

impl Own {
    fn collect(statements: &BTreeMap<RecordId, &Record>) -> Self {
        let mut own = Self::default();
        for (id, record) in statements {
            if record.needs_authority() {
                continue;
            }
            match &record.body {
                Body::Removal(removal) => {
                    say(own.removals.entry(record.author).or_default(), *id, &removal.keeps);
                }
                Body::Admin(Admin::Dismiss { appointments, keeps, .. }) => {
                    for appointment in appointments.iter().filter(|id| {
                        // Only its own: others' appointments are not its to give up.
                        statements.get(id).and_then(|record| appointee(record)) == Some(record.author)
                    }) {
                        say(own.dismissals.entry(*appointment).or_default(), *id, keeps);
                    }
                }
                Body::Genesis(_)
                | Body::Invite(_)
                | Body::Join(_)
                | Body::Device(_)
                | Body::Admin(Admin::Appoint { .. })
                | Body::Receipt(_) => {}
            }
        }
        own
    }
}

fn appointee(record: &Record) -> Option<DeviceId> {
    match &record.body {
        Body::Admin(Admin::Appoint { device }) => Some(*device),
        Body::Genesis(_)
        | Body::Invite(_)
        | Body::Join(_)
        | Body::Device(_)
        | Body::Admin(Admin::Dismiss { .. })
        | Body::Removal(_)
        | Body::Receipt(_) => None,
    }
}

/// Statements come in the order of their ids.
fn say(said: &mut Said, id: RecordId, keeps: &[RecordId]) {
    if said.len() < OWN_BARS {
        said.insert(id, Rc::new(keeps.iter().copied().collect()));
    }
}

/// Adds a bar to those of its depth: kept is what all keep.
fn merge<K: Ord>(bars: &mut BTreeMap<K, BTreeSet<RecordId>>, subject: K, keeps: &[RecordId]) {
    let keeps: BTreeSet<RecordId> = keeps.iter().copied().collect();
    match bars.get_mut(&subject) {
        Some(kept) => kept.retain(|id| keeps.contains(id)),
        None => {
            bars.insert(subject, keeps);
        }
    }
}
