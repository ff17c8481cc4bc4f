//! The promises of the filter, packet by packet.

mod door;

use std::collections::BTreeSet;

use door::{ACK, Door, FIN_ACK, PEER, RST, SYN, SYN_ACK, US, epoch, ip, secs, tcp, udp};
use proptest::prelude::*;

use super::*;

const REFUSED: Verdict = Verdict::Drop(Reason::NotGranted);

#[test]
fn nothing_begins_from_outside_without_rules() {
    Door::each(&Rules::none(), |mut door| {
        assert_eq!(door.incoming(6, &tcp(50000, 22, SYN)), REFUSED);
        assert_eq!(door.incoming(6, &tcp(50000, 22, ACK)), REFUSED);
        assert_eq!(door.incoming(17, &udp(50000, 53)), REFUSED);
        assert_eq!(door.incoming(door.icmp(), &door.echo(false, 9)), REFUSED);
        assert_eq!(door.incoming(door.icmp(), &door.echo(true, 9)), REFUSED);
        assert_eq!(door.incoming(47, &[0; 8]), REFUSED);
        assert_eq!(
            door.incoming(door.icmp(), &[13, 0, 0, 0, 0, 0, 0, 0]).clone(),
            match door.family {
                0 => REFUSED,
                _ => Verdict::Drop(Reason::UnrelatedError),
            }
        );
    });
}

#[test]
fn what_we_began_is_answered_and_nothing_beside_it() {
    Door::each(&Rules::none(), |mut door| {
        door.out(17, &udp(50000, 53));
        door.out(6, &tcp(50001, 443, SYN));
        door.out(door.icmp(), &door.echo(false, 77));
        door.out(47, &[0; 8]);
        assert_eq!(door.incoming(17, &udp(53, 50000)), Verdict::Pass);
        assert_eq!(door.incoming(6, &tcp(443, 50001, SYN_ACK)), Verdict::Pass);
        assert_eq!(door.incoming(door.icmp(), &door.echo(true, 77)), Verdict::Pass);
        assert_eq!(door.incoming(47, &[1; 8]), Verdict::Pass);

        assert_eq!(door.incoming(17, &udp(53, 50002)), REFUSED);
        assert_eq!(door.incoming(17, &udp(54, 50000)), REFUSED);
        assert_eq!(door.incoming(6, &tcp(443, 50001, SYN)), REFUSED, "a connection of its own");
        assert_eq!(door.incoming(door.icmp(), &door.echo(false, 77)), REFUSED, "a ping of its own");
        assert_eq!(door.incoming(door.icmp(), &door.echo(true, 78)), REFUSED);
    });
}

#[test]
fn an_echo_identifier_of_zero_does_not_turn_replies_into_requests() {
    Door::each(&Rules::none(), |mut door| {
        door.out(door.icmp(), &door.echo(false, 0));
        assert_eq!(door.incoming(door.icmp(), &door.echo(true, 0)), Verdict::Pass);
        assert_eq!(door.incoming(door.icmp(), &door.echo(false, 0)), REFUSED);
    });
}

#[test]
fn one_peer_cannot_answer_for_another() {
    let mut door = Door::new(Rules::none());
    door.out(17, &udp(50000, 53));
    let bytes = ip(PEER[0], US[0], 17, 0, &udp(53, 50000));
    let packet = IpPacket::parse(&bytes).unwrap();
    assert_eq!(door.filter.inbound(&packet, 2, &Rules::none(), door.now), REFUSED);
    assert_eq!(door.filter.inbound(&packet, 1, &Rules::none(), door.now), Verdict::Pass);
}

