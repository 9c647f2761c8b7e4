//! A daemon's description of itself, from `GET /version` and `GET /info`.
//! Docker's JSON is not used outside this file.

use std::time::Duration;

use serde::Deserialize;

use super::trouble::Trouble;
use super::wire::ReadWire;
use crate::domain::host::{Engine, EngineKind};
use crate::domain::units::Bytes;

/// `/info` counts containers and asks plugins, which takes a loaded daemon seconds.
const LIMIT: Duration = Duration::from_secs(10);
/// Docker 19.03 and Podman 3; older versions lack required fields.
const OLDEST_API: (u32, u32) = (1, 40);
/// The newest version this program was checked against.
const NEWEST_API: (u32, u32) = (1, 51);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    #[serde(rename = "Version")]
    number: Option<String>,
    #[serde(rename = "ApiVersion")]
    api: Option<String>,
    os: Option<String>,
    arch: Option<String>,
    #[serde(rename = "KernelVersion")]
    kernel: Option<String>,
    #[serde(default)]
    platform: Component,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    #[serde(default)]
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Facts {
    #[serde(rename = "ID")]
    id: Option<String>,
    name: Option<String>,
    operating_system: Option<String>,
    #[serde(rename = "NCPU")]
    cpus: Option<u32>,
    mem_total: Option<u64>,
    driver: Option<String>,
    logging_driver: Option<String>,
    cgroup_version: Option<String>,
    docker_root_dir: Option<String>,
}

/// What `/version` tells, which is all that is needed to use a daemon; refuses an engine that is too old.
pub(super) async fn version(wire: &ReadWire) -> Result<Engine, Trouble> {
    engine(wire.get_json::<Version>("/version", LIMIT).await?)
}

/// Adds what `/info` tells, or why that is unknown.
pub(super) async fn with_info(engine: Engine, wire: &ReadWire) -> Engine {
    let facts = wire.get_json::<Facts>("/info", LIMIT).await;
    described(engine, facts)
}

/// Both, asked at once.
pub(super) async fn whole(wire: &ReadWire) -> Result<Engine, Trouble> {
    let (engine, facts) = tokio::join!(version(wire), wire.get_json::<Facts>("/info", LIMIT));
    Ok(described(engine?, facts))
}

fn described(engine: Engine, facts: Result<Facts, Trouble>) -> Engine {
    match facts {
        Ok(facts) => Engine {
            info_unknown: None,
            daemon_id: facts.id.unwrap_or_default(),
            hostname: facts.name.unwrap_or_default(),
            os: facts.operating_system.unwrap_or(engine.os),
            cpus: facts.cpus.unwrap_or_default(),
            memory: Bytes(facts.mem_total.unwrap_or_default()),
            storage_driver: facts.driver.unwrap_or_default(),
            logging_driver: facts.logging_driver.unwrap_or_default(),
            // Absent before API 1.41, when there was only the first.
            cgroup: if facts.cgroup_version.as_deref() == Some("2") {
                2
            } else {
                1
            },
            data_root: facts.docker_root_dir.unwrap_or_default(),
            ..engine
        },
        Err(trouble) => Engine {
            info_unknown: Some(trouble.to_string()),
            ..engine
        },
    }
}

fn engine(version: Version) -> Result<Engine, Trouble> {
    let offered = version.api.unwrap_or_default();
    let Some(api) = parse_api(&offered) else {
        return Err(Trouble::Unreadable(format!(
            "it reports no API version ({offered:?})"
        )));
    };
    let number = version.number.unwrap_or_default();
    if api < OLDEST_API {
        return Err(Trouble::Invalid(format!(
            "its engine {number} is too old: it speaks API {offered}, at least {}.{} (Docker 19.03, Podman 3) is needed",
            OLDEST_API.0, OLDEST_API.1
        )));
    }
    let api = api.min(NEWEST_API);
    Ok(Engine {
        kind: kind(&version.platform, &version.components),
        version: number,
        api: format!("{}.{}", api.0, api.1),
        info_unknown: Some("it was not asked yet".to_owned()),
        daemon_id: String::new(),
        hostname: String::new(),
        os: version.os.unwrap_or_default(),
        arch: version.arch.unwrap_or_default(),
        kernel: version.kernel.unwrap_or_default(),
        cpus: 0,
        memory: Bytes(0),
        storage_driver: String::new(),
        logging_driver: String::new(),
        cgroup: 0,
        data_root: String::new(),
    })
}

fn kind(platform: &Component, components: &[Component]) -> EngineKind {
    let named = |word: &str| components.iter().any(|component| component.name.contains(word));
    if platform.name.starts_with("Pilothouse") {
        EngineKind::Simulated
    } else if named("Podman") {
        EngineKind::Podman
    } else {
        EngineKind::Docker
    }
}

pub(super) fn parse_api(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(version: &str) -> Result<Engine, Trouble> {
        engine(serde_json::from_str(version).unwrap())
    }

    #[test]
    fn an_engine_that_is_too_old_is_refused_with_the_least_that_is_needed() {
        let refused = from(r#"{"Version":"17.03.2","ApiVersion":"1.27"}"#)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("17.03.2") && refused.contains("1.40"),
            "{refused}"
        );
    }

    #[test]
    fn the_lower_of_both_newest_versions_is_spoken() {
        assert_eq!(from(r#"{"ApiVersion":"1.41"}"#).unwrap().api, "1.41");
        assert_eq!(from(r#"{"ApiVersion":"1.99"}"#).unwrap().api, "1.51");
    }

    #[test]
    fn podman_is_known_by_its_components() {
        let engine = from(r#"{"ApiVersion":"1.41","Components":[{"Name":"Podman Engine"}]}"#).unwrap();
        assert_eq!(engine.kind, EngineKind::Podman);
    }
}
