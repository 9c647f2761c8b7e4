//! Opens logs automatically: those of the selection, once the cursor has been there for a moment.
//! Invisible streams end at once; nothing is requested while the cursor is moving.

use std::time::Duration;

use super::effects;
use super::sources::Scope;
use crate::app::{Effect, Model, PaneId};
use crate::domain::container::Group;

/// Moving the cursor over rows must not open and close streams for each.
const SETTLE: Duration = Duration::from_millis(250);

/// More containers at once are read only when they are asked for.
const MOST: usize = 32;

/// What is to be read soon.
#[derive(Clone, Debug, Default)]
pub struct Attention {
    wanted: Option<Scope>,
    due: Option<Duration>,
}

impl Attention {
    /// When `settle` has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.due
    }

    /// To be read as soon as one stays here.
    pub(super) fn want(&mut self, scope: Scope, now: Duration) {
        if self.wanted.as_ref() != Some(&scope) {
            self.wanted = Some(scope);
            self.due = Some(now + SETTLE);
        }
    }

    fn none(&mut self) {
        *self = Self::default();
    }
}

/// Ends what nobody sees, begins what has been looked at for long enough.
#[must_use]
pub fn settle(model: &mut Model) -> Vec<Effect> {
    let orders = if model.slot(PaneId::Logs).is_none() {
        model.logs.attention.none();
        if model.logs.is_file() {
            model.logs.close()
        } else {
            model.logs.rest(&model.fleet)
        }
    } else {
        look(model)
    };
    effects(model, orders)
}

fn look(model: &mut Model) -> Vec<crate::domain::order::Order> {
    let now = model.now.uptime;
    let selected = selected(model);
    let logs = &mut model.logs;
    match selected {
        Some(scope) if logs.scope() != Some(&scope) => logs.attention.want(scope, now),
        // Moved there and back again: what is read is what is selected.
        Some(_) if !logs.is_resting() => logs.attention.none(),
        Some(_) | None => {}
    }
    if logs.is_resting() && logs.attention.due.is_none() {
        logs.attention.due = Some(now + SETTLE);
    }
    if logs.attention.due.is_none_or(|due| due > now) {
        return Vec::new();
    }
    let wanted = logs.attention.wanted.take();
    logs.attention.none();
    let id = model.next_follow();
    let logs = &mut model.logs;
    match wanted {
        Some(scope) if logs.scope() != Some(&scope) => logs.open(scope, &model.fleet, id),
        Some(_) | None => logs.resume(&model.fleet, id),
    }
}

/// In the room, what the cursor of services or containers is on; too many at once are left to be asked for.
/// Beside a run, its service, unless something is read already.
fn selected(model: &Model) -> Option<Scope> {
    let leads = match model.focus {
        PaneId::Services | PaneId::Containers => true,
        PaneId::Pipeline => model.logs.scope().is_none(),
        _ => false,
    };
    let scope = match super::scope_of(model, model.focus).filter(|_| leads && model.in_room())? {
        // What belongs to no service has nothing in common: read is the one that is selected among them.
        Scope::Group(Group::None) => super::scope_of(model, PaneId::Containers)?,
        scope => scope,
    };
    let count = match &scope {
        Scope::Group(group) => crate::panes::containers::of_group(model, group).len(),
        Scope::Containers(keys) => keys.len(),
        Scope::Run(_) | Scope::OwnLog => 0,
    };
    (count <= MOST).then_some(scope)
}
