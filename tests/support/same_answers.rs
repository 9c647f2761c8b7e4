//! A script of requests for any engine, and its answers without what differs from run to run.
//! Used to compare the simulated engine with a real daemon.

use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};

use super::raw;

/// Words of a request: method, path, body as JSON or nothing.
type Step = (&'static str, &'static str, &'static str);

/// `IMAGE` stands for an image that has a shell.
const SCRIPT: &[Step] = &[
    ("GET", "/_ping", ""),
    ("GET", "/v1.41/nowhere", ""),
    ("GET", "/v1.41/containers/same-none/json", ""),
    (
        "POST",
        "/v1.41/containers/create?name=same-a",
        r#"{"Image":"same-none:9","Cmd":["x"]}"#,
    ),
    (
        "POST",
        "/v1.41/containers/create?name=same/a",
        r#"{"Image":"IMAGE","Cmd":["x"]}"#,
    ),
    (
        "POST",
        "/v1.41/containers/create?name=same-a",
        r#"{"Image":"IMAGE","Cmd":["x"],"HostConfig":{"RestartPolicy":{"Name":"perhaps"}}}"#,
    ),
    (
        "POST",
        "/v1.41/containers/create?name=same-a",
        r#"{"Image":"IMAGE","Cmd":["sh","-c","trap 'exit 0' TERM; echo out; echo err >&2; while true; do sleep 1; done"],"Labels":{"same":"yes"},"ExposedPorts":{"80/tcp":{}},"HostConfig":{"Binds":["same-volume:/data"],"PortBindings":{"80/tcp":[{"HostPort":"18099"}]},"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2}}}"#,
    ),
    (
        "POST",
        "/v1.41/containers/create?name=same-a",
        r#"{"Image":"IMAGE","Cmd":["x"]}"#,
    ),
    (
        "POST",
        "/v1.41/containers/create?name=same-b",
        r#"{"Image":"IMAGE","Cmd":["sleep","1000"],"Labels":{"same":"yes"},"ExposedPorts":{"80/tcp":{}},"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"18099"}]}}}"#,
    ),
    (
        "POST",
        "/v1.41/containers/create?name=same-e",
        r#"{"Image":"","Cmd":["x"],"Labels":{"same":"yes"},"HostConfig":{"Binds":["same-volume:/ledger"]}}"#,
    ),
    ("GET", "/v1.41/containers/same-a/json", ""),
    ("GET", "/v1.41/containers/same-e/json", ""),
    ("POST", "/v1.41/containers/same-a/start", ""),
    ("POST", "/v1.41/containers/same-a/start", ""),
    ("POST", "/v1.41/containers/same-b/start", ""),
    ("GET", "/v1.41/containers/same-b/json", ""),
    ("POST", "/v1.41/containers/same-b/wait", ""),
    ("POST", "/v1.41/containers/same-e/start", ""),
    ("GET", "/v1.41/containers/same-a/json", ""),
    (
        "GET",
        "/v1.41/containers/json?all=1&filters=%7B%22label%22%3A%5B%22same%3Dyes%22%5D%7D",
        "",
    ),
    (
        "GET",
        "/v1.41/containers/json?filters=%7B%22odd%22%3A%5B%22x%22%5D%7D",
        "",
    ),
    (
        "GET",
        "/v1.41/containers/json?all=1&filters=%7B%22status%22%3A%5B%22odd%22%5D%7D",
        "",
    ),
    ("GET", "/v1.41/containers/same-a/logs", ""),
    ("GET", "/v1.41/containers/same-a/stats?stream=false", ""),
    ("GET", "/v1.41/containers/same-a/archive?path=/nowhere", ""),
    ("GET", "/v1.41/containers/same-a/archive", ""),
    ("POST", "/v1.41/containers/same-b/exec", r#"{"Cmd":["ls"]}"#),
    ("POST", "/v1.41/containers/same-a/exec", "{}"),
    ("POST", "/v1.41/exec/same-none/start", "{}"),
    ("POST", "/v1.41/containers/same-a/kill?signal=ODD", ""),
    ("POST", "/v1.41/containers/same-b/kill", ""),
    ("POST", "/v1.41/containers/same-a/unpause", ""),
    ("POST", "/v1.41/containers/same-a/pause", ""),
    ("POST", "/v1.41/containers/same-a/pause", ""),
    ("DELETE", "/v1.41/containers/same-a", ""),
    ("POST", "/v1.41/containers/same-a/unpause", ""),
    ("DELETE", "/v1.41/containers/same-a", ""),
    ("POST", "/v1.41/containers/same-b/pause", ""),
    (
        "POST",
        "/v1.41/containers/same-a/update",
        r#"{"RestartPolicy":{"Name":"odd"}}"#,
    ),
    (
        "POST",
        "/v1.41/containers/same-a/update",
        r#"{"RestartPolicy":{"Name":"no"}}"#,
    ),
    ("POST", "/v1.41/containers/same-b/rename?name=same-a", ""),
    ("POST", "/v1.41/containers/same-b/rename", ""),
    ("POST", "/v1.41/containers/same-b/rename?name=same-c", ""),
    ("GET", "/v1.41/containers/same-c/top", ""),
    ("GET", "/v1.41/images/same-none/json", ""),
    ("GET", "/v1.41/images/same-none/get", ""),
    ("DELETE", "/v1.41/images/same-none", ""),
    ("POST", "/v1.41/images/same-none/tag?repo=same&tag=1", ""),
    ("GET", "/v1.41/volumes/same-volume", ""),
    ("DELETE", "/v1.41/volumes/same-volume", ""),
    ("GET", "/v1.41/volumes/same-none", ""),
    (
        "POST",
        "/v1.41/networks/create",
        r#"{"Name":"same-net","CheckDuplicate":true,"Labels":{"same":"yes"}}"#,
    ),
    (
        "POST",
        "/v1.41/networks/create",
        r#"{"Name":"same-net","CheckDuplicate":true}"#,
    ),
    (
        "POST",
        "/v1.41/networks/same-net/connect",
        r#"{"Container":"same-a","EndpointConfig":{"Aliases":["shop"]}}"#,
    ),
    (
        "POST",
        "/v1.41/networks/same-net/connect",
        r#"{"Container":"same-a"}"#,
    ),
    ("GET", "/v1.41/networks/same-net", ""),
    ("DELETE", "/v1.41/networks/same-net", ""),
    (
        "POST",
        "/v1.41/networks/same-net/disconnect",
        r#"{"Container":"same-a"}"#,
    ),
    (
        "POST",
        "/v1.41/networks/same-net/disconnect",
        r#"{"Container":"same-a"}"#,
    ),
    ("DELETE", "/v1.41/networks/same-net", ""),
    ("DELETE", "/v1.41/networks/bridge", ""),
    ("GET", "/v1.41/networks/same-net", ""),
    ("POST", "/v1.41/containers/same-a/stop?t=5", ""),
    ("POST", "/v1.41/containers/same-a/stop", ""),
    ("GET", "/v1.41/containers/same-a/json", ""),
    ("POST", "/v1.41/containers/same-a/start", ""),
    ("POST", "/v1.41/containers/same-a/kill", ""),
    ("POST", "/v1.41/containers/same-a/wait", ""),
    ("DELETE", "/v1.41/containers/same-a", ""),
    ("DELETE", "/v1.41/containers/same-a", ""),
    ("DELETE", "/v1.41/containers/same-c", ""),
    ("DELETE", "/v1.41/containers/same-e", ""),
    ("DELETE", "/v1.41/volumes/same-volume", ""),
];

/// In place of a status: there was no answer.
const CUT: u16 = 0;

/// What an engine answered to each request, fit to be compared.
pub(crate) fn answers(socket: &Path, image: &str) -> Vec<(String, u16, Value)> {
    SCRIPT
        .iter()
        .map(|(method, path, body)| {
            let body = body.replace("IMAGE", image);
            let request = format!("{method} {path}");
            // Podman's cuts the connection behind a path that it does not know.
            let Ok(answer) = raw::request(socket, method, path, "application/json", body.as_bytes()) else {
                return (request, CUT, Value::Null);
            };
            let plain = match answer.json() {
                Value::Null => json!(answer.text()),
                value => value,
            };
            (request, answer.status, comparable(&plain, ""))
        })
        .collect()
}

/// What depends on the machine or on how the daemon was started, and is no promise of the API.
const OWN: &[&str] = &[
    "GraphDriver",
    "Driver",
    "LogConfig",
    "CgroupnsMode",
    "SandboxKey",
    "SandboxID",
    "Gateway",
    "IPAddress",
    "IPPrefixLen",
    "MacAddress",
    "EndpointID",
    "NetworkID",
    "Options",
    "IPv4Address",
    "Subnet",
    "stats",
    "networks",
    "blkio_stats",
    "percpu_usage",
    "limit",
    "SecurityOpt",
    "ImageID",
    "Runtime",
];

/// Numbers that mean the same everywhere.
const COUNTED: &[&str] = &[
    "ExitCode",
    "StatusCode",
    "PrivatePort",
    "PublicPort",
    "RestartCount",
    "MaximumRetryCount",
    "FailingStreak",
];

pub(crate) fn comparable(value: &Value, key: &str) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !OWN.contains(&key.as_str()))
            .map(|(key, value)| (plain(key), comparable(value, key)))
            .collect(),
        Value::Array(list) => list.iter().map(|value| comparable(value, key)).collect(),
        Value::Number(_) if !COUNTED.contains(&key) => json!("<number>"),
        Value::String(text) => json!(plain(text)),
        other => other.clone(),
    }
}

