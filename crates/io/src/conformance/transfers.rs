//! Requests, batches and completions.

use super::{
    Check, Opener, assert_pattern, at, block, fill, new_file, pattern, read, succeeded, write, write_pattern,
};
use crate::{BLOCK_BYTES, Buffer, File, OpenMode, Operation, Request};
use aquifer_sync::{Arc, thread};
use std::io::ErrorKind;
use std::ptr::NonNull;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("what was written is read", what_was_written_is_read),
    ("completions are in the order of the requests", completions_are_in_the_order_of_the_requests),
    ("buffers come back", buffers_come_back),
    ("empty batch and empty buffer", empty_batch_and_empty_buffer),
    ("batch of a thousand", batch_of_a_thousand),
    ("adjacent requests keep apart", adjacent_requests_keep_apart),
    ("reads and writes in one batch", reads_and_writes_in_one_batch),
    ("large transfer", large_transfer),
    ("past the end", past_the_end),
    ("unaligned offset is refused", unaligned_offset_is_refused),
    ("errors say where", errors_say_where),
    ("batches waited for in any order", batches_waited_for_in_any_order),
    ("dropped batch has finished", dropped_batch_has_finished),
    ("many threads on one file", many_threads_on_one_file),
    ("frames as buffers", frames_as_buffers),
];

fn what_was_written_is_read(open: Opener<'_>) {
    let file = new_file(open, "read-back");
    write_pattern(&*file, 10, 1);
    assert_pattern(&block(&*file, 7), 7, 1);
    succeeded(file.transfer(vec![write(7, pattern(7, 2))]));
    assert_pattern(&block(&*file, 7), 7, 2);
    assert_pattern(&block(&*file, 6), 6, 1);
    assert_pattern(&block(&*file, 8), 8, 1);
}

fn completions_are_in_the_order_of_the_requests(open: Opener<'_>) {
    let file = new_file(open, "order");
    let scattered = [9, 3, 12, 0, 7, 5];
    succeeded(file.transfer(scattered.iter().map(|&block| write(block, pattern(block, 1))).collect()));
    let wanted = [5, 12, 0, 9, 3, 7, 12];
    let buffers = succeeded(file.transfer(wanted.iter().map(|&block| read(block, 1)).collect()));
    assert_eq!(buffers.len(), 7);
    for (buffer, block) in buffers.iter().zip(wanted) {
        assert_pattern(buffer, block, 1);
    }
}

fn buffers_come_back(open: Opener<'_>) {
    let file = new_file(open, "buffers");
    let buffer = pattern(0, 1);
    let start = buffer.as_ptr();
    let buffers = succeeded(file.transfer(vec![write(0, buffer)]));
    assert_eq!(buffers[0].as_ptr(), start);
    assert_pattern(&buffers[0], 0, 1);
    let completion = file.write_durable(at(1), pattern(1, 1));
    completion.result.expect("written");
    assert_pattern(&completion.buffer, 1, 1);
    // Also from a failure.
    let completion = file.transfer(vec![read(100, 1)]).pop().expect("one");
    assert!(completion.result.is_err());
    assert_eq!(completion.buffer.len(), BLOCK_BYTES);
}

fn empty_batch_and_empty_buffer(open: Opener<'_>) {
    let file = new_file(open, "empty");
    assert!(file.transfer(Vec::new()).is_empty());
    write_pattern(&*file, 1, 1);
    let nothing = |operation| Request { operation, offset: at(50), buffer: Buffer::zeroed(0) };
    let buffers =
        succeeded(file.transfer(vec![nothing(Operation::Read), nothing(Operation::Write), read(0, 1)]));
    assert_eq!(buffers.len(), 3);
    assert_pattern(&buffers[2], 0, 1);
    succeeded(vec![file.write_durable(at(50), Buffer::zeroed(0))]);
    assert_eq!(file.len().expect("a length"), at(1));
}

fn batch_of_a_thousand(open: Opener<'_>) {
    let file = new_file(open, "thousand");
    // 389 is prime to 1000: every block once, scattered.
    let scattered = || (0..1000).map(|index| index * 389 % 1000);
    succeeded(file.transfer(scattered().map(|block| write(block, pattern(block, 1))).collect()));
    let buffers = succeeded(file.transfer(scattered().map(|block| read(block, 1)).collect()));
    assert_eq!(buffers.len(), 1000);
    for (buffer, block) in buffers.iter().zip(scattered()) {
        assert_pattern(buffer, block, 1);
    }
}

