//! Whole trees on a pager in memory.

mod damage;
mod kinds;
mod model;
mod small_budget;
mod stress;
mod whole_life;
