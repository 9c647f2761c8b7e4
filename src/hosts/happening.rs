//! Parses one line of `GET /events`: what happened to which container, or that containers were adopted.
//! Docker's JSON is not used outside this file; events that change no row are not requested.

use std::borrow::Cow;

use serde::Deserialize;

use super::listing::encode;
use crate::domain::adoption;
use crate::domain::container::Health;
use crate::domain::ids::ContainerId;
use crate::domain::units::Stamp;

/// An event line includes the container's labels, which can be tens of kilobytes with orchestrators.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// Docker's names, and Podman's if they differ.
const KINDS: [&str; 16] = [
    "create",
    "start",
    "restart",
    "die",
    "died",
    "stop",
    "kill",
    "oom",
    "pause",
    "unpause",
    "rename",
    "destroy",
    "remove",
    "update",
    "health_status",
    "init",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EngineEvent {
    pub(super) id: ContainerId,
    /// The daemon's clock.
    pub(super) at: Stamp,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Create,
    Start,
    /// Follows the start of a restart; contains nothing new.
    Restart,
    Die {
        code: Option<i32>,
    },
    /// Follows the die event; shows that the stop was requested.
    Stop,
    Kill {
        signal: String,
    },
    Oom,
    Pause,
    Unpause,
    Rename {
        to: String,
    },
    Destroy,
    /// A change of limits or restart policy.
    Update,
    Health(Health),
}

impl Kind {
    /// For the container's own history.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Create => "create".to_owned(),
            Self::Start => "start".to_owned(),
            Self::Restart => "restart".to_owned(),
            Self::Die { code: Some(code) } => format!("die {code}"),
            Self::Die { code: None } => "die".to_owned(),
            Self::Stop => "stop".to_owned(),
            Self::Kill { signal } if signal.is_empty() => "kill".to_owned(),
            Self::Kill { signal } => format!("kill {signal}"),
            Self::Oom => "oom".to_owned(),
            Self::Pause => "pause".to_owned(),
            Self::Unpause => "unpause".to_owned(),
            Self::Rename { to } => format!("rename to {to}"),
            Self::Destroy => "destroy".to_owned(),
            Self::Update => "update".to_owned(),
            Self::Health(Health::Healthy) => "health healthy".to_owned(),
            Self::Health(Health::Unhealthy) => "health unhealthy".to_owned(),
            Self::Health(Health::Starting) => "health starting".to_owned(),
            Self::Health(Health::Unchecked) => "health none".to_owned(),
        }
    }
}

/// The content of an event line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Happened(EngineEvent),
    /// The adopted containers of the host have changed.
    Adopted,
    /// Irrelevant for rows.
    Nothing,
}

/// The request for container events since a time of the daemon's clock.
pub(super) fn path(since: Stamp) -> String {
    let filters = serde_json::json!({ "type": ["container", "volume"], "event": KINDS }).to_string();
    let since = since.0.max(0);
    format!(
        "/events?since={}.{:09}&filters={}",
        since / 1_000_000_000,
        since % 1_000_000_000,
        encode(&filters)
    )
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default, rename = "Type", borrow)]
    object: Cow<'a, str>,
    #[serde(rename = "Action", borrow)]
    action: Cow<'a, str>,
    #[serde(rename = "Actor", borrow)]
    actor: Actor<'a>,
    #[serde(default)]
    time: i64,
    #[serde(default, rename = "timeNano")]
    nano: i64,
    /// Podman's.
    #[serde(default, rename = "HealthStatus", borrow)]
    health: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Actor<'a> {
    #[serde(rename = "ID", borrow)]
    id: Cow<'a, str>,
    #[serde(default, rename = "Attributes", borrow)]
    attributes: Attributes<'a>,
}

#[derive(Default, Deserialize)]
struct Attributes<'a> {
    #[serde(default, rename = "exitCode", borrow)]
    exit_code: Option<Cow<'a, str>>,
    /// Podman's.
    #[serde(default, rename = "containerExitCode", borrow)]
    container_exit_code: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    signal: Option<Cow<'a, str>>,
}

