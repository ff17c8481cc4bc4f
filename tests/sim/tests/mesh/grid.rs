//! Every kind of access against every other: who reaches whom, by what, and how soon.

use warren_dataplane::path::Kind;
use warren_sim::mesh::Mesh;
use warren_sim::nat::Behaviour;
use warren_sim::network::{HostId, INTERNET, Network};
use warren_sim::{ms, secs};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Open,
    FullCone,
    PortRestricted,
    NewPort,
    Symmetric,
    CarrierOverHome,
    Ipv6Only,
    DualStack,
    Blocked,
}

const ALL: [Access; 9] = [
    Access::Open,
    Access::FullCone,
    Access::PortRestricted,
    Access::NewPort,
    Access::Symmetric,
    Access::CarrierOverHome,
    Access::Ipv6Only,
    Access::DualStack,
    Access::Blocked,
];

impl Access {
    fn host(self, network: &mut Network) -> HostId {
        let behind = |network: &mut Network, behaviour| {
            let home = network.add_realm(INTERNET, behaviour);
            network.add_host(home)
        };
        match self {
            Self::Open => network.add_host(INTERNET),
            Self::FullCone => behind(network, Behaviour::FULL_CONE),
            Self::PortRestricted => behind(network, Behaviour::PORT_RESTRICTED),
            Self::NewPort => behind(network, Behaviour::PORT_RESTRICTED_NEW_PORT),
            Self::Symmetric => behind(network, Behaviour::SYMMETRIC_RANDOM),
            Self::CarrierOverHome => {
                let carrier = network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED_NEW_PORT);
                let home = network.add_realm(carrier, Behaviour::PORT_RESTRICTED);
                network.add_host(home)
            }
            Self::Ipv6Only | Self::DualStack => {
                let host = behind(network, Behaviour::PORT_RESTRICTED);
                network.add_ipv6(host, self == Self::Ipv6Only);
                host
            }
            Self::Blocked => behind(network, Behaviour::BLOCKED),
        }
    }
}

/// Rows and columns as in `ALL`: `d` direct, `-` nothing without a relay.
const EXPECTED: [&str; 9] = [
    "ddddd d-d-", // the blank is skipped; it marks the columns beyond translation
    "ddddd d-d-",
    "ddddd d-d-",
    "ddddd d-d-",
    "dddd- d-d-",
    "ddddd d-d-",
    "----- -dd-",
    "ddddd ddd-",
    "----- ----",
];

fn cell(a: Access, b: Access, loss: u8) -> (char, Option<std::time::Duration>) {
    let mut network = Network::new(7);
    network.loss = loss;
    let hosts = [a.host(&mut network), b.host(&mut network)];
    let mut mesh = Mesh::new(network, &hosts, 11);
    let time = mesh.ping_until_answered(0, 1, secs(10));
    let path = mesh.devices[0].path(mesh.devices[1].key());
    let letter = match path.map(|path| path.kind) {
        Some(Kind::Lan) => 'l',
        Some(Kind::Direct) => 'd',
        Some(Kind::Relay | Kind::Stream) => 'r',
        None => '-',
    };
    (letter, time)
}

#[test]
fn the_grid_is_as_expected_and_quick() {
    let mut grid = Vec::new();
    for a in ALL {
        let mut row = String::new();
        for b in ALL {
            let (letter, time) = cell(a, b, 0);
            assert_eq!(letter == 'd', time.is_some(), "{a:?} to {b:?}: {time:?}");
            let guesses = (a == Access::Symmetric) != (b == Access::Symmetric);
            let bar = if guesses { secs(10) } else { ms(1000) };
            assert!(time.is_none_or(|time| time <= bar), "{a:?} to {b:?}: {time:?}");
            row.push(letter);
        }
        grid.push(row);
    }
    let expected: Vec<String> = EXPECTED.iter().map(|row| format!("{:-<9}", row.replace(' ', ""))).collect();
    assert_eq!(grid, expected, "{}", grid.join("\n"));
}

