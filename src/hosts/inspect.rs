//! One container in full: `GET /containers/{id}/json` as a `Detail`.
//! Docker's JSON is not used outside this file; values that look like secrets are masked.

use std::time::Duration;

use serde_json::Value;

use super::connect::Daemon;
use super::mask;
use crate::domain::container::{Health, State};
use crate::domain::detail::{Detail, Probe, shown_value};
use crate::domain::fault::Fault;
use crate::domain::ids::ContainerId;
use crate::domain::units::{Bytes, Stamp};

const LIMIT: Duration = Duration::from_secs(10);

pub async fn inspect(daemon: &Daemon, id: &ContainerId) -> Result<Detail, Fault> {
    let raw: Value = daemon
        .wire()
        .get_json(&format!("/containers/{id}/json"), LIMIT)
        .await
        .map_err(|trouble| {
            trouble.fault(
                format!("inspect {} on {}", id.short(), daemon.name()),
                &daemon.host().endpoint,
            )
        })?;
    Ok(detail(id.clone(), raw))
}

/// Reads JSON by path; missing values or values of another type are empty.
struct Raw<'a>(&'a Value);

impl<'a> Raw<'a> {
    fn at(&self, path: &str) -> Option<&'a Value> {
        self.0.pointer(path)
    }

    fn text(&self, path: &str) -> String {
        self.at(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    fn some_text(&self, path: &str) -> Option<String> {
        Some(self.text(path)).filter(|text| !text.is_empty())
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.at(path).and_then(Value::as_u64).filter(|&number| number > 0)
    }

    fn is(&self, path: &str) -> bool {
        self.at(path).and_then(Value::as_bool).unwrap_or(false)
    }

    fn moment(&self, path: &str) -> Option<Stamp> {
        moment(self.at(path)?.as_str()?)
    }

    fn list(&self, path: &str) -> impl Iterator<Item = &'a Value> {
        self.at(path).and_then(Value::as_array).into_iter().flatten()
    }

    fn texts(&self, path: &str) -> impl Iterator<Item = &'a str> {
        self.list(path).filter_map(Value::as_str)
    }

    fn entries(&self, path: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.at(path).and_then(Value::as_object).into_iter().flatten()
    }
}

/// Docker writes the year 1 for "never".
fn moment(text: &str) -> Option<Stamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(at.as_nanosecond())
        .ok()
        .filter(|&nanos| nanos > 0)
        .map(Stamp)
}

fn detail(id: ContainerId, mut value: Value) -> Detail {
    let raw = Raw(&value);
    let (state, health) = state(&raw);
    let mut detail = Detail {
        id,
        name: raw.text("/Name").trim_start_matches('/').to_owned(),
        image: raw.text("/Config/Image"),
        image_id: raw.text("/Image"),
        state,
        health,
        error: raw.some_text("/State/Error"),
        started: raw.moment("/State/StartedAt"),
        finished: raw.moment("/State/FinishedAt"),
        restarts: raw.number("/RestartCount").unwrap_or(0),
        restart_policy: restart_policy(&raw),
        entrypoint: mask::arguments(raw.texts("/Config/Entrypoint")),
        command: mask::arguments(raw.texts("/Config/Cmd")),
        working_dir: raw.text("/Config/WorkingDir"),
        user: raw.text("/Config/User"),
        hostname: raw.text("/Config/Hostname"),
        tty: raw.is("/Config/Tty"),
        memory_limit: raw.number("/HostConfig/Memory").map(Bytes),
        cpu_limit: cpu_limit(&raw),
        ports: ports(&raw),
        mounts: raw.list("/Mounts").map(mount).collect(),
        networks: raw.entries("/NetworkSettings/Networks").map(network).collect(),
        environment: raw.texts("/Config/Env").map(mask::assignment).collect(),
        labels: raw
            .entries("/Config/Labels")
            .map(|(name, value)| {
                (
                    name.clone(),
                    shown_value(name, value.as_str().unwrap_or_default()),
                )
            })
            .collect(),
        log_driver: raw.text("/HostConfig/LogConfig/Type"),
        probes: raw.list("/State/Health/Log").filter_map(probe).collect(),
        stop_signal: raw.some_text("/Config/StopSignal"),
        stop_grace: raw.number("/Config/StopTimeout").map(Duration::from_secs),
        raw: String::new(),
    };
    mask::everything(&mut value);
    // A value that was read from JSON can be written as JSON.
    detail.raw = serde_json::to_string_pretty(&value).unwrap_or_default();
    detail
}

