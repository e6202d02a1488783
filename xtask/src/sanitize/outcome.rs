//! How the tests of a package went under a sanitizer: read from the test runner's lines and the sanitizer's files.

use std::fmt;

/// Counts of one program, or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed, and programs that ended without a result (SZ3).
    pub failed: u64,
    /// Tests that are run only when asked for.
    pub ignored: u64,
    /// What the sanitizer reported.
    pub reports: u64,
    /// Reports that it kept to itself because they are known to be no error.
    pub suppressed: u64,
    /// Whether the runner said how the tests went.
    ended: bool,
}

impl Outcome {
    /// Takes a line of the test runner in.
    pub fn hear(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        let count = |what: &str| -> Option<u64> {
            let part = counts.split([';', '.']).find_map(|part| part.trim().strip_suffix(what))?;
            part.trim().parse().ok()
        };
        if let (Some(passed), Some(failed), Some(ignored)) =
            (count(" passed"), count(" failed"), count(" ignored"))
        {
            self.passed += passed;
            self.failed += failed;
            self.ignored += ignored;
            self.ended = true;
        }
    }

    /// Takes a file of the sanitizer in.
    pub fn read_reports(&mut self, text: &str) {
        let mut leaks = false;
        for line in text.lines() {
            // A table of leaks that were suppressed: count, bytes, name.
            let mut words = line.split_whitespace();
            match words.next().map(str::parse::<u64>) {
                Some(Ok(count)) if leaks => self.suppressed += count,
                _ => leaks = line.trim_end().ends_with("count      bytes template"),
            }
            // `==42==ERROR: AddressSanitizer: …` and `WARNING: ThreadSanitizer: …`; the line `SUMMARY:` says it again.
            let said = line.split_once("Sanitizer: ");
            match said {
                Some((before, said))
                    if before.starts_with("SUMMARY: ") || said.contains(" byte(s) leaked") => {}
                Some((before, _))
                    if ["ERROR: ", "WARNING: ", "FATAL: "].iter().any(|kind| before.contains(kind)) =>
                {
                    self.reports += 1;
                }
                Some((_, said)) => self.suppressed += matched(said),
                None => {}
            }
        }
    }

    /// The program is over; did it return success?
    pub fn end(&mut self, success: bool) {
        // Failed tests and reports make it return something else, and are counted already.
        let explained = success || self.failed > 0 || self.reports > 0;
        if !self.ended || !explained {
            self.failed += 1;
        }
    }

    /// Adds another program's counts.
    pub fn add(&mut self, other: Outcome) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.reports += other.reports;
        self.suppressed += other.suppressed;
        self.ended |= other.ended;
    }

    /// No report, and no failure.
    pub fn is_clean(&self) -> bool {
        self.failed == 0 && self.reports == 0
    }
}

/// `Matched 3 suppressions (pid=42):`
fn matched(said: &str) -> u64 {
    let count = said.strip_prefix("Matched ").and_then(|rest| rest.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { passed, failed, reports, .. } = self;
        write!(f, "{passed} passed, {failed} failed, {reports} reports")
    }
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The package.
    pub package: String,
    /// All its programs.
    pub outcome: Outcome,
}

impl Row {
    /// Nothing has been run yet.
    pub fn new(package: &str) -> Row {
        Row { package: package.to_owned(), outcome: Outcome::default() }
    }
}

/// The rows, and what they come to.
pub fn table(rows: &[Row]) -> String {
    let mut all = Row::new("all");
    for row in rows {
        all.outcome.add(row.outcome.clone());
    }
    let mut text =
        format!("{:<16} {:>7} {:>7} {:>8} {:>11}\n", "package", "passed", "failed", "reports", "suppressed");
    for Row { package, outcome } in rows.iter().chain([&all]) {
        let Outcome { passed, failed, reports, suppressed, .. } = outcome;
        text += &format!("{package:<16} {passed:>7} {failed:>7} {reports:>8} {suppressed:>11}\n");
    }
    text
}

#[cfg(all(test, not(loom)))]
mod tests;
