//! Ports that containers publish on their host.

use serde_json::{Value, json};

use super::container::Container;
use super::world::text;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    /// `80/tcp`
    pub(super) inside: String,
    pub(super) address: String,
    pub(super) outside: u16,
}

impl Published {
    pub(super) fn clashes(&self, other: &Self) -> bool {
        let protocol = |port: &Self| port.inside.rsplit('/').next().map(str::to_owned);
        let everywhere = |port: &Self| port.address == "0.0.0.0";
        self.outside == other.outside
            && protocol(self) == protocol(other)
            && (self.address == other.address || everywhere(self) || everywhere(other))
    }
}

/// What it publishes while it runs. As the daemon has it: of what is bound only what is also exposed.
pub(super) fn published(container: &Container) -> Vec<Published> {
    let bindings = container.host.get("PortBindings").and_then(Value::as_object);
    let exposed = container.config.get("ExposedPorts");
    let mut all = Vec::new();
    for (inside, places) in bindings.into_iter().flatten() {
        if exposed.and_then(|exposed| exposed.get(inside)).is_none() {
            continue;
        }
        for place in places.as_array().into_iter().flatten() {
            let address = match text(place, "HostIp") {
                "" => "0.0.0.0",
                other => other,
            };
            all.push(Published {
                inside: inside.clone(),
                address: address.to_owned(),
                outside: text(place, "HostPort")
                    .parse()
                    .unwrap_or_else(|_| given_out(container, inside)),
            });
        }
    }
    all
}

/// A port of the daemon's choice: always the same for the same container.
fn given_out(container: &Container, inside: &str) -> u16 {
    let sum = container
        .id
        .bytes()
        .chain(inside.bytes())
        .fold(0_u16, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u16::from(byte))
        });
    49_153 + sum % 15_000
}

/// `NetworkSettings.Ports` of an inspection.
pub(super) fn inspected(container: &Container) -> Value {
    let mut map = serde_json::Map::new();
    if !container.is_up() {
        return Value::Object(map);
    }
    for exposed in container
        .config
        .get("ExposedPorts")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        map.insert(exposed.0.clone(), Value::Null);
    }
    for port in published(container) {
        let mut places = vec![json!({"HostIp": port.address, "HostPort": port.outside.to_string()})];
        if port.address == "0.0.0.0" {
            places.push(json!({"HostIp": "::", "HostPort": port.outside.to_string()}));
        }
        match map.get_mut(&port.inside).and_then(Value::as_array_mut) {
            Some(list) => list.extend(places),
            None => {
                map.insert(port.inside, Value::Array(places));
            }
        }
    }
    Value::Object(map)
}

/// `Ports` of a list.
pub(super) fn listed(container: &Container) -> Value {
    let mut list = Vec::new();
    for (inside, places) in inspected(container).as_object().into_iter().flatten() {
        let (number, protocol) = inside.split_once('/').unwrap_or((inside, "tcp"));
        let number: u16 = number.parse().unwrap_or(0);
        match places.as_array() {
            None => list.push(json!({"PrivatePort": number, "Type": protocol})),
            Some(places) => list.extend(places.iter().map(|place| {
                json!({
                    "IP": text(place, "HostIp"),
                    "PrivatePort": number,
                    "PublicPort": text(place, "HostPort").parse::<u16>().unwrap_or(0),
                    "Type": protocol,
                })
            })),
        }
    }
    Value::Array(list)
}