fn state(raw: &Raw<'_>) -> (State, Health) {
    let since = raw.moment("/State/StartedAt");
    let code = raw
        .at("/State/ExitCode")
        .and_then(Value::as_i64)
        .and_then(|code| i32::try_from(code).ok())
        .unwrap_or(0);
    let state = match raw.text("/State/Status").as_str() {
        "created" | "configured" | "initialized" => State::Created,
        "running" | "stopping" => State::Running { since },
        "paused" => State::Paused { since },
        "restarting" => State::Restarting {
            code: Some(code),
            since: raw.moment("/State/FinishedAt"),
        },
        "removing" => State::Removing,
        "dead" => State::Dead,
        _ => State::exited(code, raw.moment("/State/FinishedAt"), raw.is("/State/OOMKilled")),
    };
    let health = match raw.text("/State/Health/Status").as_str() {
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        "starting" => Health::Starting,
        _ => Health::Unchecked,
    };
    (state, health)
}

fn restart_policy(raw: &Raw<'_>) -> String {
    let name = raw
        .some_text("/HostConfig/RestartPolicy/Name")
        .unwrap_or_else(|| "no".to_owned());
    match raw.number("/HostConfig/RestartPolicy/MaximumRetryCount") {
        Some(retries) if name == "on-failure" => format!("{name}:{retries}"),
        _ => name,
    }
}

#[expect(clippy::cast_precision_loss, reason = "two decimals of some cores are shown")]
fn cpu_limit(raw: &Raw<'_>) -> Option<f64> {
    if let Some(nanos) = raw.number("/HostConfig/NanoCpus") {
        return Some(nanos as f64 / 1e9);
    }
    let quota = raw.number("/HostConfig/CpuQuota")?;
    let period = raw.number("/HostConfig/CpuPeriod").unwrap_or(100_000);
    Some(quota as f64 / period as f64)
}

fn ports(raw: &Raw<'_>) -> Vec<String> {
    let mut shown = Vec::new();
    for (inside, bindings) in raw.entries("/NetworkSettings/Ports") {
        let bound: Vec<(&str, &str)> = bindings
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|binding| {
                Some((
                    binding.pointer("/HostIp")?.as_str()?,
                    binding.pointer("/HostPort")?.as_str()?,
                ))
            })
            .collect();
        if bound.is_empty() {
            shown.push(inside.clone());
        }
        for (address, port) in bound {
            let line = match address {
                "" | "0.0.0.0" | "::" => format!("{port} → {inside}"),
                address => format!("{address}:{port} → {inside}"),
            };
            if !shown.contains(&line) {
                shown.push(line);
            }
        }
    }
    shown
}

fn mount(mount: &Value) -> String {
    let mount = Raw(mount);
    let source = mount.some_text("/Name").unwrap_or_else(|| mount.text("/Source"));
    let mode = if mount.is("/RW") { "rw" } else { "ro" };
    format!(
        "{} {source} → {} ({mode})",
        mount.text("/Type"),
        mount.text("/Destination")
    )
}

fn network((name, network): (&String, &Value)) -> String {
    let network = Raw(network);
    let mut shown = name.clone();
    for path in ["/IPAddress", "/GlobalIPv6Address"] {
        if let Some(address) = network.some_text(path) {
            shown.push(' ');
            shown.push_str(&address);
        }
    }
    let aliases: Vec<&str> = network.texts("/Aliases").collect();
    if !aliases.is_empty() {
        shown.push_str(" (");
        shown.push_str(&aliases.join(", "));
        shown.push(')');
    }
    shown
}

