//! Orders carried out: peers come, change and go.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::Engine;
use super::command::{Command, CommandError, PeerConfig};
use super::event::Event;
use super::remote::Remote;
use super::timers::Timer;
use crate::packet::IpPacket;
use crate::path::{Agent, Nat, ProbeKey};
use crate::wg::{Peer, PeerId, Prefix, PublicKey, Tunnel};

impl Engine {
    /// Carry out an order, or refuse it and change nothing. Drain the `poll_*` methods afterwards.
    pub fn handle_command(&mut self, command: Command, now: Instant) -> Result<(), CommandError> {
        let outcome = match command {
            Command::SetPeer(config) => self.set_peer(config, now),
            Command::RemovePeer(key) => self.remove_peer(&key, now),
            Command::SetCandidates { peer, candidates, nat } => {
                self.set_candidates(&peer, candidates, nat, now)
            }
            Command::SetNat(nat) => {
                self.set_nat(nat, now);
                Ok(())
            }
            Command::SetRules { peer, rules } => self.remote(&peer).map(|remote| remote.rules = rules),
            Command::SetLocalNetworks(networks) => {
                self.networks = networks.into();
                for remote in self.remotes.iter_mut().flatten() {
                    remote.path.set_local_networks(Arc::clone(&self.networks));
                }
                Ok(())
            }
            Command::NetworkChanged => {
                self.network_changed(now);
                Ok(())
            }
            Command::AddRelay { peer, relay, session } => self.add_relay(&peer, &relay, session, now),
            Command::RemoveRelay { peer, session } => {
                self.remove_relay(&peer, session, now);
                Ok(())
            }
            Command::AddForward { session, between } => self.add_forward(session, between),
            Command::RemoveForward { session } => {
                self.forwards.remove(session);
                Ok(())
            }
            Command::SetQuota(quota) => {
                self.forwards.set_quota(quota, now);
                Ok(())
            }
            Command::Ping { peer, token } => self.ping(peer, token, now),
        };
        self.pump_touched(now);
        outcome
    }

    pub(super) fn remote(&mut self, key: &PublicKey) -> Result<&mut Remote, CommandError> {
        let id = self.peers.by_key(key).ok_or(CommandError::UnknownPeer)?;
        self.remotes.get_mut(id.slot()).and_then(Option::as_mut).ok_or(CommandError::UnknownPeer)
    }

    fn set_peer(&mut self, config: PeerConfig, now: Instant) -> Result<(), CommandError> {
        let PeerConfig { key, allowed_ips, preshared_key, rules } = config;
        if key == self.public_key {
            return Err(CommandError::OwnKey);
        }
        let prefixes = self.checked_prefixes(&allowed_ips)?;
        let known = self.peers.by_key(&key);
        let id = match known {
            Some(id) => id,
            None => self.add_peer(key, preshared_key, now)?,
        };
        let remote = self.remote(&key)?;
        remote.rules = rules;
        if remote.preshared_key != preshared_key {
            self.rekey(id, &key, preshared_key);
        }
        self.set_prefixes(id, prefixes);
        self.touch(id);
        Ok(())
    }

    fn checked_prefixes(&self, allowed_ips: &[(IpAddr, u8)]) -> Result<Vec<Prefix>, CommandError> {
        let mut prefixes = Vec::with_capacity(allowed_ips.len());
        for &(address, length) in allowed_ips {
            let prefix = Prefix::new(address, length).ok_or(CommandError::BadPrefix(address, length))?;
            if prefix.is_host() && self.is_ours(prefix.address()) {
                return Err(CommandError::OwnAddress(address));
            }
            prefixes.push(prefix);
        }
        Ok(prefixes)
    }

