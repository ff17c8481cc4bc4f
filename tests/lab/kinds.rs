//! Every kind of network is what its name says, and so is the weather in the middle. Plain sockets, no daemon.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use warren_netns::{Kind, Machine, Network, World};

use crate::mesh::world;

/// A datagram that is not there by now is not coming.
const SOON: Duration = Duration::from_millis(300);

/// A machine of each side of a router, and a second stranger.
struct Place {
    _world: World,
    network: Network,
    inside: Machine,
    server: Machine,
    stranger: Machine,
}

fn place(kind: Kind) -> Place {
    let world = world();
    let (network, street) = (world.behind("home", kind), world.public("street"));
    let inside = world.machine("inside", &network);
    let (server, stranger) = (world.machine("server", &street), world.machine("stranger", &street));
    Place { _world: world, network, inside, server, stranger }
}

fn socket(machine: &Machine, port: u16) -> UdpSocket {
    let socket = machine.bind_udp(&format!("[::]:{port}"));
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

fn address(machine: &Machine, port: u16) -> SocketAddr {
    // Sockets of both families write IPv4 so.
    SocketAddr::new(IpAddr::V6(machine.ipv4().unwrap().to_ipv6_mapped()), port)
}

/// Who sent the next datagram that arrives soon.
fn heard(socket: &UdpSocket) -> Option<SocketAddr> {
    let mut buffer = [0; 64];
    socket.recv_from(&mut buffer).ok().map(|(_, from)| SocketAddr::new(from.ip().to_canonical(), from.port()))
}

#[derive(Debug, Eq, PartialEq)]
struct Nat {
    keeps_the_port: bool,
    same_for_everybody: bool,
    lets_strangers_in: bool,
}

fn behaviour(place: &Place) -> Nat {
    const PORT: u16 = 41_820;
    let inside = socket(&place.inside, PORT);
    let [first, second, other] = [(&place.server, 7001), (&place.server, 7002), (&place.stranger, 7001)]
        .map(|(machine, port)| (socket(machine, port), address(machine, port)));
    let seen = [&first, &second, &other].map(|(socket, address)| {
        inside.send_to(b"hello", address).unwrap();
        heard(socket).expect("what is sent from inside arrives")
    });
    assert!(seen.iter().all(|from| from.ip() == seen[0].ip()), "{seen:?}");
    // The one asked may answer, in any kind.
    let door = |from: SocketAddr| match from {
        SocketAddr::V4(v4) => SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port()),
        SocketAddr::V6(_) => from,
    };
    first.0.send_to(b"answer", door(seen[0])).unwrap();
    assert!(heard(&inside).is_some(), "an answer comes in");
    let uninvited = socket(&place.stranger, 9999);
    uninvited.send_to(b"knock", door(seen[0])).unwrap();
    Nat {
        keeps_the_port: seen[0].port() == PORT,
        same_for_everybody: seen.iter().all(|from| from.port() == seen[0].port()),
        lets_strangers_in: heard(&inside).is_some(),
    }
}

pub(crate) fn routers_translate_as_their_kind_says() {
    let expected = |keeps_the_port, same_for_everybody, lets_strangers_in| Nat {
        keeps_the_port,
        same_for_everybody,
        lets_strangers_in,
    };
    for (kind, nat) in [
        (Kind::Open, expected(true, true, true)),
        (Kind::FullCone, expected(true, true, true)),
        (Kind::Restricted, expected(true, true, false)),
        (Kind::Shifted, expected(false, true, false)),
        (Kind::Symmetric, expected(false, false, false)),
        (Kind::Cgnat, expected(false, true, false)),
        (Kind::Upnp, expected(true, true, false)),
        (Kind::BrokenSix, expected(true, true, false)),
    ] {
        assert_eq!(behaviour(&place(kind)), nat, "{kind}");
    }
}

