//! The legal states after a loss of power: all of them, and nothing else, against a brute force that knows only the rules.

use crate::{at, create, open, stable, write, write_durable};
use aquifer_io::{BLOCK_BYTES, Disk, OpenMode};
use aquifer_sim::{Random, SimDisk};
use std::collections::{BTreeMap, BTreeSet};

/// The first byte of each sector of each file; what is not full of one byte is garbage.
type Seen = BTreeMap<String, Vec<u8>>;

/// No test writes this byte.
const GARBAGE: u8 = 0xEE;

fn seen(disk: &SimDisk, sector_bytes: usize) -> Seen {
    let sector = |bytes: &[u8]| crate::full_of(bytes).unwrap_or(GARBAGE);
    disk.contents()
        .into_iter()
        .map(|(name, bytes)| (name, bytes.chunks(sector_bytes).map(sector).collect()))
        .collect()
}

/// What was done to a file since it was durable, by sectors.
#[derive(Debug, Clone)]
enum Step {
    Write(usize, u8),
    Length(usize),
    Grow(usize),
    Punch(usize, usize),
}

/// A file by the rules: its durable sectors, and what came after.
#[derive(Debug, Clone, Default)]
struct Model {
    durable: Vec<u8>,
    steps: Vec<Step>,
}

impl Model {
    fn len(&self) -> usize {
        self.steps.iter().fold(self.durable.len(), |len, step| match step {
            Step::Length(new) => *new,
            Step::Grow(new) => len.max(*new),
            _ => len,
        })
    }

    /// Every outcome, by trying every choice.
    fn outcomes(&self) -> BTreeSet<Vec<u8>> {
        let metadata = self.steps.iter().filter(|step| !matches!(step, Step::Write(..))).count();
        let mut all = BTreeSet::new();
        for kept in 0..=metadata {
            self.choose(&self.steps, kept, self.durable.clone(), &mut all);
        }
        all
    }

    fn choose(&self, steps: &[Step], kept: usize, mut bytes: Vec<u8>, all: &mut BTreeSet<Vec<u8>>) {
        let Some((step, rest)) = steps.split_first() else {
            all.insert(bytes);
            return;
        };
        match step {
            Step::Write(sector, byte) => {
                self.choose(rest, kept, bytes.clone(), all);
                if *sector < bytes.len() {
                    for value in [*byte, GARBAGE] {
                        bytes[*sector] = value;
                        self.choose(rest, kept, bytes.clone(), all);
                    }
                }
            }
            _ if kept == 0 => self.choose(rest, 0, bytes, all),
            Step::Length(len) => {
                bytes.resize(*len, 0);
                self.choose(rest, kept - 1, bytes, all);
            }
            Step::Grow(len) => {
                bytes.resize(bytes.len().max(*len), 0);
                self.choose(rest, kept - 1, bytes, all);
            }
            Step::Punch(from, to) => {
                let end = bytes.len().min(*to);
                bytes[(*from).min(end)..end].fill(0);
                self.choose(rest, kept - 1, bytes, all);
            }
        }
    }
}

/// Does the same to a disk and to models; sectors are `sector_bytes` long.
struct Pair {
    disk: SimDisk,
    models: BTreeMap<String, Model>,
    sector_bytes: usize,
}

impl Pair {
    /// Files `a` and `b`, of two durable blocks each.
    fn new(seed: u64, sector_bytes: usize) -> Pair {
        let disk = SimDisk::with_seed(seed);
        disk.set_sector_bytes(sector_bytes);
        let mut models = BTreeMap::new();
        for (name, byte) in [("a", 1), ("b", 2)] {
            drop(stable(&disk, name, &[byte; 2]));
            let durable = vec![byte; 2 * BLOCK_BYTES / sector_bytes];
            models.insert(name.to_owned(), Model { durable, steps: Vec::new() });
        }
        Pair { disk, models, sector_bytes }
    }

