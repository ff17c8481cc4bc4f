//! The thread that moves packets: sockets and TUN device on one side, the engine on the other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use quinn_udp::RecvMeta;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant as Deadline, Sleep};

use super::clock;
use super::handle::{CommandFailed, Handle, Order};
use super::socket::{Socket, send};
use super::streams::Streams;
use super::tun::{Tun, is_gone};
use super::udp::{Losses, Sent, SharedUdp};
use crate::engine::{Drop as Reason, Engine, Event, Transmit, Via};
use crate::wg::Kind;

/// Commands that may wait.
const ORDERS: usize = 256;
/// Events that may wait for the daemon; more stay in the engine, which has its own bound.
const EVENTS: usize = 1024;
/// Buffers of one receive call; quinn-udp fills at most 32.
const BUFFERS: usize = 32;
/// Size of each, in bytes: the longest GRO buffer.
const BUFFER: usize = 1 << 16;
/// TUN reads in one turn. With offload each may be 64 KiB.
const TUN_READS: usize = 8;
/// Orders in one turn.
const ORDERS_PER_TURN: usize = 64;
/// Sleep when nothing is due. Any length would do.
const LONG: Duration = Duration::from_secs(3600);

/// The driver: starts the thread.
#[derive(Debug)]
pub struct Driver(());

impl Driver {
    /// Start the thread with these sockets, at most one a family. From now on QUIC flows through their lanes; for
    /// the rest attach an engine. Fails when the system has no thread or no epoll instance left.
    pub fn start(sockets: Vec<SharedUdp>) -> io::Result<(Handle, mpsc::Receiver<Event>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        {
            let _context = runtime.enter();
            sockets.iter().try_for_each(SharedUdp::register)?;
        }
        let (orders, inbox) = mpsc::channel(ORDERS);
        let (events, outbox) = mpsc::channel(EVENTS);
        let shared = |udp| Socket { number: 0, udp, blocked: VecDeque::new() };
        let sockets = sockets.into_iter().map(shared).collect();
        std::thread::Builder::new().name("warren-data".to_owned()).spawn(move || {
            let ended = runtime.block_on(async {
                let sleep = Box::pin(tokio::time::sleep(LONG));
                let buffers = vec![0; BUFFERS * BUFFER];
                let bench = Bench { buffers, meta: vec![RecvMeta::default(); BUFFERS], batch: Vec::new() };
                Turns { sockets, attached: None, inbox, events, sleep, bench }.run().await
            });
            drop(runtime);
            if let Some(ended) = ended {
                // Nobody waiting is fine too.
                let _ = ended.send(());
            }
        })?;
        Ok((Handle::new(orders), outbox))
    }
}

pub(super) struct Attached {
    pub(super) engine: Engine,
    streams: Streams,
    /// None once the device was taken away from us.
    tun: Option<Tun>,
    /// None once that was told.
    gone: Option<oneshot::Sender<io::Error>>,
}

/// Working memory.
struct Bench {
    buffers: Vec<u8>,
    meta: Vec<RecvMeta>,
    batch: Vec<Vec<u8>>,
}

pub(super) struct Turns {
    pub(super) sockets: Vec<Socket>,
    pub(super) attached: Option<Attached>,
    inbox: mpsc::Receiver<Order>,
    events: mpsc::Sender<Event>,
    sleep: Pin<Box<Sleep>>,
    bench: Bench,
}

type Ended = Option<oneshot::Sender<()>>;

impl Turns {
    async fn run(mut self) -> Ended {
        loop {
            let mut busy = false;
            for _ in 0..ORDERS_PER_TURN {
                match self.inbox.try_recv() {
                    Ok(order) => {
                        busy = true;
                        if let ControlFlow::Break(ended) = self.obey(order).await {
                            return ended;
                        }
                    }
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => return None,
                }
            }
            for socket in 0..self.sockets.len() {
                if self.receive(socket) {
                    busy = true;
                    self.flush().await;
                }
            }
            if let Some(Attached { engine, streams, .. }) = &mut self.attached {
                busy |= streams.receive(engine, clock::now());
                self.flush().await;
            }
            for _ in 0..TUN_READS {
                if !self.read_tun() {
                    break;
                }
                busy = true;
                self.flush().await;
            }
            self.check_time();
            self.flush().await;
            if busy {
                // Lets the reactor look, and then goes on.
                tokio::task::yield_now().await;
            } else if let ControlFlow::Break(ended) = self.idle().await {
                return ended;
            }
        }
    }

