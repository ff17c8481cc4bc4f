//! Which member to ask what, and when to give up: the decisions of joining, without the network.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use libp2p::PeerId;

use super::error::{JoinError, is_local};
use crate::{
    identity::{DeviceId, Identity},
    invite::{self, InviteCode, JoinCheckError, Joiner, Request, Response, TermsShown, Wish},
    membership::Log,
    node::Now,
};

/// How long a clear refusal waits for somebody who says better.
const SECOND_OPINION: Duration = Duration::from_secs(1);
/// How often a member may drop us without an answer before we believe that it does not know the invite.
const REFUSALS: u32 = 3;

/// What to do next.
pub(super) enum Action {
    /// Send a request; exactly one answer or loss comes back.
    Send { peer: PeerId, request: Request },
    /// Show the terms.
    Shown(TermsShown),
    /// We are in.
    Done { log: Box<Log>, terms: Box<TermsShown>, witness: PeerId },
    /// There is no way in.
    Failed(JoinError),
}

enum State {
    /// Asked for the terms.
    Asked,
    /// Gave good terms.
    Willing,
    /// Was asked to let us in.
    Joining,
    /// Said no, or nothing.
    Out,
}

struct Member {
    joiner: Joiner,
    state: State,
    losses: u32,
}

/// The search for somebody who lets us in.
pub(super) struct Search {
    code: InviteCode,
    identity: Identity,
    wish: Wish,
    members: BTreeMap<PeerId, Member>,
    terms: Option<TermsShown>,
    /// A clear no, and until when somebody may say better.
    refused: Option<(JoinError, Instant)>,
    /// A no that is the member's own affair.
    excuse: Option<JoinError>,
    actions: VecDeque<Action>,
}

impl Search {
    pub(super) fn new(code: InviteCode, identity: Identity, wish: Wish) -> Self {
        Self {
            code,
            identity,
            wish,
            members: BTreeMap::new(),
            terms: None,
            refused: None,
            excuse: None,
            actions: VecDeque::new(),
        }
    }

    /// A connection with a member, or somebody else, stands.
    pub(super) fn handle_reached(&mut self, peer: PeerId, now: Now) {
        let member = self.members.entry(peer).or_insert_with(|| Member {
            joiner: Joiner::new(self.code.clone(), self.identity.clone(), self.wish.clone()),
            state: State::Out,
            losses: 0,
        });
        if let State::Out = member.state {
            member.state = State::Asked;
            self.actions.push_back(Action::Send { peer, request: member.joiner.ask(now.wall) });
        }
    }

    /// A request will not be answered, or the connection is gone.
    pub(super) fn handle_lost(&mut self, peer: PeerId, now: Instant) {
        if let Some(member) = self.members.get_mut(&peer) {
            if !matches!(member.state, State::Out) {
                member.losses += 1;
            }
            member.state = State::Out;
        }
        self.join_next(now);
    }

    /// A member answered.
    pub(super) fn handle_response(&mut self, peer: PeerId, response: &Response, now: Now) {
        let Some(member) = self.members.get_mut(&peer) else { return };
        match member.state {
            State::Asked => match member.joiner.handle_terms(response, now.wall) {
                Ok(terms) => {
                    member.state = State::Willing;
                    if self.terms.is_none() {
                        self.terms = Some(terms.clone());
                        self.actions.push_back(Action::Shown(terms));
                    }
                    self.join_next(now.instant);
                }
                Err(error) => self.handle_no(peer, error, now.instant),
            },
            State::Joining => {
                let witness = DeviceId::from_peer_id(&peer);
                match member.joiner.handle_admitted(witness.as_ref(), response) {
                    Ok(invite::Progress::Admitted(log)) => {
                        if let Some(terms) = self.terms.take() {
                            self.actions.push_back(Action::Done {
                                log,
                                terms: Box::new(terms),
                                witness: peer,
                            });
                        }
                    }
                    Ok(invite::Progress::Retry(request)) => {
                        self.actions.push_back(Action::Send { peer, request });
                    }
                    Err(error) => self.handle_no(peer, error, now.instant),
                }
            }
            State::Willing | State::Out => {}
        }
    }

    fn handle_no(&mut self, peer: PeerId, error: JoinCheckError, now: Instant) {
        tracing::debug!(%peer, %error, "a member does not let us in");
        if let Some(member) = self.members.get_mut(&peer) {
            member.state = State::Out;
            member.losses = REFUSALS;
        }
        if is_local(&error) {
            self.excuse.get_or_insert_with(|| error.into());
        } else if self.refused.is_none() {
            self.refused = Some((error.into(), now + SECOND_OPINION));
        }
        self.join_next(now);
    }

    /// Asks the next willing member, unless one is being asked.
    fn join_next(&mut self, now: Instant) {
        if self.members.values().any(|member| matches!(member.state, State::Joining)) {
            return;
        }
        let willing = self.members.iter_mut().find(|(_, member)| matches!(member.state, State::Willing));
        let Some((peer, member)) = willing else { return };
        match member.joiner.request() {
            Ok(request) => {
                member.state = State::Joining;
                self.actions.push_back(Action::Send { peer: *peer, request });
            }
            Err(error) => {
                let peer = *peer;
                self.handle_no(peer, error, now);
            }
        }
    }

    /// What to do next; call it until it returns `None`.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        let joining = self.members.values().any(|member| matches!(member.state, State::Joining));
        if !joining && self.refused.as_ref().is_some_and(|(_, until)| *until <= now) {
            return self.refused.take().map(|(error, _)| Action::Failed(error));
        }
        None
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.refused.as_ref().map(|(_, until)| *until)
    }

    /// Whether everybody we got through to has refused us often enough to be believed.
    pub(super) fn is_hopeless(&self) -> bool {
        !self.members.is_empty() && self.members.values().all(|member| member.losses >= REFUSALS)
    }

    /// The best reason there is; `None` if nobody said anything.
    pub(super) fn into_error(self) -> Option<JoinError> {
        self.refused.map(|(error, _)| error).or(self.excuse)
    }
}
