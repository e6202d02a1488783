//! How much memory the process may use: that of the machine, or the limit of its control group.
//!
//! Every source may be missing (an unmounted `/proc`, no control groups) or hold something that we do
//! not understand; such a source is passed over. The limits of all enclosing groups bind, so each is
//! read, from the process's own group up to the root that is mounted. In a container the group's path
//! may be the host's and not exist inside; the mounted root is then the container's own group.

use std::fs;
use std::path::{Component, Path};

/// What to assume when no source can be read.
const UNKNOWN_BYTES: u64 = 256 << 20;

/// Memory of the machine or of the container (control group v1 or v2 limit), whichever is less, in bytes.
///
/// 256 MiB if the system does not say. Reads a few small files: for set-up, not for each operation.
pub fn machine_memory_bytes() -> usize {
    usize::try_from(memory_bytes_under(Path::new("/"))).unwrap_or(usize::MAX)
}

/// The same, of the system whose `proc` and `sys` lie under `root`.
fn memory_bytes_under(root: &Path) -> u64 {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| group_limit(root, line));
    total_bytes(root).into_iter().chain(limits).min().unwrap_or(UNKNOWN_BYTES)
}

/// `MemTotal:  16384 kB` of `/proc/meminfo`, in bytes.
fn total_bytes(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024).filter(|&bytes| bytes > 0)
}

/// The least limit that a line of `/proc/self/cgroup` (`number:controllers:path`) leads to.
fn group_limit(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let sys = root.join("sys/fs/cgroup");
    if number == "0" && controllers.is_empty() {
        // `unified` is where version 2 is mounted on systems that use both versions.
        let (alone, beside) = (sys.clone(), sys.join("unified"));
        let limits = [alone, beside].map(|mounted| least_limit(&mounted, path, "memory.max"));
        limits.into_iter().flatten().min()
    } else if controllers.split(',').any(|controller| controller == "memory") {
        least_limit(&sys.join("memory"), path, "memory.limit_in_bytes")
    } else {
        None
    }
}

/// The least number in the files called `file` of the group `path` and the groups around it.
fn least_limit(mounted: &Path, path: &str, file: &str) -> Option<u64> {
    // A group outside the process's namespace is shown as `/../..`: only the mounted root can be read.
    let inside = |component: &Component<'_>| matches!(component, Component::Normal(_));
    let relative = Path::new(path.trim_start_matches('/'));
    let relative = if relative.components().all(|c| inside(&c)) { relative } else { Path::new("") };
    relative.ancestors().filter_map(|group| limit_in(&mounted.join(group).join(file))).min()
}

/// The number in a limit file; `None` for `max` and for anything else that is no limit.
fn limit_in(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok().filter(|&bytes| bytes > 0)
}

#[cfg(all(test, not(loom)))]
mod tests;
