//! Writes what a run does: journal, live text and output, with secrets removed.
//! Shared by concurrent steps; each line is written in one piece.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::domain::fault::Fault;
use crate::domain::run::RunLine;
use crate::domain::tested::Tested;
use crate::domain::units::Stamp;
use crate::release::record::{Entry, Failure};
use crate::release::stage::Step;
use crate::runs::begin::secrets::Redactor;
use crate::runs::disk::journal::Journal;
use crate::runs::disk::output::Output;
use crate::runs::step::Progress;

/// The shortest interval between two live texts of a step.
const TEXT_PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub struct Pen {
    shared: Arc<Mutex<Paper>>,
    redactor: Redactor,
}

struct Paper {
    journal: Journal,
    output: Output,
    told: BTreeMap<Step, (Instant, String)>,
}

/// The current wall-clock time.
#[must_use]
pub fn now() -> Stamp {
    SystemTime::now().into()
}

impl Pen {
    #[must_use]
    pub fn new(journal: Journal, output: Output, redactor: Redactor) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Paper {
                journal,
                output,
                told: BTreeMap::new(),
            })),
            redactor,
        }
    }

    /// A panic elsewhere leaves complete lines, so the lock can still be used.
    fn paper(&self) -> MutexGuard<'_, Paper> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a record; it is on disk when this returns.
    pub fn write(&self, entry: Entry) -> Result<(), Fault> {
        self.paper().journal.write(now(), entry)?;
        Ok(())
    }

    /// Whether the journal's disk has filled up.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        self.paper().journal.is_tight()
    }

    #[must_use]
    pub fn clean(&self, failure: Failure) -> Failure {
        Failure {
            fault: self.redactor.fault(failure.fault),
            kind: failure.kind,
        }
    }

    /// Removes secrets, also from the names in a report.
    #[must_use]
    pub fn clean_tested(&self, mut tested: Tested) -> Tested {
        for name in tested.report.iter_mut().flat_map(|report| &mut report.failing) {
            *name = self.redactor.clean(name);
        }
        tested
    }

    /// Under a name of its own.
    #[must_use]
    pub fn aside(&self, stage: &str) -> Aside {
        Aside {
            pen: self.clone(),
            stage: stage.to_owned(),
        }
    }

    /// For one step.
    #[must_use]
    pub fn teller(&self, step: &Step) -> Teller {
        Teller {
            pen: self.clone(),
            step: step.clone(),
        }
    }
}

/// Output that belongs to no step.
pub struct Aside {
    pen: Pen,
    stage: String,
}

impl Progress for Aside {
    fn text(&mut self, _now: &str) {}

    fn line(&mut self, line: &str) {
        let line = RunLine {
            at: now(),
            stage: self.stage.clone(),
            host: None,
            text: line.to_owned(),
        };
        if let Err(error) = self.pen.paper().output.line(line) {
            tracing::warn!(%error, "a line of output was lost");
        }
    }
}

/// Output of a step.
pub struct Teller {
    pen: Pen,
    step: Step,
}

impl Progress for Teller {
    fn text(&mut self, text: &str) {
        let text = self.pen.redactor.clean(text);
        let mut paper = self.pen.paper();
        let known = paper.told.get(&self.step);
        if known.is_some_and(|(at, said)| *said == text || at.elapsed() < TEXT_PAUSE) {
            return;
        }
        paper
            .told
            .insert(self.step.clone(), (Instant::now(), text.clone()));
        let entry = Entry::Text {
            step: self.step.clone(),
            text,
        };
        if let Err(fault) = paper.journal.write(now(), entry) {
            // Live text may be lost; what is binding fails on its own.
            tracing::warn!(%fault, "live text");
        }
    }

    fn line(&mut self, line: &str) {
        let line = RunLine {
            at: now(),
            stage: self
                .step
                .stage
                .column()
                .unwrap_or_else(|| self.step.stage.to_string()),
            host: Some(self.step.host.clone()),
            text: line.to_owned(),
        };
        if let Err(error) = self.pen.paper().output.line(line) {
            tracing::warn!(%error, "a line of output was lost");
        }
    }
}
