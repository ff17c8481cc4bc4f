//! Warren on real kernels: daemons in network namespaces, without root.
//!
//! Each test builds a world ([`warren_netns`]), starts the real binary in it, and looks at it from outside, as a
//! user would: exit codes, JSON, ping(8), `ip`, `nft`. It has a `main` of its own because the user namespace must
//! be entered before any thread starts. One test:
//! `cargo nextest run --profile lab two_machines_with_only_a_code_ping_each_other`.
//! `WARREN_LAB_LOG=debug` says how much the daemons log; their logs are shown when a test fails.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bench_itself;
mod blocked;
mod cell;
mod crowd;
mod forgetting;
mod grid;
mod interrupting;
mod joining;
mod kinds;
mod looking;
mod manners;
mod mapping;
mod mesh;
mod mtu;
mod obstacles;
mod refusing;
mod restarting;
mod surviving;
mod trespassing;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Trials named after the functions they run.
macro_rules! trials {
    ($($module:ident: $($test:ident)+;)+) => {
        vec![$($(Trial::test(stringify!($test), || { $module::$test(); Ok(()) })),+),+]
    };
}

#[expect(clippy::print_stderr, reason = "the one message of a test binary that cannot start")]
fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if !arguments.list
        && let Err(message) = warren_netns::enter_user_namespace()
    {
        eprintln!("{message}");
        return ExitCode::FAILURE;
    }
    let trials = trials! {
        bench_itself:
            machines_of_one_lan_reach_each_other_and_nobody_else
            a_home_router_translates_and_drops_what_nobody_asked_for
            a_footprint_notices_what_is_left_behind;
        kinds:
            routers_translate_as_their_kind_says
            a_full_cone_lets_strangers_in_only_where_somebody_is
            two_nats_in_a_row_share_the_providers_space
            where_udp_is_blocked_tcp_gets_out_and_nothing_in
            ipv6_only_has_a_firewall_and_no_ipv4
            broken_ipv6_looks_well_and_leads_nowhere
            a_router_with_upnp_maps_a_port_and_forgets_it_at_a_reset
            a_nat_that_forgets_gives_another_port
            the_weather_is_as_ordered
            a_small_router_takes_no_more_connections_than_its_table_holds;
        joining:
            two_machines_with_only_a_pasted_code_ping_each_other
            a_code_connects_across_the_internet
            a_lan_without_internet_joins_by_mdns_alone
            a_third_member_admits_the_newcomer_while_the_founder_sleeps
            a_newcomer_whose_witness_left_makes_itself_known
            one_of_two_partitions_wins_a_single_use_code;
        restarting:
            killed_daemons_meet_again_without_mdns_and_leave_nothing
            a_terminated_daemon_leaves_the_machine_as_it_found_it
            down_stops_the_daemon_and_cleans_up
            a_killed_daemon_leaves_nothing_after_the_next_start_and_stop
            a_second_daemon_on_the_same_state_changes_nothing;
        refusing:
            a_code_that_was_not_copied_whole_is_refused_as_such
            an_expired_code_is_refused
            a_used_up_code_is_refused
            a_multi_use_code_admits_as_many_as_it_says
            a_revoked_code_is_refused
            ones_own_code_is_refused
            a_code_of_an_unreachable_mesh_says_that_nobody_answers
            a_bad_or_taken_name_is_refused
            a_device_alone_in_its_mesh_moves_to_the_one_it_joins;
        obstacles:
            a_taken_port_is_refused_if_asked_for_and_stepped_over_if_not
            a_state_directory_that_cannot_be_written_is_refused
            a_full_disk_is_refused_at_the_start
            a_disk_that_fills_up_loses_nothing_and_makes_no_half_invite
            a_damaged_store_is_named_with_a_way_out
            a_machine_without_tun_is_told_so
            a_user_without_rights_is_told_what_to_run
            a_configuration_with_an_unknown_setting_is_refused
            a_taken_interface_name_is_refused_before_anything_is_made
            a_daemon_without_files_to_guess_with_says_so_and_keeps_its_relay;
        interrupting:
            a_daemon_answers_while_it_joins_and_goes_back_when_told_to_stop
            a_network_interface_taken_away_ends_the_daemon_with_a_message
            a_machine_without_ipv6_is_a_member_by_ipv4_and_says_so_once;
        looking:
            a_peer_answers_to_all_its_names_in_any_case
            peers_are_listed_and_filtered
            what_is_allowed_already_is_said_to_be;
        trespassing:
            no_packet_goes_to_anybody_but_peers
            members_behind_routers_send_to_members_only
            a_member_cannot_speak_in_anothers_name
            a_route_into_the_tunnel_makes_no_loop;
        surviving:
            a_download_survives_an_address_change
            a_download_survives_an_address_change_of_its_source
            a_download_survives_a_nat_that_forgets
            a_download_survives_the_death_of_its_relay
            a_download_survives_a_direct_path_that_falls_silent
            a_download_does_not_need_the_founder
            a_daemon_killed_under_load_is_back_within_seconds
            a_frozen_daemon_comes_back_without_a_burst;
        forgetting:
            behind_a_nat_that_forgets_in_two_seconds_a_member_is_reached_after_silence;
        blocked:
            a_member_without_udp_reaches_the_founder_in_a_stream
            two_members_without_udp_meet_through_the_founder
            udp_that_is_let_out_again_is_used_again;
        mapping:
            a_port_is_mapped_and_given_back
            a_mapping_is_made_again_when_the_router_forgot_it
            a_mapped_member_is_reached_where_guessing_would_be_needed;
        mtu:
            a_link_of_1492_carries_a_download_both_ways
            a_link_of_1400_carries_a_download_both_ways
            a_link_of_1280_carries_a_download_both_ways
            an_honest_link_of_1280_carries_a_download_both_ways
            an_honest_link_of_1280_carries_a_download_both_ways_by_ipv6
            a_download_goes_on_when_the_link_narrows;
        manners:
            a_hundred_dead_members_do_not_fill_a_small_router
            a_quiet_mesh_keeps_its_paths_and_says_little;
        crowd:
            twenty_four_members_all_ping_each_other;
    };
    let trials = trials.into_iter().chain(grid::trials()).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
