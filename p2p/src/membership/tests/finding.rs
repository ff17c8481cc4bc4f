//! Naming a member in any way people do.

use super::super::FindError;
use super::super::fixture::{Mesh, device, id};

#[test]
fn a_member_is_found_by_name_domain_address_key_and_id_in_any_case() {
    let mesh = Mesh::of_members(2);
    let log = mesh.log();
    let roster = log.roster();
    let member = roster.member(&id(1)).unwrap();
    let key = device(1).wireguard_public(&mesh.id, 0).to_string();
    for text in [
        "device1",
        "DEVICE1",
        " device1 ",
        "device1.home",
        "Device1.HOME.internal",
        "device1.home.internal.",
        &member.ipv4.to_string(),
        &member.ipv6.to_string(),
        &member.ipv6.to_string().to_uppercase(),
        &member.id.short(),
        &member.id.to_string().to_uppercase(),
        &key,
    ] {
        assert_eq!(roster.find(text).map(|found| found.id), Ok(id(1)), "{text}");
    }
}

#[test]
fn whoever_is_not_a_member_is_unknown() {
    let mesh = Mesh::of_members(1);
    let log = mesh.log();
    for text in ["x", "", "device1.office", "device1.internal", "home", "100.64.0.0", "0000000000", "."] {
        let error = log.roster().find(text).unwrap_err();
        assert_eq!(error, FindError::Unknown(text.to_owned()));
        assert_eq!(error.to_string(), format!("Peer '{text}' is unknown."));
    }
}

#[test]
fn the_beginning_of_two_ids_is_ambiguous() {
    // Ids differ in their first characters; a name that begins alike does not matter.
    let mesh = Mesh::of_members(60);
    let log = mesh.log();
    let roster = log.roster();
    for member in roster.members().values() {
        assert_eq!(roster.find(&member.id.short()).map(|found| found.id), Ok(member.id));
    }
    assert!(matches!(roster.find("dev"), Err(FindError::Unknown(_))));
}
