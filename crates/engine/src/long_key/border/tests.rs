//! How a range is cut into a part that goes whole and the groups at its ends.

use super::*;

/// Of an index whose longest key has four bytes: keys of four bytes and more are long.
fn plan(low: &str, high: Option<&str>) -> String {
    let bytes = |key: &[u8]| key.escape_ascii().to_string();
    let Plan { cut, borders } = Plan::of(4, low.as_bytes(), high.map(str::as_bytes));
    let mut out: Vec<String> = Vec::new();
    for Part { group_key: key, from, to } in borders {
        out.push(format!(
            "{} from {:?} to {:?}",
            bytes(&key),
            from.map(|key| bytes(&key)),
            to.map(|key| bytes(&key))
        ));
    }
    if let Some((first, end)) = cut {
        out.push(format!("cut {}..{}", bytes(&first), end.map_or("end".into(), |end| bytes(&end))));
    }
    out.join("; ")
}

#[test]
fn a_range_is_cut_between_its_borders() {
    assert_eq!(plan("", None), "cut ..end");
    assert_eq!(plan("ab", Some("abc")), "cut ab..abc");
    assert_eq!(plan("abcd", None), r#"abc\x00 from Included("abcd") to Unbounded; cut abd..end"#);
    assert_eq!(plan("a", Some("abcd")), r#"abc\x00 from Unbounded to Excluded("abcd"); cut a..abc\x00"#);
    assert_eq!(plan("abcd", Some("abcx")), r#"abc\x00 from Included("abcd") to Excluded("abcx")"#);
    assert_eq!(
        plan("abcd", Some("abdd")),
        r#"abc\x00 from Included("abcd") to Unbounded; abd\x00 from Unbounded to Excluded("abdd"); cut abd..abd\x00"#
    );
}

#[test]
fn the_key_of_a_group_stands_for_all_of_it() {
    assert_eq!(plan("abc\0", None), r"cut abc\x00..end");
    assert_eq!(plan("abc", Some("abc\0")), r"cut abc..abc\x00");
    assert_eq!(plan("abc\0", Some("abd\0")), r"cut abc\x00..abd\x00");
    assert_eq!(plan("abc\0", Some("abcd")), r#"abc\x00 from Unbounded to Excluded("abcd")"#);
}

#[test]
fn behind_the_last_group_there_is_nothing() {
    let last = [0xFF, 0xFF, 0xFF, 7];
    let plan = Plan::of(4, &last, None);
    assert_eq!(plan.cut, None);
    let (from, to) = (Bound::Included(last.to_vec()), Bound::Unbounded);
    assert_eq!(plan.borders, [Part { group_key: vec![0xFF, 0xFF, 0xFF, 0], from, to }]);
}
