//! Bad codes: each refused with its own message and exit code, and nothing half-made.

use warren_netns::{Footprint, Machine, Outcome, until};

use crate::mesh::{MEET, START, agree, found, invite, invites, join, peers, roster, world};

/// Tries `code` on a machine that is in no mesh yet, and checks that nothing of it remains.
fn try_join(machine: &Machine, code: &str) -> Outcome {
    let bare = Footprint::of(machine);
    let outcome = machine.up(&[code, "--name", machine.name()]).ends(MEET);
    bare.assert_unchanged(machine);
    outcome
}

/// `code` with the letter at `at` replaced by its neighbour in the alphabet.
fn mistype(code: &str, at: usize) -> String {
    let wrong = if code.as_bytes()[at] == b'a' { 'b' } else { 'a' };
    code.chars().enumerate().map(|(place, letter)| if place == at { wrong } else { letter }).collect()
}

pub(crate) fn a_code_that_was_not_copied_whole_is_refused_as_such() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    let _nas = found(&nas);
    let code = invite(&nas, &[]);
    let _ = try_join(&laptop, "hello").expect_failure(10, "invite code");
    let _ = try_join(&laptop, &code[..code.len() / 2]).expect_failure(11, "cut off");
    for at in [12, code.len() / 2, code.len() - 2] {
        let _ = try_join(&laptop, &mistype(&code, at)).expect_failure(12, "mistyped");
    }
    // The good one is none the worse for it, however it was wrapped on its way.
    let shouted = code.to_uppercase();
    let (head, tail) = shouted.split_at(30);
    let _laptop = join(&laptop, &format!(" {head} {tail}"));
    assert_eq!(agree(&[&nas, &laptop], 2).len(), 2);
}

pub(crate) fn an_expired_code_is_refused() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    let _nas = found(&nas);
    let code = invite(&nas, &["--expires", "1s"]);
    until(MEET, "the invite expires", || (invites(&nas)[0]["state"] == "expired").then_some(()));
    let _ = try_join(&laptop, &code).expect_failure(13, "expired");
    assert_eq!(roster(&nas).len(), 1);
}

pub(crate) fn a_used_up_code_is_refused() {
    let world = world();
    let lan = world.lan("lan");
    let [nas, laptop, phone] = ["nas", "laptop", "phone"].map(|name| world.machine(name, &lan));
    let _nas = found(&nas);
    let code = invite(&nas, &[]);
    let _laptop = join(&laptop, &code);
    let _ = try_join(&phone, &code).expect_failure(14, "used up");
    assert_eq!(agree(&[&nas, &laptop], 2).len(), 2);
}

pub(crate) fn a_multi_use_code_admits_as_many_as_it_says() {
    let world = world();
    let lan = world.lan("lan");
    let names = ["nas", "one", "two", "three"];
    let [nas, one, two, three] = names.map(|name| world.machine(name, &lan));
    let _nas = found(&nas);
    let code = invite(&nas, &["--uses", "2"]);
    let _members = [join(&one, &code), join(&two, &code)];
    let _ = try_join(&three, &code).expect_failure(14, "used up");
    assert_eq!(agree(&[&nas, &one, &two], 3).len(), 3);
    assert_eq!(invites(&nas)[0]["state"], "used_up");
}

pub(crate) fn a_revoked_code_is_refused() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    let _nas = found(&nas);
    let code = invite(&nas, &[]);
    let id = invites(&nas)[0]["id"].as_str().unwrap().to_owned();
    let _ = nas.warren(&["invite", "revoke", &id[..8]]).expect_success();
    assert_eq!(invites(&nas)[0]["state"], "revoked");
    let _ = try_join(&laptop, &code).expect_failure(15, "revoked");
    let _ = nas.warren(&["invite", "revoke", "aaaaaaaa"]).expect_failure(37, "invite");
}

pub(crate) fn ones_own_code_is_refused() {
    let world = world();
    let nas = world.machine("nas", &world.lan("lan"));
    let _nas = found(&nas);
    let before = roster(&nas);
    let _ = nas.warren(&["join", &invite(&nas, &[])]).expect_failure(17, "already");
    assert_eq!(roster(&nas), before);
}

pub(crate) fn a_code_of_an_unreachable_mesh_says_that_nobody_answers() {
    let world = world();
    let (here, there) = (world.lan("here"), world.lan("there"));
    let (nas, laptop) = (world.machine("nas", &there), world.machine("laptop", &here));
    let _nas = found(&nas);
    let bare = Footprint::of(&laptop);
    let outcome = laptop.up(&[&invite(&nas, &[]), "--name", "laptop"]).ends(3 * MEET);
    let _ = outcome.expect_failure(18, "reach");
    bare.assert_unchanged(&laptop);
}

pub(crate) fn a_bad_or_taken_name_is_refused() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    let _nas = found(&nas);
    let code = invite(&nas, &[]);
    for bad in ["two--dashes", "-dash", "with space", "a-name-longer-than-twenty-five"] {
        let _ = laptop.up(&[&code, &format!("--name={bad}")]).ends(START).expect_failure(20, "name");
    }
    let _ = laptop.up(&[&code, "--name", "NAS"]).ends(MEET).expect_failure(19, "taken");
    let _laptop = join(&laptop, &code);
}

pub(crate) fn a_device_alone_in_its_mesh_moves_to_the_one_it_joins() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    let (_nas, _laptop) = (found(&nas), found(&laptop));
    let _ = laptop.warren(&["join", &invite(&nas, &[])]).expect_success();
    assert_eq!(agree(&[&nas, &laptop], 2).len(), 2);
    assert_eq!(peers(&nas).len(), 1);
}
