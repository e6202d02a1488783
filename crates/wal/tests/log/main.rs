//! Tests of the whole log, on a disk that loses power.

mod append;
mod archive;
mod crash;
mod damage;
mod faults;
mod incarnations;
mod large;
mod remains;
mod scenario;
