//! What every command needs first: the configuration, restricted to the given hosts, and Pilothouse's own log.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::args::Cli;
use super::out::{self, Exit};
use crate::config::Config;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::order::Access;
use crate::observe::{self, Unlogged};
use crate::runs::State;

pub(super) struct Setup {
    pub(super) config: Config,
    pub(super) access: Access,
    /// Named by `--host`; all of the configuration, if there are none.
    pub(super) named: Vec<HostName>,
    /// Where runs are kept, or why they cannot be.
    pub(super) state: Result<State, Fault>,
    /// Logging ends when this is dropped; without a file that can be written there is none.
    log: Option<observe::Observed>,
    /// What is missing though the hosts can be asked without it.
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
        let state = State::open(&config.state, &super::env);
        let mut lacking = Vec::from_iter(state.as_ref().err().cloned());
        let folder = own.or_else(|| Some(state.as_ref().ok()?.root().to_path_buf()));
        let log = match folder.map(|folder| observe::start(&folder, &config.log)) {
            None => None,
            Some(Ok(log)) => Some(log),
            Some(Err(Unlogged::Level(fault))) => return Err(fault),
            Some(Err(Unlogged::File(fault))) => {
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

/// A setup whose runs can be kept on disk: for commands that begin or read them.
pub(super) struct WithState<'a> {
    setup: &'a Setup,
    pub(super) state: &'a State,
}

impl Deref for WithState<'_> {
    type Target = Setup;

    fn deref(&self) -> &Setup {
        self.setup
    }
}

impl Setup {
    /// For commands that only ask hosts: what is missing is said, and stops nothing.
    pub(super) fn for_hosts(&self) -> &Self {
        self.lacking.iter().for_each(out::fault);
        self
    }

    /// Without a state folder the reason is said.
    pub(super) fn with_state(&self) -> Result<WithState<'_>, Exit> {
        match &self.state {
            Ok(state) => {
                self.lacking.iter().for_each(out::fault);
                Ok(WithState { setup: self, state })
            }
            Err(fault) => {
                out::fault(fault);
                Err(Exit::Usage)
            }
        }
    }

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
