//! Reading a log that may be damaged: a prefix of what was written, and the place and the reason where it ends.

use crate::scenario::*;
use aquifer_sim::SimDisk;
use aquifer_wal::{LogEnd, Lsn, Remains};

/// A log of several segments.
fn written(close: bool) -> (Files, Records) {
    written_log(600, 7, close)
}

fn read(files: &Files, from: Option<Lsn>) -> (Records, LogEnd) {
    let disk = SimDisk::with_contents(files).disk();
    let mut remains = Remains::open(disk, DIRECTORY, DATABASE_ID, 1, from).unwrap();
    let mut records = Vec::new();
    while let Some((lsn, bytes)) = remains.next().unwrap() {
        records.push((lsn, bytes.to_vec()));
    }
    let last = records.last().map_or(remains.start(), |(lsn, _)| *lsn);
    assert_eq!(remains.end().lsn, last, "the end is that of the last record");
    (records, remains.end().clone())
}

#[test]
fn a_sound_log_is_read_whole() {
    for close in [true, false] {
        let (files, records) = written(close);
        assert!(files.len() >= 3, "several segments");
        let (all, end) = read(&files, None);
        assert!(all == records);
        assert_eq!((end.closed, end.damage, end.cut_bytes), (close, None, 0));
        let (later, _) = read(&files, Some(records[299].0));
        assert!(later == records[300..]);
    }
}

/// Each block is destroyed in turn.
#[test]
fn damage_ends_it_and_is_named() {
    for close in [true, false] {
        let (files, records) = written(close);
        let (mut whole, mut prefixes) = (0, 0);
        for (name, bytes) in &files {
            for block in 0..bytes.len() / 4096 {
                if bytes[block * 4096..][..4096].iter().all(|&byte| byte == 0) {
                    continue;
                }
                let mut files = files.clone();
                files.get_mut(name).unwrap()[block * 4096..][..4096].fill(0xA5);
                let (found, end) = read(&files, Some(Lsn(0)));
                assert!(records.starts_with(&found), "{name}, block {block}");
                if found.len() == records.len() {
                    whole += 1; // the header of a segment, or nothing but padding or the mark of the end
                    continue;
                }
                prefixes += 1;
                let last_batch = end.damage.is_none() && !end.closed && found.len() + 8 >= records.len();
                let named = end.damage.as_ref().is_some_and(|what| what.contains("log/"));
                assert!(named || last_batch, "{name}, block {block}: {end:?}");
            }
        }
        assert!(whole >= 3 && prefixes >= 20, "{whole} {prefixes}");
    }
}

#[test]
fn a_missing_segment_ends_it() {
    let (mut files, records) = written(true);
    let name = files.keys().nth(1).unwrap().clone();
    files.remove(&name);
    let (found, end) = read(&files, None);
    assert!(records.starts_with(&found) && !found.is_empty() && found.len() < records.len());
    assert!(end.damage.is_some_and(|what| what.contains("missing")));
}

#[test]
fn where_the_beginning_is_gone_nothing_is_guessed() {
    let (mut files, _) = written(true);
    let name = files.keys().next().unwrap().clone();
    files.remove(&name);
    for from in [None, Some(Lsn(0))] {
        let (found, end) = read(&files, from);
        assert_eq!((found.len(), end.file), (0, None));
        assert!(end.cut_bytes > 0, "what is there is counted");
        assert!(end.damage.unwrap().contains("cannot be told"));
    }
    let (found, end) = read(&Files::new(), None);
    assert!(found.is_empty() && end.damage.unwrap().contains("no segment"));
}

#[test]
fn files_say_whose_they_are() {
    let (files, _) = written(true);
    let identities =
        |files: &Files| Remains::identities(&SimDisk::with_contents(files).disk(), DIRECTORY).unwrap();
    let found = identities(&files);
    assert_eq!((found.len(), found[0].database_id, found[0].incarnation), (1, DATABASE_ID, 1));
    assert_eq!(identities(&Files::new()), []);
    // A file under another name is of an earlier life.
    let first = files.values().next().unwrap().clone();
    assert_eq!(identities(&Files::from([("log/0000000077".to_owned(), first)])), []);
}
