//! Which failure ends with which code.

use super::{EXIT_CODES, Exit, Failure};
use std::io;

fn check(failure: Failure, exit: Exit, code: u8) {
    assert_eq!(failure.exit(), exit, "{failure}");
    assert_eq!(exit as u8, code);
}

#[test]
fn every_failure_has_its_code() {
    check(Failure::OutputClosed, Exit::Ok, 0);
    check(Failure::NotFound("no key".into()), Exit::NotFound, 1);
    check(aquifer::Error::NotFound { path: "x".into() }.into(), Exit::NotFound, 1);
    check(aquifer::Error::TableNotFound { name: "x".into() }.into(), Exit::NotFound, 1);
    check(Failure::Usage("no".into()), Exit::Usage, 2);
    check(aquifer::Error::TransactionTooLarge { bytes: 2, bytes_max: 1 }.into(), Exit::Usage, 2);
    check(Failure::BadInput("line 1".into()), Exit::BadInput, 3);
    check(aquifer::Error::Locked { what: "by 7".into() }.into(), Exit::Locked, 4);
    check(aquifer::Error::Corrupt { what: "page 7".into() }.into(), Exit::Corrupt, 5);
    check(aquifer::Error::Format { what: "foreign".into() }.into(), Exit::Corrupt, 5);
    check(Failure::Corrupt("page 7".into()), Exit::Corrupt, 5);
    check(aquifer::Error::Poisoned { cause: "sync".into() }.into(), Exit::Io, 6);
    check(Failure::Io { what: "x".into(), source: io::Error::other("y") }, Exit::Io, 6);
}

#[test]
fn an_interruption_has_the_code_of_its_cause() {
    let source = aquifer::Error::Corrupt { what: "page 7".into() };
    let failure = Failure::Interrupted { source, progress: "3 lines are committed".into() };
    assert_eq!(failure.to_string(), "page 7\n3 lines are committed");
    check(failure, Exit::Corrupt, 5);
}

#[test]
fn a_closed_output_is_told_from_a_failed_one() {
    check(Failure::of_output(io::ErrorKind::BrokenPipe.into()), Exit::Ok, 0);
    check(Failure::of_output(io::ErrorKind::StorageFull.into()), Exit::Io, 6);
}

#[test]
fn an_error_of_the_engine_keeps_its_code_through_a_workload() {
    let source = aquifer::Error::Locked { what: "by 7".into() };
    let error = aquifer_workload::Error::Store { doing: "a put", source: Box::new(source) };
    check(error.into(), Exit::Locked, 4);
    check(aquifer_workload::Error::Wrong { what: "a get".into() }.into(), Exit::Corrupt, 5);
    check(aquifer_workload::Error::Spec { what: "--ops".into() }.into(), Exit::Usage, 2);
}

#[test]
fn help_lists_every_code() {
    for code in Exit::Ok as u8..=Exit::Io as u8 {
        assert!(EXIT_CODES.contains(&format!("\n  {code}  ")), "{code}");
    }
}
