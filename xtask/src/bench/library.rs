//! Libraries of the system that a peer is linked with. Only a comparison with that peer needs them.
//!
//! 1. A library is there if the compiler's driver finds it, as it will when the peer is linked.
//! 2. What is missing is installed where that is ours to do: as root, where there is `apt-get`. Elsewhere the error says
//!    what to install.

use crate::steps;
use anyhow::{Context, Result, bail};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

/// A library that a peer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Library {
    /// The peer.
    pub peer: &'static str,
    /// The file that the linker looks for.
    pub file: &'static str,
    /// Debian's package with it.
    pub package: &'static str,
}

/// All of them; peers that are not here are built from source.
pub const LIBRARIES: [Library; 1] =
    [Library { peer: "rocksdb", file: "librocksdb.so", package: "librocksdb-dev" }];

/// Sees to it that every library that these peers need is there.
///
/// # Errors
///
/// If one is missing and cannot be installed; the error says what to install.
pub fn provide(peers: &[String]) -> Result<()> {
    for library in LIBRARIES.iter().filter(|library| peers.iter().any(|peer| peer == library.peer)) {
        if library.is_there()? {
            continue;
        }
        if may_install() {
            eprintln!("{} is missing: installing {}", library.file, library.package);
            library.install().with_context(|| library.advice())?;
        }
        if !library.is_there()? {
            bail!(library.advice());
        }
    }
    Ok(())
}

impl Library {
    /// Does the linker find it (rule 1)?
    pub fn is_there(&self) -> Result<bool> {
        // With a folder if it is found, else just the name again.
        let found = steps::output(Command::new("cc").arg(format!("-print-file-name={}", self.file)))?;
        Ok(found.contains('/'))
    }

    /// What a person has to do who does not have it.
    pub fn advice(&self) -> String {
        let Library { peer, file, package } = self;
        format!(
            "the peer {peer} is linked with {file}, which is not here: install it (on Debian and Ubuntu, `apt-get install \
             {package}` as root), or name its folder in LIBRARY_PATH, or leave {peer} out of --peers"
        )
    }

    fn install(&self) -> Result<()> {
        let install = || {
            let mut command = Command::new("apt-get");
            command.args(["install", "--yes", "--no-install-recommends", self.package]);
            // What it prints belongs to what happens meanwhile, not to the result.
            steps::run(command.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr()))
        };
        // Lists of packages may be absent or old; only then are they fetched.
        install().or_else(|_| {
            steps::run(Command::new("apt-get").arg("update").stdout(std::io::stderr()))?;
            install()
        })
    }
}

/// Are we root, where Debian's tool is (rule 2)?
fn may_install() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    root && Command::new("apt-get").arg("--version").output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests;
