//! The local API's questions on their way to the one loop that can answer them.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use warren_p2p::swarm::{Handle, Probe};

use super::pinging;
use crate::control::{
    Cause, Doctor, Failure, GrantChange, GrantOutcome, Invite, InviteTerms, JoinEvent, JoinRequest, Netcheck,
    NewInvite, Path, PingEvent, PingRequest, Result, Service, Status,
};

/// Questions that wait for the loop at most; a client beyond that waits at its own socket.
const BACKLOG: usize = 64;

/// What a path takes to be found where one can be, on slow links too.
const TRYING: Duration = Duration::from_secs(4);

/// What members take to call all our addresses.
const PROBING: Duration = Duration::from_secs(8);

/// Where the answer to a question goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// A question to the daemon.
pub(super) enum Request {
    Status(Reply<Status>),
    CreateInvite(InviteTerms, Reply<NewInvite>),
    Invites(Reply<Vec<Invite>>),
    RevokeInvite(String, Reply<Invite>),
    Join(JoinRequest, mpsc::Sender<Result<JoinEvent>>),
    FindPeer(String, Reply<Target>),
    Ping(String, Reply<Ping>),
    Netcheck(Reply<Netcheck>),
    /// The control connections, for what takes longer than the loop may.
    Mesh(Reply<Handle>),
    Doctor(Option<String>, Vec<Probe>, Reply<Doctor>),
    SetGrants(GrantChange, Reply<GrantOutcome>),
    Leave(Reply<()>),
    Down(Reply<()>),
}

/// A peer that can be pinged.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) ipv4: std::net::Ipv4Addr,
    pub(super) path: Option<Path>,
    /// Its other paths, as they come.
    pub(super) changes: mpsc::Receiver<Option<Path>>,
}

/// A ping under way.
pub(super) struct Ping {
    /// Round trip, once the answer came; closed without one when it did not.
    pub(super) answer: oneshot::Receiver<(Duration, Option<Path>)>,
}

/// The end of the channel that the local API holds.
#[derive(Clone)]
pub(super) struct Requests(mpsc::Sender<Request>);

/// A channel to the loop.
pub(super) fn channel() -> (Requests, mpsc::Receiver<Request>) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (Requests(sender), receiver)
}

impl Requests {
    /// Asks and waits for the answer.
    pub(super) async fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Request) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.0.send(question(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

impl Service for Requests {
    fn status(&self) -> BoxFuture<'_, Result<Status>> {
        Box::pin(self.ask(Request::Status))
    }

    fn create_invite(&self, terms: InviteTerms) -> BoxFuture<'_, Result<NewInvite>> {
        Box::pin(self.ask(|reply| Request::CreateInvite(terms, reply)))
    }

    fn invites(&self) -> BoxFuture<'_, Result<Vec<Invite>>> {
        Box::pin(self.ask(Request::Invites))
    }

    fn revoke_invite(&self, id: String) -> BoxFuture<'_, Result<Invite>> {
        Box::pin(self.ask(|reply| Request::RevokeInvite(id, reply)))
    }

    fn join(&self, request: JoinRequest) -> BoxStream<'static, Result<JoinEvent>> {
        let requests = self.0.clone();
        let (events, receiver) = mpsc::channel(8);
        let asked = async move {
            if requests.send(Request::Join(request, events.clone())).await.is_err() {
                // The receiver below is the other end; it cannot be full yet.
                let _ = events.try_send(Err(stopping()));
            }
        };
        Box::pin(after(asked, receiver))
    }

    fn ping(&self, request: PingRequest) -> BoxStream<'static, Result<PingEvent>> {
        let (events, receiver) = mpsc::channel(8);
        let requests = self.clone();
        tokio::spawn(pinging::ping(requests, request, events));
        Box::pin(after(std::future::ready(()), receiver))
    }

    fn netcheck(&self) -> BoxFuture<'_, Result<Netcheck>> {
        Box::pin(self.ask(Request::Netcheck))
    }

    fn doctor(&self, peer: Option<String>) -> BoxFuture<'_, Result<Doctor>> {
        Box::pin(async move {
            let mesh = self.ask(Request::Mesh).await?;
            let tried = async {
                // A peer nobody talks to has no path; this makes the dataplane look for one.
                if let Some(peer) = peer.clone() {
                    let ping = self.ask(|reply| Request::Ping(peer, reply)).await?;
                    // What came of it stands in the report.
                    let _ = timeout(TRYING, ping.answer).await;
                }
                Ok::<(), Failure>(())
            };
            let (tried, probes) = tokio::join!(tried, timeout(PROBING, mesh.probe_me()));
            tried?;
            // Nobody may be there to probe us; the rest of the report is of use all the same.
            let probes = probes.ok().and_then(std::result::Result::ok).unwrap_or_default();
            self.ask(|reply| Request::Doctor(peer, probes, reply)).await
        })
    }

    fn set_grants(&self, change: GrantChange) -> BoxFuture<'_, Result<GrantOutcome>> {
        Box::pin(self.ask(|reply| Request::SetGrants(change, reply)))
    }

    fn leave(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.ask(Request::Leave))
    }

    fn down(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.ask(Request::Down))
    }
}

/// What comes out of `events`, after `first` is done.
fn after<T: Send + 'static>(
    first: impl Future<Output = ()> + Send + 'static,
    events: mpsc::Receiver<T>,
) -> impl futures::Stream<Item = T> + Send {
    let start = futures::stream::once(first);
    let rest = futures::stream::unfold(events, |mut events| async move {
        let event = events.recv().await?;
        Some((event, events))
    });
    futures::StreamExt::chain(futures::StreamExt::filter_map(start, |()| async { None }), rest)
}

fn stopping() -> Failure {
    Failure::new(Cause::NotRunning, "the daemon is stopping")
}