pub(crate) fn a_full_cone_lets_strangers_in_only_where_somebody_is() {
    let place = place(Kind::FullCone);
    let knocking = socket(&place.stranger, 9999);
    let door = place.network.public_ipv4().unwrap().to_ipv6_mapped();
    let inside = socket(&place.inside, 41_820);
    knocking.send_to(b"knock", (door, 41_820)).unwrap();
    assert_eq!(heard(&inside), None);
    // Nor does the knock spoil the port for the one inside.
    assert!(behaviour_after(&place, &inside));
}

fn behaviour_after(place: &Place, inside: &UdpSocket) -> bool {
    let server = socket(&place.server, 7001);
    inside.send_to(b"hello", address(&place.server, 7001)).unwrap();
    heard(&server).is_some_and(|from| from.port() == 41_820)
}

pub(crate) fn two_nats_in_a_row_share_the_providers_space() {
    let place = place(Kind::Cgnat);
    let wan = place.network.shell("ip -o -4 address show dev wan");
    assert!(wan.contains(" 100.64."), "{wan}");
}

pub(crate) fn where_udp_is_blocked_tcp_gets_out_and_nothing_in() {
    let place = place(Kind::Blocked);
    let (inside, server) = (socket(&place.inside, 41_820), socket(&place.server, 7001));
    inside.send_to(b"hello", address(&place.server, 7001)).unwrap();
    assert_eq!(heard(&server), None);
    let listening = place.server.listen_tcp("0.0.0.0:443");
    let server = SocketAddr::new(place.server.ipv4().unwrap().into(), 443);
    assert!(place.inside.connect_tcp(server, Duration::from_secs(3)).is_some());
    assert!(listening.accept().is_ok());
    let _listening = place.inside.listen_tcp("0.0.0.0:41820");
    let door = SocketAddr::new(place.network.public_ipv4().unwrap().into(), 41_820);
    assert!(place.stranger.connect_tcp(door, SOON).is_none());
}

pub(crate) fn ipv6_only_has_a_firewall_and_no_ipv4() {
    let place = place(Kind::SixOnly);
    assert_eq!(place.inside.shell("ip -4 -o address show scope global"), "");
    let (inside, server) = (socket(&place.inside, 41_820), socket(&place.server, 7001));
    let (here, there) = (place.inside.ipv6().unwrap(), place.server.ipv6().unwrap());
    let uninvited = socket(&place.stranger, 9999);
    uninvited.send_to(b"knock", (here, 41_820)).unwrap();
    assert_eq!(heard(&inside), None);
    inside.send_to(b"hello", (there, 7001)).unwrap();
    assert_eq!(heard(&server), Some((here, 41_820).into()));
    server.send_to(b"answer", (here, 41_820)).unwrap();
    assert_eq!(heard(&inside), Some((there, 7001).into()));
}

pub(crate) fn broken_ipv6_looks_well_and_leads_nowhere() {
    let place = place(Kind::BrokenSix);
    assert!(place.inside.ipv6().is_some());
    assert!(place.inside.shell("ip -6 route show default").contains("default"));
    assert!(!place.inside.pings(&place.server.ipv6().unwrap().to_string(), 2));
    assert!(place.inside.pings(&place.server.ipv4().unwrap().to_string(), 2));
}

pub(crate) fn a_router_with_upnp_maps_a_port_and_forgets_it_at_a_reset() {
    let place = place(Kind::Upnp);
    let inside = socket(&place.inside, 41_820);
    let gateway = place.inside.shell("ip -4 route show default");
    let gateway: Ipv4Addr = gateway.split_whitespace().nth(2).unwrap().parse().unwrap();
    // NAT-PMP: version 0, map UDP, two reserved bytes, inner port, suggested outer port, seconds.
    let asking = socket(&place.inside, 0);
    asking.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let port = 41_820_u16.to_be_bytes();
    let request = [&[0, 1, 0, 0], &port[..], &port, &7200_u32.to_be_bytes()].concat();
    asking.send_to(&request, (gateway.to_ipv6_mapped(), 5351)).unwrap();
    let mut reply = [0; 32];
    let (length, _) = asking.recv_from(&mut reply).expect("miniupnpd answers");
    assert_eq!((length, &reply[..4]), (16, &[0, 129, 0, 0][..]), "{reply:?}");
    assert_eq!(place.network.mapper().mappings().len(), 1);

    let stranger = socket(&place.stranger, 9999);
    let door = (place.network.public_ipv4().unwrap().to_ipv6_mapped(), 41_820);
    stranger.send_to(b"knock", door).unwrap();
    assert!(heard(&inside).is_some(), "the mapping lets a stranger in");
    place.network.mapper().reset();
    assert_eq!(place.network.mapper().mappings(), [""; 0]);
}

