//! Many members in one lab.

use std::collections::BTreeMap;
use std::time::Duration;

use warren_netns::{Machine, until};

use crate::mesh::{agree, found, invite, join, own, peers, world};

/// Members of the crowd.
const CROWD: usize = 24;

/// All of them start on two cores.
const SETTLE: Duration = Duration::from_secs(60);

#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
pub(crate) fn twenty_four_members_all_ping_each_other() {
    let world = world();
    let lan = world.lan("lan");
    let machines: Vec<Machine> =
        (0..CROWD).map(|number| world.machine(&format!("m{number}"), &lan)).collect();
    let mut daemons = vec![found(&machines[0])];
    let code = invite(&machines[0], &["--uses", &CROWD.to_string()]);
    daemons.extend(machines[1..].iter().map(|machine| join(machine, &code)));
    agree(&machines.iter().collect::<Vec<_>>(), CROWD);

    let addresses: Vec<String> = machines.iter().map(|machine| own(machine, "ipv4")).collect();
    let unreached = |machine: &Machine| {
        let all = addresses.join(" ");
        let line = format!("for a in {all}; do ping -n -q -c 1 -W 1 $a >/dev/null || echo $a; done");
        machine.shell(&line).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for machine in &machines {
        until(SETTLE, &format!("{} pings everybody", machine.name()), || {
            unreached(machine).is_empty().then_some(())
        });
    }

    let memory: Vec<u64> = daemons.iter().filter_map(warren_netns::Daemon::resident_kib).collect();
    let connected =
        |machine: &Machine| peers(machine).iter().filter(|peer| peer["connected"] == true).count();
    let connections: Vec<usize> = machines.iter().map(connected).collect();
    let mut histogram = BTreeMap::new();
    connections.iter().for_each(|count| *histogram.entry(*count).or_insert(0_u32) += 1);
    println!(
        "{CROWD} members, every pair pings: memory per daemon {:.1} to {:.1} MiB, control connections per member {histogram:?}",
        *memory.iter().min().unwrap() as f64 / 1024.0,
        *memory.iter().max().unwrap() as f64 / 1024.0,
    );
}
