//! The user's TOML, checked: hosts, services, keys, looks.
//! Reads text, never a network; reports all faults of all files at once, each with its place.

pub mod finish;
pub mod host;
pub mod gate;
pub mod rollout;
pub mod service;
pub mod switch;
pub mod test;
pub mod options;
pub mod after;
pub mod compose;
pub mod dockerfile;
pub mod registry;
pub mod settings;
pub mod template;
pub mod trigger;
mod fault;
mod nearest;
mod quantity;
mod address;
mod machine;
mod trust;
mod glob;
mod pattern;
mod source;
mod section;
mod context;
mod discover;
mod files;
mod read;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use after::After;
pub use fault::ConfigFault;
pub use finish::OnFinish;
pub use host::Host;
pub use pattern::Pattern;
pub use registry::Registry;
pub use service::Service;
pub use settings::{Looks, Notify, OwnLog, StateDir};
pub use trigger::{Listen, Trigger};

use crate::domain::fault::Fault;
use crate::domain::ids::ServiceName;

/// Where to look for the configuration.
pub struct Request<'e> {
    /// `-c`: this file and no other.
    pub explicit: Option<PathBuf>,
    /// The environment: a variable's value, if it is set.
    pub env: &'e dyn Fn(&str) -> Option<String>,
}

/// Reads `-c`'s file, else `PILOTHOUSE_CONFIG`'s, else the user's, else `/etc/pilothouse/config.toml`, with all it
/// includes. Without any file, or with files that name no host, the hosts are this machine's daemons.
/// On failure: every fault of every file, in the order of files and lines; never none.
pub fn load(request: &Request<'_>) -> Result<Config, Vec<ConfigFault>> {
    load_with_keys(request, &|_| Vec::new())
}

/// What is wrong with each command's keys, by command; only who has the table of commands knows.
pub type KeyCheck<'c> = &'c dyn Fn(&BTreeMap<String, Vec<String>>) -> Vec<(String, Fault)>;

/// As `load`, and what `check` finds in `[keys]` is among the faults.
pub fn load_with_keys(request: &Request<'_>, check: KeyCheck<'_>) -> Result<Config, Vec<ConfigFault>> {
    load_on(request, Path::new("/"), check)
}

/// As `load_with_keys`, with the machine's absolute paths under `root`.
fn load_on(request: &Request<'_>, root: &Path, check: KeyCheck<'_>) -> Result<Config, Vec<ConfigFault>> {
    let machine = machine::Machine {
        env: request.env,
        root,
    };
    let faults = fault::Faults::default();
    let sources = match files::first(request, &machine) {
        Some(first) => files::read_all(&first, &machine, &faults),
        None => Vec::new(),
    };
    let config = read::configuration(&sources, &machine, &faults);
    for (command, fault) in check(&config.keys) {
        faults.add(config.fault_of_keys(&command, fault));
    }
    let mut faults = faults.into_vec();
    if faults.is_empty() {
        return Ok(config);
    }
    let order = |fault: &ConfigFault| {
        let file = config.sources.iter().position(|file| *file == fault.file);
        (file.unwrap_or(usize::MAX), fault.line, fault.column)
    };
    faults.sort_by_key(order);
    faults.dedup();
    Err(faults)
}

/// Where something stands: file, line, column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: u32,
    pub column: u32,
}

/// The whole configuration, after includes, defaults and checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// In the order of the files; names are unique.
    pub hosts: Vec<Host>,
    /// In the order of the files; names are unique.
    pub services: Vec<Service>,
    /// Which of them are built behind which others.
    pub after: After,
    /// What webhooks may start, in the order of the services: at most one each.
    pub triggers: Vec<Trigger>,
    pub listen: Listen,
    /// Whom the results of runs are told, where their service says nothing itself.
    pub on_finish_of_all: Option<OnFinish>,
    pub on_finish_of: BTreeMap<ServiceName, OnFinish>,
    /// In the order of the files; addresses are unique.
    pub registries: Vec<Registry>,
    /// Command name → keys, as written; `app::keymap` reads them.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Where each of these stands: what is wrong with it only `app::keymap` knows.
    pub key_places: BTreeMap<String, Place>,
    pub looks: Looks,
    pub state: StateDir,
    pub log: OwnLog,
    /// The files it came from; empty without any.
    pub sources: Vec<PathBuf>,
}

impl Config {
    /// What is wrong with the keys of a command, said where they stand.
    #[must_use]
    pub fn fault_of_keys(&self, command: &str, fault: Fault) -> ConfigFault {
        let place = self.key_places.get(command);
        ConfigFault {
            file: place.map_or_else(|| PathBuf::from("[keys]"), |place| place.file.clone()),
            line: place.map_or(0, |place| place.line),
            column: place.map_or(0, |place| place.column),
            what: format!("`{command}`: {}", fault.why),
            hint: fault.hint,
        }
    }

    #[must_use]
    pub fn service(&self, name: &crate::domain::ids::ServiceName) -> Option<&Service> {
        self.services.iter().find(|service| service.name == *name)
    }

    /// Whom the results of this service's runs are told.
    #[must_use]
    pub fn on_finish(&self, service: &ServiceName) -> Option<&OnFinish> {
        self.on_finish_of.get(service).or(self.on_finish_of_all.as_ref())
    }

    /// Variables that hold secrets of this program's own: nothing that it starts needs to inherit them.
    #[must_use]
    pub fn private_variables(&self) -> Vec<&str> {
        let of_triggers = self.triggers.iter().map(|trigger| &trigger.secret);
        let finishes = self.on_finish_of_all.iter().chain(self.on_finish_of.values());
        let accounts = self.registries.iter().filter_map(|known| known.login.as_ref());
        of_triggers
            .chain(accounts.map(|account| &account.password))
            .chain(finishes.flat_map(OnFinish::secrets))
            .filter_map(|secret| match secret {
                service::Secret::Env(name) => Some(name.as_str()),
                service::Secret::Command(_) | service::Secret::File(_) => None,
            })
            .collect()
    }

    /// The service as it is in an environment, or without one. The fault names those that are known.
    pub fn service_in(
        &self,
        name: &crate::domain::ids::ServiceName,
        environment: Option<&str>,
    ) -> Result<&Service, Fault> {
        let Some(service) = self.service(name) else {
            let known: Vec<&str> = self
                .services
                .iter()
                .map(|service| service.name.as_str())
                .collect();
            let fault = Fault::new(
                format!("find the service {name}"),
                "the configuration has no such service",
            );
            return Err(fault.hint(if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            }));
        };
        service.place(environment).ok_or_else(|| {
            Fault::new(
                format!(
                    "find the environment {} of {name}",
                    environment.unwrap_or_default()
                ),
                "the service has no such environment",
            )
            .hint(service.environment_words())
        })
    }

    /// By the beginning of an image's name: `registry:5000`, or `docker.io`.
    #[must_use]
    pub fn registry(&self, address: &str) -> Option<&Registry> {
        self.registries
            .iter()
            .find(|registry| registry.address == address)
    }

    #[must_use]
    pub fn host(&self, name: &crate::domain::ids::HostName) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == *name)
    }
}

#[cfg(test)]
mod tests;
