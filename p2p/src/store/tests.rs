//! What is kept is found again; what is damaged is named.
#![expect(clippy::disallowed_methods, reason = "damaged files are written as they come")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::seal::Seal;
use super::{Addresses, Store, StoreError};
use crate::membership::Log;
use crate::membership::fixture::{Mesh, at, id};
use crate::record::{Grants, MeshId};

fn filled(directory: &Path) -> Mesh {
    let mesh = Mesh::of_members(3);
    let store = Store::open(directory).unwrap();
    store.set_mesh(mesh.id).unwrap();
    store.add_records(&mesh.records).unwrap();
    mesh
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let mesh = filled(directory.path());
    let mut addresses = Addresses::default();
    for port in 1..=10 {
        addresses.note(([192, 0, 2, 1], port).into(), at(u64::from(port)));
    }
    addresses.note(([192, 0, 2, 1], 5).into(), at(20));
    assert_eq!(addresses.0.len(), 8);
    assert_eq!((addresses.0[0].address.port(), addresses.0[1].address.port()), (5, 10));
    {
        let store = Store::open(directory.path()).unwrap();
        store.put_addresses(&id(1), &addresses).unwrap();
        store.put_grants(&id(2), &Grants::usual()).unwrap();
        store.put_setting("port", b"41820").unwrap();
    }
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.mesh().unwrap(), Some(mesh.id));
    let log = Log::from_records(mesh.id, store.load_verified().unwrap());
    assert_eq!(log.roster(), mesh.log().roster());
    assert_eq!(store.load_records().unwrap().len(), mesh.records.len());
    assert_eq!(store.addresses().unwrap(), [(id(1), addresses)]);
    assert_eq!(store.grants(&id(2)).unwrap(), Some(Grants::usual()));
    assert_eq!(store.grants(&id(3)).unwrap(), None);
    assert_eq!(store.all_grants().unwrap().len(), 1);
    assert_eq!(store.setting("port").unwrap().as_deref(), Some(&b"41820"[..]));
    store.clear().unwrap();
    assert!(store.mesh().unwrap().is_none() && store.load_records().unwrap().is_empty());
    assert!(store.setting("port").unwrap().is_some());
}

#[test]
fn replaced_records_are_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut mesh = filled(directory.path());
    let before = mesh.log();
    mesh.describe(0, "renamed", 0);
    let extended = before.extended(mesh.records.clone());
    assert_eq!((extended.added.len(), extended.dropped.len()), (1, 1));
    let store = Store::open(directory.path()).unwrap();
    store.apply(&extended.added, &extended.dropped).unwrap();
    let read = Log::from_records(mesh.id, store.load_verified().unwrap());
    assert_eq!(read.digest(), extended.log.digest());
}

#[test]
fn a_second_daemon_is_told_of_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let first = Store::open(directory.path()).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("warren down"));
    drop(first);
    Store::open(directory.path()).unwrap();
}

#[test]
fn a_store_holds_one_mesh() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let store = Store::open(directory.path()).unwrap();
    let error = store.set_mesh(MeshId::from_bytes([1; 32])).unwrap_err();
    assert!(matches!(error, StoreError::OtherMesh { .. }));
}

#[test]
fn others_files_are_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("letter.txt"), "dear all").unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Foreign { found, .. } if found == "letter.txt"), "{error:?}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let file = directory.path().join("letter.txt");
    assert!(matches!(Store::open(&file), Err(StoreError::Foreign { .. })));
}

#[test]
fn another_programs_database_is_not_ours() {
    let directory = tempfile::tempdir().unwrap();
    {
        let other = sled::open(directory.path()).unwrap();
        other.open_tree("customers").unwrap().insert("one", "two").unwrap();
        other.flush().unwrap();
    }
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
}

#[test]
fn a_store_of_a_newer_warren_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let seal = Seal::read(directory.path()).unwrap_or_else(|_| panic!("sealed by opening"));
    Seal { schema: 2, sums: Vec::new() }.write(directory.path()).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 2, known: 1, .. }), "{error:?}");
    seal.write(directory.path()).unwrap();
    assert_eq!(Store::open(directory.path()).unwrap().load_verified().unwrap().len(), 6);
}

#[test]
fn a_record_that_does_not_verify_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mesh = filled(directory.path());
    let record = &mesh.records[2];
    let store = Store::open(directory.path()).unwrap();
    store.put_raw_record(record.id().as_bytes(), &record.bytes()[..50]);
    let error = store.load_verified().unwrap_err();
    assert!(
        matches!(&error, StoreError::CorruptRecord { record: named, .. } if *named == record.id()),
        "{error:?}"
    );
    assert!(error.to_string().contains(&record.id().to_string()));
}

