//! What is made of a probe's output, and of this machine's compiler.

use super::*;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

const RACE_REPORT: &str =
    "WARNING: ThreadSanitizer: data race (pid=1)\n    #0 probe::guilty_function probe.rs:4\n";

fn judged(report: &str, stderr: &str) -> Result<(), String> {
    let output = Output {
        status: ExitStatus::from_raw(66 << 8),
        stdout: Vec::new(),
        stderr: stderr.as_bytes().to_vec(),
    };
    judge(Sanitizer::Thread, report, &output).map_err(|unsupported| unsupported.what)
}

#[test]
fn a_report_with_the_name_is_what_is_asked_for() {
    assert_eq!(judged(RACE_REPORT, ""), Ok(()));
}

#[test]
fn what_is_missing_is_said() {
    let check = |report: &str, stderr: &str, words: &str| {
        let said = judged(report, stderr).unwrap_err();
        assert!(said.contains(words), "{said}");
    };
    check(&RACE_REPORT.replace("probe::guilty_function", "0x4711"), "", "llvm-symbolizer");
    check("", "", "did not find the error");
    check("", "FATAL: ThreadSanitizer: unexpected memory mapping 0x1-0x2\n", "setarch -R");
}

#[test]
fn the_host_and_the_first_error_are_read() {
    assert_eq!(host("rustc 1.95.0\nbinary: rustc\nhost: a-b-c\n"), Some("a-b-c"));
    assert_eq!(host("rustc 1.95.0"), None);
    assert_eq!(first_error("warning: a\nerror: b\nerror: c\n"), "error: b");
    assert_eq!(first_error(""), "no reason given");
}

#[test]
fn this_compiler_can_do_it_or_says_why_not() {
    let folder = std::env::temp_dir().join(format!("aquifer-probe-{}", std::process::id()));
    for sanitizer in [Sanitizer::Address, Sanitizer::Thread] {
        fs::create_dir_all(&folder).unwrap();
        match ability(sanitizer, &folder).unwrap() {
            Ok(ability) => {
                assert_eq!(ability.flags[0], format!("-Zsanitizer={}", sanitizer.name()));
                assert_eq!(ability.build_std, sanitizer == Sanitizer::Thread);
            }
            Err(Unsupported { what }) => assert!(what.contains(sanitizer.name()), "{what}"),
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}
