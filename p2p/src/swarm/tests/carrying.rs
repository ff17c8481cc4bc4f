//! Packets through others: relay sessions that three agree on, and datagrams over TCP.

use super::{newcomers::uses, rig::Device};
use crate::{
    identity::DeviceId,
    node::{Event, RelayPolicy},
    swarm::datagrams::DatagramStream,
};

async fn session(device: &mut Device, peer: DeviceId) -> (DeviceId, u64) {
    device
        .event(|event| match event {
            Event::RelaySession { peer: who, relay, session } => (who == peer).then_some((relay, session)),
            _ => None,
        })
        .await
}

async fn stream(device: &mut Device) -> DatagramStream {
    device
        .event(|event| match event {
            Event::Stream { stream, .. } => stream.take(),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn three_agree_on_a_session_and_removal_ends_it() {
    let mut founder = Device::founder(1);
    founder.handle().set_relay_policy(RelayPolicy::On).await.unwrap();
    let code = founder.invite(uses(2)).await;
    let (mut one, mut other) = (Device::new(2), Device::new(3));
    one.join(&code, "one").await;
    other.join(&code, "other").await;
    founder.connected(one.id()).await;
    founder.connected(other.id()).await;
    one.connected(founder.id()).await;
    one.roster(&["founder", "one", "other"]).await;
    one.handle().want_relay(other.id()).await.unwrap();
    let (relay, number) = session(&mut one, other.id()).await;
    assert_eq!(relay, founder.id());
    assert_eq!(session(&mut other, one.id()).await, (founder.id(), number));
    let carried = founder.event(|event| match event {
        Event::Forward { session, between } => Some((session, between)),
        _ => None,
    });
    let (carried, mut between) = carried.await;
    between.sort();
    let mut ends = [one.id(), other.id()];
    ends.sort();
    assert_eq!((carried, between), (number, ends));
    founder.handle().remove(other.id()).await.unwrap();
    let cut = founder.event(|event| match event {
        Event::ForwardEnded { session } => Some(session),
        _ => None,
    });
    assert_eq!(cut.await, number);
    let ended = one.event(|event| match event {
        Event::RelaySessionEnded { session, .. } => Some(session),
        _ => None,
    });
    assert_eq!(ended.await, number);
}

#[tokio::test]
async fn where_udp_is_blocked_datagrams_go_over_tcp_and_a_full_queue_drops() {
    let mut founder = Device::founder(1);
    let code = founder.invite(uses(1)).await;
    let mut device = Device::new(2);
    device.block_udp();
    device.join(&code, "blocked").await;
    let mut ours = stream(&mut device).await;
    let mut theirs = stream(&mut founder).await;
    for (from, to) in [(0u8, 1u8), (2, 3)] {
        ours.outgoing.send(vec![from; 1400]).await.unwrap();
        assert_eq!(theirs.incoming.recv().await.unwrap(), vec![from; 1400]);
        theirs.outgoing.send(vec![to; 60_000]).await.unwrap();
        assert_eq!(ours.incoming.recv().await.unwrap(), vec![to; 60_000]);
    }
    // Nobody takes them: what is queued is bounded, the rest is lost, and nothing waits.
    for number in 0..10_000u32 {
        let _ = ours.outgoing.send([&number.to_be_bytes()[..], &[0; 1000]].concat()).await;
    }
    ours.outgoing.send(vec![9]).await.unwrap();
    let mut came = 0;
    let last = async {
        while let Some(datagram) = theirs.incoming.recv().await {
            came += 1;
            if datagram == [9] || came > 9_000 {
                return;
            }
            // The marker itself may be dropped: send it until it is there.
            let _ = ours.outgoing.try_send(vec![9]);
        }
    };
    tokio::time::timeout(super::rig::DEADLINE, last).await.unwrap();
    assert!(came < 9_000, "{came} of 10,000 came through a queue of 256");
    // The end of one side is the end of the other.
    drop(theirs);
    tokio::time::timeout(super::rig::DEADLINE, async { while ours.incoming.recv().await.is_some() {} })
        .await
        .unwrap();
}
