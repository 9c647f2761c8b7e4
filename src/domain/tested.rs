//! The details of a test's result: its attempts, its report, its artifacts.
//! Written to the journal by the run, shown by everybody who follows it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::units::Bytes;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    pub passed: bool,
    /// Passed, but not at the first attempt.
    pub flaky: bool,
    /// The last attempt, from 1, and the maximum.
    pub attempt: u32,
    pub attempts: u32,
    /// The report of the last attempt.
    pub report: Option<Junit>,
    /// Artifacts of all attempts, as paths below the run's folder `artifacts`.
    pub artifacts: Vec<String>,
    /// The number of further artifacts, not listed here.
    pub more_artifacts: u64,
    /// Set if it was tested in another image than the shipped one.
    pub image: Option<TestedImage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestedImage {
    pub reference: String,
    pub size: Bytes,
    /// `None` if the test uses no image of the run.
    pub shipped: Option<Bytes>,
}

/// Cases of a `JUnit` report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Junit {
    pub tests: u64,
    pub failures: u64,
    pub errors: u64,
    pub skipped: u64,
    /// The names of the first failed cases, in order.
    pub failing: Vec<String>,
}

impl Junit {
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.failures + self.errors
    }
}

impl fmt::Display for Junit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.tests == 1 { "" } else { "s" };
        write!(f, "{} test{plural}", self.tests)?;
        for (count, word) in [
            (self.failures, "failed"),
            (self.errors, "with an error"),
            (self.skipped, "skipped"),
        ] {
            if count > 0 {
                write!(f, ", {count} {word}")?;
            }
        }
        if !self.failing.is_empty() {
            write!(f, ": {}", self.failing.join(", "))?;
            let more = self
                .bad()
                .saturating_sub(u64::try_from(self.failing.len()).unwrap_or(0));
            if more > 0 {
                write!(f, " and {more} more")?;
            }
        }
        Ok(())
    }
}

impl Tested {
    /// The text shown beside its duration; may be empty.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        if self.flaky {
            words.push(format!(
                "FLAKY: passed at attempt {} of {}",
                self.attempt, self.attempts
            ));
        }
        words.extend(self.report.as_ref().map(ToString::to_string));
        words.extend(self.image.as_ref().map(|image| match image.shipped {
            Some(shipped) => format!(
                "{} has {}, the shipped image {shipped}",
                image.reference, image.size
            ),
            None => format!("{} has {}", image.reference, image.size),
        }));
        words.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_what_failed_first_and_counts_the_rest() {
        let report = Junit {
            tests: 12,
            failures: 2,
            errors: 1,
            skipped: 1,
            failing: vec!["cart.adds".to_owned(), "cart.removes".to_owned()],
        };
        assert_eq!(
            report.to_string(),
            "12 tests, 2 failed, 1 with an error, 1 skipped: cart.adds, cart.removes and 1 more"
        );
        let tested = Tested {
            passed: true,
            flaky: true,
            attempt: 2,
            attempts: 3,
            report: Some(Junit {
                tests: 1,
                ..Junit::default()
            }),
            ..Tested::default()
        };
        assert_eq!(tested.words(), "FLAKY: passed at attempt 2 of 3; 1 test");
    }
}
