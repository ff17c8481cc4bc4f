//! A TUN device in memory: the other end is a test or a program, not a kernel.

use std::io;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

/// Packets in either direction that may wait.
const CAPACITY: usize = 512;

/// The end a test holds: what a kernel would see of the device.
#[derive(Debug)]
pub struct MemoryTun {
    into: mpsc::Sender<Vec<u8>>,
    from: mpsc::Receiver<Vec<u8>>,
}

impl MemoryTun {
    /// Let the driver read a packet from the device. False when the device is gone.
    pub async fn send(&self, packet: Vec<u8>) -> bool {
        self.into.send(packet).await.is_ok()
    }

    /// The next packet the driver wrote to the device. None when the device is gone.
    pub async fn recv(&mut self) -> Option<Vec<u8>> {
        self.from.recv().await
    }
}

/// The end a driver holds.
#[derive(Debug)]
pub(super) struct DriverEnd {
    from: mpsc::Receiver<Vec<u8>>,
    into: mpsc::Sender<Vec<u8>>,
    /// A packet that arrived while nobody was reading.
    early: Option<Vec<u8>>,
}

pub(super) fn pair() -> (DriverEnd, MemoryTun) {
    let (to_driver, from_outside) = mpsc::channel(CAPACITY);
    let (to_outside, from_driver) = mpsc::channel(CAPACITY);
    let driver = DriverEnd { from: from_outside, into: to_outside, early: None };
    (driver, MemoryTun { into: to_driver, from: from_driver })
}

impl DriverEnd {
    /// The errors are those of a kernel's device: nothing there, or the device was deleted.
    pub(super) fn try_recv(&mut self) -> io::Result<Vec<u8>> {
        if let Some(early) = self.early.take() {
            return Ok(early);
        }
        self.from.try_recv().map_err(|error| match error {
            mpsc::error::TryRecvError::Empty => io::ErrorKind::WouldBlock.into(),
            mpsc::error::TryRecvError::Disconnected => rustix::io::Errno::BADFD.into(),
        })
    }

    /// Ready when `try_recv` has something to say.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.early.is_some() {
            return Poll::Ready(());
        }
        self.from.poll_recv(cx).map(|packet| self.early = packet)
    }

    /// False: the other end is full or gone.
    pub(super) fn try_send(&self, packet: &[u8]) -> bool {
        self.into.try_send(packet.to_vec()).is_ok()
    }
}
