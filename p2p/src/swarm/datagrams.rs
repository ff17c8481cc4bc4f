//! Datagrams over a control connection, for networks that let no UDP through.
//!
//! Where the only connection with a member is TCP, the side that called opens one stream on it, and the dataplane of
//! both gets the two ends of a pair of channels. What goes in are whole datagrams, WireGuard's and the path agent's; on
//! the wire each stands behind its length ([`frame`]).
//!
//! A stream is reliable, and what it carries is not supposed to be: a queue that never drops delays everything behind
//! it. So both queues are short, and whoever finds one full drops its datagram, as a router does.
//!
//! The stream lives as long as its connection. That UDP works again is for the path agent to notice.

pub mod frame;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams, OpenStreamError};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use crate::identity::DeviceId;
use frame::Decoder;

/// Datagrams that wait to be written, and to be taken: about 10 ms at 300 Mbit/s.
const QUEUE: usize = 256;
/// Bytes written, or read, at once.
const BATCH: usize = 64 * 1024;

/// The dataplane's side of a stream of datagrams. It ends when either channel does.
#[derive(Debug)]
pub struct DatagramStream {
    /// What goes to the peer. When it is full, drop.
    pub outgoing: mpsc::Sender<Vec<u8>>,
    /// What came from the peer.
    pub incoming: mpsc::Receiver<Vec<u8>>,
}

/// A [`DatagramStream`] on its way to the one who takes it first.
#[derive(Clone)]
pub struct Handover(Arc<Mutex<Option<DatagramStream>>>);

impl Handover {
    /// The stream, unless somebody has it already.
    pub fn take(&self) -> Option<DatagramStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handover")
    }
}

/// What happened to streams.
pub(super) enum Happened {
    /// One stands.
    Opened(DeviceId, Handover),
    /// The stream that we wanted does not stand.
    Failed(DeviceId, OpenStreamError),
    /// A stream ended.
    Ended(DeviceId),
    /// A member does not keep to the protocol.
    Nonsense(DeviceId),
}

enum Done {
    Dialled(DeviceId, Result<Stream, OpenStreamError>),
    Carried(DeviceId, u64, bool),
}

/// The streams of a member.
pub(super) struct Streams {
    protocol: StreamProtocol,
    control: Control,
    incoming: IncomingStreams,
    tasks: JoinSet<Done>,
    carrying: BTreeMap<DeviceId, (u64, AbortHandle)>,
    count: u64,
}

impl Streams {
    /// No streams yet. The protocol must not be in use on this control.
    pub(super) fn new(mut control: Control, protocol: StreamProtocol) -> Self {
        let incoming = control.accept(protocol.clone()).expect("asked for once");
        Self { protocol, control, incoming, tasks: JoinSet::new(), carrying: BTreeMap::new(), count: 0 }
    }

    /// Opens one to a connected member.
    pub(super) fn open(&mut self, peer: DeviceId) {
        let (mut control, protocol) = (self.control.clone(), self.protocol.clone());
        self.tasks.spawn(async move {
            Done::Dialled(peer, control.open_stream(peer.to_peer_id(), protocol).await)
        });
    }

    /// Ends the stream with a member.
    pub(super) fn close(&mut self, peer: &DeviceId) {
        if let Some((_, task)) = self.carrying.remove(peer) {
            task.abort();
        }
    }

    /// Ends the streams with whoever is no member any more.
    pub(super) fn retain(&mut self, may: impl Fn(&DeviceId) -> bool) {
        for (_, (_, task)) in self.carrying.extract_if(.., |peer, _| !may(peer)) {
            task.abort();
        }
    }

    /// The next thing that happens. Safe to drop half-way.
    pub(super) async fn next(&mut self) -> Happened {
        loop {
            tokio::select! {
                Some((peer, stream)) = self.incoming.next() => {
                    if let Some(happened) = self.came(&peer, stream) {
                        return happened;
                    }
                }
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => match done {
                    Ok(Done::Dialled(peer, Ok(stream))) => return self.carry(peer, stream),
                    Ok(Done::Dialled(peer, Err(error))) => return Happened::Failed(peer, error),
                    Ok(Done::Carried(peer, number, honest)) => {
                        if self.carrying.get(&peer).is_some_and(|(current, _)| *current == number) {
                            self.carrying.remove(&peer);
                            return if honest { Happened::Ended(peer) } else { Happened::Nonsense(peer) };
                        }
                    }
                    // Ended by us.
                    Err(_) => {}
                },
                else => std::future::pending().await,
            }
        }
    }

    fn came(&mut self, peer: &PeerId, stream: Stream) -> Option<Happened> {
        DeviceId::from_peer_id(peer).map(|peer| self.carry(peer, stream))
    }

    /// Puts a stream to use; an older one with the same member gives way.
    fn carry(&mut self, peer: DeviceId, stream: Stream) -> Happened {
        let (outgoing, to_write) = mpsc::channel(QUEUE);
        let (came, incoming) = mpsc::channel(QUEUE);
        self.count += 1;
        let number = self.count;
        let task = self.tasks.spawn(async move {
            let (reader, writer) = stream.split();
            let honest = tokio::select! {
                () = write(writer, to_write) => true,
                honest = read(reader, came) => honest,
            };
            Done::Carried(peer, number, honest)
        });
        if let Some((_, before)) = self.carrying.insert(peer, (number, task)) {
            before.abort();
        }
        Happened::Opened(peer, Handover(Arc::new(Mutex::new(Some(DatagramStream { outgoing, incoming })))))
    }
}

async fn write(mut writer: impl futures::AsyncWrite + Unpin, mut queue: mpsc::Receiver<Vec<u8>>) {
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(first) = queue.recv().await {
        batch.clear();
        frame::append(&first, &mut batch);
        while batch.len() < BATCH
            && let Ok(next) = queue.try_recv()
        {
            frame::append(&next, &mut batch);
        }
        if writer.write_all(&batch).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    // Both ends see the end of the connection; a failure here says that it is over already.
    let _ = writer.close().await;
}

/// False when the peer sent what is no datagram.
async fn read(mut reader: impl futures::AsyncRead + Unpin, came: mpsc::Sender<Vec<u8>>) -> bool {
    let mut decoder = Decoder::default();
    let mut bytes = vec![0; BATCH];
    loop {
        let count = tokio::select! {
            read = reader.read(&mut bytes) => match read {
                Ok(0) | Err(_) => return true,
                Ok(count) => count,
            },
            () = came.closed() => return true,
        };
        decoder.push(bytes.get(..count).unwrap_or_default());
        loop {
            match decoder.datagram() {
                // Full: the datagram is dropped.
                Ok(Some(datagram)) => drop(came.try_send(datagram)),
                Ok(None) => break,
                Err(_) => return false,
            }
        }
    }
}