#[test]
fn withdrawing_a_grant_cuts_established_flows_and_not_our_own() {
    Door::each(&Rules::all(), |mut door| {
        assert_eq!(door.incoming(6, &tcp(50000, 22, SYN)), Verdict::Pass);
        door.out(6, &tcp(22, 50000, SYN_ACK));
        assert_eq!(door.incoming(6, &tcp(50000, 22, ACK)), Verdict::Pass);
        assert_eq!(door.incoming(17, &udp(50000, 27015)), Verdict::Pass);
        door.out(17, &udp(27015, 50000));
        door.out(6, &tcp(40000, 80, SYN));
        assert_eq!(door.incoming(6, &tcp(80, 40000, SYN_ACK)), Verdict::Pass);

        door.rules = Rules::none();
        // Our side still answers and repeats; that opens nothing.
        door.out(6, &tcp(22, 50000, ACK));
        door.out(17, &udp(27015, 50000));
        assert_eq!(door.incoming(6, &tcp(50000, 22, ACK)), REFUSED);
        assert_eq!(door.incoming(17, &udp(50000, 27015)), REFUSED);
        assert_eq!(door.incoming(6, &tcp(80, 40000, ACK)), Verdict::Pass, "we began this one");

        door.now += secs(200);
        door.out(17, &udp(27015, 50000));
        door.now += secs(200);
        door.out(17, &udp(27015, 50000));
        assert_eq!(door.incoming(17, &udp(50000, 27015)), REFUSED, "still the peer's, however long we talk");
        door.rules = Rules::all();
        assert_eq!(door.incoming(6, &tcp(50000, 22, ACK)), Verdict::Pass, "granted again");
    });
}

#[test]
fn errors_pass_when_they_are_about_something_that_may_pass() {
    Door::each(&Rules::only(vec![PortRange::single(Transport::Tcp, 22)]), |mut door| {
        door.out(17, &udp(50000, 53));
        let related = door.unreachable(17, &udp(50000, 53));
        assert_eq!(door.incoming(door.icmp(), &related), Verdict::Pass);
        let granted = door.unreachable(6, &tcp(22, 50000, ACK));
        assert_eq!(door.incoming(door.icmp(), &granted), Verdict::Pass, "about our answer to a granted flow");
        for stray in [
            door.unreachable(17, &udp(50001, 53)),
            door.unreachable(17, &[]),
            vec![[3, 1][door.family], 0, 0, 0],
        ] {
            assert_eq!(door.incoming(door.icmp(), &stray), Verdict::Drop(Reason::UnrelatedError));
        }
    });
}

#[test]
fn flows_expire() {
    let mut door = Door::new(Rules::none());
    door.out(17, &udp(50000, 53));
    door.now += secs(299);
    assert_eq!(door.incoming(17, &udp(53, 50000)), Verdict::Pass, "and is prolonged");
    door.now += secs(299);
    assert_eq!(door.incoming(17, &udp(53, 50000)), Verdict::Pass);
    door.now += secs(300);
    assert_eq!(door.incoming(17, &udp(53, 50000)), REFUSED);
    assert_eq!(door.filter.flow_count(), 0, "and is gone");

    door.out(1, &door.echo(false, 1));
    door.now += secs(60);
    assert_eq!(door.incoming(1, &door.echo(true, 1)), REFUSED);
}

#[test]
fn a_silent_established_connection_lives_for_two_hours_and_an_unanswered_one_for_minutes() {
    let mut door = Door::new(Rules::none());
    door.out(6, &tcp(50000, 22, SYN));
    door.out(6, &tcp(50001, 22, SYN));
    assert_eq!(door.incoming(6, &tcp(22, 50000, SYN_ACK)), Verdict::Pass);
    door.now += secs(7200);
    assert_eq!(door.incoming(6, &tcp(22, 50000, ACK)), Verdict::Pass);
    assert_eq!(door.incoming(6, &tcp(22, 50001, SYN_ACK)), REFUSED);
}

#[test]
fn a_connection_closed_from_either_side_is_soon_forgotten() {
    for we_first in [true, false] {
        let mut door = Door::new(Rules::none());
        door.out(6, &tcp(50000, 22, SYN));
        assert_eq!(door.incoming(6, &tcp(22, 50000, SYN_ACK)), Verdict::Pass);
        if we_first {
            door.out(6, &tcp(50000, 22, FIN_ACK));
            assert_eq!(
                door.incoming(6, &tcp(22, 50000, ACK)),
                Verdict::Pass,
                "half closed, data still comes"
            );
            assert_eq!(door.incoming(6, &tcp(22, 50000, FIN_ACK)), Verdict::Pass);
            door.out(6, &tcp(50000, 22, ACK));
        } else {
            assert_eq!(door.incoming(6, &tcp(22, 50000, FIN_ACK)), Verdict::Pass);
            door.out(6, &tcp(50000, 22, FIN_ACK));
            assert_eq!(door.incoming(6, &tcp(22, 50000, ACK)), Verdict::Pass, "the last acknowledgement");
        }
        for _ in 0..9 {
            door.now += secs(1);
            assert_eq!(door.incoming(6, &tcp(22, 50000, ACK)), Verdict::Pass, "repeated");
        }
        door.now += secs(2);
        assert_eq!(door.incoming(6, &tcp(22, 50000, ACK)), REFUSED);
        assert_eq!(door.filter.flow_count(), 0);
    }
}