    fn act(&mut self, random: &mut Random, byte: u8) {
        let name = ["a", "b"][random.below(2) as usize];
        let file = open(&self.disk, name);
        let model = self.models.get_mut(name).unwrap();
        let per_block = BLOCK_BYTES / self.sector_bytes;
        let block = random.below(4) as usize;
        let sectors = block * per_block..(block + 1) * per_block;
        match random.below(10) {
            0 => {
                file.truncate(at(block as u64)).unwrap();
                if sectors.start != model.len() {
                    model.steps.push(Step::Length(sectors.start));
                }
            }
            1 => {
                file.punch_hole(at(block as u64), at(1)).unwrap();
                model.steps.push(Step::Punch(sectors.start, sectors.end));
            }
            2 => {
                file.allocate(0, at(block as u64 + 1)).unwrap();
                model.steps.push(Step::Grow(sectors.end));
            }
            3 => {
                file.sync_data().unwrap();
                let mut bytes = model.durable.clone();
                for step in std::mem::take(&mut model.steps) {
                    match step {
                        Step::Write(sector, byte) => bytes[sector] = byte,
                        Step::Length(len) => bytes.resize(len, 0),
                        Step::Grow(len) => bytes.resize(bytes.len().max(len), 0),
                        Step::Punch(from, to) => {
                            let end = bytes.len().min(to);
                            bytes[from.min(end)..end].fill(0);
                        }
                    }
                }
                model.durable = bytes;
            }
            _ => {
                write(&*file, block as u64, &[byte]).unwrap();
                model.steps.push(Step::Grow(sectors.end));
                model.steps.extend(sectors.map(|sector| Step::Write(sector, byte)));
            }
        }
    }

    fn expected(&self) -> BTreeSet<Seen> {
        let (a, b) = (self.models["a"].outcomes(), self.models["b"].outcomes());
        let both = a.iter().flat_map(|a| b.iter().map(move |b| (a.clone(), b.clone())));
        both.map(|(a, b)| Seen::from([("a".to_owned(), a), ("b".to_owned(), b)])).collect()
    }

    fn enumerated(&self) -> BTreeSet<Seen> {
        let states = self.disk.crash_states(200_000).expect("there are few");
        let total = states.total();
        let mut count = 0;
        let all = states.inspect(|_| count += 1).map(|disk| seen(&disk, self.sector_bytes)).collect();
        assert_eq!(count, total);
        all
    }
}

#[test]
fn the_enumeration_is_what_brute_force_finds() {
    let mut most = 0;
    for seed in 0..400 {
        let mut random = Random(seed);
        let (sector_bytes, steps) = if seed % 4 == 0 { (2048, 3) } else { (4096, 2 + random.below(4)) };
        let mut pair = Pair::new(seed, sector_bytes);
        for step in 0..steps {
            pair.act(&mut random, 10 + step as u8);
        }
        let (found, expected) = (pair.enumerated(), pair.expected());
        assert!(found == expected, "seed {seed}: {} states, {} by brute force", found.len(), expected.len());
        most = most.max(found.len());
    }
    assert!(most > 200, "some cases are not trivial: {most}");
}

#[test]
fn sectors_of_a_block_are_torn_apart() {
    for (sector_bytes, states) in [(512, 6561), (1024, 81), (2048, 9), (4096, 3)] {
        let disk = SimDisk::new();
        disk.set_sector_bytes(sector_bytes);
        let file = stable(&disk, "a", &[1]);
        write(&*file, 0, &[2]).unwrap();
        let all = disk.crash_states(10_000).unwrap();
        assert_eq!(all.total(), states);
        assert_eq!(states_of(all, sector_bytes).len() as u64, states, "each differs");
        assert!(disk.crash_states(states - 1).is_none(), "the bound holds");
        assert!(disk.crash_states(states).is_some());
    }
}

fn states_of(states: aquifer_sim::CrashStates, sector_bytes: usize) -> BTreeSet<Seen> {
    states.map(|disk| seen(&disk, sector_bytes)).collect()
}

#[test]
fn a_case_too_large_is_refused_at_once() {
    let disk = SimDisk::new();
    let file = stable(&disk, "a", &[1]);
    write(&*file, 0, &[7; 1000]).unwrap();
    assert!(disk.crash_states(1 << 40).is_none());
}

/// Whether a drawn state is one of these: garbage may be anything.
fn is_among(drawn: &Seen, legal: &BTreeSet<Seen>) -> bool {
    legal.contains(drawn)
        || legal.iter().any(|state| {
            state.len() == drawn.len()
                && state.iter().zip(drawn).all(|((name, legal), (other, bytes))| {
                    name == other
                        && legal.len() == bytes.len()
                        && legal.iter().zip(bytes).all(|(legal, byte)| *legal == GARBAGE || legal == byte)
                })
        })
}

