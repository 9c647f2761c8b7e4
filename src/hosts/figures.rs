//! The figures of a host behind ssh, read beside its watching: now and then for the screen, or at once when asked.
//! Needs no container and changes nothing, so a read-only program has them, too.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::listing::wall_clock;
use super::ssh::{LoadReader, Tunnel};
use crate::domain::event::{Event, HostEvent};
use crate::domain::fault::Fault;
use crate::domain::host::{HostLoad, Reading};
use crate::domain::ids::HostName;

/// Long enough that the processors' counters say something.
const FIRST_SPAN: Duration = Duration::from_secs(1);
/// Disk and memory move slowly; each reading costs the host four short processes.
const EVERY: Duration = Duration::from_secs(15);
/// An account that may run no commands will not learn it soon.
const AGAIN: Duration = Duration::from_mins(10);

/// Until it is aborted, with the connection.
pub(super) async fn follow(
    tunnel: Arc<Tunnel>,
    data_root: String,
    host: HostName,
    bulk: mpsc::Sender<Event>,
) {
    let tell = |load: HostLoad| {
        // A full channel drops them: the next ones are better.
        drop(bulk.try_send(Event::Host(host.clone(), HostEvent::Load(load))));
    };
    loop {
        let why = match tunnel.load(&data_root) {
            Ok(mut reader) => read_on(&mut reader, &tell).await,
            Err(why) => why,
        };
        tracing::info!(host = %host, %why, "no figures of the host");
        tell(unknown(&why));
        tokio::time::sleep(AGAIN).await;
    }
}

/// The figures now, with the processors over a second.
pub(super) async fn once(tunnel: &Tunnel, data_root: &str) -> HostLoad {
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
