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
    let mut path = target.path.clone();
    let hello = PingEvent::Target { peer: target.name, ipv4: target.ipv4, path: target.path };
    if events.send(Ok(hello)).await.is_err() {
        return Ok(());
    }
    let interval = Duration::from_millis(request.interval_ms.max(MIN_INTERVAL_MS));
    let patience = Duration::from_millis(request.timeout_ms);
    let mut sequence = 0;
    while request.count.is_none_or(|count| sequence < count) {
        sequence += 1;
        let next = Instant::now() + interval;
        let ping = requests.ask(|reply| Request::Ping(request.peer.clone(), reply)).await?;
        let event = match timeout(patience, ping.answer).await {
            Ok(Ok((rtt, now))) => {
                if !same_way(path.as_ref(), now.as_ref()) {
                    path.clone_from(&now);
                    if events.send(Ok(PingEvent::PathChanged { path: now.clone() })).await.is_err() {
                        return Ok(());
                    }
                }
                let rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
                PingEvent::Reply { sequence, rtt_us, path: now }
            }
            Ok(Err(_)) | Err(_) => PingEvent::Timeout { sequence },
        };
        if events.send(Ok(event)).await.is_err() {
            return Ok(());
        }
        if request.count != Some(sequence) {
            sleep_until(next).await;
        }
    }
    Ok(())
}

/// Whether two paths are the same way, however long they took.
fn same_way(one: Option<&Path>, other: Option<&Path>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.kind == other.kind && one.endpoint == other.endpoint,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
