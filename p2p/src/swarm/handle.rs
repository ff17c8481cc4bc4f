//! What the daemon holds of a running member.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::sync::{mpsc, oneshot, watch};

use super::rendezvous::RendezvousState;
use crate::{
    identity::DeviceId,
    invite::{InviteCode, InviteTerms},
    membership::Roster,
    node::{CommandError, Node, Now, PeerLink, RelayPolicy, Renumbered},
    record::{Grants, Name, RecordId},
    signal::NatKind,
};

type Call = Box<dyn FnOnce(&mut Node, Now) + Send>;

/// What a handle sends to the driver.
pub(super) enum Command {
    /// Do this with the node.
    Call(Call),
    /// Ask members whether they can reach us.
    Probe(oneshot::Sender<Vec<Probe>>),
    /// Say when everything was told to those who are connected, or when that took too long.
    Flush(oneshot::Sender<()>),
    /// Close all connections and end.
    Shutdown(oneshot::Sender<()>),
}

/// What one member found when it tried to reach us at one address, from a port we have never sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Who tried.
    pub by: DeviceId,
    /// Where.
    pub address: SocketAddr,
    /// Whether we answered.
    pub reachable: bool,
}

/// A running member. Clones control the same one; when the last is dropped, it shuts down.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) roster: watch::Receiver<Arc<Roster>>,
    pub(super) rendezvous: watch::Receiver<RendezvousState>,
}

impl Handle {
    /// Who is in the mesh, now and with every change.
    pub fn roster(&self) -> watch::Receiver<Arc<Roster>> {
        self.roster.clone()
    }

    /// How the public rendezvous fares, if one is configured.
    pub fn rendezvous_state(&self) -> RendezvousState {
        self.rendezvous.borrow().clone()
    }

    /// Makes an invite on these terms; the code names our own addresses as doors, and the rendezvous if there is one.
    pub async fn create_invite(&self, terms: InviteTerms) -> Result<(InviteCode, RecordId), CommandError> {
        #[expect(clippy::disallowed_methods, reason = "shell: the seed of an invite key is secret")]
        let seed = rand::Rng::random(&mut rand::rng());
        let (code, id) = self.call(move |node, now| node.create_invite(terms, seed, now)).await??;
        let public = self.rendezvous_state() != RendezvousState::Off;
        Ok((if public { code.with_rendezvous() } else { code }, id))
    }

    /// Takes an invite back; whoever joined by it stays.
    pub async fn revoke_invite(&self, invite: RecordId) -> Result<(), CommandError> {
        self.call(move |node, now| node.revoke_invite(&invite, now)).await?
    }

    /// Removes a member for good.
    pub async fn remove(&self, device: DeviceId) -> Result<(), CommandError> {
        self.call(move |node, now| node.remove(&device, now)).await?
    }

    /// Leaves the mesh for good, and waits (2 s at most) until those who are connected know it.
    pub async fn leave(&self) -> Result<(), CommandError> {
        self.call(|node, now| node.leave(now)).await??;
        let (done, flushed) = oneshot::channel();
        self.commands.send(Command::Flush(done)).await.map_err(|_| CommandError::Stopped)?;
        flushed.await.map_err(|_| CommandError::Stopped)
    }

    /// Makes a member an admin.
    pub async fn appoint(&self, device: DeviceId) -> Result<(), CommandError> {
        self.call(move |node, now| node.appoint(&device, now)).await?
    }

    /// Ends a member's being an admin.
    pub async fn dismiss(&self, device: DeviceId) -> Result<(), CommandError> {
        self.call(move |node, now| node.dismiss(&device, now)).await?
    }

    /// Gives this device another name.
    pub async fn rename(&self, name: Name) -> Result<(), CommandError> {
        self.call(move |node, now| node.rename(name, now)).await?
    }

    /// Decides what a member may do here; on disk and told to it at once.
    pub async fn set_grants(&self, peer: DeviceId, grants: Grants) -> Result<(), CommandError> {
        self.call(move |node, now| node.set_grants(peer, grants, now)).await?
    }