pub(crate) fn plain(text: &str) -> String {
    let put = [
        (r"[0-9a-f]{64}", "<id>"),
        (r"\b[0-9a-f]{12}\b", "<short>"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "<time>"),
        (r"(Less than a second|\d+ seconds?)", "<span>"),
    ];
    put.iter().fold(text.trim().to_owned(), |text, (pattern, word)| {
        Regex::new(pattern)
            .unwrap()
            .replace_all(&text, *word)
            .into_owned()
    })
}

/// Every difference in words, or nothing.
pub(crate) fn differences(real: &[(String, u16, Value)], simulated: &[(String, u16, Value)]) -> Vec<String> {
    let mut found = Vec::new();
    for ((request, status, body), (_, other_status, other)) in real.iter().zip(simulated) {
        if status != other_status {
            found.push(format!(
                "{request}: {status} {body} / simulated {other_status} {other}"
            ));
        } else if body != other {
            compare(request, "", body, other, &mut found);
        }
    }
    found
}

fn compare(request: &str, place: &str, real: &Value, other: &Value, found: &mut Vec<String>) {
    match (real, other) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let place = format!("{place}/{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => compare(request, &place, a, b, found),
                    (a, b) => found.push(format!("{request} {place}: {a:?} / simulated {b:?}")),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (number, (a, b)) in a.iter().zip(b).enumerate() {
                compare(request, &format!("{place}/{number}"), a, b, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{request} {place}: {a} / simulated {b}")),
    }
}
