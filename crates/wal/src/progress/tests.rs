//! Tests of `progress`.

use super::{Event, FlightId, Goal, Progress, Step};

type Files = Progress<&'static str>;

fn collect(progress: &mut Files, goal: Goal, end: u64, file: &'static str) -> (FlightId, bool) {
    match progress.next_step(goal) {
        Step::Collect { through } => (progress.collected(end, through, &file), through),
        step => panic!("{step:?}"),
    }
}

fn positions(progress: &Files) -> (u64, u64, u64) {
    (progress.durable, progress.written, progress.collected)
}

#[test]
fn a_leader_leads_and_others_follow() {
    let mut progress = Files::new(0, 1);
    assert_eq!(progress.next_step(Goal::Durable(10)), Step::Collect { through: true });
    assert_eq!(progress.next_step(Goal::Durable(5)), Step::Wait(Event::Landing(FlightId(0))));
    let flight = progress.collected(12, true, &"a");
    assert_eq!(progress.next_step(Goal::Durable(12)), Step::Wait(Event::Landing(FlightId(0))));
    assert_eq!(progress.next_step(Goal::Durable(13)), Step::Wait(Event::Landing(FlightId(1))));
    assert_eq!(progress.completed(flight), 0..1);
    assert_eq!(positions(&progress), (12, 12, 12));
    assert_eq!(progress.next_step(Goal::Durable(12)), Step::Done);
    assert_eq!(progress.next_step(Goal::Durable(13)), Step::Collect { through: true });
    progress.collected_nothing();
    assert!(progress.may_collect());
}

#[test]
fn flights_land_in_order() {
    let mut progress = Files::new(0, 3);
    let (first, _) = collect(&mut progress, Goal::Durable(1), 10, "a");
    let (second, _) = collect(&mut progress, Goal::Durable(20), 20, "a");
    let (third, _) = collect(&mut progress, Goal::Durable(30), 30, "b");
    assert!(!progress.may_collect(), "PR4");
    assert_eq!(progress.completed(third), 0..0);
    assert_eq!(positions(&progress), (0, 0, 30));
    assert_eq!(progress.next_step(Goal::Durable(25)), Step::Wait(Event::Landing(third)));
    assert_eq!(progress.completed(first), 0..1);
    assert_eq!(positions(&progress), (10, 10, 30));
    assert_eq!(progress.completed(second), 1..3);
    assert_eq!(positions(&progress), (30, 30, 30));
}

#[test]
fn plain_writes_are_synced_once_for_all() {
    let mut progress = Files::new(0, 4);
    let (first, through) = collect(&mut progress, Goal::Written(10), 10, "a");
    assert!(!through);
    let (second, through) = collect(&mut progress, Goal::Durable(20), 20, "b");
    assert!(!through, "PR2: something plain is before it");
    progress.completed(first);
    assert_eq!(progress.next_step(Goal::Written(10)), Step::Done);
    assert_eq!(progress.next_step(Goal::Durable(10)), Step::Sync { end: 10, files: vec!["a", "b"] });
    assert_eq!(progress.next_step(Goal::Durable(5)), Step::Wait(Event::Synced));
    // Completed too late for this sync.
    progress.completed(second);
    progress.synced(10);
    assert_eq!(positions(&progress), (10, 20, 20));
    assert!(!progress.collect_through(), "b is not synced yet");
    assert_eq!(progress.next_step(Goal::Durable(20)), Step::Sync { end: 20, files: vec!["b"] });
    progress.synced(20);
    assert_eq!(positions(&progress), (20, 20, 20));
    assert!(collect(&mut progress, Goal::Durable(30), 30, "b").1, "nothing plain is before it any more");
}

#[test]
fn through_and_plain_flights_overlap() {
    let mut progress = Files::new(0, 4);
    let (through, _) = collect(&mut progress, Goal::Durable(10), 10, "a");
    let (plain, _) = collect(&mut progress, Goal::Written(20), 20, "a");
    progress.completed(plain);
    assert_eq!(positions(&progress), (0, 0, 20));
    progress.completed(through);
    assert_eq!(positions(&progress), (10, 20, 20));
}

/// Every order of steps of a few threads with random goals, against what a disk would hold.
#[test]
fn durable_never_runs_ahead_of_the_disk() {
    let mut seed = 1u64;
    let mut random = move |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    for _ in 0..2000 {
        let mut progress = Files::new(0, 3);
        let mut flights: Vec<(FlightId, u64, bool, &str)> = Vec::new();
        // (end, on stable storage), in order; writes that completed but are not stable, by file.
        let mut pieces: Vec<(u64, bool)> = Vec::new();
        let mut volatile: Vec<(u64, &str)> = Vec::new();
        let mut syncing = None;
        for step in 1..60 {
            match random(4) {
                0 | 1 => {
                    let goal = progress.collected + 1 + random(3);
                    let goal = if random(2) == 0 { Goal::Durable(goal) } else { Goal::Written(goal) };
                    let goal = if random(3) == 0 { Goal::Durable(progress.written) } else { goal };
                    match progress.next_step(goal) {
                        Step::Collect { through } => {
                            let (end, file) = (progress.collected + 1 + random(5), ["a", "b"][step / 30]);
                            flights.push((progress.collected(end, through, &file), end, through, file));
                            pieces.push((end, false));
                        }
                        Step::Sync { end, files } => {
                            // What the sync will certainly cover.
                            let covered: Vec<u64> = volatile
                                .iter()
                                .filter(|(_, file)| files.contains(file))
                                .map(|&(end, _)| end)
                                .collect();
                            syncing = Some((end, covered));
                        }
                        Step::Done | Step::Wait(_) => {}
                    }
                }
                2 if !flights.is_empty() => {
                    let (id, end, through, file) = flights.swap_remove(random(flights.len() as u64) as usize);
                    match through {
                        true => {
                            pieces.iter_mut().filter(|piece| piece.0 == end).for_each(|piece| piece.1 = true)
                        }
                        false => volatile.push((end, file)),
                    }
                    progress.completed(id);
                }
                3 => {
                    if let Some((end, covered)) = syncing.take() {
                        for piece in pieces.iter_mut().filter(|piece| covered.contains(&piece.0)) {
                            piece.1 = true;
                        }
                        volatile.retain(|(end, _)| !covered.contains(end));
                        progress.synced(end);
                    }
                }
                _ => {}
            }
            let stable = pieces.iter().take_while(|piece| piece.1).last().map_or(0, |piece| piece.0);
            assert!(progress.durable <= stable, "{} is stated, {stable} is stable", progress.durable);
        }
    }
}
