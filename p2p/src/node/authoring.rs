//! What this device itself says: invites, removals, its name, its grants.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{KeepError, Node, Now, PeerLink, reach::is_private};
use crate::{
    identity::DeviceId,
    invite::{InviteCode, InviteTerms, IssueError, Issued},
    limits::PORT_GRANTS,
    membership::{LogError, Refusal},
    record::{Body, Device, Grants, Name, Record, RecordError, RecordId, Verified},
};

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The mesh's rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There can be no such invite.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// It could not be written to disk, so it did not happen.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The record broke a rule; a defect of Warren.
    #[error("the record could not be signed: {0}")]
    Record(#[from] RecordError),
    /// The log takes no more.
    #[error("the record was not taken in: {0}")]
    Log(#[from] LogError),
    /// No such member.
    #[error("that device is not a member of the mesh")]
    UnknownPeer,
    /// The device cannot be a member of itself, so to speak.
    #[error("that is this device itself")]
    Oneself,
    /// Too many port ranges.
    #[error("at most {PORT_GRANTS} ranges of ports can be granted")]
    TooManyPorts,
    /// The member is shutting down.
    #[error("the daemon is shutting down")]
    Stopped,
}

/// Doors of a code at this device, and at others, before any more of our own.
const OWN_DOORS: usize = 2;
const OTHER_DOORS: usize = 2;

impl Node {
    /// Makes an invite; the code leads to our own addresses. `seed` is secret and random.
    pub fn create_invite(
        &mut self,
        terms: InviteTerms,
        seed: [u8; 16],
        now: Now,
    ) -> Result<(InviteCode, RecordId), CommandError> {
        let doors = self.doors();
        let Issued { record, code } = Issued::new(&self.log, &self.identity, terms, &doors, seed, now.wall)?;
        let id = record.id();
        self.publish(record, now)?;
        Ok((code, id))
    }

    /// Takes an invite back; whoever joined by it stays.
    pub fn revoke_invite(&mut self, invite: &RecordId, now: Now) -> Result<(), CommandError> {
        let body = self.roster().revoke_invite(&self.own, invite)?;
        self.say(body, now)
    }

    /// Removes a member, or leaves if it is this device.
    pub fn remove(&mut self, device: &DeviceId, now: Now) -> Result<(), CommandError> {
        let body = self.roster().remove_device(&self.own, device)?;
        self.say(body, now)
    }

    /// Leaves the mesh for good.
    pub fn leave(&mut self, now: Now) -> Result<(), CommandError> {
        let own = self.own;
        self.remove(&own, now)
    }

    /// Makes a member an admin.
    pub fn appoint(&mut self, device: &DeviceId, now: Now) -> Result<(), CommandError> {
        let body = self.roster().appoint_admin(&self.own, device)?;
        self.say(body, now)
    }

    /// Ends a member's being an admin.
    pub fn dismiss(&mut self, device: &DeviceId, now: Now) -> Result<(), CommandError> {
        let body = self.roster().dismiss_admin(&self.own, device)?;
        self.say(body, now)
    }

    /// Gives this device another name.
    pub fn rename(&mut self, name: Name, now: Now) -> Result<(), CommandError> {
        let roster = self.roster();
        let member = roster.member(&self.own).ok_or(CommandError::Refused(Refusal::NotAMember))?;
        if member.name == name {
            return Ok(());
        }
        let suggestion = roster.free_name(&name);
        if suggestion != name {
            return Err(Refusal::NameTaken { taken: name, suggestion }.into());
        }
        let body = Body::Device(Device {
            name: Some(name),
            wireguard: member.wireguard,
            epoch: member.epoch,
            relay: member.relay,
            exit: member.exit,
        });
        self.say(body, now)
    }

    /// Decides what a member may do here, and tells it.
    pub fn set_grants(&mut self, peer: DeviceId, grants: Grants, now: Now) -> Result<(), CommandError> {
        if peer == self.own {
            return Err(CommandError::Oneself);
        }
        if !self.roster().is_member(&peer) {
            return Err(CommandError::UnknownPeer);
        }
        if grants.ports.len() > PORT_GRANTS {
            return Err(CommandError::TooManyPorts);
        }
        self.keep.keep_grants(&peer, &grants)?;
        self.grants.insert(peer, grants);
        self.say_hello(peer, now);
        Ok(())
    }

    /// Where our dataplane may be reached now; everybody connected hears of it.
    pub fn set_candidates(&mut self, candidates: Vec<SocketAddr>, now: Now) {
        if self.candidates != candidates {
            self.candidates = candidates;
            self.say_hello_to_all(now);
            self.ask_soon(now);
        }
    }

    /// Which addresses our own tunnel has, besides those of the members.
    pub fn set_tunnel(&mut self, addresses: BTreeSet<IpAddr>) {
        self.tunnel = addresses;
        let all = self.tunnel_addresses();
        self.book.forget_addresses(&all);
        self.outputs.push_back(super::Output::Tunnel(all));
    }

    /// Wants to be connected to a member for the next ten minutes, neighbour or not.
    pub fn want(&mut self, peer: DeviceId, now: Now) {
        if peer != self.own && self.roster().is_member(&peer) {
            let new = self.interests.insert(peer, now.instant).is_none();
            if new {
                self.set_targets(now);
            }
            self.plan.handle_news(&peer, now.instant);
        }
    }

    /// A ping over the control connection took this long.
    pub fn handle_round_trip(&mut self, peer: DeviceId, round_trip: Duration) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.round_trip = Some(round_trip);
        }
    }

    /// Every other member as our control connections see it.
    pub fn peers(&self) -> BTreeMap<DeviceId, PeerLink> {
        let others = self.roster().members().keys().filter(|device| **device != self.own);
        others.map(|device| (*device, self.peer(device))).collect()
    }

    fn peer(&self, device: &DeviceId) -> PeerLink {
        let session = self.sessions.get(device);
        PeerLink {
            connected: session.is_some(),
            connections: session
                .map(|session| session.links.values().map(|link| link.address).collect())
                .unwrap_or_default(),
            via: session.and_then(super::Session::via),
            relays: session.is_some_and(|session| session.relays),
            reserved: self.relaying.held().contains(device),
            nat: session.map(|session| session.nat).unwrap_or_default(),
            addresses: self.book.addresses(device),
            candidates: session.map(|session| session.candidates.clone()).unwrap_or_default(),
            grants_theirs: session.and_then(|session| session.grants_theirs.clone()),
            clock_skew_ms: session.and_then(|session| session.clock_skew_ms),
            round_trip: session.and_then(|session| session.round_trip),
            rejected_records: self.sync.rejected(device),
            cut_offs: self.conduct.strikes(device),
        }
    }

    /// Where a newcomer may knock: twice here, twice at members that can be called, so that the code works while we
    /// are off; then wherever else we listen. Not on loopback unless there is nothing else.
    fn doors(&self) -> Vec<SocketAddr> {
        let mut own = self.candidates.iter().chain(&self.listening).copied();
        let callable = self.sessions.values().flat_map(|session| session.links.values());
        let mut members: Vec<_> = callable
            .filter(|link| link.callable)
            .map(|link| (is_private(&link.address.ip()), link.address))
            .collect();
        members.sort_unstable();
        let mut doors: Vec<SocketAddr> = own.by_ref().take(OWN_DOORS).collect();
        doors.extend(members.into_iter().take(OTHER_DOORS).map(|(_, address)| address));
        doors.extend(own);
        let (loopback, outside): (Vec<_>, Vec<_>) =
            doors.into_iter().partition(|door| door.ip().is_loopback());
        if outside.is_empty() { loopback } else { outside }
    }

    fn say(&mut self, body: Body, now: Now) -> Result<(), CommandError> {
        let record = self.log.compose(&self.identity, body, now.wall)?;
        self.publish(record, now)
    }

    fn publish(&mut self, record: Verified<Record>, now: Now) -> Result<(), CommandError> {
        let mut extended = self.log.extended(vec![record]);
        if let Some((_, error)) = extended.refused.pop() {
            return Err(error.into());
        }
        Ok(self.adopt(&extended, None, now)?)
    }
}
