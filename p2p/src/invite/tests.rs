//! From a pasted code to a member, and every way in which that fails.

use std::time::Duration;

use super::{
    InviteCode, InviteTerms, IssueError, Issued, JoinCheckError, Joiner, Progress, Refusal, Request,
    Response, Standing, TermsError, Wish, answer,
};
use crate::identity::DeviceId;
use crate::membership::Log;
use crate::membership::fixture::{Mesh, at, device, id};
use crate::record::Timestamp;

mod code;

const HOUR: u64 = 60 * 60 * 1000;

fn issue(log: &Log, uses: u32) -> (Log, InviteCode) {
    let terms = InviteTerms { uses, ..InviteTerms::default() };
    let doors = ["192.0.2.7:41820".parse().unwrap()];
    let issued = Issued::new(log, &device(0), terms, &doors, [uses as u8; 16], at(0)).unwrap();
    (log.extended(vec![issued.record]).log, issued.code)
}

fn wish(name: &str, name_is_asked_for: bool) -> Wish {
    Wish { name: name.parse().unwrap(), name_is_asked_for, os: "linux".parse().unwrap() }
}

/// A newcomer and a member talk, as far as they get.
fn talk(
    log: &mut Log,
    member: u32,
    joiner: &mut Joiner,
    key: &DeviceId,
    now: Timestamp,
) -> Result<Log, JoinCheckError> {
    let wire = |request: Request| Request::decode(&request.encode().unwrap()).unwrap();
    let terms = answer(log, &device(member), key, &wire(joiner.ask(now)), now).response;
    joiner.handle_terms(&Response::decode(&terms.encode().unwrap()).unwrap(), now)?;
    let mut request = joiner.request()?;
    loop {
        let admission = answer(log, &device(member), key, &wire(request), now);
        if let Some(extended) = admission.extended {
            *log = extended.log;
        }
        let response = Response::decode(&admission.response.encode().unwrap()).unwrap();
        match joiner.handle_admitted(Some(&id(member)), &response)? {
            Progress::Admitted(log) => return Ok(*log),
            Progress::Retry(again) => request = again,
        }
    }
}

fn join(
    log: &mut Log,
    member: u32,
    code: &InviteCode,
    newcomer: u32,
    wish: Wish,
    now: Timestamp,
) -> Result<Log, JoinCheckError> {
    let mut joiner = Joiner::new(code.clone(), device(newcomer), wish);
    talk(log, member, &mut joiner, &code.invite_identity().device_id(), now)
}

fn refusal(outcome: Result<Log, JoinCheckError>) -> Refusal {
    match outcome {
        Err(JoinCheckError::Refused(refusal)) => refusal,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("let in"),
    }
}

#[test]
fn a_pasted_code_makes_a_member_whom_all_agree_on() {
    let (mut log, code) = issue(&Mesh::of_members(2).log(), 1);
    let code: InviteCode = code.to_string().parse().unwrap();
    // The founder is away: member 2 lets the newcomer in.
    let theirs = join(&mut log, 2, &code, 7, wish("laptop", true), at(500)).unwrap();
    assert_eq!(theirs.roster(), log.roster());
    assert_eq!(theirs.digest(), log.digest());
    let member = theirs.roster().member(&id(7)).unwrap();
    assert_eq!((member.name.as_str(), member.witness, member.owner), ("laptop", id(2), id(0)));
}

#[test]
fn the_terms_are_shown_before_joining() {
    let (log, code) = issue(&Mesh::of_members(2).log(), 3);
    let mut joiner = Joiner::new(code.clone(), device(7), wish("x", false));
    let key = code.invite_identity().device_id();
    let response = answer(&log, &device(1), &key, &joiner.ask(at(9)), at(9)).response;
    let shown = joiner.handle_terms(&response, at(9)).unwrap();
    assert_eq!((shown.mesh_name.as_str(), shown.uses, shown.members), ("home", 3, 3));
    assert_eq!(shown.inviter.unwrap().as_str(), "zero");
    assert_eq!(shown.not_after, Timestamp::from_millis(at(0).as_millis() + 72 * HOUR));
    assert!(shown.grants.incoming && shown.grants.files && !shown.grants.routing && !shown.grants.lan);
}

