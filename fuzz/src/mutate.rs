//! Structured random changes of an input: bits, bytes, numbers that are edges of something, pieces that move, and pieces
//! of another input.

use aquifer_sim::Random;

/// Numbers at which readers of numbers err.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0xFFFF,
    0x1_0000,
    0x7FFF_FFFF,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
    1 << 62,
    u64::MAX - 1,
    u64::MAX,
];

/// An index or a length below `bound`, which is not 0.
fn below(random: &mut Random, bound: usize) -> usize {
    random.below(bound as u64) as usize
}

/// An input of at most `len_max` bytes: one of `corpus`, changed; sometimes nothing but random bytes.
pub fn input(random: &mut Random, corpus: &[Vec<u8>], len_max: usize) -> Vec<u8> {
    if corpus.is_empty() || random.chance(3) {
        let len = below(random, len_max.min(300) + 1);
        return (0..len).map(|_| random.draw() as u8).collect();
    }
    let mut bytes = corpus[below(random, corpus.len())].clone();
    let most = [1, 2, 4, 12][below(random, 4)];
    let changes = 1 + below(random, most);
    for _ in 0..changes {
        change(random, &mut bytes, corpus);
    }
    bytes.truncate(len_max);
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    if bytes.is_empty() {
        bytes.push(random.draw() as u8);
        return;
    }
    let at = below(random, bytes.len());
    let most = [4, 16, 64, 512][below(random, 4)].min(bytes.len() - at);
    let len = 1 + below(random, most);
    match below(random, 10) {
        0 | 1 => bytes[at] ^= 1 << below(random, 8),
        2 => bytes[at] = random.draw() as u8,
        3 | 4 => number(random, &mut bytes[at..]),
        5 => drop(bytes.drain(at..at + len)),
        6 => {
            let piece = bytes[at..at + len].to_vec();
            let to = below(random, bytes.len());
            drop(bytes.splice(to..to, piece));
        }
        7 => {
            let piece = bytes[at..at + len].to_vec();
            let to = below(random, bytes.len() - len + 1);
            bytes[to..to + len].copy_from_slice(&piece);
        }
        8 => {
            let other = &corpus[below(random, corpus.len())];
            let from = below(random, other.len() + 1);
            let piece = other[from..(from + len).min(other.len())].to_vec();
            let to = if random.chance(50) { at } else { (at + piece.len()).min(bytes.len()) };
            drop(bytes.splice(at..to, piece));
        }
        _ => {
            let byte = if random.chance(50) { 0 } else { random.draw() as u8 };
            bytes[at..at + len].fill(byte);
        }
    }
}

/// Makes a number of one to eight bytes an edge, or one a little off.
fn number(random: &mut Random, place: &mut [u8]) {
    let width = (1 << below(random, 4)).min(place.len());
    let mut old = [0; 8];
    old[..width].copy_from_slice(&place[..width]);
    let old = u64::from_le_bytes(old);
    let new = match below(random, 3) {
        0 => old.wrapping_add(1 + below(random, 16) as u64),
        1 => old.wrapping_sub(1 + below(random, 16) as u64),
        _ => EDGES[below(random, EDGES.len())],
    };
    let mut bytes = new.to_le_bytes();
    if random.chance(20) {
        bytes[..width].reverse();
    }
    place[..width].copy_from_slice(&bytes[..width]);
}