pub(crate) fn a_nat_that_forgets_gives_another_port() {
    for kind in [Kind::Restricted, Kind::Shifted] {
        let place = place(kind);
        let (inside, server) = (socket(&place.inside, 41_820), socket(&place.server, 7001));
        let mut ports = vec![];
        for _ in 0..3 {
            inside.send_to(b"hello", address(&place.server, 7001)).unwrap();
            ports.push(heard(&server).expect("what is sent from inside arrives").port());
            place.network.rebind();
        }
        assert!(ports[0] != ports[1] && ports[1] != ports[2], "{kind}: {ports:?}");
    }
}

pub(crate) fn the_weather_is_as_ordered() {
    let world = world();
    let (one, other) = (world.behind("one", Kind::Restricted), world.public("other"));
    let third = world.behind("third", Kind::Restricted);
    let (a, b, c) = (world.machine("a", &one), world.machine("b", &other), world.machine("c", &third));
    let address = b.ipv4().unwrap().to_string();
    // "…, 50% packet loss, …" and "rtt min/avg/max/mdev = 0.1/0.2/…"
    let pings = |count: u32, size: &str| {
        let count = count.to_string();
        let line = ["-n", "-q", "-M", "do", "-s", size, "-c", &count, "-i", "0.005", "-W", "1", &address];
        let said = a.run("ping", &line).stdout;
        let before = |mark: &str| said.split(mark).next()?.rsplit(' ').next()?.parse::<f64>().ok();
        let average =
            said.split("mdev = ").nth(1).and_then(|text| text.split('/').nth(1)?.parse::<f64>().ok());
        (before("% packet loss").unwrap_or(100.0), average)
    };
    assert_eq!(pings(3, "56").0, 0.0);
    world.middle().set_loss(20.0);
    let lost = pings(400, "56").0;
    // Of both ways: 36 %.
    assert!((25.0..48.0).contains(&lost), "{lost} % are lost");
    world.middle().set_loss(0.0);

    world.middle().set_black_hole(Some(1400));
    assert_eq!((pings(2, "1372").0, pings(2, "1373").0), (0.0, 100.0));
    world.middle().set_black_hole(None);
    assert_eq!(pings(2, "1472").0, 0.0);

    world.middle().part(&one, &other);
    assert_eq!(pings(1, "56").0, 100.0);
    assert!(c.pings(&address, 1));
    world.middle().join(&one, &other);
    assert_eq!(pings(1, "56").0, 0.0);

    world.middle().set_delay(Duration::from_millis(100));
    let (lost, average) = pings(20, "1472");
    assert!(lost == 0.0 && (200.0..300.0).contains(&average.unwrap()), "{lost} %, {average:?} ms");
    world.middle().set_delay(Duration::ZERO);
    assert!(pings(5, "56").1.unwrap() < 100.0);
}

pub(crate) fn a_small_router_takes_no_more_connections_than_its_table_holds() {
    let place = place(Kind::Restricted);
    place.network.limit_tracked(64);
    let inside = socket(&place.inside, 41_820);
    let before = place.network.sent();
    for port in 1000..1200 {
        inside.send_to(b"hello", address(&place.server, port)).unwrap();
    }
    let tracked = place.network.tracked();
    assert!((60..80).contains(&tracked), "{tracked} connections");
    let sent = place.network.sent() - before;
    assert!((60..80).contains(&sent), "{sent} packets");
}