#[test]
fn each_state_of_an_invite_has_its_own_refusal() {
    let (mut log, single) = issue(&Mesh::of_members(1).log(), 1);
    join(&mut log, 0, &single, 7, wish("x", false), at(9)).unwrap();
    let used_up = refusal(join(&mut log, 0, &single, 8, wish("y", false), at(9)));
    assert_eq!(used_up, Refusal::UsedUp { uses: 1 });

    let (mut log, code) = issue(&log, 2);
    // A day after the end, so that the clocks agree.
    let late = Timestamp::from_millis(at(0).as_millis() + 73 * HOUR);
    let expired = refusal(join(&mut log, 0, &code, 8, wish("y", false), late));
    assert!(matches!(expired, Refusal::Expired { .. }));

    let (invite, _) = log.roster().invite_by_key(&code.invite_identity().device_id()).unwrap();
    let body = log.roster().revoke_invite(&id(0), invite).unwrap();
    let record = log.compose(&device(0), body, at(20)).unwrap();
    log = log.extended(vec![record]).log;
    let revoked = refusal(join(&mut log, 1, &code, 8, wish("y", false), at(30)));
    assert_eq!(revoked, Refusal::Revoked);

    let mut other = Mesh::of_members(2).log();
    let unknown = refusal(join(&mut other, 0, &code, 8, wish("y", false), at(30)));
    assert_eq!(unknown, Refusal::UnknownInvite);

    let words: std::collections::BTreeSet<String> =
        [used_up, expired, revoked, unknown].iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), 4);
}

#[test]
fn the_use_after_the_last_of_a_multi_use_invite_is_refused() {
    let (mut log, code) = issue(&Mesh::new().log(), 4);
    for number in 1..=4 {
        // Each newcomer is the next one's witness.
        join(&mut log, number - 1, &code, number, wish("same", false), at(u64::from(number))).unwrap();
    }
    assert_eq!(refusal(join(&mut log, 4, &code, 5, wish("same", false), at(9))), Refusal::UsedUp { uses: 4 });
    let mut names: Vec<_> = log.roster().members().values().map(|member| member.name.to_string()).collect();
    names.sort();
    assert_eq!(names, ["same", "same-2", "same-3", "same-4", "zero"]);
}

#[test]
fn a_name_that_was_asked_for_is_not_changed() {
    let (mut log, code) = issue(&Mesh::new().log(), 2);
    let taken = refusal(join(&mut log, 0, &code, 1, wish("zero", true), at(9)));
    assert!(matches!(&taken, Refusal::NameTaken { suggestion, .. } if suggestion.as_str() == "zero-2"));
    assert!(taken.to_string().contains("zero-2"));
    join(&mut log, 0, &code, 1, wish("zero", false), at(9)).unwrap();
    assert_eq!(log.roster().member(&id(1)).unwrap().name.as_str(), "zero-2");
}

#[test]
fn a_request_repeated_because_the_answer_was_lost_is_answered_again() {
    let (mut log, code) = issue(&Mesh::new().log(), 1);
    let mut joiner = Joiner::new(code.clone(), device(1), wish("one", true));
    let key = code.invite_identity().device_id();
    talk(&mut log, 0, &mut joiner, &key, at(9)).unwrap();
    let before = log.digest();
    let admission = answer(&log, &device(0), &key, &joiner.request().unwrap(), at(10));
    assert!(admission.extended.is_none());
    let progress = joiner.handle_admitted(Some(&id(0)), &admission.response).unwrap();
    assert!(matches!(progress, Progress::Admitted(_)));
    assert_eq!(log.digest(), before);
}

#[test]
fn a_member_that_lost_its_records_gets_them_back_and_spends_no_use() {
    let (mut log, code) = issue(&Mesh::of_members(2).log(), 1);
    let theirs = join(&mut log, 1, &code, 2, wish("whatever", true), at(500)).unwrap();
    assert_eq!(theirs.digest(), log.digest());
    assert_eq!(theirs.roster().member(&id(2)).unwrap().name.as_str(), "device2");
    join(&mut log, 1, &code, 7, wish("new", true), at(500)).unwrap();
}

#[test]
fn a_request_signed_with_another_invite_key_is_forged() {
    let (mut log, code) = issue(&Mesh::new().log(), 1);
    let mut joiner = Joiner::new(code.clone(), device(1), wish("one", true));
    let other = device(40).device_id();
    // The connection proved another key than the one in the code.
    assert_eq!(refusal(talk(&mut log, 0, &mut joiner, &other, at(9))), Refusal::UnknownInvite);
    let key = code.invite_identity().device_id();
    let response = answer(&log, &device(0), &key, &joiner.ask(at(9)), at(9)).response;
    joiner.handle_terms(&response, at(9)).unwrap();
    let refused = answer(&log, &device(0), &other, &joiner.request().unwrap(), at(9)).response;
    assert_eq!(refused, Response::Refused(Refusal::Forged));
}

