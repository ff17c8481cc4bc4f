//! The sockets that guess ports, against a wall with one hole in it.

use std::collections::BTreeSet;

use tokio::net::UdpSocket;

use super::*;
use crate::path::{PathInfo, Route, SOCKETS};

/// Stands for everything between two devices: it lets a single one of the other side's ports through.
struct Wall {
    outside: UdpSocket,
    inside: UdpSocket,
    behind: SocketAddr,
    /// Ports that knocked.
    seen: BTreeSet<SocketAddr>,
    hole: Option<SocketAddr>,
}

impl Wall {
    async fn before(behind: SocketAddr) -> Self {
        let (outside, inside) =
            (UdpSocket::bind(loopback(false)).await, UdpSocket::bind(loopback(false)).await);
        Self { outside: outside.unwrap(), inside: inside.unwrap(), behind, seen: BTreeSet::new(), hole: None }
    }

    /// Passes one datagram, or stops it. The hole is where the hundredth port knocked first.
    async fn pass(&mut self, shared: SocketAddr) {
        let (mut from_outside, mut from_inside) = ([0; 2048], [0; 2048]);
        tokio::select! {
            received = self.outside.recv_from(&mut from_outside) => {
                let (length, from) = received.unwrap();
                if from != shared && self.seen.insert(from) && self.seen.len() == 100 {
                    self.hole = Some(from);
                }
                if self.hole == Some(from) {
                    self.inside.send_to(&from_outside[..length], self.behind).await.unwrap();
                }
            }
            received = self.inside.recv_from(&mut from_inside) => {
                let (length, _) = received.unwrap();
                if let Some(hole) = self.hole {
                    self.outside.send_to(&from_inside[..length], hole).await.unwrap();
                }
            }
        }
    }
}

async fn path(node: &Node) -> Option<PathInfo> {
    node.handle.snapshot().await.unwrap().unwrap().peers[0].path
}

fn is_free(address: &SocketAddr) -> bool {
    std::net::UdpSocket::bind(address).is_ok()
}

#[tokio::test]
async fn extra_sockets_open_find_the_hole_and_close_but_for_the_winner() {
    let (mut hard, mut easy) = (node(1, false).await, node(2, false).await);
    let mut wall = Wall::before(easy.address).await;
    introduce(&easy, 1, SocketAddr::from(([192, 0, 2, 1], 9))).await;
    introduce(&hard, 2, wall.outside.local_addr().unwrap()).await;
    let (peer, candidates) = (private(2).public(), vec![wall.outside.local_addr().unwrap()]);
    hard.handle.command(Command::SetNat(Nat::Hard)).await.unwrap();
    let told = Command::SetCandidates { peer, candidates, nat: Nat::Easy };
    hard.handle.command(told).await.unwrap();

    assert!(hard.tun.send(packet(1, 2, 0)).await);
    let through = async {
        loop {
            tokio::select! {
                () = wall.pass(hard.address) => {}
                packet = easy.tun.recv() => return packet,
            }
        }
    };
    assert_eq!(timeout(PATIENCE, through).await.unwrap(), Some(packet(1, 2, 0)));
    let Route::Udp { socket, .. } = path(&hard).await.unwrap().route else { panic!("no socket") };
    assert_ne!(socket, 0);

    // And back, by the same socket.
    assert!(easy.tun.send(packet(2, 1, 1)).await);
    let back = async {
        loop {
            tokio::select! {
                () = wall.pass(hard.address) => {}
                packet = hard.tun.recv() => return packet,
            }
        }
    };
    assert_eq!(timeout(PATIENCE, back).await.unwrap(), Some(packet(2, 1, 1)));
    let hole = wall.hole.unwrap();
    assert!(wall.seen.len() >= 100 && wall.seen.len() <= usize::from(SOCKETS), "{}", wall.seen.len());
    for closed in wall.seen.iter().filter(|port| **port != hole) {
        timeout(PATIENCE, async {
            while !is_free(closed) {
                tokio::task::yield_now().await
            }
        })
        .await
        .unwrap();
    }
    assert!(!is_free(&hole), "the winner is open");

    // QUIC has no business there.
    wall.outside.send_to(&[0xC0; 40], hole).await.unwrap();
    let dropped = async {
        while hard.handle.snapshot().await.unwrap().unwrap().drops.get(Drop::Quic) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, dropped).await.unwrap();

    hard.handle.command(Command::RemovePeer(peer)).await.unwrap();
    timeout(PATIENCE, async {
        while !is_free(&hole) {
            tokio::task::yield_now().await
        }
    })
    .await
    .unwrap();
}
