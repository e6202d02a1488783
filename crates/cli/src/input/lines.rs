//! Lines of bytes, counted, and bounded in memory (IN1, IN3, IN4).

use super::{Fault, InputError, LINE_BYTES_MAX};
use std::io::{self, BufRead, Read as _};

/// Reads lines that are not empty.
pub struct Lines {
    source: Box<dyn BufRead>,
    /// The byte that ends a line. At `\n` a `\r` before it is dropped as well.
    end: u8,
    /// Lines before this one are passed over.
    from_line: u64,
    /// The number of the line that is in `buffer`.
    line: u64,
    buffer: Vec<u8>,
}

impl Lines {
    /// Lines of `source` from `from_line` on.
    pub fn new(source: Box<dyn BufRead>, end: u8, from_line: u64) -> Self {
        Self { source, end, from_line, line: 0, buffer: Vec::new() }
    }

    /// The next line that is not empty, with its number; `None` at the end.
    ///
    /// # Errors
    ///
    /// A line that is too long, which is passed over (IN2), or a failed read.
    pub fn next(&mut self) -> Result<Option<(u64, &[u8])>, InputError> {
        loop {
            self.line += 1;
            if self.line < self.from_line {
                if !self.pass_over()? {
                    return Ok(None);
                }
                continue;
            }
            if !self.fill()? {
                return Ok(None);
            }
            if !self.buffer.is_empty() {
                return Ok(Some((self.line, &self.buffer)));
            }
        }
    }

    /// Reads a line into the buffer, without its end; `false` at the end of the input.
    fn fill(&mut self) -> Result<bool, InputError> {
        self.buffer.clear();
        let limit = LINE_BYTES_MAX as u64 + 2; // the line's end has two bytes at most
        let read = (&mut self.source).take(limit).read_until(self.end, &mut self.buffer);
        if read.map_err(|error| self.failed(error))? == 0 {
            return Ok(false);
        }
        let whole = self.buffer.last() == Some(&self.end);
        if whole {
            self.buffer.pop();
        }
        if self.end == b'\n' && self.buffer.last() == Some(&b'\r') {
            self.buffer.pop();
        }
        if self.buffer.len() > LINE_BYTES_MAX {
            if !whole {
                self.pass_over()?;
            }
            return Err(InputError { line: self.line, fault: Fault::LineTooLong });
        }
        Ok(true)
    }

    /// Reads to the end of the line without keeping it; `false` if there was nothing to read.
    fn pass_over(&mut self) -> Result<bool, InputError> {
        let skipped = self.source.skip_until(self.end);
        skipped.map(|bytes| bytes > 0).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> InputError {
        InputError { line: self.line, fault: Fault::Read(error) }
    }
}

#[cfg(test)]
mod tests;