    async fn obey(&mut self, order: Order) -> ControlFlow<Ended> {
        // Whoever asked may have gone; then nobody misses the answer.
        match order {
            Order::Attach(both, answer) => {
                let (engine, tun) = *both;
                let opened = tun.open().map(|tun| {
                    let (gone, told) = oneshot::channel();
                    self.sockets.retain(|socket| socket.number == 0);
                    let streams = Streams::default();
                    self.attached = Some(Attached { engine, streams, tun: Some(tun), gone: Some(gone) });
                    told
                });
                let _ = answer.send(opened);
            }
            Order::Detach(answer) => {
                self.attached = None;
                self.sockets.retain(|socket| socket.number == 0);
                let _ = answer.send(());
            }
            Order::Command(command, answer) => {
                let outcome = match &mut self.attached {
                    Some(attached) => {
                        attached.engine.handle_command(command, clock::now()).map_err(Into::into)
                    }
                    None => Err(CommandFailed::Detached),
                };
                self.flush().await;
                let _ = answer.send(outcome);
            }
            Order::AddStream(stream, answer) => {
                let outcome = match &mut self.attached {
                    Some(Attached { engine, streams, .. }) => {
                        streams.add(*stream, engine, clock::now()).map_err(Into::into)
                    }
                    None => Err(CommandFailed::Detached),
                };
                self.flush().await;
                let _ = answer.send(outcome);
            }
            Order::Snapshot(answer) => {
                let _ = answer.send(self.attached.as_ref().map(|attached| attached.engine.snapshot()));
            }
            Order::Shutdown(answer) => return ControlFlow::Break(Some(answer)),
        }
        ControlFlow::Continue(())
    }

    /// One receive call on one socket. False: there was nothing.
    fn receive(&mut self, socket: usize) -> bool {
        let Some(Socket { number, udp, .. }) = self.sockets.get(socket).filter(|s| s.udp.is_readable())
        else {
            return false;
        };
        let socket = *number;
        let mut buffers: Vec<IoSliceMut<'_>> =
            self.bench.buffers.chunks_mut(BUFFER).map(IoSliceMut::new).collect();
        // An error that is not "nothing there" is an ICMP message about somebody else's datagram.
        let Ok(count) = udp.try_recv(&mut buffers, &mut self.bench.meta) else {
            return false;
        };
        let now = clock::now();
        for (buffer, meta) in self.bench.buffers.chunks(BUFFER).zip(&self.bench.meta).take(count) {
            let contents = buffer.get(..meta.len).unwrap_or_default();
            let stride = meta.stride.max(1);
            let from = Via::Socket { socket, address: meta.addr };
            // One buffer may hold QUIC and other datagrams in any order: hand on unbroken stretches of either.
            let is_quic = |datagram: &[u8]| socket == 0 && Kind::of(datagram) == Kind::Quic;
            let mut start = 0;
            for (index, datagram) in contents.chunks(stride).enumerate() {
                if !is_quic(datagram) {
                    continue;
                }
                let at = index * stride;
                deliver(&mut self.attached, from, contents.get(start..at), stride, now);
                udp.mailbox().push(meta, datagram);
                start = at + datagram.len();
            }
            deliver(&mut self.attached, from, contents.get(start..), stride, now);
        }
        count > 0
    }

