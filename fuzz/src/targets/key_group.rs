//! A group of long keys, and a change of one member.
//!
//! ```text
//! input:  flags u8: bit 0 the change deletes | length of the suffix u16 | suffix | length of the value u16 | value | group
//! ```

use super::{Seeds, Target};
use crate::source::Source;
use aquifer::fuzzing::{change_group, read_group, write_group};
use std::collections::BTreeMap;

/// A group that is read and written again is the same bytes; a change is as in a plain map. Bytes that are no group are an error,
/// also to a change that meets what is wrong.
pub const TARGET: Target = Target { name: "key_group", run, input_bytes_max: 1024, seeds };

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let deletes = source.u8() & 1 == 1;
    let (suffix, value) = (source.piece(), source.piece());
    let group = source.rest();
    let value = (!deletes).then_some(value);
    let changed = change_group(group, suffix, value);
    let Ok(members) = read_group(group) else { return };
    assert_eq!(write_group(&members).as_deref(), Some(group), "a group has one form");
    if suffix.is_empty() {
        return; // of no long key
    }
    let mut map: BTreeMap<Vec<u8>, Vec<u8>> = members.iter().cloned().collect();
    assert_eq!(map.len(), members.len(), "GR1: each once");
    match value {
        Some(value) => drop(map.insert(suffix.to_vec(), value.to_vec())),
        None => drop(map.remove(suffix)),
    }
    let expected: Vec<_> = map.into_iter().collect();
    assert_eq!(changed, Ok(write_group(&expected)));
}

fn seeds() -> Seeds {
    let members =
        [(b"a".to_vec(), b"one".to_vec()), (b"bc".to_vec(), Vec::new()), (vec![9; 40], vec![7; 90])];
    let mut sorted = members.to_vec();
    sorted.sort();
    let group = write_group(&sorted).expect("it has members");
    let single = write_group(&members[..1]).expect("it has a member");
    let unordered = write_group(&[members[1].clone(), members[0].clone()]).expect("it has members");
    let input = |flags: u8, suffix: &[u8], value: &[u8], group: &[u8]| {
        let len = |bytes: &[u8]| (bytes.len() as u16).to_le_bytes();
        [&[flags][..], &len(suffix), suffix, &len(value), value, group].concat()
    };
    vec![
        ("put".into(), input(0, b"b", b"two", &group)),
        ("replace".into(), input(0, b"a", b"two", &group)),
        ("delete".into(), input(1, b"bc", b"", &group)),
        ("delete-last".into(), input(1, b"a", b"", &single)),
        ("unordered".into(), input(0, b"b", b"two", &unordered)),
    ]
}
