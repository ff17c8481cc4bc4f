//! What the daemon knows of its network and of every way to a peer, put together for `netcheck` and `doctor`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use warren_p2p::identity::DeviceId;
use warren_p2p::membership::{Member, Roster};
use warren_p2p::node::PeerLink;
use warren_p2p::swarm::Probe;
use warren_p2p::swarm::rendezvous::RendezvousState;

use super::bridge::Link;
use super::core::Core;
use super::machine::monotonic;
use super::nat::{Family, Kind};
use super::session::Session;
use super::{advice, failures, view};
use crate::control::{
    ClockCheck, Doctor, FamilyCheck, MappingState, Netcheck, PathKind, PathMtu, PeerCheck, PortMapping,
    Probed, RelayCheck, Result, Sighting,
};

/// A member that is connected by UDP has said within this where it sees us.
const UDP_TELLS: Duration = Duration::from_secs(20);

/// What members have found out for us.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Whether they reached our addresses from outside.
    pub(super) reachable: BTreeMap<SocketAddr, bool>,
}

/// How members are reached, by packets and by control connections.
pub(super) struct Links {
    pub(super) packets: BTreeMap<DeviceId, Link>,
    pub(super) control: BTreeMap<DeviceId, PeerLink>,
}

impl Core {
    pub(super) async fn netcheck(&self) -> Result<Netcheck> {
        let Ok(session) = self.session() else { return Ok(self.network(None)) };
        let mut check = self.network(Some((session, &self.links(session).await?)));
        check.advice = advice::of_network(&check);
        Ok(check)
    }

    /// `probes` are what members found when they called us just now.
    pub(super) async fn doctor(&self, peer: Option<&str>, probes: &[Probe]) -> Result<Doctor> {
        let session = self.session()?;
        let links = self.links(session).await?;
        let mut here = self.network(Some((session, &links)));
        if !probes.is_empty() {
            here.probed = probes.iter().map(|probe| probed(session, probe)).collect();
        }
        let members: Vec<&Member> = match peer {
            Some(text) => vec![session.roster().find(text).map_err(failures::find)?],
            None => session.visible().collect(),
        };
        let mut peers: Vec<_> = members.iter().map(|member| peer_check(session, &links, member)).collect();
        peers.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(advice::complete(Doctor { here, peers }))
    }

    pub(super) async fn links(&self, session: &Session) -> Result<Links> {
        let (packets, _) = self.bridge.links().await;
        let control = session.swarm().peers().await.map_err(failures::command)?;
        Ok(Links { packets, control })
    }

    /// The network as it looks from here, without advice.
    pub(super) fn network(&self, mesh: Option<(&Session, &Links)>) -> Netcheck {
        let now = monotonic();
        let mapped = self.mapper.as_ref().map(|mapper| mapper.mapped());
        let lan = self.lan_address();
        let port_mapping = match &mapped {
            None => MappingState::Off,
            Some(mapped) if !mapped.mappings.is_empty() => MappingState::Held,
            Some(_) if !lan.is_some_and(|address| address.is_private()) => MappingState::Needless,
            Some(mapped) if mapped.tried => MappingState::Refused,
            Some(_) => MappingState::Asking,
        };
        let mappings = mapped.map(|mapped| mapped.mappings).unwrap_or_default();
        let mappings = mappings.iter().map(|mapping| {
            let age = now.saturating_duration_since(mapping.confirmed);
            PortMapping {
                protocol: mapping.method.word().to_owned(),
                transport: mapping.transport.word().to_owned(),
                external: mapping.external.into(),
                lease_s: mapping.lease.saturating_sub(age).as_secs(),
                confirmed_s: age.as_secs(),
            }
        });
        let check = Netcheck {
            device: mesh
                .map_or_else(|| self.config.name.name.clone(), |(session, _)| session.me().name.to_string()),
            port: self.bridge.port(),
            ipv4: self.family(Family::V4, mesh),
            ipv6: self.family(Family::V6, mesh),
            port_mapping,
            mappings: mappings.collect(),
            relay: self.config.relay.to_string(),
            rendezvous: self.config.rendezvous.as_ref().map(|_| {
                mesh.map_or_else(
                    || "configured".to_owned(),
                    |(session, _)| rendezvous(&session.swarm().rendezvous_state()),
                )
            }),
            mtu: self.config.mtu,
            ..Netcheck::default()
        };
        let Some((session, links)) = mesh else { return check };
        let name = |device: &DeviceId| view::name_of(session.roster(), device);
        let path = |(device, link): (&DeviceId, &Link)| Some((name(device), link.path.clone()?));
        let probed = session.heard.reachable.iter();
        Netcheck {
            udp: self.udp(session, links),
            probed: probed
                .map(|(address, reachable)| Probed { by: None, address: *address, reachable: *reachable })
                .collect(),
            relays: relays(session, links),
            clocks: links
                .control
                .iter()
                .filter_map(|(device, link)| {
                    Some(ClockCheck { peer: name(device), ahead_ms: link.clock_skew_ms? })
                })
                .collect(),
            path_mtus: links
                .packets
                .iter()
                .filter_map(path)
                .filter_map(|(peer, path)| Some(PathMtu { peer, mtu: path.mtu? }))
                .collect(),
            ..check
        }
    }