    fn add_peer(
        &mut self,
        key: PublicKey,
        preshared_key: Option<[u8; 32]>,
        now: Instant,
    ) -> Result<PeerId, CommandError> {
        let secret = self.config.private_key.probe_key(&key).map_err(|_| CommandError::LowOrderKey)?;
        let id = self.peers.insert(key).map_err(|_| CommandError::TooManyPeers)?;
        let index = self.peers.tunnel_index(id);
        let tunnel = Tunnel::new(&self.device, &key, preshared_key, index);
        let seed = self.config.seed.wrapping_add(u64::from(index)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut agent = Agent::new(ProbeKey(*secret), self.public_key < key, seed, now);
        agent.ration();
        agent.set_our_nat(self.guessing.nat, now);
        agent.set_local_networks(Arc::clone(&self.networks));
        agent.set_mtu(self.config.mtu);
        self.tags.insert(agent.tag_in(), id);
        let mut remote = Remote::new(id, Peer::new(key, tunnel), agent);
        remote.preshared_key = preshared_key;
        if self.remotes.len() <= id.slot() {
            self.remotes.resize_with(id.slot() + 1, || None);
        }
        if let Some(place) = self.remotes.get_mut(id.slot()) {
            *place = Some(remote);
        }
        Ok(id)
    }

    /// Another preshared key needs another tunnel, and the old indices must not find it.
    fn rekey(&mut self, id: PeerId, key: &PublicKey, preshared_key: Option<[u8; 32]>) {
        self.peers.renew(id);
        let tunnel = Tunnel::new(&self.device, key, preshared_key, self.peers.tunnel_index(id));
        if let Ok(remote) = self.remote(key) {
            remote.peer.tunnel = tunnel;
            remote.preshared_key = preshared_key;
        }
    }

    fn set_prefixes(&mut self, id: PeerId, prefixes: Vec<Prefix>) {
        self.allowed_ips.retain(id, &prefixes.iter().copied().collect::<BTreeSet<_>>());
        for prefix in &prefixes {
            let loser = self.allowed_ips.insert(*prefix, id).filter(|loser| *loser != id);
            if let Some(loser) = loser.and_then(|id| self.remotes.get_mut(id.slot())).and_then(Option::as_mut)
            {
                loser.peer.allowed_ips.retain(|owned| owned != prefix);
            }
        }
        if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) {
            remote.peer.allowed_ips = prefixes;
        }
    }

    fn remove_peer(&mut self, key: &PublicKey, now: Instant) -> Result<(), CommandError> {
        let id = self.peers.remove(key).ok_or(CommandError::UnknownPeer)?;
        self.allowed_ips.retain(id, &BTreeSet::new());
        self.timers.forget(id);
        self.touched.retain(|touched| *touched != id);
        self.filter.forget(id);
        self.forwards.forget(id);
        self.forget_detours(id, now);
        self.guessing.forget(id);
        while let Some(lost) = self.pings.abandon(id) {
            self.out.event(Event::PingTimedOut { peer: lost.key, token: lost.token });
        }
        if let Some(mut remote) = self.remotes.get_mut(id.slot()).and_then(Option::take) {
            self.tags.remove(&remote.path.tag_in());
            if let Some(address) = remote.neighbour
                && self.neighbours.get(&address) == Some(&id)
            {
                self.neighbours.remove(&address);
            }
            remote.abandon(&mut self.out);
        }
        Ok(())
    }

    fn set_candidates(
        &mut self,
        key: &PublicKey,
        mut candidates: Vec<SocketAddr>,
        nat: Nat,
        now: Instant,
    ) -> Result<(), CommandError> {
        let id = self.peers.by_key(key).ok_or(CommandError::UnknownPeer)?;
        candidates.retain(|address| {
            !self.is_ours(address.ip()) && !self.allowed_ips.is_tunnel_address(address.ip())
        });
        let remote = self.remote(key)?;
        remote.path.set_their_nat(nat);
        remote.path.set_candidates(&candidates, now);
        // Somebody wants a path, here or there; the relays on it need one of their own.
        remote.call_relays(now);
        self.touch(id);
        Ok(())
    }

    fn network_changed(&mut self, now: Instant) {
        self.guessing.network_changed();
        let ids: Vec<PeerId> = self.peers.iter().map(|(_, id)| id).collect();
        for id in ids {
            if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) {
                remote.path.network_changed(now);
                self.touch(id);
            }
        }
    }

    fn ping(&mut self, key: PublicKey, token: u64, now: Instant) -> Result<(), CommandError> {
        let id = self.peers.by_key(&key).ok_or(CommandError::UnknownPeer)?;
        let to = self.remote(&key)?.peer.address().ok_or(CommandError::NoAddress)?;
        let from = match to {
            IpAddr::V4(_) => IpAddr::V4(self.config.ipv4),
            IpAddr::V6(_) => IpAddr::V6(self.config.ipv6),
        };
        let mut request = self.out.packets.take();
        if !self.pings.begin((id, key, token), (from, to), &mut request, now) {
            self.out.packets.give(request);
            return Err(CommandError::TooManyPings);
        }
        self.timers.set(Timer::Ping, None, self.pings.poll_timeout());
        let mtu = usize::from(self.config.mtu);
        if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut)
            && let Ok(packet) = IpPacket::parse(&request)
        {
            // An echo of ours is short enough for any path.
            let _ = remote.carry(&packet, mtu, &mut self.out, now);
        }
        self.out.packets.give(request);
        self.touch(id);
        Ok(())
    }
}
