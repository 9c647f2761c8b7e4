//! The command line: arguments, and the commands that need no screen.
//! Data goes to stdout, messages to stderr; the exit code tells the result.

pub mod args;
pub mod out;
mod setup;
mod reach;
mod hosts;
mod ps;
mod logs;
mod plan;
mod room;
mod folder;
mod past;
mod target;
mod releases;
mod run;
mod filter;
mod runs;
mod recover;
mod history;
mod listen;
mod keys;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;

use crate::app::keymap::Keymap;
use crate::config::{self, Config, KeyCheck, OwnLog};
use crate::domain::fault::Fault;
use crate::domain::run::RunKind;
use crate::domain::units::Stamp;
use crate::hosts::ssh;
use crate::observe;
use args::{Cli, Command};
use out::Exit;
use setup::Setup;

/// Parses, does, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli),
        Err(error) => {
            // Help and version are no errors; where even they can't be printed there is nobody to tell.
            drop(error.print());
            if error.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Done.into()
            }
        }
    }
}

/// First what needs no configuration, then the rest around it.
fn dispatch(mut cli: Cli) -> ExitCode {
    match cli.command.take() {
        Some(Command::Ssh { arguments }) => ssh::hold(arguments),
        Some(Command::Runner { dir }) => runner(&dir),
        Some(Command::Completions { shell }) => keys::completions(shell).into(),
        Some(Command::Man) => keys::man().into(),
        // Shows them with their faults.
        Some(Command::Keys(output)) => match configuration(&cli, &|_| Vec::new()) {
            Ok(config) => keys::keys(&config, output).into(),
            Err(exit) => exit.into(),
        },
        Some(Command::Demo) => {
            runtime().map_or_else(Exit::into, |runtime| runtime.block_on(room::demo(&cli)).into())
        }
        command => match Setup::read(&cli).and_then(|setup| Ok((setup, runtime()?))) {
            Ok((setup, runtime)) => runtime.block_on(around(setup, command)).into(),
            Err(exit) => exit.into(),
        },
    }
}

/// A command around its setup; without a command, the control room.
async fn around(setup: Setup, command: Option<Command>) -> Exit {
    let Some(command) = command else {
        return room::open(setup).await;
    };
    carried_out(&setup, command).await.unwrap_or_else(|exit| exit)
}

async fn carried_out(setup: &Setup, command: Command) -> Result<Exit, Exit> {
    Ok(match command {
        Command::Check(output) => hosts::check(setup.for_hosts(), output).await,
        Command::Hosts(output) => hosts::hosts(setup.for_hosts(), output).await,
        Command::Ps(asked) => ps::ps(setup.for_hosts(), &asked).await,
        Command::Logs(asked) => logs::logs(setup.for_hosts(), &asked).await,
        Command::History(asked) => history::history(setup.for_hosts(), &asked).await,
        Command::Unlock(asked) => Box::pin(recover::unlock(setup.for_hosts(), &asked)).await,
        Command::Build(asked) => run::build(&setup.with_state()?, asked).await,
        Command::Test(asked) => run::of_image(&setup.with_state()?, RunKind::Test, asked).await,
        Command::Pipeline(asked) => run::pipeline(&setup.with_state()?, asked).await,
        Command::Push(asked) => run::push(&setup.with_state()?, asked).await,
        Command::Adopt(asked) => run::adopt(&setup.with_state()?, asked).await,
        Command::Deploy(asked) => run::of_image(&setup.with_state()?, RunKind::Deploy, asked).await,
        Command::Promote(asked) => run::promote(&setup.with_state()?, asked).await,
        Command::Rollback(asked) => run::back(&setup.with_state()?, asked).await,
        Command::Runs(asked) => runs::list(&setup.with_state()?, &asked),
        Command::Follow(asked) => runs::follow(&setup.with_state()?, &asked).await,
        Command::Cancel(asked) => runs::cancel(&setup.with_state()?, &asked),
        Command::Approve(asked) => runs::approve(&setup.with_state()?, &asked),
        Command::Recover(asked) => Box::pin(recover::recover(&setup.with_state()?, &asked)).await,
        Command::Listen(asked) => listen::listen(&setup.with_state()?, &asked).await,
        // Carried out before there was a setup.
        Command::Demo
        | Command::Keys(_)
        | Command::Completions { .. }
        | Command::Man
        | Command::Runner { .. }
        | Command::Ssh { .. } => Exit::Usage,
    })
}

/// A run of its own: it logs beside its journal, and goes on without a log if it must.
fn runner(dir: &Path) -> ExitCode {
    let log = dir.is_dir().then(|| observe::start(dir, &OwnLog::default()));
    let code = crate::runs::runner(dir);
    drop(log);
    code
}

/// Everything runs on this one thread: a control room should cost next to nothing.
fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            out::words(&format!("could not start: {error}"));
            Exit::Failed
        })
}

/// The configuration; all its faults are said before the exit code comes back, those of `[keys]` by `check`.
fn configuration(cli: &Cli, check: KeyCheck<'_>) -> Result<Config, Exit> {
    let request = config::Request {
        explicit: cli.config.clone(),
        env: &env,
    };
    config::load_with_keys(&request, check).map_err(|faults| {
        for fault in faults {
            out::words(&fault.to_string());
        }
        Exit::Usage
    })
}

/// What `[keys]` may hold only the table of commands knows.
fn of_keys(keys: &BTreeMap<String, Vec<String>>) -> Vec<(String, Fault)> {
    let (_, faults) = Keymap::new(keys);
    faults
        .into_iter()
        .map(|fault| (fault.command, fault.fault))
        .collect()
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// This machine's clock.
fn now() -> Stamp {
    SystemTime::now().into()
}
