//! The registries a build may pull from: those in its Dockerfile and its `cache_from`.
//! Reads the Dockerfile only.

use super::super::context::Context;
use crate::config::dockerfile::{self, Bases};
use crate::config::service::Build;
use crate::domain::reference::registry_of;

/// Empty for an unreadable Dockerfile; the build itself reports it.
pub async fn bases(build: &Build) -> Bases {
    let mut bases = match Context::dockerfile(build).await {
        Ok(text) => dockerfile::bases(&text, &build.args),
        Err(fault) => {
            tracing::debug!(%fault, "the registries of a build are not known");
            Bases::default()
        }
    };
    let caches = build.cache_from.iter().map(|image| registry_of(image).to_owned());
    bases.registries.extend(caches);
    bases
}
