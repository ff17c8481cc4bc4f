//! Peers that break the rules, and what is left of them.

use super::{
    newcomers::uses,
    rig::{Device, identity},
    villain::{Fate, Villain},
};
use crate::{
    invite,
    limits::{EXCHANGE_BYTES, EXCHANGE_MESSAGE_BURST},
    membership::Message,
    node::Event,
    record::{Body, Device as DeviceBody, Grants, MeshId, Record, Timestamp, Verified, codec},
    signal::Hello,
    swarm::driver::now,
};

fn mesh(device: &Device) -> MeshId {
    device.handle().roster().borrow().mesh()
}

#[tokio::test]
async fn a_stranger_is_refused_before_any_protocol() {
    let founder = Device::founder(1);
    founder.invite(uses(1)).await;
    for protocol in ["join", "exchange", "signal"] {
        let mut stranger = Villain::new(&identity(66), &mesh(&founder), protocol);
        let fate = stranger.send(founder.address(), b"let me in".to_vec()).await;
        assert!(matches!(fate, Fate::Closed), "{protocol}: {fate:?}");
    }
}

#[tokio::test]
async fn the_holder_of_an_invite_speaks_the_join_protocol_alone() {
    let founder = Device::founder(1);
    let code = founder.invite(uses(1)).await;
    let key = code.invite_identity();
    for protocol in ["exchange", "signal", "kad"] {
        let mut invitee = Villain::new(&key, &mesh(&founder), protocol);
        let digest = Message::Digest([0; 32]).encode().unwrap();
        let fate = invitee.send(founder.address(), digest).await;
        assert!(matches!(fate, Fate::NotSpoken), "{protocol}: {fate:?}");
    }
    let mut invitee = Villain::new(&key, &mesh(&founder), "join");
    let ask = invite::Request::Ask { terms: code.terms(), now: Timestamp::from_millis(0) }.encode().unwrap();
    let fate = invitee.send(founder.address(), ask).await;
    assert!(matches!(fate, Fate::Answered), "{fate:?}");
}

#[tokio::test]
async fn an_invitee_that_sends_nonsense_is_shown_out_and_the_invite_stays_good() {
    let founder = Device::founder(1);
    let code = founder.invite(uses(1)).await;
    let mut invitee = Villain::new(&code.invite_identity(), &mesh(&founder), "join");
    for nonsense in [vec![0xff; 100], vec![7; 1 << 20]] {
        let fate = invitee.send(founder.address(), nonsense).await;
        assert!(matches!(fate, Fate::Closed), "{fate:?}");
    }
    let mut laptop = Device::new(2);
    laptop.join(&code, "laptop").await;
}

/// A founder, an honest member, and the identity of a member that has gone bad.
async fn three() -> (Device, Device, Device) {
    let mut founder = Device::founder(1);
    let code = founder.invite(uses(2)).await;
    let (mut honest, mut bad) = (Device::new(2), Device::new(3));
    honest.join(&code, "honest").await;
    bad.join(&code, "bad").await;
    founder.connected(bad.id()).await;
    founder.roster(&["bad", "founder", "honest"]).await;
    bad.stop().await;
    founder.disconnected(bad.id()).await;
    (founder, honest, bad)
}

/// The bad member is cut off, stays so, and nobody else notices.
async fn is_cut_off(founder: &mut Device, honest: &Device, bad: &Device, sent: Vec<u8>) {
    let mut villain = Villain::new(&bad.identity, &mesh(founder), "exchange");
    let fate = villain.send(founder.address(), sent).await;
    assert!(matches!(fate, Fate::Closed | Fate::Answered), "{fate:?}");
    is_known_as_bad(founder, honest, bad).await;
}