fn adjacent_requests_keep_apart(open: Opener<'_>) {
    let file = new_file(open, "adjacent");
    write_pattern(&*file, 300, 1);
    let mut requests: Vec<Request> = (0..300).map(|block| read(block, 1)).collect();
    requests[299] = read(299, 2);
    requests.push(read(5, 3));
    let mut completions = file.transfer(requests);
    let longer = completions.pop().expect("the last");
    longer.result.expect("read");
    for block in 0..3 {
        assert_pattern(&longer.buffer[block * BLOCK_BYTES..][..BLOCK_BYTES], 5 + block as u64, 1);
    }
    // The one that goes past the end fails, and takes no neighbour with it.
    let failed = completions.pop().expect("the last but one");
    assert_eq!(failed.result.expect_err("past the end").kind, ErrorKind::UnexpectedEof);
    for (block, buffer) in succeeded(completions).iter().enumerate() {
        assert_pattern(buffer, block as u64, 1);
    }
}

fn reads_and_writes_in_one_batch(open: Opener<'_>) {
    let file = new_file(open, "mixed");
    write_pattern(&*file, 40, 1);
    let requests =
        (0..40).map(|block| if block % 2 == 0 { read(block, 1) } else { write(block, pattern(block, 2)) });
    let buffers = succeeded(file.transfer(requests.collect()));
    for (block, buffer) in buffers.iter().enumerate() {
        assert_pattern(buffer, block as u64, 1 + block as u64 % 2);
    }
    for index in 0..40 {
        assert_pattern(&block(&*file, index), index, 1 + index % 2);
    }
}

fn large_transfer(open: Opener<'_>) {
    const BLOCKS: usize = 2048;
    let file = new_file(open, "large");
    let mut buffer = Buffer::zeroed(BLOCKS * BLOCK_BYTES);
    for (block, bytes) in buffer.chunks_exact_mut(BLOCK_BYTES).enumerate() {
        fill(bytes, block as u64, 3);
    }
    succeeded(file.transfer(vec![write(1, buffer)]));
    assert_eq!(file.len().expect("a length"), at(2049));
    let buffers = succeeded(file.transfer(vec![read(1, BLOCKS)]));
    for (block, bytes) in buffers[0].chunks_exact(BLOCK_BYTES).enumerate() {
        assert_pattern(bytes, block as u64, 3);
    }
}

fn past_the_end(open: Opener<'_>) {
    let file = new_file(open, "past-the-end");
    write_pattern(&*file, 4, 1);
    let completions = file.transfer(vec![read(3, 1), read(3, 2), read(4, 1), read(1000, 1), read(0, 4)]);
    let kinds: Vec<Option<ErrorKind>> = completions
        .iter()
        .map(|completion| completion.result.as_ref().err().map(|error| error.kind))
        .collect();
    let end = Some(ErrorKind::UnexpectedEof);
    assert_eq!(kinds, [None, end, end, end, None]);
}

fn unaligned_offset_is_refused(open: Opener<'_>) {
    let file = new_file(open, "unaligned");
    write_pattern(&*file, 2, 1);
    let misplaced = |operation, offset| Request { operation, offset, buffer: Buffer::zeroed(BLOCK_BYTES) };
    let requests = vec![misplaced(Operation::Read, 1), read(1, 1), misplaced(Operation::Write, 512)];
    let mut completions = file.transfer(requests);
    for index in [2, 0] {
        let error = completions.remove(index).result.expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidInput);
    }
    assert_pattern(&succeeded(completions)[0], 1, 1);
    let alone = file.transfer(vec![misplaced(Operation::Read, 100)]).pop().expect("one");
    assert_eq!(alone.result.expect_err("refused").kind, ErrorKind::InvalidInput);
    let last = u64::MAX - u64::MAX % BLOCK_BYTES as u64;
    let beyond = file.transfer(vec![misplaced(Operation::Write, last)]).pop().expect("one");
    assert_eq!(beyond.result.expect_err("refused").kind, ErrorKind::InvalidInput);
    let durable = file.write_durable(100, Buffer::zeroed(BLOCK_BYTES));
    assert_eq!(durable.result.expect_err("refused").kind, ErrorKind::InvalidInput);
    assert_pattern(&block(&*file, 0), 0, 1);
}

