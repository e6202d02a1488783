//! Components and cycles against brute force on small random graphs.

use super::*;

fn graph(nodes: usize, edges: &[(u32, u32)]) -> Graph<()> {
    let mut graph = Graph::new(nodes);
    edges.iter().for_each(|&(from, to)| graph.add(from, to, ()));
    graph
}

/// Is there a cycle? By reachability.
fn has_cycle(nodes: usize, edges: &[(u32, u32)]) -> bool {
    let mut reaches = vec![vec![false; nodes]; nodes];
    edges.iter().for_each(|&(from, to)| reaches[from as usize][to as usize] = true);
    for via in 0..nodes {
        for from in 0..nodes {
            for to in 0..nodes {
                reaches[from][to] |= reaches[from][via] && reaches[via][to];
            }
        }
    }
    (0..nodes).any(|node| reaches[node][node])
}

#[test]
fn a_cycle_is_found_if_there_is_one() {
    let mut state = 1u64;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % bound
    };
    let mut seen = [0, 0];
    for _ in 0..3000 {
        let nodes = 1 + below(8) as usize;
        let count = below(2 * nodes as u64);
        let edges: Vec<(u32, u32)> =
            (0..count).map(|_| (below(nodes as u64) as u32, below(nodes as u64) as u32)).collect();
        let graph = graph(nodes, &edges);
        let component = graph.component_with_cycle(|()| true);
        assert_eq!(component.is_some(), has_cycle(nodes, &edges), "{edges:?}");
        seen[usize::from(component.is_some())] += 1;
        if let Some(component) = component {
            let cycle = graph.cycle(&component, |()| true);
            assert!(!cycle.is_empty());
            for (at, &(node, ())) in cycle.iter().enumerate() {
                let next = cycle[(at + 1) % cycle.len()].0;
                assert!(edges.contains(&(node, next)), "{cycle:?} of {edges:?}");
            }
        }
    }
    assert!(seen[0] > 500 && seen[1] > 500);
}

#[test]
fn edges_that_are_not_followed_are_not_there() {
    let mut graph = Graph::new(3);
    graph.add(0, 1, 'a');
    graph.add(1, 2, 'b');
    graph.add(2, 0, 'a');
    assert!(graph.component_with_cycle(|_| true).is_some());
    assert!(graph.component_with_cycle(|edge| edge == 'a').is_none());
}

#[test]
fn a_long_way_needs_no_deep_stack() {
    let count = 1_000_000;
    let mut graph = Graph::new(count as usize);
    (0..count).for_each(|node| graph.add(node, (node + 1) % count, ()));
    assert_eq!(graph.component_with_cycle(|()| true).map(|component| component.len()), Some(count as usize));
}
