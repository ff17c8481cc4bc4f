//! The text that people paste, whole and spoilt.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::super::{CodeError, InviteCode, Request, Response};
use crate::identity::Identity;
use crate::membership::fixture::Mesh;
use crate::record::RecordId;

fn code(doors: &[&str]) -> InviteCode {
    let doors: Vec<SocketAddr> = doors.iter().map(|door| door.parse().unwrap()).collect();
    InviteCode::new([5; 16], Mesh::new().id, &RecordId::from_bytes([6; 32]), &doors)
}

fn longest() -> InviteCode {
    code(&["[2001:db8::1]:41820", "[2001:db8::2]:1", "[2001:db8::3]:65535", "[2001:db8::4]:9"])
}

#[test]
fn the_longest_code_fits_a_message() {
    let text = longest().to_string();
    assert_eq!(text.len(), 235);
    assert!(text.starts_with("warren1") && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
}

#[test]
fn the_rendezvous_is_a_door_that_takes_no_room() {
    let text = longest().with_rendezvous().to_string();
    assert_eq!(text.len(), 235);
    let code: InviteCode = text.parse().unwrap();
    assert!(code.rendezvous() && code.with_doors(&[]).rendezvous());
    assert!(!longest().rendezvous());
    assert_eq!((code.terms(), code.mesh()), (longest().terms(), longest().mesh()));
}

#[test]
fn a_code_survives_mail_and_people() {
    let code = code(&["192.0.2.1:41820", "[2001:db8::1]:41820"]);
    let text = code.to_string();
    let wrapped: Vec<String> =
        text.as_bytes().chunks(40).map(|line| format!("> {}\r\n", String::from_utf8_lossy(line))).collect();
    let grouped: Vec<_> =
        text.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    for variant in [
        format!("  {text}\n"),
        text.to_uppercase(),
        text.replace('0', "O").replace('1', "l"),
        text.replace('1', "I"),
        grouped.join("-"),
        wrapped.concat().replace("> ", ""),
    ] {
        assert_eq!(variant.parse::<InviteCode>().as_ref(), Ok(&code), "{variant}");
    }
}

#[test]
fn what_is_wrong_with_a_code_is_said() {
    let text = longest().to_string();
    let error = |text: &str| text.parse::<InviteCode>().unwrap_err();
    assert_eq!(error(""), CodeError::NotACode);
    assert_eq!(error("hello"), CodeError::NotACode);
    assert_eq!(error("https://example.org"), CodeError::NotACode);
    assert_eq!(error("wärren1"), CodeError::NotACode);
    for length in 6..text.len() {
        assert!(matches!(error(&text[..length]), CodeError::Truncated { .. }), "{length}");
    }
    assert_eq!(error(&format!("{text}0")), CodeError::Mistyped);
    assert_eq!(error(&format!("{text}é")), CodeError::Mistyped);
    assert_eq!(error(&text.replace("warren1", "warren2")), CodeError::NewerVersion);
    assert!(error(&text.replacen("arren1", "arren1u", 1)).to_string().contains("mistyped"));
}

#[test]
fn every_changed_character_is_noticed() {
    let text = code(&["192.0.2.1:41820"]).to_string();
    for index in 7..text.len() {
        for replacement in "0123456789abcdefghjkmnpqrstvwxyz".chars() {
            let mut changed: Vec<char> = text.chars().collect();
            if changed[index] == replacement {
                continue;
            }
            changed[index] = replacement;
            let changed: String = changed.into_iter().collect();
            assert!(changed.parse::<InviteCode>().is_err(), "{changed}");
        }
    }
    for index in 7..text.len() - 1 {
        let mut swapped = text.clone().into_bytes();
        swapped.swap(index, index + 1);
        let swapped = String::from_utf8(swapped).unwrap();
        assert!(swapped == text || swapped.parse::<InviteCode>().is_err(), "{swapped}");
    }
}

#[test]
fn doors_that_lead_nowhere_are_left_out() {
    let doors =
        ["0.0.0.0:1", "192.0.2.1:0", "[fe80::1]:5", "224.0.0.1:5", "[::ffff:192.0.2.9]:5", "192.0.2.9:5"];
    let code = code(&doors);
    assert_eq!(code.doors(), ["192.0.2.9:5".parse().unwrap()]);
    assert_eq!(longest().with_doors(code.doors()).doors(), code.doors());
    assert_eq!(longest().with_doors(code.doors()).terms(), longest().terms());
}

#[test]
fn a_code_does_not_show_its_secret() {
    assert_eq!(format!("{:?}", longest()), "InviteCode(..)");
    assert_ne!(code(&[]).invite_identity().device_id(), Identity::generate([5; 32]).device_id());
}

prop_compose! {
    fn any_code()(
        seed in any::<[u8; 16]>(),
        mesh in any::<[u8; 32]>(),
        invite in any::<[u8; 32]>(),
        doors in prop::collection::vec(any::<SocketAddr>(), 0..6),
        rendezvous in any::<bool>(),
    ) -> InviteCode {
        let mesh = crate::record::MeshId::from_bytes(mesh);
        let code = InviteCode::new(seed, mesh, &RecordId::from_bytes(invite), &doors);
        if rendezvous { code.with_rendezvous() } else { code }
    }
}

proptest! {
    #[test]
    fn any_code_reads_as_it_was_written(code in any_code()) {
        let text = code.to_string();
        prop_assert!(text.len() <= 235);
        prop_assert_eq!(text.parse::<InviteCode>(), Ok(code));
    }

    #[test]
    fn a_flipped_bit_is_never_accepted(code in any_code(), at in any::<prop::sample::Index>()) {
        let mut bytes = crate::identity::BASE32.decode(&code.to_string().as_bytes()[7..]).unwrap();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let text = format!("warren1{}", crate::identity::BASE32.encode(&bytes));
        prop_assert!(text.parse::<InviteCode>().is_err());
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,300}") {
        let _ = text.parse::<InviteCode>();
        let _ = format!("warren1{text}").parse::<InviteCode>();
    }

    #[test]
    fn no_message_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Request::decode(&bytes);
        let _ = Response::decode(&bytes);
    }
}
