//! The list of possible promotions of the selected service, from one environment to another.
//! Choosing one only opens its plan, which asks before anything is changed.

use std::collections::BTreeSet;

use crokey::{KeyCombination, key};

use super::availability::{Refusal, place};
use super::cursor::{Cursor, Motion};
use super::effect::Effect;
use super::layer::Layer;
use super::model::Model;
use super::place::PaneId;
use crate::config::Service;
use crate::domain::container::{Container, Group};
use crate::domain::ids::{ReleaseNumber, ServiceName};
use crate::domain::plan::{Origin, RunRequest};
use crate::domain::run::RunKind;

/// Rows of the list that are shown at once.
pub const ROWS: usize = 8;

#[derive(Clone, Debug)]
pub struct Promotions {
    pub service: ServiceName,
    pub ways: Vec<Way>,
    pub cursor: Cursor<Way>,
}

/// From one environment to another; `None`: the service without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub from: Option<String>,
    pub to: Option<String>,
}

/// Promotions from the selected environment, then those to it; without a selected environment all of them, in the order of
/// the configuration.
pub fn ways(model: &Model) -> Result<(ServiceName, Vec<Way>), Refusal> {
    let (name, here) = place(model)?;
    let places: Vec<Option<String>> = model
        .setup
        .config
        .service(&name)
        .into_iter()
        .flat_map(Service::places)
        .filter(|(_, service)| service.deploy.is_some())
        .map(|(environment, _)| environment.map(str::to_owned))
        .collect();
    if places.len() < 2 {
        return Err(Refusal(format!("{name} is not deployed in two environments")));
    }
    let pairs = |(n, from): (usize, &Option<String>)| {
        let after = places.iter().skip(n + 1).chain(places.iter().take(n));
        let way = |to: &Option<String>| Way {
            from: from.clone(),
            to: to.clone(),
        };
        after.map(way).collect::<Vec<Way>>()
    };
    let all: Vec<Way> = places.iter().enumerate().flat_map(pairs).collect();
    let from_here = all.iter().filter(|way| way.from == here);
    let to_here = all.iter().filter(|way| way.to == here);
    let near: Vec<Way> = from_here.chain(to_here).cloned().collect();
    Ok((name, if near.is_empty() { all } else { near }))
}

pub fn open(model: &mut Model) {
    match ways(model) {
        Err(Refusal(words)) => model.say(words),
        Ok((service, ways)) => {
            let mut cursor = Cursor::default();
            cursor.settle(&ways, ROWS);
            model.layer = Some(Layer::Promotions(Box::new(Promotions {
                service,
                ways,
                cursor,
            })));
        }
    }
}

#[must_use]
pub fn pressed(model: &mut Model, mut list: Box<Promotions>, pressed: KeyCombination) -> Vec<Effect> {
    if pressed == key!(esc) || pressed == key!(q) {
        return Vec::new();
    }
    if pressed == key!(enter) {
        return match list.cursor.key() {
            Some(way) => {
                let request = request(&list.service, way);
                crate::panes::plan::open(model, request)
            }
            None => Vec::new(),
        };
    }
    // As on any page, whatever the pane beneath makes of its keys.
    let command = model.keymap.meaning(PaneId::Services, pressed);
    if let Some(motion) = command.and_then(Motion::of) {
        list.cursor.step(&list.ways, ROWS, motion);
    }
    model.layer = Some(Layer::Promotions(list));
    Vec::new()
}

fn request(service: &ServiceName, way: &Way) -> RunRequest {
    RunRequest {
        environment: way.to.clone(),
        origin: Some(Origin {
            environment: way.from.clone(),
            release: None,
        }),
        ..RunRequest::new(RunKind::Deploy, service.clone())
    }
}

impl Promotions {
    /// `shop.staging  r42  →  shop.production  r41`: each with what is seen to run there.
    #[must_use]
    pub fn words(&self, model: &Model, way: &Way, arrow: &str) -> String {
        let place = |environment: &Option<String>| {
            let group = Group::service(&self.service, environment.as_deref());
            let containers = model.fleet.rows().map(|(_, row)| &row.container);
            let up =
                containers.filter(|container| container.state.is_running() && container.group() == group);
            let releases: BTreeSet<ReleaseNumber> = up.filter_map(Container::release).collect();
            let releases: Vec<String> = releases.iter().map(ToString::to_string).collect();
            let now = if releases.is_empty() {
                "nothing".to_owned()
            } else {
                releases.join(" and ")
            };
            format!("{group} ({now})")
        };
        format!("{} {arrow} {}", place(&way.from), place(&way.to))
    }
}
