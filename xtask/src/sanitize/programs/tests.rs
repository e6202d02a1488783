//! What cargo's messages say.

use super::*;

#[test]
fn packages_are_named_by_their_ids() {
    assert_eq!(package("path+file:///a/crates/engine#aquifer@0.1.0"), Some("aquifer"));
    assert_eq!(package("path+file:///a/aquifer-x#0.1.0"), Some("aquifer-x"));
    assert_eq!(package("aquifer"), None);
}

#[test]
fn a_program_of_tests_is_told_from_what_else_is_built() {
    let message = |test: bool, executable: &str| -> Value {
        let text = format!(
            r#"{{"reason":"compiler-artifact","package_id":"path+file:///a/crates/engine#aquifer@0.1.0",
                "manifest_path":"/a/crates/engine/Cargo.toml","target":{{"kind":["test"],"name":"database"}},
                "profile":{{"test":{test}}},"executable":{executable}}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    let found = program(&message(true, "\"/t/database-1\"")).unwrap();
    assert_eq!((&found.package[..], &found.name[..]), ("aquifer", "test-database"));
    assert_eq!((found.path, found.folder), ("/t/database-1".into(), "/a/crates/engine".into()));
    assert_eq!(program(&message(false, "\"/t/aquifer\"")), None);
    assert_eq!(program(&message(true, "null")), None);
    assert_eq!(program(&serde_json::json!({ "reason": "build-finished", "success": true })), None);
}
