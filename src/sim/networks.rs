//! Networks of a simulated host, and the addresses containers have on them.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::clock::rfc3339;
use super::container::{Attached, Container};
use super::create::attached;
use super::http::{Answer, Filters, Refused, broken, conflict, empty, json_reply, missing, ok, refused};
use super::world::{World, text};
use crate::domain::units::Stamp;

#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) driver: String,
    pub(super) created: Stamp,
    /// Second number of `172.x.0.0/16`; absent where there are no addresses.
    pub(super) subnet: Option<u8>,
    pub(super) asked: Value,
}

impl World {
    pub(super) fn make_default_networks(&mut self) {
        for (name, driver, subnet) in [
            ("none", "null", None),
            ("host", "host", None),
            ("bridge", "bridge", Some(17)),
        ] {
            let id = self.new_id();
            self.networks.push(Network {
                id,
                name: name.to_owned(),
                driver: driver.to_owned(),
                created: self.now,
                subnet,
                asked: if name == "bridge" {
                    json!({"Options": {
                        "com.docker.network.bridge.default_bridge": "true",
                        "com.docker.network.bridge.enable_icc": "true",
                        "com.docker.network.bridge.enable_ip_masquerade": "true",
                        "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
                        "com.docker.network.bridge.name": "docker0",
                        "com.docker.network.driver.mtu": "1500",
                    }})
                } else {
                    Value::Null
                },
            });
        }
    }

    /// By name, id or the beginning of an id.
    pub(super) fn network(&self, name: &str) -> Result<&Network, Refused> {
        self.networks
            .iter()
            .find(|network| network.name == name || network.id == name)
            .or_else(|| {
                self.networks
                    .iter()
                    .find(|network| name.len() >= 4 && network.id.starts_with(name))
            })
            .ok_or_else(|| missing(format!("network {name} not found")))
    }

    /// The name under which a network is known that was given by id; unknown names stay.
    pub(super) fn network_name(&self, name: &str) -> String {
        let name = if name == "default" { "bridge" } else { name };
        self.network(name)
            .map_or_else(|_| name.to_owned(), |network| network.name.clone())
    }

    pub(super) fn list_networks(&self, filters: &Filters) -> Answer {
        let rows = self
            .networks
            .iter()
            .filter(|network| {
                filters.admits("name", |wanted| network.name.contains(wanted))
                    && filters.admits("id", |wanted| network.id.starts_with(wanted))
                    && filters.admits("driver", |wanted| network.driver == wanted)
                    && filters.admits_labels(network.asked.get("Labels").unwrap_or(&Value::Null))
            })
            .map(|network| network_view(network, &json!({})))
            .collect();
        Ok(ok(&Value::Array(rows)))
    }

    pub(super) fn inspect_network(&self, name: &str) -> Answer {
        let network = self.network(name)?;
        let mut containers = Map::new();
        for container in self.containers.values() {
            let Some(attached) = container.networks.get(&network.name) else {
                continue;
            };
            if let (Some(subnet), Some(host), true) = (network.subnet, attached.address, container.is_up()) {
                containers.insert(
                    container.id.clone(),
                    json!({
                        "Name": container.name,
                        "EndpointID": attached.endpoint,
                        "MacAddress": mac(subnet, host),
                        "IPv4Address": format!("{}/16", address(subnet, host)),
                        "IPv6Address": "",
                    }),
                );
            }
        }
        Ok(ok(&network_view(network, &Value::Object(containers))))
    }

    pub(super) fn create_network(&mut self, asked: &Value) -> Answer {
        let name = text(asked, "Name").to_owned();
        let strict = asked
            .get("CheckDuplicate")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        if strict && self.networks.iter().any(|network| network.name == name) {
            return Err(conflict(format!("network with name {name} already exists")));
        }
        let id = self.add_network(&name, asked);
        Ok(json_reply(StatusCode::CREATED, &json!({"Id": id, "Warning": ""})))
    }

