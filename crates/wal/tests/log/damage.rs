//! Damaged, missing, foreign and made-up files: an error that says so, or the very records that were written.

use crate::scenario::*;
use aquifer_codec::checksum::crc32c;
use aquifer_sim::{Random, SimDisk};
use aquifer_wal::{Error, Log, Lsn, Replay};

/// A log of several segments; every second record is waited for.
fn written(count: u64, close: bool) -> (Files, Records) {
    written_log(count, 2, close)
}

fn outcome(files: &Files, from: Lsn) -> Result<Records, Error> {
    replay(&SimDisk::with_contents(files), 1, from).map(|(records, _)| records)
}

fn is_expected(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. } | Error::Format { .. })
}

/// Batches of a segment as the format describes them: offset in the file, and bytes of header and records.
fn batches(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut batches = Vec::new();
    let mut offset = 4096;
    while offset < bytes.len() && bytes[offset + 4..offset + 8] == *b"AQBT" {
        let len = u32::from_le_bytes(bytes[offset + 8..offset + 12].try_into().unwrap()) as usize;
        batches.push((offset, 52 + len));
        offset += (52 + len).next_multiple_of(4096);
    }
    batches
}

/// Gives the batch at `offset` of segment 1 the CRC that its bytes should have.
fn reseal(bytes: &mut [u8], offset: usize) {
    let (_, len) = batches(bytes).into_iter().find(|(at, _)| *at == offset).unwrap();
    let place = [&DATABASE_ID[..], &1u64.to_le_bytes(), &(offset as u64).to_le_bytes()].concat();
    let crc = crc32c(crc32c(0, &place), &bytes[offset + 4..offset + len]);
    bytes[offset..offset + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Whether a block is worth damaging: all zeros say nothing.
fn blocks_in_use(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let used = |block: &[u8]| block.iter().any(|&byte| byte != 0);
    bytes.chunks(4096).enumerate().filter(move |(_, block)| used(block)).map(|(index, _)| index)
}

#[test]
fn any_damaged_byte_of_a_closed_log_is_found_or_harmless() {
    let (mut files, records) = written(24, true);
    let names: Vec<String> = files.keys().cloned().collect();
    let mut random = Random(1);
    let (mut found, mut harmless) = (0, 0);
    for name in names {
        for block in blocks_in_use(&files[&name].clone()) {
            for offset in block * 4096..(block + 1) * 4096 {
                // Padding is all alike: look at some of it only.
                if files[&name][offset] == 0 && !random.chance(5) {
                    continue;
                }
                let change = 1 + random.below(255) as u8;
                files.get_mut(&name).unwrap()[offset] ^= change;
                match outcome(&files, Lsn(0)) {
                    Ok(replayed) => {
                        assert!(replayed == records, "{name}, byte {offset}: wrong records");
                        harmless += 1;
                    }
                    Err(error) => {
                        assert!(is_expected(&error), "{name}, byte {offset}: {error}");
                        found += 1;
                    }
                }
                files.get_mut(&name).unwrap()[offset] ^= change;
            }
        }
    }
    assert!(found > 1000 && harmless > 100, "{found} found, {harmless} harmless");
}

#[test]
fn any_damage_to_an_unclosed_log_leaves_a_prefix_or_is_found() {
    let (files, records) = written(200, false);
    let names: Vec<String> = files.keys().cloned().collect();
    let mut random = Random(2);
    let mut cut = 0;
    for round in 0..3000 {
        let mut files = files.clone();
        for _ in 0..1 + random.below(3) {
            let name = &names[random.below(names.len() as u64) as usize];
            let bytes = files.get_mut(name).unwrap();
            let start = random.below(bytes.len() as u64 / 512) as usize * 512;
            match random.below(3) {
                0 => bytes[start] ^= 1 << random.below(8),
                1 => bytes[start..start + 512].fill(0),
                _ => bytes[start..start + 512].fill_with(|| random.draw() as u8),
            }
        }
        match outcome(&files, Lsn(0)) {
            Ok(replayed) => {
                assert!(records.starts_with(&replayed), "round {round}: a prefix");
                // Only the last batch is not confirmed by a later one.
                assert!(replayed.len() >= records.len() - 2, "round {round}: {} records", replayed.len());
                cut += u64::from(replayed.len() < records.len());
            }
            Err(error) => assert!(is_expected(&error), "round {round}: {error}"),
        }
    }
    assert!(cut > 0, "rot in the last batch cannot be told from a torn tail");
}

#[test]
fn rot_in_the_last_batch_of_a_confirmed_log_is_found() {
    let disk = SimDisk::new();
    let log = small_log(&disk);
    let lsn = append(&log, &[0xEE; 100]).unwrap();
    log.wait_durable(lsn).unwrap();
    let rot = |disk: &SimDisk| {
        let mut files = disk.contents();
        let bytes = files.values_mut().next().unwrap();
        let place = bytes.windows(8).position(|window| window == [0xEE; 8]).unwrap();
        bytes[place] ^= 1;
        outcome(&files, Lsn(0))
    };
    assert_eq!(rot(&disk).unwrap(), [], "taken for a torn tail");
    log.confirm().unwrap();
    let flushes = log.stats().flushes;
    log.confirm().unwrap();
    assert_eq!(log.stats().flushes, flushes, "nothing to confirm");
    let Err(Error::Corrupt { file, offset, lsn: at, what }) = rot(&disk) else { panic!("not found") };
    assert_eq!((file.as_str(), offset, at), ("log/0000000001", 8192, Lsn(0)));
    assert!(what.contains("confirmed up to 101"), "{what}");
}

#[test]
fn a_sound_batch_in_the_wrong_place_is_not_believed() {
    let (files, records) = written(20, true);
    let name = "log/0000000001";
    let (offset, _) = batches(&files[name])[3];
    let forge = |place: usize, value: u8| {
        let mut files = files.clone();
        let bytes = files.get_mut(name).unwrap();
        bytes[offset + place] = value;
        reseal(bytes, offset);
        outcome(&files, Lsn(0))
    };
    let first_lsn = files[name][offset + 16];
    assert_eq!(forge(16, first_lsn).unwrap(), records, "sealed as the log does");
    for (field, place, value) in [
        ("first LSN", 16, first_lsn + 1),
        ("incarnation", 24, 2),
        ("previous CRC", 48, files[name][offset + 48] ^ 1),
        ("flags", 12, 2),
    ] {
        let error = forge(place, value).expect_err(field);
        assert!(
            matches!(&error, Error::Corrupt { offset: at, .. } if *at == offset as u64),
            "{field}: {error}"
        );
    }
}

#[test]
fn a_nonsensical_record_length_is_corruption() {
    let (mut files, _) = written(20, true);
    let bytes = files.get_mut("log/0000000001").unwrap();
    let (offset, _) = batches(bytes)[1];
    bytes[offset + 52..offset + 58].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
    reseal(bytes, offset);
    let error = outcome(&files, Lsn(0)).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { what, .. } if what.contains("length of a record")), "{error}");
}

