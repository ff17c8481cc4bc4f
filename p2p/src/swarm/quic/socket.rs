//! A socket lent to one endpoint: when the lease ends, the endpoint stops reading and the next one may start.
//!
//! Without this, a dropped endpoint would go on taking packets from the shared socket for as long as its last
//! connections drain, and the packets of the endpoint after it would be lost there.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};

/// The socket as one endpoint sees it.
#[derive(Debug)]
pub(super) struct Lease {
    socket: Arc<dyn AsyncUdpSocket>,
    ended: AtomicBool,
}

impl Lease {
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>) -> Arc<Self> {
        Arc::new(Self { socket, ended: AtomicBool::new(false) })
    }

    /// Stops reading for good. Sending still works, so that "connection closed" goes out.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

impl AsyncUdpSocket for Lease {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if self.ended.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.socket.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
