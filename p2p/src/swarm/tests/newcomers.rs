//! Ways into a mesh, and ways that lead nowhere.

use std::time::Duration;

use super::rig::Device;
use crate::{
    invite::{InviteCode, InviteTerms},
    node::Event,
    record::RecordId,
    swarm::{JoinError, Progress},
};

pub(super) fn uses(uses: u32) -> InviteTerms {
    InviteTerms { uses, ..InviteTerms::default() }
}

#[tokio::test]
async fn a_newcomer_with_a_code_becomes_a_member_and_connects() {
    let mut founder = Device::founder(1);
    let code = founder.invite(uses(1)).await;
    let mut laptop = Device::new(2);
    laptop.join(&code, "laptop").await;
    founder.connected(laptop.id()).await;
    laptop.connected(founder.id()).await;
    founder.roster(&["founder", "laptop"]).await;
    laptop.roster(&["founder", "laptop"]).await;
}

#[tokio::test]
async fn any_member_lets_a_newcomer_in_while_the_inviter_is_off() {
    let mut founder = Device::founder(1);
    let mut nas = Device::new(2);
    nas.join(&founder.invite(uses(1)).await, "nas").await;
    founder.connected(nas.id()).await;
    let code = founder.invite(uses(1)).await;
    assert!(code.doors().contains(&nas.address()), "a code leads to others too");
    nas.knows(&code).await;
    founder.stop().await;
    nas.disconnected(founder.id()).await;

    let mut phone = Device::new(3);
    phone.join(&code, "phone").await;
    nas.roster(&["founder", "nas", "phone"]).await;
    phone.roster(&["founder", "nas", "phone"]).await;
    founder.start();
    founder.roster(&["founder", "nas", "phone"]).await;
}

#[tokio::test]
async fn a_single_use_code_used_by_two_at_once_admits_one() {
    let founder = Device::founder(1);
    let code = founder.invite(uses(1)).await;
    let (one, two) = (Device::new(2), Device::new(3));
    let (first, second) = tokio::join!(one.ask_in(&code, "one"), two.ask_in(&code, "two"));
    let loser = match (first, second) {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
        (first, second) => panic!("{first:?} {second:?}"),
    };
    assert!(matches!(loser, JoinError::UsedUp { uses: 1 }), "{loser}");
    assert_eq!(founder.handle().roster().borrow().members().len(), 2);
}

#[tokio::test]
async fn many_join_by_one_code_at_once() {
    let founder = Device::founder(1);
    let code = founder.invite(uses(4)).await;
    let devices: Vec<Device> = (2..6).map(Device::new).collect();
    let joins = devices.iter().map(|device| device.ask_in(&code, "same-name"));
    for joined in futures::future::join_all(joins).await {
        joined.unwrap();
    }
    founder.roster(&["founder", "same-name", "same-name-2", "same-name-3", "same-name-4"]).await;
}

#[tokio::test]
async fn a_revoked_code_says_so() {
    let founder = Device::founder(1);
    founder.invite(uses(1)).await;
    let (code, id): (InviteCode, RecordId) = founder.handle().create_invite(uses(1)).await.unwrap();
    founder.handle().revoke_invite(id).await.unwrap();
    let error = Device::new(2).ask_in(&code, "laptop").await.unwrap_err();
    assert!(matches!(error, JoinError::Revoked), "{error}");
}

#[tokio::test]
async fn an_expired_code_says_so() {
    let founder = Device::founder(1);
    let terms = InviteTerms { lifetime: Duration::from_secs(1), ..InviteTerms::default() };
    let code = founder.invite(terms).await;
    let laptop = Device::new(2);
    // The shortest lifetime is a second. Asking for a taken name leaves the invite unused until it is over.
    let error = tokio::time::timeout(super::rig::DEADLINE, async {
        loop {
            match laptop.ask_in_with(&code, "founder", true).await.unwrap_err() {
                JoinError::NameTaken { .. } => {}
                error => return error,
            }
        }
    })
    .await
    .unwrap();
    assert!(matches!(error, JoinError::Expired { .. }), "{error}");
}

#[tokio::test]
async fn a_code_whose_doors_are_shut_tells_what_was_tried() {
    let mut founder = Device::founder(1);
    let code = founder.invite(uses(1)).await;
    founder.stop().await;
    let newcomer = Device::new(2);
    let error = newcomer.ask_in_for(&code, "laptop", Duration::from_millis(600)).await.unwrap_err();
    let JoinError::NobodyReachable { tried } = error else { panic!("{error}") };
    assert_eq!(tried, [founder.address()]);
}

