//! Meeting by a stock libp2p node that knows nothing of Warren.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder,
    identity::Keypair,
    kad::{self, store::RecordStore as _},
    noise,
    swarm::SwarmEvent,
    tcp, yamux,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    newcomers::uses,
    rig::{DEADLINE, Device, socket},
};
use crate::{
    discovery::rendezvous::VALUE_BYTES,
    identity::DeviceId,
    store::Addresses,
    swarm::{
        JoinError,
        rendezvous::{Config, RendezvousState},
    },
};

type Kademlia = kad::Behaviour<kad::store::MemoryStore>;

/// A Kademlia server as anybody makes one with libp2p, and what it keeps.
struct Stock {
    address: Multiaddr,
    config: Config,
    look: mpsc::Sender<oneshot::Sender<Vec<kad::Record>>>,
    task: JoinHandle<()>,
}

impl Drop for Stock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn node(keypair: Keypair) -> Swarm<Kademlia> {
    let mut swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|keypair| {
            let own = keypair.public().to_peer_id();
            Kademlia::new(own, kad::store::MemoryStore::new(own))
        })
        .unwrap()
        .build();
    swarm.behaviour_mut().set_mode(Some(kad::Mode::Server));
    swarm
}

fn config(address: &Multiaddr, peer: PeerId) -> Config {
    Config::new(&[format!("{address}/p2p/{peer}")], None).unwrap()
}

impl Stock {
    async fn start(port: u16, keypair: Keypair) -> Self {
        let mut swarm = node(keypair);
        swarm.listen_on(format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let config = config(&address, *swarm.local_peer_id());
        let (look, mut looks) = mpsc::channel::<oneshot::Sender<Vec<kad::Record>>>(1);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = swarm.select_next_some() => {}
                    Some(answer) = looks.recv() => {
                        let records = swarm.behaviour_mut().store_mut().records();
                        let _ = answer.send(records.map(|record| record.into_owned()).collect());
                    }
                }
            }
        });
        Self { address, config, look, task }
    }

    async fn new() -> Self {
        Self::start(0, Keypair::generate_ed25519()).await
    }

    async fn kept(&self) -> Vec<kad::Record> {
        let (answer, kept) = oneshot::channel();
        self.look.send(answer).await.unwrap();
        kept.await.unwrap()
    }

    /// Waits until so many values are kept.
    async fn keeps(&self, count: usize) -> Vec<kad::Record> {
        let enough = async {
            loop {
                let kept = self.kept().await;
                if kept.len() >= count {
                    return kept;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, enough).await.expect("the values are left")
    }
}

async fn state(device: &Device, wanted: impl Fn(&RendezvousState) -> bool) -> RendezvousState {
    let mut states = device.handle().rendezvous.clone();
    let state =
        tokio::time::timeout(DEADLINE, states.wait_for(wanted)).await.expect("the state comes in time");
    state.unwrap().clone()
}

/// Forgets where others are, and moves to another port.
async fn vanish(device: &mut Device, others: &[DeviceId]) {
    device.stop().await;
    let store = device.store();
    for other in others {
        store.put_addresses(other, &Addresses::default()).unwrap();
    }
    device.socket = socket();
}

#[tokio::test]
async fn two_members_that_know_no_address_meet_and_the_node_learns_nothing() {
    let stock = Stock::new().await;
    let (mut founder, mut laptop) = (Device::founder(1), Device::new(2));
    let code = founder.invite(uses(3)).await;
    laptop.join(&code, "laptop").await;
    founder.connected(laptop.id()).await;
    let (one, other) = (founder.id(), laptop.id());
    vanish(&mut founder, &[other]).await;
    vanish(&mut laptop, &[one]).await;
    for device in [&mut founder, &mut laptop] {
        device.rendezvous = Some(stock.config.clone());
    }

    founder.start();
    state(&founder, |state| matches!(state, RendezvousState::Ok { .. })).await;
    stock.keeps(1).await;
    laptop.start();
    laptop.connected(one).await;
    founder.connected(other).await;

    // Each of the two for the other, and both for whoever comes by one of the founder's invites, in a slot each.
    let kept = stock.keeps(4).await;
    let mesh = founder.handle().roster().borrow().mesh();
    let mut secrets: Vec<Vec<u8>> = vec![mesh.as_bytes().to_vec(), mesh.short().into_bytes()];
    secrets.extend(["home", "founder", "laptop", "warren", "127.0.0.1"].map(|text| text.as_bytes().to_vec()));
    for device in [&founder, &laptop] {
        let (id, port) = (device.id(), device.address().port());
        secrets.push(id.as_bytes().to_vec());
        secrets.push(id.to_string().into_bytes());
        for port in [port.to_be_bytes(), port.to_le_bytes()] {
            secrets.push([&Ipv4Addr::LOCALHOST.octets()[..], &port].concat());
        }
    }
    secrets.push(code.invite_identity().device_id().as_bytes().to_vec());
    for record in &kept {
        assert_eq!((record.key.as_ref().len(), record.value.len()), (32, VALUE_BYTES));
        let publisher = record.publisher.expect("libp2p names who put it");
        let own = [founder.id(), laptop.id()].map(|id| id.to_peer_id());
        assert!(!own.contains(&publisher), "the name in the rendezvous is not that in the mesh");
        let seen = [record.key.as_ref(), &record.value, &publisher.to_bytes()].concat();
        for secret in &secrets {
            assert!(!seen.windows(secret.len()).any(|window| window == secret), "{secret:?} is in clear");
        }
    }
}

#[tokio::test]
async fn a_newcomer_comes_in_by_a_code_whose_only_door_is_the_rendezvous() {
    let stock = Stock::new().await;
    let mut founder = Device::founder(1);
    founder.stop().await;
    founder.rendezvous = Some(stock.config.clone());
    founder.start();
    let code = founder.invite(uses(1)).await;
    assert!(code.rendezvous() && code.to_string().len() <= 250);
    let code = code.with_doors(&[]);
    let code = code.to_string().parse().unwrap();

    let unaware = Device::new(3);
    let error = unaware.ask_in_for(&code, "tv", Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, JoinError::NoRendezvous { .. }), "{error}");
    assert!(error.to_string().contains("under [rendezvous]"), "{error}");

    let mut laptop = Device::new(2);
    laptop.rendezvous = Some(stock.config.clone());
    laptop.join(&code, "laptop").await;
    founder.connected(laptop.id()).await;
    laptop.connected(founder.id()).await;
}

