//! The memory of this process, as the kernel counts it.
//!
//! 1. A figure that cannot be read is an error, not 0.

use std::io;

/// Resident memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resident {
    /// Now (`VmRSS`).
    pub(crate) now_bytes: u64,
    /// The most that it was (`VmHWM`).
    pub(crate) peak_bytes: u64,
}

impl Resident {
    /// Of this process.
    pub(crate) fn read() -> io::Result<Resident> {
        Resident::parse(&std::fs::read_to_string("/proc/self/status")?)
    }

    fn parse(status: &str) -> io::Result<Resident> {
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
                .map(|kib| kib * 1024)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no {name} in kB")))
        };
        Ok(Resident { now_bytes: field("VmRSS")?, peak_bytes: field("VmHWM")? })
    }
}

#[cfg(test)]
mod tests;
