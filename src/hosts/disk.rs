//! How much is free on the disk where a daemon keeps its images: by `df` over ssh, else in a container that runs there.
//! Where it cannot be had the reason is said; it never guesses.

use std::time::Duration;

use super::connect::Daemon;
use super::{figures, measure};
use crate::domain::host::Reading;
use crate::domain::units::Bytes;

/// It is a help: what waits for it goes on without.
const LIMIT: Duration = Duration::from_secs(10);

/// A disk as it is seen by everybody; what root keeps for itself is in neither number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    pub free: Bytes,
    pub all: Bytes,
}

pub async fn disk(daemon: &Daemon) -> Result<Disk, String> {
    let late = |_elapsed| format!("no answer within {} s", LIMIT.as_secs());
    tokio::time::timeout(LIMIT, asked(daemon)).await.map_err(late)?
}

async fn asked(daemon: &Daemon) -> Result<Disk, String> {
    let (used, all) = match daemon.wire().tunnel() {
        Some(tunnel) => match figures::once(tunnel, &daemon.engine().data_root).await.disk {
            Reading::Known(found) => found,
            Reading::Unknown { why } => return Err(why),
        },
        None => measure::disk_alone(daemon).await?,
    };
    Ok(Disk {
        free: Bytes(all.0.saturating_sub(used.0)),
        all,
    })
}