    pub(super) fn add_network(&mut self, name: &str, asked: &Value) -> String {
        let id = self.new_id();
        let driver = match text(asked, "Driver") {
            "" => "bridge",
            other => other,
        };
        let taken: Vec<u8> = self
            .networks
            .iter()
            .filter_map(|network| network.subnet)
            .collect();
        let subnet = (18..=255_u8).find(|subnet| !taken.contains(subnet));
        self.networks.push(Network {
            id: id.clone(),
            name: name.to_owned(),
            driver: driver.to_owned(),
            created: self.now,
            subnet,
            asked: asked.clone(),
        });
        self.emit("network", "create", &id, json!({"name": name, "type": driver}));
        id
    }

    pub(super) fn remove_network(&mut self, name: &str) -> Answer {
        let network = self.network(name)?.clone();
        if matches!(network.name.as_str(), "bridge" | "host" | "none") {
            return Err(refused(
                StatusCode::FORBIDDEN,
                format!("{} is a pre-defined network and cannot be removed", network.name),
            ));
        }
        if self
            .containers
            .values()
            .any(|container| container.is_up() && container.networks.contains_key(&network.name))
        {
            return Err(refused(
                StatusCode::FORBIDDEN,
                format!(
                    "error while removing network: network {} id {} has active endpoints",
                    network.name, network.id
                ),
            ));
        }
        self.networks.retain(|other| other.id != network.id);
        self.emit(
            "network",
            "destroy",
            &network.id,
            json!({"name": network.name, "type": network.driver}),
        );
        Ok(empty(StatusCode::NO_CONTENT))
    }

    pub(super) fn connect(&mut self, network: &str, asked: &Value) -> Answer {
        let network = self.network(network)?.clone();
        let id = self.find(text(asked, "Container"))?;
        let endpoint = attached(asked.get("EndpointConfig").unwrap_or(&Value::Null));
        let container = self.container_mut(&id)?;
        if container.networks.contains_key(&network.name) {
            return Err(refused(
                StatusCode::FORBIDDEN,
                format!(
                    "endpoint with name {} already exists in network {}",
                    container.name, network.name
                ),
            ));
        }
        let up = container.is_up();
        container.networks.insert(network.name.clone(), endpoint);
        if up {
            self.attach_networks(&id);
        }
        Ok(empty(StatusCode::OK))
    }

    pub(super) fn disconnect(&mut self, network: &str, asked: &Value) -> Answer {
        let network = self.network(network)?.clone();
        let id = self.find(text(asked, "Container"))?;
        let container = self.container_mut(&id)?;
        if container.networks.remove(&network.name).is_none() {
            return Err(broken(format!(
                "container {id} is not connected to network {}",
                network.name
            )));
        }
        self.network_event(&network, "disconnect", &id);
        Ok(empty(StatusCode::OK))
    }

    pub(super) fn prune_networks(&mut self, filters: &Filters) -> Answer {
        let unused: Vec<Network> = self
            .networks
            .iter()
            .filter(|network| !matches!(network.name.as_str(), "bridge" | "host" | "none"))
            .filter(|network| {
                !self
                    .containers
                    .values()
                    .any(|container| container.networks.contains_key(&network.name))
            })
            .filter(|network| filters.admits_labels(network.asked.get("Labels").unwrap_or(&Value::Null)))
            .cloned()
            .collect();
        self.networks
            .retain(|network| !unused.iter().any(|gone| gone.id == network.id));
        let names: Vec<&str> = unused.iter().map(|network| network.name.as_str()).collect();
        Ok(ok(&json!({
            "NetworksDeleted": if names.is_empty() { Value::Null } else { json!(names) }
        })))
    }

