//! Keys, their spellings, their addresses and their file.
#![expect(clippy::disallowed_methods, reason = "damaged files are written as they come")]

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::key_file::{self, KeyFileError};
use super::{
    AddressesUsedUp, DeviceId, DeviceIdError, Identity, Signature, Subnet, SubnetError, WireGuardKey,
    WireGuardKeyError, ipv4, ipv6, verify,
};
use crate::record::MeshId;

const MESH: MeshId = MeshId::from_bytes([9; 32]);

fn identity(number: u8) -> Identity {
    Identity::generate([number; 32])
}

/// The eight points of small order in every spelling that decompresses (Chalkias et al., "Taming the many
/// EdDSAs", table 6c), little endian.
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

fn hex(text: &str) -> [u8; 32] {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

#[test]
fn no_key_of_small_order_is_a_device_in_any_spelling() {
    for text in SMALL_ORDER {
        assert!(DeviceId::from_bytes(hex(text)).is_err(), "{text}");
    }
    assert_eq!(DeviceId::from_bytes(hex(SMALL_ORDER[0])), Err(DeviceIdError::Weak));
    assert_eq!(DeviceId::from_bytes(hex(SMALL_ORDER[4])), Err(DeviceIdError::NotCanonical));
}

#[test]
fn a_key_written_above_the_field_prime_is_refused() {
    // y = 2^255 - 19 + 3 is y = 3, a point of large order, in its other spelling.
    let three = {
        let mut bytes = [0; 32];
        bytes[0] = 3;
        bytes
    };
    let other = {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xf0;
        bytes[31] = 0x7f;
        bytes
    };
    assert!(DeviceId::from_bytes(three).is_ok());
    assert_eq!(DeviceId::from_bytes(other), Err(DeviceIdError::NotCanonical));
}

#[test]
fn a_signature_holds_for_its_message_and_key_alone() {
    let signature = identity(1).sign(b"message");
    assert!(verify(&identity(1).device_id(), b"message", &signature));
    assert!(!verify(&identity(1).device_id(), b"another", &signature));
    assert!(!verify(&identity(2).device_id(), b"message", &signature));
}

#[test]
fn the_other_spelling_of_a_signature_is_refused() {
    // S + L signs as S does where nobody checks (RFC 8032, section 5.1.7 says one must).
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bytes = *identity(1).sign(b"message").as_bytes();
    let mut carry = 0_u16;
    for (byte, order) in bytes[32..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(order);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(carry, 0);
    assert!(!verify(&identity(1).device_id(), b"message", &Signature::from_bytes(bytes)));
}

#[test]
fn a_signature_with_a_point_of_small_order_is_refused() {
    for text in SMALL_ORDER {
        let mut bytes = *identity(1).sign(b"message").as_bytes();
        bytes[..32].copy_from_slice(&hex(text));
        assert!(!verify(&identity(1).device_id(), b"message", &Signature::from_bytes(bytes)));
    }
}

#[test]
fn wireguard_keys_are_canonical_and_keep_secrets() {
    let prime_plus = |number: u8| {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xed + number;
        bytes[31] = 0x7f;
        bytes
    };
    for bytes in [prime_plus(0), prime_plus(1), prime_plus(18), [0xff; 32]] {
        assert_eq!(WireGuardKey::from_bytes(bytes), Err(WireGuardKeyError::NotCanonical));
    }
    let mut weak = 0;
    for bytes in super::wireguard_key::SMALL_ORDER {
        assert_eq!(WireGuardKey::from_bytes(bytes), Err(WireGuardKeyError::Weak));
        let secret = x25519_dalek::StaticSecret::from([3; 32]);
        weak += u32::from(!secret.diffie_hellman(&bytes.into()).was_contributory());
    }
    assert_eq!(weak, 5, "the list names points of small order only");
}

#[test]
fn each_mesh_and_epoch_has_its_own_wireguard_key() {
    let device = identity(1);
    let keys = [
        device.wireguard_public(&MESH, 0),
        device.wireguard_public(&MESH, 1),
        device.wireguard_public(&MeshId::from_bytes([8; 32]), 0),
        identity(2).wireguard_public(&MESH, 0),
    ];
    assert_eq!(BTreeSet::from(keys).len(), 4);
    assert_eq!(keys[0], Identity::from_bytes(&device.to_bytes()).wireguard_public(&MESH, 0));
    assert!(WireGuardKey::from_bytes(*keys[0].as_bytes()).is_ok());
}

#[test]
fn a_device_and_its_libp2p_peer_are_one() {
    let device = identity(1);
    let peer = device.libp2p_keypair().public().to_peer_id();
    assert_eq!(device.device_id().to_peer_id(), peer);
    assert_eq!(DeviceId::from_peer_id(&peer), Some(device.device_id()));
    // Another kind of key has no device.
    let hashed = libp2p_identity::PeerId::random();
    assert!(DeviceId::from_peer_id(&hashed).is_none());
}

#[test]
fn secrets_are_not_shown() {
    assert_eq!(format!("{:?}", identity(1)), "Identity(..)");
    assert_eq!(format!("{:?}", identity(1).sign(b"m")), "Signature(..)");
}

#[test]
fn a_device_id_reads_as_it_is_written_and_in_other_cases() {
    let device = identity(1).device_id();
    let text = device.to_string();
    assert_eq!(text.len(), 52);
    assert_eq!(text.parse(), Ok(device));
    assert_eq!(text.to_uppercase().parse(), Ok(device));
    assert_eq!(device.short().len(), 8);
    assert_eq!("xyz".parse::<DeviceId>(), Err(DeviceIdError::Malformed));
    assert!(text[..51].parse::<DeviceId>().is_err());
}

#[test]
fn a_mesh_takes_private_networks_only() {
    for text in ["100.64.0.0/10", "10.0.0.0/8", "10.20.0.0/16", "172.16.0.0/12", "192.168.7.0/24"] {
        assert_eq!(text.parse::<Subnet>().unwrap().to_string(), text);
    }
    assert_eq!("8.8.8.0/24".parse::<Subnet>(), Err(SubnetError::Public));
    assert_eq!("100.0.0.0/8".parse::<Subnet>(), Err(SubnetError::Public));
    assert_eq!("192.168.0.0/25".parse::<Subnet>(), Err(SubnetError::Prefix));
    assert_eq!("10.0.0.1/8".parse::<Subnet>(), Err(SubnetError::HostBits));
    assert_eq!("10.0.0.0".parse::<Subnet>(), Err(SubnetError::Malformed));
}

#[test]
fn every_address_of_a_network_is_reached_by_some_attempt() {
    let subnet: Subnet = "192.168.7.0/24".parse().unwrap();
    let device = identity(1).device_id();
    let addresses: BTreeSet<_> = (0..).map_while(|attempt| ipv4(&subnet, &device, attempt).ok()).collect();
    assert_eq!(addresses.len(), 254);
    assert!(!addresses.contains(&Ipv4Addr::new(192, 168, 7, 0)));
    assert!(!addresses.contains(&Ipv4Addr::new(192, 168, 7, 255)));
    assert_eq!(ipv4(&subnet, &device, 32 + 254), Err(AddressesUsedUp));
}

proptest! {
    #[test]
    fn addresses_lie_in_their_networks(seed in any::<[u8; 32]>(), attempt in 0..40_u32) {
        let device = Identity::generate(seed).device_id();
        let subnet = Subnet::default();
        let address = ipv4(&subnet, &device, attempt).unwrap();
        prop_assert!(subnet.contains(address));
        let address = ipv6(&MESH, &device);
        prop_assert!(address.is_unique_local());
        prop_assert_eq!(address.octets()[0], 0xfd);
    }
}

#[test]
fn a_key_file_is_read_back_and_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    assert!(matches!(key_file::load(&path), Err(KeyFileError::Missing(_))));
    let made = key_file::load_or_create(&path, [5; 32]).unwrap();
    assert_eq!(made.device_id(), key_file::load(&path).unwrap().device_id());
    assert_eq!(made.device_id(), key_file::load_or_create(&path, [6; 32]).unwrap().device_id());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    assert!(matches!(key_file::create(&path, [6; 32]), Err(KeyFileError::Exists(_))));
}

#[test]
fn what_an_interrupted_attempt_left_does_not_stop_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    fs::write(path.with_extension("new"), "half").unwrap();
    key_file::create(&path, [5; 32]).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    key_file::create(&path, [5; 32]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = key_file::load(&path).unwrap_err();
    assert!(matches!(error, KeyFileError::WrongMode { mode: 0o640, .. }));
    assert!(error.to_string().contains("chmod 600"));
}

#[test]
fn a_damaged_key_file_is_refused_whatever_the_damage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    key_file::create(&path, [5; 32]).unwrap();
    let good = fs::read(&path).unwrap();
    let mut damaged = vec![Vec::new(), b"\n".to_vec(), vec![0; 4096], [good.as_slice(), b"more\n"].concat()];
    damaged.extend((1..good.len() - 1).map(|length| good[..length].to_vec()));
    damaged.extend((0..good.len() - 1).map(|index| {
        let mut bytes = good.clone();
        bytes[index] ^= 1;
        bytes
    }));
    for bytes in damaged {
        fs::write(&path, &bytes).unwrap();
        let outcome = key_file::load(&path);
        assert!(
            matches!(outcome, Err(KeyFileError::Malformed { .. })),
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[test]
fn a_directory_is_no_key_file_and_a_missing_one_holds_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    fs::create_dir_all(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(matches!(key_file::load(&path), Err(KeyFileError::Malformed { .. })));
    let nowhere = directory.path().join("no/where/identity");
    assert!(matches!(key_file::create(&nowhere, [1; 32]), Err(KeyFileError::Io { .. })));
}

#[test]
fn a_full_disk_is_named() {
    let error = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let error = key_file::of_io(std::path::Path::new("/state/identity"), error);
    assert!(matches!(error, KeyFileError::Full(_)));
    assert!(error.to_string().contains("disk is full"));
}
