//! Streams over TCP as the driver sees them: two channels of whole datagrams each.
//!
//! Framing and connections are somebody else's. Here nothing waits: what does not fit into a channel is dropped, as a full
//! socket buffer drops, because a datagram that comes late is worse than one that does not come. A channel that closes on
//! either side ends its stream.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::mpsc::{Receiver, Sender};

use crate::engine::{CommandError, Drop as Reason, Engine, Transmit, Via};
use crate::wg::PublicKey;

/// Datagrams taken from one stream in one turn.
const PER_TURN: usize = 64;

/// A stream to be carried.
#[derive(Debug)]
pub(super) struct NewStream {
    pub(super) peer: PublicKey,
    pub(super) address: SocketAddr,
    pub(super) outgoing: Sender<Vec<u8>>,
    pub(super) incoming: Receiver<Vec<u8>>,
}

/// The streams of one engine.
#[derive(Debug, Default)]
pub(super) struct Streams {
    next: u64,
    open: BTreeMap<u64, Stream>,
}

#[derive(Debug)]
struct Stream {
    outgoing: Sender<Vec<u8>>,
    incoming: Receiver<Vec<u8>>,
    /// Came while the driver slept.
    first: Option<Vec<u8>>,
    ended: bool,
}

impl Stream {
    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        match self.incoming.try_recv() {
            Ok(datagram) => Some(datagram),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.ended = true;
                None
            }
        }
    }
}

impl Streams {
    /// Let the engine use a stream.
    pub(super) fn add(
        &mut self,
        stream: NewStream,
        engine: &mut Engine,
        now: Instant,
    ) -> Result<(), CommandError> {
        let NewStream { peer, address, outgoing, incoming } = stream;
        engine.add_stream(&peer, self.next, address, now)?;
        self.open.insert(self.next, Stream { outgoing, incoming, first: None, ended: false });
        self.next += 1;
        Ok(())
    }

    /// Send a run, as far as there is room.
    pub(super) fn send(&mut self, run: Transmit, engine: &mut Engine) {
        let Via::Stream { id } = run.destination else { return };
        let mut lost = 0;
        for datagram in run.segments() {
            let Some(stream) = self.open.get_mut(&id) else {
                lost += 1;
                continue;
            };
            match stream.outgoing.try_send(datagram.to_vec()) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => lost += 1,
                Err(TrySendError::Closed(_)) => {
                    stream.ended = true;
                    lost += 1;
                }
            }
        }
        engine.count(Reason::StreamFull, lost);
        engine.recycle(run.contents);
    }

    /// Hand the engine what came, a bounded share of each stream. False: there was nothing.
    pub(super) fn receive(&mut self, engine: &mut Engine, now: Instant) -> bool {
        let mut any = false;
        for (id, stream) in &mut self.open {
            for _ in 0..PER_TURN {
                let Some(datagram) = stream.next() else { break };
                any = true;
                engine.handle_datagram(Via::Stream { id: *id }, &datagram, now);
            }
        }
        self.open.retain(|id, stream| {
            if stream.ended {
                any = true;
                engine.remove_stream(*id, now);
            }
            !stream.ended
        });
        any
    }

    /// Ready when [`Self::receive`] has something to do.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ready = false;
        // Poll all of them, so that each has our waker.
        for stream in self.open.values_mut() {
            if stream.first.is_none() && !stream.ended {
                match stream.incoming.poll_recv(cx) {
                    Poll::Ready(Some(datagram)) => stream.first = Some(datagram),
                    Poll::Ready(None) => stream.ended = true,
                    Poll::Pending => {}
                }
            }
            ready |= stream.first.is_some() || stream.ended;
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }
}
