//! All parts together, as an engine composes them: a small transactional store in memory, and what must hold of it.
//!
//! | module | holds |
//! |---|---|
//! | `store` | the store: a map as its pages, a counter as its log |
//! | `hermitage` | the ten cases of Hermitage, at both levels |
//! | `histories` | random transactions on threads, replayed in commit order |
//! | `workloads` | bank transfers, doctors on call, long forks, phantoms, claims |
//! | `model` | interleaved transactions against a multi-version model |

#![cfg(not(loom))]

mod hermitage;
mod histories;
mod model;
mod store;
mod workloads;
