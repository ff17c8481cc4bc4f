//! Serves the local API on a unix socket: bounded clients, bounded bodies, an end within a second.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::access::Door;
use super::failure::Result;
use super::{Service, routes};

/// Clients served at the same time; a person has a handful, a broken script thousands.
const CLIENTS_MAX: usize = 64;
/// A local client that has not sent its request line by then never will.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// What running answers may take when the daemon stops.
const STOP_DEADLINE: Duration = Duration::from_secs(1);
/// Answer to one client too many, written without asking what it wanted.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n\
\r\n{\"error\":{\"code\":\"failed\",\"message\":\"the daemon has too many clients\"}}";

/// The local API at work. Stop it with [`Server::stop`]; dropping it cuts everybody off.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Opens the socket and serves until stopped.
    pub async fn start(path: &Path, service: Arc<dyn Service>) -> Result<Self> {
        let door = Door::open(path).await?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(door, service, stopped));
        Ok(Self { stop, task })
    }

    /// Takes no more clients, lets running answers finish for a second, and removes the socket.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.task).await {
            warn!(%error, "the local API did not end in order");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(door: Door, service: Arc<dyn Service>, mut stopped: watch::Receiver<bool>) {
    let routes = routes::router(service);
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = clients.join_next() => {}
            accepted = door.listener.accept() => match accepted {
                Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => {
                        let client = client(stream, routes.clone(), stopped.clone());
                        clients.spawn(async move {
                            client.await;
                            drop(place);
                        });
                    }
                    Err(_) => turn_away(stream).await,
                },
                Err(error) => {
                    // Out of descriptors, most likely: give those that are open time to end.
                    warn!(%error, "cannot take a client");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(door);
    let all_gone = async { while clients.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP_DEADLINE, all_gone).await;
}

async fn client(stream: UnixStream, routes: axum::Router, mut stopped: watch::Receiver<bool>) {
    if let Ok(peer) = stream.peer_cred() {
        debug!(uid = peer.uid(), pid = peer.pid(), "a client asks");
    }
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a client hung up");
    }
}

async fn turn_away(mut stream: UnixStream) {
    debug!("one client too many");
    // A fresh socket's buffer takes this at once; if not, hanging up says enough.
    let _ = tokio::time::timeout(Duration::from_millis(100), stream.write_all(FULL)).await;
}

/// The lines of a stream as they leave: JSON and a newline each; a failure is the last.
pub(super) fn lines<T: serde::Serialize + Send + 'static>(
    steps: BoxStream<'static, Result<T>>,
) -> impl futures::Stream<Item = std::result::Result<Vec<u8>, Infallible>> + Send + 'static {
    futures::stream::unfold(Some(steps), |steps| async move {
        use futures::StreamExt as _;
        let mut steps = steps?;
        let (line, rest) = match steps.next().await? {
            Ok(step) => (encode(&step), Some(steps)),
            Err(failure) => (encode(&routes::ErrorBody { error: failure }), None),
        };
        Some((Ok(line), rest))
    })
}

fn encode<T: serde::Serialize>(step: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(step).map_err(io::Error::from).unwrap_or_default();
    line.push(b'\n');
    line
}
