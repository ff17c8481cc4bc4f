//! Whether others can reach us: members try, from a port we have never sent to, when we ask them.
//!
//! A router that has let out a packet lets the answer in, so that a connection stands says nothing about strangers. A
//! fresh port is a stranger. Only members that are outside (not on our LAN) can tell, and only of addresses that mean
//! the same there. What one member has confirmed counts for an hour.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::{Event, Node, Now, Output, Paces};
use crate::{
    identity::DeviceId,
    signal::{NatKind, REACH_ADDRESSES},
};

/// How long a confirmation counts.
const CONFIRMED: Duration = Duration::from_secs(3600);
/// After a change, candidates settle and neighbours connect; then we ask.
const SETTLED: Duration = Duration::from_secs(5);
/// We ask again, so that a confirmation does not run out; or because a router may have been set up meanwhile.
const AGAIN_REACHABLE: Duration = Duration::from_secs(45 * 60);
const AGAIN_UNREACHABLE: Duration = Duration::from_secs(4 * 3600);
/// After an answer that did not come.
const AGAIN_UNANSWERED: Duration = Duration::from_secs(300);
/// How many members are asked at once when a person wants to know.
const ASKED_AT_ONCE: usize = 3;

/// What we know of our own reachability.
#[derive(Debug, Default)]
pub(super) struct Reach {
    confirmed: BTreeMap<SocketAddr, Instant>,
    /// Whom we asked last: the next one is somebody else.
    asked: Option<DeviceId>,
    ask_at: Option<Instant>,
}

impl Reach {
    pub(super) fn next(&self) -> Option<Instant> {
        self.ask_at
    }
}

impl Node {
    /// Whether others can reach us, without our having sent them anything.
    pub fn is_reachable(&self, now: Now) -> bool {
        let fresh = |at: &Instant| now.instant.duration_since(*at) < CONFIRMED;
        self.nat == NatKind::Open || self.reach.confirmed.values().any(fresh) || self.was_called()
    }

    /// Whether somebody outside has called us by TCP, which no router lets in by itself. Where UDP is blocked on the other
    /// side, nobody could confirm anything else.
    fn was_called(&self) -> bool {
        let links = self.sessions.values().flat_map(|session| session.links.values());
        links.into_iter().any(|link| !link.dialled && !link.udp && !is_private(&link.address.ip()))
    }

    /// Whom to ask right now whether it can reach us, and at which addresses.
    pub fn ask_reach(&self) -> Vec<(DeviceId, Vec<SocketAddr>)> {
        let near = self.candidates.iter().all(|address| is_private(&address.ip()));
        let addresses = self.tested(|address| near || !is_private(&address.ip()));
        let mut servers: Vec<_> = self.servers(|_| true);
        servers.sort_by_key(|(inside, server)| (*inside, *server));
        servers.truncate(ASKED_AT_ONCE);
        if addresses.is_empty() {
            return Vec::new();
        }
        servers.into_iter().map(|(_, server)| (server, addresses.clone())).collect()
    }

    /// A member has tried our addresses, or (`None`) did not answer.
    pub fn handle_reach_answer(&mut self, by: DeviceId, answer: Option<Vec<(SocketAddr, bool)>>, now: Now) {
        let Some(verdicts) = answer else {
            self.reach.ask_at = Some(now.instant + AGAIN_UNANSWERED);
            return;
        };
        let outside = self.servers(|inside| !inside).iter().any(|(_, server)| *server == by);
        for (address, reachable) in verdicts {
            if !self.candidates.contains(&address) {
                continue;
            }
            self.outputs.push_back(Output::Event(Event::Reachable { address, reachable }));
            if reachable && outside && !is_private(&address.ip()) {
                self.reach.confirmed.insert(address, now.instant);
            } else if outside {
                self.reach.confirmed.remove(&address);
            }
        }
        let again = if self.is_reachable(now) { AGAIN_REACHABLE } else { AGAIN_UNREACHABLE };
        self.reach.ask_at = Some(now.instant + again);
        self.review_relaying(now);
    }

    /// A member asks whether we can reach it; where to try. Only where it has told us that it is, or where we see it:
    /// else it could point us at others.
    pub fn handle_reach_request(
        &mut self,
        peer: DeviceId,
        asked: &[SocketAddr],
        now: Now,
    ) -> Vec<SocketAddr> {
        let paces = self.paces.entry(peer).or_insert_with(|| Paces::new(now.instant));
        let Some(session) = self.sessions.get(&peer) else { return Vec::new() };
        if !self.log.roster().is_member(&peer) || paces.tests.take(now.instant).is_err() {
            return Vec::new();
        }
        let seen = |ip: IpAddr| session.links.values().any(|link| link.address.ip() == ip);
        let own = |address: &&SocketAddr| {
            (session.candidates.contains(address) || seen(address.ip())) && !self.inside_tunnel(&address.ip())
        };
        asked.iter().take(REACH_ADDRESSES).filter(own).copied().collect()
    }

    /// Something changed that may make us reachable, or there is somebody to ask.
    pub(super) fn ask_soon(&mut self, now: Now) {
        let soon = now.instant + SETTLED;
        if self.reach.ask_at.is_none_or(|at| at > soon) {
            self.reach.ask_at = Some(soon);
        }
    }

    /// A member to ask has come, where there was none.
    pub(super) fn ask_if_never(&mut self, now: Now) {
        if self.reach.ask_at.is_none() {
            self.ask_soon(now);
        }
    }

    /// Our addresses are others now.
    pub(super) fn forget_reach(&mut self, now: Now) {
        self.reach.confirmed.clear();
        self.ask_soon(now);
        self.review_relaying(now);
    }

    /// Asks, if it is time and there is whom to ask.
    pub(super) fn ask_when_due(&mut self, now: Now) {
        if self.reach.ask_at.is_none_or(|at| at > now.instant) {
            return;
        }
        self.reach.ask_at = None;
        let addresses = self.tested(|address| !is_private(&address.ip()));
        let servers = self.servers(|inside| !inside);
        let others = servers.iter().filter(|(_, server)| Some(*server) != self.reach.asked);
        let Some((_, server)) = others.chain(&servers).next().copied() else { return };
        if !addresses.is_empty() {
            self.reach.asked = Some(server);
            self.reach.ask_at = Some(now.instant + AGAIN_UNANSWERED);
            self.outputs.push_back(Output::AskReach { peer: server, addresses });
        }
    }

    fn tested(&self, fit: impl Fn(&SocketAddr) -> bool) -> Vec<SocketAddr> {
        let fit = self.candidates.iter().filter(|address| fit(address));
        fit.take(REACH_ADDRESSES).copied().collect()
    }

    /// Directly connected members, and whether each is on our side of the Internet.
    fn servers(&self, fit: impl Fn(bool) -> bool) -> Vec<(bool, DeviceId)> {
        let direct = self.sessions.iter().filter(|(_, session)| !session.links.is_empty());
        let inside =
            |session: &super::Session| session.links.values().all(|link| is_private(&link.address.ip()));
        let servers = direct.map(|(device, session)| (inside(session), *device));
        servers.filter(|(inside, _)| fit(*inside)).collect()
    }
}

/// Whether an address means something else in another network: private use, behind a carrier's NAT, one link, one host.
pub(super) fn is_private(ip: &IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let carrier = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || carrier
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
