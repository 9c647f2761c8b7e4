//! What a plan said before it was confirmed, held against what is decided under the locks.
//! Decides only: a difference is a refusal in words; the plan has to be looked at again.

use super::decision::Decision;
use super::plan::Plan;
use crate::domain::fault::Fault;
use crate::domain::ids::ReleaseNumber;
use crate::domain::plan::{Before, Foreseen};
use crate::domain::run::RunKind;

/// What of a decision is confirmed with its plan. `waits`: others are before it, and what they leave is not known.
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
        Some(format!("{subject} runs {now} by now, the plan was of {then}"))
    } else if let Some(to) = foreseen.to.filter(|to| *to != decision.release) {
        Some(format!(
            "it would go to {} by now, the plan said {to}",
            decision.release
        ))
    } else {
        let other = foreseen
            .image
            .as_ref()
            .filter(|image| **image != decision.image.id);
        other.map(|image| {
            let (now, then) = (decision.image.id.short(), image.short());
            format!("{} is {now} by now, the plan was of {then}", plan.image)
        })
    };
    why.map(|why| Fault::new(format!("{} {subject}", plan.kind.word()), why).hint("look at the plan again"))
}
