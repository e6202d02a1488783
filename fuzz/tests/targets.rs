//! Every target holds its property on its corpus and on a fixed number of random inputs; and the means can fail.

use aquifer_fuzz::campaign::{self, Length};
use aquifer_fuzz::targets::{TARGETS, Target, named};
use aquifer_fuzz::{corpus, image, recipe};

/// Changing it changes the random inputs; a failure prints it with the number of the input.
const SEED: u64 = 20;

fn inputs_of(target: &Target) -> Vec<Vec<u8>> {
    let inputs = corpus::read(&corpus::folder(target)).expect("a folder of inputs");
    assert!(inputs.len() >= 5, "{}: {} inputs", target.name, inputs.len());
    inputs.into_iter().map(|(_, bytes)| bytes).collect()
}

fn run(name: &str, count: u64) {
    let target = named(name).expect("it is in the list");
    let ran = campaign::run(target, &inputs_of(target), SEED, Length::Inputs(count), None);
    assert_eq!(ran.unwrap_or_else(|error| panic!("{error:#}")), count);
}

macro_rules! targets {
    ($($name:ident: $count:expr;)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), $count);
        })*

        #[test]
        fn every_target_is_tested() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets! {
    superblock: 1500;
    page_map: 1500;
    tree_page: 1000;
    hash_page: 1000;
    log_segments: 500;
    log_record: 20_000;
    replay: 500;
    key_group: 20_000;
    catalog_row: 1500;
    key_codec: 20_000;
    value_codec: 20_000;
    cli_import: 3000;
    cli_text: 10_000;
    directory: 500;
    dump: 1500;
    backup: 300;
}

#[test]
fn corpora_are_what_the_seeds_make() {
    for target in TARGETS {
        let inputs = corpus::read(&corpus::folder(target)).unwrap();
        for (name, bytes) in (target.seeds)() {
            let name = format!("seed-{name}");
            let input = inputs.iter().find(|(other, _)| *other == name);
            let there = input.unwrap_or_else(|| panic!("{}/{name} is missing", target.name));
            // The time is in log segments and changes.
            assert!(target.name == "log_segments" || there.1 == bytes, "{}/{name} differs", target.name);
            assert!(
                there.1.len() <= target.input_bytes_max,
                "{}/{name}: {} bytes",
                target.name,
                there.1.len()
            );
        }
    }
}

#[test]
fn the_databases_hold_the_last_state_of_the_recipe() {
    for base in recipe::bases() {
        let disk = aquifer_fuzz::disk::MemoryDisk::new(&base.files);
        let db = recipe::options(&disk).open("").unwrap();
        assert_eq!(&recipe::read_state(&db).unwrap(), recipe::states().last().unwrap());
    }
    for closed in [true, false] {
        let made = recipe::make(closed).unwrap();
        let names: Vec<&String> = made.keys().collect();
        let checked_in: Vec<&String> = recipe::bases()[usize::from(!closed)].files.keys().collect();
        assert_eq!(names, checked_in);
    }
}

#[test]
fn files_are_read_as_they_were_written() {
    for base in recipe::bases() {
        let written = image::write(&base.files);
        assert_eq!(image::read(&mut aquifer_fuzz::source::Source::new(&written)), base.files);
    }
}

#[test]
fn sealing_makes_every_checksum_right_and_leaves_right_ones_alone() {
    let mut sound = 0;
    for base in recipe::bases() {
        for (name, bytes) in &base.files {
            let (mut sealed, number) = (bytes.clone(), image::number(name));
            if number == 0 {
                image::seal_superblocks(&mut sealed);
                assert!(sealed == *bytes, "{name}");
                continue;
            }
            image::seal_segment(&mut sealed, number, false);
            // What an earlier life of the file left in it is not sound.
            let before: Vec<bool> = image::batches(bytes, number).iter().map(|batch| batch.sound).collect();
            let after = image::batches(&sealed, number);
            assert_eq!(after.len(), before.len(), "{name}");
            assert!(after.iter().all(|batch| batch.sound), "{name}");
            if before.iter().all(|sound| *sound) && bytes[..8] == *b"AQUIFLOG" {
                assert!(sealed == *bytes, "{name}");
            }
            sound += before.iter().filter(|sound| **sound).count();
        }
    }
    assert!(sound >= 10, "{sound} sound batches");
}

#[test]
fn a_broken_property_is_reported_with_its_input() {
    fn fails(input: &[u8]) {
        assert!(input.len() < 5, "too long");
    }
    let target =
        Target { name: "fails", run: fails, input_bytes_max: 10, seeds: || vec![("a".into(), vec![1; 4])] };
    let corpus = vec![vec![1; 4]];
    let error = campaign::run(&target, &corpus, 3, Length::Inputs(1000), None).unwrap_err().to_string();
    assert!(error.starts_with("fails, seed 3, input ") && error.contains("too long"), "{error}");
    let number: u64 = error.split(&[' ', ':'][..]).nth(4).unwrap().parse().unwrap();
    let input = campaign::input(&target, &corpus, 3, number);
    assert!(input.len() >= 5 && error.contains(&format!("{input:02x?}")), "{error}");
}

#[test]
fn libfuzzer_has_the_same_targets() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cargo-fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let named: Vec<&str> = manifest
        .split("[[bin]]")
        .skip(1)
        .map(|bin| bin.split('"').nth(1).expect("a name comes first"))
        .collect();
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(named, names);
    for name in names {
        let program = std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("aquifer_fuzz::targets::{name}::TARGET.run")), "{name}");
    }
}
