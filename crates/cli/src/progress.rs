//! Progress on standard error: a bar with its rate on a terminal, nothing at all otherwise.

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Time between two looks at the clock's business: a bar drawn more often only flickers.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// A bar that is shown on a terminal.
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    drawn: Instant,
}

impl Progress {
    /// Progress through so many bytes, or through bytes without a known end.
    pub fn of_bytes(total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{bar:30} {percent}% {binary_bytes}/{binary_total_bytes}  {msg}  {eta} left",
            None => "{spinner} {binary_bytes}  {msg}  {elapsed}",
        };
        Self::new(total, template)
    }

    /// Progress through so many things; `name` says which.
    pub fn of_things(total: u64, name: &str) -> Self {
        let progress =
            Self::new(Some(total), "{prefix}  {bar:30} {human_pos}/{human_len}  {per_sec}  {eta} left");
        progress.bar.set_prefix(name.to_owned());
        progress
    }

    fn new(total: Option<u64>, template: &str) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style =
            ProgressStyle::with_template(template).expect("the templates of this file are well-formed");
        let bar = ProgressBar::with_draw_target(total, target).with_style(style);
        let now = Instant::now();
        Self { bar, begun: now, drawn: now }
    }

    /// Shows how many bytes and records have been read.
    pub fn records(&mut self, bytes: u64, records: u64) {
        if self.drawn.elapsed() < DRAW_EVERY {
            return;
        }
        self.drawn = Instant::now();
        let rate = records as f64 / self.begun.elapsed().as_secs_f64();
        self.bar.set_position(bytes);
        self.bar.set_message(format!("{} records, {}/s", HumanCount(records), HumanCount(rate as u64)));
    }

    /// Shows how many things there are and how many are done.
    pub fn things(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Names what is being done now.
    pub fn name(&self, name: &str) {
        self.bar.set_prefix(name.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
