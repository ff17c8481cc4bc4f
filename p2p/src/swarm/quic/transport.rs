//! libp2p's `Transport` on endpoints made of given sockets.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    pin::Pin,
    sync::{Arc, atomic::AtomicUsize},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream::SelectAll};
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    identity::Keypair,
};
use quinn::AsyncUdpSocket;

use super::{
    Error, config,
    connection::{Connection, Upgrade, handshake},
    from_multiaddr,
    listener::Listener,
    socket::Lease,
};

/// How long "connection closed" may take to go out to everybody.
const CLOSE_PATIENCE: Duration = Duration::from_millis(300);

/// QUIC over the given sockets.
pub(crate) struct Transport {
    endpoints: Vec<Guest>,
    client: quinn::ClientConfig,
    listeners: SelectAll<Listener>,
    handshakes: Arc<AtomicUsize>,
    waker: Option<Waker>,
}

/// An endpoint and the socket it is a guest on.
struct Guest {
    endpoint: quinn::Endpoint,
    lease: Arc<Lease>,
    local: SocketAddr,
}

impl Transport {
    /// One endpoint on each socket, all with this identity. Must be called inside a tokio runtime.
    pub(crate) fn new(
        keypair: &Keypair,
        sockets: impl IntoIterator<Item = Arc<dyn AsyncUdpSocket>>,
    ) -> Result<Self, Error> {
        let configs = config::build(keypair)?;
        let endpoints = sockets
            .into_iter()
            .map(|socket| {
                let lease = Lease::new(socket);
                let local = lease.local_addr()?;
                let endpoint = quinn::Endpoint::new_with_abstract_socket(
                    configs.endpoint.clone(),
                    Some(configs.server.clone()),
                    Arc::clone(&lease) as Arc<dyn AsyncUdpSocket>,
                    Arc::new(quinn::TokioRuntime),
                )?;
                Ok(Guest { endpoint, lease, local })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Self {
            endpoints,
            client: configs.client,
            listeners: SelectAll::new(),
            handshakes: Arc::default(),
            waker: None,
        })
    }

    /// What closes every connection and waits until the peers were told.
    pub(crate) fn closer(&self) -> Closer {
        Closer(self.endpoints.iter().map(|guest| guest.endpoint.clone()).collect())
    }

    fn endpoint_for(&self, address: SocketAddr) -> Option<&quinn::Endpoint> {
        let same_family = |guest: &&Guest| guest.local.is_ipv4() == address.is_ipv4();
        self.endpoints.iter().find(same_family).map(|guest| &guest.endpoint)
    }
}

#[cfg(test)]
impl Transport {
    /// Calls with another configuration than ours.
    pub(super) fn connect_as(&self, client: quinn::ClientConfig, remote: SocketAddr) -> quinn::Connecting {
        self.endpoint_for(remote).unwrap().connect_with(client, remote, "l").unwrap()
    }

    /// Goes silent like a killed process: nothing is closed, nothing is read any more.
    pub(super) fn forget(self) {
        for guest in &self.endpoints {
            guest.lease.end();
        }
        std::mem::forget(self);
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        for guest in &self.endpoints {
            guest.endpoint.close(0u32.into(), &[]);
            guest.lease.end();
        }
    }
}

/// Closes the connections of a [`Transport`] that is about to go.
pub(crate) struct Closer(Vec<quinn::Endpoint>);

impl Closer {
    /// Tells every peer, waits at most 300 ms.
    pub(crate) async fn close(self) {
        for endpoint in &self.0 {
            endpoint.close(0u32.into(), &[]);
        }
        let idle = futures::future::join_all(self.0.iter().map(quinn::Endpoint::wait_idle));
        if tokio::time::timeout(CLOSE_PATIENCE, idle).await.is_err() {
            tracing::debug!("some connections were still draining");
        }
    }
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    /// Listens on the socket that is bound to this address; the address must be that of a given socket.
    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        let Some((wanted, _)) = from_multiaddr(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let guest = self
            .endpoints
            .iter()
            .find(|guest| guest.local == wanted)
            .ok_or(TransportError::Other(Error::NoSocket(wanted)))?;
        let listener = Listener::new(id, guest.endpoint.clone(), Arc::clone(&self.handshakes))
            .map_err(TransportError::Other)?;
        self.listeners.push(listener);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let listener = self.listeners.iter_mut().find(|listener| listener.id() == id);
        listener.map(Listener::close).is_some()
    }

    /// Always from the shared socket and always as client, whatever the options say: when both sides do so, both
    /// holes open (the role only matters to protocols that throw packets instead).
    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Upgrade, TransportError<Error>> {
        let remote = match from_multiaddr(&address) {
            Some((remote, _)) if remote.port() != 0 && !remote.ip().is_unspecified() => remote,
            Some(_) | None => return Err(TransportError::MultiaddrNotSupported(address)),
        };
        let endpoint =
            self.endpoint_for(remote).ok_or(TransportError::Other(Error::NoSocket(remote)))?.clone();
        has_route(remote).map_err(|error| TransportError::Other(Error::NoRoute(error)))?;
        let client = self.client.clone();
        Ok(async move {
            // The name is never sent: libp2p's TLS has no server names, but rustls wants one.
            handshake(endpoint.connect_with(client, remote, "l")?).await
        }
        .boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Upgrade, Error>> {
        match self.listeners.poll_next_unpin(cx) {
            Poll::Ready(Some(event)) => Poll::Ready(event),
            Poll::Ready(None) | Poll::Pending => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Whether the kernel knows a way there now. A datagram that it does not take is lost like any other, so a call would take
/// as long to fail as one that nobody answers. Nothing is sent: connecting a UDP socket only looks up the route.
fn has_route(remote: SocketAddr) -> io::Result<()> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    match UdpSocket::bind(any).and_then(|socket| socket.connect(remote)) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) =>
        {
            Err(error)
        }
        // That we cannot look is no reason not to call.
        Ok(()) | Err(_) => Ok(()),
    }
}
