//! `GET /containers/json` as rows, with the adopted containers among them.
//! Docker's JSON is not used outside this file; a row that cannot be read is skipped and logged.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::mask;
use super::status_text;
use super::trouble::Trouble;
use super::wire::ReadWire;
use crate::domain::adoption::Adoption;
use crate::domain::container::{Container, Port, Role};
use crate::domain::ids::{ContainerId, ImageId};
use crate::domain::units::Stamp;

/// Thousands of containers on a busy daemon take seconds.
const LIMIT: Duration = Duration::from_secs(15);

/// The limit for volumes, so that a slow answer does not delay the containers.
const VOLUMES_LIMIT: Duration = Duration::from_secs(3);

/// The requested containers, as of `taken` by the daemon's clock (to the second).
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) taken: Stamp,
    pub(super) containers: Vec<Container>,
    /// The adopted containers; `None` if not requested or not available.
    pub(super) adopted: Option<Vec<Adoption>>,
}

/// All of them.
pub(super) async fn all(wire: &ReadWire) -> Result<Listing, Trouble> {
    let (listing, adopted) = tokio::join!(fetch(wire, "/containers/json?all=true"), adopted(wire));
    Ok(Listing { adopted, ..listing? })
}

/// Only volumes of the local driver, because a plugin may hang.
async fn adopted(wire: &ReadWire) -> Option<Vec<Adoption>> {
    let role = Role::Adopted.filter();
    let filters = serde_json::json!({ "label": [role], "driver": ["local"] }).to_string();
    let path = format!("/volumes?filters={}", encode(&filters));
    match wire.get_json::<Volumes>(&path, VOLUMES_LIMIT).await {
        Ok(told) => Some(
            told.volumes
                .unwrap_or_default()
                .iter()
                .filter_map(|volume| Adoption::read(volume.labels.as_ref()?))
                .collect(),
        ),
        Err(trouble) => {
            tracing::debug!(
                ?trouble,
                "the volumes could not be read: adopted containers stay as they were"
            );
            None
        }
    }
}

#[derive(Deserialize)]
struct Volumes {
    #[serde(default, rename = "Volumes")]
    volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
struct Volume {
    #[serde(default, rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

/// Only these, in one request.
pub(super) async fn only(wire: &ReadWire, ids: &[ContainerId]) -> Result<Listing, Trouble> {
    let ids: Vec<&str> = ids.iter().map(ContainerId::as_str).collect();
    let filters = serde_json::json!({ "id": ids }).to_string();
    fetch(
        wire,
        &format!("/containers/json?all=true&filters={}", encode(&filters)),
    )
    .await
}

async fn fetch(wire: &ReadWire, path: &str) -> Result<Listing, Trouble> {
    let (bytes, date) = wire.get_bytes(path, LIMIT).await?;
    let taken = clock(date.as_deref());
    Ok(Listing {
        taken,
        containers: read(&bytes, taken)?,
        adopted: None,
    })
}

/// What stands for itself in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

/// The daemon's clock, from the `Date:` header; this machine's if there is none.
pub(super) fn clock(date: Option<&str>) -> Stamp {
    date.and_then(parse_date).unwrap_or_else(wall_clock)
}

pub(super) fn parse_date(text: &str) -> Option<Stamp> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Stamp::from_seconds(at.as_second()))
}

pub(super) fn wall_clock() -> Stamp {
    SystemTime::now().into()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    names: Option<Vec<Cow<'a, str>>>,
    #[serde(default, borrow)]
    image: Cow<'a, str>,
    #[serde(default, rename = "ImageID", borrow)]
    image_id: Cow<'a, str>,
    #[serde(default)]
    command: Option<Cow<'a, str>>,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    ports: Option<Vec<RowPort<'a>>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default, borrow)]
    state: Cow<'a, str>,
    #[serde(default, borrow)]
    status: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RowPort<'a> {
    #[serde(default, rename = "IP", borrow)]
    ip: Cow<'a, str>,
    private_port: u16,
    #[serde(default)]
    public_port: Option<u16>,
    #[serde(default, rename = "Type", borrow)]
    protocol: Cow<'a, str>,
}

fn read(bytes: &[u8], taken: Stamp) -> Result<Vec<Container>, Trouble> {
    let rows: Vec<Row<'_>> =
        serde_json::from_slice(bytes).map_err(|fault| Trouble::Unreadable(fault.to_string()))?;
    let mut containers = Vec::with_capacity(rows.len());
    for row in rows {
        match container(row, taken) {
            Ok(container) => containers.push(container),
            Err(fault) => tracing::warn!(%fault, "a container of the list is left out"),
        }
    }
    Ok(containers)
}

