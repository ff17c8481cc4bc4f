//! Members, newcomers and villains on loopback.

#![expect(clippy::unwrap_used, reason = "tests")]

mod rig;

use std::time::Duration;

use rig::Device;

use super::JoinError;
use crate::{
    invite::InviteTerms,
    node::Event,
    record::Grants,
};

fn uses(uses: u32) -> InviteTerms {
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
    assert!(code.doors().contains(&nas.address()), "a code leads to others too: {:?} {:?}", code.doors(), founder.handle().peers().await);
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
