//! What the messages say.

use super::{DecodeError, EncodeError};

#[test]
fn messages_name_the_type_and_what_is_wrong() {
    let truncated = DecodeError::Truncated { type_name: "u32".into(), needed: 4, found: 3 };
    assert_eq!(
        truncated.to_string(),
        "a `u32` needs 4 bytes but 3 are there; open the table with the type it was written with"
    );
    let trailing = DecodeError::Trailing { type_name: "u32".into(), extra: 1 };
    assert_eq!(
        trailing.to_string(),
        "1 bytes follow a complete `u32`; open the table with the type it was written with"
    );
    assert_eq!(
        DecodeError::invalid("bool", "byte 0x02 is neither 0 nor 1").to_string(),
        "these bytes are no `bool`: byte 0x02 is neither 0 nor 1; open the table with the type it was written with"
    );
    let refused = EncodeError { type_name: "postcard<Log>".into(), reason: "length unknown".into() };
    assert_eq!(
        refused.to_string(),
        "a `postcard<Log>` cannot be written: length unknown; change its `Serialize` implementation"
    );
}
