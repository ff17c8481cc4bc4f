//! The door: what comes through, and everything that does not.

use proptest::prelude::*;

use super::codec::{self, CodecError};
use super::{
    Admin, Body, Device, Genesis, Grants, Invite, Join, MeshId, Name, NameError, Newcomer, Os, PortGrant,
    Protocol, Receipt, Record, RecordError, RecordId, Relation, Removal, Signed, Subject, Timestamp,
    Verified,
};
use crate::identity::{DeviceId, Identity, Signature, Subnet};
use crate::limits::SEQUENCES;

const MESH: MeshId = MeshId::from_bytes([3; 32]);

fn identity(number: u8) -> Identity {
    Identity::generate([number; 32])
}

fn record(body: Body) -> Record {
    let mesh = if matches!(body, Body::Genesis(_)) { MeshId::UNFOUNDED } else { MESH };
    let sequence = if matches!(body, Body::Genesis(_)) { 0 } else { 300 };
    let issued_at = Timestamp::from_millis(1_800_000_000_000);
    Record { mesh, author: identity(1).device_id(), sequence, authority: None, issued_at, body }
}

fn sign(record: Record) -> Result<Verified<Record>, RecordError> {
    Verified::sign(record, &identity(1))
}

/// The bytes that [`Verified::sign`] would make if it checked nothing.
fn force(record: &Record) -> Vec<u8> {
    let mut message = b"warren record v1\0".to_vec();
    message.extend(codec::encode(record, 1 << 20).unwrap());
    codec::encode(&(1_u8, record, identity(1).sign(&message)), 1 << 20).unwrap()
}

fn join() -> Join {
    let (key, device) = (identity(2), identity(3));
    let newcomer = Newcomer {
        invite: RecordId::from_bytes([4; 32]),
        key: key.device_id(),
        device: device.device_id(),
        name: "phone".parse().unwrap(),
        os: "android".parse().unwrap(),
        wireguard: device.wireguard_public(&MESH, 0),
        epoch: 0,
    };
    Join {
        invite_signature: key.sign(&newcomer.invite_message(&MESH).unwrap()),
        device_signature: device.sign(&newcomer.device_message(&MESH).unwrap()),
        newcomer,
    }
}

fn invite() -> Invite {
    let range = |protocol, first, last| PortGrant { protocol, first, last };
    let ports = vec![range(Protocol::Tcp, 22, 22), range(Protocol::Udp, 27_015, 27_030)];
    Invite {
        key: identity(2).device_id(),
        relation: Relation::Guest,
        uses: 5,
        not_after: Timestamp::from_millis(1_900_000_000_000),
        grants: Grants { ports, ..Grants::usual() },
        only: Vec::new(),
    }
}

fn every_kind() -> Vec<Record> {
    let genesis = Genesis {
        mesh_name: "home".parse().unwrap(),
        subnet: Subnet::DEFAULT,
        name: "nas".parse().unwrap(),
        os: Os::try_from("linux 6.12".to_owned()).unwrap(),
        nonce: [1; 16],
    };
    let wireguard = identity(1).wireguard_public(&MESH, 2);
    let device = Device { name: None, wireguard, epoch: 2, relay: true, exit: false };
    let ids = vec![RecordId::from_bytes([1; 32]), RecordId::from_bytes([2; 32])];
    let other = identity(5).device_id();
    [
        Body::Genesis(genesis),
        Body::Invite(invite()),
        Body::Join(Box::new(join())),
        Body::Device(device),
        Body::Admin(Admin::Appoint { device: other }),
        Body::Admin(Admin::Dismiss { device: other, appointments: ids.clone(), keeps: ids.clone() }),
        Body::Removal(Removal { subject: Subject::Device(other), keeps: ids }),
        Body::Removal(Removal { subject: Subject::Invite(RecordId::from_bytes([8; 32])), keeps: Vec::new() }),
        Body::Receipt(Receipt { removal: RecordId::from_bytes([9; 32]) }),
    ]
    .map(record)
    .to_vec()
}

#[test]
fn every_kind_of_record_comes_through_the_door_unchanged() {
    for record in every_kind() {
        let signed = sign(record.clone()).unwrap();
        let read = Verified::<Record>::from_bytes(signed.bytes()).unwrap();
        assert_eq!(read.record(), &record);
        assert_eq!(read.id(), signed.id());
        assert_eq!(read.bytes(), force(&record));
    }
}

#[test]
fn no_bit_of_a_record_can_be_changed() {
    for record in every_kind() {
        let good = sign(record).unwrap();
        for bit in 0..good.bytes().len() * 8 {
            let mut bytes = good.bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Verified::<Record>::from_bytes(&bytes).is_err(), "bit {bit} of {good:?}");
        }
    }
}

