//! The control room: on the configured hosts, or on a simulated fleet inside this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Cli;
use super::folder::Folder;
use super::out::{self, Exit};
use super::past;
use super::setup::Setup;
use crate::domain::fault::Fault;
use crate::release::plan::Actor;
use crate::runs;
use crate::sim::{self, Scenario};
use crate::term::{self, Room};

pub(super) async fn open(setup: Setup) -> Exit {
    show(&setup, runs::who(), false).await
}

/// Everything it needs and makes is in one private folder that goes when it ends.
pub(super) async fn demo(cli: &Cli) -> Exit {
    let opened = |fault: std::io::Error| Fault::new("start the simulated fleet", fault);
    let result = async {
        let folder = Folder::make().map_err(opened)?;
        let fleet = sim::Fleet::start(Scenario::demo(), folder.path()).map_err(opened)?;
        let mut config = fleet.config();
        config.state.dir = Some(folder.path().join("state"));
        let setup = Setup::with(cli, config, Some(PathBuf::from(folder.path())))?;
        let you = Actor {
            login: "you".to_owned(),
            machine: "demo".to_owned(),
            via: None,
        };
        let state = setup.state.as_ref().map_err(Clone::clone)?;
        Box::pin(past::write(state, &setup.config, super::now())).await?;
        let exit = show(&setup, you, true).await;
        fleet.stop().await;
        Ok(exit)
    };
    result.await.unwrap_or_else(|fault: Fault| {
        out::fault(&fault);
        Exit::Failed
    })
}

async fn show(setup: &Setup, actor: Actor, demo: bool) -> Exit {
    let room = Room {
        config: Arc::new(setup.config.clone()),
        access: setup.access,
        demo,
        actor,
        state: setup.state.clone(),
        log: setup.log().map(Path::to_path_buf),
        lacking: setup.lacking.clone(),
    };
    match term::run(room).await {
        Ok(()) => Exit::Done,
        Err(fault) => {
            out::fault(&fault);
            Exit::Usage
        }
    }
}
