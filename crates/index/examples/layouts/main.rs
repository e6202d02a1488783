//! Ablation of leaf layouts: lookups, insertions, scans and pages of trees that differ in their leaves alone.
//!
//! `cargo run --release -p aquifer-index --example layouts -- [RECORDS] [ROUNDS] [INPUT] [LEAVES,LEAVES]`: parts of names, all without them.
//!
//! All trees lie on a real pager, are read as optimistic readers read, and have the real inner pages: this example compiles the
//! crate's own files for pages, so that layouts which exist here only share code with the one that is built in. The tree
//! itself ([`tree`]) is for one thread and knows nothing of deletions. The row `built in` is the crate's tree, through its public
//! interface; it must agree with the row `dense`, or with `fingerprints, sorted`, whichever it chooses for an input: they have the same leaves in
//! this example's tree.
//!
//! Inputs are made from seeds. All trees of a round grow and are read side by side, in turns of some ten milliseconds, so that what
//! else goes on disturbs all alike; time is the processor's. Figures are medians over the turns of all rounds, and ratios medians of
//! the turns' ratios to `+ hints`.
//!
//! # Invariants
//!
//! - **AB1** A page holds the records of one leaf between its fences, with header and fences as the crate's pages have them.
//! - **AB2** What a search reads of a page it reads through [`Words`](words::Words), and no value makes it panic or loop without end.
//! - **AB3** Each tree is checked in the first round: every key has its value, absent keys have none, a scan gives all keys in order.
//!   `-- 20000 1` does that in seconds.

mod btree;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/fault.rs"]
mod fault;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/leaf_value.rs"]
mod leaf_value;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/words.rs"]
mod words;

mod built_in;
mod dense;
mod hinted;
mod inputs;
mod leaf;
mod measure;
mod packed;
mod slotted;
mod tree;

use built_in::BuiltIn;
use dense::Dense;
use hinted::{Built, Hinted};
use inputs::Input;
use leaf_value::{LeafValue, ValueKind};
use measure::{Entry, Section, entry, print_head};
use packed::Packed;
use slotted::{FINGERPRINTS, HEADS, PREFIX, Slotted, UNSORTED};
use tree::Tree;

/// Bytes of a value: a reference to something else, and a small record.
const VALUE_BYTES: [usize; 2] = [8, 100];

/// The layouts, each with what is new in it. The ratios of the table are to the one called `+ hints`.
const LAYOUTS: [(&str, Entry); 9] = [
    ("plain", entry::<Tree<Slotted<0>>>),
    ("+ prefix", entry::<Tree<Slotted<PREFIX>>>),
    ("+ heads", entry::<Tree<Slotted<{ PREFIX | HEADS }>>>),
    ("+ hints", entry::<Tree<Hinted>>),
    ("built in", entry::<BuiltIn>),
    ("fingerprints, sorted", entry::<Tree<Built<true>>>),
    ("fingerprints, unsorted", entry::<Tree<Slotted<{ PREFIX | FINGERPRINTS | UNSORTED }>>>),
    ("dense", entry::<Tree<Dense>>),
    ("packed", entry::<Tree<Packed>>),
];
const REFERENCE: &str = "+ hints";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let records = arguments.next().map_or(1_000_000, |number| number.parse().expect("a number of records"));
    let rounds = arguments.next().map_or(3, |number| number.parse().expect("a number of rounds"));
    let only = arguments.next();
    let leaves = arguments.next();
    let is_wanted = |name: &str| {
        name == REFERENCE
            || leaves.as_deref().is_none_or(|leaves| leaves.split(',').any(|part| name.contains(part)))
    };
    let layouts: Vec<_> = LAYOUTS.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    println!("{records} records, pages of 4096 bytes, medians of {rounds} rounds\n");
    print_head();
    for name in
        inputs::NAMES.into_iter().filter(|name| only.as_deref().is_none_or(|only| name.contains(only)))
    {
        let input = Input::new(name, records);
        for value_bytes in VALUE_BYTES {
            let mut section = Section::new(&input, value_bytes, &layouts);
            for round in 0..rounds {
                section.measure(round == 0);
            }
            section.print(REFERENCE);
        }
    }
}
