//! Keeps control connections out of our own tunnel: its addresses are neither announced, nor dialled, nor answered.
//!
//! A control connection through the tunnel would carry the signalling that keeps the tunnel up, and die with it. The
//! list of addresses changes while we run (the tunnel appears after the join, members come and go), so announced
//! addresses may expire and come back.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use libp2p::{
    Multiaddr,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};

use super::address::ip;

/// The addresses inside the tunnel: ours and those of the other members. Clones share one list.
#[derive(Clone, Debug, Default)]
pub(crate) struct TunnelAddresses(Arc<Mutex<Listed>>);

#[derive(Debug, Default)]
struct Listed {
    addresses: BTreeSet<IpAddr>,
    generation: u64,
    waker: Option<Waker>,
}

impl TunnelAddresses {
    /// Replaces the list.
    pub(crate) fn replace(&self, addresses: BTreeSet<IpAddr>) {
        let mut listed = self.lock();
        if listed.addresses != addresses {
            listed.addresses = addresses;
            listed.generation += 1;
            if let Some(waker) = listed.waker.take() {
                waker.wake();
            }
        }
    }

    /// Whether this is an address inside the tunnel.
    pub(crate) fn contains(&self, ip: &IpAddr) -> bool {
        self.lock().addresses.contains(&ip.to_canonical())
    }

    /// Whether this multiaddress starts inside the tunnel.
    pub(crate) fn covers(&self, address: &Multiaddr) -> bool {
        ip(address).is_some_and(|ip| self.contains(&ip))
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transport that knows no tunnel address.
pub(super) struct TunnelGuard<T> {
    inner: T,
    tunnel: TunnelAddresses,
    generation: u64,
    /// Every address the inner transport listens on, and whether we have announced it.
    listening: BTreeMap<Multiaddr, (ListenerId, bool)>,
    changes: VecDeque<(ListenerId, Multiaddr, bool)>,
}

impl<T> TunnelGuard<T> {
    pub(super) fn new(inner: T, tunnel: TunnelAddresses) -> Self {
        Self { inner, tunnel, generation: 0, listening: BTreeMap::new(), changes: VecDeque::new() }
    }

    /// Notes which announced addresses went into the tunnel and which came out of it.
    fn compare(&mut self, cx: &Context<'_>) {
        let mut listed = self.tunnel.lock();
        listed.waker = Some(cx.waker().clone());
        if listed.generation == self.generation {
            return;
        }
        self.generation = listed.generation;
        drop(listed);
        for (address, (id, announced)) in &mut self.listening {
            let outside = !self.tunnel.covers(address);
            if outside != *announced {
                *announced = outside;
                self.changes.push_back((*id, address.clone(), outside));
            }
        }
    }
}

impl<T: libp2p::Transport + Unpin> libp2p::Transport for TunnelGuard<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, opts: DialOpts) -> Result<T::Dial, TransportError<T::Error>> {
        if self.tunnel.covers(&address) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        self.inner.dial(address, opts)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        let this = &mut *self;
        this.compare(cx);
        loop {
            if let Some((listener_id, listen_addr, outside)) = this.changes.pop_front() {
                return Poll::Ready(if outside {
                    TransportEvent::NewAddress { listener_id, listen_addr }
                } else {
                    TransportEvent::AddressExpired { listener_id, listen_addr }
                });
            }
            let Poll::Ready(event) = Pin::new(&mut this.inner).poll(cx) else { return Poll::Pending };
            match event {
                TransportEvent::NewAddress { listener_id, listen_addr } => {
                    let outside = !this.tunnel.covers(&listen_addr);
                    this.listening.insert(listen_addr.clone(), (listener_id, outside));
                    if outside {
                        return Poll::Ready(TransportEvent::NewAddress { listener_id, listen_addr });
                    }
                }
                TransportEvent::AddressExpired { listener_id, listen_addr } => {
                    if let Some((_, true)) = this.listening.remove(&listen_addr) {
                        return Poll::Ready(TransportEvent::AddressExpired { listener_id, listen_addr });
                    }
                }
                TransportEvent::Incoming { send_back_addr, .. } if this.tunnel.covers(&send_back_addr) => {
                    tracing::debug!(%send_back_addr, "ignored a control connection through our own tunnel");
                }
                TransportEvent::ListenerClosed { listener_id, reason } => {
                    this.listening.retain(|_, (id, _)| *id != listener_id);
                    return Poll::Ready(TransportEvent::ListenerClosed { listener_id, reason });
                }
                event @ (TransportEvent::Incoming { .. } | TransportEvent::ListenerError { .. }) => {
                    return Poll::Ready(event);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
