//! Whether an image has passed its service's tests, according to the runs stored on this machine.
//! Goes by the image id, never by a tag; passed tests count even if the rest of their run failed.

use std::collections::BTreeSet;

use super::follow;
use crate::domain::fault::Fault;
use crate::domain::ids::ImageId;
use crate::release::plan::Plan;
use crate::release::record::{Entry, FailureKind, Finding, Record};
use crate::release::stage::Stage;
use crate::runs::disk::journal;
use crate::runs::disk::state::State;

/// Whether the latest result of every test of the service on this image is a pass, in one run or several, in any
/// environment. `true` for a service without tests.
#[must_use]
pub fn passed(state: &State, plan: &Plan, image: &ImageId) -> bool {
    let mut left: BTreeSet<&str> = plan.service.tests.iter().map(|test| test.name.as_str()).collect();
    for dir in follow::folders(state) {
        if left.is_empty() {
            break;
        }
        // A journal that cannot be read proves nothing.
        let Ok(Some(records)) = journal::read_if(&dir, |first| is_of(first, plan)) else {
            continue;
        };
        for (name, passed) in verdicts(&records, image) {
            if left.remove(name) && !passed {
                return false;
            }
        }
    }
    left.is_empty()
}

fn is_of(first: &Record, plan: &Plan) -> bool {
    matches!(&first.entry, Entry::Opened(opened) if opened.subject.service == plan.subject.service)
}

/// The tests that a run did, if this image was what it tested, and whether they passed.
fn verdicts<'r>(records: &'r [Record], image: &ImageId) -> Vec<(&'r str, bool)> {
    let mut tested = None;
    let mut verdicts = Vec::new();
    for record in records {
        match &record.entry {
            Entry::Done { step, finding, .. } => match (&step.stage, finding) {
                (Stage::Build | Stage::Fetch, Finding::Image { id, .. }) => tested = Some(id),
                (Stage::Test(name), _) if tested == Some(image) => verdicts.push((name.as_str(), true)),
                _ => {}
            },
            // One that was ended says nothing of the image.
            Entry::Failed { step, why, .. } if why.kind == FailureKind::Refused => match &step.stage {
                Stage::Test(name) if tested == Some(image) => verdicts.push((name.as_str(), false)),
                _ => {}
            },
            _ => {}
        }
    }
    verdicts
}

/// Why `latest` is not moved.
#[must_use]
pub fn not_passed(plan: &Plan, image: &ImageId) -> Fault {
    Fault::new(
        format!("call {} {}:latest", image.short(), plan.service.image),
        format!("no passed test of {} is on record here", image.short()),
    )
    .hint(format!(
        "pilothouse test {} --image {}",
        plan.subject.service,
        image.short()
    ))
}