async fn is_known_as_bad(founder: &mut Device, honest: &Device, bad: &Device) {
    let bad_id = bad.id();
    founder
        .event(|event| match event {
            Event::Misbehaved { peer, .. } => (peer == bad_id).then_some(()),
            _ => None,
        })
        .await;
    let again = Villain::new(&bad.identity, &mesh(founder), "exchange")
        .send(founder.address(), Message::Digest([0; 32]).encode().unwrap())
        .await;
    assert!(matches!(again, Fate::Closed), "{again:?}");
    let peers = founder.handle().peers().await.unwrap();
    assert_eq!(peers[&bad_id].cut_offs, 1);
    assert!(peers[&honest.id()].connected);
    founder.handle().rename("still-here".parse().unwrap()).await.unwrap();
    honest.roster(&["bad", "honest", "still-here"]).await;
}

#[tokio::test]
async fn a_member_that_sends_garbage_is_cut_off() {
    let (mut founder, honest, bad) = three().await;
    is_cut_off(&mut founder, &honest, &bad, vec![0xee; 3000]).await;
}

#[tokio::test]
async fn a_member_that_sends_too_much_is_cut_off() {
    let (mut founder, honest, bad) = three().await;
    is_cut_off(&mut founder, &honest, &bad, vec![0; EXCHANGE_BYTES + 1]).await;
}

#[tokio::test]
async fn a_member_that_sends_forged_records_is_cut_off() {
    let (mut founder, honest, bad) = three().await;
    let member = founder.handle().roster().borrow().member(&bad.id()).cloned().unwrap();
    let body = DeviceBody { name: None, wireguard: member.wireguard, epoch: 0, relay: false, exit: false };
    let record = Record {
        mesh: mesh(&founder),
        author: bad.id(),
        sequence: 9,
        authority: None,
        issued_at: Timestamp::from_millis(1),
        body: Body::Device(body),
    };
    let mut forged = Verified::sign(record, &bad.identity).unwrap().bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let message = Message::Give(vec![forged]).encode().unwrap();
    is_cut_off(&mut founder, &honest, &bad, message).await;
    assert_eq!(founder.handle().peers().await.unwrap()[&bad.id()].rejected_records, 1);
}

#[tokio::test]
async fn a_member_that_declines_to_answer_is_not_punished() {
    let (mut founder, honest, bad) = three().await;
    // Speaks the exchange alone: the founder's greeting finds no answer.
    let mut silent = Villain::new(&bad.identity, &mesh(&founder), "exchange");
    let fate = silent.send(founder.address(), Message::Want(Vec::new()).encode().unwrap()).await;
    assert!(matches!(fate, Fate::Answered), "{fate:?}");
    founder.connected(bad.id()).await;
    let peers = founder.handle().peers().await.unwrap();
    assert_eq!(peers[&bad.id()].cut_offs, 0);
    drop(honest);
}

#[tokio::test]
async fn a_member_that_sends_small_messages_without_end_is_cut_off_and_others_go_on() {
    let (mut founder, honest, bad) = three().await;
    // Each is valid, and names nothing that the founder lacks.
    let message = Message::Want(Vec::new()).encode().unwrap();
    let mut villain = Villain::new(&bad.identity, &mesh(&founder), "exchange");
    let answered = villain.flood(founder.address(), &message).await;
    let burst = usize::try_from(EXCHANGE_MESSAGE_BURST).unwrap();
    assert!((burst..burst + 1000).contains(&answered), "{answered}");
    is_known_as_bad(&mut founder, &honest, &bad).await;
}

#[tokio::test]
async fn a_member_that_greets_without_end_is_cut_off_and_others_go_on() {
    let (mut founder, honest, bad) = three().await;
    let hello = Hello {
        now: now().wall,
        candidates: Vec::new(),
        nat: crate::signal::NatKind::Unknown,
        relay: false,
        grants: Grants::default(),
        presences: Vec::new(),
    };
    let message = codec::encode(&hello, 1000).unwrap();
    let mut answered = 0;
    // Coming back for each dozen does not help.
    while answered < 1000 && founder.handle().peers().await.unwrap()[&bad.id()].cut_offs == 0 {
        answered +=
            Villain::new(&bad.identity, &mesh(&founder), "signal").flood(founder.address(), &message).await;
    }
    assert!((60..200).contains(&answered), "{answered}");
    is_known_as_bad(&mut founder, &honest, &bad).await;
}
