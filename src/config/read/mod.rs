//! Converts tables to the configuration: hosts first, then what refers to them.
//! Reads every table completely; the caller checks the faults.

mod host;
mod after;
mod service;
mod environments;
mod stages;
mod custom;
mod pipeline;
mod testing;
mod needs;
mod build;
mod deploy;
mod gate;
mod rollout;
mod switch;
mod compose;
mod networks;
mod finish;
pub(super) mod spec;
mod secrets;
pub(super) mod options;
mod settings;
mod trigger;
mod registry;

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::Config;
use super::discover::discover;
use super::fault::{Faults, Wrong};
use super::machine::Machine;
use super::section::{Place, Section, Value};
use super::source::Source;
use crate::domain::ids::HostName;

/// The hosts that services may name, also those with a fault of their own: one mistake is said once.
#[derive(Debug, Default)]
struct Known {
    /// In the order of the files, with their tags.
    hosts: Vec<(HostName, Vec<String>)>,
    /// Addresses of the registries.
    registries: Vec<String>,
}

impl Known {
    /// The only host there is: what a stage runs on that names none.
    fn alone(&self) -> Option<&HostName> {
        match self.hosts.as_slice() {
            [(name, _)] => Some(name),
            _ => None,
        }
    }
}

/// Where each name was first given, so that the second one can say so.
#[derive(Debug, Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn claim(&mut self, what: &str, name: &str, value: &Value<'_>) {
        let source = value.place.source;
        let (line, column) = source.place(value.at.start);
        let here = format!("{}:{line}:{column}", source.file.display());
        if let Some(first) = self.0.get(name) {
            value.fault(
                Wrong::new(format!("there is more than one {what} called `{name}`"))
                    .hint(format!("the first is at {first}")),
            );
        } else {
            self.0.insert(name.to_owned(), here);
        }
    }
}

/// Everything the sources say. Without any host in them, what is found on the machine.
pub(super) fn configuration(sources: &[Source], machine: &Machine<'_>, faults: &Faults) -> Config {
    let tables: Vec<Spanned<DeTable<'_>>> = sources
        .iter()
        .map(|source| DeTable::parse_recoverable(&source.text).0)
        .collect();
    let nowhere: Range<usize> = 0..0;
    let mut roots: Vec<Section<'_>> = sources
        .iter()
        .zip(&tables)
        .map(|(source, table)| {
            Section::new(
                Place { source, faults },
                nowhere.clone(),
                "the file",
                table.get_ref(),
            )
        })
        .collect();

    let mut config = Config {
        sources: sources.iter().map(|source| source.file.clone()).collect(),
        ..Config::default()
    };
    let mut known = Known::default();
    let mut names = Names::default();
    for root in &mut roots {
        // Already followed, file by file.
        root.take("include");
        let Some(hosts) = root.take("hosts") else { continue };
        for mut section in hosts.sections("hosts") {
            config
                .hosts
                .extend(host::read(&mut section, machine, &mut names, &mut known));
            section.finish();
        }
    }
    if known.hosts.is_empty() {
        match discover(machine) {
            Ok(hosts) => {
                known.hosts = hosts.iter().map(|host| (host.name.clone(), Vec::new())).collect();
                config.hosts = hosts;
            }
            Err(fault) => faults.add(fault),
        }
    }
    let mut names = Names::default();
    for root in &mut roots {
        let Some(registries) = root.take("registries") else {
            continue;
        };
        for mut section in registries.sections("registries") {
            config.registries.extend(registry::read(&mut section, &mut names));
            section.finish();
        }
    }
    known.registries = config
        .registries
        .iter()
        .map(|registry| registry.address.clone())
        .collect();
    let mut names = Names::default();
    let mut afters = Vec::new();
    for root in &mut roots {
        let Some(services) = root.take("services") else {
            continue;
        };
        for mut section in services.sections("services") {
            let (trigger, on_finish) = (section.take("trigger"), section.take("on_finish"));
            let after = section.take("after");
            let service = service::read(&mut section, &known, &mut names);
            if let (Some(value), Some(service)) = (after, &service) {
                afters.push((service.name.clone(), value));
            }
            if let (Some(value), Some(service)) = (trigger, &service) {
                config.triggers.extend(trigger::read(&value, service));
            }
            if let (Some(finish), Some(service)) =
                (on_finish.and_then(|value| finish::read(&value)), &service)
            {
                config.on_finish_of.insert(service.name.clone(), finish);
            }
            config.services.extend(service);
            section.finish();
        }
    }
    config.after = after::read(&afters, &config.services, &names);
    // An including file has the last word over what it includes.
    for root in roots.iter_mut().rev() {
        if let Some(finish) = root.take("on_finish").and_then(|value| finish::read(&value)) {
            config.on_finish_of_all = Some(finish);
        }
        settings::read(root, &mut config);
    }
    for root in roots {
        root.finish();
    }
    config
}
