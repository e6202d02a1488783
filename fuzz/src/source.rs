//! Structure out of arbitrary bytes: numbers and pieces from the front, zeros when they have run out. Every sequence of
//! bytes means something, so no input is wasted.

/// What is left of an input.
#[derive(Debug, Clone)]
pub struct Source<'i> {
    rest: &'i [u8],
}

impl<'i> Source<'i> {
    /// All of the input.
    pub fn new(input: &'i [u8]) -> Self {
        Self { rest: input }
    }

    /// Nothing is left: what is taken now is zero.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// At most `len` bytes; fewer at the end.
    pub fn take(&mut self, len: usize) -> &'i [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A length of two bytes, and so many bytes; fewer at the end.
    pub fn piece(&mut self) -> &'i [u8] {
        let len = usize::from(self.u16());
        self.take(len)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'i [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Exactly `N` bytes, zeros where they have run out.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let taken = self.take(N);
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    /// One byte.
    pub fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number below `bound`, from one byte.
    ///
    /// # Panics
    ///
    /// If `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.u8()) % bound
    }
}

/// Appends a piece as [`Source::piece`] reads it; what is beyond 65535 bytes is left out.
pub fn put_piece(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
    out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    out.extend_from_slice(bytes);
}
