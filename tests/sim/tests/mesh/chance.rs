//! Anything may happen in any order; once it ends, everybody reaches everybody.

use proptest::prelude::*;
use warren_sim::mesh::Mesh;
use warren_sim::nat::Behaviour;
use warren_sim::network::{INTERNET, Network, RealmId};
use warren_sim::{ms, secs};

#[derive(Clone, Debug)]
enum Transition {
    Ping(usize, usize),
    Talk(usize, usize),
    Roam(usize, usize),
    Reboot(usize),
    Side(usize, u8),
    Signalling(bool),
    Loss(u8),
    Wait(u64),
    Sleep(u64),
}

const DEVICES: usize = 4;
const REALMS: usize = 4;

fn transition() -> impl Strategy<Value = Transition> {
    let device = 0..DEVICES;
    prop_oneof![
        4 => (device.clone(), device.clone()).prop_map(|(a, b)| Transition::Ping(a, b)),
        4 => (device.clone(), device.clone()).prop_map(|(a, b)| Transition::Talk(a, b)),
        2 => (device.clone(), 0..REALMS).prop_map(|(device, realm)| Transition::Roam(device, realm)),
        1 => (1..REALMS).prop_map(Transition::Reboot),
        1 => (device, 0..2_u8).prop_map(|(device, side)| Transition::Side(device, side)),
        1 => any::<bool>().prop_map(Transition::Signalling),
        1 => (0..60_u8).prop_map(Transition::Loss),
        4 => (0..20_000_u64).prop_map(Transition::Wait),
        1 => (0..100_000_u64).prop_map(Transition::Sleep),
    ]
}

fn apply(mesh: &mut Mesh, realms: &[RealmId], transition: &Transition) {
    match *transition {
        Transition::Ping(a, b) if a != b => {
            mesh.start_ping(a, b);
        }
        Transition::Talk(a, b) if a != b => {
            for _ in 0..20 {
                mesh.send_udp(a, b, (1, 2));
                mesh.run(ms(50));
            }
        }
        Transition::Ping(..) | Transition::Talk(..) => {}
        Transition::Roam(device, realm) => {
            mesh.network.move_host(mesh.devices[device].host, realms[realm]);
            mesh.network_changed(device);
        }
        Transition::Reboot(realm) => {
            if let Some(router) = mesh.network.router(realms[realm]) {
                router.reboot();
            }
        }
        Transition::Side(device, side) => mesh.network.set_side(mesh.devices[device].host, side),
        Transition::Signalling(works) => mesh.signalling = works,
        Transition::Loss(percent) => mesh.network.loss = percent,
        Transition::Wait(time) => mesh.run(ms(time)),
        Transition::Sleep(time) => mesh.now += ms(time),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happened_everybody_is_reached_again(
        seed: u64,
        transitions in prop::collection::vec(transition(), 0..40),
    ) {
        let mut network = Network::new(seed);
        let realms = [
            INTERNET,
            network.add_realm(INTERNET, Behaviour::FULL_CONE),
            network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED),
            network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED_NEW_PORT),
        ];
        let hosts = realms.map(|realm| network.add_host(realm));
        let mut mesh = Mesh::new(network, &hosts, seed);
        for transition in &transitions {
            apply(&mut mesh, &realms, transition);
        }
        mesh.signalling = true;
        mesh.network.loss = 0;
        hosts.iter().for_each(|host| mesh.network.set_side(*host, 0));
        for a in 0..DEVICES {
            for b in (0..DEVICES).filter(|b| *b != a) {
                let time = mesh.ping_until_answered(a, b, secs(30));
                prop_assert!(time.is_some_and(|time| time <= secs(12)), "{} to {}: {:?}", a, b, time);
            }
        }
        let probes: u64 = mesh.devices.iter().map(|device| device.probes).sum();
        prop_assert!(probes < 40_000, "{} probes", probes);
    }

    #[test]
    fn with_a_relay_that_stays_even_symmetric_routers_are_reached_again(
        seed: u64,
        transitions in prop::collection::vec(transition(), 0..40),
    ) {
        let mut network = Network::new(seed);
        let realms = [
            INTERNET,
            network.add_realm(INTERNET, Behaviour::SYMMETRIC),
            network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED),
            network.add_realm(INTERNET, Behaviour::SYMMETRIC),
        ];
        let hosts = realms.map(|realm| network.add_host(realm));
        let mut mesh = Mesh::new(network, &hosts, seed);
        mesh.carriage.relays.insert(0);
        for transition in transitions.iter().filter(|transition| !matches!(transition, Transition::Roam(0, _))) {
            apply(&mut mesh, &realms, transition);
        }
        mesh.signalling = true;
        mesh.network.loss = 0;
        hosts.iter().for_each(|host| mesh.network.set_side(*host, 0));
        for a in 0..DEVICES {
            for b in (0..DEVICES).filter(|b| *b != a) {
                let time = mesh.ping_until_answered(a, b, secs(30));
                prop_assert!(time.is_some_and(|time| time <= secs(12)), "{} to {}: {:?}", a, b, time);
            }
        }
        let probes: u64 = mesh.devices.iter().map(|device| device.probes).sum();
        prop_assert!(probes < 60_000, "{} probes", probes);
    }
}
