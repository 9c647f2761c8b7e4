//! A daemon's description of itself, from `GET /version` and `GET /info`.
//! Docker's JSON is not used outside this file.

use std::time::Duration;

use serde::Deserialize;

use super::trouble::Trouble;
use super::wire::ReadWire;
use crate::domain::host::{Engine, EngineKind, Info, Installation, Uninformed};
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
    described(engine, facts(wire).await)
}

/// Both, asked at once; without `/version` nobody waits for the other.
pub(super) async fn whole(wire: &ReadWire) -> Result<Engine, Trouble> {
    let (engine, facts) = tokio::try_join!(version(wire), async { Ok(facts(wire).await) })?;
    Ok(described(engine, facts))
}

async fn facts(wire: &ReadWire) -> Result<Facts, Trouble> {
    wire.get_json("/info", LIMIT).await
}

fn described(engine: Engine, facts: Result<Facts, Trouble>) -> Engine {
    match facts {
        Ok(facts) => Engine {
            os: facts.operating_system.unwrap_or(engine.os),
            info: Info::Known(Installation {
                daemon_id: facts.id.filter(|id| !id.is_empty()),
                hostname: facts.name.unwrap_or_default(),
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
            }),
            ..engine
        },
        Err(trouble) => Engine {
            info: Info::Unknown {
                info_unknown: if trouble.is_final() {
                    Uninformed::Denied(trouble.to_string())
                } else {
                    Uninformed::Unanswered(trouble.to_string())
                },
            },
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
        os: version.os.unwrap_or_default(),
        arch: version.arch.unwrap_or_default(),
        kernel: version.kernel.unwrap_or_default(),
        info: Info::Unknown {
            info_unknown: Uninformed::NotAsked,
        },
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

    fn with(facts: Result<&str, Trouble>) -> Engine {
        let engine = from(r#"{"ApiVersion":"1.41","Os":"linux"}"#).unwrap();
        described(engine, facts.map(|facts| serde_json::from_str(facts).unwrap()))
    }

    #[test]
    fn what_info_tells_is_denied_for_good_or_only_unanswered_this_time() {
        let denied = Trouble::Refused {
            status: 403,
            message: "forbidden by the proxy".to_owned(),
        };
        let denied = with(Err(denied));
        assert_eq!(
            denied.installation(),
            Err(&Uninformed::Denied("forbidden by the proxy".to_owned()))
        );
        assert!(
            denied
                .data_root()
                .unwrap_err()
                .ends_with("forbidden by the proxy")
        );
        let late = with(Err(Trouble::Late(LIMIT)));
        assert_eq!(
            late.installation(),
            Err(&Uninformed::Unanswered("no answer within 10 s".to_owned()))
        );
        let told = serde_json::to_string(&late).unwrap();
        assert_eq!(serde_json::from_str::<Engine>(&told).unwrap(), late, "{told}");
    }

    #[test]
    fn an_id_that_is_missing_or_empty_is_unknown() {
        for none in ["{}", r#"{"ID":""}"#] {
            let engine = with(Ok(none));
            assert_eq!(engine.daemon_id(), None, "{none}");
            assert!(engine.data_root().is_err(), "{none}");
        }
        let engine = with(Ok(
            r#"{"ID":"A1","DockerRootDir":"/data","OperatingSystem":"Debian"}"#,
        ));
        assert_eq!(engine.daemon_id(), Some("A1"));
        assert_eq!((engine.data_root(), engine.os.as_str()), (Ok("/data"), "Debian"));
        let told = serde_json::to_string(&engine).unwrap();
        assert!(told.contains(r#""daemon_id":"A1""#), "{told}");
        assert_eq!(serde_json::from_str::<Engine>(&told).unwrap(), engine, "{told}");
    }

    #[test]
    fn podman_is_known_by_its_components() {
        let engine = from(r#"{"ApiVersion":"1.41","Components":[{"Name":"Podman Engine"}]}"#).unwrap();
        assert_eq!(engine.kind, EngineKind::Podman);
    }
}
