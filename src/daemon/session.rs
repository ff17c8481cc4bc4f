//! One mesh in service: its records, its control connections, its tunnel and its routes.
//!
//! ```text
//! start:  store ─► log ─► control connections ─► tunnel ─► address, link, routes
//! stop:   routes, link, address ─► tunnel ─► control connections ─► store
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::try_join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use warren_p2p::identity::DeviceId;
use warren_p2p::invite::InviteCode;
use warren_p2p::membership::{Member, Roster};
use warren_p2p::node::{Event, RelayPolicy};
use warren_p2p::record::Grants;
use warren_p2p::swarm::{self, Handle, Settings};

use super::bridge::Bridge;
use super::diagnosis::Heard;
use super::nat::Nat;
use super::relaying::Relayed;
use super::state::MeshDir;
use super::{failures, joining, stranded};
use crate::config::{Config, Relay};
use crate::control::{Cause, Failure, Result};
use crate::host::{Change, Host};

/// A mesh that this device takes part in now.
pub(super) struct Session {
    dir: MeshDir,
    me: Member,
    swarm: Handle,
    events: mpsc::Receiver<Event>,
    roster: Arc<Roster>,
    tun: String,
    /// The peers that have a place in the dataplane and routes now.
    peers: BTreeSet<DeviceId>,
    /// What each of them may do here.
    grants: BTreeMap<DeviceId, Grants>,
    /// Our addresses as members see them.
    pub(super) nat: Nat,
    /// What members have told for people to read.
    pub(super) heard: Heard,
    /// The members that have relays.
    pub(super) relayed: Relayed,
    /// Why a record could not be written last; none once one could.
    pub(super) store_failure: Option<String>,
    /// The code this device came by, in case nobody but its witness has heard of it.
    code: Option<InviteCode>,
    /// The question to be let in once more, while it is under way; it ends with the session.
    asking: JoinSet<()>,
}

impl Session {
    /// Puts the mesh of `dir` into service. On failure everything is as before.
    pub(super) async fn start(
        dir: MeshDir,
        config: &Config,
        bridge: &mut Bridge,
        host: &mut Host,
    ) -> Result<Self> {
        let identity = dir.identity()?;
        let (store, log) = dir.load()?;
        let code = joining::code_kept(&store);
        let roster = Arc::clone(log.roster());
        let me = roster.member(&identity.device_id()).cloned().ok_or_else(|| removed(&roster))?;
        let secret = identity.wireguard_secret(&roster.mesh(), me.epoch);
        let settings = Settings {
            identity,
            sockets: bridge.quic_sockets(),
            tcp_ports: [bridge.port()]
                .into_iter()
                .chain(config.tcp_ports.iter().copied().filter(|port| *port != bridge.port()))
                .collect(),
            mdns: config.mdns,
            tunnel: tunnel_addresses(&roster),
            rendezvous: config.rendezvous.clone(),
        };
        let tun = bridge.raise_tunnel(&config.tun, config.mtu, &secret, &me).await?;
        let (swarm, events) = match swarm::start_member(settings, store, log) {
            Ok(started) => started,
            Err(error) => {
                bridge.lower_tunnel().await;
                return Err(failures::start(error));
            }
        };
        let mut session = Self {
            dir,
            me,
            swarm,
            events,
            roster,
            tun,
            peers: BTreeSet::new(),
            grants: BTreeMap::new(),
            nat: Nat::default(),
            heard: Heard::default(),
            relayed: Relayed::default(),
            store_failure: None,
            code,
            asking: JoinSet::new(),
        };
        let policy = match config.relay {
            Relay::Auto => RelayPolicy::Auto,
            Relay::On => RelayPolicy::On,
            Relay::Off => RelayPolicy::Off,
        };
        bridge.set_quota(config.relay_bytes_per_day, config.relay_packets_per_second).await;
        let settled = session.swarm.set_relay_policy(policy).await.map_err(failures::command);
        let settled = match settled {
            Ok(()) => session.take_place(config, bridge, host).await,
            Err(failure) => Err(failure),
        };
        match settled {
            Ok(()) => Ok(session),
            Err(failure) => {
                session.stop(bridge, host).await;
                Err(failure)
            }
        }
    }

