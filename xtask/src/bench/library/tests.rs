//! What is found, what is not, and what is said then.

use super::super::engine::PEERS;
use super::{LIBRARIES, Library, provide};

#[test]
fn the_linker_is_asked() {
    let library = |file| Library { peer: "x", file, package: "x" };
    assert!(library("libc.so").is_there().expect("there is a compiler"));
    assert!(!library("libno-such-library.so").is_there().expect("there is a compiler"));
}

#[test]
fn a_missing_library_is_named_with_its_package() {
    let advice = LIBRARIES[0].advice();
    for part in ["rocksdb", "librocksdb.so", "apt-get install librocksdb-dev"] {
        assert!(advice.contains(part), "{part} in {advice}");
    }
}

#[test]
fn libraries_belong_to_peers_and_others_need_none() {
    assert!(LIBRARIES.iter().all(|library| PEERS.contains(&library.peer)));
    provide(&["lmdb".to_string(), "redb".to_string()]).expect("nothing is needed");
    provide(&[]).expect("nothing is needed");
}
