//! The machine's own addresses that are worth telling peers, and when they change.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use futures::StreamExt as _;
use if_watch::IfEvent;
use if_watch::tokio::IfWatcher;
use tokio::sync::watch;

/// An address of an interface, and the length of its network's prefix in bits.
type Network = (IpAddr, u8);

/// The addresses of the machine's network interfaces, watched by a task that ends with this.
pub(super) struct Interfaces {
    there: watch::Receiver<BTreeSet<Network>>,
    known: BTreeSet<Network>,
}

impl Interfaces {
    /// Begins to watch; the addresses there are come as the first change.
    pub(super) fn watch() -> io::Result<Self> {
        let watcher = IfWatcher::new()?;
        let (sender, there) = watch::channel(BTreeSet::new());
        tokio::spawn(follow(watcher, sender));
        Ok(Self { there, known: BTreeSet::new() })
    }

    /// Waits until an address came or went. `inside` are our addresses in the mesh: they change with us and
    /// must never be told, or packets would be sent into the tunnel they came from.
    pub(super) async fn changed(&mut self, inside: &[IpAddr]) {
        loop {
            let now: BTreeSet<Network> = self
                .there
                .borrow_and_update()
                .iter()
                .filter(|(address, _)| !inside.contains(address))
                .copied()
                .collect();
            if now != self.known {
                self.known = now;
                return;
            }
            if self.there.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// The addresses with our port.
    pub(super) fn candidates(&self, port: u16) -> impl Iterator<Item = SocketAddr> {
        self.known.iter().map(move |(address, _)| SocketAddr::new(*address, port))
    }

    /// The networks the interfaces are in.
    pub(super) fn networks(&self) -> Vec<Network> {
        self.known.iter().copied().collect()
    }
}

async fn follow(mut watcher: IfWatcher, sender: watch::Sender<BTreeSet<Network>>) {
    while let Some(event) = tokio::select! {
        event = watcher.next() => event,
        () = sender.closed() => None,
    } {
        match event {
            Ok(IfEvent::Up(net)) if reachable(net.addr()) => {
                sender.send_if_modified(|there| there.insert((net.addr(), net.prefix_len())));
            }
            Ok(IfEvent::Up(_)) => {}
            Ok(IfEvent::Down(net)) => {
                sender.send_if_modified(|there| there.remove(&(net.addr(), net.prefix_len())));
            }
            Err(error) => tracing::warn!(%error, "cannot watch the network interfaces"),
        }
    }
}

/// Whether another machine could send to this address. A link-local IPv6 address means nothing without
/// the receiver's own interface number.
fn reachable(address: IpAddr) -> bool {
    let link_local = |address: Ipv6Addr| address.segments()[0] & 0xffc0 == 0xfe80;
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_unspecified(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unspecified() && !link_local(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_link_local_are_not_worth_telling() {
        for address in ["127.0.0.1", "::1", "fe80::1", "0.0.0.0", "::"] {
            assert!(!reachable(address.parse().unwrap()), "{address}");
        }
        for address in ["192.168.1.7", "203.0.113.5", "2001:db8::1", "fd00::1"] {
            assert!(reachable(address.parse().unwrap()), "{address}");
        }
    }
}
