//! Alignment, contents and ownership of buffers.

use super::*;

#[test]
fn owned_buffers_are_aligned_and_zero() {
    for blocks in [1, 2, 7, 256] {
        let buffer = Buffer::zeroed(blocks * BLOCK_BYTES);
        assert_eq!(buffer.as_ptr().addr() % BLOCK_BYTES, 0);
        assert_eq!(buffer.len(), blocks * BLOCK_BYTES);
        assert!(buffer.iter().all(|&byte| byte == 0));
    }
}

#[test]
fn memory_used_before_is_zero_again() {
    for _ in 0..100 {
        let mut buffer = Buffer::zeroed(BLOCK_BYTES);
        assert!(buffer.iter().all(|&byte| byte == 0));
        buffer.fill(0xAA);
    }
}

#[test]
fn empty_buffer_is_usable() {
    let mut buffer = Buffer::zeroed(0);
    assert!(buffer.is_empty());
    buffer.fill(1);
    assert_eq!(buffer.as_ptr().addr() % BLOCK_BYTES, 0);
}

#[test]
fn buffers_move_between_threads() {
    let mut buffer = Buffer::zeroed(BLOCK_BYTES);
    buffer[17] = 42;
    let buffer = aquifer_sync::thread::spawn(move || {
        assert_eq!(buffer[17], 42);
        buffer
    })
    .join()
    .expect("the thread did not panic");
    assert_eq!(buffer[17], 42);
}

#[test]
fn frame_is_written_through_and_not_freed() {
    let mut memory = Buffer::zeroed(2 * BLOCK_BYTES);
    let start = NonNull::new(memory.as_mut_ptr()).expect("not null");
    // SAFETY: `memory` is not touched until the view is dropped.
    let mut frame = unsafe { Buffer::from_frame(start, BLOCK_BYTES) };
    frame.fill(9);
    drop(frame);
    assert!(memory[..BLOCK_BYTES].iter().all(|&byte| byte == 9));
    assert!(memory[BLOCK_BYTES..].iter().all(|&byte| byte == 0));
}

#[test]
#[should_panic(expected = "B1")]
fn broken_length_panics() {
    let _ = Buffer::zeroed(100);
}

#[test]
#[should_panic(expected = "B1")]
fn broken_frame_address_panics() {
    let mut memory = Buffer::zeroed(2 * BLOCK_BYTES);
    let start = NonNull::new(memory.as_mut_ptr().wrapping_add(512)).expect("not null");
    // SAFETY: valid memory; it panics for its alignment.
    let _ = unsafe { Buffer::from_frame(start, BLOCK_BYTES) };
}
