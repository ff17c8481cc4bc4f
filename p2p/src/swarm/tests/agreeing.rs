//! Relay sessions that three members agree on, and datagrams over TCP.

use std::time::Duration;

use super::{
    newcomers::uses,
    rig::{DEADLINE, Device},
};
use crate::{
    identity::DeviceId,
    node::{Event, RelayPolicy},
    swarm::datagrams::DatagramStream,
};

/// A founder that relays and two members, all connected.
async fn three() -> (Device, Device, Device) {
    let mut founder = Device::founder(1);
    founder.handle().set_relay_policy(RelayPolicy::On).await.unwrap();
    let code = founder.invite(uses(2)).await;
    let (mut one, mut other) = (Device::new(2), Device::new(3));
    one.join(&code, "one").await;
    other.join(&code, "other").await;
    founder.connected(one.id()).await;
    founder.connected(other.id()).await;
    (founder, one, other)
}

async fn session(device: &mut Device, wanted: DeviceId) -> (DeviceId, u64) {
    device
        .event(|event| match event {
            Event::RelaySession { peer, relay, session } => (peer == wanted).then_some((relay, session)),
            _ => None,
        })
        .await
}

async fn session_ended(device: &mut Device, wanted: u64) {
    device
        .event(|event| {
            matches!(event, Event::RelaySessionEnded { session, .. } if session == wanted).then_some(())
        })
        .await;
}

async fn forward_ended(device: &mut Device, wanted: u64) {
    device
        .event(|event| matches!(event, Event::ForwardEnded { session } if session == wanted).then_some(()))
        .await;
}

#[tokio::test]
async fn three_members_agree_on_a_session_and_on_its_end() {
    let (mut founder, mut one, mut other) = three().await;
    one.handle().want_relay(other.id()).await.unwrap();
    let (relay, number) = session(&mut one, other.id()).await;
    assert_eq!(relay, founder.id());
    assert_eq!(session(&mut other, one.id()).await, (founder.id(), number));
    let (forwarded, between) = founder
        .event(|event| match event {
            Event::Forward { session, between } => Some((session, between)),
            _ => None,
        })
        .await;
    assert_eq!(forwarded, number);
    assert!(between.contains(&one.id()) && between.contains(&other.id()));

    one.handle().relay_unneeded(other.id()).await.unwrap();
    session_ended(&mut one, number).await;
    session_ended(&mut other, number).await;
    forward_ended(&mut founder, number).await;
}

#[tokio::test]
async fn a_member_that_the_relay_removes_is_cut_at_once() {
    let (mut founder, mut one, mut other) = three().await;
    one.handle().want_relay(other.id()).await.unwrap();
    let (_, number) = session(&mut one, other.id()).await;
    session(&mut other, one.id()).await;
    founder.handle().remove(other.id()).await.unwrap();
    forward_ended(&mut founder, number).await;
    session_ended(&mut one, number).await;
}

#[tokio::test]
async fn sessions_end_when_the_relay_relays_no_more() {
    let (mut founder, mut one, mut other) = three().await;
    one.handle().want_relay(other.id()).await.unwrap();
    let (_, number) = session(&mut one, other.id()).await;
    session(&mut other, one.id()).await;
    founder.handle().set_relay_policy(RelayPolicy::Off).await.unwrap();
    forward_ended(&mut founder, number).await;
    session_ended(&mut one, number).await;
    session_ended(&mut other, number).await;
}

async fn stream(device: &mut Device, wanted: DeviceId) -> DatagramStream {
    device
        .event(|event| match event {
            Event::Stream { peer, stream, .. } if peer == wanted => stream.take(),
            _ => None,
        })
        .await
}

/// A founder, and a member that TCP alone gets out.
async fn behind_a_firewall() -> (Device, Device) {
    let mut founder = Device::founder(1);
    let code = founder.invite(uses(1)).await;
    let mut laptop = Device::new(2);
    laptop.block_udp();
    laptop.join(&code, "laptop").await;
    founder.connected(laptop.id()).await;
    (founder, laptop)
}

#[tokio::test]
async fn datagrams_go_both_ways_over_tcp_until_the_member_is_removed() {
    let (mut founder, mut laptop) = behind_a_firewall().await;
    let mut there = stream(&mut laptop, founder.id()).await;
    let mut here = stream(&mut founder, laptop.id()).await;
    for length in [1, 1420, 65_535] {
        let datagram = vec![7; length];
        there.outgoing.send(datagram.clone()).await.unwrap();
        assert_eq!(here.incoming.recv().await, Some(datagram.clone()));
        here.outgoing.send(datagram.clone()).await.unwrap();
        assert_eq!(there.incoming.recv().await, Some(datagram));
    }
    founder.handle().remove(laptop.id()).await.unwrap();
    let ended = async { while here.incoming.recv().await.is_some() {} };
    tokio::time::timeout(DEADLINE, ended).await.expect("the stream ends");
}

#[tokio::test]
async fn a_stream_whose_reader_is_slow_drops_and_goes_on() {
    const MANY: u32 = 5000;
    let (mut founder, mut laptop) = behind_a_firewall().await;
    let there = stream(&mut laptop, founder.id()).await;
    let mut here = stream(&mut founder, laptop.id()).await;
    for number in 0..MANY {
        there.outgoing.send(number.to_be_bytes().to_vec()).await.unwrap();
    }
    // Nobody has taken any, and still all have been sent. Now the last ones are made known until one gets through.
    let drained = async {
        let mut came = Vec::new();
        loop {
            there.outgoing.send(MANY.to_be_bytes().to_vec()).await.unwrap();
            while let Ok(Some(datagram)) =
                tokio::time::timeout(Duration::from_millis(10), here.incoming.recv()).await
            {
                let number = u32::from_be_bytes(datagram.try_into().unwrap());
                if number == MANY {
                    return came;
                }
                came.push(number);
            }
        }
    };
    let came = tokio::time::timeout(DEADLINE, drained).await.expect("it goes on");
    assert!(came.len() < MANY as usize, "all {} came: nothing was dropped", came.len());
    assert!(came.is_sorted(), "what comes keeps its order");
}