    /// What a member may do here.
    pub async fn grants(&self, peer: DeviceId) -> Result<Grants, CommandError> {
        self.call(move |node, _| node.grants(&peer)).await
    }

    /// Says where our dataplane may be reached now: interface addresses, observed ones, port mappings.
    pub async fn set_candidates(&self, candidates: Vec<SocketAddr>) -> Result<(), CommandError> {
        self.call(move |node, now| node.set_candidates(candidates, now)).await
    }

    /// Says which addresses our tunnel interfaces have; those of this mesh's members are known anyway.
    pub async fn set_tunnel(&self, addresses: BTreeSet<IpAddr>) -> Result<(), CommandError> {
        self.call(move |node, _| node.set_tunnel(addresses)).await
    }

    /// Wants a control connection with a member for the next ten minutes, though it be no neighbour.
    pub async fn want(&self, peer: DeviceId) -> Result<(), CommandError> {
        self.call(move |node, now| node.want(peer, now)).await
    }

    /// Packets wait for a member and no way to it is known: asks members that relay to carry them. Ask again while that
    /// lasts; [`Event::RelaySession`](crate::node::Event::RelaySession) tells.
    pub async fn want_relay(&self, peer: DeviceId) -> Result<(), CommandError> {
        self.call(move |node, now| node.want_relay(peer, now)).await
    }

    /// There is a better way to a member than through others, or nothing to say to it.
    pub async fn relay_unneeded(&self, peer: DeviceId) -> Result<(), CommandError> {
        self.call(move |node, now| node.relay_unneeded(peer, now)).await
    }

    /// The path of a member's packets falls silent: a relay is asked for, and all who are connected hear from us, since a router
    /// may have forgotten every mapping of ours.
    pub async fn path_silent(&self, peer: DeviceId) -> Result<(), CommandError> {
        self.call(move |node, now| node.handle_path_silent(peer, now)).await
    }

    /// The network of this machine changed: call everybody at once who is not connected, or cannot be any more.
    pub async fn network_changed(&self, renumbered: Renumbered) -> Result<(), CommandError> {
        self.call(move |node, now| node.handle_network_changed(renumbered, now)).await
    }

    /// Says what stands between our dataplane and the Internet.
    pub async fn set_nat(&self, nat: NatKind) -> Result<(), CommandError> {
        self.call(move |node, now| node.set_nat(nat, now)).await
    }

    /// Decides whether this device relays for other members.
    pub async fn set_relay_policy(&self, policy: RelayPolicy) -> Result<(), CommandError> {
        self.call(move |node, now| node.set_relay_policy(policy, now)).await
    }

    /// Whether this device relays for other members now.
    pub async fn relays(&self) -> Result<bool, CommandError> {
        self.call(|node, _| node.relays()).await
    }

    /// Whether this device can be reached from outside, as far as is known.
    pub async fn is_reachable(&self) -> Result<bool, CommandError> {
        self.call(|node, now| node.is_reachable(now)).await
    }

    /// Asks up to three connected members to call us at our candidates, from ports we have never sent to. Takes some
    /// seconds; empty when there is nobody to ask or nothing to try.
    pub async fn probe_me(&self) -> Result<Vec<Probe>, CommandError> {
        let (done, probed) = oneshot::channel();
        self.commands.send(Command::Probe(done)).await.map_err(|_| CommandError::Stopped)?;
        probed.await.map_err(|_| CommandError::Stopped)
    }

    /// Every other member as our control connections see it.
    pub async fn peers(&self) -> Result<BTreeMap<DeviceId, PeerLink>, CommandError> {
        self.call(|node, _| node.peers()).await
    }

    /// Closes all connections so that peers see it at once, and frees the store. The sockets stay open.
    pub async fn shutdown(&self) {
        let (done, ended) = oneshot::channel();
        if self.commands.send(Command::Shutdown(done)).await.is_ok() {
            let _ = ended.await;
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Node, Now) -> T + Send + 'static,
    ) -> Result<T, CommandError> {
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |node, now| {
            let _ = answer.send(call(node, now));
        });
        self.commands.send(Command::Call(call)).await.map_err(|_| CommandError::Stopped)?;
        answered.await.map_err(|_| CommandError::Stopped)
    }
}
