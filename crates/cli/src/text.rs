//! The text form of keys and values: what the command line prints and what it reads back.
//!
//! # Rules
//!
//! - **TX1** Bytes print as text where they are UTF-8 without control characters, and as `0x` with two
//!   lower-case digits a byte otherwise.
//! - **TX2** Text that itself begins with `0x` prints in the `0x` form, so a printed `0x…` always means bytes.
//! - **TX3** [`parse`] gives back exactly the bytes that [`Form::print`] was given, in every form.
//! - **TX4** A printed key has no tab and no line break and a printed value no line break, so a line of
//!   `KEY<TAB>VALUE` can be taken apart again at its first tab.

use std::fmt::Write as _;

/// Where a text is going to stand; decides which control characters it may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The key of a line: no control characters at all.
    Key,
    /// The rest of a line: tabs may stay.
    Value,
    /// A document of its own, or a JSON string, which has escapes: every character may stay.
    Whole,
}

impl Form {
    /// The text form of `bytes` (TX1, TX2).
    pub fn print(self, bytes: &[u8]) -> String {
        let mut out = String::with_capacity(bytes.len());
        self.print_into(bytes, &mut out);
        out
    }

    /// Appends the text form of `bytes` to `out`.
    pub fn print_into(self, bytes: &[u8], out: &mut String) {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.starts_with("0x") && text.chars().all(|c| self.keeps(c)) => out.push_str(text),
            _ => hex_into(bytes, out),
        }
    }

    fn keeps(self, c: char) -> bool {
        match self {
            Form::Key => !breaks_a_line(c),
            Form::Value => c == '\t' || !breaks_a_line(c),
            Form::Whole => true,
        }
    }
}

/// Control characters, and the two separators that some readers take for line ends.
fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Appends `bytes` in the `0x` form.
pub fn hex_into(bytes: &[u8], out: &mut String) {
    out.push_str("0x");
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
}

/// Why a text beginning with `0x` names no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// Half a byte at the end.
    #[error(
        "`0x` is followed by {digits} digits: two make a byte, so their number is even (--text takes an argument literally)"
    )]
    OddDigits {
        /// How many digits there are.
        digits: usize,
    },
    /// Something that is no digit.
    #[error(
        "`{found}` is no hexadecimal digit: after `0x` come digits only (--text takes an argument literally)"
    )]
    NotADigit {
        /// The first character that is none.
        found: char,
    },
}

/// The bytes that `text` names: those after `0x` if it begins so, its own otherwise (TX3).
pub fn parse(text: &[u8]) -> Result<Vec<u8>, HexError> {
    let Some(digits) = text.strip_prefix(b"0x") else {
        return Ok(text.to_vec());
    };
    if let Some(bad) = digits.iter().position(|d| !d.is_ascii_hexdigit()) {
        let found = String::from_utf8_lossy(&digits[bad..]).chars().next().unwrap_or('\u{fffd}');
        return Err(HexError::NotADigit { found });
    }
    if digits.len() % 2 != 0 {
        return Err(HexError::OddDigits { digits: digits.len() });
    }
    Ok(digits.chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect())
}

/// The value of a digit that [`parse`] has seen to be one.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests;
