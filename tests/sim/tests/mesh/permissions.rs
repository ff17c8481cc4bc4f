//! Rules as the other side feels them.

use warren_dataplane::filter::{PortRange, Rules, Transport};
use warren_sim::mesh::Mesh;
use warren_sim::network::{INTERNET, Network};
use warren_sim::{ms, secs};

fn pair() -> Mesh {
    let mut network = Network::new(3);
    let hosts = [network.add_host(INTERNET), network.add_host(INTERNET)];
    let mut mesh = Mesh::new(network, &hosts, 5);
    assert!(mesh.ping(0, 1).is_some());
    mesh
}

fn arrives(mesh: &mut Mesh, from: usize, to: usize, ports: (u16, u16)) -> bool {
    let before = mesh.devices[to].received.len();
    mesh.send_udp(from, to, ports);
    mesh.run(ms(200));
    mesh.devices[to].received.len() > before
}

#[test]
fn a_peer_without_rights_gets_answers_only() {
    let mut mesh = pair();
    mesh.set_rules(1, 0, Rules::none());
    assert!(!arrives(&mut mesh, 0, 1, (1000, 53)));
    assert_eq!(mesh.ping(0, 1), None);
    assert!(arrives(&mut mesh, 1, 0, (2000, 53)), "the other way is the other's to decide");
    assert!(arrives(&mut mesh, 0, 1, (53, 2000)), "the answer");
    assert!(mesh.ping(1, 0).is_some());
}

#[test]
fn withdrawing_a_right_cuts_what_is_established() {
    let mut mesh = pair();
    mesh.set_rules(1, 0, Rules::only(vec![PortRange::single(Transport::Udp, 27015)]));
    assert!(arrives(&mut mesh, 0, 1, (1000, 27015)));
    assert!(arrives(&mut mesh, 1, 0, (27015, 1000)));
    assert!(!arrives(&mut mesh, 0, 1, (1000, 27016)));
    mesh.set_rules(1, 0, Rules::none());
    assert!(arrives(&mut mesh, 1, 0, (27015, 1000)), "we may go on talking");
    assert!(!arrives(&mut mesh, 0, 1, (1000, 27015)));
    mesh.run(secs(30));
    mesh.set_rules(1, 0, Rules::all());
    assert!(arrives(&mut mesh, 0, 1, (1000, 27015)));
}
