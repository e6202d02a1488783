//! The program as its users run it: real processes, real files, exit codes, output.

mod backups;
mod bench;
mod endings;
mod inspecting;
mod loading;
mod program;
mod records;
mod rescuing;
mod typed;