fn errors_say_where(open: Opener<'_>) {
    let disk = open("errors");
    disk.create_directory("log").expect("made");
    let file = disk.open("log/0001", OpenMode::CreateNew).expect("made");
    write_pattern(&*file, 1, 1);
    for requests in [vec![read(3, 2)], vec![read(3, 2), read(0, 1)]] {
        let error = file.transfer(requests).swap_remove(0).result.expect_err("past the end");
        assert_eq!(error.operation, "read");
        assert_eq!(error.file, "log/0001");
        assert_eq!(error.offset, 12_288);
        assert_eq!(error.len, 8192);
        assert_eq!(error.kind, ErrorKind::UnexpectedEof);
        let text = error.to_string();
        assert!(text.starts_with("read of log/0001 at offset 12288, 8192 bytes: "), "{text}");
    }
}

fn batches_waited_for_in_any_order(open: Opener<'_>) {
    let disk = open("any-order");
    let files = ["a", "b"].map(|name| disk.open(name, OpenMode::CreateNew).expect("made"));
    write_pattern(&*files[0], 400, 1);
    write_pattern(&*files[1], 400, 2);
    for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 5, 0, 3, 1, 4]] {
        // Sizes from one request to more than a ring holds, on two files in turn.
        let sizes = [1, 7, 300, 1, 64, 2];
        let mut pending: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(batch, &size)| {
                Some(files[batch % 2].submit((0..size).map(|block| read(block, 1)).collect()))
            })
            .collect();
        for batch in order {
            let buffers = succeeded(pending[batch].take().expect("waited for once").wait());
            assert_eq!(buffers.len() as u64, sizes[batch]);
            for (block, buffer) in buffers.iter().enumerate() {
                assert_pattern(buffer, block as u64, 1 + batch as u64 % 2);
            }
        }
    }
}

fn dropped_batch_has_finished(open: Opener<'_>) {
    let file = new_file(open, "dropped");
    for version in 1..20 {
        let size = [1, 5, 300][version as usize % 3];
        drop(file.submit((0..size).map(|block| write(block, pattern(block, version))).collect()));
        for index in [0, size - 1] {
            assert_pattern(&block(&*file, index), index, version);
        }
    }
}

fn many_threads_on_one_file(open: Opener<'_>) {
    const THREADS: u64 = 8;
    const BLOCKS: u64 = 24;
    let file = new_file(open, "threads");
    write_pattern(&*file, THREADS * BLOCKS, 0);
    let work = |thread: u64, file: Arc<dyn File>| {
        // Each thread has its blocks; neighbours belong to others.
        let own = || (0..BLOCKS).map(|index| index * THREADS + thread);
        for version in 1..=20 {
            let writes = file.submit(own().map(|block| write(block, pattern(block, version))).collect());
            succeeded(writes.wait());
            let buffers = succeeded(file.transfer(own().map(|block| read(block, 1)).collect()));
            for (buffer, block) in buffers.iter().zip(own()) {
                assert_pattern(buffer, block, version);
            }
        }
    };
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let file = Arc::clone(&file);
            thread::spawn(move || work(thread, file))
        })
        .collect();
    for thread in threads {
        thread.join().expect("the thread did not panic");
    }
}

fn frames_as_buffers(open: Opener<'_>) {
    let file = new_file(open, "frames");
    let mut arena = Buffer::zeroed(8 * BLOCK_BYTES);
    let start = NonNull::new(arena.as_mut_ptr()).expect("an allocation is not null");
    let frame = |index: usize| {
        assert!(index < 8);
        // SAFETY: inside the arena, which outlives the requests and is not touched before they are waited for; each
        // frame is in one request at a time.
        unsafe { Buffer::from_frame(start.byte_add(index * BLOCK_BYTES), BLOCK_BYTES) }
    };
    let requests = (0..8).map(|index| {
        let mut buffer = frame(index);
        fill(&mut buffer, index as u64, 1);
        write(index as u64, buffer)
    });
    succeeded(file.transfer(requests.collect()));
    // Read them back in reverse: frame 0 gets block 7.
    succeeded(file.transfer((0..8).map(|i| Request { buffer: frame(i), ..read(7 - i as u64, 0) }).collect()));
    for (index, bytes) in arena.chunks_exact(BLOCK_BYTES).enumerate() {
        assert_pattern(bytes, 7 - index as u64, 1);
    }
}
