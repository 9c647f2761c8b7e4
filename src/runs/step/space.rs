//! Whether an image fits on a host, checked before it is transferred.
//! Refuses only if it certainly does not fit: no layer is shared, and even the blocks reserved for root would not suffice.

use std::collections::BTreeSet;

use bollard::query_parameters::ListImagesOptionsBuilder;
use futures_util::{StreamExt as _, stream};

use super::image;
use crate::domain::fault::Fault;
use crate::domain::ids::ImageId;
use crate::domain::units::Bytes;
use crate::hosts::Daemon;
use crate::hosts::disk::{Disk, disk};
use crate::hosts::trouble::engine_words;

/// So much of a file system may be root's alone: twice of what ext4 keeps if nobody says otherwise.
const KEPT_BY_ROOT: u64 = 10;
/// More are not looked at: then nothing is certain.
const MOST_IMAGES: usize = 300;
const AT_ONCE: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Space {
    Enough { size: Bytes, free: Bytes },
    TooLittle { size: Bytes, free: Bytes },
    Unknown { why: String },
}

/// For `image` of `from` on `to`, which does not have it.
pub async fn space(from: &Daemon, to: &Daemon, image: &ImageId) -> Space {
    let unknown = |fault: Fault| Space::Unknown { why: fault.why };
    let size = match image::size(from, image).await {
        Ok(size) => size,
        Err(fault) => return unknown(fault),
    };
    let disk = match disk(to).await {
        Ok(disk) => disk,
        Err(why) => return Space::Unknown { why },
    };
    if size.0 <= disk.free.0 {
        return judge(size, disk, true);
    }
    match shares_a_layer(from, to, image).await {
        Ok(shares) => judge(size, disk, shares),
        Err(why) => Space::Unknown { why },
    }
}

fn judge(size: Bytes, disk: Disk, shares: bool) -> Space {
    let free = disk.free;
    let most = free.0.saturating_add(disk.all.0 / KEPT_BY_ROOT);
    if size.0 <= free.0 {
        return Space::Enough { size, free };
    }
    if shares || size.0 <= most {
        let why = format!("it needs up to {size}, and {free} are free");
        return Space::Unknown { why };
    }
    Space::TooLittle { size, free }
}

impl Space {
    /// Why it cannot be brought, if that is certain.
    #[must_use]
    pub fn fault(&self, image: &str, host: &impl std::fmt::Display) -> Option<Fault> {
        match self {
            Self::TooLittle { size, free } => Some(
                Fault::new(
                    format!("bring the image {image} to {host}"),
                    format!("it needs {size}, and {free} are free on the disk of Docker's data"),
                )
                .hint("`docker system df` there shows what uses the space"),
            ),
            Self::Enough { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// Layers stand on each other: without the same first one nothing is shared.
async fn shares_a_layer(from: &Daemon, to: &Daemon, image: &ImageId) -> Result<bool, String> {
    let words = |error: bollard::errors::Error| engine_words(&error);
    let own = layers(from, image.as_str()).await?;
    let Some(first) = own.into_iter().next() else {
        return Ok(true);
    };
    let all = ListImagesOptionsBuilder::default().all(true).build();
    let there = to.read().list_images(Some(all)).await.map_err(words)?;
    if there.len() > MOST_IMAGES {
        return Ok(true);
    }
    let ids: BTreeSet<String> = there.into_iter().map(|image| image.id).collect();
    let mut looked = stream::iter(ids)
        .map(|id| async move { layers(to, &id).await })
        .buffer_unordered(AT_ONCE);
    while let Some(found) = looked.next().await {
        if found?.contains(&first) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn layers(daemon: &Daemon, image: &str) -> Result<Vec<String>, String> {
    let seen = daemon.read().inspect_image(image).await;
    let seen = seen.map_err(|error| engine_words(&error))?;
    Ok(seen.root_fs.and_then(|root| root.layers).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_fit_in_any_case_is_too_large() {
        let disk = Disk {
            free: Bytes(100),
            all: Bytes(1000),
        };
        let is_certain = |size, shares| matches!(judge(Bytes(size), disk, shares), Space::TooLittle { .. });
        assert!(!is_certain(100, false) && !is_certain(200, false));
        assert!(is_certain(201, false) && !is_certain(201, true));
        let fault = judge(Bytes(201), disk, false).fault("shop:v2", &"web-1").unwrap();
        assert!(fault.why.contains("and 100 B are free"), "{fault}");
    }
}
