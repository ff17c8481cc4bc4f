//! The architecture, checked by machine: what each room may name, how long a file may be, where printing lives.
//!
//! Rules look at code alone; comments and string contents are taken out first. Every rule has a sample that must
//! make it fire, so that none of them can go blind.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/rules.rs"]
mod rules;

use std::fs;
use std::path::Path;

use rules::Source;

/// Where our own text lives; everything else in the repository is generated or a licence.
const ROOMS: [&str; 8] = ["src", "p2p", "dataplane", "tests", "fuzz", "examples", ".ci", ".config"];

/// Suffixes of the files that are read.
const SUFFIXES: [&str; 5] = ["rs", "sh", "toml", "md", "run"];

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for room in ROOMS {
        collect(root, &root.join(room), &mut found);
    }
    for entry in fs::read_dir(root).unwrap().flatten() {
        read(root, &entry.path(), &mut found);
    }
    found
}

fn collect(root: &Path, directory: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != "corpus" && name != "artifacts" {
            collect(root, &path, found);
        } else {
            read(root, &path, found);
        }
    }
}

fn read(root: &Path, path: &Path, found: &mut Vec<Source>) {
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or("run");
    if path.is_file()
        && SUFFIXES.contains(&suffix)
        && let Ok(text) = fs::read_to_string(path)
    {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        found.push(Source::new(&name, &text));
    }
}

#[test]
fn every_file_keeps_the_rules_of_its_room() {
    let sources = sources();
    assert!(sources.iter().any(|source| source.path == "src/main.rs"), "the walk found nothing");
    let complaints: Vec<String> = sources.iter().flat_map(rules::check).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Checks that `text` at `path` is refused for a reason containing `why`.
#[track_caller]
fn refused(path: &str, text: &str, why: &str) {
    let complaints = rules::check(&Source::new(path, &format!("//! A sample.\n{text}\n")));
    assert!(
        complaints.iter().any(|complaint| complaint.contains(why)),
        "{path}: {text:?} gave {complaints:?}"
    );
}

#[track_caller]
fn accepted(path: &str, text: &str) {
    let complaints = rules::check(&Source::new(path, &format!("//! A sample.\n{text}\n")));
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn the_two_libraries_never_name_each_other() {
    refused("p2p/src/node.rs", "use warren_dataplane::wg;", "never names warren_dataplane");
    refused("dataplane/src/engine/mod.rs", "use warren_p2p::identity;", "never names warren_p2p");
    accepted("dataplane/src/engine/mod.rs", "// warren_p2p does this\nlet x = \"warren_p2p\";");
}

#[test]
fn only_the_bridge_names_both_libraries() {
    let both = "use warren_p2p::Roster;\nuse warren_dataplane::Engine;";
    refused("src/daemon/service.rs", both, "only src/daemon/bridge names both");
    accepted("src/daemon/bridge.rs", both);
    accepted("src/daemon/service.rs", "use warren_p2p::Roster;");
}

#[test]
fn each_foreign_crate_has_its_room() {
    refused("dataplane/src/engine/mod.rs", "use boringtun::noise::Tunn;", "boringtun is named only in");
    accepted("dataplane/src/wg/tunnel.rs", "use boringtun::noise::Tunn;");
    refused("src/daemon/mod.rs", "sled::open(path)", "sled is named only in");
    accepted("p2p/src/store/mod.rs", "sled::open(path)");
    refused("p2p/src/membership/roster.rs", "use libp2p::PeerId;", "libp2p is named only in");
    accepted("p2p/src/swarm/mod.rs", "use libp2p::PeerId;");
    refused("p2p/src/record/mod.rs", "use libp2p_identity::Keypair;", "libp2p_identity is named only in");
    refused("dataplane/src/lib.rs", "use clap::Parser;", "clap is named only in");
    refused("p2p/src/store/mod.rs", "use anyhow::Result;", "anyhow is named only in");
    refused("src/daemon/mod.rs", "use anyhow::Result;", "anyhow is named only in");
    refused("dataplane/src/engine/mod.rs", "use tun_rs::AsyncDevice;", "tun_rs is named only in");
}

#[test]
fn cores_have_no_clock_no_socket_no_disk_and_no_dice() {
    for text in [
        "let now = Instant::now();",
        "let now = std::time::SystemTime::now();",
        "use tokio::sync::mpsc;",
        "use std::net::{IpAddr, UdpSocket};",
        "let stream = TcpStream::connect(a);",
        "std::fs::read(path)",
        "let mut dice = rand::rng();",
        "std::thread::spawn(f);",
    ] {
        refused("p2p/src/membership/roster.rs", text, "is a core");
        refused("dataplane/src/path/agent.rs", text, "is a core");
        accepted("p2p/src/swarm/driver.rs", text);
        accepted("dataplane/src/io/udp.rs", text);
    }
    accepted(
        "dataplane/src/path/agent.rs",
        "fn f() {}\n#[cfg(test)]\nmod tests {\n  fn now() { Instant::now(); }\n}",
    );
    accepted("p2p/src/identity/key_file.rs", "std::fs::read(path)");
}

#[test]
fn printing_and_unsafe_have_one_room_each() {
    refused("src/daemon/mod.rs", "println!(\"up\");", "src/cli/output.rs is the only file that prints");
    refused("p2p/src/node.rs", "eprintln!(\"up\");", "only file that prints");
    accepted("src/cli/output.rs", "println!(\"up\");");
    refused("src/host/mod.rs", "unsafe { f() }", "unsafe");
    accepted("dataplane/src/sys/mod.rs", "unsafe { f() }");
}

#[test]
fn no_test_sleeps_or_is_skipped() {
    refused("tests/it/main.rs", "std::thread::sleep(second);", "waits for a time");
    refused("p2p/src/record/tests.rs", "#[ignore]\nfn f() {}", "#[ignore]");
    accepted("tests/it/main.rs", "// #[ignore]");
}

#[test]
fn files_are_short_and_begin_with_a_sentence() {
    let long = "fn f() {}\n".repeat(rules::MAX_LINES);
    refused("src/daemon/mod.rs", &long, "lines");
    let complaints = rules::check(&Source::new("src/main.rs", "fn main() {}\n"));
    assert!(complaints[0].contains("first line"), "{complaints:?}");
}

#[test]
fn no_drawer_for_odds_and_ends() {
    for path in ["src/util.rs", "p2p/src/common/mod.rs", "dataplane/src/types.rs", "tests/it/helpers.rs"] {
        refused(path, "", "is a drawer");
    }
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let path = ["/ho", "me/me/warren"].concat();
    refused("README.md", &path, "machine");
    refused("tests/run.sh", &format!("cd {path}"), "machine");
}

#[test]
fn code_is_seen_without_comments_and_strings() {
    let text = r##"let a = "un\"safe"; /* unsafe /* nested */ */ let b = r#"unsafe"#; // unsafe
let c = '"'; let d: &'static str = "x";"##;
    let code = code::without_prose(text);
    assert!(!code.contains("unsafe") && code.contains("let c") && code.contains("'static str"), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
    assert!(code::names("use libp2p::PeerId;", "libp2p"));
    assert!(!code::names("use libp2p_tls::Config;", "libp2p"));
}