#[test]
fn what_changes_behind_the_stores_back_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let mesh = filled(directory.path());
    {
        let db = sled::open(directory.path()).unwrap();
        db.open_tree("records").unwrap().remove(mesh.records[2].id().as_bytes()).unwrap();
        db.flush().unwrap();
    }
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_power_cut_between_seal_and_write_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let mesh = filled(directory.path());
    let seal = Seal::read(directory.path()).unwrap_or_else(|_| panic!("sealed by opening"));
    // The seal of a write that never came.
    let mut sums = vec![seal.sums.last().copied().unwrap(), [7; 32]];
    Seal { sums: sums.clone(), ..seal }.write(directory.path()).unwrap();
    assert_eq!(Store::open(directory.path()).unwrap().load_records().unwrap().len(), mesh.records.len());
    sums.remove(0);
    Seal { schema: 1, sums }.write(directory.path()).unwrap();
    assert!(matches!(Store::open(directory.path()), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_first_start_that_was_cut_short_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    Store::open(directory.path()).unwrap();
    fs::remove_file(directory.path().join("seal")).unwrap();
    Store::open(directory.path()).unwrap();
    filled(directory.path());
    fs::remove_file(directory.path().join("seal")).unwrap();
    assert!(matches!(Store::open(directory.path()), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    if rustix::process::geteuid().is_root() {
        // Root may write anywhere; the mapping is what is left to check.
        let error = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = super::sled_store::io_error(Path::new("/state"), error);
        assert!(matches!(error, StoreError::NotWritable { .. }));
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::NotWritable { .. }), "{error:?}");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_full_disk_is_named() {
    let error = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let error = super::sled_store::io_error(Path::new("/state"), error);
    assert!(matches!(error, StoreError::Full { .. }));
    assert!(error.to_string().contains("the change was not made"));
}

/// Damages the files of a filled store in one way, and opens it: all of it is there, or there is an error that
/// says so.
fn damage(change: impl FnOnce(&Path)) -> Result<(), StoreError> {
    let directory = tempfile::tempdir().unwrap();
    let mesh = filled(directory.path());
    change(directory.path());
    let outcome = Store::open(directory.path()).and_then(|store| Ok((store.mesh()?, store.load_verified()?)));
    match outcome {
        Ok((found, records)) => {
            assert_eq!((found, records.len()), (Some(mesh.id), mesh.records.len()));
            Ok(())
        }
        Err(error) => {
            assert!(
                matches!(error, StoreError::Corrupt { .. } | StoreError::CorruptRecord { .. }),
                "{error:?}"
            );
            assert!(error.to_string().contains("move the directory away"), "{error}");
            Err(error)
        }
    }
}

#[test]
fn garbage_instead_of_a_file_is_a_clear_error() {
    for name in ["conf", "db", "seal"] {
        for garbage in [vec![], vec![0; 4096], vec![0xff; 4096], b"not a database\n".repeat(100)] {
            let outcome = damage(|directory| fs::write(directory.join(name), &garbage).unwrap());
            assert!(outcome.is_err() || name == "conf", "{name}");
        }
    }
}

#[test]
fn a_file_cut_short_is_a_clear_error() {
    for name in ["db", "seal"] {
        for divisor in [1_u64, 2, 3, 10, 1000] {
            let _ = damage(|directory| {
                let file = fs::OpenOptions::new().write(true).open(directory.join(name)).unwrap();
                let length = file.metadata().unwrap().len();
                file.set_len(length - length.div_ceil(divisor)).unwrap();
            });
        }
    }
}

#[test]
fn a_bit_lost_anywhere_is_a_clear_error_or_does_no_harm() {
    for step in 0..24_usize {
        for name in ["db", "seal", "conf"] {
            let _ = damage(|directory| {
                let path = directory.join(name);
                let mut bytes = fs::read(&path).unwrap();
                // Where something is written, not in the empty rest of the file.
                let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
                let at = (step * 7919 + step * step * 131) % used;
                bytes[at] ^= 0x40;
                fs::write(&path, bytes).unwrap();
            });
        }
    }
}

#[test]
fn a_damaged_store_is_set_aside_only_when_asked() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("store");
    filled(&directory);
    let first = Store::set_aside(&directory).unwrap();
    assert!(first.join("db").exists() && !directory.exists());
    Store::open(&directory).unwrap();
    let second = Store::set_aside(&directory).unwrap();
    assert_ne!(first, second);
}
