//! Following the roster: whom to let in, whom to call, which addresses are inside the tunnel.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{Event, Node, Now, Output, exchange::FAREWELL};
use crate::{
    discovery::{fellow_admins, neighbours},
    identity::DeviceId,
};

impl Node {
    /// Follows the roster after the log has changed.
    pub(super) fn roster_changed(&mut self, now: Now) {
        let roster = Arc::clone(self.log.roster());
        let member = roster.is_member(&self.own);
        for peer in self.sessions.keys() {
            if member && roster.is_member(peer) {
                self.farewells.remove(peer);
            } else {
                self.farewells.entry(*peer).or_insert(now.instant + FAREWELL);
            }
        }
        self.book.retain(|device| roster.is_member(device));
        self.presences.retain(|device| roster.is_member(device), now.wall);
        self.relaying.forget(|device| !roster.is_member(device));
        self.calls.retain(|device, _| roster.is_member(device));
        self.paces.retain(|device, _| roster.is_member(device));
        self.admit();
        self.outputs.push_back(Output::Tunnel(self.tunnel_addresses()));
        self.set_targets(now);
        self.outputs.push_back(Output::Event(Event::RosterChanged(roster)));
        self.relaying_follows(now);
        if !member && !self.out {
            self.out = true;
            self.outputs.push_back(Output::Event(Event::Removed));
        }
    }

    /// Tells the gate whom to let in.
    pub(super) fn admit(&mut self) {
        let roster = self.log.roster();
        let mut members = BTreeSet::new();
        let mut invitees = BTreeSet::new();
        if roster.is_member(&self.own) {
            members.extend(roster.members().keys().filter(|device| roster.sees(&self.own, device)));
            invitees.extend(roster.invites().values().map(|state| state.invite.key));
        }
        members.extend(self.farewells.keys());
        self.outputs.push_back(Output::Admit { members, invitees });
    }

    pub(super) fn set_targets(&mut self, now: Now) {
        let roster = self.log.roster();
        let mut targets = BTreeSet::new();
        if roster.is_member(&self.own) {
            let seen = roster.members().keys().filter(|device| roster.sees(&self.own, device));
            targets = neighbours(&self.own, seen.clone().copied());
            targets.extend(self.stand_ins(&targets));
            let admins = seen.clone().filter(|device| roster.is_admin(device)).copied();
            if roster.is_admin(&self.own) {
                targets.extend(fellow_admins(&self.own, admins));
            }
            targets.extend(self.interests.keys().filter(|device| roster.is_member(device)));
            // Whoever is connected through another is to be connected directly.
            let relayed = self.sessions.iter().filter(|(_, session)| session.via().is_some());
            targets.extend(relayed.map(|(device, _)| device).filter(|device| roster.is_member(device)));
            if !self.is_reachable(now) {
                let more = self.relays_to_find(&targets);
                targets.extend(more);
            }
        }
        let direct: BTreeSet<DeviceId> =
            targets.iter().filter(|device| self.is_direct(device)).copied().collect();
        self.plan.set_targets(&targets, |device| direct.contains(device), now.instant);
    }

    pub(super) fn tunnel_addresses(&self) -> BTreeSet<IpAddr> {
        let members = self.log.roster().members().values();
        let addresses = members.flat_map(|member| [IpAddr::V4(member.ipv4), IpAddr::V6(member.ipv6)]);
        addresses.chain(self.tunnel.iter().copied()).collect()
    }

    pub(super) fn inside_tunnel(&self, ip: &IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.tunnel.contains(&ip)
            || self.log.roster().members().values().any(|member| match ip {
                IpAddr::V4(ip) => member.ipv4 == ip,
                IpAddr::V6(ip) => member.ipv6 == ip,
            })
    }
}
