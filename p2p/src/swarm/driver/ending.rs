//! The last thing a member does: it takes back what others would go on telling of it.

use libp2p::{
    core::transport::ListenerId,
    swarm::{ExpiredListenAddr, FromSwarm, NetworkBehaviour},
};

use super::Driver;

impl Driver {
    /// Takes our addresses back from multicast DNS: libp2p's tasks for it outlive the swarm, and would go on telling the
    /// LAN of a device that has left the mesh.
    pub(super) fn be_silent(&mut self) {
        let listening: Vec<_> = self.swarm.listeners().cloned().collect();
        if let Some(mdns) = self.swarm.behaviour_mut().mdns.as_mut() {
            for addr in &listening {
                let gone = ExpiredListenAddr { listener_id: ListenerId::next(), addr };
                mdns.on_swarm_event(FromSwarm::ExpiredListenAddr(gone));
            }
        }
    }
}
