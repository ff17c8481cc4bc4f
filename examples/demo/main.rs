//! Warren on one machine, without root: `cargo run --release --example demo`.
//!
//! Three machines of network namespaces: a founder with a public address and two devices, each behind a home
//! router that drops what nobody asked for. The founder founds a mesh, the devices join with its code, everybody
//! pings everybody, and a picture shows which path the packets take. Nothing of it outlives the command.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a demo talks")]

mod binary;
mod picture;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;
use warren_netns::{Daemon, Machine, World, until, within};

use picture::{Device, Link};

/// Starting, joining and finding the first path take far less; past this something is broken.
const LIMIT: Duration = Duration::from_secs(30);

/// Long enough for a path between two home routers, if there is one to be found.
const PATIENCE: Duration = Duration::from_secs(8);

fn main() -> ExitCode {
    if let Some(code) = binary::as_warren() {
        return code;
    }
    let warren = match binary::warren() {
        Ok(path) => path,
        Err(error) => return fail(&format!("cannot call this program warren: {error}")),
    };
    if let Err(message) = warren_netns::enter_user_namespace() {
        return fail(&message);
    }
    show(&warren);
    ExitCode::SUCCESS
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}

fn show(warren: &Path) {
    let world = World::new(warren);
    clean_up_when_interrupted(world.directory());
    let (street, oak, elm) = (world.public("street"), world.home("oak"), world.home("elm"));
    let founder = world.machine("founder", &street);
    let (laptop, phone) = (world.machine("laptop", &oak), world.machine("phone", &elm));

    let address = founder.ipv4().map_or_else(String::new, |address| address.to_string());
    say(&founder, &format!("has the public address {address}. One command founds a mesh:"));
    let _founder =
        timed("sudo warren up", || founder.up(&["--mesh", "home", "--name", "founder"]).ready(LIMIT));
    let code = founder.warren(&["invite", "--uses", "2"]).expect_success().text().to_owned();
    say(&founder, "makes a code for two devices:");
    println!("    warren invite --uses 2\n    {code}\n");
    let _devices = [(&laptop, "oak"), (&phone, "elm")].map(|(device, street)| join(device, street, &code));

    println!("Everybody pings everybody, through WireGuard:");
    let links = [(&laptop, &founder), (&phone, &founder), (&laptop, &phone)].map(|(from, to)| ping(from, to));
    let devices = [&founder, &laptop, &phone].map(describe);
    println!("\n{}", picture::draw(&devices, &links));
    if links[2].path.is_none() {
        println!(
            "laptop and phone know each other, but each sits behind a router that lets nothing in, and no"
        );
        println!("path between them was found. Both reach the founder.");
    }
}

fn join(device: &Machine, home: &str, code: &str) -> Daemon {
    say(device, &format!("is at home in {home} street, behind a router. It pastes the code:"));
    timed("sudo warren up warren1…", || {
        let daemon = device.up(&[code, "--name", device.name()]).ready(LIMIT);
        until(LIMIT, "the founder answers", || {
            device.warren(&["ping", "founder", "-c", "1"]).succeeded().then_some(())
        });
        daemon
    })
}

/// Pings until a reply comes or patience is out, and reports the path it took.
fn ping(from: &Machine, to: &Machine) -> Link {
    let found = within(PATIENCE, || from.warren(&["ping", to.name(), "-c", "1"]).succeeded().then_some(()));
    let path = found.and_then(|()| within(LIMIT, || path(from, to)));
    let shown = path.clone().unwrap_or_else(|| "no path".to_owned());
    println!("    {:<8} → {:<8} {shown}", from.name(), to.name());
    Link { path }
}

/// How packets go, as `warren status` says.
fn path(from: &Machine, to: &Machine) -> Option<String> {
    let status = from.warren(&["status", "--json"]).expect_success().json();
    let peer = status["peers"].as_array()?.iter().find(|peer| peer["name"] == to.name())?.clone();
    let (kind, round_trip) = (peer["path"]["kind"].as_str()?.to_owned(), peer["path"]["rtt_ms"].as_f64()?);
    let via = peer["path"]["via"].as_str().map(|via| format!(" through {via}")).unwrap_or_default();
    Some(format!("{kind}{via}, {round_trip:.1} ms"))
}

fn describe(machine: &Machine) -> Device {
    let status = machine.warren(&["status", "--json"]).expect_success().json();
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    Device { name: machine.name().to_owned(), address: text(&status["device"]["ipv4"]) }
}

fn say(machine: &Machine, text: &str) {
    println!("{} {text}", machine.name());
}

#[expect(clippy::disallowed_methods, reason = "a demo shows how long things take")]
fn timed<T>(command: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    println!("    {command:<28} done in {:.2} s\n", start.elapsed().as_secs_f32());
    result
}

/// The namespaces end with the process; the directory needs a hand.
fn clean_up_when_interrupted(directory: &Path) {
    let directory = directory.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok()) {
            // Daemons may write while they end: what cannot be removed now stays in the temporary directory.
            let _ = std::fs::remove_dir_all(directory);
            std::process::exit(130);
        }
    });
}
