//! Names: what lies in which directory, what of it is durable, and the ordered changes between the two.
//!
//! - **N1** `current` is `durable` with all of `changes` applied in order.
//! - **N2** A change is owed to the directories of its names, and becomes durable when all of them have been synced: a
//!   rename between two directories needs both. Whatever depends on it, by sharing a name with it, does not become durable
//!   without it.
//! - **N3** Legal after a crash: the durable names with *any prefix* of the changes that are left, in their order over all
//!   directories. Whatever then lies in a directory that is not there has no name any more.

use crate::failure;
use aquifer_io::{IoError, Result};
use aquifer_sync::Arc;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::ops::Bound;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The file of that number.
    File(usize),
    Directory,
}

/// Names from the root, in order.
pub(crate) type Tree = BTreeMap<Arc<str>, Entry>;

#[derive(Debug, Clone)]
enum Step {
    Enter { name: Arc<str>, entry: Entry },
    Remove { name: Arc<str> },
    Rename { from: Arc<str>, to: Arc<str>, entry: Entry },
}

impl Step {
    /// The names that it touches; twice the same if it is only one.
    fn names(&self) -> [&Arc<str>; 2] {
        match self {
            Step::Enter { name, .. } | Step::Remove { name } => [name, name],
            Step::Rename { from, to, .. } => [from, to],
        }
    }

    fn apply(&self, tree: &mut Tree) {
        match self {
            Step::Enter { name, entry } => drop(tree.insert(name.clone(), *entry)),
            Step::Remove { name } => drop(tree.remove(name)),
            Step::Rename { from, to, entry } => {
                tree.remove(from);
                tree.insert(to.clone(), *entry);
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Change {
    step: Step,
    /// Whether the directory of each name has been synced since.
    synced: [bool; 2],
}

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    current: Tree,
    durable: Tree,
    changes: Vec<Change>,
}

/// The directory of a name; `""` is the root.
pub(crate) fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Refuses names that could lead out of the disk, or are not in their one normal form. `""` is the root.
pub(crate) fn check_name(operation: &'static str, name: &str) -> Result<()> {
    let normal = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if name.is_empty() || name.split('/').all(normal) {
        return Ok(());
    }
    let message = "a name is relative, without empty parts, `.`, `..` or zero bytes";
    Err(failure(operation, name, (0, 0), ErrorKind::InvalidInput, message))
}

/// As [`check_name`], of something that is not the root.
pub(crate) fn check_entry_name(operation: &'static str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(failure(operation, name, (0, 0), ErrorKind::InvalidInput, "the name is empty"));
    }
    check_name(operation, name)
}

impl Names {
    /// All of these, durably.
    pub(crate) fn stable(tree: Tree) -> Names {
        Names { current: tree.clone(), durable: tree, changes: Vec::new() }
    }

    pub(crate) fn current(&self) -> &Tree {
        &self.current
    }

    pub(crate) fn entry(&self, name: &str) -> Option<Entry> {
        self.current.get(name).copied()
    }

    /// The file of that name.
    pub(crate) fn file(&self, operation: &'static str, name: &str) -> Result<usize> {
        match self.entry(name) {
            Some(Entry::File(id)) => Ok(id),
            Some(Entry::Directory) => Err(is_directory(operation, name)),
            None => Err(failure(
                operation,
                name,
                (0, 0),
                ErrorKind::NotFound,
                "no such file on the simulated disk",
            )),
        }
    }

    /// Refuses what is no directory.
    pub(crate) fn require_directory(
        &self,
        operation: &'static str,
        name: &str,
        directory: &str,
    ) -> Result<()> {
        let (kind, message) = match self.entry(directory) {
            _ if directory.is_empty() => return Ok(()),
            Some(Entry::Directory) => return Ok(()),
            Some(Entry::File(_)) => (ErrorKind::NotADirectory, "a part of the name is a file"),
            None => (ErrorKind::NotFound, "no such directory on the simulated disk"),
        };
        Err(failure(operation, name, (0, 0), kind, message))
    }

    pub(crate) fn enter(&mut self, name: &Arc<str>, entry: Entry) {
        self.change(Step::Enter { name: name.clone(), entry });
    }

    pub(crate) fn remove(&mut self, name: &Arc<str>) {
        self.change(Step::Remove { name: name.clone() });
    }

    /// Renames what is there, replacing what has the new name.
    pub(crate) fn rename(&mut self, from: &Arc<str>, to: &Arc<str>) {
        let entry = self.entry(from).expect("the caller has looked");
        self.change(Step::Rename { from: from.clone(), to: to.clone(), entry });
    }

    fn change(&mut self, step: Step) {
        step.apply(&mut self.current);
        self.changes.push(Change { step, synced: [false; 2] });
    }

    /// Names of a directory's entries, sorted, without what is before them.
    pub(crate) fn list(&self, directory: &str) -> Vec<String> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        self.current
            .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
            .map_while(|(name, _)| name.strip_prefix(prefix.as_str()))
            .filter(|rest| !rest.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    /// The directory was synced (N2).
    pub(crate) fn sync(&mut self, directory: &str) {
        for change in &mut self.changes {
            for (name, synced) in change.step.names().into_iter().zip(&mut change.synced) {
                *synced |= parent(name) == directory;
            }
        }
        // From the last to the first: what is due, and what that depends on.
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut due = vec![false; self.changes.len()];
        for (change, due) in self.changes.iter().zip(&mut due).rev() {
            let touched = change.step.names();
            *due = change.synced == [true; 2] || touched.iter().any(|name| names.contains(*name));
            if *due {
                names.extend(touched.into_iter().cloned());
            }
        }
        let mut due = due.into_iter();
        let durable = &mut self.durable;
        self.changes.retain(|change| {
            let due = due.next().expect("one for each change");
            if due {
                change.step.apply(durable);
            }
            !due
        });
    }

    /// How many changes a crash may undo.
    pub(crate) fn undurable(&self) -> usize {
        self.changes.len()
    }

    /// The names after a crash that keeps this many of the changes (N3).
    pub(crate) fn after_crash(&self, kept: usize) -> Tree {
        let mut tree = self.durable.clone();
        self.changes[..kept].iter().for_each(|change| change.step.apply(&mut tree));
        // A directory comes before what lies in it.
        let mut reachable = Tree::new();
        for (name, entry) in tree {
            let directory = parent(&name);
            if directory.is_empty() || reachable.get(directory) == Some(&Entry::Directory) {
                reachable.insert(name, entry);
            }
        }
        reachable
    }

    /// Files that have a name, or may have one after a crash.
    pub(crate) fn files(&self) -> impl Iterator<Item = usize> + '_ {
        let left = self.changes.iter().filter_map(|change| match change.step {
            Step::Enter { entry, .. } | Step::Rename { entry, .. } => Some(entry),
            Step::Remove { .. } => None,
        });
        let entries = self.current.values().chain(self.durable.values()).copied().chain(left);
        entries.filter_map(|entry| match entry {
            Entry::File(id) => Some(id),
            Entry::Directory => None,
        })
    }
}

pub(crate) fn is_directory(operation: &'static str, name: &str) -> IoError {
    failure(operation, name, (0, 0), ErrorKind::IsADirectory, "it is a directory")
}

#[cfg(all(test, not(loom)))]
mod tests;
