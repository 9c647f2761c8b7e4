//! A second script, of streams: events, logs in both framings, exec, archives, images, a build.
//! Used to compare the simulated engine with a real daemon, like the script of plain requests.

use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::raw::{self, Answer};
use super::same_answers::comparable;
use super::wait::until;

const LIMIT: Duration = Duration::from_secs(30);

/// What was asked, the status, and what came, fit to be compared.
type Told = (String, u16, Value);

/// An engine, and what it told so far.
struct Script<'a> {
    socket: &'a Path,
    told: Vec<Told>,
}

/// What an engine tells in streams, with an image of it that has a shell.
pub(crate) fn streams(socket: &Path, image: &str) -> Vec<Told> {
    let told = Vec::new();
    let mut script = Script { socket, told };
    let since = now();
    script.framed(image);
    script.terminal(image);
    script.execs();
    script.archives();
    script.images(image);
    script.build(image);
    script.ends(since);
    script.told
}

impl Script<'_> {
    fn request(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        let path = format!("/v1.41{path}");
        raw::request(self.socket, method, &path, kind, body)
            .unwrap_or_else(|fault| panic!("{method} {path}: {fault}"))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.request(method, path, "application/json", body.as_bytes())
    }

    fn tell(&mut self, what: &str, answer: &Answer, read: fn(&[u8]) -> Value) {
        let value = if answer.status < 300 {
            read(&answer.body)
        } else {
            answer.json()
        };
        self.told
            .push((what.to_owned(), answer.status, comparable(&value, "")));
    }

    fn get(&mut self, path: &str, read: fn(&[u8]) -> Value) {
        let answer = self.ask("GET", path, &Value::Null);
        self.tell(path, &answer, read);
    }

    fn start(&self, name: &str, body: &Value) {
        let made = self.ask("POST", &format!("/containers/create?name={name}"), body);
        assert_eq!(made.status, 201, "{}", made.text());
        let started = self.ask("POST", &format!("/containers/{name}/start"), &Value::Null);
        assert_eq!(started.status, 204, "{}", started.text());
    }

    fn wrote(&self, name: &str, words: &str) {
        let path = format!("/containers/{name}/logs?stdout=1&stderr=1");
        until(LIMIT, format!("{name} wrote {words}"), || {
            let log = self.ask("GET", &path, &Value::Null).text();
            log.contains(words).then_some(())
        });
    }

    /// Two streams in frames; the main process goes on.
    fn framed(&mut self, image: &str) {
        let command = "trap 'exit 3' TERM; echo one; sleep 0.3; echo two >&2; while :; do sleep 0.1; done";
        self.start(
            "same-s",
            &json!({ "Image": image, "Cmd": ["sh", "-c", command], "Labels": { "same": "yes" } }),
        );
        self.wrote("same-s", "two");
        for query in [
            "stdout=1&stderr=1&timestamps=1",
            "stdout=1",
            "stderr=1",
            "stdout=1&stderr=1&tail=1",
            "stdout=1&stderr=1&tail=0",
            "stdout=1&stderr=1&tail=all",
            "stdout=1&since=4000000000",
            "stdout=1&until=1",
        ] {
            self.get(&format!("/containers/same-s/logs?{query}"), frames);
        }
    }

    /// One stream without frames, of a main process that ends.
    fn terminal(&mut self, image: &str) {
        self.start(
            "same-t",
            &json!({ "Image": image, "Cmd": ["sh", "-c", "echo one; echo two >&2; printf end"], "Tty": true, "Labels": { "same": "yes" } }),
        );
        let ended = self.ask("POST", "/containers/same-t/wait", &Value::Null);
        self.tell("wait", &ended, json_of);
        self.get("/containers/same-t/logs?stdout=1&stderr=1&timestamps=1", text);
        self.get("/containers/same-t/logs?stdout=1&follow=1", text);
    }

    fn execs(&mut self) {
        let script = "echo out; sleep 0.2; echo err >&2; exit 4";
        for tty in [false, true] {
            let body = json!({ "Cmd": ["sh", "-c", script], "AttachStdout": true, "AttachStderr": true, "Tty": tty });
            let made = self.ask("POST", "/containers/same-s/exec", &body);
            let id = made.json()["Id"].as_str().unwrap().to_owned();
            self.get(&format!("/exec/{id}/json"), json_of);
            let body = json!({ "Detach": false, "Tty": tty });
            let started = self.ask("POST", &format!("/exec/{id}/start"), &body);
            self.tell("exec start", &started, if tty { text } else { frames });
            let path = format!("/exec/{id}/json");
            until(LIMIT, "the exec has ended", || {
                let seen = self.ask("GET", &path, &Value::Null).json();
                (seen["Running"] == false).then_some(())
            });
            self.get(&path, json_of);
        }
        for told in &mut self.told {
            // Its own id.
            told.0 = super::same_answers::plain(&told.0);
        }
    }

    fn archives(&mut self) {
        let put = self.request(
            "PUT",
            "/containers/same-s/archive?path=/tmp",
            "application/x-tar",
            &tar_of(&[("same/file", "hello"), ("same/other", "")]),
        );
        self.tell("put", &put, text);
        self.get("/containers/same-s/archive?path=/tmp/same", entries);
        self.get("/containers/same-s/archive?path=/tmp/same/file", entries);
    }

    fn images(&mut self, image: &str) {
        let filters = format!("%7B%22reference%22%3A%5B%22{image}%22%5D%7D");
        self.get(&format!("/images/json?filters={filters}"), json_of);
        self.get(&format!("/images/{image}/json"), json_of);
        self.get(
            "/images/json?filters=%7B%22reference%22%3A%5B%22same-none%22%5D%7D",
            json_of,
        );
    }

    /// The classic builder.
    fn build(&mut self, image: &str) {
        let good = format!("FROM {image}\nRUN echo hi > /file\n");
        let bad = format!("FROM {image}\nRUN exit 7\n");
        for (what, dockerfile) in [("build", good), ("build that fails", bad)] {
            let context = tar_of(&[("Dockerfile", &dockerfile)]);
            let path = "/build?t=same-built:1&rm=1&forcerm=1&nocache=1";
            let built = self.request("POST", path, "application/x-tar", &context);
            self.tell(what, &built, lines);
        }
        let removed = self.ask("DELETE", "/images/same-built:1", &Value::Null);
        assert_eq!(removed.status, 200, "{}", removed.text());
    }

    /// Ended in every way; then all that was told of them, in its order.
    fn ends(&mut self, since: Duration) {
        let post = |path: &str| {
            let answer = self.ask("POST", path, &Value::Null);
            assert!(answer.status < 300, "{path}: {}", answer.text());
        };
        post("/containers/same-s/stop?t=10");
        post("/containers/same-s/start");
        post("/containers/same-s/kill?signal=KILL");
        post("/containers/same-s/wait");
        post("/containers/same-s/restart?t=1");
        post("/containers/same-s/pause");
        post("/containers/same-s/unpause");
        post("/containers/same-s/rename?name=same-r");
        for name in ["same-r", "same-t"] {
            let removed = self.ask("DELETE", &format!("/containers/{name}?force=1"), &Value::Null);
            assert_eq!(removed.status, 204, "{}", removed.text());
        }
        let filters = "%7B%22type%22%3A%5B%22container%22%5D%2C%22label%22%3A%5B%22same%3Dyes%22%5D%7D";
        // To the nanosecond: another script's containers of this label may have gone in the same second.
        let (from, part) = (since.as_secs(), since.subsec_nanos());
        let until = now().as_secs() + 1;
        let path = format!("/events?since={from}.{part:09}&until={until}&filters={filters}");
        let events = self.ask("GET", &path, &Value::Null);
        self.tell("events", &events, lines);
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

fn text(body: &[u8]) -> Value {
    json!(String::from_utf8_lossy(body))
}

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

/// One JSON document after the other.
fn lines(body: &[u8]) -> Value {
    serde_json::Deserializer::from_slice(body)
        .into_iter::<Value>()
        .map(|line| line.unwrap_or_else(|fault| json!(fault.to_string())))
        .collect()
}

/// `[1, "out\n"]` for each frame.
fn frames(body: &[u8]) -> Value {
    let mut found = Vec::new();
    let mut rest = body;
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let (frame, after) = after.split_at(usize::try_from(length).unwrap().min(after.len()));
        found.push(json!([
            format!("stream {}", head[0]),
            String::from_utf8_lossy(frame)
        ]));
        rest = after;
    }
    if !rest.is_empty() {
        found.push(text(rest));
    }
    found.into()
}

fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, contents) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o640);
        header.set_cksum();
        archive
            .append_data(&mut header, path, contents.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap()
}

/// Path, kind, mode and contents of each, by path.
fn entries(body: &[u8]) -> Value {
    let mut found: Vec<(String, Value)> = tar::Archive::new(body)
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let kind = format!("{:?}", entry.header().entry_type());
            let mode = format!("{:o}", entry.header().mode().unwrap() & 0o7777);
            let mut contents = String::new();
            entry.read_to_string(&mut contents).unwrap();
            (path.clone(), json!([path, kind, mode, contents]))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, entry)| entry).collect()
}
