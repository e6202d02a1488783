//! What the lines of test runners and sanitizers come to.

use super::*;

const OK: &str =
    "test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.01s";
const FAILED: &str =
    "test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.25s";

fn of(lines: &[&str], reports: &str, success: bool) -> Outcome {
    let mut outcome = Outcome::default();
    lines.iter().for_each(|line| outcome.hear(line));
    outcome.read_reports(reports);
    outcome.end(success);
    outcome
}

fn check(outcome: &Outcome, passed: u64, failed: u64, reports: u64) {
    assert_eq!((outcome.passed, outcome.failed, outcome.reports), (passed, failed, reports), "{outcome:?}");
    assert_eq!(outcome.is_clean(), failed + reports == 0);
}

#[test]
fn results_are_counted() {
    let outcome = of(&["running 14 tests", "test a ... ok", OK], "", true);
    check(&outcome, 12, 0, 0);
    assert_eq!(outcome.ignored, 2);
    check(&of(&[FAILED], "", false), 7, 2, 0);
}

#[test]
fn a_program_that_says_nothing_has_failed() {
    check(&of(&["running 14 tests"], "", true), 0, 1, 0);
    check(&of(&["test result: ok. many passed; 0 failed; 0 ignored"], "", true), 0, 1, 0);
    check(&of(&[], "", false), 0, 1, 0);
}

#[test]
fn a_failure_that_nothing_explains_is_one() {
    check(&of(&[OK], "", false), 12, 1, 0);
}

#[test]
fn reports_are_counted_once_each() {
    let race = "==================\nWARNING: ThreadSanitizer: data race (pid=7)\n  Write of size 8\n\
                SUMMARY: ThreadSanitizer: data race a.rs:3:65 in r::main\n==================\n";
    check(&of(&[OK], &race.repeat(2), false), 12, 0, 2);
    let overrun = "==22097==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x7bf8\n\
                   SUMMARY: AddressSanitizer: heap-buffer-overflow a.rs:1 in f\n";
    check(&of(&[OK], overrun, false), 12, 0, 1);
    let leak = "==8==ERROR: LeakSanitizer: detected memory leaks\n\nDirect leak of 8 byte(s) in 1 object(s)\n\
                SUMMARY: AddressSanitizer: 8 byte(s) leaked in 1 allocation(s).\n";
    check(&of(&[OK], leak, false), 12, 0, 1);
    check(&of(&[], "FATAL: ThreadSanitizer: unexpected memory mapping 0x7f-0x80\n", false), 0, 1, 1);
}

#[test]
fn what_is_suppressed_is_told_apart() {
    let text = "ThreadSanitizer: Matched 3 suppressions (pid=22):\n3 race:Words::word\n";
    let outcome = of(&[OK], text, true);
    check(&outcome, 12, 0, 0);
    assert_eq!(outcome.suppressed, 3);
    let text = "---------\nSuppressions used:\n  count      bytes template\n      4        160 a::b\n      2         16 c::d\n---------\n\n9 not";
    let outcome = of(&[OK], text, true);
    check(&outcome, 12, 0, 0);
    assert_eq!(outcome.suppressed, 6);
}

#[test]
fn the_table_adds_up() {
    let row = |package: &str, lines: &[&str]| Row { package: package.into(), outcome: of(lines, "", true) };
    let text = table(&[row("aquifer-io", &[OK]), row("aquifer", &[OK, FAILED])]);
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1], ["aquifer-io", "12", "0", "0", "0"]);
    assert_eq!(words[2], ["aquifer", "19", "2", "0", "0"]);
    assert_eq!(words[3], ["all", "31", "2", "0", "0"]);
}