#[test]
fn a_record_cut_short_or_with_something_behind_it_is_refused() {
    for record in every_kind() {
        let good = sign(record).unwrap().bytes().to_vec();
        for length in 0..good.len() {
            assert!(Signed::<Record>::from_bytes(&good[..length]).is_err());
        }
        let long = [good.as_slice(), &[0]].concat();
        assert_eq!(
            Signed::<Record>::from_bytes(&long).unwrap_err(),
            RecordError::Codec(CodecError::Trailing(1))
        );
    }
}

#[test]
fn a_number_written_longer_than_need_be_is_refused() {
    // Sequence 300 is `fb 2c 01`; as 32 bits it would be `fc 2c 01 00 00`.
    let good = sign(every_kind().remove(1)).unwrap().bytes().to_vec();
    let at = good.windows(3).position(|window| window == [0xfb, 0x2c, 0x01]).unwrap();
    let mut bytes = good[..at].to_vec();
    bytes.extend([0xfc, 0x2c, 0x01, 0, 0]);
    bytes.extend(&good[at + 3..]);
    assert_eq!(
        Signed::<Record>::from_bytes(&bytes).unwrap_err(),
        RecordError::Codec(CodecError::NotCanonical)
    );
}

#[test]
fn a_newer_format_is_named_as_such() {
    assert_eq!(Signed::<Record>::from_bytes(&[2, 3, 4]).unwrap_err(), RecordError::NewerVersion(2));
    assert!(Signed::<Record>::from_bytes(&[]).is_err());
}

#[test]
fn a_record_longer_than_the_cap_is_not_even_read() {
    let error = Signed::<Record>::from_bytes(&vec![1; 64 * 1024 + 1]).unwrap_err();
    assert!(matches!(error, RecordError::Codec(CodecError::TooLong { .. })));
}

#[test]
fn a_claimed_length_reserves_nothing() {
    // A list of 2^60 elements in ten bytes.
    let mut bytes = vec![0xfd];
    bytes.extend((1_u64 << 60).to_le_bytes());
    assert!(codec::decode::<Vec<u64>>(&bytes, 1024).is_err());
}

#[test]
fn nobody_signs_for_another() {
    let mut record = every_kind().remove(3);
    record.author = identity(2).device_id();
    assert_eq!(sign(record), Err(RecordError::Signature));
}

#[test]
fn the_signatures_inside_a_join_are_checked_at_the_door() {
    let refused = |change: fn(&mut Join)| {
        let mut join = join();
        change(&mut join);
        Verified::<Record>::from_bytes(&force(&record(Body::Join(Box::new(join))))).unwrap_err()
    };
    assert_eq!(refused(|join| join.newcomer.name = "other".parse().unwrap()), RecordError::InviteSignature);
    assert_eq!(refused(|join| join.newcomer.key = identity(9).device_id()), RecordError::InviteSignature);
    assert_eq!(refused(|join| join.invite_signature = join.device_signature), RecordError::InviteSignature);
    assert_eq!(refused(|join| join.device_signature = join.invite_signature), RecordError::NewcomerSignature);
    assert_eq!(
        refused(|join| join.device_signature = Signature::from_bytes([0; 64])),
        RecordError::NewcomerSignature
    );
}

#[test]
fn a_join_of_one_mesh_says_nothing_in_another() {
    let mut foreign = record(Body::Join(Box::new(join())));
    foreign.mesh = MeshId::from_bytes([4; 32]);
    assert_eq!(sign(foreign), Err(RecordError::InviteSignature));
}

#[test]
fn a_signature_for_one_purpose_serves_no_other() {
    let record = every_kind().remove(3);
    let plain = codec::encode(&record, 1 << 20).unwrap();
    let bytes = codec::encode(&(1_u8, &record, identity(1).sign(&plain)), 1 << 20).unwrap();
    assert_eq!(Verified::<Record>::from_bytes(&bytes).unwrap_err(), RecordError::Signature);
}

