//! Docker contexts: where `docker context use prod` points, with its certificates.
//! Reads `~/.docker`, changes nothing there.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::address::Address;
use super::fault::Wrong;
use super::machine::Machine;
use crate::domain::endpoint::{Endpoint, Tls};

/// The context that is current by `DOCKER_CONTEXT` or `docker context use`; `None` for `default`.
pub(super) fn current(machine: &Machine<'_>) -> Result<Option<String>, Wrong> {
    let name = match machine.env("DOCKER_CONTEXT") {
        Some(name) => Some(name),
        None => current_of_file(machine)?,
    };
    Ok(name.filter(|name| name != "default"))
}

fn current_of_file(machine: &Machine<'_>) -> Result<Option<String>, Wrong> {
    let Some(file) = machine.docker_folder().map(|folder| folder.join("config.json")) else {
        return Ok(None);
    };
    let settings = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Wrong::new(format!("{} cannot be read: {error}", file.display()))),
    };
    let settings: Value = serde_json::from_str(&settings)
        .map_err(|error| Wrong::new(format!("{} is not JSON: {error}", file.display())))?;
    let current = settings.get("currentContext").and_then(Value::as_str);
    Ok(current.filter(|name| !name.is_empty()).map(str::to_owned))
}

/// Where a context leads.
pub(super) fn endpoint(name: &str, machine: &Machine<'_>) -> Result<Endpoint, Wrong> {
    let folder = machine
        .docker_folder()
        .ok_or_else(|| Wrong::new("there is no home folder to look for Docker contexts in"))?
        .join("contexts");
    let id = hex::encode(Sha256::digest(name.as_bytes()));
    let file = folder.join("meta").join(&id).join("meta.json");
    let text = std::fs::read_to_string(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => unknown(name, &folder),
        _ => Wrong::new(format!("{} cannot be read: {error}", file.display())),
    })?;
    let meta: Value = serde_json::from_str(&text)
        .map_err(|error| Wrong::new(format!("{} is not JSON: {error}", file.display())))?;
    let docker = meta
        .get("Endpoints")
        .and_then(|endpoints| endpoints.get("docker"));
    let host = docker
        .and_then(|docker| docker.get("Host"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    if host.is_empty() {
        return Err(Wrong::new(format!("the context {name:?} names no Docker host")));
    }
    let address = Address::parse(host).map_err(|wrong| Wrong {
        what: format!("the context {name:?} points to {host:?}: {}", wrong.what),
        hint: wrong.hint,
    })?;
    let unverified = docker
        .and_then(|docker| docker.get("SkipTLSVerify"))
        .and_then(Value::as_bool)
        .unwrap_or_default();
    let is_tcp = matches!(address, Address::Tcp { .. });
    let tls = folder.join("tls").join(&id).join("docker");
    let tls = (is_tcp && tls.is_dir()).then(|| tls_of(&tls)).transpose()?;
    if is_tcp && unverified {
        return Err(Wrong::new(format!(
            "the context {name:?} skips TLS verification, which is refused here"
        ))
        .hint("`docker context update` it with the daemon's ca"));
    }
    Ok(address.endpoint(tls))
}

/// The three files as Docker names them in one folder.
pub(super) fn tls_of(folder: &Path) -> Result<Tls, Wrong> {
    let file = |name: &str| -> Result<PathBuf, Wrong> {
        let path = folder.join(name);
        if path.exists() {
            Ok(path)
        } else {
            Err(Wrong::new(format!("{} is missing", path.display()))
                .hint("TLS needs ca.pem, cert.pem and key.pem: both sides are authenticated"))
        }
    };
    Ok(Tls {
        ca: file("ca.pem")?,
        cert: file("cert.pem")?,
        key: file("key.pem")?,
    })
}

fn unknown(name: &str, folder: &Path) -> Wrong {
    let wrong = Wrong::new(format!("there is no Docker context {name:?}"));
    let mut known: Vec<String> = std::fs::read_dir(folder.join("meta"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        // One that cannot be read is not offered: that is all a hint can do about it.
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("meta.json")).ok())
        .filter_map(|text| serde_json::from_str::<Value>(&text).ok())
        .filter_map(|meta| Some(meta.get("Name")?.as_str()?.to_owned()))
        .collect();
    known.sort();
    if known.is_empty() {
        wrong.hint(format!("there are none in {}", folder.display()))
    } else {
        wrong.hint(format!("there are {}", known.join(", ")))
    }
}
