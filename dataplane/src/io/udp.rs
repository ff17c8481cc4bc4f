//! The one UDP socket of a family, shared by WireGuard, probes and QUIC.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
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

/// The descriptor: registered from the start in an extra socket, which then needs no second one.
enum Descriptor {
    Bare(UdpSocket),
    Registered(tokio::net::UdpSocket),
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Bare(socket) => socket.as_fd(),
            Self::Registered(socket) => socket.as_fd(),
        }
    }
}

struct Inside {
    socket: Descriptor,
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
        let socket = bind(address)?;
        enlarge_buffers(&SockRef::from(&socket));
        Self::of(Descriptor::Bare(socket))
    }

    /// One of many, with buffers as the system makes them; registered with the runtime whose context we must be in.
    pub(super) fn bind_extra(address: SocketAddr) -> io::Result<Self> {
        let socket = bind(address)?;
        socket.set_nonblocking(true)?;
        Self::of(Descriptor::Registered(tokio::net::UdpSocket::from_std(socket)?))
    }

    fn of(socket: Descriptor) -> io::Result<Self> {
        let state = RwLock::new(UdpSocketState::new((&socket).into())?);
        Ok(Self(Arc::new(Inside { socket, state, registered: OnceLock::new(), mailbox: Mailbox::new() })))
    }

    /// An extra one is to carry packets after all.
    pub(super) fn enlarge(&self) {
        enlarge_buffers(&SockRef::from(&self.0.socket));
    }

    /// The address it is bound to, port filled in.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0.socket {
            Descriptor::Bare(socket) => socket.local_addr(),
            Descriptor::Registered(socket) => socket.local_addr(),
        }
    }

    /// QUIC's share of it.
    pub fn quic_lane(&self) -> QuicLane {
        QuicLane::new(self.clone())
    }

    /// Register with the runtime of the driver, whose context we must be in. Once.
    pub(super) fn register(&self) -> io::Result<()> {
        let again = || io::Error::new(io::ErrorKind::AlreadyExists, "the socket already belongs to a driver");
        let Descriptor::Bare(socket) = &self.0.socket else { return Err(again()) };
        let registered = tokio::net::UdpSocket::from_std(socket.try_clone()?)?;
        self.0.registered.set(registered).map_err(|_| again())
    }

    fn registered(&self) -> Option<&tokio::net::UdpSocket> {
        match &self.0.socket {
            Descriptor::Bare(_) => self.0.registered.get(),
            Descriptor::Registered(socket) => Some(socket),
        }
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
        let send = || state.try_send((&self.0.socket).into(), transmit);
        match self.registered() {
            Some(registered) => registered.try_io(Interest::WRITABLE, send),
            None => send(),
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
        let state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        let v6 = destination.is_ipv6();
        fragment(&self.0.socket, v6, true);
        let single = |datagram| {
            state.try_send((&self.0.socket).into(), &transmit(destination, datagram, None)).is_err()
        };
        let failed = run.segments().filter(|datagram| single(datagram)).count();
        fragment(&self.0.socket, v6, false);
        Sent::Done(Losses { failed, ..Losses::default() })
    }

    fn renew_state(&self) {
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(renewed) = UdpSocketState::new((&self.0.socket).into()) {
            *state = renewed;
        }
    }

    pub(super) fn try_recv(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> io::Result<usize> {
        let state = self.state();
        let receive = || state.recv((&self.0.socket).into(), buffers, meta);
        match self.registered() {
            Some(registered) => registered.try_io(Interest::READABLE, receive),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether a receive call is worth while; costs no system call.
    pub(super) fn is_readable(&self) -> bool {
        self.registered().is_some_and(|udp| udp.try_io(Interest::READABLE, || Ok(())).is_ok())
    }

    /// For the driver alone: there is one place for a waker.
    pub(super) fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.registered().map_or(Poll::Pending, |registered| registered.poll_recv_ready(cx))
    }

    /// For the driver alone: there is one place for a waker.
    pub(super) fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.registered().map_or(Poll::Pending, |registered| registered.poll_send_ready(cx))
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        match self.registered() {
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

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
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
fn fragment(socket: &Descriptor, v6: bool, may: bool) {
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
fn fragment(_socket: &Descriptor, _v6: bool, _may: bool) {}

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