#[test]
fn impossible_records_are_refused_even_when_signed() {
    let me = identity(1).device_id();
    let ids =
        |numbers: &[u8]| numbers.iter().map(|number| RecordId::from_bytes([*number; 32])).collect::<Vec<_>>();
    let many = |count: u32| -> Vec<RecordId> {
        let id = |number: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            RecordId::from_bytes(bytes)
        };
        (0..count).map(id).collect()
    };
    let removal = |keeps| Body::Removal(Removal { subject: Subject::Device(identity(5).device_id()), keeps });
    assert!(sign(record(removal(many(1024)))).is_ok());
    let with = |change: fn(&mut Invite)| {
        let mut invite = invite();
        change(&mut invite);
        Body::Invite(invite)
    };
    for body in [
        removal(ids(&[2, 1])),
        removal(ids(&[1, 1])),
        removal(many(1025)),
        Body::Admin(Admin::Appoint { device: me }),
        with(|invite| invite.uses = 0),
        with(|invite| invite.uses = 10_001),
        with(|invite| invite.key = identity(1).device_id()),
        with(|invite| invite.only = vec![identity(1).device_id(); 2]),
        with(|invite| invite.grants.ports = vec![PortGrant { protocol: Protocol::Tcp, first: 0, last: 9 }]),
        with(|invite| invite.grants.ports = vec![PortGrant { protocol: Protocol::Tcp, first: 9, last: 8 }]),
    ] {
        let bytes = force(&record(body));
        let error = Verified::<Record>::from_bytes(&bytes).unwrap_err();
        assert!(matches!(error, RecordError::Content(_)), "{error}");
    }
}

#[test]
fn an_author_has_an_end() {
    let device = |sequence| {
        let body = Device {
            name: None,
            wireguard: identity(1).wireguard_public(&MESH, 0),
            epoch: 0,
            relay: false,
            exit: false,
        };
        Record { sequence, ..record(Body::Device(body)) }
    };
    assert!(sign(device(SEQUENCES - 1)).is_ok());
    let refused = Verified::<Record>::from_bytes(&force(&device(SEQUENCES)));
    assert!(matches!(refused, Err(RecordError::Content(_))), "{refused:?}");
}

#[test]
fn an_authority_is_cited_only_where_one_is_needed() {
    for (index, mut record) in every_kind().into_iter().enumerate() {
        record.authority = Some(RecordId::from_bytes([1; 32]));
        assert_eq!(sign(record).is_ok(), [1, 4, 5, 6, 7].contains(&index), "kind {index}");
    }
}

#[test]
fn a_key_in_another_spelling_is_no_key_in_a_record() {
    let record = record(Body::Admin(Admin::Appoint { device: identity(5).device_id() }));
    let good = force(&record);
    let at = good.windows(32).position(|window| window == identity(5).device_id().as_bytes()).unwrap();
    for key in [[0; 32], [0xff; 32], {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    }] {
        let mut bytes = good.clone();
        bytes[at..at + 32].copy_from_slice(&key);
        assert!(DeviceId::from_bytes(key).is_err());
        assert!(matches!(Signed::<Record>::from_bytes(&bytes), Err(RecordError::Codec(_))));
    }
}

#[test]
fn each_broken_rule_of_names_has_its_own_words() {
    let error = |text: &str| text.parse::<Name>().unwrap_err();
    assert_eq!(error(""), NameError::Empty);
    assert_eq!(error(&"a".repeat(26)), NameError::TooLong(26));
    assert_eq!(error("my nas"), NameError::Space);
    assert_eq!(error("nas.home"), NameError::Dot);
    assert_eq!(error("nas_1"), NameError::Character('_'));
    assert_eq!(error("näs"), NameError::Character('ä'));
    assert_eq!(error("-nas"), NameError::OuterHyphen);
    assert_eq!(error("nas-"), NameError::OuterHyphen);
    assert_eq!(error("na--s"), NameError::DoubleHyphen);
    assert_eq!("NAS-1".parse::<Name>().unwrap().as_str(), "nas-1");
    assert_eq!(Name::try_from("NAS".to_owned()), Err(NameError::UpperCase));
    assert_eq!("a".repeat(25).parse::<Name>().unwrap().as_str().len(), 25);
}

#[test]
fn a_host_name_becomes_a_name_as_well_as_can_be() {
    let name = |text: &str| Name::from_free_text(text).map(|name| name.to_string());
    assert_eq!(name("Lisa's MacBook Pro.local").as_deref(), Some("lisa-s-macbook-pro"));
    assert_eq!(name("__x__").as_deref(), Some("x"));
    assert_eq!(name("a-very-long-host-name-that-does-not-end").as_deref(), Some("a-very-long-host-name-tha"));
    assert_eq!(name("漢字"), None);
    assert_eq!(name(""), None);
}

proptest! {
    #[test]
    fn numbered_names_are_names(text in "[a-z0-9]{1,25}", number in 2..100_000_u32) {
        let name: Name = text.parse().unwrap();
        let numbered = name.numbered(number).to_string();
        prop_assert!(Name::try_from(numbered.clone()).is_ok(), "{numbered}");
    }

    #[test]
    fn any_text_becomes_a_name_or_none(text in ".{0,60}") {
        if let Some(name) = Name::from_free_text(&text) {
            prop_assert!(Name::try_from(name.to_string()).is_ok());
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_back(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(record) = Verified::<Record>::from_bytes(&bytes) {
            prop_assert_eq!(record.bytes(), bytes);
        }
    }
}
