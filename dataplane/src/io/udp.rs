//! The one UDP socket of a family, shared by WireGuard, probes and QUIC.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
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
    /// None in an extra one, which is the driver's from the start.
    socket: Option<UdpSocket>,
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
        let (socket, state) = bind(address)?;
        enlarge_buffers(&SockRef::from(&socket));
        let socket = Some(socket);
        let inside = Inside { socket, state, registered: OnceLock::new(), mailbox: Mailbox::new() };
        Ok(Self(Arc::new(inside)))
    }

    /// One of many, with buffers as the system makes them and a single descriptor; registered with the runtime whose
    /// context we must be in.
    pub(super) fn bind_extra(address: SocketAddr) -> io::Result<Self> {
        let (socket, state) = bind(address)?;
        let registered = OnceLock::from(tokio::net::UdpSocket::from_std(socket)?);
        Ok(Self(Arc::new(Inside { socket: None, state, registered, mailbox: Mailbox::new() })))
    }

    /// It is to carry packets after all.
    pub(super) fn enlarge(&self) {
        if let Some(registered) = self.0.registered.get() {
            enlarge_buffers(&SockRef::from(registered));
        }
    }

    /// The address it is bound to, port filled in.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match (&self.0.socket, self.0.registered.get()) {
            (Some(socket), _) => socket.local_addr(),
            (None, Some(registered)) => registered.local_addr(),
            (None, None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// QUIC's share of it.
    pub fn quic_lane(&self) -> QuicLane {
        QuicLane::new(self.clone())
    }

    /// Register with the runtime of the driver, whose context we must be in. Once.
    pub(super) fn register(&self) -> io::Result<()> {
        let again = || io::Error::new(io::ErrorKind::AlreadyExists, "the socket already belongs to a driver");
        let socket = self.0.socket.as_ref().ok_or_else(again)?;
        let registered = tokio::net::UdpSocket::from_std(socket.try_clone()?)?;
        self.0.registered.set(registered).map_err(|_| again())
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.0.mailbox
    }

    pub(super) fn max_segments(&self) -> usize {
        self.0.state.max_gso_segments()
    }

    pub(super) fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match (self.0.registered.get(), &self.0.socket) {
            (Some(registered), _) => {
                registered.try_io(Interest::WRITABLE, || self.0.state.try_send(registered.into(), transmit))
            }
            (None, Some(socket)) => self.0.state.try_send(socket.into(), transmit),
            (None, None) => Err(io::ErrorKind::NotConnected.into()),
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
        match self.0.registered.get() {
            Some(registered) => {
                registered.try_io(Interest::READABLE, || self.0.state.recv(registered.into(), buffers, meta))
            }
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether a receive call is worth while; costs no system call.
    pub(super) fn is_readable(&self) -> bool {
        self.0.registered.get().is_some_and(|udp| udp.try_io(Interest::READABLE, || Ok(())).is_ok())
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

fn bind(address: SocketAddr) -> io::Result<(UdpSocket, UdpSocketState)> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    let state = UdpSocketState::new((&socket).into())?;
    allow_fragments(&socket, address.is_ipv6());
    Ok((socket, state))
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
fn enlarge_buffers(socket: &Socket) {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force};
        let forced = set_socket_recv_buffer_size_force(socket, BUFFER)
            .and_then(|()| set_socket_send_buffer_size_force(socket, BUFFER));
        if forced.is_ok() {
            return;
        }
    }
    let outcome = socket.set_recv_buffer_size(BUFFER).and_then(|()| socket.set_send_buffer_size(BUFFER));
    if let Err(error) = outcome {
        tracing::debug!(%error, "socket buffers stay as they are");
    }
}