fn container(row: Row<'_>, taken: Stamp) -> Result<Container, crate::domain::fault::Fault> {
    let id = ContainerId::parse(&row.id)?;
    let (state, health) = status_text::read(&row.state, &row.status, taken);
    // Links give a container more names, each with the linking one's before a slash.
    let names = row.names.unwrap_or_default();
    let name = names
        .iter()
        .map(|name| name.trim_start_matches('/'))
        .find(|name| !name.contains('/'))
        .unwrap_or_else(|| id.short());
    Ok(Container {
        name: name.into(),
        image: row.image.into(),
        image_id: ImageId::parse(&row.image_id).ok(),
        command: mask::words_of(&row.command.unwrap_or_default()).into(),
        created: Stamp::from_seconds(row.created),
        state,
        health,
        ports: ports(row.ports.unwrap_or_default()),
        labels: Arc::new(row.labels.unwrap_or_default()),
        id,
    })
}

/// Sorted; a port published on all addresses comes twice (`0.0.0.0` and `::`) and is kept once.
fn ports(rows: Vec<RowPort<'_>>) -> Vec<Port> {
    let mut ports: Vec<Port> = rows
        .into_iter()
        .map(|row| Port {
            inside: row.private_port,
            protocol: row.protocol.into(),
            published: row.public_port.map(|port| (row.ip.into(), port)),
        })
        .collect();
    ports.sort_by(|a, b| (a.inside, &a.protocol, &a.published).cmp(&(b.inside, &b.protocol, &b.published)));
    ports.dedup_by(|later, first| {
        let everywhere = |port: &Port| {
            port.published
                .as_ref()
                .filter(|(ip, _)| matches!(&**ip, "0.0.0.0" | "::" | ""))
                .map(|&(_, outside)| outside)
        };
        later.inside == first.inside
            && later.protocol == first.protocol
            && (later.published == first.published
                || (everywhere(first).is_some() && everywhere(later) == everywhere(first)))
    });
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::container::{Health, State};

    #[test]
    fn a_row_is_read_with_its_name_ports_labels_and_status() {
        let json = r#"[{"Id":"abc1","Names":["/web/db","/db"],"Image":"postgres:16","ImageID":"sha256:ff","Command":"run",
            "Created":5,"Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
            {"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},{"PrivatePort":9,"Type":"udp"}],
            "Labels":{"a":"b"},"State":"running","Status":"Up 2 seconds (healthy)"}]"#;
        let rows = read(json.as_bytes(), Stamp::from_seconds(100)).unwrap();
        let row = &rows[0];
        assert_eq!((&*row.name, &*row.image), ("db", "postgres:16"));
        assert_eq!(row.health, Health::Healthy);
        assert_eq!(
            row.state,
            State::Running {
                since: Some(Stamp::from_seconds(98))
            }
        );
        let shown: Vec<_> = row
            .ports
            .iter()
            .map(|p| (p.inside, p.published.as_ref().map(|p| p.1)))
            .collect();
        assert_eq!(shown, [(9, None), (80, Some(8080))]);
        assert_eq!(row.label("a"), Some("b"));
    }

    #[test]
    fn a_secret_in_a_command_line_does_not_reach_a_row() {
        let json = r#"[{"Id":"abc1","Command":"redis-server --requirepass hunter2","State":"created"}]"#;
        let rows = read(json.as_bytes(), Stamp(0)).unwrap();
        assert_eq!(&*rows[0].command, "redis-server --requirepass ••••••");
    }

    #[test]
    fn nulls_where_lists_are_expected_are_empty_lists() {
        let json =
            r#"[{"Id":"abc1","Names":null,"Ports":null,"Labels":null,"Command":null,"State":"created"}]"#;
        let rows = read(json.as_bytes(), Stamp(0)).unwrap();
        assert_eq!(&*rows[0].name, "abc1");
    }

    #[test]
    fn a_row_that_cannot_be_read_hides_no_other() {
        let json = r#"[{"Id":"../x","State":"created"},{"Id":"abc1","State":"created"}]"#;
        assert_eq!(read(json.as_bytes(), Stamp(0)).unwrap().len(), 1);
    }

    #[test]
    fn the_daemons_clock_is_read_from_the_date_header() {
        assert_eq!(
            parse_date("Thu, 01 Jan 1970 00:01:40 GMT"),
            Some(Stamp::from_seconds(100))
        );
    }

    #[test]
    fn a_filter_is_percent_encoded() {
        assert_eq!(encode(r#"{"id":["a"]}"#), "%7B%22id%22%3A%5B%22a%22%5D%7D");
    }
}
