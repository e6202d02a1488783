//! Whole indexes on a pager in memory.

mod damage;
mod model;
mod small_budget;
mod stress;
mod whole_life;
