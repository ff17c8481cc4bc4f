//! Real sockets on loopback, real threads, TUN devices in memory.

mod extra;

use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::engine::{Command, Config, Drop, Engine, Event, PeerConfig};
use crate::filter::Rules;
use crate::packet::icmp::echo_request;
use crate::path::{Kind, Nat};
use crate::wg::PrivateKey;

const MTU: u16 = 1420;
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    handle: Handle,
    events: mpsc::Receiver<Event>,
    tun: MemoryTun,
    gone: TunGone,
    lane: QuicLane,
    address: SocketAddr,
}

fn private(number: u8) -> PrivateKey {
    PrivateKey::from_bytes([number; 32])
}

fn inner(number: u8) -> IpAddr {
    Ipv4Addr::new(100, 64, 0, number).into()
}

fn loopback(v6: bool) -> SocketAddr {
    let address: IpAddr = if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    SocketAddr::new(address, 0)
}

fn engine(number: u8) -> Engine {
    let ipv6 = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(number));
    let IpAddr::V4(ipv4) = inner(number) else { unreachable!() };
    let config = Config { private_key: private(number), ipv4, ipv6, mtu: MTU, seed: u64::from(number) };
    Engine::new(config, clock::now())
}

async fn node(number: u8, v6: bool) -> Node {
    let socket = SharedUdp::bind(loopback(v6)).unwrap();
    let (lane, address) = (socket.quic_lane(), socket.local_addr().unwrap());
    let (handle, events) = Driver::start(vec![socket]).unwrap();
    let (device, tun) = TunDevice::memory("test", MTU);
    let gone = handle.attach(engine(number), device).await.unwrap();
    Node { handle, events, tun, gone, lane, address }
}

async fn introduce(node: &Node, number: u8, address: SocketAddr) {
    let peer = private(number).public();
    let config = PeerConfig {
        key: peer,
        allowed_ips: vec![(inner(number), 32)],
        preshared_key: None,
        rules: Rules::all(),
    };
    node.handle.command(Command::SetPeer(config)).await.unwrap();
    node.handle
        .command(Command::SetCandidates { peer, candidates: vec![address], nat: Nat::Unknown })
        .await
        .unwrap();
}

async fn pair(v6: bool) -> (Node, Node) {
    let (one, two) = (node(1, v6).await, node(2, v6).await);
    introduce(&one, 2, two.address).await;
    introduce(&two, 1, one.address).await;
    (one, two)
}

fn packet(from: u8, to: u8, number: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(echo_request(inner(from), inner(to), 1, number, &[0; 1392], &mut bytes));
    bytes
}

async fn receive(node: &mut Node) -> Vec<u8> {
    timeout(PATIENCE, node.tun.recv()).await.unwrap().unwrap()
}

async fn receive_quic(lane: &QuicLane) -> (RecvMeta, Vec<u8>) {
    let mut buffer = vec![0; 1500];
    let mut meta = [RecvMeta::default()];
    let receive = poll_fn(|cx| lane.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta));
    assert_eq!(timeout(PATIENCE, receive).await.unwrap().unwrap(), 1);
    buffer.truncate(meta[0].len);
    (meta[0], buffer)
}

fn quic(to: SocketAddr, contents: &[u8], segment_size: Option<usize>) -> Transmit<'_> {
    Transmit { destination: to, ecn: None, contents, segment_size, src_ip: None }
}

#[tokio::test]
async fn two_drivers_pass_packets_both_ways_over_loopback_of_either_family() {
    for v6 in [false, true] {
        let (mut one, mut two) = pair(v6).await;
        assert!(one.tun.send(packet(1, 2, 0)).await);
        assert_eq!(receive(&mut two).await, packet(1, 2, 0));
        // More than one run holds, and less than the socket buffers do.
        for round in 0..20 {
            for number in 0..50 {
                assert!(one.tun.send(packet(1, 2, round * 50 + number)).await);
                assert!(two.tun.send(packet(2, 1, round * 50 + number)).await);
            }
            for number in 0..50 {
                assert_eq!(receive(&mut two).await, packet(1, 2, round * 50 + number));
                assert_eq!(receive(&mut one).await, packet(2, 1, round * 50 + number));
            }
        }
        let state = one.handle.snapshot().await.unwrap().unwrap();
        assert_eq!(state.peers[0].tx_bytes, 1001 * 1420);
        assert_eq!(state.drops.get(Drop::SendFailed), 0);
        assert!(matches!(
            one.events.recv().await.unwrap(),
            Event::PathChanged { .. }
                | Event::PathSilent { .. }
                | Event::Observed { .. }
                | Event::WantCandidates { .. }
        ));
    }
}

