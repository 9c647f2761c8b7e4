//! Instructions of a Dockerfile that only change the image's configuration.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::container::words;
use super::dockerfile;
use super::tree::{clean, join};

/// Carries one out; `ENV` also sets the variable for what follows.
pub(super) fn configure(
    config: &mut Value,
    variables: &mut BTreeMap<String, String>,
    word: &str,
    rest: &str,
) {
    let Some(config) = config.as_object_mut() else {
        return;
    };
    let extend = |config: &mut Map<String, Value>, key: &str, more: Vec<(String, Value)>| {
        let mut all = config
            .get(key)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        all.extend(more);
        config.insert(key.to_owned(), Value::Object(all));
    };
    match word {
        "CMD" | "ENTRYPOINT" => {
            let key = if word == "CMD" { "Cmd" } else { "Entrypoint" };
            config.insert(key.to_owned(), json!(dockerfile::command(rest)));
        }
        "LABEL" => {
            let labels = dockerfile::pairs(rest);
            let labels = labels
                .into_iter()
                .map(|(name, value)| (name, json!(value)))
                .collect();
            extend(config, "Labels", labels);
        }
        "EXPOSE" => {
            let ports = rest
                .split_whitespace()
                .map(|port| {
                    let port = if port.contains('/') {
                        port.to_owned()
                    } else {
                        format!("{port}/tcp")
                    };
                    (port, json!({}))
                })
                .collect();
            extend(config, "ExposedPorts", ports);
        }
        "VOLUME" => {
            let listed = serde_json::from_str::<Vec<String>>(rest);
            let paths = listed.unwrap_or_else(|_| dockerfile::words(rest));
            extend(
                config,
                "Volumes",
                paths.into_iter().map(|path| (path, json!({}))).collect(),
            );
        }
        "ENV" => {
            let mut environment = words(config.get("Env"));
            for (name, value) in dockerfile::pairs(rest) {
                environment.retain(|pair| pair.split('=').next() != Some(name.as_str()));
                environment.push(format!("{name}={value}"));
                variables.insert(name, value);
            }
            config.insert("Env".to_owned(), json!(environment));
        }
        "USER" => {
            config.insert("User".to_owned(), json!(rest));
        }
        "WORKDIR" => {
            let path = if rest.starts_with('/') {
                format!("/{}", clean(rest))
            } else {
                let folder = config
                    .get("WorkingDir")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                format!("/{}", join(&clean(folder), rest))
            };
            config.insert("WorkingDir".to_owned(), json!(path));
        }
        "STOPSIGNAL" => {
            config.insert("StopSignal".to_owned(), json!(rest));
        }
        "HEALTHCHECK" => {
            config.insert("Healthcheck".to_owned(), health_check(rest));
        }
        _ => {}
    }
}

fn health_check(rest: &str) -> Value {
    let mut check = Map::new();
    let mut left = rest;
    while let Some((flag, later)) = left
        .strip_prefix("--")
        .and_then(|flags| flags.split_once(char::is_whitespace))
    {
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        let (key, value) = match name {
            "interval" => ("Interval", json!(dockerfile::nanoseconds(value))),
            "timeout" => ("Timeout", json!(dockerfile::nanoseconds(value))),
            "start-period" => ("StartPeriod", json!(dockerfile::nanoseconds(value))),
            _ => ("Retries", json!(value.parse::<u64>().unwrap_or(3))),
        };
        check.insert(key.to_owned(), value);
        left = later.trim_start();
    }
    let test = match left.strip_prefix("CMD") {
        None => json!(["NONE"]),
        Some(command) => match serde_json::from_str::<Vec<String>>(command.trim()) {
            Ok(words) => {
                let mut all = vec!["CMD".to_owned()];
                all.extend(words);
                json!(all)
            }
            Err(_) => json!(["CMD-SHELL", command.trim()]),
        },
    };
    check.insert("Test".to_owned(), test);
    Value::Object(check)
}
