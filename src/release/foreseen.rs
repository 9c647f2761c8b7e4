//! Compares the plan that was confirmed with the decision made under the locks.
//! Decides only: a difference is a refusal, and the plan has to be confirmed again.

use super::decision::Decision;
use super::plan::Plan;
use crate::domain::fault::Fault;
use crate::domain::ids::ReleaseNumber;
use crate::domain::plan::{Before, Foreseen};
use crate::domain::run::RunKind;

/// The parts of a decision that the plan's confirmation covers. `waits`: other runs come first, and their result is unknown.
#[must_use]
pub fn foreseen(plan: &Plan, decision: &Decision, waits: bool) -> Option<Foreseen> {
    let from = match decision.from {
        Some(from) => Before::Release(from),
        None => Before::Nothing,
    };
    match plan.kind {
        RunKind::Rollback => Some(Foreseen {
            from,
            to: Some(decision.release),
            image: Some(decision.image.id.clone()),
        }),
        RunKind::Deploy => Some(Foreseen {
            from: if waits { Before::Whatever } else { from },
            to: None,
            image: Some(decision.image.id.clone()),
        }),
        // Its tests may take long, and what runs may change meanwhile; what it ships may not.
        RunKind::Pipeline if !plan.builds() => Some(Foreseen {
            from: Before::Whatever,
            to: None,
            image: Some(decision.image.id.clone()),
        }),
        // What it builds nobody has seen.
        RunKind::Pipeline | RunKind::Adopt | RunKind::Build | RunKind::Test | RunKind::Push => None,
    }
}

/// Why this is not what was confirmed, if it is not.
#[must_use]
pub fn refusal(plan: &Plan, decision: &Decision) -> Option<Fault> {
    let foreseen = plan.foreseen.as_ref()?;
    let subject = &plan.subject;
    let said = |release: Option<ReleaseNumber>| {
        release.map_or_else(|| "nothing".to_owned(), |release| release.to_string())
    };
    let before = match foreseen.from {
        Before::Whatever => decision.from,
        Before::Nothing => None,
        Before::Release(release) => Some(release),
    };
    let why = if before != decision.from {
        let (now, then) = (said(decision.from), said(before));
        Some(format!("{subject} now runs {now}; the plan was made for {then}"))
    } else if let Some(to) = foreseen.to.filter(|to| *to != decision.release) {
        Some(format!(
            "it would now become {}; the plan was made for {to}",
            decision.release
        ))
    } else {
        let other = foreseen
            .image
            .as_ref()
            .filter(|image| **image != decision.image.id);
        other.map(|image| {
            let (now, then) = (decision.image.id.short(), image.short());
            format!("{} is now {now}; the plan was made for {then}", plan.image)
        })
    };
    why.map(|why| Fault::new(format!("{} {subject}", plan.kind.word()), why).hint("check the new plan"))
}