    /// One read of the TUN device. False: there was nothing, or what was read before must be sent first.
    fn read_tun(&mut self) -> bool {
        let congested = self.sockets.iter().any(|socket| !socket.blocked.is_empty());
        let Some(Attached { engine, tun, gone, .. }) = &mut self.attached else {
            return false;
        };
        let Some(device) = tun.as_mut().filter(|_| !congested) else {
            return false;
        };
        match device.try_recv() {
            Ok(()) => {
                engine.handle_tun(device.packets(), clock::now());
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => {
                if is_gone(&error) {
                    *tun = None;
                    if let Some(gone) = gone.take() {
                        // Nobody listening is nobody to tell.
                        let _ = gone.send(error);
                    }
                } else {
                    tracing::debug!(%error, "a TUN read failed");
                    engine.count(Reason::OutboundMalformed, 1);
                }
                false
            }
        }
    }

    fn check_time(&mut self) {
        if let Some(Attached { engine, .. }) = &mut self.attached {
            let now = clock::now();
            if engine.poll_timeout().is_some_and(|(at, _)| at <= now) {
                engine.handle_timeout(now);
            }
        }
    }

    /// Carry away everything the engine made.
    async fn flush(&mut self) {
        self.mind_sockets();
        for socket in &mut self.sockets {
            while let Some(run) = socket.blocked.pop_front() {
                match socket.udp.send_run(&run) {
                    Sent::Done(losses) => {
                        if let Some(Attached { engine, .. }) = &mut self.attached {
                            settle(engine, run, losses);
                        }
                    }
                    Sent::Blocked => {
                        socket.blocked.push_front(run);
                        break;
                    }
                }
            }
        }
        let Some(Attached { engine, streams, tun, .. }) = &mut self.attached else {
            return;
        };
        while let Some(run) = engine.poll_transmit() {
            match run.destination {
                Via::Stream { .. } => streams.send(run, engine),
                Via::Socket { .. } => send(&mut self.sockets, engine, run),
            }
        }
        let batch = &mut self.bench.batch;
        while let Some(packet) = engine.poll_tun() {
            batch.push(packet);
        }
        if let Some(tun) = tun.as_mut().filter(|_| !batch.is_empty())
            && let Err(error) = tun.send(batch).await
        {
            tracing::trace!(%error, "the TUN device refused packets");
            engine.count(Reason::TunFailed, 1);
        }
        batch.drain(..).for_each(|packet| engine.recycle(packet));
        while let Ok(place) = self.events.try_reserve() {
            match engine.poll_event() {
                Some(event) => place.send(event),
                None => break,
            }
        }
    }

    /// Sleep until there is something to do.
    async fn idle(&mut self) -> ControlFlow<Ended> {
        let due = self.attached.as_ref().and_then(|attached| attached.engine.poll_timeout());
        let pause = due.map_or(LONG, |(at, _)| at.saturating_duration_since(clock::now()));
        self.sleep.as_mut().reset(Deadline::now() + pause.min(LONG));
        let congested = self.sockets.iter().any(|socket| !socket.blocked.is_empty());
        let sockets = &self.sockets;
        let socket_ready = poll_fn(|cx| {
            // Poll all of them, so that each has our waker.
            let ready = sockets.iter().filter(|socket| {
                let readable = socket.udp.poll_recv_ready(cx).is_ready();
                let writable = !socket.blocked.is_empty() && socket.udp.poll_send_ready(cx).is_ready();
                readable || writable
            });
            if ready.count() > 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        let (tun, streams) = match &mut self.attached {
            Some(Attached { tun, streams, .. }) => (tun.as_mut().filter(|_| !congested), Some(streams)),
            None => (None, None),
        };
        let stream_ready = async {
            match streams {
                Some(streams) => poll_fn(|cx| streams.poll_ready(cx)).await,
                None => std::future::pending().await,
            }
        };
        let tun_ready = async {
            match tun {
                // The read that follows finds out about errors.
                Some(tun) => tun.readable().await.unwrap_or(()),
                None => std::future::pending().await,
            }
        };
        let order = tokio::select! {
            order = self.inbox.recv() => order,
            () = socket_ready => return ControlFlow::Continue(()),
            () = stream_ready => return ControlFlow::Continue(()),
            () = tun_ready => return ControlFlow::Continue(()),
            () = self.sleep.as_mut() => return ControlFlow::Continue(()),
        };
        match order {
            Some(order) => self.obey(order).await,
            None => ControlFlow::Break(None),
        }
    }
}

fn deliver(
    attached: &mut Option<Attached>,
    from: Via,
    datagrams: Option<&[u8]>,
    stride: usize,
    now: std::time::Instant,
) {
    if let (Some(Attached { engine, .. }), Some(datagrams @ [_, ..])) = (attached, datagrams) {
        engine.handle_datagrams(from, datagrams, stride, now);
    }
}

/// Tell the engine what became of a run.
pub(super) fn settle(engine: &mut Engine, run: Transmit, losses: Losses) {
    engine.count(Reason::SendFailed, losses.failed);
    engine.count(Reason::SendTooBig, losses.too_big);
    if losses.too_big > 0 {
        engine.handle_too_big(&run, losses.size, clock::now());
    }
    engine.recycle(run.contents);
}