#[test]
fn nothing_but_zeros_follows_headers_and_batches() {
    let (mut files, _) = written(400, true);
    // Buffers of these sizes are used again where a segment begins.
    let disk = SimDisk::new();
    let log = Log::start(disk.disk(), DIRECTORY, options(64 << 10, 64 << 10, 1), Lsn(0)).unwrap();
    for index in 0..200 {
        let lsn = append(&log, &vec![0xEE; [9000, 5000, 5000][index % 3]]).unwrap();
        log.wait_durable(lsn).unwrap();
    }
    files.extend(disk.contents().into_iter().map(|(name, bytes)| (format!("other {name}"), bytes)));
    let mut checked = 0;
    for bytes in files.values() {
        assert!(bytes[68..4096].iter().all(|&byte| byte == 0), "after the header");
        for (offset, len) in batches(bytes) {
            let end = offset + len.next_multiple_of(4096);
            assert!(bytes[offset + len..end].iter().all(|&byte| byte == 0), "after the batch at {offset}");
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked} batches");
}

#[test]
fn missing_files_are_found() {
    let (files, records) = written(200, false);
    assert!(files.len() >= 4);
    for name in files.keys() {
        let mut fewer = files.clone();
        fewer.remove(name);
        let error = outcome(&fewer, Lsn(0)).expect_err("a segment is missing");
        assert!(is_expected(&error), "{name}: {error}");
    }
    // What is needed is there: fewer files will do.
    let mut fewer = files.clone();
    fewer.pop_first();
    let from = records[150].0;
    assert_eq!(outcome(&fewer, from).unwrap(), records[151..]);
}

#[test]
fn shortened_and_exchanged_files_are_found() {
    let (files, records) = written(200, true);
    let names: Vec<&String> = files.keys().collect();
    for name in &names {
        for blocks in 0..files[*name].len() / 4096 {
            let mut shorter = files.clone();
            shorter.get_mut(*name).unwrap().truncate(blocks * 4096 + 77);
            match outcome(&shorter, Lsn(0)) {
                Ok(replayed) => assert!(replayed == records, "{name}, {blocks} blocks"),
                Err(error) => assert!(is_expected(&error), "{error}"),
            }
        }
    }
    for (first, second) in [(0, 1), (1, 2), (0, 2)] {
        let mut exchanged = files.clone();
        exchanged.insert(names[first].clone(), files[names[second]].clone());
        exchanged.insert(names[second].clone(), files[names[first]].clone());
        let error = outcome(&exchanged, Lsn(0)).expect_err("files were renamed");
        assert!(is_expected(&error), "{error}");
    }
}

#[test]
fn a_checkpoint_that_the_log_does_not_reach_is_corruption() {
    let (files, records) = written(20, true);
    let end = records.last().unwrap().0;
    assert_eq!(outcome(&files, end).unwrap(), []);
    let error = outcome(&files, Lsn(end.0 + 1)).expect_err("beyond the end");
    assert!(matches!(&error, Error::Corrupt { lsn, .. } if *lsn == end), "{error}");
}

#[test]
fn other_databases_and_newer_formats_are_named() {
    let (mut files, _) = written(5, true);
    let disk = SimDisk::with_contents(&files);
    let other = Replay::open(disk.disk(), DIRECTORY, [0xAB; 16], 1, Lsn(0)).unwrap_err();
    assert!(matches!(&other, Error::Format { file, .. } if file == "log/0000000001"), "{other}");
    assert!(other.to_string().contains(&"ab".repeat(16)), "{other}");
    files.values_mut().next().unwrap()[8] = 2;
    let newer = outcome(&files, Lsn(0)).unwrap_err();
    assert!(matches!(&newer, Error::Format { what, .. } if what.contains("version 2")), "{newer}");
}

#[test]
fn other_incarnations_are_counted_and_ignored() {
    let (files, records) = written(5, true);
    let disk = SimDisk::with_contents(&files);
    let log = Log::start(disk.disk(), DIRECTORY, options(4096, 0, 9), records[4].0).unwrap();
    let lsn = append(&log, b"later").unwrap();
    log.wait_durable(lsn).unwrap();
    assert_eq!(check_replay(&disk, 1, Lsn(0), &records).incarnation_max, 9);
    assert_eq!(check_replay(&disk, 9, records[4].0, &[(lsn, b"later".to_vec())]).incarnation_max, 9);
    let tail = check_replay(&disk, 5, Lsn(77), &[]);
    assert_eq!((tail.segments, tail.incarnation_max, tail.end), (0, 9, Lsn(77)));
}

#[test]
fn a_lone_segment_with_a_damaged_header_is_not_an_empty_log() {
    let (mut files, _) = written(5, true);
    files.values_mut().next().unwrap()[20] ^= 1;
    let error = outcome(&files, Lsn(0)).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { what, .. } if what.contains("header")), "{error}");
}

#[test]
fn random_files_never_panic() {
    let (sound, _) = written(8, false);
    let mut random = Random(3);
    for _ in 0..500 {
        let mut files = Files::new();
        for number in 0..random.below(4) {
            let mut bytes = vec![0; random.below(40_000) as usize];
            bytes.fill_with(|| random.draw() as u8);
            if let Some(block) = bytes.get_mut(..4096)
                && random.chance(70)
            {
                // A true header, and sometimes a batch header with nonsense after it.
                block.copy_from_slice(&sound["log/0000000001"][..4096]);
                if let Some(batch) = bytes.get_mut(4096..4096 + 60) {
                    batch.copy_from_slice(&sound["log/0000000001"][4096..4096 + 60]);
                    batch[random.below(60) as usize] = random.draw() as u8;
                }
            }
            let name =
                if random.chance(80) { format!("log/{:010}", number + 1) } else { format!("log/{number}x") };
            files.insert(name, bytes);
        }
        match outcome(&files, Lsn(random.below(3))) {
            Ok(records) => assert_eq!(records, []),
            Err(error) => assert!(is_expected(&error), "{error}"),
        }
    }
}
