//! Warren on real kernels: daemons in network namespaces, without root.
//!
//! Each test builds a world ([`warren_netns`]), starts the real binary in it, and looks at it from outside, as a
//! user would: exit codes, JSON, ping(8), `ip`, `nft`. It has a `main` of its own because the user namespace must
//! be entered before any thread starts. One test:
//! `cargo nextest run --profile lab two_machines_with_only_a_code_ping_each_other`.
//! `WARREN_LAB_LOG=debug` says how much the daemons log; their logs are shown when a test fails.

mod bench_itself;

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
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}
