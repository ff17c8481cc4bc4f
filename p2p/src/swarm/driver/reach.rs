//! Whether we can be reached from outside, and whether others can.

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::request_response::{self, OutboundRequestId, ResponseChannel};
use tokio::sync::oneshot;

use super::{Driver, now, protocols::Event};
use crate::{
    identity::DeviceId,
    signal::{ReachAnswer, ReachRequest},
    swarm::{codec::Frame, handle::Probe, quic},
};

/// Tests for others at once; beyond, a request is answered by "tried nothing".
const TESTS: usize = 8;

type Tested = (ResponseChannel<Frame<ReachAnswer>>, ReachAnswer);

/// Questions asked by us and by others.
#[derive(Default)]
pub(in crate::swarm) struct Reach {
    /// Calls that members have asked for.
    testing: FuturesUnordered<BoxFuture<'static, Tested>>,
    /// What a person waits for.
    probes: Vec<Waiting>,
}

struct Waiting {
    asked: Vec<OutboundRequestId>,
    answers: Vec<Probe>,
    done: oneshot::Sender<Vec<Probe>>,
}

impl Reach {
    /// The next test that is done; never, while there is none.
    pub(super) async fn next(&mut self) -> Tested {
        match self.testing.next().await {
            Some(tested) => tested,
            None => std::future::pending().await,
        }
    }
}

impl Driver {
    /// Asks members right now, for a person who wants to know.
    pub(super) fn probe(&mut self, done: oneshot::Sender<Vec<Probe>>) {
        let asked = self.node.ask_reach().into_iter();
        let asked: Vec<_> = asked.map(|(peer, addresses)| self.ask(peer, addresses)).collect();
        if asked.is_empty() {
            let _ = done.send(Vec::new());
        } else {
            self.reach.probes.push(Waiting { asked, answers: Vec::new(), done });
        }
    }

    pub(super) fn ask(&mut self, peer: DeviceId, addresses: Vec<std::net::SocketAddr>) -> OutboundRequestId {
        let reach = self.swarm.behaviour_mut().reach.inner();
        reach.send_request(&peer.to_peer_id(), Frame::Message(ReachRequest { addresses }))
    }

    pub(super) fn handle_tested(&mut self, (channel, answer): Tested) {
        // Gone meanwhile: then nobody waits for it.
        let _ = self.swarm.behaviour_mut().reach.inner().send_response(channel, Frame::Message(answer));
    }

    pub(super) fn handle_reach(&mut self, event: Event<ReachRequest, ReachAnswer>) {
        match event {
            Event::Message { peer, message, .. } => {
                let Some(device) = DeviceId::from_peer_id(&peer) else { return };
                match message {
                    request_response::Message::Request { request, channel, .. } => match request {
                        Frame::Message(request) => self.test(device, &request, channel),
                        Frame::Broken(why) => self.node.handle_violation(device, &why, now()),
                    },
                    request_response::Message::Response { request_id, response } => match response {
                        Frame::Message(answer) => self.handle_answer(device, request_id, Some(answer)),
                        Frame::Broken(why) => {
                            self.handle_answer(device, request_id, None);
                            self.node.handle_violation(device, &why, now());
                        }
                    },
                }
            }
            Event::OutboundFailure { peer, request_id, .. } => {
                if let Some(peer) = DeviceId::from_peer_id(&peer) {
                    self.handle_answer(peer, request_id, None);
                }
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    fn test(&mut self, peer: DeviceId, request: &ReachRequest, channel: ResponseChannel<Frame<ReachAnswer>>) {
        let mut addresses = self.node.handle_reach_request(peer, &request.addresses, now());
        if self.reach.testing.len() >= TESTS {
            addresses.clear();
        }
        let peer = peer.to_peer_id();
        let calls = addresses
            .into_iter()
            .map(move |address| async move { (address, quic::is_reachable(peer, address).await) });
        let calls = futures::future::join_all(calls);
        let tested = async move { (channel, ReachAnswer { verdicts: calls.await }) };
        self.reach.testing.push(tested.boxed());
    }

    fn handle_answer(&mut self, by: DeviceId, request: OutboundRequestId, answer: Option<ReachAnswer>) {
        let verdicts = answer.map(|answer| answer.verdicts);
        for waiting in &mut self.reach.probes {
            if waiting.asked.contains(&request) {
                waiting.asked.retain(|asked| *asked != request);
                let verdicts = verdicts.iter().flatten();
                let probes = verdicts.map(|(address, reachable)| Probe {
                    by,
                    address: *address,
                    reachable: *reachable,
                });
                waiting.answers.extend(probes);
            }
        }
        for waiting in self.reach.probes.extract_if(.., |waiting| waiting.asked.is_empty()) {
            let _ = waiting.done.send(waiting.answers);
        }
        self.node.handle_reach_answer(by, verdicts, now());
    }
}
