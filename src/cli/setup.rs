//! What every command needs first: the configuration, restricted to the given hosts, and Pilothouse's own log.

use std::path::{Path, PathBuf};

use super::args::Cli;
use super::out::{self, Exit};
use crate::config::Config;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::order::Access;
use crate::observe::{self, Unlogged};
use crate::runs;

pub(super) struct Setup {
    pub(super) config: Config,
    pub(super) access: Access,
    /// Named by `--host`; all of the configuration, if there are none.
    pub(super) named: Vec<HostName>,
    pub(super) state: runs::State,
    /// Logging ends when this is dropped; without a file that can be written there is none.
    log: Option<observe::Observed>,
    /// What is missing though nothing was stopped by it.
    pub(super) lacking: Vec<Fault>,
}

impl Setup {
    /// Everything that is wrong is said on stderr before the exit code comes back.
    pub(super) fn read(cli: &Cli) -> Result<Self, Exit> {
        let config = super::configuration(cli, &super::of_keys)?;
        Self::with(cli, config, own_folder()).map_err(|fault| {
            out::fault(&fault);
            Exit::Usage
        })
    }

    /// The same around a configuration that was not read from a file.
    pub(super) fn with(cli: &Cli, mut config: Config, own: Option<PathBuf>) -> Result<Self, Fault> {
        narrow(&mut config, cli)?;
        let state = runs::State::find(&config.state, &super::env)?;
        let mut lacking = Vec::from_iter(state.usable().err());
        let log = match observe::start(&own.unwrap_or_else(|| state.root().to_path_buf()), &config.log) {
            Ok(log) => Some(log),
            Err(Unlogged::Level(fault)) => return Err(fault),
            Err(Unlogged::File(fault)) => {
                lacking.push(fault);
                None
            }
        };
        let access = if cli.read_only {
            Access::ReadOnly
        } else {
            Access::Full
        };
        Ok(Self {
            config,
            access,
            named: cli.hosts.clone(),
            state,
            log,
            lacking,
        })
    }

    /// The file of our own log.
    pub(super) fn log(&self) -> Option<&Path> {
        self.log.as_ref().map(observe::Observed::path)
    }
}

impl Setup {
    /// Runs are processes of their own: with `--read-only` none is started.
    pub(super) fn may_change(&self, what: &str) -> Result<(), Fault> {
        self.access.may_change(what)
    }
}

/// Our own log is the user's own, also where runs are shared with colleagues.
fn own_folder() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "pilothouse")?
        .state_dir()
        .map(PathBuf::from)
}

/// `--host` keeps only the named ones; a name that is not there is a mistake, not an empty room.
fn narrow(config: &mut Config, cli: &Cli) -> Result<(), Fault> {
    for name in &cli.hosts {
        if config.host(name).is_none() {
            let known: Vec<&str> = config.hosts.iter().map(|host| host.name.as_str()).collect();
            return Err(Fault::new(
                format!("find the host {name}"),
                "the configuration has no such host",
            )
            .hint(format!("it has {}", known.join(", "))));
        }
    }
    if !cli.hosts.is_empty() {
        config.hosts.retain(|host| cli.hosts.contains(&host.name));
    }
    Ok(())
}