#[test]
fn with_a_relay_everybody_reaches_everybody_and_direct_stays_direct() {
    let mut grid = Vec::new();
    let mut upgrades = Vec::new();
    for a in ALL {
        let mut row = String::new();
        for b in ALL {
            let mut network = Network::new(7);
            let hosts = [a.host(&mut network), b.host(&mut network), network.add_host(INTERNET)];
            network.add_ipv6(hosts[2], false);
            let mut mesh = Mesh::new(network, &hosts, 11);
            mesh.carriage.relays.insert(2);
            let time = mesh.ping_until_answered(0, 1, secs(10));
            assert!(time.is_some_and(|time| time <= ms(1000)), "{a:?} to {b:?}: {time:?}");
            let (start, peer) = (mesh.now, mesh.devices[1].key());
            let kind = |mesh: &Mesh| mesh.devices[0].path(peer).map(|path| path.kind);
            while kind(&mesh) != Some(Kind::Direct) && mesh.now < start + secs(5) {
                mesh.start_ping(0, 1);
                mesh.run(ms(100));
            }
            row.push(match kind(&mesh) {
                Some(Kind::Lan) => 'l',
                Some(Kind::Direct) => 'd',
                Some(Kind::Relay) => 'r',
                Some(Kind::Stream) => 's',
                None => '-',
            });
            if kind(&mesh) == Some(Kind::Direct) {
                upgrades.push(mesh.now - start);
            }
        }
        grid.push(row);
    }
    let with_relay = |(a, row): (&Access, &&str)| {
        let detour = if *a == Access::Blocked { "s" } else { "r" };
        format!("{:-<9}", row.replace(' ', "")).replace('-', detour)
    };
    let expected: Vec<String> = ALL.iter().zip(&EXPECTED).map(with_relay).collect();
    assert_eq!(grid, expected, "{}", grid.join("\n"));
    upgrades.sort();
    assert!(upgrades.iter().all(|time| *time <= secs(2)), "{upgrades:?}");
}

#[test]
fn the_same_pairs_connect_under_loss() {
    for (a, b) in [
        (Access::PortRestricted, Access::NewPort),
        (Access::FullCone, Access::Symmetric),
        (Access::Open, Access::Open),
    ] {
        let (letter, time) = cell(a, b, 20);
        assert_eq!(letter, 'd', "{a:?} to {b:?}");
        assert!(time.is_some_and(|time| time <= ms(5000)), "{a:?} to {b:?}: {time:?}");
    }
}

#[test]
fn devices_behind_one_router_use_the_lan() {
    let mut network = Network::new(7);
    let home = network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED);
    let hosts = [network.add_host(home), network.add_host(home)];
    let mut mesh = Mesh::new(network, &hosts, 11);
    let time = mesh.ping(0, 1);
    assert!(time.is_some_and(|time| time <= ms(100)), "{time:?}");
    assert_eq!(mesh.devices[0].path(mesh.devices[1].key()).map(|path| path.kind), Some(Kind::Lan));
}

#[test]
fn two_dozen_devices_of_all_kinds_ping_each_other() {
    let mut network = Network::new(7);
    let kinds = [Access::Open, Access::FullCone, Access::PortRestricted, Access::NewPort];
    let hosts: Vec<HostId> = (0..24).map(|n| kinds[n % 4].host(&mut network)).collect();
    let mut mesh = Mesh::new(network, &hosts, 11);
    for from in 0..24 {
        for to in (0..24).filter(|to| *to != from) {
            assert!(mesh.ping(from, to).is_some(), "{from} to {to}");
        }
    }
    let paths = mesh
        .devices
        .iter()
        .map(|device| device.engine.snapshot().peers.iter().filter(|peer| peer.path.is_some()).count());
    assert_eq!(paths.sum::<usize>(), 24 * 23);
}