#[test]
fn a_reset_ends_a_connection_and_the_ports_may_be_used_again() {
    let mut door = Door::new(Rules::none());
    door.out(6, &tcp(50000, 22, SYN));
    assert_eq!(door.incoming(6, &tcp(22, 50000, RST)), Verdict::Pass);
    door.out(6, &tcp(50000, 22, SYN));
    door.now += secs(60);
    assert_eq!(door.incoming(6, &tcp(22, 50000, SYN_ACK)), Verdict::Pass);
    assert_eq!(door.incoming(6, &tcp(22, 50000, RST)), Verdict::Pass);
    door.now += secs(10);
    assert_eq!(door.incoming(6, &tcp(22, 50000, ACK)), REFUSED);
}

#[test]
fn eight_thousand_flows_are_kept_and_the_least_lately_used_goes_first() {
    let mut door = Door::new(Rules::none());
    for port in 0..8192 {
        door.out(17, &udp(port, 53));
    }
    assert_eq!(door.incoming(17, &udp(53, 0)), Verdict::Pass, "used just now");
    door.out(17, &udp(9000, 53));
    assert_eq!(door.filter.flow_count(), 8192);
    assert_eq!(door.incoming(17, &udp(53, 0)), Verdict::Pass);
    assert_eq!(door.incoming(17, &udp(53, 1)), REFUSED, "this one made room");
    assert_eq!(door.incoming(17, &udp(53, 9000)), Verdict::Pass);
}

#[test]
fn a_peer_that_begins_many_flows_does_not_push_out_ours() {
    let mut door = Door::new(Rules::all());
    door.out(17, &udp(50000, 53));
    for port in 0..20_000 {
        assert_eq!(door.incoming(17, &udp(port, 9)), Verdict::Pass);
    }
    door.rules = Rules::none();
    assert_eq!(door.incoming(17, &udp(53, 50000)), Verdict::Pass);
    assert!(door.filter.flow_count() <= 2 * 8192);
}

#[test]
fn a_fragmented_packet_passes_if_its_first_piece_does() {
    Door::each(&Rules::only(vec![PortRange::single(Transport::Udp, 53)]), |mut door| {
        let unknown = Verdict::Drop(Reason::UnknownFragment);
        assert_eq!(door.fragment(17, 5, &[0; 16]), unknown, "overtook its first piece");
        assert_eq!(door.fragment(17, 0x2000, &udp(50000, 54)), REFUSED);
        assert_eq!(door.fragment(17, 5, &[0; 16]), unknown, "the first piece was refused");
        assert_eq!(door.fragment(17, 0x2000, &udp(50000, 53)), Verdict::Pass);
        assert_eq!(door.fragment(17, 0x2005, &[0; 16]), Verdict::Pass);
        assert_eq!(door.fragment(17, 10, &[0; 16]), Verdict::Pass);
        door.now += secs(30);
        assert_eq!(door.fragment(17, 10, &[0; 16]), unknown);
        door.rules = Rules::all();
        assert_eq!(door.fragment(17, 10, &[0; 16]), Verdict::Pass, "nothing to refuse");
    });
}

