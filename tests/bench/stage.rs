//! One real daemon with a number of idle containers and no other clients.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;

use pilothouse::domain::ids::ContainerId;
use serde_json::{Value, json};

use super::support::daemon::Daemon;
use super::support::fleet::{self, Lease};

pub(crate) struct Stage {
    lease: Lease,
    pub(crate) folder: PathBuf,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            lease: fleet::lease(1),
            folder: fleet::folder("bench"),
        }
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        &self.lease[0]
    }

    pub(crate) fn docker_host(&self) -> String {
        format!("unix://{}", self.daemon().socket().display())
    }

    /// Exactly so many running containers, named `c001`, `c002`, ….
    pub(crate) fn fill(&self, count: usize) {
        let daemon = self.daemon();
        let names = self.containers();
        for (name, id) in &names {
            if name
                .strip_prefix('c')
                .and_then(|digits| digits.parse::<usize>().ok())
                .is_some_and(|number| number > count)
            {
                daemon.remove(id);
            }
        }
        let numbers: Vec<usize> = (1..=count)
            .filter(|number| !names.iter().any(|(name, _)| *name == named(*number)))
            .collect();
        std::thread::scope(|scope| {
            for part in numbers.chunks(numbers.len().div_ceil(4).max(1)) {
                scope.spawn(move || {
                    for number in part {
                        let body =
                            json!({ "Cmd": ["sleep", "1000000"], "HostConfig": { "NetworkMode": "bridge" } });
                        let id = daemon.create(&named(*number), body);
                        daemon.ask(
                            "POST",
                            &format!("/containers/{}/start", id.as_str()),
                            &Value::Null,
                        );
                    }
                });
            }
        });
    }

    pub(crate) fn containers(&self) -> Vec<(String, ContainerId)> {
        let list = self.daemon().ask("GET", "/containers/json?all=1", &Value::Null);
        let of = |container: &Value| {
            let name = container["Names"][0].as_str()?.trim_start_matches('/').to_owned();
            Some((name, ContainerId::parse(container["Id"].as_str()?).ok()?))
        };
        list.as_array().into_iter().flatten().filter_map(of).collect()
    }

    /// The daemon's events from now on: action, container name, its own time in nanoseconds.
    pub(crate) fn events(&self) -> mpsc::Receiver<(String, String, u64)> {
        let mut stream = UnixStream::connect(self.daemon().socket()).unwrap();
        stream
            .write_all(b"GET /events HTTP/1.0\r\nHost: d\r\n\r\n")
            .unwrap();
        let (to, from) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let at = event["timeNano"].as_u64().unwrap_or(0);
                if to
                    .send((
                        text(&event["Action"]),
                        text(&event["Actor"]["Attributes"]["name"]),
                        at,
                    ))
                    .is_err()
                {
                    break;
                }
            }
        });
        from
    }
}

pub(crate) fn named(number: usize) -> String {
    format!("c{number:03}")
}
