//! Tests of the arena.

use super::*;
use aquifer_sync::{Arc, thread};

const MIB: usize = 1 << 20;

fn arena(reserve_bytes: usize) -> Arena {
    Arena::reserve(ArenaOptions { reserve_bytes, huge_pages: false }).unwrap()
}

fn write(arena: &Arena, offset: usize, byte: u8) {
    assert!(offset < arena.committed());
    // SAFETY: committed (AR2), and no other thread of the test uses this byte (AR3).
    unsafe { arena.base().add(offset).write(byte) }
}

fn read(arena: &Arena, offset: usize) -> u8 {
    assert!(offset < arena.committed());
    // SAFETY: as in `write`.
    unsafe { arena.base().add(offset).read() }
}

fn page_bytes() -> usize {
    // SAFETY: only asks for a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap()
}

/// The lines of `/proc/self/smaps` about the mapping that `address` lies in.
fn mapping_at(address: usize) -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut found: Option<String> = None;
    for line in text.lines() {
        let range = line.split(' ').next().and_then(|word| word.split_once('-'));
        let range = range.and_then(|(from, to)| {
            Some(usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?)
        });
        match (range, &mut found) {
            (Some(_), Some(_)) => break,
            (Some(range), none) if range.contains(&address) => *none = Some(format!("{line}\n")),
            (Some(_), None) => {}
            (None, Some(lines)) => lines.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    found
}

fn check_flag(arena: &Arena, flag: &str, expected: bool) {
    let mapping = mapping_at(arena.base().as_ptr().addr()).unwrap();
    let flags = mapping.lines().find_map(|line| line.strip_prefix("VmFlags:")).unwrap();
    assert_eq!(flags.split_whitespace().any(|f| f == flag), expected, "{flag} in {flags}");
}

#[test]
fn reservation_is_rounded_and_aligned() {
    for (asked, reserved) in [(1, 2 * MIB), (2 * MIB, 2 * MIB), (2 * MIB + 1, 4 * MIB), (1 << 40, 1 << 40)] {
        let arena = arena(asked);
        assert_eq!((arena.reserved(), arena.committed()), (reserved, 0));
        assert_eq!(arena.base().as_ptr().addr() % (2 * MIB), 0, "AR1");
        arena.commit(1).unwrap();
        assert_eq!(arena.committed(), 2 * MIB);
    }
}

#[test]
fn impossible_reservations_are_errors() {
    for reserve_bytes in [0, usize::MAX, isize::MAX as usize] {
        let error = Arena::reserve(ArenaOptions { reserve_bytes, huge_pages: true }).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{reserve_bytes}");
    }
    // More than the processor can address: the system says so.
    let error = Arena::reserve(ArenaOptions { reserve_bytes: 1 << 60, huge_pages: true }).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
}

#[test]
fn committed_memory_is_zeroed_and_keeps_what_is_written() {
    let arena = arena(8 * MIB);
    arena.commit(3 * MIB).unwrap();
    assert_eq!(arena.committed(), 4 * MIB);
    for offset in [0, 4095, 4 * MIB - 1] {
        assert_eq!(read(&arena, offset), 0);
        write(&arena, offset, 7);
    }
    let base = arena.base();
    arena.commit(8 * MIB).unwrap();
    assert_eq!((arena.committed(), arena.base()), (8 * MIB, base));
    assert_eq!([0, 4095, 4 * MIB - 1, 4 * MIB].map(|offset| read(&arena, offset)), [7, 7, 7, 0]);
}

#[test]
fn commit_never_shrinks() {
    let arena = arena(8 * MIB);
    arena.commit(6 * MIB).unwrap();
    arena.commit(0).unwrap();
    arena.commit(1).unwrap();
    assert_eq!(arena.committed(), 6 * MIB);
}

#[test]
fn commit_beyond_the_reservation_is_an_error_and_changes_nothing() {
    let arena = arena(4 * MIB);
    arena.commit(1).unwrap();
    for bytes in [4 * MIB + 1, usize::MAX] {
        assert_eq!(arena.commit(bytes).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(arena.committed(), 2 * MIB);
    }
    arena.commit(4 * MIB).unwrap();
}

#[test]
fn what_is_not_committed_has_no_access() {
    let arena = arena(8 * MIB);
    arena.commit(2 * MIB).unwrap();
    let address = arena.base().as_ptr().addr();
    assert!(mapping_at(address).unwrap().contains(" rw-p "));
    assert!(mapping_at(address + 2 * MIB).unwrap().contains(" ---p "));
}

#[test]
fn discarded_memory_reads_as_zeros_and_stays_usable() {
    let arena = arena(4 * MIB);
    arena.commit(4 * MIB).unwrap();
    for page in 0..4 {
        write(&arena, page * 4096, 9);
    }
    arena.discard(4096, 8192);
    assert_eq!([0, 1, 2, 3].map(|page| read(&arena, page * 4096)), [9, 0, 0, 9]);
    write(&arena, 4096, 5);
    assert_eq!(read(&arena, 4096), 5);
    arena.discard(0, 0);
    arena.discard(4 * MIB, 0);
    assert_eq!(read(&arena, 0), 9);
}

#[test]
fn discard_gives_memory_back() {
    let arena = arena(16 * MIB);
    arena.commit(16 * MIB).unwrap();
    // Not from smaps: the kernel may have merged the mapping with a neighbouring arena's.
    let resident_pages = || -> usize {
        let mut pages = vec![0_u8; 16 * MIB / 4096]; // longer than needed where pages are larger
        // SAFETY: asks about the arena's own mapping (AR1) and writes a byte a page into `pages`.
        let result = unsafe { libc::mincore(arena.base().as_ptr().cast(), 16 * MIB, pages.as_mut_ptr()) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        pages.iter().filter(|&&page| page & 1 == 1).count()
    };
    assert_eq!(resident_pages(), 0);
    (0..16 * MIB).step_by(4096).for_each(|offset| write(&arena, offset, 1));
    let used = resident_pages();
    assert!(used > 0 && used * page_bytes() == 16 * MIB, "{used}");
    arena.discard(0, 16 * MIB);
    assert_eq!(resident_pages(), 0);
}

#[test]
fn discard_of_locked_memory_still_reads_as_zeros() {
    let arena = arena(2 * MIB);
    arena.commit(2 * MIB).unwrap();
    write(&arena, 0, 9);
    write(&arena, 4096, 9);
    // SAFETY: locking one's own committed memory (AR2) changes no byte.
    let locked = unsafe { libc::mlock(arena.base().as_ptr().cast(), 4096) };
    assert_eq!(locked, 0, "one page may always be locked: {}", io::Error::last_os_error());
    arena.discard(0, 4096);
    assert_eq!((read(&arena, 0), read(&arena, 4096)), (0, 9));
}

#[test]
#[should_panic(expected = "not aligned to 4096")]
fn discard_of_part_of_a_page_panics() {
    let arena = arena(2 * MIB);
    arena.commit(2 * MIB).unwrap();
    arena.discard(0, 100);
}

#[test]
#[should_panic(expected = "AR2: discard")]
fn discard_of_uncommitted_memory_panics() {
    let arena = arena(4 * MIB);
    arena.commit(2 * MIB).unwrap();
    arena.discard(4096, 2 * MIB);
}

#[test]
#[should_panic(expected = "AR2: discard")]
fn discard_whose_end_wraps_round_panics() {
    let arena = arena(2 * MIB);
    arena.commit(2 * MIB).unwrap();
    arena.discard(4096, usize::MAX - 4095);
}

#[test]
fn advice_is_given() {
    for huge_pages in [true, false] {
        let arena = Arena::reserve(ArenaOptions { reserve_bytes: 4 * MIB, huge_pages }).unwrap();
        arena.commit(2 * MIB).unwrap();
        check_flag(&arena, "dc", true); // not copied by fork (AR4)
        if std::fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap() {
            check_flag(&arena, "hg", huge_pages);
        }
    }
}

#[test]
fn drop_unmaps() {
    // Much larger than all that the other tests reserve, which may land in the hole at any moment.
    let arena = arena(8 << 40);
    let (address, bytes) = (arena.base().as_ptr().addr(), arena.reserved());
    arena.commit(2 * MIB).unwrap();
    assert!(mapping_at(address).is_some());
    drop(arena);
    let still = (address..address + bytes).step_by(bytes / 64).filter(|&a| mapping_at(a).is_some()).count();
    assert!(still < 32, "{still} of 64 places are still mapped");
}

/// AR2 under racing commits: each thread may use at once what its own call has committed.
#[test]
fn concurrent_commits_leave_no_gap() {
    const THREADS: usize = 4;
    for _ in 0..50 {
        let arena = Arc::new(arena(64 * MIB));
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let arena = Arc::clone(&arena);
                thread::spawn(move || {
                    for step in 0..8 {
                        let end = (step * THREADS + number + 1) * 2 * MIB;
                        arena.commit(end).unwrap();
                        assert!(arena.committed() >= end);
                        write(&arena, end - 1, number as u8 + 1);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(arena.committed(), 64 * MIB);
        for step in 0..8 * THREADS {
            assert_eq!(read(&arena, (step + 1) * 2 * MIB - 1), (step % THREADS) as u8 + 1);
        }
    }
}