#[tokio::test]
async fn quic_flows_before_there_is_an_engine() {
    let sockets = [SharedUdp::bind(loopback(false)).unwrap(), SharedUdp::bind(loopback(false)).unwrap()];
    let lanes = sockets.each_ref().map(SharedUdp::quic_lane);
    let drivers = sockets.map(|socket| Driver::start(vec![socket]).unwrap());
    let to = lanes[1].local_addr().unwrap();
    // A new socket would block until its driver has heard otherwise.
    let mut poller = lanes[0].poller();
    timeout(PATIENCE, poll_fn(|cx| poller.poll_writable(cx))).await.unwrap().unwrap();
    lanes[0].try_send(&quic(to, &[0x41; 1200], None)).unwrap();
    let (meta, datagram) = receive_quic(&lanes[1]).await;
    assert_eq!(datagram, [0x41; 1200]);
    assert_eq!((meta.addr, meta.len, meta.stride), (lanes[0].local_addr().unwrap(), 1200, 1200));
    assert_eq!(drivers[0].0.snapshot().await.unwrap(), None);
    assert_eq!(drivers[0].0.command(Command::NetworkChanged).await, Err(CommandFailed::Detached));
}

#[tokio::test]
async fn each_segment_of_a_mixed_buffer_goes_where_it_belongs() {
    let node = node(1, false).await;
    let sender = SharedUdp::bind(loopback(false)).unwrap();
    // For a session nobody has: WireGuard by its first bytes, 100 bytes like the QUIC beside it.
    let wireguard = [&[4, 0, 0, 0][..], &[1; 96]].concat();
    let kinds = [true, false, false, true, false, true, true, false];
    let mixed: Vec<u8> =
        kinds.iter().flat_map(|is_quic| if *is_quic { vec![0x40; 100] } else { wireguard.clone() }).collect();
    let sent = sender.try_send(&quic(node.address, &mixed, Some(100)));
    if sent.is_err() {
        // No UDP GSO here: the same, one by one.
        for datagram in mixed.chunks(100) {
            sender.try_send(&quic(node.address, datagram, None)).unwrap();
        }
    }
    for _ in 0..4 {
        assert_eq!(receive_quic(&node.lane).await.1, [0x40; 100]);
    }
    // The last WireGuard segment came after the last QUIC segment; a marker behind it makes sure it is counted.
    sender.try_send(&quic(node.address, &[0x40; 50], None)).unwrap();
    assert_eq!(receive_quic(&node.lane).await.1.len(), 50);
    let drops = node.handle.snapshot().await.unwrap().unwrap().drops;
    assert_eq!((drops.get(Drop::NoSession), drops.get(Drop::Quic)), (4, 0));
}

#[tokio::test]
async fn a_detached_driver_carries_nothing_and_a_stopped_one_says_so() {
    let (one, two) = pair(false).await;
    one.handle.detach().await.unwrap();
    assert!(!one.tun.send(packet(1, 2, 0)).await, "the device is gone");
    assert_eq!(one.handle.snapshot().await.unwrap(), None);
    let (device, _outside) = TunDevice::memory("again", MTU);
    one.handle.attach(engine(1), device).await.unwrap();
    assert!(one.handle.snapshot().await.unwrap().is_some());
    two.handle.shutdown().await;
    assert_eq!(two.handle.snapshot().await, Err(Stopped));
    assert_eq!(two.handle.command(Command::NetworkChanged).await, Err(CommandFailed::Stopped(Stopped)));
    two.handle.shutdown().await;
}

