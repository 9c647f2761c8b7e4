//! Did this very image pass its service's tests? Asked of the runs that are kept here.
//! A tag counts for nothing, only the image's id; so does a run of which only the tests went well.

use std::collections::BTreeSet;

use super::state::State;
use super::{follow, journal};
use crate::domain::fault::Fault;
use crate::domain::ids::ImageId;
use crate::release::plan::Plan;
use crate::release::record::{Entry, Finding, Record};
use crate::release::stage::Stage;

/// Every test of the service passed on it, in one run or in several. Without tests there is nothing to pass.
#[must_use]
pub fn passed(state: &State, plan: &Plan, image: &ImageId) -> bool {
    let mut left: BTreeSet<&str> = plan.service.tests.iter().map(|test| test.name.as_str()).collect();
    for dir in follow::recent(state) {
        if left.is_empty() {
            break;
        }
        // A journal that cannot be read proves nothing.
        let Ok(records) = journal::read(&dir) else {
            continue;
        };
        for name in passed_in(&records, plan, image) {
            left.remove(name);
        }
    }
    left.is_empty()
}

/// The tests that a run of this service passed, if this image was what it tested.
fn passed_in<'r>(records: &'r [Record], plan: &Plan, image: &ImageId) -> Vec<&'r str> {
    let is_ours = records
        .first()
        .is_some_and(|first| matches!(&first.entry, Entry::Opened(opened) if opened.subject == plan.subject));
    let mut tested = None;
    let mut passed = Vec::new();
    for record in records {
        let Entry::Done { step, finding, .. } = &record.entry else {
            continue;
        };
        match (&step.stage, finding) {
            (Stage::Build | Stage::Fetch, Finding::Image { id, .. }) => tested = Some(id),
            (Stage::Test(name), _) if tested == Some(image) => passed.push(name.as_str()),
            _ => {}
        }
    }
    if is_ours { passed } else { Vec::new() }
}

/// Why `latest` does not move.
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
