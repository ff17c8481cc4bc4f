//! `warren ping`: one echo after another through the tunnel, and what changes meanwhile.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::requests::{Request, Requests};
use crate::control::{Path, PingEvent, PingRequest, Result};

/// Shortest interval between pings, in milliseconds: a client must not make the daemon flood a peer.
const MIN_INTERVAL_MS: u64 = 10;

/// Pings until the count is reached or the client has hung up.
pub(super) async fn ping(requests: Requests, request: PingRequest, events: mpsc::Sender<Result<PingEvent>>) {
    // The client is gone when nobody takes the events; then there is nobody to tell.
    if let Err(failure) = exchange(&requests, &request, &events).await {
        let _ = events.send(Err(failure)).await;
    }
}

async fn exchange(
    requests: &Requests,
    request: &PingRequest,
    events: &mpsc::Sender<Result<PingEvent>>,
) -> Result<()> {
    let target = requests.ask(|reply| Request::FindPeer(request.peer.clone(), reply)).await?;
    let mut changes = target.changes;
    let mut teller = Teller { path: target.path.clone(), events };
    let hello = PingEvent::Target { peer: target.name, ipv4: target.ipv4, path: target.path };
    if !teller.tell(hello).await {
        return Ok(());
    }
    let interval = Duration::from_millis(request.interval_ms.max(MIN_INTERVAL_MS));
    let patience = Duration::from_millis(request.timeout_ms);
    let mut sequence = 0;
    while request.count.is_none_or(|count| sequence < count) {
        sequence += 1;
        let next = Instant::now() + interval;
        let ping = requests.ask(|reply| Request::Ping(request.peer.clone(), reply)).await?;
        let answer = timeout(patience, ping.answer);
        tokio::pin!(answer);
        let answer = loop {
            tokio::select! {
                biased;
                Some(path) = changes.recv() => if !teller.follow(path).await {
                    return Ok(());
                },
                answer = &mut answer => break answer,
            }
        };
        let event = match answer {
            Ok(Ok((rtt, now))) => {
                if !teller.follow(now.clone()).await {
                    return Ok(());
                }
                let rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
                PingEvent::Reply { sequence, rtt_us, path: now }
            }
            Ok(Err(_)) | Err(_) => PingEvent::Timeout { sequence },
        };
        if !teller.tell(event).await {
            return Ok(());
        }
        while request.count != Some(sequence) {
            tokio::select! {
                biased;
                Some(path) = changes.recv() => if !teller.follow(path).await {
                    return Ok(());
                },
                () = sleep_until(next) => break,
                () = events.closed() => return Ok(()),
            }
        }
    }
    Ok(())
}

/// Tells the client, and each change of the path once.
struct Teller<'a> {
    path: Option<Path>,
    events: &'a mpsc::Sender<Result<PingEvent>>,
}

impl Teller<'_> {
    /// Whether the client still listens.
    async fn tell(&self, event: PingEvent) -> bool {
        self.events.send(Ok(event)).await.is_ok()
    }

    async fn follow(&mut self, path: Option<Path>) -> bool {
        if same_way(self.path.as_ref(), path.as_ref()) {
            return true;
        }
        self.path.clone_from(&path);
        self.tell(PingEvent::PathChanged { path }).await
    }
}

/// Whether two paths are the same way, however long they took.
fn same_way(one: Option<&Path>, other: Option<&Path>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            one.kind == other.kind && one.endpoint == other.endpoint && one.via == other.via
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