    fn family(&self, family: Family, mesh: Option<(&Session, &Links)>) -> FamilyCheck {
        let addresses = self.interfaces.networks().into_iter().map(|(address, _)| address);
        let addresses = addresses.filter(|address| Family::of(*address) == family).collect();
        let outward = self.interfaces.outward(family);
        let Some((session, _)) = mesh else {
            return FamilyCheck {
                addresses,
                outward,
                nat: Kind::Unknown.word().to_owned(),
                seen: Vec::new(),
            };
        };
        let seen = session.nat.sightings(monotonic()).into_iter();
        let seen =
            seen.filter(|sighting| Family::of(sighting.address.ip()) == family).map(|sighting| Sighting {
                by: view::name_of(session.roster(), &sighting.by),
                address: sighting.address,
                counts: sighting.counts,
            });
        FamilyCheck {
            addresses,
            outward,
            nat: session.nat.kind(family).word().to_owned(),
            seen: seen.collect(),
        }
    }

    fn udp(&self, session: &Session, links: &Links) -> Option<bool> {
        let carried = |link: &Link| link.path.as_ref().is_some_and(|path| path.kind != PathKind::Stream);
        if !session.nat.sightings(monotonic()).is_empty() || links.packets.values().any(carried) {
            return Some(true);
        }
        let connected = links.control.values().any(|link| link.connected);
        let long = monotonic().saturating_duration_since(self.started) >= UDP_TELLS;
        (connected && long).then_some(false)
    }
}

fn probed(session: &Session, probe: &Probe) -> Probed {
    let by = Some(view::name_of(session.roster(), &probe.by));
    Probed { by, address: probe.address, reachable: probe.reachable }
}

/// What was tried to reach a member.
pub(super) fn peer_check(session: &Session, links: &Links, member: &Member) -> PeerCheck {
    let (control, packets) = (links.control.get(&member.id), links.packets.get(&member.id));
    let connected = control.is_some_and(|link| link.connected);
    PeerCheck {
        name: member.name.to_string(),
        connected,
        connected_through: control
            .and_then(|link| link.via)
            .map(|relay| view::name_of(session.roster(), &relay)),
        last_seen_s: match packets.and_then(|link| link.last_handshake) {
            _ if connected => Some(0),
            age => age.map(|age| age.as_secs()),
        },
        path: packets.and_then(|link| link.path.clone()),
        nat: control.map_or(Kind::Unknown, |link| link.nat.into()).word().to_owned(),
        pairs: packets.map(|link| link.pairs.clone()).unwrap_or_default(),
        why: None,
        advice: Vec::new(),
    }
}

/// The members that forward for us or have said that they would, by name.
fn relays(session: &Session, links: &Links) -> Vec<RelayCheck> {
    let roster: &Roster = session.roster();
    let via = |link: &Link| {
        let used = link.path.as_ref().and_then(|path| path.via.clone());
        used.into_iter().chain(link.pairs.iter().filter_map(|pair| pair.via.clone())).collect::<Vec<_>>()
    };
    let mut names: BTreeSet<String> = links.packets.values().flat_map(via).collect();
    let willing = links.control.iter().filter(|(_, link)| link.relays && link.connected);
    names.extend(willing.map(|(device, _)| view::name_of(roster, device)));
    let of = |name: String| {
        let member = roster.members().values().find(|member| member.name.to_string() == name);
        let device = member.map(|member| member.id);
        let path = device.and_then(|device| links.packets.get(&device)?.path.clone());
        let control = || device.and_then(|device| links.control.get(&device)?.round_trip);
        let carries = links
            .packets
            .iter()
            .filter(|(_, link)| link.path.as_ref().and_then(|path| path.via.as_ref()) == Some(&name));
        let carries = carries.map(|(device, _)| view::name_of(roster, device)).collect();
        RelayCheck {
            rtt_ms: path
                .and_then(|path| path.rtt_ms)
                .or_else(|| control().map(|rtt| rtt.as_secs_f64() * 1000.0)),
            reserved: device.and_then(|device| Some(links.control.get(&device)?.reserved)),
            carries,
            name,
        }
    };
    names.into_iter().map(of).collect()
}

/// The state of the public rendezvous in words.
fn rendezvous(state: &RendezvousState) -> String {
    match state {
        RendezvousState::Off => "not configured".to_owned(),
        RendezvousState::Connecting => "connecting".to_owned(),
        RendezvousState::Ok { .. } => "answers".to_owned(),
        RendezvousState::Failing { why, .. } => format!("does not work: {why}"),
    }
}
