//! Everything a daemon could leave behind on a machine, as comparable text.

use std::collections::BTreeMap;

use crate::Machine;

/// What is asked, and by which command. Each answer must be the same before a daemon came and after it went.
const QUESTIONS: [(&str, &str); 9] = [
    ("links", "ip -o link show"),
    ("addresses", "ip -o address show"),
    ("IPv4 routes", "ip -4 route show table all"),
    ("IPv6 routes", "ip -6 route show table all"),
    ("IPv4 rules", "ip -4 rule show"),
    ("IPv6 rules", "ip -6 rule show"),
    ("nftables", "nft list ruleset"),
    ("resolver and hosts", "cat /etc/resolv.conf /etc/hosts"),
    ("forwarding", "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding"),
];

/// The answers of one machine at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Footprint(BTreeMap<&'static str, Vec<String>>);

impl Footprint {
    /// Asks `machine` everything.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        let mut answers = BTreeMap::new();
        for (subject, command) in QUESTIONS {
            let outcome = machine.run("sh", &["-c", command]).expect_success();
            // Tables are listed in no promised order; the resolver's file is compared as it stands.
            let mut lines: Vec<String> =
                outcome.stdout.lines().map(|line| line.trim_end().to_owned()).collect();
            if subject.ends_with("routes") {
                lines.sort();
            }
            answers.insert(subject, lines);
        }
        answers.insert("processes", machine.processes());
        Self(answers)
    }

    /// Each line that came (`+`) or went (`-`) since `before`; empty when nothing differs.
    #[must_use]
    pub fn difference(&self, before: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (subject, now) in &self.0 {
            let then = before.0.get(subject).map_or(&[][..], Vec::as_slice);
            let marked = |sign: char, of: &[String], other: &[String]| {
                let only = of.iter().filter(|line| !other.contains(line));
                only.map(|line| format!("{subject}: {sign} {line}")).collect::<Vec<_>>()
            };
            lines.extend(marked('-', then, now));
            lines.extend(marked('+', now, then));
        }
        lines
    }

    /// Checks that `machine` looks now as it did at `self`.
    ///
    /// # Panics
    ///
    /// When anything came or went; lists it.
    pub fn assert_unchanged(&self, machine: &Machine) {
        let left = Self::of(machine).difference(self);
        assert!(left.is_empty(), "{} is not as it was:\n  {}", machine.name(), left.join("\n  "));
    }
}
