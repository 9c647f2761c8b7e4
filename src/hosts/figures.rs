//! Load and disk of a host behind ssh: read from time to time for the screen, or at once on request.
//! Needs no container and changes nothing, so it also works in read-only mode.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::listing::wall_clock;
use super::ssh::{LoadReader, Tunnel};
use crate::domain::event::{Event, HostEvent};
use crate::domain::fault::Fault;
use crate::domain::host::{HostLoad, Reading};
use crate::domain::ids::HostName;

/// Long enough for meaningful CPU counters.
const FIRST_SPAN: Duration = Duration::from_secs(1);
/// Disk and memory change slowly, and each reading starts four short processes on the host.
const EVERY: Duration = Duration::from_secs(15);
/// The delay if the account may not run commands, which rarely changes.
const AGAIN: Duration = Duration::from_mins(10);

/// Runs until it is aborted together with the connection.
pub(super) async fn follow(
    tunnel: Arc<Tunnel>,
    data_root: Result<String, String>,
    host: HostName,
    bulk: mpsc::Sender<Event>,
) {
    let tell = |load: HostLoad| {
        // A full channel drops them: the next ones are better.
        drop(bulk.try_send(Event::Host(host.clone(), HostEvent::Load(load))));
    };
    loop {
        let why = match tunnel.load(data_root.as_deref().map_err(String::clone)) {
            Ok(mut reader) => read_on(&mut reader, &tell).await,
            Err(why) => why,
        };
        tracing::info!(host = %host, %why, "no figures of the host");
        tell(unknown(&why));
        tokio::time::sleep(AGAIN).await;
    }
}

/// The current figures, with CPU measured over one second.
pub(super) async fn once(tunnel: &Tunnel, data_root: Result<&str, String>) -> HostLoad {
    let asked = async {
        let mut reader = tunnel.load(data_root)?;
        reader.read(wall_clock()).await?;
        tokio::time::sleep(FIRST_SPAN).await;
        reader.read(wall_clock()).await
    };
    asked.await.unwrap_or_else(|why| unknown(&why))
}

async fn read_on(reader: &mut LoadReader, tell: &impl Fn(HostLoad)) -> Fault {
    let mut pause = FIRST_SPAN;
    loop {
        match reader.read(wall_clock()).await {
            Ok(load) => tell(load),
            Err(why) => return why,
        }
        tokio::time::sleep(pause).await;
        pause = EVERY;
    }
}

fn unknown(why: &Fault) -> HostLoad {
    HostLoad {
        at: wall_clock(),
        cpu: Reading::Unknown { why: why.why.clone() },
        memory: Reading::Unknown { why: why.why.clone() },
        disk: Reading::Unknown { why: why.why.clone() },
    }
}