#[tokio::test]
async fn a_code_of_another_mesh_is_known_to_nobody() {
    let founder = Device::founder(1);
    founder.invite(uses(1)).await;
    let other = Device::founder(2);
    // A door of the wrong mesh.
    other.handle().set_candidates(vec![founder.address()]).await.unwrap();
    let code = other.invite(uses(1)).await;
    let mut other = other;
    other.stop().await;
    let error = Device::new(3).ask_in_for(&code, "laptop", Duration::from_secs(2)).await.unwrap_err();
    let JoinError::NobodyKnowsInvite { reached } = error else { panic!("{error}") };
    assert_eq!(reached, [founder.address()]);
}

#[tokio::test]
async fn a_name_that_was_asked_for_and_is_taken_is_refused() {
    let founder = Device::founder(1);
    let code = founder.invite(uses(1)).await;
    let newcomer = Device::new(2);
    let error = newcomer.ask_in_with(&code, "founder", true).await.unwrap_err();
    assert!(matches!(error, JoinError::NameTaken { .. }), "{error}");
    assert!(error.to_string().contains("founder-2 is free"), "{error}");
}

#[tokio::test]
async fn a_newcomer_gets_in_by_tcp_where_udp_is_blocked() {
    let mut founder = Device::founder(1);
    let code = founder.invite(uses(1)).await;
    let mut laptop = Device::new(2);
    laptop.block_udp();
    laptop.join(&code, "laptop").await;
    founder.connected(laptop.id()).await;
    laptop.connected(founder.id()).await;
}

#[tokio::test]
async fn the_witness_itself_and_those_it_is_connected_to_hear_of_the_newcomer() {
    let mut founder = Device::founder(1);
    let code = founder.invite(uses(3)).await;
    let mut nas = Device::new(2);
    nas.join(&code, "nas").await;
    founder.connected(nas.id()).await;
    let mut phone = Device::new(3);
    phone.join(&code, "phone").await;
    // By what the founder tells of the other's presence.
    nas.connected(phone.id()).await;
    phone.connected(nas.id()).await;
    phone
        .event(|event| match event {
            Event::GrantsOfPeer { peer, grants } => (peer == nas.id()).then_some(grants.incoming),
            _ => None,
        })
        .await;
}

#[tokio::test]
async fn of_two_uses_in_a_partition_one_wins_everywhere_after_the_merge() {
    let mut founder = Device::founder(1);
    let mut nas = Device::new(2);
    nas.join(&founder.invite(uses(1)).await, "nas").await;
    founder.connected(nas.id()).await;
    let code = founder.invite(uses(1)).await;
    nas.knows(&code).await;

    founder.stop().await;
    nas.disconnected(founder.id()).await;
    let (mut first, mut second) = (Device::new(3), Device::new(4));
    first.join(&code, "first").await;
    nas.roster(&["first", "founder", "nas"]).await;
    nas.stop().await;
    first.stop().await;
    founder.start();
    second.join(&code, "second").await;
    founder.roster(&["founder", "nas", "second"]).await;

    nas.start();
    first.start();
    for device in [&founder, &nas, &first] {
        device.roster(&["first", "founder", "nas"]).await;
    }
    second.event(|event| matches!(event, Event::Removed).then_some(())).await;
}

#[tokio::test]
async fn a_newcomer_reports_what_happens_on_the_way() {
    let founder = Device::founder(1);
    let code = founder.invite(uses(3)).await;
    let seen = Device::new(2).progress(&code).await;
    let [Progress::Searching, Progress::Terms(terms), Progress::Admitted] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(terms.mesh_name.as_str(), "home");
    assert_eq!((terms.uses, terms.members), (3, 1));
    assert_eq!(terms.inviter.as_ref().unwrap().as_str(), "founder");
}

/// Runs other tests of this binary with the variable set; what they negotiate by QUIC and by TCP must not be in the file.
#[test]
fn session_secrets_are_not_logged() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("secrets");
    for test in [
        "a_newcomer_with_a_code_becomes_a_member_and_connects",
        "a_newcomer_gets_in_by_tcp_where_udp_is_blocked",
    ] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("swarm::tests::newcomers::{test}")])
            .env("SSLKEYLOGFILE", &log)
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
        assert_eq!(std::fs::read(&log).unwrap_or_default(), b"", "{test}");
    }
}
