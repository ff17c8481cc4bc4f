//! QUIC's share of a socket: what the control connections see instead of the socket itself.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn_udp::{RecvMeta, Transmit};

use super::udp::SharedUdp;
use crate::packet::Pool;

/// Datagrams that wait for the control connections. More is loss, which QUIC repairs.
const MAX_QUEUED: usize = 1024;
/// Capacity of a buffer for one datagram, in bytes: QUIC sends up to an Ethernet MTU.
const DATAGRAM: usize = 1500;
/// Buffers kept for reuse.
const KEEP: usize = 64;

/// Where the driver leaves the QUIC datagrams of a socket.
#[derive(Debug)]
pub(super) struct Mailbox(Mutex<Inside>);

#[derive(Debug)]
struct Inside {
    datagrams: VecDeque<(RecvMeta, Vec<u8>)>,
    spare: Pool,
    reader: Option<Waker>,
}

impl Mailbox {
    pub(super) fn new() -> Self {
        let spare = Pool::new(DATAGRAM, KEEP);
        Self(Mutex::new(Inside { datagrams: VecDeque::new(), spare, reader: None }))
    }

    /// Leave one datagram. `meta` is that of the buffer it came in.
    pub(super) fn push(&self, meta: &RecvMeta, datagram: &[u8]) {
        let mut inside = self.lock();
        if inside.datagrams.len() >= MAX_QUEUED {
            return;
        }
        let mut kept = inside.spare.take();
        kept.extend_from_slice(datagram);
        let meta = RecvMeta { len: datagram.len(), stride: datagram.len(), ..*meta };
        inside.datagrams.push_back((meta, kept));
        let reader = inside.reader.take();
        drop(inside);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing in here can panic half-way, so a poisoned lock still guards whole data.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket as QUIC may use it: it receives what is QUIC, and sends whatever it likes.
///
/// Made to be adapted to `quinn::AsyncUdpSocket` in a few lines. Clones share one queue; only one of them may receive.
#[derive(Clone)]
pub struct QuicLane(SharedUdp);

impl QuicLane {
    pub(super) const fn new(socket: SharedUdp) -> Self {
        Self(socket)
    }

    /// Send now. The only error is `WouldBlock`, when the socket buffer is full: wait with a [`LanePoller`].
    ///
    /// What the kernel does not take counts as lost on its way. An error would end the connection, and without a word:
    /// quinn drops the task that drives it, so that not even its timers end it. But a machine has no route for the
    /// moment between two addresses, and what is longer than the link is how QUIC searches for the path's MTU.
    pub fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.0.try_send(transmit) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                tracing::trace!(%error, destination = %transmit.destination, "a QUIC datagram is lost");
                Ok(())
            }
            sent => sent,
        }
    }

    /// Fetch datagrams, one a buffer: there is never more than one segment behind a `RecvMeta`. A datagram that
    /// does not fit its buffer is dropped.
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut inside = self.0.mailbox().lock();
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(meta.iter_mut()) {
            let (header, datagram) = loop {
                match inside.datagrams.pop_front() {
                    Some(next) if next.1.len() <= buffer.len() => break next,
                    Some((_, too_long)) => inside.spare.give(too_long),
                    None if count > 0 => return Poll::Ready(Ok(count)),
                    None => {
                        inside.reader = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                }
            };
            if let Some(place) = buffer.get_mut(..datagram.len()) {
                place.copy_from_slice(&datagram);
            }
            *meta = header;
            inside.spare.give(datagram);
            count += 1;
        }
        Poll::Ready(Ok(count))
    }

    /// Something to wait with until the socket can be sent on. Each has its own waker.
    pub fn poller(&self) -> LanePoller {
        LanePoller { socket: self.0.clone(), waiting: None }
    }

    /// The address the socket is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// How many datagrams one `Transmit` may hold.
    pub fn max_transmit_segments(&self) -> usize {
        self.0.max_segments()
    }

    /// How many datagrams are behind one `RecvMeta`: one. So quinn takes a small receive buffer.
    pub const fn max_receive_segments(&self) -> usize {
        1
    }

    /// Whether the IP layer may fragment what is sent. It may not, where the system can forbid it: see [`SharedUdp`].
    pub fn may_fragment(&self) -> bool {
        self.0.may_fragment()
    }
}

impl fmt::Debug for QuicLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QuicLane").field(&self.0.local_addr().ok()).finish()
    }
}

/// Waits until a socket can be sent on.
pub struct LanePoller {
    socket: SharedUdp,
    waiting: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl LanePoller {
    /// Ready when the socket took something from its buffer.
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = &self.socket;
        let waiting = self.waiting.get_or_insert_with(|| {
            let socket = socket.clone();
            Box::pin(async move { socket.writable().await })
        });
        let outcome = waiting.as_mut().poll(cx);
        if outcome.is_ready() {
            self.waiting = None;
        }
        outcome
    }
}

impl fmt::Debug for LanePoller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LanePoller")
    }
}
