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
    let of = |sanitizer| options(sanitizer, Path::new("/a b/log"), Path::new("/a c"));
    assert_eq!(
        of(Sanitizer::Address),
        [
            ("ASAN_OPTIONS", "halt_on_error=0:detect_leaks=1:log_path=\"/a b/log\"".to_owned()),
            ("LSAN_OPTIONS", "suppressions=\"/a c/leak.suppressions\"".to_owned()),
        ]
    );
    let thread = of(Sanitizer::Thread);
    let [(variable, value)] = &thread[..] else { panic!("{thread:?}") };
    assert_eq!(*variable, "TSAN_OPTIONS");
    assert!(value.starts_with("halt_on_error=0:"), "{value}");
    assert!(value.ends_with(":log_path=\"/a b/log\":suppressions=\"/a c/thread.suppressions\""), "{value}");
}

#[test]
fn a_compiler_that_cannot_is_told_from_a_failure() {
    let missing = anyhow::Error::from(Unsupported { what: "no runtime".into() }).context("a step");
    let code = |error: &anyhow::Error| format!("{:?}", exit_code(error));
    assert_eq!(code(&missing), format!("{:?}", ExitCode::from(3)));
    assert_eq!(code(&anyhow::anyhow!("a report")), format!("{:?}", ExitCode::from(1)));
}

#[test]
fn every_suppression_is_narrow_and_has_its_reason_before_it() {
    for (list, kinds) in
        [("leak.suppressions", &["leak"][..]), ("thread.suppressions", &["race", "race_top"])]
    {
        let text = fs::read_to_string(crate::tree::root().join(SUPPRESSIONS).join(list)).unwrap();
        let mut said = false;
        for line in text.lines() {
            match (line, line.strip_prefix('#')) {
                ("", _) => said = false,
                (_, Some(reason)) => said |= reason.contains("**"),
                (_, None) => {
                    let (kind, name) = line.split_once(':').unwrap();
                    assert!(kinds.contains(&kind), "{line}: too wide");
                    let file = crate::tree::root().join(name).is_file();
                    assert!((file || name.contains("::")) && !name.contains('*'), "{line}: too wide");
                    assert!(said, "{line}: which invariant says that it is harmless?");
                }
            }
        }
    }
}

#[test]
fn tests_that_are_left_out_are_there() {
    let sources = crate::tree::files(&crate::tree::root(), "rs").unwrap();
    for (_, test) in SKIPPED {
        let (modules, name) = test.rsplit_once("::").unwrap();
        let file = format!("{}.rs", modules.replace("::", "/"));
        let mut found = sources.iter().filter(|path| path.ends_with(&file));
        let has = |path: &std::path::PathBuf| {
            let text = fs::read_to_string(crate::tree::root().join(path)).unwrap();
            text.contains(&format!("fn {name}()"))
        };
        assert!(found.any(has), "{test}");
    }
}
