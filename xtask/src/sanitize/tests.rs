//! The list of packages, and what is told to the sanitizers.

use super::*;
use crate::tidy::code::UNSAFE;

#[test]
fn every_crate_with_unsafe_code_is_in_the_list() {
    let root = crate::tree::root();
    for (path, _) in UNSAFE.iter().filter(|(path, _)| path.starts_with("crates/")) {
        let folder = path.split('/').nth(1).unwrap();
        let manifest = fs::read_to_string(root.join("crates").join(folder).join("Cargo.toml")).unwrap();
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        assert!(PACKAGES.contains(&name.unwrap()), "{path}");
    }
}

#[test]
fn reports_go_to_files_and_do_not_end_the_process() {
    let (variable, value) = options(Sanitizer::Address, Path::new("/a b/log"), Path::new("/none"));
    assert_eq!(
        (variable, &value[..]),
        ("ASAN_OPTIONS", "halt_on_error=0:detect_leaks=1:log_path=\"/a b/log\"")
    );
    let (variable, value) = options(Sanitizer::Thread, Path::new("/log"), Path::new("/a b/list"));
    assert_eq!(variable, "TSAN_OPTIONS");
    assert!(
        value.starts_with("halt_on_error=0:") && value.ends_with(":suppressions=\"/a b/list\""),
        "{value}"
    );
}

#[test]
fn a_compiler_that_cannot_is_told_from_a_failure() {
    let missing = anyhow::Error::from(Unsupported { what: "no runtime".into() }).context("a step");
    let code = |error: &anyhow::Error| format!("{:?}", exit_code(error));
    assert_eq!(code(&missing), format!("{:?}", ExitCode::from(3)));
    assert_eq!(code(&anyhow::anyhow!("a report")), format!("{:?}", ExitCode::from(1)));
}

#[test]
fn every_suppression_has_its_reason_before_it() {
    let text = fs::read_to_string(crate::tree::root().join(SUPPRESSIONS)).unwrap();
    let mut said = false;
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix('#') {
            Some(reason) => said |= reason.contains("**"),
            None => {
                let (kind, name) = line.split_once(':').unwrap_or_else(|| panic!("{line}"));
                assert!(["race", "race_top"].contains(&kind), "{line}: too wide");
                assert!(name.contains("::") && !name.contains('*'), "{line}: too wide");
                assert!(said, "{line}: which invariant says that it is no error?");
                said = false;
            }
        }
    }
}
