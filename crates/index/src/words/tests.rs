//! Words at any offset equal the bytes there, through slices and through words alone.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// A page that can only be read by words, as an optimistic reader does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnlyWords<'b>(pub(crate) &'b [u8]);

impl Words for OnlyWords<'_> {
    fn word(self, index: usize) -> u64 {
        Words::word(self.0, index)
    }

    fn page_bytes(self) -> usize {
        self.0.len()
    }
}

fn page() -> Vec<u8> {
    (0..4096u32).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn bytes_at(page: &[u8], offset: usize, len: usize) -> Vec<u8> {
    (offset..offset + len).map(|at| page.get(at).copied().unwrap_or(0)).collect()
}

#[test]
fn eight_bytes_are_read_at_any_offset_and_zeros_beyond() {
    let page = page();
    for offset in (0..40).chain(4080..4110) {
        let expected = u64::from_le_bytes(bytes_at(&page, offset, 8).try_into().unwrap());
        assert_eq!(page.as_slice().u64_at(offset), expected);
        assert_eq!(OnlyWords(&page).u64_at(offset), expected);
    }
}

proptest! {
    #[test]
    fn a_range_is_copied_as_it_is(offset in 0usize..4200, len in 0usize..300, before in 0usize..400) {
        let page = page();
        let mut out = vec![9; before];
        OnlyWords(&page).copy_to(offset, len, &mut out);
        prop_assert_eq!(&out, &bytes_at(&page, offset, len));
        page.as_slice().append_to(offset, len, &mut out);
        prop_assert_eq!(&out[len..], &bytes_at(&page, offset, len));
    }

    #[test]
    fn bytes_compare_as_slices_do(
        a in vec(0u8..3, 0..20),
        b in vec(0u8..3, 0..20),
        offset in 0usize..20,
    ) {
        let mut page = vec![0; 4096];
        page[offset..offset + a.len()].copy_from_slice(&a);
        prop_assert_eq!(OnlyWords(&page).compare(offset, a.len(), &b), a.cmp(&b));
        prop_assert_eq!(page.as_slice().compare(offset, a.len(), &b), a.cmp(&b));
    }

    #[test]
    fn padded_words_compare_as_bytes_do(a in vec(any::<u8>(), 8), b in vec(any::<u8>(), 8), n in 0usize..9) {
        prop_assert_eq!(big_endian_padded(&a[..n]).cmp(&big_endian_padded(&b[..n])), a[..n].cmp(&b[..n]));
    }
}

#[test]
fn a_length_beyond_the_page_allocates_no_more_than_a_page() {
    let mut out = Vec::new();
    OnlyWords(&page()).copy_to(1 << 40, usize::MAX, &mut out);
    assert_eq!(out, vec![0; 4096]);
}
