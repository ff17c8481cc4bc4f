//! The rules, each a table and a sentence.

use crate::code::{names, without_prose};

/// Past this many lines a file is two nouns. Tests included: a long test file hides what it shows.
pub(crate) const MAX_LINES: usize = 400;

/// Crates with a room: who may name them (a path that starts so), nobody else.
const CRATES: [(&str, &[&str]); 9] = [
    ("boringtun", &["dataplane/src/wg/tunnel.rs"]),
    ("sled", &["p2p/src/store/"]),
    ("libp2p", &["p2p/src/swarm/", "p2p/src/discovery/", "p2p/src/signal/", "p2p/src/node"]),
    ("libp2p_identity", &["p2p/src/swarm/", "p2p/src/identity/"]),
    ("tun_rs", &["dataplane/src/io/", "dataplane/src/sys/"]),
    ("clap", &["src/cli/", "src/main.rs"]),
    ("anyhow", &["src/cli/", "src/main.rs"]),
    ("rtnetlink", &["src/host/"]),
    ("axum", &["src/control/"]),
];

/// Rooms that decide and never carry: plain functions of what they are given.
const CORES: [&str; 11] = [
    "p2p/src/relay/",
    "p2p/src/identity/",
    "p2p/src/record/",
    "p2p/src/invite/",
    "p2p/src/membership/",
    "dataplane/src/packet/",
    "dataplane/src/wg/",
    "dataplane/src/path/",
    "dataplane/src/relay/",
    "dataplane/src/filter/",
    "dataplane/src/engine/",
];

/// Files inside those rooms that carry after all.
const CARRIERS: [&str; 1] = ["p2p/src/identity/key_file.rs"];

/// What a core has no business with. Whatever it needs of these comes in as an argument.
const OUTSIDE: [&str; 14] = [
    "Instant::now",
    "SystemTime::now",
    "tokio",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "std::fs",
    "File::open",
    "rand::rng",
    "thread_rng",
    "OsRng",
    "std::thread",
    "getrandom",
];

/// Module names that say nothing of what is inside.
const DRAWERS: [&str; 8] = ["util", "utils", "common", "types", "shared", "helpers", "misc", "support"];

/// One file as the rules see it.
pub(crate) struct Source {
    pub(crate) path: String,
    text: String,
    code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: without_prose(text) }
    }

    fn is_in(&self, rooms: &[&str]) -> bool {
        rooms.iter().any(|room| self.path.starts_with(room))
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Shipped code, as against tests, benches, examples and fuzzing.
    fn is_product(&self) -> bool {
        self.is_in(&["src/", "p2p/src/", "dataplane/src/"]) && !self.path.ends_with("tests.rs")
    }

    /// The code before the tests at the end of the file.
    fn product_code(&self) -> &str {
        let tests = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\n#[expect"];
        let end = tests.iter().filter_map(|start| self.code.find(start)).min();
        &self.code[..end.unwrap_or(self.code.len())]
    }
}

/// Every complaint about `source`, each a line starting with its path.
pub(crate) fn check(source: &Source) -> Vec<String> {
    let mut complaints = places(source);
    if source.is_rust() {
        complaints.extend(shape(source));
        complaints.extend(libraries(source));
        complaints.extend(foreign_crates(source));
        complaints.extend(cores(source));
        complaints.extend(rooms_of_one(source));
    }
    complaints.into_iter().map(|complaint| format!("{}: {complaint}", source.path)).collect()
}

fn shape(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let first = source.text.lines().next().unwrap_or_default();
    if !first.starts_with("//! ") && !first.starts_with("#![no_main]") {
        complaints.push("the first line is no `//!` sentence that says what the file is".to_owned());
    }
    let lines = source.text.lines().count();
    if lines > MAX_LINES {
        complaints.push(format!("{lines} lines, more than {MAX_LINES}: two nouns in one file"));
    }
    for part in source.path.trim_end_matches(".rs").split('/') {
        if DRAWERS.contains(&part) {
            complaints.push(format!("`{part}` is a drawer: name the module after what is inside"));
        }
    }
    complaints
}

fn libraries(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (room, other) in [("p2p/", "warren_dataplane"), ("dataplane/", "warren_p2p")] {
        if source.is_in(&[room]) && names(&source.code, other) {
            complaints.push(format!("{room} never names {other}"));
        }
    }
    let both = names(&source.code, "warren_p2p") && names(&source.code, "warren_dataplane");
    if source.is_in(&["src/"]) && both && !source.is_in(&["src/daemon/bridge"]) {
        complaints.push("only src/daemon/bridge names both libraries".to_owned());
    }
    complaints
}

fn foreign_crates(source: &Source) -> Vec<String> {
    let stray = |(name, rooms): &&(&str, &[&str])| names(&source.code, name) && !source.is_in(rooms);
    if !source.is_in(&["src/", "p2p/src/", "dataplane/src/"]) {
        return Vec::new();
    }
    let complaint = |(name, rooms): &(&str, &[&str])| format!("{name} is named only in {}", rooms.join(", "));
    CRATES.iter().filter(stray).map(complaint).collect()
}

fn cores(source: &Source) -> Vec<String> {
    let carries =
        source.is_in(&CARRIERS) || source.path.ends_with("tests.rs") || source.path.contains("/tests/");
    if !source.is_in(&CORES) || carries {
        return Vec::new();
    }
    let code = source.product_code();
    let complaint =
        |name: &&str| format!("is a core and has no business with `{name}`: take it as an argument");
    OUTSIDE.iter().filter(|name| names(code, name)).map(complaint).collect()
}

/// Where a condition that cannot wake anybody (a process, another's lock) is asked for again until a deadline.
const POLLS: [&str; 2] = ["tests/netns/src/wait.rs", "p2p/src/store/sled_store.rs"];

fn rooms_of_one(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let prints =
        ["println!", "eprintln!", "print!", "eprint!"].iter().any(|print| names(&source.code, print));
    if source.is_product() && prints && source.path != "src/cli/output.rs" {
        complaints.push("src/cli/output.rs is the only file that prints".to_owned());
    }
    if names(&source.code, "unsafe") && !source.is_in(&["dataplane/src/sys/"]) {
        complaints.push("unsafe code lives in dataplane/src/sys/ alone".to_owned());
    }
    if names(&source.code, "thread::sleep") && !POLLS.contains(&source.path.as_str()) {
        complaints.push("waits for a time; wait for a condition with a deadline".to_owned());
    }
    if source.code.contains("#[ignore") {
        complaints.push("#[ignore]: a test runs or does not exist".to_owned());
    }
    complaints
}

fn places(source: &Source) -> Vec<String> {
    // Put together here, or this file would complain about itself.
    let places = ["home", "root", "work", "Users"].map(|place| format!("/{place}/"));
    let named = places.iter().filter(|place| {
        source.text.match_indices(place.as_str()).any(|(at, _)| {
            let before = source.text[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "._-*}".contains(c))
        })
    });
    named.map(|place| format!("names a place on somebody's machine ({place})")).collect()
}