/// An error means that the line is not an event.
pub(super) fn read(line: &[u8]) -> Result<Told, serde_json::Error> {
    let line: Line<'_> = serde_json::from_slice(line)?;
    if line.object == "volume" && line.actor.id.starts_with(adoption::VOLUMES) {
        return Ok(Told::Adopted);
    }
    if line.object != "container" {
        return Ok(Told::Nothing);
    }
    let (Ok(id), Some(kind)) = (ContainerId::parse(&line.actor.id), kind(&line)) else {
        return Ok(Told::Nothing);
    };
    let at = if line.nano > 0 {
        Stamp(line.nano)
    } else {
        Stamp::from_seconds(line.time)
    };
    Ok(Told::Happened(EngineEvent { id, at, kind }))
}

fn kind(line: &Line<'_>) -> Option<Kind> {
    let attributes = &line.actor.attributes;
    let (action, tail) = line.action.split_once(':').unwrap_or((&line.action, ""));
    Some(match action {
        "create" => Kind::Create,
        "start" => Kind::Start,
        "restart" => Kind::Restart,
        "die" | "died" => {
            let code = attributes
                .exit_code
                .as_ref()
                .or(attributes.container_exit_code.as_ref());
            Kind::Die {
                code: code.and_then(|code| code.parse().ok()),
            }
        }
        "stop" => Kind::Stop,
        "kill" => Kind::Kill {
            signal: attributes.signal.as_deref().unwrap_or_default().to_owned(),
        },
        "oom" => Kind::Oom,
        "pause" => Kind::Pause,
        "unpause" => Kind::Unpause,
        "rename" => Kind::Rename {
            to: attributes.name.as_deref()?.trim_start_matches('/').to_owned(),
        },
        "destroy" | "remove" => Kind::Destroy,
        "update" => Kind::Update,
        "health_status" => Kind::Health(match line.health.as_deref().unwrap_or(tail).trim() {
            "healthy" => Health::Healthy,
            "unhealthy" => Health::Unhealthy,
            "starting" => Health::Starting,
            _ => return None,
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(action: &str, attributes: &str) -> Option<Kind> {
        let line = format!(
            r#"{{"status":"x","id":"abc","Type":"container","Action":"{action}","Actor":{{"ID":"abc","Attributes":{{{attributes}}}}},"time":5,"timeNano":5000000001}}"#
        );
        match read(line.as_bytes()).unwrap() {
            Told::Happened(event) => {
                assert_eq!((event.id.as_str(), event.at), ("abc", Stamp(5_000_000_001)));
                Some(event.kind)
            }
            Told::Nothing => None,
            Told::Adopted => panic!("a container's event adopts nothing"),
        }
    }

    #[test]
    fn a_volume_tells_of_an_adoption_by_its_name_alone() {
        let of = |name: &str| {
            let line = format!(r#"{{"Type":"volume","Action":"create","Actor":{{"ID":"{name}"}},"time":5}}"#);
            read(line.as_bytes()).unwrap()
        };
        assert_eq!(of("pilothouse.adopted.shop.r0"), Told::Adopted);
        assert_eq!(of("data"), Told::Nothing);
    }

    #[test]
    fn a_death_carries_its_code_and_a_rename_its_new_name() {
        assert_eq!(
            from("die", r#""exitCode":"137""#),
            Some(Kind::Die { code: Some(137) })
        );
        assert_eq!(
            from("died", r#""containerExitCode":"1""#),
            Some(Kind::Die { code: Some(1) })
        );
        assert_eq!(
            from("rename", r#""name":"new","oldName":"/old""#),
            Some(Kind::Rename { to: "new".into() })
        );
    }

    #[test]
    fn the_health_is_in_the_action() {
        assert_eq!(
            from("health_status: unhealthy", ""),
            Some(Kind::Health(Health::Unhealthy))
        );
    }

    #[test]
    fn what_changes_no_row_is_nothing_and_garbage_is_an_error() {
        assert_eq!(from("exec_start: sh", ""), None);
        assert!(read(b"{\"Action\":").is_err());
    }

    #[test]
    fn the_request_names_the_moment_to_the_nanosecond() {
        assert!(path(Stamp(1_500_000_000)).starts_with("/events?since=1.500000000&filters=%7B"));
    }
}
