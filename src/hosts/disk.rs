//! Free space on the disk of a daemon's images: by `df` over ssh, otherwise in a running container.
//! If it cannot be determined, the reason is reported.

use std::time::Duration;

use super::connect::Daemon;
use super::{figures, measure};
use crate::domain::host::Reading;
use crate::domain::units::Bytes;

/// Optional information, so callers continue without it.
const LIMIT: Duration = Duration::from_secs(10);

/// The size of a disk, without the blocks reserved for root.
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
        Some(tunnel) => match figures::once(tunnel, daemon.engine().data_root()).await.disk {
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
