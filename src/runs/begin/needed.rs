//! Finds the images that tests and stages use besides the one that is built, before a run begins.
//! Reads hosts and asks registries; pulls nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use super::logins;
use super::readers::Readers;
use crate::config::Config;
use crate::config::service::{Slot, Work};
use crate::config::test::Test;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::reference::Reference;
use crate::hosts::Daemon;
use crate::release::plan::Plan;
use crate::release::road::slots;
use crate::runs::step::pull::{self, Offered};
use crate::runs::step::survey;

/// A person is waiting for the plan, so slow registries are skipped.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// The result of the search.
#[derive(Debug, Default)]
pub(in crate::runs) struct Seen {
    pub(in crate::runs) warnings: Vec<String>,
    pub(in crate::runs) refusals: Vec<Fault>,
}

/// Checks that each image is on its host, on the build host, or in a registry that the run may use; otherwise it is refused
/// by name. Hosts that do not answer are reported elsewhere.
pub(in crate::runs) async fn look(config: &Config, plan: &Plan, readers: &mut Readers<'_>) -> Seen {
    let mut seen = Seen::default();
    let mut said = BTreeSet::new();
    let made = plan.marks();
    for (host, test, names) in plan.named_images() {
        let places: Vec<&HostName> = std::iter::once(host)
            .chain(plan.builder.iter().filter(|builder| *builder != host))
            .collect();
        for name in names {
            // What the run itself makes is not there yet.
            if made.iter().any(|tag| tag == name) || !said.insert((host, name)) {
                continue;
            }
            if let Some(daemon) = nowhere(readers, &places, name).await {
                seen.nowhere(config, plan, (test, name), &daemon, &places).await;
            }
        }
    }
    seen
}

/// The first of these hosts if none has the image; `None` if one has it, or if that is unknown.
async fn nowhere(readers: &mut Readers<'_>, places: &[&HostName], name: &str) -> Option<Daemon> {
    for place in places {
        let daemon = readers.daemon(place).await?;
        if !matches!(survey::image(&daemon, name).await, Ok(None)) {
            return None;
        }
    }
    readers.daemon(places.first()?).await
}

impl Seen {
    async fn nowhere(
        &mut self,
        config: &Config,
        plan: &Plan,
        (test, name): (&Test, &str),
        daemon: &Daemon,
        places: &[&HostName],
    ) {
        let fault = missing(test, name, places);
        match offered(config, name, daemon).await {
            Some(Offered::Yes) => self
                .warnings
                .push(format!("{} pulls {name} first", daemon.name())),
            Some(Offered::Unknown(why)) => self.warnings.push(format!(
                "{name} is not on {}, and its registry did not answer whether it has it: {why}",
                daemon.name()
            )),
            // A command before it may be what brings it.
            _ if has_command(plan) => self.warnings.push(fault.why),
            Some(Offered::No(why)) => self.refusals.push(Fault {
                why: format!("{}, and cannot be pulled: {why}", fault.why),
                ..fault
            }),
            None => self.refusals.push(fault),
        }
    }
}

/// `None`: it is in no registry that the run may use.
async fn offered(config: &Config, name: &str, daemon: &Daemon) -> Option<Offered> {
    let reference = Reference::parse(name).ok()?;
    let env = |name: &str| std::env::var(name).ok();
    let registries = BTreeSet::from([reference.registry().to_owned()]);
    let login = match logins::logins(config, &registries, &BTreeSet::new(), &env).await {
        Ok(mut logins) => logins.remove(reference.registry())?,
        // Who starts it hears of that.
        Err(fault) => return Some(Offered::Unknown(fault.why)),
    };
    let asking = pull::offered(daemon, &reference, login.as_ref());
    let answer = tokio::time::timeout(ASK_LIMIT, asking).await;
    Some(
        answer
            .unwrap_or_else(|_elapsed| Offered::Unknown(format!("no answer for {} s", ASK_LIMIT.as_secs()))),
    )
}

fn has_command(plan: &Plan) -> bool {
    slots(&plan.service, plan.kind)
        .iter()
        .flatten()
        .any(|slot| match slot {
            Slot::Custom(name) => plan
                .custom(name)
                .is_some_and(|stage| matches!(stage.work, Work::Command { .. })),
            Slot::Build | Slot::Test(_) | Slot::Push | Slot::Deploy => false,
        })
}

/// `the image postgres:16 of db is neither on web-1 nor on builder`
pub(in crate::runs) fn missing(test: &Test, wanted: &str, places: &[&HostName]) -> Fault {
    let users: Vec<&str> = test
        .needs
        .iter()
        .filter(|need| need.image == wanted)
        .map(|need| need.name.as_str())
        .collect();
    let of = if users.is_empty() {
        String::new()
    } else {
        format!(" of {}", users.join(" and "))
    };
    let names: Vec<&str> = places.iter().map(|place| place.as_str()).collect();
    let not = if names.len() > 1 { "neither" } else { "not" };
    let host = names.first().copied().unwrap_or_default();
    Fault::new(
        format!("run the test {} on {host}", test.name),
        format!("the image {wanted}{of} is {not} on {}", names.join(" nor on ")),
    )
    .hint(format!(
        "`docker pull {wanted}` there; Pilothouse transfers images from the build host and pulls those in [[registries]]"
    ))
}