#[tokio::test]
async fn a_ping_crosses_both_drivers() {
    let (mut one, mut two) = pair(false).await;
    one.handle.command(Command::Ping { peer: private(2).public(), token: 9 }).await.unwrap();
    let request = receive(&mut two).await;
    assert_eq!(request[20], 8, "an echo request for the kernel to answer");
    let found = async {
        loop {
            if let Some(Event::PathChanged { path: Some(path), .. }) = one.events.recv().await {
                return path.endpoint;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, found).await.unwrap(), two.address);
}

#[tokio::test]
async fn packets_cross_in_a_stream_and_its_end_is_noticed() {
    let (mut one, mut two) = (node(1, false).await, node(2, false).await);
    let nowhere: SocketAddr = (Ipv4Addr::LOCALHOST, 1).into();
    introduce(&one, 2, nowhere).await;
    introduce(&two, 1, nowhere).await;
    let ((to_two, from_one), (to_one, from_two)) = (mpsc::channel(64), mpsc::channel(64));
    let there: SocketAddr = (Ipv4Addr::LOCALHOST, 443).into();
    one.handle.add_stream(private(2).public(), there, to_two, from_two).await.unwrap();
    two.handle.add_stream(private(1).public(), there, to_one, from_one).await.unwrap();
    for number in 0..20 {
        assert!(one.tun.send(packet(1, 2, number)).await);
        assert_eq!(receive(&mut two).await, packet(1, 2, number));
        assert!(two.tun.send(packet(2, 1, number)).await);
        assert_eq!(receive(&mut one).await, packet(2, 1, number));
    }
    let path = one.handle.snapshot().await.unwrap().unwrap().peers[0].path.unwrap();
    assert_eq!((path.kind, path.endpoint), (Kind::Stream, there));
    two.handle.detach().await.unwrap();
    let lost = async {
        loop {
            if let Some(Event::PathChanged { path: None, .. }) = one.events.recv().await {
                return;
            }
        }
    };
    timeout(PATIENCE, lost).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_nobody_reads_loses_datagrams_and_stops_nobody() {
    let one = node(1, false).await;
    introduce(&one, 2, (Ipv4Addr::LOCALHOST, 1).into()).await;
    let (to_two, mut from_one) = mpsc::channel(1);
    let (_to_one, from_two) = mpsc::channel(1);
    let there: SocketAddr = (Ipv4Addr::LOCALHOST, 443).into();
    one.handle.add_stream(private(2).public(), there, to_two, from_two).await.unwrap();
    let full = async {
        while one.handle.snapshot().await.unwrap().unwrap().drops.get(Drop::StreamFull) == 0 {
            assert!(one.tun.send(packet(1, 2, 1)).await);
        }
    };
    timeout(PATIENCE, full).await.unwrap();
    assert_eq!(from_one.recv().await.unwrap()[0], 5, "a probe");
    let unknown = one.handle.add_stream(private(9).public(), there, mpsc::channel(1).0, mpsc::channel(1).1);
    assert!(matches!(unknown.await, Err(CommandFailed::Refused(_))));
}

#[test]
fn a_taken_port_is_an_error_that_says_so() {
    let first = SharedUdp::bind(loopback(false)).unwrap();
    let taken = SharedUdp::bind(first.local_addr().unwrap());
    assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn both_families_may_have_the_same_port() {
    let any4 = SharedUdp::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)).unwrap();
    let port = any4.local_addr().unwrap().port();
    SharedUdp::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)).unwrap();
}

#[test]
fn a_socket_serves_one_driver() {
    let socket = SharedUdp::bind(loopback(false)).unwrap();
    let _driver = Driver::start(vec![socket.clone()]).unwrap();
    assert_eq!(Driver::start(vec![socket]).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_tun_device_needs_a_name_that_is_possible_and_free() {
    // Where there is no TUN driver at all, that comes first.
    let no_driver = |error: &TunError| matches!(error, TunError::NoDevice);
    for bad in ["", "sixteen-letters-", "a b", "a/b", ".."] {
        let error = TunDevice::create(Some(bad), MTU).unwrap_err();
        assert!(no_driver(&error) || matches!(error, TunError::BadName(_)), "{bad:?}: {error}");
    }
    let error = TunDevice::create(Some("lo"), MTU).unwrap_err();
    assert!(no_driver(&error) || matches!(error, TunError::NameTaken(_)), "{error}");
}

#[test]
fn the_clock_does_not_run_backwards() {
    let first = clock::now();
    assert!(clock::now() >= first);
}

#[tokio::test]
async fn a_device_taken_away_is_told_and_one_that_was_detached_is_not() {
    let one = node(1, false).await;
    drop(one.tun);
    let error = timeout(PATIENCE, one.gone).await.unwrap().unwrap();
    assert_eq!(error.raw_os_error(), Some(77), "EBADFD, as a deleted TUN device says");
    one.handle.detach().await.unwrap();
    let (device, _tun) = TunDevice::memory("test", MTU);
    let gone = one.handle.attach(engine(1), device).await.unwrap();
    one.handle.detach().await.unwrap();
    assert!(timeout(PATIENCE, gone).await.unwrap().is_err());
}
