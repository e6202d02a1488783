//! Strongly connected components of a directed graph, and a short cycle within one.
//!
//! # Invariants
//!
//! - **GR1** Nothing recurses: graphs have millions of nodes.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

/// A graph whose nodes are numbers; edges carry what they are.
#[derive(Debug)]
pub(crate) struct Graph<E> {
    edges: Vec<Vec<(u32, E)>>,
}

impl<E: Copy> Graph<E> {
    pub(crate) fn new(nodes: usize) -> Graph<E> {
        Graph { edges: (0..nodes).map(|_| Vec::new()).collect() }
    }

    pub(crate) fn add(&mut self, from: u32, to: u32, edge: E) {
        self.edges[from as usize].push((to, edge));
    }

    pub(crate) fn from(&self, node: u32) -> &[(u32, E)] {
        &self.edges[node as usize]
    }

    /// The nodes of a strongly connected component, by the edges that `follow` accepts, that has more than one or an edge to itself; nothing if
    /// there is no cycle. Tarjan's algorithm, O(nodes + edges).
    pub(crate) fn component_with_cycle(&self, follow: impl Fn(E) -> bool) -> Option<Vec<u32>> {
        const UNSEEN: u32 = u32::MAX;
        let count = self.edges.len();
        let (mut index, mut low) = (vec![UNSEEN; count], vec![0; count]);
        let (mut on_stack, mut stack) = (vec![false; count], Vec::new());
        let mut next_index = 0;
        let mut calls: Vec<(u32, usize)> = Vec::new(); // GR1: node, and the edge to go on with
        for start in 0..count as u32 {
            if index[start as usize] != UNSEEN {
                continue;
            }
            calls.push((start, 0));
            while let Some(&mut (node, ref mut at)) = calls.last_mut() {
                let this = node as usize;
                if *at == 0 {
                    (index[this], low[this]) = (next_index, next_index);
                    next_index += 1;
                    stack.push(node);
                    on_stack[this] = true;
                }
                let edge = self.edges[this].get(*at).copied();
                *at += 1;
                match edge {
                    Some((_, kind)) if !follow(kind) => {}
                    Some((to, _)) if to == node => return Some(vec![node]),
                    Some((to, _)) if index[to as usize] == UNSEEN => calls.push((to, 0)),
                    Some((to, _)) if on_stack[to as usize] => low[this] = low[this].min(index[to as usize]),
                    Some(_) => {}
                    None => {
                        calls.pop();
                        if let Some(&(parent, _)) = calls.last() {
                            low[parent as usize] = low[parent as usize].min(low[this]);
                        }
                        if low[this] == index[this] {
                            let from = stack.iter().rposition(|&other| other == node).expect("it was pushed");
                            let component = stack.split_off(from);
                            component.iter().for_each(|&node| on_stack[node as usize] = false);
                            if component.len() > 1 {
                                return Some(component);
                            }
                        }
                    }
                }
            }
        }
        None
    }

    /// A shortest cycle through some node of a strongly connected component, as nodes with the edges that lead on from them. Few nodes are tried, so
    /// a shorter one may be elsewhere. O(edges of the component).
    pub(crate) fn cycle(&self, component: &[u32], follow: impl Fn(E) -> bool) -> Vec<(u32, E)> {
        let within: HashSet<u32> = component.iter().copied().collect();
        let tried = component.iter().take(STARTS_MAX);
        let cycles = tried.filter_map(|&start| self.cycle_from(start, &within, &follow));
        cycles.min_by_key(Vec::len).unwrap_or_default()
    }

    fn cycle_from(
        &self,
        start: u32,
        within: &HashSet<u32>,
        follow: &impl Fn(E) -> bool,
    ) -> Option<Vec<(u32, E)>> {
        let mut reached_by = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for &(to, kind) in self.from(node) {
                if !follow(kind) || !within.contains(&to) {
                    continue;
                }
                if to == start {
                    let mut cycle = vec![(node, kind)];
                    let mut at = node;
                    while at != start {
                        let (before, kind) = reached_by[&at];
                        cycle.push((before, kind));
                        at = before;
                    }
                    cycle.reverse();
                    return Some(cycle);
                }
                if let Entry::Vacant(vacant) = reached_by.entry(to) {
                    vacant.insert((node, kind));
                    queue.push_back(to);
                }
            }
        }
        None
    }
}

/// Nodes from which a short cycle is looked for.
const STARTS_MAX: usize = 50;

#[cfg(test)]
mod tests;