#[tokio::test]
async fn a_network_that_is_unreachable_is_tried_again() {
    let keypair = Keypair::generate_ed25519();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let mut founder = Device::founder(1);
    assert_eq!(founder.handle().rendezvous_state(), RendezvousState::Off);
    founder.stop().await;
    founder.rendezvous = Some(config(&address, keypair.public().to_peer_id()));
    founder.start();
    let failing = state(&founder, |state| matches!(state, RendezvousState::Failing { .. })).await;
    let RendezvousState::Failing { why, .. } = failing else { panic!("{failing:?}") };
    assert!(why.contains("refused"), "{why}");
    let stock = Stock::start(port, keypair).await;
    state(&founder, |state| matches!(state, RendezvousState::Ok { .. })).await;
    stock.keeps(1).await;
}

#[tokio::test]
async fn a_node_that_is_another_than_the_configured_one_is_not_talked_to() {
    let stock = Stock::new().await;
    let address = stock.address.clone();
    let mut founder = Device::founder(1);
    founder.stop().await;
    founder.rendezvous = Some(config(&address, Keypair::generate_ed25519().public().to_peer_id()));
    founder.start();
    let failing = state(&founder, |state| matches!(state, RendezvousState::Failing { .. })).await;
    let RendezvousState::Failing { why, .. } = failing else { panic!("{failing:?}") };
    assert!(why.contains("another node answers there"), "{why}");
    assert!(stock.kept().await.is_empty());
}

#[tokio::test]
async fn a_newcomer_whose_code_does_not_name_the_rendezvous_tells_nobody() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    nobody.set_nonblocking(true).unwrap();
    let SocketAddr::V4(address) = nobody.local_addr().unwrap() else { panic!("IPv4") };
    let address: Multiaddr = format!("/ip4/{}/tcp/{}", address.ip(), address.port()).parse().unwrap();
    let founder = Device::founder(1);
    let code = founder.invite(uses(1)).await;
    assert!(!code.rendezvous());
    let mut laptop = Device::new(2);
    laptop.rendezvous = Some(config(&address, Keypair::generate_ed25519().public().to_peer_id()));
    laptop.ask_in(&code, "laptop").await.unwrap();
    assert_eq!(nobody.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
