//! Naming peers, listing them, allowing and denying.

use warren_netns::until;

use crate::mesh::{LOST, MEET, agree, found, invite, join, own, peers, reaches, status, world};

pub(crate) fn a_peer_answers_to_all_its_names_in_any_case() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    let (_nas, _laptop) = (found(&nas), join(&laptop, &invite(&nas, &[])));
    reaches(&laptop, &nas);
    let id = own(&nas, "id");
    let names = ["nas", "NAS", "nas.home", "Nas.Home.Internal"].map(str::to_owned);
    for name in
        names.into_iter().chain([own(&nas, "ipv4"), own(&nas, "ipv6"), id[..8].to_owned(), id.to_uppercase()])
    {
        let _ = laptop.warren(&["ping", &name, "-c", "1"]).expect_success();
    }
    let _ = laptop.warren(&["ping", "printer", "-c", "1"]).expect_failure(5, "'printer' is unknown");
    // A device may not be pinged through itself, and a dead one is not confused with an unknown one.
    drop(_nas);
    until(LOST, "the peer is offline", || (peers(&laptop)[0]["online"] == false).then_some(()));
    let _ = laptop.warren(&["ping", "nas", "-c", "1"]).expect_failure(6, "nas");
}

pub(crate) fn peers_are_listed_and_filtered() {
    let world = world();
    let lan = world.lan("lan");
    let [nas, laptop, phone] = ["nas", "laptop", "phone"].map(|name| world.machine(name, &lan));
    let (_nas, _laptop) = (found(&nas), join(&laptop, &invite(&nas, &[])));
    let guest = join(&phone, &invite(&nas, &["--guest"]));
    agree(&[&nas, &laptop, &phone], 3);
    reaches(&nas, &laptop);
    reaches(&nas, &phone);
    let names = |words: &str| {
        let json = nas.warren(&["peers", "--filter", words, "--json"]).expect_success().json();
        let names =
            json["peers"].as_array().unwrap().iter().map(|peer| peer["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    until(MEET, "both have told what they allow", || (names("allows-incoming").len() == 2).then_some(()));
    assert_eq!(names("internal"), ["laptop"]);
    assert_eq!(names("external"), ["phone"]);
    assert_eq!(names("online"), ["laptop", "phone"]);
    assert_eq!(names("internal,allows-incoming,incoming-allowed"), ["laptop"]);
    assert_eq!(names("external,allows-routing"), [""; 0]);
    let _ = nas.warren(&["peers", "--filter", "sideways"]).expect_failure(2, "'sideways' is not a filter");
    guest.kill();
    until(LOST, "the guest is offline", || (names("offline") == ["phone"]).then_some(()));

    let status = status(&nas);
    for field in ["version", "mesh", "device", "nat", "peers", "exit", "transfers"] {
        assert!(status.get(field).is_some(), "no `{field}` in {status}");
    }
    for field in [
        "name",
        "id",
        "relation",
        "ipv4",
        "ipv6",
        "online",
        "path",
        "rx_bytes",
        "tx_bytes",
        "last_handshake_s",
        "grants",
    ] {
        assert!(status["peers"][0].get(field).is_some(), "no `{field}` in {}", status["peers"][0]);
    }
    let wide = nas.warren(&["status"]).expect_success();
    let widest = wide.stdout.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    assert!(widest <= 80, "{widest} columns:\n{}", wide.stdout);
}

pub(crate) fn what_is_allowed_already_is_said_to_be() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    let (_nas, _laptop) = (found(&nas), join(&laptop, &invite(&nas, &[])));
    agree(&[&nas, &laptop], 2);
    let said = nas.warren(&["deny", "laptop", "incoming"]).expect_success();
    assert!(!said.stderr.contains("already"), "{said}");
    let said = nas.warren(&["deny", "LAPTOP", "incoming"]).expect_success();
    assert!(format!("{}{}", said.stdout, said.stderr).contains("already denied"), "{said}");
    let address = own(&nas, "ipv4");
    until(MEET, "the laptop is shut out", || (!laptop.pings(&address, 1)).then_some(()));
    until(MEET, "the laptop is told", || {
        (peers(&laptop)[0]["grants"]["theirs"]["incoming"] == false).then_some(())
    });
    let _ = nas.warren(&["allow", "laptop", "incoming"]).expect_success();
    until(MEET, "the laptop is let in again", || laptop.pings(&address, 1).then_some(()));
    let said = nas.warren(&["allow", "laptop", "incoming"]).expect_success();
    assert!(format!("{}{}", said.stdout, said.stderr).contains("already allowed"), "{said}");
}
