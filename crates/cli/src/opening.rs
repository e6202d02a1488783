//! Opening a database as the global options say.
//!
//! # Rules
//!
//! - **OP1** Commands that read never make a database: they open what is there or fail with exit code 1.
//! - **OP2** A database and a table come into being only through `load`, `put` and `bench`.

use crate::exit::Failure;
use crate::text::Form;
use crate::typed::{Role, Type};
use aquifer::{AnyTable, Backend, Database, DecodeError, OneKind, Options, TableOptions};
use std::path::{Path, PathBuf};

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
pub struct OpeningArgs {
    /// Memory for the whole database, in MiB; at least 2 [default: a quarter of the machine's; bench: 64]
    #[arg(long, global = true, help_heading = "Opening", value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub budget: Option<u64>,
    /// The way to the kernel: io_uring, plain system calls, or io_uring where the kernel allows it
    #[arg(long, global = true, help_heading = "Opening", value_name = "NAME", value_enum, default_value_t = BackendArg::Auto)]
    pub backend: BackendArg,
    /// Keep the log for good in this folder, from now on: the database remembers it
    #[arg(long, global = true, help_heading = "Opening", value_name = "FOLDER")]
    pub archive: Option<PathBuf>,
    /// Keep the log no longer than needed, from now on
    #[arg(long, global = true, help_heading = "Opening", conflicts_with = "archive")]
    pub no_archive: bool,
}

/// The names of the backends; what they are is said in the option's help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum BackendArg {
    Auto,
    Uring,
    Posix,
}

impl BackendArg {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            BackendArg::Auto => "auto",
            BackendArg::Uring => "uring",
            BackendArg::Posix => "posix",
        }
    }
}

impl OpeningArgs {
    /// The engine's options.
    pub fn options(&self) -> Options {
        let backend = match self.backend {
            BackendArg::Auto => Backend::Auto,
            BackendArg::Uring => Backend::Uring,
            BackendArg::Posix => Backend::Posix,
        };
        let mut options = Database::options().backend(backend);
        if let Some(folder) = &self.archive {
            options = options.archive(folder);
        } else if self.no_archive {
            options = options.no_archive();
        }
        match self.budget {
            Some(mib) => options.memory_budget(usize::try_from(mib << 20).unwrap_or(usize::MAX)),
            None => options,
        }
    }

    /// Opens the database that is in `dir` (OP1).
    pub fn open(&self, dir: &Path) -> Result<Database, Failure> {
        Ok(self.options().open(dir)?)
    }

    /// Opens the database in `dir`, or makes it with pages of `page_kib` KiB (OP2).
    pub fn open_or_create(&self, dir: &Path, page_kib: Option<u32>) -> Result<Database, Failure> {
        let Some(page_kib) = page_kib else {
            return Ok(self.options().open_or_create(dir)?);
        };
        let page_bytes = page_kib as usize * 1024;
        let db = self.options().page_size(page_bytes).open_or_create(dir)?;
        if db.page_size() != page_bytes {
            let has = db.page_size() / 1024;
            return Err(Failure::Usage(format!(
                "--page-kib {page_kib}: {} has pages of {has} KiB; the page size is fixed when a database is made",
                dir.display()
            )));
        }
        Ok(db)
    }
}

/// A table with the types that its catalog entry names.
pub struct OpenTable {
    /// Its stored bytes.
    pub table: AnyTable,
    /// The type of its keys.
    pub key: Type,
    /// The type of its values.
    pub value: Type,
}

impl OpenTable {
    /// The table of that name.
    pub fn open(db: &Database, name: &str) -> Result<OpenTable, Failure> {
        Ok(OpenTable::of(db.any_table(name)?))
    }

    /// The table of that name, made of bytes with `options` if it is not there (OP2).
    pub fn open_or_create<O: OneKind>(
        db: &Database,
        name: &str,
        options: TableOptions<O>,
    ) -> Result<OpenTable, Failure> {
        match db.any_table(name) {
            Err(aquifer::Error::TableNotFound { .. }) => {
                db.create_table(name, options)?;
                OpenTable::open(db, name)
            }
            found => Ok(OpenTable::of(found?)),
        }
    }

    fn of(table: AnyTable) -> OpenTable {
        let info = table.info();
        OpenTable { table, key: Type::named(&info.key_type), value: Type::named(&info.value_type) }
    }
}

impl OpenTable {
    /// What stored bytes say, as JSON.
    pub fn decode(&self, role: Role, bytes: &[u8]) -> Result<serde_json::Value, Failure> {
        self.of_role(role).decode(role, bytes).map_err(|error| self.undecodable(error))
    }

    /// Appends what stored bytes say, as text.
    pub fn print(&self, role: Role, bytes: &[u8], form: Form, out: &mut String) -> Result<(), Failure> {
        self.of_role(role).print(role, bytes, form, out).map_err(|error| self.undecodable(error))
    }

    fn of_role(&self, role: Role) -> &Type {
        match role {
            Role::Key => &self.key,
            Role::Value => &self.value,
        }
    }

    /// Stored bytes that are not of the table's type: written through a byte view, or damaged.
    fn undecodable(&self, error: DecodeError) -> Failure {
        Failure::Engine(aquifer::Error::Decode { table: self.table.name().to_owned(), error })
    }
}