#[test]
fn draws_are_legal_and_leave_nothing_out() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut pair = Pair::new(seed, 4096);
        for step in 0..3 {
            pair.act(&mut random, 10 + step);
        }
        let legal = pair.expected();
        let mut drawn = BTreeSet::new();
        let few = legal.len() <= 4;
        for crash in 0..if few { 2000 } else { 200 } {
            let state = seen(&pair.disk.after_power_loss(crash), 4096);
            assert!(is_among(&state, &legal), "seed {seed}, crash {crash}: {state:?}");
            drawn.insert(state);
        }
        assert!(legal.contains(&seen(&pair.disk.after_worst_power_loss(), 4096)));
        if few {
            assert!(legal.is_subset(&drawn), "seed {seed}: {:?}", legal.difference(&drawn));
        }
    }
}

#[test]
fn every_state_of_torn_sectors_is_drawn_sometimes() {
    let disk = SimDisk::new();
    disk.set_sector_bytes(1024);
    let file = stable(&disk, "a", &[1]);
    write(&*file, 0, &[2]).unwrap();
    let all = states_of(disk.crash_states(100).unwrap(), 1024);
    let mut drawn = BTreeSet::new();
    for seed in 0..20_000 {
        let mut state = seen(&disk.after_power_loss(seed), 1024);
        // Nobody wrote zeros here.
        let sectors = state.get_mut("a").unwrap();
        sectors.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = GARBAGE);
        drawn.insert(state);
    }
    assert_eq!(all.len(), 81);
    assert!(all.is_subset(&drawn), "{} of 81", drawn.len());
}

#[test]
fn lengths_are_independent_of_data() {
    let disk = SimDisk::new();
    disk.set_sector_bytes(4096);
    let file = stable(&disk, "a", &[1]);
    write(&*file, 0, &[5]).unwrap();
    write(&*file, 1, &[6]).unwrap();
    let all = states_of(disk.crash_states(100).unwrap(), 4096);
    for state in [vec![1], vec![5], vec![1, 0], vec![1, 6], vec![5, 0], vec![5, 6], vec![GARBAGE, GARBAGE]] {
        assert!(all.contains(&Seen::from([("a".to_owned(), state.clone())])), "{state:?}");
    }
    assert_eq!(all.len(), 12);
}

#[test]
fn names_survive_as_prefixes_beside_the_data() {
    let disk = SimDisk::new();
    disk.set_sector_bytes(4096);
    drop(stable(&disk, "old", &[1]));
    let file = disk.open("new", OpenMode::CreateNew).unwrap();
    write(&*file, 0, &[2]).unwrap();
    disk.rename("new", "old").unwrap();
    let all = states_of(disk.crash_states(100).unwrap(), 4096);
    let state = |files: &[(&str, &[u8])]| -> Seen {
        files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
    };
    let mut expected = BTreeSet::from([state(&[("old", &[1])])]);
    for bytes in [&[][..], &[0], &[2], &[GARBAGE]] {
        expected.insert(state(&[("new", bytes), ("old", &[1])]));
        expected.insert(state(&[("old", bytes)]));
    }
    assert_eq!(all, expected);
    file.sync_data().unwrap();
    disk.sync_directory("").unwrap();
    assert_eq!(states_of(disk.crash_states(100).unwrap(), 4096), BTreeSet::from([state(&[("old", &[2])])]));
}

#[test]
fn a_file_that_nothing_names_has_no_states() {
    let disk = SimDisk::new();
    let file = create(&disk, "a");
    disk.remove("a").unwrap();
    disk.sync_directory("").unwrap();
    write(&*file, 0, &[1; 50]).unwrap();
    assert_eq!(disk.crash_states(1).unwrap().total(), 1);
}

#[test]
fn every_state_holds_what_was_written_durably() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut pair = Pair::new(seed, 4096);
        for step in 0..3 {
            pair.act(&mut random, 10 + step);
        }
        let block = random.below(4);
        write_durable(&*open(&pair.disk, "a"), block, &[99]).unwrap();
        if random.chance(50) {
            write(&*open(&pair.disk, "a"), (block + 1) % 4, &[98]).unwrap();
        }
        let Some(states) = pair.disk.crash_states(10_000) else { continue };
        for state in states {
            assert_eq!(seen(&state, 4096)["a"][block as usize], 99, "seed {seed}");
        }
        for crash in 0..20 {
            let state = seen(&pair.disk.after_power_loss(crash), 4096);
            assert_eq!(state["a"][block as usize], 99, "seed {seed}, crash {crash}");
        }
    }
}
