//! What the program says when there is no daemon: help, misuse, settings, codes, rights.

use crate::program::{Outcome, Program};

#[test]
fn without_a_daemon_every_question_says_how_to_start_it() {
    let program = Program::new();
    let expected = Outcome::failed(
        3,
        "error: the daemon is not running (nobody answers at DIR/socket)\n\
         hint: start it with `sudo warren up`\n",
    );
    let questions: [&[&str]; 14] = [
        &["netcheck"],
        &["doctor"],
        &["doctor", "nas"],
        &[],
        &["status"],
        &["peers"],
        &["ping", "nas"],
        &["invite"],
        &["invite", "list"],
        &["invite", "revoke", "abc"],
        &["allow", "nas", "files"],
        &["deny", "nas", "tcp/22"],
        &["leave"],
        &["join", "warren1abcdef"],
    ];
    for question in questions {
        assert_eq!(program.run(question), expected, "{question:?}");
    }
}

#[test]
fn stopping_what_does_not_run_is_no_failure() {
    let outcome = Program::new().run(&["down"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, "warren is off already\n"));
}

#[test]
fn a_failure_for_programs_is_one_json_line_on_stderr() {
    let outcome = Program::new().run(&["status", "--json"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (3, ""));
    let value: serde_json::Value = serde_json::from_str(&outcome.err).unwrap();
    assert_eq!(value["error"]["code"], "not_running");
}

#[test]
fn help_goes_to_stdout_and_fits_a_screen() {
    let program = Program::new();
    for command in [
        "", "up", "down", "leave", "join", "invite", "peers", "status", "ping", "netcheck", "doctor",
        "allow", "deny",
    ] {
        let arguments: Vec<&str> = [command, "-h"].into_iter().filter(|word| !word.is_empty()).collect();
        let outcome = program.run(&arguments);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{command}");
        assert!(outcome.out.contains("Usage: warren"), "{command}");
        assert!(outcome.out.lines().all(|line| line.chars().count() <= 100), "{command}:\n{}", outcome.out);
        assert!(outcome.out.lines().count() <= 40, "{command}");
    }
}

#[test]
fn help_lists_the_exit_codes() {
    let help = Program::new().run(&["--help"]).out;
    for line in ["   3  the daemon is not running", "  13  the invite has expired", "  28  the disk is full"]
    {
        assert!(help.contains(line), "{help}");
    }
}

#[test]
fn what_makes_no_sense_is_a_misuse() {
    let program = Program::new();
    let misuses: [&[&str]; 10] = [
        &["dance"],
        &["ping"],
        &["ping", "nas", "-c", "0"],
        &["ping", "nas", "-i", "never"],
        &["allow", "nas"],
        &["allow", "nas", "everything"],
        &["invite", "--uses", "0"],
        &["invite", "--expires", "72"],
        &["invite", "--only", "nas"],
        &["up", "--port", "0"],
    ];
    for misuse in misuses {
        let outcome = program.run(misuse);
        assert_eq!((outcome.code, outcome.out.as_str()), (2, ""), "{misuse:?}");
        assert!(outcome.err.starts_with("error: "), "{misuse:?}: {}", outcome.err);
    }
}

#[test]
fn an_unknown_filter_lists_those_there_are() {
    assert_eq!(
        Program::new().run(&["peers", "--filter", "online,awake"]),
        Outcome::failed(
            2,
            "error: 'awake' is not a filter; there are online, offline, internal, external, \
             allows-incoming, allows-files, allows-routing, allows-lan, incoming-allowed, files-allowed, \
             routing-allowed, lan-allowed\n",
        )
    );
}

#[test]
fn a_setting_that_is_not_understood_stops_everything_with_its_line() {
    let program = Program::new();
    let hint = "hint: nothing was started: a setting that is not understood might be one you rely on\n";
    let cases = [
        ("# mine\nownership = \"all\"\n", "line 2: unknown field `ownership`"),
        ("port = 41820\nallow = [\"incoming\", \"root\"]\n", "line 2: 'root' is not a permission"),
        ("mdns = \"sometimes\"\n", "line 1: invalid type: string \"sometimes\", expected a boolean"),
        ("subnet = \"100.64.0.0/33\"\n", "line 1: '100.64.0.0/33' does not fit"),
        ("port =\n", "line 1: "),
    ];
    for (text, why) in cases {
        let path = program.config(text);
        let outcome = program.run(&["up", "--config", path.to_str().unwrap()]);
        assert_eq!(outcome.code, 30, "{text}: {}", outcome.err);
        assert!(
            outcome.err.starts_with(&format!("error: DIR/warren.toml, {why}")),
            "{text}: {}",
            outcome.err
        );
        assert!(outcome.err.ends_with(hint), "{}", outcome.err);
    }
    assert!(!program.dir.path().join("state").exists(), "a refused start made a state folder");
}

#[test]
fn a_configuration_that_was_named_must_be_there() {
    let outcome = Program::new().run(&["up", "--config", "/nonexistent/warren.toml"]);
    assert_eq!(outcome.code, 30);
    assert!(
        outcome.err.contains("cannot read the configuration /nonexistent/warren.toml"),
        "{}",
        outcome.err
    );
}

#[test]
fn a_name_that_cannot_be_one_says_why() {
    let program = Program::new();
    for (name, why) in [
        ("my nas", "it contains a space"),
        ("my--nas", "it contains two hyphens in a row"),
        ("nas.home", "it contains a dot"),
        ("abcdefghijklmnopqrstuvwxyz", "it is longer than 25 letters"),
    ] {
        for arguments in [["up", "--name", name], ["up", "--mesh", name]] {
            let outcome = program.run(&arguments);
            assert_eq!(outcome.code, 20, "{}", outcome.err);
            assert!(outcome.err.contains(&format!("'{name}' cannot be a name: {why}")), "{}", outcome.err);
            assert!(outcome.err.contains("\nhint: a name is 1 to 25 of a-z"), "{}", outcome.err);
        }
    }
}

#[test]
fn what_is_no_code_is_told_apart_before_anything_else() {
    let program = Program::new();
    let hint = "hint: a code starts with `warren1`; `warren invite` on a device of the mesh prints one\n";
    let expected = Outcome::failed(10, &format!("error: that is not an invite code\n{hint}"));
    assert_eq!(program.run(&["up", "hello"]), expected);
    assert_eq!(program.run(&["join", "hello"]), expected);
    assert_eq!(program.run_with_stdin(&["join", "-"], "hello\n"), expected);
    let mut command = program.command(["up"]);
    command.env("WARREN_CODE", "hello");
    assert_eq!(program.finish(command), expected);
    let empty = program.run_with_stdin(&["up", "-"], "\n");
    assert_eq!(empty.code, 10);
    assert!(empty.err.starts_with("error: the invite code is empty\n"), "{}", empty.err);
}

#[test]
fn joining_without_a_code_is_a_misuse() {
    let outcome = Program::new().run(&["join"]);
    assert_eq!(outcome.code, 2);
    assert!(
        outcome.err.starts_with("error: no invite code was given\nhint: `warren join CODE`"),
        "{}",
        outcome.err
    );
}

#[test]
fn without_rights_up_says_exactly_what_to_run_and_hides_the_code() {
    let program = Program::new();
    let binary = env!("CARGO_BIN_EXE_warren");
    for (arguments, again) in [
        (vec!["up"], "up"),
        (vec!["up", "--mesh", "home", "warren1abcdef"], "up --mesh home CODE"),
        (vec!["up", "-d"], "up -d"),
    ] {
        let expected = format!(
            "error: this needs the right to make network interfaces (CAP_NET_ADMIN)\n\
             hint: run `sudo {binary} {again}`\n"
        );
        assert_eq!(program.finish(program.powerless(arguments)), Outcome::failed(24, &expected));
    }
    assert!(!program.dir.path().join("state").exists(), "a refused start made a state folder");
}

#[test]
fn a_log_filter_that_is_none_is_a_misuse() {
    let outcome = Program::new().run(&["status", "--log", "warren=loud"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.err.contains("'warren=loud' is no log filter"), "{}", outcome.err);
}
