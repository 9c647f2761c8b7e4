//! The engine's events: the last 256 for whoever asks for the past, all of them for whoever listens.
//! Says what happened; `world` and its parts say that it did.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::engine::Engine;
use super::http::{Answer, Ask, Filters, Refused, bad, broken, reply, stream};
use super::world::World;
use crate::domain::units::Stamp;

/// Docker's own: older events are forgotten.
const REMEMBERED: usize = 256;
/// Kept a little longer for listeners that have not come to them yet.
const UNREAD: usize = 8_192;

#[derive(Debug, Default)]
pub(super) struct Events {
    ring: VecDeque<Event>,
    /// The number of the next event.
    next: u64,
}

#[derive(Clone, Debug)]
struct Event {
    at: Stamp,
    value: Value,
}

impl Events {
    pub(super) fn push(&mut self, at: Stamp, value: Value) {
        if self.ring.len() == UNREAD {
            self.ring.pop_front();
        }
        self.ring.push_back(Event { at, value });
        self.next += 1;
    }

    /// A restarted daemon remembers nothing.
    pub(super) fn forget(&mut self) {
        self.ring.clear();
    }

    fn first(&self) -> u64 {
        self.next - u64::try_from(self.ring.len()).unwrap_or(0)
    }

    /// Number and text of those from number `from` on that are wanted.
    fn after(&self, from: u64, wanted: &Wanted) -> String {
        let skip = usize::try_from(from.saturating_sub(self.first())).unwrap_or(usize::MAX);
        let mut text = String::new();
        for event in self.ring.iter().skip(skip).filter(|event| wanted.admits(event)) {
            text.push_str(&event.value.to_string());
            text.push('\n');
        }
        text
    }

    fn past(&self) -> u64 {
        self.next
            .saturating_sub(u64::try_from(REMEMBERED.min(self.ring.len())).unwrap_or(0))
    }
}

impl World {
    pub(super) fn emit(&mut self, kind: &str, action: &str, id: &str, attributes: Value) {
        let at = self.next_moment();
        let value = json!({
            "Type": kind,
            "Action": action,
            "Actor": { "ID": id, "Attributes": attributes },
            "scope": "local",
            "time": at.seconds(),
            "timeNano": at.0,
        });
        self.events.push(at, value);
        self.touch();
    }

    /// An event of a container: its labels, image and name, and what the event adds.
    pub(super) fn emit_container(&mut self, id: &str, action: &str, more: &[(&str, &str)]) {
        let Some(container) = self.containers.get(id) else {
            return;
        };
        let mut attributes: Map<String, Value> = container.labels().as_object().cloned().unwrap_or_default();
        let image = container.image.clone();
        if !image.is_empty() {
            attributes.insert("image".to_owned(), json!(image));
        }
        attributes.insert("name".to_owned(), json!(container.name));
        for (key, value) in more {
            attributes.insert((*key).to_owned(), json!(value));
        }
        let at = self.next_moment();
        let mut value = json!({
            "status": action,
            "id": id,
            "Type": "container",
            "Action": action,
            "Actor": { "ID": id, "Attributes": attributes },
            "scope": "local",
            "time": at.seconds(),
            "timeNano": at.0,
        });
        if !image.is_empty()
            && let Some(object) = value.as_object_mut()
        {
            object.insert("from".to_owned(), json!(image));
        }
        self.events.push(at, value);
        self.touch();
    }
}

/// What a listener asked for.
#[derive(Debug)]
struct Wanted {
    since: Option<Stamp>,
    until: Option<Stamp>,
    filters: Filters,
}

impl Wanted {
    fn admits(&self, event: &Event) -> bool {
        let text = |path: &str| {
            event
                .value
                .pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let attribute = |key: &str| {
            event
                .value
                .pointer("/Actor/Attributes")
                .and_then(|attributes| attributes.get(key))
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let named = |kind: &str, wanted: &str| {
            text("/Type") == kind
                && (text("/Actor/ID") == wanted
                    || attribute("name") == wanted
                    || (wanted.len() >= 12 && text("/Actor/ID").starts_with(wanted)))
        };
        let empty = Value::Null;
        let labels = event.value.pointer("/Actor/Attributes").unwrap_or(&empty);
        self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at <= until)
            && self.filters.admits("type", |wanted| text("/Type") == wanted)
            && self.filters.admits("event", |wanted| {
                let action = text("/Action");
                action == wanted || action.split(':').next() == Some(wanted)
            })
            && self
                .filters
                .admits("container", |wanted| named("container", wanted))
            && self.filters.admits("network", |wanted| named("network", wanted))
            && self.filters.admits("volume", |wanted| named("volume", wanted))
            && self.filters.admits("image", |wanted| {
                attribute("image") == wanted || named("image", wanted)
            })
            && self.filters.admits_labels(labels)
    }
}

/// `1700000000`, `1700000000.123456789` or RFC 3339.
pub(super) fn moment(text: &str) -> Result<Stamp, Refused> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if let Ok(seconds) = whole.parse::<i64>() {
        let mut nanos: String = part.chars().take(9).collect();
        while nanos.len() < 9 {
            nanos.push('0');
        }
        let nanos = nanos
            .parse::<i64>()
            .map_err(|error| bad(format!("strconv.ParseInt: parsing {part:?}: {error}")))?;
        return Ok(Stamp(Stamp::from_seconds(seconds).0.saturating_add(nanos)));
    }
    let parsed: jiff::Timestamp = text.parse().map_err(|_error: jiff::Error| {
        broken(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
    })?;
    Ok(Stamp(i64::try_from(parsed.as_nanosecond()).unwrap_or(i64::MAX)))
}

pub(super) fn listen(engine: &Arc<Engine>, ask: &Ask) -> Answer {
    let asked = |key: &str| {
        ask.query(key)
            .filter(|text| !text.is_empty() && *text != "0")
            .map(moment)
            .transpose()
    };
    let wanted = Wanted {
        since: match ask.query("since") {
            Some("0") => Some(Stamp(0)),
            _ => asked("since")?,
        },
        until: asked("until")?,
        filters: ask.filters()?,
    };
    let mut pulse = engine.pulse();
    let mut next = {
        let world = engine.world();
        if wanted.since.is_some() {
            world.events.past()
        } else {
            world.events.next
        }
    };
    if wanted.until.is_some_and(|until| until <= engine.clock.now()) {
        let text = engine.world().events.after(next, &wanted);
        return Ok(reply(
            StatusCode::OK,
            "application/json",
            super::http::Sent::Whole(Some(text.into())),
        ));
    }
    let (pieces, reply) = stream("application/json");
    let engine = Arc::clone(engine);
    let owner = Arc::clone(&engine);
    owner.spawn(async move {
        loop {
            let text = {
                let world = engine.world();
                let text = world.events.after(next, &wanted);
                next = world.events.next;
                text
            };
            if !text.is_empty() && pieces.send(Bytes::from(text)).await.is_err() {
                return;
            }
            let end = async {
                match wanted.until {
                    Some(until) => tokio::time::sleep_until(engine.clock.instant(until)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = end => return,
                () = pieces.closed() => return,
                changed = pulse.changed() => if changed.is_err() { return },
            }
        }
    });
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_with_and_without_a_fraction() {
        assert_eq!(moment("5").unwrap(), Stamp(5_000_000_000));
        assert_eq!(moment("5.25").unwrap(), Stamp(5_250_000_000));
        assert_eq!(moment("1970-01-01T00:00:05.25Z").unwrap(), Stamp(5_250_000_000));
        assert!(moment("soon").is_err());
    }
}
