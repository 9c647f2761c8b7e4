//! A look at a host that changes nothing and needs no lock, for a run that ends without undoing anything.
//! A person waits for it: a host that does not answer soon is left alone.

use std::time::Duration;

use super::Hands;
use crate::domain::fault::Fault;
use crate::release::record::{Failure, FailureKind, Finding};
use crate::release::stage::Step;

const LIMIT: Duration = Duration::from_secs(5);

impl Hands {
    pub(super) async fn look(&self, step: &Step) -> Result<Finding, Failure> {
        let looked = tokio::time::timeout(LIMIT, Box::pin(self.with_patience(step))).await;
        looked.unwrap_or_else(|_| {
            let why = format!("it did not answer for {} s", LIMIT.as_secs());
            let what = format!("look at {}", step.host);
            Err(Failure::of(FailureKind::Unreachable, Fault::new(what, why)))
        })
    }
}
