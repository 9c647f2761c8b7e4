//! Orders in progress, and the notice when they are answered: one summary for a bulk action.
//! Sends no orders itself.

use std::collections::BTreeMap;

use super::model::Model;
use crate::domain::fault::Fault;
use crate::domain::order::{OrderId, Verb};

/// Orders in progress, and the notices for their answers.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    pending: BTreeMap<OrderId, Pending>,
    batches: BTreeMap<u64, Batch>,
    next_batch: u64,
}

#[derive(Clone, Debug)]
enum Pending {
    Batch(u64),
    /// The notice when it is done; `None`: none. A fault is always shown.
    Words(Option<String>),
}

/// Several containers acted on at once: one summary at the end.
#[derive(Clone, Debug)]
struct Batch {
    verb: Verb,
    total: usize,
    waiting: usize,
    /// The container's name, if there is only one.
    name: Option<String>,
    faults: Vec<Fault>,
}

impl Orders {
    /// Whether no order is in progress.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Sets the notice for when the order is done.
    pub fn expect(&mut self, id: OrderId, words: Option<String>) {
        self.pending.insert(id, Pending::Words(words));
    }

    pub(super) fn expect_batch(&mut self, ids: &[OrderId], verb: Verb, name: Option<String>) {
        self.next_batch += 1;
        let batch = Batch {
            verb,
            total: ids.len(),
            waiting: ids.len(),
            name,
            faults: Vec::new(),
        };
        self.batches.insert(self.next_batch, batch);
        for id in ids {
            self.pending.insert(*id, Pending::Batch(self.next_batch));
        }
    }
}

/// Handles the answer to an order.
pub fn done(model: &mut Model, id: OrderId, result: Result<(), Fault>) {
    let now = model.now.wall;
    match model.orders.pending.remove(&id) {
        None | Some(Pending::Words(None)) => {
            if let Err(fault) = result {
                model.notices.fault(now, &fault);
            }
        }
        Some(Pending::Words(Some(words))) => match result {
            Ok(()) => model.notices.done(now, words),
            Err(fault) => model.notices.fault(now, &fault),
        },
        Some(Pending::Batch(number)) => {
            let Some(batch) = model.orders.batches.get_mut(&number) else {
                return;
            };
            batch.waiting -= 1;
            batch.faults.extend(result.err());
            if batch.waiting == 0
                && let Some(batch) = model.orders.batches.remove(&number)
            {
                summary(model, &batch);
            }
        }
    }
}

fn summary(model: &mut Model, batch: &Batch) {
    let now = model.now.wall;
    let done = batch.total - batch.faults.len();
    match (batch.faults.as_slice(), &batch.name) {
        ([], Some(name)) => model
            .notices
            .done(now, format!("{}: done: {name}", batch.verb.word())),
        ([], None) => model
            .notices
            .done(now, format!("{}: done on all {done}", batch.verb.word())),
        ([only], _) if batch.total == 1 => model.notices.fault(now, only),
        ([first, ..], _) => {
            for fault in &batch.faults {
                model.notices.fault(now, fault);
            }
            let what = format!("{} {} of {}", batch.verb.word(), batch.faults.len(), batch.total);
            let fault = Fault::new(what, &first.why).hint(":notices lists all of them");
            model.notices.fault(now, &fault);
        }
    }
}
