//! The one UDP socket of a family, shared by WireGuard, probes and QUIC.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;

use super::lane::{Mailbox, QuicLane};
use crate::engine;

/// Wanted size of the kernel's buffers, in bytes: what wireguard-go asks for; about 40 ms at 1.4 Gbit/s.
const BUFFER: usize = 7 << 20;

/// A UDP socket that several protocols use.
///
/// Datagrams may be fragmented on their way ("don't fragment" is off): WireGuard datagrams are as large as the MTU
/// of the mesh makes them, and until path MTUs are searched for, a fragmented datagram is better than a lost one.
///
/// The address is not shared with another process (no `SO_REUSEADDR`): a taken port is an error of kind `AddrInUse`.
#[derive(Clone)]
pub struct SharedUdp(Arc<Inside>);

struct Inside {
    socket: UdpSocket,
    state: UdpSocketState,
    /// The same socket registered with the driver's runtime, once there is one.
    registered: OnceLock<tokio::net::UdpSocket>,
    mailbox: Mailbox,
}

/// What became of a run of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The kernel has all but this many.
    Done { lost: usize },
    /// The socket buffer is full; nothing was sent.
    Blocked,
}

impl SharedUdp {
    /// Bind to `address`. An IPv6 socket is for IPv6 only.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        let state = UdpSocketState::new((&socket).into())?;
        allow_fragments(&socket, address.is_ipv6());
        enlarge_buffers(&socket);
        let inside = Inside { socket, state, registered: OnceLock::new(), mailbox: Mailbox::new() };
        Ok(Self(Arc::new(inside)))
    }

    /// The address it is bound to, port filled in.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket.local_addr()
    }

    /// QUIC's share of it.
    pub fn quic_lane(&self) -> QuicLane {
        QuicLane::new(self.clone())
    }

    /// Register with the runtime of the driver, whose context we must be in. Once.
    pub(super) fn register(&self) -> io::Result<()> {
        let registered = tokio::net::UdpSocket::from_std(self.0.socket.try_clone()?)?;
        let again =
            |_| io::Error::new(io::ErrorKind::AlreadyExists, "the socket already belongs to a driver");
        self.0.registered.set(registered).map_err(again)
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.0.mailbox
    }

    pub(super) fn max_segments(&self) -> usize {
        self.0.state.max_gso_segments()
    }

    pub(super) fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let send = || self.0.state.try_send((&self.0.socket).into(), transmit);
        match self.0.registered.get() {
            Some(registered) => registered.try_io(Interest::WRITABLE, send),
            None => send(),
        }
    }

    /// Send a run with one system call if the kernel can, else datagram by datagram.
    pub(super) fn send_run(&self, run: &engine::Transmit) -> Sent {
        let segments = run.contents.len().div_ceil(run.segment_size.max(1));
        let Some(destination) = run.destination.address() else {
            return Sent::Done { lost: segments };
        };
        if segments <= self.max_segments() {
            match self.try_send(&transmit(destination, &run.contents, Some(run.segment_size))) {
                Ok(()) => return Sent::Done { lost: 0 },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Blocked,
                // A segment longer than the MTU of the link is refused in a run, but fragmented when sent
                // alone (`udp_send_skb` in the kernel). The same errors mean a driver that cannot segment.
                Err(error) if segments > 1 => {
                    tracing::trace!(%error, "run refused, sending its datagrams one by one");
                }
                Err(_) => return Sent::Done { lost: segments },
            }
        }
        let single = |datagram| self.try_send(&transmit(destination, datagram, None)).is_err();
        Sent::Done { lost: run.segments().filter(|datagram| single(datagram)).count() }
    }

    pub(super) fn try_recv(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> io::Result<usize> {
        let receive = || self.0.state.recv((&self.0.socket).into(), buffers, meta);
        match self.0.registered.get() {
            Some(registered) => registered.try_io(Interest::READABLE, receive),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// For the driver alone: there is one place for a waker.
    pub(super) fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.registered.get().map_or(Poll::Pending, |registered| registered.poll_recv_ready(cx))
    }

    /// For the driver alone: there is one place for a waker.
    pub(super) fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.registered.get().map_or(Poll::Pending, |registered| registered.poll_send_ready(cx))
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        match self.0.registered.get() {
            Some(registered) => registered.writable().await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for SharedUdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedUdp").field(&self.local_addr().ok()).finish()
    }
}

fn transmit(destination: SocketAddr, contents: &[u8], segment_size: Option<usize>) -> Transmit<'_> {
    let segment_size = segment_size.filter(|size| *size < contents.len());
    Transmit { destination, ecn: None, contents, segment_size, src_ip: None }
}

/// `UdpSocketState::new` forbids fragments; allow them again. What the platform lacks it does not need.
#[cfg(target_os = "linux")]
fn allow_fragments(socket: &UdpSocket, v6: bool) {
    use nix::sys::socket::{setsockopt, sockopt::Ipv6DontFrag};
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };
    let outcome = if v6 {
        set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DONT)
            .map_err(io::Error::from)
            .and_then(|()| setsockopt(socket, Ipv6DontFrag, &false).map_err(io::Error::from))
    } else {
        set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT).map_err(io::Error::from)
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "datagrams cannot be fragmented; large ones may be lost");
    }
}

#[cfg(not(target_os = "linux"))]
fn allow_fragments(_socket: &UdpSocket, _v6: bool) {}

/// Best effort: with CAP_NET_ADMIN as asked, else up to the system's limit.
fn enlarge_buffers(socket: &UdpSocket) {
    let limited = socket2::SockRef::from(socket);
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force};
        let forced = set_socket_recv_buffer_size_force(socket, BUFFER)
            .and_then(|()| set_socket_send_buffer_size_force(socket, BUFFER));
        if forced.is_ok() {
            return;
        }
    }
    let outcome = limited.set_recv_buffer_size(BUFFER).and_then(|()| limited.set_send_buffer_size(BUFFER));
    if let Err(error) = outcome {
        tracing::debug!(%error, "socket buffers stay as they are");
    }
}
