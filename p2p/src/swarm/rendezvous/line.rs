//! What the driver and the newcomer hold of the rendezvous: it ends with them.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use super::{config::Config, state::RendezvousState, task::Task};
use crate::{
    discovery::{
        Presence,
        rendezvous::{Meeting, Own, Subject},
    },
    membership::Roster,
    node::Node,
    record::{Timestamp, Verified},
    swarm::tunnel_guard::TunnelAddresses,
};

/// Wishes that may wait; more are forgotten, and come again with the next call that fails.
const WISHES: usize = 64;
/// Presences that may wait; more are forgotten, and found again.
const FOUND: usize = 64;

/// A line to the task that meets in public.
pub(in crate::swarm) struct Line {
    own: watch::Sender<Own>,
    /// The roster that it was made from.
    roster: Option<Arc<Roster>>,
    wishes: mpsc::Sender<Subject>,
    found: mpsc::Receiver<Verified<Presence>>,
    state: watch::Receiver<RendezvousState>,
    task: AbortHandle,
}

impl Line {
    /// Starts the task. Must be called inside a tokio runtime.
    pub(in crate::swarm) fn open(config: Config, meeting: Meeting, tunnel: TunnelAddresses) -> Self {
        let (own, own_rx) = watch::channel(Own::default());
        let (wishes, wishes_rx) = mpsc::channel(WISHES);
        let (found_tx, found) = mpsc::channel(FOUND);
        let (state_tx, state) = watch::channel(RendezvousState::Connecting);
        let task = Task::new(config, meeting, tunnel, own_rx, wishes_rx, found_tx, state_tx);
        let task = tokio::spawn(task.run()).abort_handle();
        Self { own, roster: None, wishes, found, state, task }
    }

    /// Says what to leave from now on, if that has changed. Called after everything that happens, so it looks at all
    /// invites only when the roster is another.
    pub(in crate::swarm) fn follow(&mut self, node: &Node, now: Timestamp) {
        let roster = node.roster();
        let known = self.roster.as_ref().is_some_and(|known| Arc::ptr_eq(known, roster));
        if known && self.own.borrow().is_at(&node.whereabouts(), &node.relays_held()) {
            return;
        }
        self.roster = Some(Arc::clone(roster));
        let own = node.own_for_rendezvous(now);
        self.own.send_if_modified(|before| {
            let changed = *before != own;
            *before = own;
            changed
        });
    }

    /// Wishes to know where somebody is.
    pub(in crate::swarm) fn look_up(&self, subject: Subject) {
        let _ = self.wishes.try_send(subject);
    }

    /// How it fares, now and later.
    pub(in crate::swarm) fn state(&self) -> watch::Receiver<RendezvousState> {
        self.state.clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why nobody was found, and what to do.
pub(in crate::swarm) fn why_not(line: Option<&Line>) -> String {
    match line.map(|line| line.state.borrow().clone()) {
        None | Some(RendezvousState::Off) => {
            "none is configured on this device; name the same bootstrap nodes as the \
             device that made the code, in the configuration under [rendezvous]"
                .to_owned()
        }
        Some(RendezvousState::Connecting) => {
            "its bootstrap nodes did not answer in time; try again".to_owned()
        }
        Some(RendezvousState::Ok { .. }) => {
            "no member has left its address there for this invite; check that the \
             device that made the code (or any other member) is on and has the same rendezvous configured"
                .to_owned()
        }
        Some(RendezvousState::Failing { why, .. }) => {
            format!("{why}; check its bootstrap nodes in the configuration under [rendezvous]")
        }
    }
}

/// The next presence that is found; never, where there is no rendezvous.
pub(in crate::swarm) async fn found(line: Option<&mut Line>) -> Verified<Presence> {
    if let Some(line) = line
        && let Some(presence) = line.found.recv().await
    {
        return presence;
    }
    std::future::pending().await
}
