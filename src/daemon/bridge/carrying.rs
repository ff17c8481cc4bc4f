//! What members agree on reaches the dataplane: sessions through relays, sessions that we relay, streams over TCP.

use std::net::SocketAddr;

use warren_dataplane::engine::Command;
use warren_dataplane::relay::Quota;
use warren_dataplane::wg::PublicKey;
use warren_p2p::identity::DeviceId;
use warren_p2p::swarm::datagrams::DatagramStream;

use super::Bridge;
use crate::daemon::refusals;

impl Bridge {
    /// A member may be reached through another.
    pub(in crate::daemon) async fn add_relay(&self, peer: &DeviceId, relay: &DeviceId, session: u64) {
        let (Some(peer), Some(relay)) = (self.key(peer), self.key(relay)) else { return };
        self.carry(Command::AddRelay { peer, relay, session }).await;
    }

    /// It may not any more.
    pub(in crate::daemon) async fn remove_relay(&self, peer: &DeviceId, session: u64) {
        let Some(peer) = self.key(peer) else { return };
        self.carry(Command::RemoveRelay { peer, session }).await;
    }

    /// We are the relay of two members.
    pub(in crate::daemon) async fn add_forward(&self, session: u64, [one, other]: [DeviceId; 2]) {
        let (Some(one), Some(other)) = (self.key(&one), self.key(&other)) else { return };
        self.carry(Command::AddForward { session, between: (one, other) }).await;
    }

    /// We are it no more.
    pub(in crate::daemon) async fn remove_forward(&self, session: u64) {
        self.carry(Command::RemoveForward { session }).await;
    }

    /// A member may be reached in a stream over TCP.
    pub(in crate::daemon) async fn add_stream(
        &self,
        peer: &DeviceId,
        address: SocketAddr,
        stream: DatagramStream,
    ) {
        let Some(peer) = self.key(peer) else { return };
        let DatagramStream { outgoing, incoming } = stream;
        if let Err(error) = self.handle.add_stream(peer, address, outgoing, incoming).await {
            tracing::debug!(failure = %refusals::command(&error), "the dataplane does not take a stream");
        }
    }

    /// What to forward for each member.
    pub(in crate::daemon) async fn set_quota(&self, bytes_per_day: u64, packets_per_second: u32) {
        self.carry(Command::SetQuota(Quota { bytes_per_day, packets_per_second })).await;
    }

    async fn carry(&self, command: Command) {
        if let Err(failure) = self.command(command).await {
            tracing::debug!(%failure, "the dataplane does not carry what members agreed on");
        }
    }

    fn key(&self, device: &DeviceId) -> Option<PublicKey> {
        self.peers.get(device).map(|peer| peer.config.key)
    }
}
