//! What `aquifer load` reads: tsv, csv and JSON lines.
//!
//! ```text
//! input:  format u8 | flags u8: bit 0 a key is named, bit 1 keys only, bit 2 ended by zero bytes, bits 3 to 5 first line
//!         | bytes that the source gives at once u8 | the text
//! ```

use super::{Seeds, Target};
use crate::source::Source;
use aquifer_cli::fuzzing::{Format, LINE_BYTES_MAX, Record, Shape, records};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::{BufReader, Cursor};

/// Reading ends with every record or a line that is bad; it does not depend on how many bytes come at once; lines rise
/// (IN1), and records are no longer than what they were read from. Tsv: key and rest, put together, are the line.
/// JSON lines: the value is a JSON object whose field is the key.
pub const TARGET: Target = Target { name: "cli_import", run, input_bytes_max: 4096, seeds };

const KEY: &str = "id";

/// What reading gave: each record, or what was wrong with a line.
type Outcome = Vec<Result<(u64, Vec<u8>, Vec<u8>), String>>;

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let format = [Format::Tsv, Format::Csv, Format::Jsonl][source.below(3)];
    let (flags, at_once) = (source.u8(), usize::from(source.u8()).max(1));
    let named = match format {
        Format::Tsv => "2",
        Format::Csv | Format::Jsonl => KEY,
    };
    let shape = Shape {
        format,
        key: (flags & 1 == 1 || format == Format::Jsonl).then(|| named.to_owned()),
        null_terminated: flags & 4 == 4 && format == Format::Tsv,
        keys_only: flags & 2 == 2 && format == Format::Tsv && flags & 1 == 0,
        from_line: 1 + u64::from(flags >> 3 & 7),
    };
    let text = source.rest();
    let whole = read(text, &shape, LINE_BYTES_MAX);
    assert_eq!(read(text, &shape, at_once), whole, "by {at_once} bytes");
    // A carriage return alone ends a csv record, but no line: two records may begin on one.
    let shared = u64::from(format == Format::Csv && text.contains(&b'\r'));
    let mut last = shape.from_line - 1;
    for (line, key, value) in whole.into_iter().flatten() {
        assert!(line + shared > last, "IN1: line {line} after {last}");
        last = line;
        check_record(&shape, text, line, &key, &value);
    }
}

fn read(text: &[u8], shape: &Shape, at_once: usize) -> Outcome {
    let source = Box::new(BufReader::with_capacity(at_once.min(1 << 16), Cursor::new(text.to_vec())));
    let mut records = records(source, shape).expect("the shape fits the format");
    let mut outcome = Outcome::new();
    let mut record = Record::default();
    loop {
        assert!(outcome.len() <= text.len() + 1, "IN2: more records than bytes");
        match records.next(&mut record) {
            Ok(false) => return outcome,
            Ok(true) => outcome.push(Ok((record.line, record.key.clone(), record.value.clone()))),
            Err(error) => {
                outcome.push(Err(error.to_string()));
                if error.is_final() {
                    return outcome;
                }
            }
        }
    }
}

fn check_record(shape: &Shape, text: &[u8], line: u64, key: &[u8], value: &[u8]) {
    // A csv field that needs quotes gets them: at most as long again, and two more for each field.
    assert!(key.len() + value.len() <= 4 * text.len() + 2);
    let end = if shape.null_terminated { 0 } else { b'\n' };
    let nth = text.split(|&byte| byte == end).nth(line as usize - 1).expect("IN1: there is such a line");
    match shape.format {
        Format::Tsv => {
            let said = if end == b'\n' { nth.strip_suffix(b"\r").unwrap_or(nth) } else { nth };
            if shape.keys_only {
                assert_eq!((key, value), (said, &[][..]));
            } else if shape.key.is_none() {
                assert_eq!([key, b"\t", value].concat(), said);
            } else {
                assert_eq!(key.len() + 1 + value.len(), said.len());
                assert_eq!(said.split(|&byte| byte == b'\t').nth(1), Some(key));
            }
        }
        Format::Csv => {}
        Format::Jsonl => {
            // Not parsed further: a number may lie beyond all floats, and stands there as its digits.
            let object: BTreeMap<String, &RawValue> = serde_json::from_slice(value).expect("a JSON object");
            let field = object[KEY].get();
            match serde_json::from_str::<String>(field) {
                Ok(text) => assert_eq!(text.as_bytes(), key),
                Err(_) => {
                    assert!(
                        field.starts_with(|first: char| first == '-' || first.is_ascii_digit()),
                        "{field}"
                    );
                    assert_eq!(field.as_bytes(), key);
                }
            }
        }
    }
}

fn seeds() -> Seeds {
    let input = |format: u8, flags: u8, at_once: u8, text: &[u8]| [&[format, flags, at_once], text].concat();
    vec![
        ("tsv".into(), input(0, 0, 3, b"a\t1\nb\t2\t3\r\n\nc\t\n")),
        ("tsv-second".into(), input(0, 1, 1, b"a\tk\tz\nb\tl\n\tm\n")),
        ("tsv-keys".into(), input(0, 2, 7, b"one\ntwo\tthree\n\nfour")),
        ("tsv-null".into(), input(0, 4, 2, b"a\tline\nbreak\0b\t2\0")),
        ("tsv-bad".into(), input(0, 0, 9, b"no tab\na\tb\nno tab either")),
        ("tsv-later".into(), input(0, 0b1_0000, 4, b"a\t1\nb\t2\nc\t3\nd\t4\n")),
        ("csv".into(), input(1, 0, 5, b"id,name\n1,Ada\n2,\"B, \"\"o\"\"\"\r\n")),
        ("csv-named".into(), input(1, 1, 1, b"name,id,note\n\"x\ny\",7,\"\"\nz,8,z\n")),
        ("csv-no-column".into(), input(1, 1, 8, b"a,b\n1,2\n")),
        ("csv-fields".into(), input(1, 0, 8, b"a,b\n1\n1,2,3\n\n4,5\n\"open")),
        ("csv-mark".into(), input(1, 1, 2, b"\xEF\xBB\xBFid,x\n1,2\n")),
        (
            "jsonl".into(),
            input(2, 0, 6, b"{\"id\":\"a\",\"n\":[1,{\"id\":2}]}\n {\"id\":-1.5e3} \n\n{\"x\":0}\n"),
        ),
        (
            "jsonl-escape".into(),
            input(2, 0, 1, b"\xEF\xBB\xBF{\"\\u0069d\":\"\\ud83d\\ude00\"}\n{\"id\":null}\n[1]\n{"),
        ),
        ("jsonl-twice".into(), input(2, 0, 4, b"{\"id\":1,\"id\":\"last\"}\r\n{\"id\":true}")),
    ]
}
