//! Keys and values as the command line prints and reads them.
//!
//! ```text
//! input:  role u8: bit 0 value | name of a type (piece) | bytes
//! ```

use super::{Seeds, Target};
use crate::source::{Source, put_piece};
use aquifer_cli::fuzzing::{Form, Role, Type, parse};

/// Bytes that are printed are read back as they were, in every form (TX3), without breaking a line (TX4). The name of any
/// type has an end (TY4); bytes that decode as it are printed as text that is read back as the same bytes, where
/// the type holds no float, whose NaNs have one name for many bytes.
pub const TARGET: Target = Target { name: "cli_text", run, input_bytes_max: 1024, seeds };

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let role = if source.u8() & 1 == 0 { Role::Key } else { Role::Value };
    let name = String::from_utf8_lossy(source.piece()).into_owned();
    let bytes = source.rest();
    for form in [Form::Key, Form::Value, Form::Whole] {
        let printed = form.print(bytes);
        assert_eq!(parse(printed.as_bytes()).as_deref(), Ok(bytes), "TX3");
        let breaks =
            printed.contains(['\n', '\r', '\u{2028}']) || (form == Form::Key && printed.contains('\t'));
        assert!(form == Form::Whole || !breaks, "TX4: {printed:?}");
    }
    let _ = parse(bytes);
    let ty = Type::named(&name);
    assert_eq!(ty.to_string(), name, "a type prints as its name");
    let mut printed = String::new();
    if ty.print(role, bytes, Form::Whole, &mut printed).is_ok() && !name.contains('f') {
        // A plain type prints its stored bytes; whether they are a value of it is seen only by decoding.
        if ty.decode(role, bytes).is_ok() {
            let back = ty.encode(role, printed.as_bytes(), false);
            assert_eq!(back.as_deref().ok(), Some(bytes), "TY3: {name}: {printed}");
        }
    }
    for literal in [false, true] {
        let _ = ty.encode_prefix(bytes, literal);
        if let Ok(stored) = ty.encode(role, bytes, literal) {
            assert!(ty.decode(role, &stored).is_ok(), "{name}: {stored:02x?}");
        }
    }
}

fn seeds() -> Seeds {
    let input = |role: u8, name: &str, bytes: &[u8]| {
        let mut input = vec![role];
        put_piece(&mut input, name.as_bytes());
        input.extend_from_slice(bytes);
        input
    };
    vec![
        ("bytes".into(), input(0, "bytes", b"text\x00\xFF")),
        ("hex".into(), input(1, "bytes", b"0x00ff")),
        ("str".into(), input(0, "str", "0x is text, \u{2028}".as_bytes())),
        ("number".into(), input(0, "i32", &[0x80, 0, 0, 5])),
        ("number-text".into(), input(1, "u128", b"340282366920938463463374607431768211455")),
        ("float".into(), input(1, "f64", &1.5f64.to_le_bytes())),
        ("bool".into(), input(1, "bool", &[1])),
        ("char".into(), input(0, "char", &[0, 1, 0xF6, 0])),
        ("tuple".into(), input(0, "(u8, str, bytes)", b"\x07ab\x00\x00\x01\x02")),
        ("tuple-text".into(), input(1, "(u8, str)", b"[7,\"ab\"]")),
        ("one".into(), input(1, "(str,)", b"alone")),
        ("array".into(), input(1, "[u16; 2]", &[1, 0, 2, 0])),
        ("byte-array".into(), input(0, "[u8; 4]", b"abcd")),
        ("option".into(), input(1, "option<option<u8>>", &[1, 1, 9])),
        ("unit".into(), input(0, "()", b"")),
        ("deep".into(), input(0, "((((((((((((((((u8,),),),),),),),),),),),),),),),)", b"\x01")),
        ("wide".into(), input(0, "[[[u16; 4000]; 4000]; 4000]", b"\x01")),
        ("opaque".into(), input(1, "postcard<Person>", b"\x03Ada\x24")),
    ]
}
