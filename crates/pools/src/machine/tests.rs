//! Tests of the machine's memory.

use super::*;
use std::path::PathBuf;

const MEMINFO: &str = "MemTotal:       16384000 kB\nMemFree:         1234 kB\n";
const TOTAL: u64 = 16_384_000 * 1024;

/// What is read from a system with these files.
fn check(files: &[(&str, &str)], expected: u64) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path: PathBuf = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    assert_eq!(memory_bytes_under(root.path()), expected, "{files:?}");
}

#[test]
fn without_any_source_a_default_is_assumed() {
    check(&[], 256 << 20);
    check(&[("proc/meminfo", "MemTotal: lots\n"), ("proc/self/cgroup", "nonsense\n0:\n")], 256 << 20);
}

#[test]
fn without_groups_it_is_the_machine() {
    check(&[("proc/meminfo", MEMINFO)], TOTAL);
    check(&[("proc/meminfo", MEMINFO), ("proc/self/cgroup", "0::/\n")], TOTAL);
}

#[test]
fn version_2_limit_of_any_enclosing_group_binds() {
    let group = ("proc/self/cgroup", "0::/outer/inner\n");
    let (inner, outer) = ("sys/fs/cgroup/outer/inner/memory.max", "sys/fs/cgroup/outer/memory.max");
    check(&[("proc/meminfo", MEMINFO), group, (inner, "1000000\n"), (outer, "max\n")], 1_000_000);
    check(&[("proc/meminfo", MEMINFO), group, (inner, "max\n"), (outer, "2000000\n")], 2_000_000);
    check(&[("proc/meminfo", MEMINFO), group, (inner, "3000000\n"), (outer, "2000000\n")], 2_000_000);
    check(&[("proc/meminfo", MEMINFO), group, (inner, "max\n"), (outer, "max\n")], TOTAL);
    check(&[group, (inner, "4000000\n")], 4_000_000);
}

#[test]
fn limit_beyond_the_machine_does_not_count() {
    check(
        &[
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "4:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ],
        TOTAL,
    );
}

#[test]
fn version_1_limit_binds() {
    check(
        &[
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:hugetlb,memory:/a/b\n0::/\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "5000000\n"),
            ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"),
        ],
        5_000_000,
    );
}

#[test]
fn version_2_beside_version_1_is_found() {
    check(
        &[
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "4:memory:/\n0::/a\n"),
            ("sys/fs/cgroup/unified/a/memory.max", "6000000\n"),
        ],
        6_000_000,
    );
}

#[test]
fn group_that_is_not_visible_falls_back_to_the_mounted_root() {
    let limit = ("sys/fs/cgroup/memory.max", "7000000\n");
    check(&[("proc/meminfo", MEMINFO), ("proc/self/cgroup", "0::/host/only\n"), limit], 7_000_000);
    check(&[("proc/meminfo", MEMINFO), ("proc/self/cgroup", "0::/../../x\n"), limit], 7_000_000);
}

#[test]
fn zero_and_garbage_are_no_limits() {
    for text in ["0\n", "", "-1\n", "99999999999999999999999\n", "12 MB\n"] {
        let limit = ("sys/fs/cgroup/memory.max", text);
        check(&[("proc/meminfo", MEMINFO), ("proc/self/cgroup", "0::/\n"), limit], TOTAL);
    }
}

#[test]
fn this_machine_has_memory() {
    let bytes = machine_memory_bytes();
    assert!(bytes >= 1 << 20, "{bytes}");
    let total = total_bytes(Path::new("/")).expect("/proc/meminfo names the total");
    assert!(bytes as u64 <= total, "{bytes} > {total}");
}
