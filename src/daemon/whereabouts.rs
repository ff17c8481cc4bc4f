//! Where this device may be reached, as its interfaces, its router and other members show it, and who is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::sync::mpsc;
use warren_p2p::identity::DeviceId;
use warren_p2p::node::Renumbered;

use super::core::Core;
use super::machine::monotonic;
use super::mapping::Transport;
use super::nat::Family;
use crate::control::{Path, PathKind};

impl Core {
    pub(super) async fn interfaces_changed(&mut self) {
        self.bridge.set_local_networks(self.interfaces.networks()).await;
        self.bridge.network_changed().await;
        if let Some(mapper) = &self.mapper {
            mapper.network_changed(self.lan_address()).await;
        }
        if let Some(session) = &mut self.session {
            let moved = self.interfaces.moved();
            if !moved.is_empty() {
                session.heard.reachable.clear();
            }
            session.nat.network_changed(self.interfaces.networks(), moved, monotonic());
            let renumbered = self.interfaces.renumbered();
            let renumbered = [Family::V4, Family::V6].map(|family| renumbered.contains(&family));
            let renumbered = Renumbered { v4: renumbered[0], v6: renumbered[1] };
            if let Err(error) = session.swarm().network_changed(renumbered).await {
                tracing::debug!(%error, "nobody was called again");
            }
        }
        self.announce().await;
    }

    /// Where we may be reached: at our interfaces, and at the ports the router lent us.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let mapped = self.mapper.as_ref().map(|mapper| mapper.mapped().mappings).unwrap_or_default();
        let mapped = mapped.iter().filter(|mapping| mapping.transport == Transport::Udp);
        let mapped = mapped.map(|mapping| SocketAddr::V4(mapping.external));
        self.interfaces.candidates(self.bridge.port()).chain(mapped).collect()
    }

    /// The address of ours that a router would forward to; never one of the mesh.
    pub(super) fn lan_address(&self) -> Option<Ipv4Addr> {
        let Some(IpAddr::V4(address)) = self.interfaces.outward(Family::V4) else { return None };
        let known = self.interfaces.networks().iter().any(|(own, _)| *own == IpAddr::V4(address));
        known.then_some(address)
    }

    pub(super) async fn announce(&mut self) {
        if let Some(session) = &self.session {
            let port = self.bridge.port();
            session.announce(self.addresses(), port).await;
            self.bridge.set_nat(session.nat.presumed(port).into()).await;
        }
        self.changed();
    }

    /// A member sees our socket at an address.
    pub(super) async fn observed(&mut self, by: DeviceId, address: SocketAddr) {
        let Some(session) = &mut self.session else { return };
        if !session.nat.observed(by, address, monotonic()) {
            return;
        }
        if let Some(mapper) = &self.mapper
            && let IpAddr::V4(seen) = address.ip()
            && mapper.mapped().mappings.iter().any(|mapping| *mapping.external.ip() != seen)
        {
            mapper.doubt().await;
        }
        self.announce().await;
    }

    /// Tells those who wait for it how a peer is reached from now on.
    pub(super) fn tell_watchers(&mut self, peer: &DeviceId, path: Option<&Path>) {
        // One that does not keep up misses this one.
        let tell = |watcher: &mpsc::Sender<Option<Path>>| {
            !matches!(watcher.try_send(path.cloned()), Err(mpsc::error::TrySendError::Closed(_)))
        };
        self.watchers.retain(|(watched, watcher)| watched != peer || tell(watcher));
    }

    /// A member's packets come straight from an address, unless another member or TCP is in between.
    pub(super) fn follow_path(&mut self, peer: DeviceId, path: &Path) {
        if matches!(path.kind, PathKind::Lan | PathKind::Direct)
            && let Some(session) = &mut self.session
        {
            session.nat.met(peer, path.endpoint.ip());
        }
    }
}
