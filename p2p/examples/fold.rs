//! Measures what a mesh of many members costs: `cargo run --release -p warren-p2p --example fold [MEMBERS]`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement prints and reads the clock"
)]

use std::error::Error;
use std::time::{Duration, Instant};

use warren_p2p::identity::{Identity, Subnet};
use warren_p2p::invite::{InviteTerms, Issued, Joiner, Request, Wish};
use warren_p2p::membership::{Log, Roster};
use warren_p2p::record::{Body, Device, Founding, Record, Timestamp, Verified, found};

fn main() -> Result<(), Box<dyn Error>> {
    let members: u32 = std::env::args().nth(1).map_or(Ok(1000), |text| text.parse())?;
    let device = |number: u32| Identity::generate(blake3::derive_key("fold example", &number.to_le_bytes()));
    let now = Timestamp::from_millis(1_800_000_000_000);
    let founder = device(0);
    let founding = Founding {
        mesh_name: "home".parse()?,
        subnet: Subnet::default(),
        name: "founder".parse()?,
        os: "linux".parse()?,
        nonce: [0; 16],
    };
    let (mesh, records) = found(&founder, founding, now)?;
    let mut log = Log::from_records(mesh, records.to_vec());
    let mut records: Vec<Verified<Record>> = Vec::new();
    // As people do it: one invite a device; a tenth of the devices change their name later.
    let mut sequence = log.next_sequence(&founder.device_id());
    for number in 1..members {
        let mut seed = [0; 16];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let issued = Issued::new(&log, &founder, InviteTerms::default(), &[], seed, now)?;
        let invite = Record { sequence, ..issued.record.record().clone() };
        let invite = Verified::sign(invite, &founder)?;
        let code = warren_p2p::invite::InviteCode::new(seed, mesh, &invite.id(), &[]);
        let newcomer = device(number);
        let wish = Wish { name: "laptop".parse()?, name_is_asked_for: false, os: "linux".parse()? };
        let Request::Join(join) = Joiner::for_invite(code, newcomer.clone(), wish, invite.id()).request()?
        else {
            continue;
        };
        let said = |author: &Identity, sequence, body| {
            let author_id = author.device_id();
            let issued_at = now.saturating_add(Duration::from_secs(u64::from(number)));
            let record = Record { mesh, author: author_id, sequence, authority: None, issued_at, body };
            Verified::sign(record, author)
        };
        let join = said(&founder, sequence + 1, Body::Join(join))?;
        sequence += 2;
        records.extend([invite, join]);
        if number % 10 == 0 {
            let wireguard = newcomer.wireguard_public(&mesh, 1);
            let description = Device { name: None, wireguard, epoch: 1, relay: true, exit: false };
            records.push(said(&newcomer, 0, Body::Device(description))?);
        }
    }
    let bytes: usize = records.iter().map(|record| record.bytes().len()).sum();
    println!("{members} members, {} records, {} KiB", records.len() + 2, bytes / 1024);

    let started = Instant::now();
    for record in &records {
        Verified::<Record>::from_bytes(record.bytes())?;
    }
    println!("verify all   {:>9.2?}", started.elapsed());
    let started = Instant::now();
    log = log.extended(records).log;
    println!("build log    {:>9.2?}", started.elapsed());
    let mut folds: Vec<Duration> = (0..20)
        .map(|_| {
            let started = Instant::now();
            let roster = Roster::fold(mesh, log.records());
            assert_eq!(roster.members().len(), members as usize);
            started.elapsed()
        })
        .collect();
    folds.sort();
    println!("fold         {:>9.2?} (median of 20), {:.2?} (slowest)", folds[10], folds[19]);
    let started = Instant::now();
    let copy = log.clone();
    println!("copy log     {:>9.2?}", started.elapsed());
    println!("members      {:>9}", copy.roster().members().len());
    Ok(())
}