    /// Gives it addresses where it has none, at its start or when it is connected.
    pub(super) fn attach_networks(&mut self, id: &str) {
        let Some(container) = self.containers.get(id) else {
            return;
        };
        let missing: Vec<String> = container
            .networks
            .iter()
            .filter(|(_, attached)| attached.endpoint.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for name in missing {
            let Ok(network) = self.network(&name).cloned() else {
                continue;
            };
            let taken: Vec<u16> = self
                .containers
                .values()
                .filter_map(|other| other.networks.get(&name)?.address)
                .collect();
            let address = network
                .subnet
                .and_then(|_| (2..u16::MAX).find(|host| !taken.contains(host)));
            let endpoint = self.new_id();
            if let Some(attached) = self
                .containers
                .get_mut(id)
                .and_then(|container| container.networks.get_mut(&name))
            {
                attached.address = address;
                attached.endpoint = endpoint;
            }
            self.network_event(&network, "connect", id);
        }
    }

    pub(super) fn detach_networks(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        let mut names = Vec::new();
        for (name, attached) in &mut container.networks {
            attached.address = None;
            attached.endpoint.clear();
            names.push(name.clone());
        }
        for name in names {
            if let Ok(network) = self.network(&name).cloned() {
                self.network_event(&network, "disconnect", id);
            }
        }
    }

    fn network_event(&mut self, network: &Network, action: &str, container: &str) {
        self.emit(
            "network",
            action,
            &network.id,
            json!({"container": container, "name": network.name, "type": network.driver}),
        );
    }

    pub(super) fn attached_view(&self, container: &Container, name: &str, attached: &Attached) -> Value {
        let network = self.network(name).ok();
        let ran = container.started.0 != 0;
        let place = network
            .and_then(|network| network.subnet)
            .zip(attached.address)
            .filter(|_| container.is_up());
        let aliases = if attached.aliases.is_empty() {
            Value::Null
        } else {
            let mut aliases = attached.aliases.clone();
            aliases.extend(container.id.get(..12).map(str::to_owned));
            json!(aliases)
        };
        json!({
            "IPAMConfig": attached.ipam,
            "Links": attached.links,
            "Aliases": aliases,
            "NetworkID": network.filter(|_| ran).map(|network| network.id.as_str()).unwrap_or_default(),
            "EndpointID": attached.endpoint,
            "Gateway": place.map(|(subnet, _)| address(subnet, 1)).unwrap_or_default(),
            "IPAddress": place.map(|(subnet, host)| address(subnet, host)).unwrap_or_default(),
            "IPPrefixLen": if place.is_some() { 16 } else { 0 },
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "MacAddress": place.map(|(subnet, host)| mac(subnet, host)).unwrap_or_default(),
            "DriverOpts": attached.options,
        })
    }
}

/// Of its first network, as errors name it.
pub(super) fn endpoint_id(container: &Container) -> String {
    container
        .networks
        .values()
        .map(|attached| attached.endpoint.clone())
        .find(|endpoint| !endpoint.is_empty())
        .unwrap_or_else(|| container.id.chars().rev().collect())
}

fn address(subnet: u8, host: u16) -> String {
    let [high, low] = host.to_be_bytes();
    format!("172.{subnet}.{high}.{low}")
}

fn mac(subnet: u8, host: u16) -> String {
    let [high, low] = host.to_be_bytes();
    format!("02:42:ac:{subnet:02x}:{high:02x}:{low:02x}")
}

fn network_view(network: &Network, containers: &Value) -> Value {
    let part = |key: &str, default: Value| match network.asked.get(key) {
        None | Some(Value::Null) => default,
        Some(value) => value.clone(),
    };
    let pools = match network.subnet {
        Some(17) => json!([{"Subnet": "172.17.0.0/16"}]),
        Some(subnet) => json!([{
            "Subnet": format!("172.{subnet}.0.0/16"),
            "Gateway": format!("172.{subnet}.0.1"),
        }]),
        None => json!([]),
    };
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339(network.created),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv6": part("EnableIPv6", json!(false)),
        "IPAM": {
            "Driver": "default",
            "Options": null,
            "Config": pools,
        },
        "Internal": part("Internal", json!(false)),
        "Attachable": part("Attachable", json!(false)),
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": containers,
        "Options": part("Options", json!({})),
        "Labels": part("Labels", json!({})),
    })
}
