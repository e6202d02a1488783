//! Separates Rust source into code and comments, line by line, so that a rule about code is not misled by a
//! word in a comment or a string, and the other way round.
//!
//! Not a parser: it knows comments (nested ones too), string, byte-string, raw-string and character literals,
//! and lifetimes. Literals become spaces in the code.

/// One line of source.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line with comments and the insides of literals blanked out.
    pub code: String,
    /// The text of its comments, slashes included.
    pub comment: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text { quote: char },
    RawText { hashes: usize },
}

/// Splits `source` into lines of code and comments.
pub fn lines(source: &str) -> Vec<Line> {
    let chars: Vec<char> = source.chars().collect();
    let mut out = vec![Line::default()];
    let mut state = State::Code;
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if c == '\n' {
            if state == State::LineComment {
                state = State::Code;
            }
            out.push(Line::default());
            at += 1;
            continue;
        }
        let line = out.last_mut().expect("never empty");
        let taken = match state {
            State::Code => code(&chars, at, line, &mut state),
            State::LineComment => {
                line.comment.push(c);
                1
            }
            State::BlockComment { depth } => block_comment(&chars, at, line, depth, &mut state),
            State::Text { quote } => {
                if c == quote {
                    state = State::Code;
                }
                line.code.push(if c == quote { c } else { ' ' });
                // An escaped newline still ends the line.
                if c == '\\' && chars.get(at + 1).is_some_and(|&n| n != '\n') {
                    line.code.push(' ');
                    2
                } else {
                    1
                }
            }
            State::RawText { hashes } => {
                let ends = c == '"' && (1..=hashes).all(|i| chars.get(at + i) == Some(&'#'));
                if ends {
                    state = State::Code;
                }
                line.code.push(if ends { '"' } else { ' ' });
                if ends { 1 + hashes } else { 1 }
            }
        };
        at += taken;
    }
    out
}

/// Takes what starts at `at` in code; returns how many characters it took.
fn code(chars: &[char], at: usize, line: &mut Line, state: &mut State) -> usize {
    let next = |i: usize| chars.get(at + i).copied().unwrap_or('\n');
    let c = chars[at];
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match c {
        '/' if next(1) == '/' => {
            *state = State::LineComment;
            line.comment.push_str("//");
            2
        }
        '/' if next(1) == '*' => {
            *state = State::BlockComment { depth: 1 };
            line.comment.push_str("/*");
            2
        }
        '"' => {
            *state = State::Text { quote: '"' };
            line.code.push('"');
            1
        }
        'r' | 'b' | 'c' if !in_word => match raw_text(chars, at) {
            Some((length, hashes)) => {
                *state = State::RawText { hashes };
                line.code.push('"');
                length
            }
            None => {
                line.code.push(c);
                1
            }
        },
        '\'' => {
            // 'a' and '\n' are characters; 'a without a closing quote is a lifetime.
            if next(1) == '\\' || next(2) == '\'' {
                *state = State::Text { quote: '\'' };
            }
            line.code.push('\'');
            1
        }
        _ => {
            line.code.push(c);
            1
        }
    }
}

/// Does a raw string begin at `at`? Its opening's length and number of hashes.
fn raw_text(chars: &[char], at: usize) -> Option<(usize, usize)> {
    let r = if chars[at] == 'r' { at } else { at + 1 };
    if chars.get(r) != Some(&'r') {
        return None;
    }
    let hashes = chars[r + 1..].iter().take_while(|&&c| c == '#').count();
    (chars.get(r + 1 + hashes) == Some(&'"')).then_some((r + 2 + hashes - at, hashes))
}

fn block_comment(chars: &[char], at: usize, line: &mut Line, depth: usize, state: &mut State) -> usize {
    let pair = (chars[at], chars.get(at + 1).copied().unwrap_or('\n'));
    line.comment.push(pair.0);
    let depth = match pair {
        ('*', '/') => depth - 1,
        ('/', '*') => depth + 1,
        _ => return 1,
    };
    line.comment.push(pair.1);
    *state = if depth == 0 { State::Code } else { State::BlockComment { depth } };
    2
}

/// Does `text` hold `word` as a whole word?
pub fn has_word(text: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    text.match_indices(word).any(|(at, _)| {
        boundary(text[..at].chars().next_back()) && boundary(text[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests;
