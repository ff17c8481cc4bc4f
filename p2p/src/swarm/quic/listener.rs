//! One listener: the addresses of its socket as interfaces come and go, and the handshakes that arrive on it.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures::{FutureExt, Stream, future::BoxFuture};
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p::core::transport::{ListenerId, TransportEvent};

use super::{
    Error,
    connection::{Pending, Upgrade, handshake},
    to_multiaddr,
};

/// From this many handshakes in flight on, a dialler must first prove its address (one more round trip).
const RETRY_ABOVE: usize = 16;
/// From this many on, further ones are not answered; a dialler tries again by itself.
const IGNORE_ABOVE: usize = 64;

pub(super) type Event = TransportEvent<Upgrade, Error>;

/// The stream of one listener's events; ends when it is closed.
pub(super) struct Listener {
    id: ListenerId,
    local: SocketAddr,
    endpoint: quinn::Endpoint,
    accept: BoxFuture<'static, Option<quinn::Incoming>>,
    /// Only for a socket bound to every address.
    interfaces: Option<IfWatcher>,
    announced: BTreeSet<IpAddr>,
    handshakes: Arc<AtomicUsize>,
    last_words: Option<Event>,
    closed: bool,
    waker: Option<Waker>,
}

impl Listener {
    pub(super) fn new(
        id: ListenerId,
        endpoint: quinn::Endpoint,
        handshakes: Arc<AtomicUsize>,
    ) -> Result<Self, Error> {
        let local = endpoint.local_addr()?;
        let (interfaces, last_words) = if local.ip().is_unspecified() {
            (Some(IfWatcher::new()?), None)
        } else {
            (None, Some(TransportEvent::NewAddress { listener_id: id, listen_addr: to_multiaddr(local) }))
        };
        Ok(Self {
            id,
            local,
            accept: next(&endpoint),
            endpoint,
            interfaces,
            announced: BTreeSet::new(),
            handshakes,
            last_words,
            closed: false,
            waker: None,
        })
    }

    pub(super) fn id(&self) -> ListenerId {
        self.id
    }

    /// Stops accepting; the endpoint itself goes on, since dialled connections live on it.
    pub(super) fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.last_words = Some(TransportEvent::ListenerClosed { listener_id: self.id, reason: Ok(()) });
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    fn poll_interfaces(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let Some(interfaces) = self.interfaces.as_mut() else { return Poll::Pending };
        while let Poll::Ready(event) = interfaces.poll_if_event(cx) {
            let listener_id = self.id;
            match event {
                Ok(IfEvent::Up(net)) if net.addr().is_ipv4() == self.local.is_ipv4() => {
                    if self.announced.insert(net.addr()) {
                        let listen_addr = to_multiaddr(SocketAddr::new(net.addr(), self.local.port()));
                        return Poll::Ready(TransportEvent::NewAddress { listener_id, listen_addr });
                    }
                }
                Ok(IfEvent::Down(net)) => {
                    if self.announced.remove(&net.addr()) {
                        let listen_addr = to_multiaddr(SocketAddr::new(net.addr(), self.local.port()));
                        return Poll::Ready(TransportEvent::AddressExpired { listener_id, listen_addr });
                    }
                }
                Ok(IfEvent::Up(_)) => {}
                Err(error) => {
                    return Poll::Ready(TransportEvent::ListenerError { listener_id, error: error.into() });
                }
            }
        }
        Poll::Pending
    }

    /// Takes a handshake in, asks for proof of address, or ignores it, by how busy we are.
    fn admit(&self, incoming: quinn::Incoming) -> Option<Event> {
        let in_flight = self.handshakes.load(Ordering::Relaxed);
        if in_flight >= IGNORE_ABOVE {
            incoming.ignore();
            return None;
        }
        if in_flight >= RETRY_ABOVE && incoming.may_retry() {
            if let Err(error) = incoming.retry() {
                error.into_incoming().ignore();
            }
            return None;
        }
        let remote = incoming.remote_address();
        match incoming.accept() {
            Ok(connecting) => {
                let pending = Pending::new(&self.handshakes);
                let upgrade = async move {
                    let result = handshake(connecting).await;
                    drop(pending);
                    result
                };
                Some(TransportEvent::Incoming {
                    listener_id: self.id,
                    upgrade: upgrade.boxed(),
                    local_addr: to_multiaddr(self.local),
                    send_back_addr: to_multiaddr(remote),
                })
            }
            Err(error) => {
                tracing::debug!(%remote, %error, "refused a handshake");
                None
            }
        }
    }
}

fn next(endpoint: &quinn::Endpoint) -> BoxFuture<'static, Option<quinn::Incoming>> {
    let endpoint = endpoint.clone();
    async move { endpoint.accept().await }.boxed()
}

impl Stream for Listener {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.last_words.take() {
                return Poll::Ready(Some(event));
            }
            if this.closed {
                return Poll::Ready(None);
            }
            if let Poll::Ready(event) = this.poll_interfaces(cx) {
                return Poll::Ready(Some(event));
            }
            match this.accept.poll_unpin(cx) {
                Poll::Ready(Some(incoming)) => {
                    this.accept = next(&this.endpoint);
                    if let Some(event) = this.admit(incoming) {
                        return Poll::Ready(Some(event));
                    }
                }
                Poll::Ready(None) => this.close(),
                Poll::Pending => {
                    this.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}