    /// Address, link, peers and routes.
    async fn take_place(&mut self, config: &Config, bridge: &mut Bridge, host: &mut Host) -> Result<()> {
        let link = || self.tun.clone();
        host.apply_all(vec![
            Change::Address { link: link(), address: self.me.ipv4.into(), prefix: 32 },
            Change::Address { link: link(), address: self.me.ipv6.into(), prefix: 128 },
            Change::LinkUp { link: link(), mtu: config.mtu.into() },
        ])
        .await?;
        self.follow(Arc::clone(&self.roster), bridge, host).await
    }

    /// Ends the service and waits until peers have been told. What cannot be taken back is in the journal
    /// for the next start.
    pub(super) async fn stop(self, bridge: &mut Bridge, host: &mut Host) -> MeshDir {
        if let Err(error) = host.undo_all().await {
            tracing::warn!(%error, "this machine is not as it was; the next start tries again");
        }
        bridge.lower_tunnel().await;
        self.swarm.shutdown().await;
        self.dir
    }

    /// The next thing the mesh has to say. None when the control connections have died, which they must not.
    pub(super) async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Whether a roster gives this device other addresses or another key than the tunnel has, so that it must be
    /// made anew: two newcomers may have got one address while they could not know of each other.
    pub(super) fn has_moved(&self, roster: &Roster) -> bool {
        let place = |member: &Member| (member.ipv4, member.ipv6, member.epoch);
        roster.member(&self.me.id).is_some_and(|me| place(me) != place(&self.me))
    }

    /// Brings peers, routes and names in line with a roster.
    pub(super) async fn follow(
        &mut self,
        roster: Arc<Roster>,
        bridge: &mut Bridge,
        host: &mut Host,
    ) -> Result<()> {
        if let Some(me) = roster.member(&self.me.id) {
            self.me = me.clone();
        }
        let visible = |member: &&Member| member.id != self.me.id && roster.sees(&self.me.id, &member.id);
        let members: Vec<_> = roster.members().values().filter(visible).cloned().collect();
        let now: BTreeSet<_> = members.iter().map(|member| member.id).collect();

        let gone: Vec<_> = self.peers.difference(&now).copied().collect();
        let mut lost = Vec::new();
        for device in gone {
            bridge.remove_peer(&device).await;
            if let Some(member) = self.roster.member(&device) {
                lost.extend(self.routes(member));
            }
        }
        let mut gained = Vec::new();
        let grants = try_join_all(members.iter().map(|member| self.swarm.grants(member.id)));
        let grants = grants.await.map_err(failures::command)?;
        for (member, grants) in members.iter().zip(&grants) {
            if let Err(failure) = bridge.set_peer(member, grants).await {
                // One member that cannot be served must not cost us the others.
                tracing::warn!(peer = %member.name, %failure, "the dataplane does not take a peer");
                continue;
            }
            match self.roster.member(&member.id) {
                Some(before) if before.ipv4 != member.ipv4 || before.ipv6 != member.ipv6 => {
                    lost.extend(self.routes(before));
                    gained.extend(self.routes(member));
                }
                Some(_) | None => gained.extend(self.routes(member)),
            }
        }
        self.grants = members.iter().map(|member| member.id).zip(grants).collect();
        self.peers = now;
        self.roster = roster;
        host.undo_each(lost).await?;
        host.apply_all(gained).await?;
        Ok(())
    }

    fn routes(&self, member: &Member) -> [Change; 2] {
        let route =
            |destination: IpAddr, prefix| Change::Route { link: self.tun.clone(), destination, prefix };
        [route(member.ipv4.into(), 32), route(member.ipv6.into(), 128)]
    }