#[test]
fn clocks_that_are_days_apart_are_named() {
    let (log, code) = issue(&Mesh::new().log(), 1);
    let mut joiner = Joiner::new(code.clone(), device(1), wish("one", true));
    let key = code.invite_identity().device_id();
    let (right, wrong) = (at(9), Timestamp::from_millis(at(9).as_millis() - 50 * HOUR));
    let response = answer(&log, &device(0), &key, &joiner.ask(wrong), right).response;
    let refusal = Refusal::ClockWrong { here: right, there: wrong };
    assert_eq!(response, Response::Refused(refusal.clone()));
    assert!(refusal.to_string().contains("50 h"), "{refusal}");
    // A member that does not look is found out by the newcomer.
    let response = answer(&log, &device(0), &key, &joiner.ask(right), right).response;
    let error = joiner.handle_terms(&response, wrong).unwrap_err();
    assert!(matches!(error, JoinCheckError::Refused(Refusal::ClockWrong { .. })));
}

#[test]
fn a_member_of_another_mesh_and_other_terms_are_found_out() {
    let (log, code) = issue(&Mesh::new().log(), 1);
    let key = code.invite_identity().device_id();
    let mut joiner = Joiner::new(code.clone(), device(1), wish("one", true));
    let Response::Terms(terms) = answer(&log, &device(0), &key, &joiner.ask(at(9)), at(9)).response else {
        panic!("no terms")
    };
    let mut check = |change: &dyn Fn(&mut super::Terms)| {
        let mut terms = terms.clone();
        change(&mut terms);
        joiner.handle_terms(&Response::Terms(terms), at(9)).unwrap_err()
    };
    let foreign = Mesh::small().records[0].bytes().to_vec();
    assert_eq!(check(&|terms| terms.genesis = foreign.clone()), JoinCheckError::ForeignMesh);
    let (_, other) = issue(&log, 9);
    assert_ne!(other.terms(), code.terms());
    let (longer, _) = issue(&log, 9);
    let swapped = longer.records().last().unwrap().bytes().to_vec();
    assert_eq!(check(&|terms| terms.invite = swapped.clone()), JoinCheckError::OtherTerms);
    assert_eq!(check(&|terms| terms.invite = terms.genesis.clone()), JoinCheckError::ForeignMesh);
    assert!(matches!(check(&|terms| terms.invite.push(0)), JoinCheckError::Record(_)));
    assert_eq!(
        check(&|terms| terms.standing = Standing::Closed(Refusal::Revoked)),
        JoinCheckError::Refused(Refusal::Revoked)
    );
}

#[test]
fn an_answer_that_does_not_prove_the_joining_is_not_believed() {
    let (mut log, code) = issue(&Mesh::of_members(1).log(), 1);
    let before = log.clone();
    let mut joiner = Joiner::new(code.clone(), device(7), wish("one", true));
    let key = code.invite_identity().device_id();
    talk(&mut log, 0, &mut joiner, &key, at(9)).unwrap();
    let all: Vec<_> = log.records().map(|record| record.bytes().to_vec()).collect();
    let mut check = |witness: u32, records: Vec<Vec<u8>>| {
        joiner.handle_admitted(Some(&id(witness)), &Response::Admitted { records }).map(|_| ())
    };
    assert_eq!(check(0, all.clone()), Ok(()));
    let old = before.records().map(|record| record.bytes().to_vec()).collect();
    assert_eq!(check(0, old), Err(JoinCheckError::NotAdmitted));
    assert_eq!(check(0, Vec::new()), Err(JoinCheckError::NotAdmitted));
    assert_eq!(check(0, all[1..].to_vec()), Err(JoinCheckError::NotAdmitted));
    assert_eq!(check(33, all), Err(JoinCheckError::NotAdmitted));
}

#[test]
fn a_device_that_is_no_member_lets_nobody_in() {
    let (mut log, code) = issue(&Mesh::of_members(1).log(), 1);
    assert_eq!(refusal(join(&mut log, 9, &code, 7, wish("x", false), at(9))), Refusal::NotAMember);
}

#[test]
fn a_witness_whose_clock_is_behind_stamps_a_time_that_counts() {
    let (mut log, code) = issue(&Mesh::of_members(3).log(), 1);
    // Member 3 joined at 30 and thinks it is 5.
    join(&mut log, 3, &code, 7, wish("x", false), at(5)).unwrap();
    assert_eq!(log.roster().member(&id(7)).unwrap().joined_at, at(31));
}

#[test]
fn only_admins_make_invites_and_only_possible_ones() {
    let log = Mesh::of_members(1).log();
    let make =
        |by: u32, terms: InviteTerms| Issued::new(&log, &device(by), terms, &[], [1; 16], at(5)).map(|_| ());
    assert_eq!(make(0, InviteTerms::default()), Ok(()));
    assert_eq!(make(1, InviteTerms::default()), Err(IssueError::NotAdmin));
    let uses = InviteTerms { uses: 0, ..InviteTerms::default() };
    assert_eq!(make(0, uses), Err(IssueError::Terms(TermsError::Uses(0))));
    let lifetime = InviteTerms { lifetime: Duration::ZERO, ..InviteTerms::default() };
    assert_eq!(make(0, lifetime), Err(IssueError::Terms(TermsError::Lifetime)));
}
