//! How the daemon speaks to the driver thread.

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};

use super::streams::NewStream;
use super::tun::TunDevice;
use crate::engine::{Command, CommandError, Engine, Snapshot};
use crate::wg::PublicKey;

/// The driver thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dataplane has stopped")]
pub struct Stopped;

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandFailed {
    /// There is no driver any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// There is no engine at the moment.
    #[error("this device is in no mesh: no engine is attached")]
    Detached,
    /// The engine refused.
    #[error(transparent)]
    Refused(#[from] CommandError),
}

/// Tells when the kernel takes an attached TUN device away, because somebody removed the interface. Closes without a
/// word when the device is detached.
pub type TunGone = oneshot::Receiver<std::io::Error>;

/// What the driver is asked.
#[derive(Debug)]
pub(super) enum Order {
    Attach(Box<(Engine, TunDevice)>, oneshot::Sender<std::io::Result<TunGone>>),
    Detach(oneshot::Sender<()>),
    Command(Command, oneshot::Sender<Result<(), CommandFailed>>),
    AddStream(Box<NewStream>, oneshot::Sender<Result<(), CommandFailed>>),
    Snapshot(oneshot::Sender<Option<Snapshot>>),
    Shutdown(oneshot::Sender<()>),
}

/// A handle on the driver thread. When the last one is dropped the thread ends.
#[derive(Clone, Debug)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
}

impl Handle {
    pub(super) const fn new(orders: mpsc::Sender<Order>) -> Self {
        Self { orders }
    }

    /// Let `engine` carry packets between `tun` and the sockets. What was attached before goes. When the answer
    /// fires, nothing is carried any more; attach another device.
    pub async fn attach(&self, engine: Engine, tun: TunDevice) -> std::io::Result<TunGone> {
        let attached = self.ask(|answer| Order::Attach(Box::new((engine, tun)), answer)).await;
        attached.map_err(std::io::Error::other)?
    }

    /// Drop engine and TUN device. The sockets go on serving QUIC.
    pub async fn detach(&self) -> Result<(), Stopped> {
        self.ask(Order::Detach).await
    }

    /// Have the engine carry out a command.
    pub async fn command(&self, command: Command) -> Result<(), CommandFailed> {
        self.ask(|answer| Order::Command(command, answer)).await?
    }

    /// Let the engine reach `peer` in a stream over TCP that leads to `address`: datagrams for it go into `outgoing`, and
    /// those that come out of `incoming` are from it. What does not fit is dropped. Closing either ends the stream, and so
    /// does the engine when it is detached.
    pub async fn add_stream(
        &self,
        peer: PublicKey,
        address: SocketAddr,
        outgoing: mpsc::Sender<Vec<u8>>,
        incoming: mpsc::Receiver<Vec<u8>>,
    ) -> Result<(), CommandFailed> {
        let stream = Box::new(NewStream { peer, address, outgoing, incoming });
        self.ask(|answer| Order::AddStream(stream, answer)).await?
    }

    /// How things stand. None while no engine is attached.
    pub async fn snapshot(&self) -> Result<Option<Snapshot>, Stopped> {
        self.ask(Order::Snapshot).await
    }

    /// End the thread. When this returns, the TUN device is gone and the sockets are closed, except for lanes in use.
    pub async fn shutdown(&self) {
        // Having stopped already is what is wanted.
        let _ = self.ask(Order::Shutdown).await;
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}
