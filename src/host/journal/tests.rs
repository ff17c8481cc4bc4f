//! The journal survives what ends a daemon: a torn line, a reboot, a full list.

use std::net::IpAddr;

use super::*;

fn route(last: u8) -> Change {
    Change::Route { link: "warren0".into(), destination: IpAddr::from([100, 64, 0, last]), prefix: 32 }
}

fn open_at(dir: &tempfile::TempDir, boot: &str) -> Journal {
    Journal::open_in_boot(&dir.path().join("journal"), boot.into()).unwrap()
}

fn in_force(journal: &Journal) -> Vec<Change> {
    journal.entries().map(|entry| entry.change.clone()).collect()
}

#[test]
fn what_was_recorded_and_not_forgotten_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open_at(&dir, "a");
    let entries = journal.record(vec![(route(1), 7), (route(2), 7), (route(3), 7)]).unwrap();
    journal.forget(&[entries[1].sequence]).unwrap();
    drop(journal);
    let journal = open_at(&dir, "a");
    assert_eq!(in_force(&journal), [route(1), route(3)]);
}

#[test]
fn a_torn_last_line_is_ignored_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open_at(&dir, "a");
    journal.record(vec![(route(1), 7), (route(2), 7)]).unwrap();
    let whole = fs::read(dir.path().join("journal")).unwrap();
    for length in 0..whole.len() {
        let state = replay(&whole[..length], "a").unwrap();
        assert!(state.entries.len() <= 2);
    }
    assert_eq!(replay(&whole, "a").unwrap().entries.len(), 2);
}

#[test]
fn a_torn_line_does_not_spoil_the_line_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = open_at(&dir, "a");
    journal.record(vec![(route(1), 7)]).unwrap();
    let whole = fs::metadata(&path).unwrap().len();
    journal.record(vec![(route(2), 7)]).unwrap();
    open(&path).unwrap().set_len(whole + 9).unwrap();
    let mut journal = open_at(&dir, "a");
    journal.record(vec![(route(3), 7)]).unwrap();
    assert_eq!(in_force(&open_at(&dir, "a")), [route(1), route(3)]);
}

#[test]
fn the_changes_of_an_earlier_boot_are_gone_with_it() {
    let dir = tempfile::tempdir().unwrap();
    open_at(&dir, "a").record(vec![(route(1), 7)]).unwrap();
    assert_eq!(in_force(&open_at(&dir, "b")), []);
}

#[test]
fn damage_in_the_middle_is_reported_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut file = open(&path).unwrap();
    file.write_all(b"{\"boot\":\"a\"}\nnonsense\n{\"undone\":[1]}\n").unwrap();
    let error = Journal::open_in_boot(&path, "a".into()).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { line: 2, .. }), "{error}");
}

#[test]
fn a_long_life_does_not_grow_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open_at(&dir, "a");
    journal.record(vec![(route(0), 7)]).unwrap();
    for _ in 0..COMPACT_AT {
        let made = journal.record(vec![(route(1), 7)]).unwrap();
        journal.forget(&[made[0].sequence]).unwrap();
    }
    assert!(journal.state.lines <= COMPACT_AT + 1, "{}", journal.state.lines);
    assert_eq!(in_force(&open_at(&dir, "a")), [route(0)]);
}
