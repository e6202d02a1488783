//! The contract of a disk, the same again from the same seed, counts, and the trace.

use crate::{create, open, read, read_request, stable, write, write_durable, write_request};
use aquifer_io::conformance::check_all;
use aquifer_io::{Disk, File, OpenMode};
use aquifer_sim::{Call, Calls, Event, Fault, Random, SimDisk};
use aquifer_sync::{Mutex, Rank};
use std::collections::BTreeMap;
use std::io::ErrorKind;

fn conforms(make: impl Fn() -> SimDisk) {
    let disks = Mutex::new(Rank::Maintenance, BTreeMap::new());
    check_all(&|name| disks.lock().entry(name.to_owned()).or_insert_with(&make).disk());
    assert!(disks.lock().len() > 20, "every check has a disk");
}

#[test]
fn the_simulated_disk_conforms() {
    for seed in 0..10 {
        conforms(|| SimDisk::with_seed(seed));
    }
}

#[test]
fn it_conforms_in_order_and_after_a_boot() {
    conforms(|| {
        let disk = SimDisk::new();
        disk.set_in_order(true);
        disk
    });
    conforms(|| SimDisk::new().after_power_loss(1));
    conforms(|| SimDisk::new().after_kill());
}

/// Random calls with faults of all kinds, and what came of them.
fn life(seed: u64) -> (Vec<String>, SimDisk) {
    let disk = SimDisk::with_seed(seed);
    let mut random = Random(seed);
    disk.inject(Fault::error().on(Calls::ALL).one_in(40).for_good());
    disk.inject(Fault::lost_write().one_in(30).for_good());
    disk.inject(Fault::misdirected_read().one_in(30).for_good());
    disk.inject(Fault::power_loss().nth(100 + random.below(200)));
    let mut said = Vec::new();
    let mut note = |what: &dyn std::fmt::Debug| said.push(format!("{what:?}"));
    let mut files = Vec::new();
    for number in 0..200u64 {
        let name = format!("{}", random.below(5));
        if files.len() < 3 || random.chance(5) {
            let mode = if random.chance(50) { OpenMode::CreateNew } else { OpenMode::Existing };
            files.extend(disk.open(&name, mode).map_err(|error| note(&error)).ok());
            continue;
        }
        let file: &dyn File = &*files[random.below(files.len() as u64) as usize];
        let block = random.below(20);
        match random.below(8) {
            0 => note(&file.sync_data()),
            1 => note(&write_durable(file, block, &[number as u8])),
            2 => note(&read(file, block, 1)),
            3 => note(&disk.sync_directory("")),
            4 => note(&disk.rename(&name, "0")),
            5 => note(&file.truncate(block * 4096)),
            _ => {
                let requests = (0..5).map(|n| match n % 2 {
                    0 => write_request((block + n) % 20, &[number as u8]),
                    _ => read_request((block + n) % 20, 1),
                });
                let pending = file.submit(requests.collect());
                note(&write(file, 30, &[number as u8]));
                for completion in pending.wait() {
                    note(&(completion.result, completion.buffer.to_vec()));
                }
            }
        }
    }
    drop(files);
    (said, disk)
}

#[test]
fn the_same_seed_and_calls_have_the_same_outcome() {
    let mut different = 0;
    for seed in 0..20 {
        let ((said, disk), (again, other)) = (life(seed), life(seed));
        assert!(said == again, "seed {seed}");
        assert_eq!(disk.contents(), other.contents());
        assert_eq!(disk.counts(), other.counts());
        assert_eq!(disk.trace(), other.trace());
        assert_eq!(disk.after_kill().contents(), other.after_kill().contents());
        for crash in 0..10 {
            let (one, two) = (disk.after_power_loss(crash), other.after_power_loss(crash));
            assert_eq!(one.contents(), two.contents(), "seed {seed}, crash {crash}");
        }
        different += u32::from(life(seed + 1000).0 != said);
    }
    assert!(different > 15, "other seeds are other lives");
}

#[test]
fn a_boot_draws_from_the_seed_of_its_crash() {
    let disk = SimDisk::new();
    drop(stable(&disk, "a", &[0]));
    let last = |seed| {
        let disk = disk.after_power_loss(seed);
        let requests = (1..=9).map(|byte| write_request(0, &[byte]));
        open(&disk, "a").transfer(requests.collect());
        disk.contents()
    };
    assert!((0..5).all(|seed| last(seed) == last(seed)));
    assert!((1..20).any(|seed| last(seed) != last(0)));
}

#[test]
fn contents_go_in_and_come_out() {
    let contents = BTreeMap::from([
        ("data".to_owned(), vec![1; 10_000]),
        ("log/old/1".to_owned(), vec![2; 77]),
        ("log/2".to_owned(), Vec::new()),
    ]);
    let disk = SimDisk::with_contents(&contents);
    assert_eq!(disk.contents(), contents);
    assert_eq!(disk.after_worst_power_loss().contents(), contents);
    assert_eq!(disk.list("log").unwrap(), ["2", "old"]);
    let file = open(&disk, "data");
    assert_eq!(file.len().unwrap(), 10_000);
    assert_eq!(read(&*file, 0, 2).unwrap(), [1; 8192]);
    assert_eq!(read(&*file, 2, 1).unwrap_err().kind, ErrorKind::UnexpectedEof);
    write(&*file, 3, &[3]).unwrap();
    let bytes = read(&*file, 2, 1).unwrap();
    assert!(bytes[..1808].iter().all(|byte| *byte == 1) && bytes[1808..].iter().all(|byte| *byte == 0));
}

#[test]
fn calls_are_counted_by_kind() {
    let disk = SimDisk::new();
    let file = create(&disk, "a");
    write(&*file, 0, &[1, 2]).unwrap();
    write_durable(&*file, 0, &[1]).unwrap();
    assert!(read(&*file, 7, 2).is_err());
    file.sync_all().unwrap();
    let counts = disk.counts();
    assert_eq!(counts.changes(), 5, "create, sync directory, write, write, sync");
    assert_eq!(counts.of(Calls::ALL), 6);
    assert_eq!(counts.of(Call::Read), 1);
    assert_eq!(counts.of(Calls::WRITES), 2);
    assert_eq!((counts.read_bytes, counts.written_bytes), (8192, 12_288));
    assert_eq!(disk.after_kill().counts().of(Calls::ALL), 0);
}

#[test]
fn the_trace_tells_the_last_calls_across_boots() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1]);
    disk.inject(Fault::error().on(Call::Sync));
    write(&*file, 3, &[1, 2]).unwrap();
    assert!(file.sync_data().is_err());
    let disk = disk.after_power_loss(9).after_kill();
    assert!(disk.open("b", OpenMode::Existing).is_err());
    let text = disk.trace().to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let expected = [
        "1 Create \"a\"",
        "2 SyncDirectory \"\"",
        "3 Write \"a\" at 0, 4096 bytes",
        "4 Sync \"a\"",
        "5 Write \"a\" at 12288, 8192 bytes",
        "6 Sync \"a\", struck by error: other error",
        "power lost, seed 9",
        "the process died",
        "1 Open \"b\": entity not found",
    ];
    assert_eq!(lines, expected);
    for _ in 0..1000 {
        disk.list("").unwrap();
    }
    let trace = disk.trace();
    assert_eq!(trace.events().len(), 64);
    assert!(matches!(trace.events().last(), Some(Event::Call { number: 1001, call: Call::List, .. })));
}

#[test]
fn the_backend_says_what_it_is() {
    assert_eq!(SimDisk::default().backend(), "sim");
}
