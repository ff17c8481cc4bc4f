//! The task that carries between the plan and the network.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Swarm, TransportError,
    kad::{self, QueryId},
    swarm::{DialError, SwarmEvent},
};
use tokio::sync::{mpsc, watch};

use super::{
    config::Config,
    network::{self, Behaviour, BehaviourEvent},
    state::RendezvousState,
};
use crate::{
    discovery::{
        Presence,
        rendezvous::{Ask, Meeting, Own, Period, Subject},
    },
    node::Now,
    record::Verified,
    swarm::{driver::now, tunnel_guard::TunnelAddresses},
};

/// The pause after the network did not answer; it doubles up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1800));

/// A swarm and the day it was made for.
struct Network {
    swarm: Swarm<Behaviour>,
    day: Period,
}

/// The state of the task.
pub(super) struct Task {
    config: Config,
    meeting: Meeting,
    tunnel: TunnelAddresses,
    own: watch::Receiver<Own>,
    wishes: mpsc::Receiver<Subject>,
    found: mpsc::Sender<Verified<Presence>>,
    state: watch::Sender<RendezvousState>,
    /// None until there is something to ask.
    network: Option<Network>,
    asked: HashMap<QueryId, Ask>,
    /// Why the last call failed.
    trouble: Option<String>,
    failures: u32,
    /// Until when nothing is asked.
    pause: Option<Instant>,
}

impl Task {
    pub(super) fn new(
        config: Config,
        meeting: Meeting,
        tunnel: TunnelAddresses,
        own: watch::Receiver<Own>,
        wishes: mpsc::Receiver<Subject>,
        found: mpsc::Sender<Verified<Presence>>,
        state: watch::Sender<RendezvousState>,
    ) -> Self {
        Self {
            config,
            meeting,
            tunnel,
            own,
            wishes,
            found,
            state,
            network: None,
            asked: HashMap::new(),
            trouble: None,
            failures: 0,
            pause: None,
        }
    }

    /// Runs until whoever holds the line is gone.
    pub(super) async fn run(mut self) {
        loop {
            let time = now();
            if self.pause.is_none_or(|until| until <= time.instant) {
                self.pause = None;
                self.ask_due(time);
            }
            let due = self.pause.or_else(|| self.meeting.poll_timeout(time.instant, time.wall));
            let wake = due.unwrap_or_else(|| time.instant + Duration::from_secs(3600));
            tokio::select! {
                changed = self.own.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let own = self.own.borrow_and_update().clone();
                    self.meeting.set_own(own);
                    // Perhaps another network, which leads there.
                    self.pause = None;
                }
                wish = self.wishes.recv() => match wish {
                    Some(subject) => {
                        let time = now();
                        self.meeting.look_up(subject, time.instant, time.wall);
                    }
                    None => return,
                },
                event = next_event(&mut self.network) => self.handle_event(event),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    fn ask_due(&mut self, time: Now) {
        let today = Period::at(time.wall);
        if self.asked.is_empty() && self.network.as_ref().is_some_and(|network| network.day != today) {
            // A new day, a new name.
            self.network = None;
        }
        loop {
            #[expect(clippy::disallowed_methods, reason = "shell: nonces are random")]
            let nonce = rand::Rng::random(&mut rand::rng());
            let Some(ask) = self.meeting.poll(time.instant, time.wall, nonce) else { return };
            let network = match self.network.take() {
                Some(network) => network,
                None => match network::build(&self.config, self.tunnel.clone()) {
                    Ok(swarm) => Network { swarm, day: today },
                    Err(why) => {
                        self.meeting.handle_lost(&ask, time.instant, time.wall);
                        return self.fail(why, time);
                    }
                },
            };
            let network = self.network.insert(network);
            match network::ask(&mut network.swarm, &self.config, &ask, time.instant) {
                Some(query) => {
                    self.asked.insert(query, ask);
                }
                None => self.meeting.handle_done(&ask, false, time.instant),
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only answers and failed calls mean anything here")]
    fn handle_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                id,
                result,
                stats,
                step,
            })) => {
                let Some(ask) = self.asked.get(&id) else { return };
                if let (
                    Ask::Get { place, .. },
                    kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))),
                ) = (ask, &result)
                    && let Some(presence) = self.meeting.handle_value(place, &found.record.value, now().wall)
                {
                    let _ = self.found.try_send(presence);
                }
                if !step.last {
                    return;
                }
                let Some(ask) = self.asked.remove(&id) else { return };
                self.handle_end(&ask, &result, stats.num_successes() > 0);
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => {
                tracing::debug!(%error, "a node of the rendezvous did not answer");
                self.trouble = Some(reason(&error));
            }
            other => tracing::trace!(?other, "not of interest"),
        }
    }

    /// A question has come to its end. `answered` says whether any node answered it.
    fn handle_end(&mut self, ask: &Ask, result: &kad::QueryResult, answered: bool) {
        let time = now();
        let found = matches!(result, kad::QueryResult::GetRecord(Ok(_)));
        let kept = matches!(result, kad::QueryResult::PutRecord(Ok(_)));
        if !answered && !found && !kept {
            self.meeting.handle_lost(ask, time.instant, time.wall);
            let why = self.trouble.take().unwrap_or_else(|| "no node answers".to_owned());
            return self.fail(why, time);
        }
        self.failures = 0;
        self.trouble = None;
        self.meeting.handle_done(ask, kept, time.instant);
        if matches!(ask, Ask::Put { .. }) && !kept {
            tracing::debug!(?result, "the rendezvous does not keep what we leave there");
            self.set_failing("its nodes answer, but do not keep what we leave there".to_owned(), time);
        } else if kept || !matches!(*self.state.borrow(), RendezvousState::Failing { .. }) {
            self.state.send_if_modified(|state| {
                let changed = !matches!(state, RendezvousState::Ok { .. });
                if changed {
                    *state = RendezvousState::Ok { since: time.wall };
                }
                changed
            });
        }
    }

    /// Gives the network up until the pause is over; then everything begins anew.
    fn fail(&mut self, why: String, time: Now) {
        tracing::debug!(why, "the rendezvous does not answer");
        for (_, ask) in std::mem::take(&mut self.asked) {
            self.meeting.handle_lost(&ask, time.instant, time.wall);
        }
        self.network = None;
        let (first, longest) = PAUSES;
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.pause = Some(time.instant + first.saturating_mul(factor).min(longest));
        self.failures = self.failures.saturating_add(1);
        self.set_failing(why, time);
    }

    fn set_failing(&self, why: String, time: Now) {
        self.state.send_modify(|state| {
            let since = if let RendezvousState::Failing { since, .. } = state { *since } else { time.wall };
            *state = RendezvousState::Failing { since, why };
        });
    }
}

async fn next_event(network: &mut Option<Network>) -> SwarmEvent<BehaviourEvent> {
    match network {
        Some(network) => network.swarm.select_next_some().await,
        None => std::future::pending().await,
    }
}

/// Why a call failed, in a line.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest speaks for itself")]
fn reason(error: &DialError) -> String {
    match error {
        DialError::Transport(failed) => match failed.first() {
            Some((address, TransportError::Other(error))) => {
                let mut cause: &dyn std::error::Error = error;
                while let Some(deeper) = cause.source() {
                    cause = deeper;
                }
                format!("{address}: {cause}")
            }
            Some((address, TransportError::MultiaddrNotSupported(_))) => {
                format!("{address} may not be called")
            }
            None => error.to_string(),
        },
        DialError::WrongPeerId { obtained, address } => {
            format!("{address}: another node answers there, {obtained}")
        }
        other => other.to_string(),
    }
}
