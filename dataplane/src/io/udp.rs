//! The one UDP socket of a family, shared by WireGuard, probes and QUIC.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};
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
/// Datagrams are never fragmented on their way ("don't fragment" is on, and the kernel's own idea of a path's MTU is not
/// asked, `IP_PMTUDISC_PROBE`): WireGuard's are as long as the engine found to pass, and QUIC finds out for itself. The
/// exception are the few that are marked so ([`engine::Transmit::may_fragment`]).
///
/// The address is not shared with another process (no `SO_REUSEADDR`): a taken port is an error of kind `AddrInUse`.
#[derive(Clone)]
pub struct SharedUdp(Arc<Inside>);

struct Inside {
    /// None in an extra one, which is the driver's from the start.
    socket: Option<UdpSocket>,
    /// Read to send; written while other options hold for a moment.
    state: RwLock<UdpSocketState>,
    /// The same socket registered with the driver's runtime, once there is one.
    registered: OnceLock<tokio::net::UdpSocket>,
    mailbox: Mailbox,
}

/// What became of a run of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The kernel has all but these.
    Done(Losses),
    /// The socket buffer is full; nothing was sent.
    Blocked,
}

/// What the kernel did not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// So many for this reason or that,
    pub(super) failed: usize,
    /// and so many because they are longer than the link.
    pub(super) too_big: usize,
    /// The length of the shortest of those.
    pub(super) size: usize,
}

impl SharedUdp {
    /// Bind to `address`. An IPv6 socket is for IPv6 only.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let (socket, state) = bind(address)?;
        enlarge_buffers(&SockRef::from(&socket));
        let socket = Some(socket);
        let state = RwLock::new(state);
        let inside = Inside { socket, state, registered: OnceLock::new(), mailbox: Mailbox::new() };
        Ok(Self(Arc::new(inside)))
    }

    /// One of many, with buffers as the system makes them and a single descriptor; registered with the runtime whose
    /// context we must be in.
    pub(super) fn bind_extra(address: SocketAddr) -> io::Result<Self> {
        let (socket, state) = bind(address)?;
        let registered = OnceLock::from(tokio::net::UdpSocket::from_std(socket)?);
        let state = RwLock::new(state);
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
        self.state().max_gso_segments()
    }

    pub(super) fn may_fragment(&self) -> bool {
        self.state().may_fragment()
    }

    fn state(&self) -> RwLockReadGuard<'_, UdpSocketState> {
        // Nothing panics with the lock in hand, so a poisoned one still guards whole data.
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let state = self.state();
        match (self.0.registered.get(), &self.0.socket) {
            (Some(registered), _) => {
                registered.try_io(Interest::WRITABLE, || state.try_send(registered.into(), transmit))
            }
            (None, Some(socket)) => state.try_send(socket.into(), transmit),
            (None, None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Send a run with one system call if the kernel can, else datagram by datagram.
    pub(super) fn send_run(&self, run: &engine::Transmit) -> Sent {
        let segments = run.contents.len().div_ceil(run.segment_size.max(1));
        let Some(destination) = run.destination.address() else {
            return Sent::Done(Losses { failed: segments, ..Losses::default() });
        };
        if run.may_fragment {
            return self.send_in_fragments(destination, run);
        }
        let could_segment = self.max_segments() > 1;
        if segments <= self.max_segments() {
            match self.try_send(&transmit(destination, &run.contents, Some(run.segment_size))) {
                Ok(()) => return Sent::Done(Losses::default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Blocked,
                // The link is too narrow, or it cannot segment: the datagrams alone tell which.
                Err(error) => tracing::trace!(%error, "run refused, sending its datagrams one by one"),
            }
        }
        let sent = self.send_singly(destination, run);
        if sent.too_big > 0 && could_segment && self.max_segments() == 1 {
            // Some kernels call a run for a link that is too narrow "invalid" (`udp_send_skb`), and quinn-udp
            // gives up segmentation for that.
            self.renew_state();
        }
        Sent::Done(sent)
    }

    fn send_singly(&self, destination: SocketAddr, run: &engine::Transmit) -> Losses {
        let mut losses = Losses::default();
        for datagram in run.segments() {
            match self.try_send(&transmit(destination, datagram, None)) {
                Ok(()) => {}
                Err(error) if is_too_big(&error) => {
                    // The shortest that is too long tells most.
                    let shorter = losses.too_big == 0 || datagram.len() < losses.size;
                    losses.size = if shorter { datagram.len() } else { losses.size };
                    losses.too_big += 1;
                }
                Err(_) => losses.failed += 1,
            }
        }
        losses
    }

    /// Options are those of the socket, not of a datagram; meanwhile QUIC must not send, or what it learns would be wrong.
    fn send_in_fragments(&self, destination: SocketAddr, run: &engine::Transmit) -> Sent {
        let Some(socket) = self.socket() else {
            return Sent::Done(Losses { failed: run.segments().count(), ..Losses::default() });
        };
        let state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        let v6 = destination.is_ipv6();
        fragment(&socket, v6, true);
        let single =
            |datagram| state.try_send((&*socket).into(), &transmit(destination, datagram, None)).is_err();
        let failed = run.segments().filter(|datagram| single(datagram)).count();
        fragment(&socket, v6, false);
        Sent::Done(Losses { failed, ..Losses::default() })
    }

    fn renew_state(&self) {
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(renewed)) = self.socket().map(|socket| UdpSocketState::new((&*socket).into())) {
            *state = renewed;
        }
    }

    /// The socket, whoever holds it.
    fn socket(&self) -> Option<SockRef<'_>> {
        match (&self.0.socket, self.0.registered.get()) {
            (Some(socket), _) => Some(SockRef::from(socket)),
            (None, Some(registered)) => Some(SockRef::from(registered)),
            (None, None) => None,
        }
    }

    pub(super) fn try_recv(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> io::Result<usize> {
        let state = self.state();
        match self.0.registered.get() {
            Some(registered) => {
                registered.try_io(Interest::READABLE, || state.recv(registered.into(), buffers, meta))
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
    Ok((socket, state))
}

fn transmit(destination: SocketAddr, contents: &[u8], segment_size: Option<usize>) -> Transmit<'_> {
    let segment_size = segment_size.filter(|size| *size < contents.len());
    Transmit { destination, ecn: None, contents, segment_size, src_ip: None }
}

/// Whether the kernel said that a datagram is longer than the link, or than UDP can carry.
pub(super) fn is_too_big(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}

/// Let what is sent from now on be fragmented, or (as `UdpSocketState::new` has set it) not. Elsewhere than on Linux it
/// stays as it is, and what is too long is lost.
#[cfg(target_os = "linux")]
fn fragment(socket: &Socket, v6: bool, may: bool) {
    use nix::sys::socket::{setsockopt, sockopt::Ipv6DontFrag};
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };
    let outcome = if v6 {
        let mode = if may { Ipv6PathMtuDiscovery::DONT } else { Ipv6PathMtuDiscovery::PROBE };
        set_ipv6_mtu_discover(socket, mode)
            .map_err(io::Error::from)
            .and_then(|()| setsockopt(socket, Ipv6DontFrag, &!may).map_err(io::Error::from))
    } else {
        let mode = if may { Ipv4PathMtuDiscovery::DONT } else { Ipv4PathMtuDiscovery::PROBE };
        set_ip_mtu_discover(socket, mode).map_err(io::Error::from)
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, may, "fragmentation cannot be switched; long datagrams may be lost");
    }
}

#[cfg(not(target_os = "linux"))]
fn fragment(_socket: &Socket, _v6: bool, _may: bool) {}

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