#[test]
fn a_transport_header_that_hides_in_fragments_is_refused() {
    Door::each(&Rules::all(), |mut door| {
        door.rules.closed = vec![PortRange::single(Transport::Tcp, 41821)];
        for length in 0..20 {
            let tiny = &tcp(50000, 22, SYN)[..length];
            assert_eq!(door.fragment(6, 0x2000, tiny), Verdict::Drop(Reason::Truncated), "{length}");
        }
        assert_eq!(door.fragment(17, 0x2000, &[0, 1]), Verdict::Drop(Reason::Truncated));
        assert_eq!(door.fragment(6, 5, &[0; 16]), Verdict::Drop(Reason::UnknownFragment));
    });
}

#[test]
fn a_closed_port_stays_closed_for_those_who_may_all_else() {
    Door::each(&Rules::all(), |mut door| {
        door.rules.closed = vec![PortRange::single(Transport::Tcp, 41821)];
        assert_eq!(door.incoming(6, &tcp(50000, 41821, SYN)), REFUSED);
        assert_eq!(door.incoming(6, &tcp(50000, 41820, SYN)), Verdict::Pass);
        assert_eq!(door.incoming(door.icmp(), &door.echo(false, 1)), Verdict::Pass);
    });
}

#[test]
fn a_peer_that_left_is_forgotten() {
    let mut door = Door::new(Rules::all());
    door.out(17, &udp(50000, 53));
    door.out(6, &tcp(50000, 22, SYN));
    door.incoming(17, &udp(1, 2));
    door.filter.forget(2);
    assert_eq!(door.filter.flow_count(), 3);
    door.filter.forget(1);
    assert_eq!(door.filter.flow_count(), 0);
    door.rules = Rules::none();
    assert_eq!(door.incoming(17, &udp(53, 50000)), REFUSED);
}

#[derive(Clone, Debug)]
enum Step {
    Out { protocol: u8, us: u16, them: u16, flags: u8 },
    In { protocol: u8, us: u16, them: u16, flags: u8 },
    Grant(bool),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let packet = (prop_oneof![Just(6_u8), Just(17)], 0..4_u16, 0..4_u16, 0..32_u8);
    prop_oneof![
        4 => packet.clone().prop_map(|(protocol, us, them, flags)| Step::Out { protocol, us, them, flags }),
        4 => packet.prop_map(|(protocol, us, them, flags)| Step::In { protocol, us, them, flags }),
        1 => any::<bool>().prop_map(Step::Grant),
        1 => (0..400_u64).prop_map(Step::Wait),
    ]
}

fn transport(protocol: u8, from: u16, to: u16, flags: u8) -> Vec<u8> {
    if protocol == 6 { tcp(from, to, flags) } else { udp(from, to) }
}

proptest! {
    /// Whatever happened: without a grant, only answers to what we began pass.
    #[test]
    fn nothing_passes_that_was_neither_granted_nor_begun_by_us(steps in prop::collection::vec(step(), 0..200)) {
        let mut door = Door::new(Rules::none());
        let mut begun = BTreeSet::new();
        for step in steps {
            match step {
                Step::Out { protocol, us, them, flags } => {
                    door.out(protocol, &transport(protocol, us, them, flags));
                    if protocol == 17 || flags & 0x12 == 0x02 {
                        begun.insert((protocol, us, them));
                    }
                }
                Step::In { protocol, us, them, flags } => {
                    let verdict = door.incoming(protocol, &transport(protocol, them, us, flags));
                    let granted = door.rules.grant_everything();
                    let answer = begun.contains(&(protocol, us, them)) && (protocol == 17 || flags & 0x12 != 0x02);
                    prop_assert!(!granted || verdict == Verdict::Pass);
                    prop_assert!(granted || answer || verdict == REFUSED);
                }
                Step::Grant(all) => door.rules = if all { Rules::all() } else { Rules::none() },
                Step::Wait(time) => door.now += secs(time),
            }
        }
    }

    #[test]
    fn no_packet_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 4..7_u8) {
        let mut bytes = bytes;
        if let [first, _, high, low, ..] = &mut bytes[..] {
            (*first, *high, *low) = (version << 4 | 5, 0, 60);
        }
        if let Ok(packet) = IpPacket::parse(&bytes) {
            let mut filter = Filter::default();
            filter.outbound(&packet, 1, epoch());
            filter.inbound(&packet, 1, &Rules::none(), epoch());
            filter.inbound(&packet, 1, &Rules::all(), epoch());
        }
    }
}