fn probe(entry: &Value) -> Option<Probe> {
    let entry = Raw(entry);
    let at = entry.moment("/Start")?;
    Some(Probe {
        at,
        took: entry.moment("/End").map_or(Duration::ZERO, |end| at.until(end)),
        exit: entry.at("/ExitCode").and_then(Value::as_i64).unwrap_or(-1),
        output: entry.text("/Output"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Detail {
        detail(ContainerId::parse("abc").unwrap(), value)
    }

    #[test]
    fn what_killed_it_and_how_it_is_limited_is_told() {
        let detail = read(serde_json::json!({
            "Name": "/shop", "RestartCount": 3,
            "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": true, "FinishedAt": "1970-01-01T00:00:09Z",
                      "StartedAt": "0001-01-01T00:00:00Z"},
            "HostConfig": {"Memory": 1024, "NanoCpus": 1_500_000_000, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        }));
        assert_eq!(
            detail.state,
            State::Exited {
                code: 137,
                at: Some(Stamp::from_seconds(9)),
                oom: true
            }
        );
        assert_eq!(
            (detail.started, detail.restarts, detail.cpu_limit),
            (None, 3, Some(1.5))
        );
        assert_eq!(detail.restart_policy, "on-failure:3");
    }

    #[test]
    fn ports_mounts_and_networks_are_one_line_each() {
        let detail = read(serde_json::json!({
            "NetworkSettings": {
                "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}], "9/udp": null},
                "Networks": {"edge": {"IPAddress": "172.18.0.2", "Aliases": ["shop"]}},
            },
            "Mounts": [{"Type": "volume", "Name": "data", "Source": "/x", "Destination": "/var/lib/data", "RW": true}],
        }));
        assert_eq!(detail.ports, ["8080 → 80/tcp", "9/udp"]);
        assert_eq!(detail.mounts, ["volume data → /var/lib/data (rw)"]);
        assert_eq!(detail.networks, ["edge 172.18.0.2 (shop)"]);
    }

    #[test]
    fn no_secret_is_in_any_part_of_it() {
        let detail = read(serde_json::json!({
            "Config": {"Env": ["DB_PASSWORD=hunter2"], "Cmd": ["run", "--token", "hunter2"], "Labels": {"api.key": "hunter2"}},
            "Args": ["--token", "hunter2"],
        }));
        let all = serde_json::to_string(&detail).unwrap();
        assert!(!all.contains("hunter2"), "{all}");
        assert!(detail.raw.contains("\n  \"Config\""), "{}", detail.raw);
    }

    #[test]
    fn what_its_checks_said_is_read_with_how_long_each_took() {
        let detail = read(serde_json::json!({
            "State": {"Status": "running", "Health": {"Status": "unhealthy", "FailingStreak": 1, "Log": [
                {"Start": "1970-01-01T00:00:05.5Z", "End": "1970-01-01T00:00:06Z", "ExitCode": 0, "Output": "well"},
                {"Start": "1970-01-01T01:00:09+01:00", "ExitCode": 1, "Output": "503\n"},
                {"Start": "0001-01-01T00:00:00Z", "ExitCode": 0, "Output": "never ran"},
                {"Output": "no moment"},
            ]}},
        }));
        assert_eq!(detail.health, Health::Unhealthy);
        let probe = |at, took, exit, output: &str| Probe {
            at: Stamp(at),
            took: Duration::from_millis(took),
            exit,
            output: output.to_owned(),
        };
        assert_eq!(
            detail.probes,
            [
                probe(5_500_000_000, 500, 0, "well"),
                probe(9_000_000_000, 0, 1, "503\n"),
            ]
        );
    }
}