    /// Tells the others where our dataplane may be reached.
    pub(super) async fn announce(&self, addresses: Vec<SocketAddr>, port: u16) {
        let candidates: BTreeSet<_> = addresses.into_iter().chain(self.nat.announced()).collect();
        if let Err(error) = self.swarm.set_candidates(candidates.into_iter().collect()).await {
            tracing::debug!(%error, "our addresses were not told");
        }
        if let Err(error) = self.swarm.set_nat(self.nat.presumed(port).into()).await {
            tracing::debug!(%error, "our NAT was not told");
        }
    }

    /// Sees to another way to a member whose path falls silent.
    pub(super) async fn see_to(&self, peer: DeviceId) {
        tracing::debug!(peer = %peer.short(), "a path falls silent");
        if let Err(error) = self.swarm.path_silent(peer).await {
            tracing::debug!(%error, "no other way to a peer was seen to");
        }
    }

    /// Wants a way to a member that packets wait for.
    pub(super) async fn want(&self, peer: DeviceId) {
        let asked = match self.swarm.want(peer).await {
            // A relay carries the first packets; whatever is better takes over.
            Ok(()) => self.swarm.want_relay(peer).await,
            refused => refused,
        };
        if let Err(error) = asked {
            tracing::debug!(%error, "no way to a peer was asked for");
        }
    }

    /// The addresses this device has inside the mesh.
    pub(super) fn own_addresses(&self) -> Vec<IpAddr> {
        vec![self.me.ipv4.into(), self.me.ipv6.into()]
    }

    /// The members this device is shown, itself left out.
    pub(super) fn visible(&self) -> impl Iterator<Item = &Member> {
        let seen = |member: &&Member| member.id != self.me.id && self.roster.sees(&self.me.id, &member.id);
        self.roster.members().values().filter(seen)
    }

    /// Changes what a peer may do here, at once and for good.
    pub(super) async fn set_grants(
        &mut self,
        peer: &DeviceId,
        grants: Grants,
        bridge: &mut Bridge,
    ) -> Result<()> {
        self.swarm.set_grants(*peer, grants.clone()).await.map_err(failures::command)?;
        let done = bridge.set_grants(peer, &grants).await;
        self.grants.insert(*peer, grants);
        done
    }

    /// When nobody of the mesh talks to us, asks those who have not heard of us to let us in.
    pub(super) async fn look_around(&mut self) {
        while self.asking.try_join_next().is_some() {}
        let Some(code) = &self.code else { return };
        let Ok(links) = self.swarm.peers().await else { return };
        let Some(code) = stranded::way_back(code, links.values()) else { return };
        match self.dir.identity() {
            Ok(identity) => {
                let inside = tunnel_addresses(&self.roster);
                self.asking.spawn(stranded::ask(code, identity, self.me.clone(), inside));
            }
            Err(error) => tracing::warn!(%error, "the key of this device cannot be read any more"),
        }
    }

    /// Whether nobody else is in the mesh.
    pub(super) fn is_alone(&self) -> bool {
        self.roster.members().len() <= 1
    }

    /// What a member may do here.
    pub(super) fn grants(&self, peer: &DeviceId) -> Option<&Grants> {
        self.grants.get(peer)
    }

    pub(super) fn me(&self) -> &Member {
        &self.me
    }

    pub(super) fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    pub(super) fn swarm(&self) -> &Handle {
        &self.swarm
    }

    pub(super) fn tun(&self) -> &str {
        &self.tun
    }
}

fn tunnel_addresses(roster: &Roster) -> BTreeSet<IpAddr> {
    roster.members().values().flat_map(|member| [member.ipv4.into(), member.ipv6.into()]).collect()
}

fn removed(roster: &Roster) -> Failure {
    Failure::new(
        Cause::Removed,
        format!("this device is not a member of the mesh '{}' any more", super::view::mesh_name(roster)),
    )
    .hint("`warren leave` forgets the mesh; a new invite code brings the device back under a new key")
}
