//! Webhooks over real HTTP on loopback: what starts a run, and what must not.
//! The listener runs on its own thread; senders are plain sockets, so that they can be slow and malformed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pilothouse::config::service::{Secret, Service, Slot, Test};
use pilothouse::config::test::TestImage;
use pilothouse::config::{Config, Host, StateDir, Trigger};
use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::fault::Fault;
use pilothouse::domain::ids::{HostName, RunId, ServiceName};
use pilothouse::domain::run::{RunKind, RunView};
use pilothouse::listen::{Limits, Listener};
use pilothouse::runs::{self, State};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "correct horse battery";
const OTHER: &str = "another service's secret";
const COMMIT: &str = "3f2a91c0d4e5f60718293a4b5c6d7e8f90a1b2c3";

/// A state folder and a configuration whose only host is a socket that is not there: runs begin, and end at once.
struct Ground {
    folder: tempfile::TempDir,
    config: Config,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = HostName::parse("nowhere").unwrap();
        let mut ground = Self {
            config: Config {
                hosts: vec![Host {
                    name: host,
                    endpoint: Endpoint::Unix(folder.path().join("nobody.sock")),
                    tags: Vec::new(),
                    protected: false,
                    concurrency: None,
                    address: None,
                }],
                ..Config::default()
            },
            folder,
        };
        ground.config.listen.address = "127.0.0.1:0".parse().unwrap();
        ground.add("shop", "Acme/Shop", &["main", "release/*"], SECRET);
        ground
    }

    fn add(&mut self, service: &str, repository: &str, branches: &[&str], secret: &str) {
        let name = ServiceName::parse(service).unwrap();
        let file = self.folder.path().join(format!("{service}.secret"));
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        let context = self.folder.path().join("context");
        std::fs::create_dir_all(&context).unwrap();
        std::fs::write(context.join("Dockerfile"), "FROM scratch\n").unwrap();
        self.config
            .services
            .push(service_of(&name, &self.config.hosts[0], &context));
        self.config.triggers.push(Trigger {
            service: name,
            repository: repository.to_owned(),
            branches: branches.iter().map(|text| (*text).to_owned()).collect(),
            run: RunKind::Build,
            environment: None,
            secret: Secret::File(file),
            prepare: Vec::new(),
            confirm: false,
        });
    }

    fn state(&self) -> State {
        let dir = StateDir {
            dir: Some(self.folder.path().join("state")),
            ..StateDir::default()
        };
        State::open(&dir, &|_| None)
            .unwrap()
            .with_program(PathBuf::from(env!("CARGO_BIN_EXE_pilothouse")))
    }

    fn limits(&self) -> Limits {
        Limits::of(&self.config.listen)
    }

    fn open(&self) -> Door {
        self.open_with(self.limits())
    }

    fn open_with(&self, limits: Limits) -> Door {
        self.try_open(limits).unwrap_or_else(|fault| panic!("{fault}"))
    }

    fn try_open(&self, limits: Limits) -> Result<Door, Fault> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (config, state, words) = (self.config.clone(), self.state(), Arc::clone(&told));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (tell, opened) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let keep = Arc::new(move |text: &str| words.lock().unwrap().push(text.to_owned()));
                match Listener::open(config, state, limits, &|_| None, keep).await {
                    Ok(listener) => {
                        tell.send(Ok(listener.address())).unwrap();
                        listener.serve(stopped).await;
                    }
                    Err(fault) => tell.send(Err(fault)).unwrap(),
                }
            });
        });
        let address = opened.recv().unwrap()?;
        Ok(Door {
            address,
            stop,
            told,
            thread: Some(thread),
        })
    }

    fn runs(&self) -> Vec<RunView> {
        runs::list(&self.state())
    }

    /// All of them have ended: nothing of a test outlives it.
    fn settle(&self) -> Vec<RunView> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let state = self.state();
        for dir in std::fs::read_dir(state.runs()).unwrap() {
            let id = RunId::parse(dir.unwrap().file_name().to_str().unwrap()).unwrap();
            let follow = async {
                tokio::time::timeout(Duration::from_mins(2), runs::follow(&state, &id, |_| {})).await
            };
            runtime.block_on(follow).unwrap().unwrap();
        }
        self.runs()
    }
}

fn service_of(name: &ServiceName, host: &Host, context: &Path) -> Service {
    let text = format!(
        "[[hosts]]\nname = \"{}\"\nurl = \"unix:///nobody.sock\"\n[[services]]\nname = \"{name}\"\nimage = \"{name}\"\n\
         [services.build]\ncontext = \"{}\"\n",
        host.name,
        context.display()
    );
    let file = context.join("config.toml");
    std::fs::write(&file, text).unwrap();
    let request = pilothouse::config::Request {
        explicit: Some(file),
        env: &|_| None,
    };
    pilothouse::config::load(&request).unwrap().services.remove(0)
}

struct Door {
    address: SocketAddr,
    stop: CancellationToken,
    told: Arc<Mutex<Vec<String>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    fn run(&self) -> RunId {
        assert_eq!(self.status, 202, "{self:?}");
        RunId::parse(self.json()["started"][0]["run"].as_str().unwrap()).unwrap()
    }
}

impl Door {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, String)], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        // Refused by its length, nobody reads it any more.
        drop(stream.write_all(body));
        answer(stream)
    }

    fn post(&self, headers: &[(&str, String)], body: &str) -> Answer {
        self.request("POST", "/hook", headers, body.as_bytes())
    }

    fn github(&self, id: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.post(&github(id, "push", SECRET, &body), &body)
    }

    fn counted(&self, kind: &str, word: &str) -> u64 {
        let answer = self.request("GET", "/health", &[], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()[kind][word].as_u64().unwrap_or(0)
    }

    #[track_caller]
    fn refuses(&self, answer: &Answer, status: u16, word: &str) {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.json()["refused"], word, "{answer:?}");
        assert!(self.counted("refused", word) > 0, "{word} is not counted");
    }
}

fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A connection that is reset after the answer still brought it.
    drop(stream.read_to_end(&mut bytes));
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or(0),
        text: body.to_owned(),
    }
}

fn tag(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

fn github(id: &str, event: &str, secret: &str, body: &str) -> Vec<(&'static str, String)> {
    let signature = hex(&tag(secret.as_bytes(), body));
    vec![
        ("User-Agent", "GitHub-Hookshot/044aadd".to_owned()),
        ("Content-Type", "application/json".to_owned()),
        ("X-GitHub-Delivery", id.to_owned()),
        ("X-GitHub-Event", event.to_owned()),
        ("X-GitHub-Hook-ID", "292430182".to_owned()),
        ("X-Hub-Signature-256", format!("sha256={signature}")),
    ]
}

/// As GitHub documents a push.
fn push(branch: &str, commit: &str) -> Value {
    json!({
        "ref": format!("refs/heads/{branch}"),
        "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        "after": commit,
        "created": false, "deleted": false, "forced": false, "base_ref": null,
        "compare": "https://github.com/acme/shop/compare/6113728f27ae...3f2a91c0d4e5",
        "commits": [{ "id": commit, "message": "Basket: two for one", "author": { "name": "Ann", "email": "ann@acme.test" } }],
        "head_commit": { "id": commit, "message": "Basket: two for one", "timestamp": "2026-11-21T12:00:00Z" },
        "repository": {
            "id": 186_853_002, "name": "shop", "full_name": "acme/shop", "private": true,
            "owner": { "name": "acme", "login": "acme" }, "default_branch": "main", "pushed_at": 1_795_265_000,
        },
        "pusher": { "name": "ann", "email": "ann@acme.test" },
        "sender": { "login": "ann", "id": 21_031_067 },
    })
}

#[test]
fn a_signed_push_starts_one_run_that_says_who_what_and_which_delivery() {
    let ground = Ground::new();
    let door = ground.open();
    let answer = door.github("72d3162e-cc78-11e3-81ab-4c9367dc0958", &push("main", COMMIT));
    let run = answer.run();
    let runs = ground.settle();
    assert_eq!(runs.len(), 1);
    assert_eq!((&runs[0].id, runs[0].kind), (&run, RunKind::Build));
    assert_eq!(runs[0].actor, "ann (GitHub)");
    let reason = runs[0].reason.clone().unwrap();
    for word in [
        "3f2a91c0d4e5",
        "main",
        "acme/shop",
        "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    ] {
        assert!(reason.contains(word), "{reason}");
    }
    assert_eq!(door.counted("taken", "started"), 1);
    assert!(door.told.lock().unwrap()[0].contains(run.as_str()));
}

#[test]
fn a_push_of_gitlab_starts_a_run_by_its_token_or_by_its_signature() {
    let signing = format!("whsec_{}", STANDARD.encode("0123456789abcdef0123456789abcdef"));
    let mut ground = Ground::new();
    ground.add("api", "acme/api", &["main"], &signing);
    let door = ground.open();
    let body = |project: &str| {
        json!({
            "object_kind": "push", "event_name": "push", "ref": "refs/heads/main", "before": "0".repeat(40), "after": COMMIT,
            "checkout_sha": COMMIT, "user_id": 4, "user_name": "Ann Lee", "user_username": "ann",
            "project_id": 15, "project": { "id": 15, "path_with_namespace": project, "default_branch": "main" },
            "commits": [], "total_commits_count": 1,
        })
        .to_string()
    };
    let plain = body("acme/shop");
    let common = |id: &str| {
        vec![
            ("Content-Type", "application/json".to_owned()),
            ("X-Gitlab-Event", "Push Hook".to_owned()),
            (
                "X-Gitlab-Event-UUID",
                "13792a34-cac6-4fda-95a8-c58e00a3954e".to_owned(),
            ),
            ("Idempotency-Key", id.to_owned()),
        ]
    };
    let mut headers = common("f5e5f430-f57b-4e6e-9fac-d9128cd7232f");
    headers.push(("X-Gitlab-Token", SECRET.to_owned()));
    door.post(&headers, &plain).run();
    door.refuses(&door.post(&headers, &plain), 409, "replayed");

    let signed = body("acme/api");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let sign = |id: &str, time: u64| {
        let mut headers = common(id);
        let mac = tag(
            b"0123456789abcdef0123456789abcdef",
            &format!("{id}.{time}.{signed}"),
        );
        headers.push(("webhook-id", id.to_owned()));
        headers.push(("webhook-timestamp", time.to_string()));
        headers.push(("webhook-signature", format!("v1,{}", STANDARD.encode(mac))));
        headers
    };
    door.post(&sign("id-1", now), &signed).run();
    door.refuses(&door.post(&sign("id-1", now + 1), &signed), 409, "replayed");
    door.refuses(
        &door.post(&sign("id-2", now - 3600), &signed),
        403,
        "wrongly signed",
    );
    let mut token = common("id-3");
    token.push(("X-Gitlab-Token", signing));
    door.refuses(&door.post(&token, &signed), 403, "wrongly signed");
    let actors: Vec<String> = ground.settle().into_iter().map(|run| run.actor).collect();
    assert_eq!(actors, ["ann (GitLab)", "ann (GitLab)"]);
}

#[test]
fn what_is_unsigned_wrongly_signed_or_unknown_is_refused_and_counted() {
    let mut ground = Ground::new();
    ground.add("api", "acme/api", &["main"], OTHER);
    let door = ground.open();
    let body = push("main", COMMIT).to_string();
    let good = github("id-1", "push", SECRET, &body);
    let without = |name: &str| -> Vec<(&'static str, String)> {
        good.iter().filter(|(known, _)| *known != name).cloned().collect()
    };
    door.refuses(
        &door.post(&without("X-Hub-Signature-256"), &body),
        401,
        "unsigned",
    );
    let mut sha1 = without("X-Hub-Signature-256");
    sha1.push((
        "X-Hub-Signature",
        "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6".to_owned(),
    ));
    door.refuses(&door.post(&sha1, &body), 401, "unsigned");
    let wrong = github("id-1", "push", "not the secret", &body);
    door.refuses(&door.post(&wrong, &body), 403, "wrongly signed");
    door.refuses(
        &door.post(&good, &body.replace("main", "main ")),
        403,
        "wrongly signed",
    );
    // One service's secret does not speak for another's repository.
    let borrowed = github("id-1", "push", OTHER, &body);
    door.refuses(&door.post(&borrowed, &body), 404, "unknown repository");
    let issue = github("id-1", "issues", SECRET, &body);
    door.refuses(&door.post(&issue, &body), 422, "unknown event");
    let form = "payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%7D";
    let mut headers = github("id-1", "push", SECRET, form);
    headers[1].1 = "application/x-www-form-urlencoded".to_owned();
    door.refuses(&door.post(&headers, form), 415, "not JSON");
    let short = json!({ "ref": "refs/heads/main" }).to_string();
    door.refuses(
        &door.post(&github("id-1", "push", SECRET, &short), &short),
        400,
        "malformed",
    );
    door.refuses(&door.post(&without("X-GitHub-Delivery"), &body), 400, "malformed");
    door.refuses(&door.request("GET", "/hook", &[], b""), 405, "method");
    door.refuses(
        &door.request("POST", "/", &good, body.as_bytes()),
        404,
        "no such place",
    );
    assert_eq!(ground.runs().len(), 0);
    assert_eq!(door.counted("taken", "started"), 0);
    // After all of that the good one is still good.
    door.post(&good, &body).run();
    ground.settle();
}

#[test]
fn only_the_branches_that_a_service_waits_for_start_it() {
    let ground = Ground::new();
    let door = ground.open();
    for (id, branch) in ["feature/x", "release", "release/1/2", "domain"]
        .iter()
        .enumerate()
    {
        let answer = door.github(&format!("no-{id}"), &push(branch, COMMIT));
        assert_eq!(answer.status, 200, "{branch}: {answer:?}");
        assert!(answer.json()["ignored"].is_string(), "{answer:?}");
    }
    let mut tag = push("main", COMMIT);
    tag["ref"] = json!("refs/tags/v1");
    let mut gone = push("main", &"0".repeat(40));
    gone["deleted"] = json!(true);
    for body in [tag, gone] {
        assert_eq!(door.github("no-more", &body).status, 200);
    }
    let zen = json!({ "zen": "Design for failure.", "hook_id": 1 }).to_string();
    let ping = door.post(&github("ping", "ping", SECRET, &zen), &zen);
    assert_eq!((ping.status, &ping.json()["pong"]), (200, &json!(true)));
    assert_eq!(door.counted("taken", "ignored"), 6);
    assert_eq!(ground.runs().len(), 0);
    door.github("yes", &push("release/1.4", COMMIT)).run();
    ground.settle();
}

#[test]
fn a_delivery_is_never_taken_in_twice_also_after_a_restart() {
    let ground = Ground::new();
    let door = ground.open();
    let body = push("main", COMMIT);
    door.github("id-1", &body).run();
    door.refuses(&door.github("id-1", &body), 409, "replayed");
    // The id is not signed: who saw a delivery could send it under another one.
    door.refuses(&door.github("id-2", &body), 409, "replayed");
    drop(door);
    let door = ground.open();
    door.refuses(&door.github("id-1", &body), 409, "replayed");
    door.refuses(&door.github("id-3", &body), 409, "replayed");
    let mut next = body;
    next["after"] = json!("a".repeat(40));
    door.refuses(&door.github("id-1", &next), 409, "replayed");
    door.github("id-4", &next).run();
    assert_eq!(ground.settle().len(), 2);
}

#[test]
fn what_could_not_be_started_may_be_sent_again() {
    let mut ground = Ground::new();
    let ready = ground.folder.path().join("ready");
    ground.config.triggers[0].prepare = ["test", "-e", ready.to_str().unwrap()].map(str::to_owned).into();
    let door = ground.open();
    let body = push("main", COMMIT);
    let failed = door.github("id-1", &body);
    door.refuses(&failed, 500, "failed");
    assert!(!failed.text.contains("ready"), "paths stay here: {failed:?}");
    std::fs::write(&ready, "").unwrap();
    door.github("id-1", &body).run();
    assert_eq!(ground.settle().len(), 1);
}

/// The memory of a listener that was killed while it prepared a run, as the next one finds it.
#[test]
fn a_delivery_whose_listener_was_killed_before_its_run_was_started_may_be_sent_again() {
    let (mut first, second) = (Ground::new(), Ground::new());
    let (begun, go) = (first.folder.path().join("begun"), first.folder.path().join("go"));
    let script = format!(
        "touch {}; while ! test -e {}; do sleep 0.02; done",
        begun.display(),
        go.display()
    );
    first.config.triggers[0].prepare = ["sh", "-c", &script].map(str::to_owned).into();
    let memory = |ground: &Ground| ground.folder.path().join("state/listen/seen");
    let body = push("main", COMMIT);
    let door = first.open();
    drop(second.open());
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| door.github("id-1", &body).run());
        let since = std::time::Instant::now();
        while !begun.exists() {
            assert!(since.elapsed() < Duration::from_mins(1), "it does not prepare");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::fs::copy(memory(&first), memory(&second)).unwrap();
        std::fs::write(&go, "").unwrap();
        sender.join().unwrap();
    });
    drop(door);
    let door = second.open();
    // The same body under another id is what somebody sends who has only seen it.
    door.refuses(&door.github("id-2", &body), 409, "replayed");
    door.github("id-1", &body).run();
    door.refuses(&door.github("id-1", &body), 409, "replayed");
    drop(door);
    // Killed between the run and the word that it was started.
    let text = std::fs::read_to_string(memory(&second)).unwrap();
    let begun: Vec<&str> = text.lines().filter(|line| !line.starts_with('+')).collect();
    std::fs::write(memory(&second), begun.join("\n") + "\n").unwrap();
    let door = second.open();
    door.refuses(&door.github("id-1", &body), 409, "replayed");
    drop(door);
    assert_eq!(second.settle().len(), 1);
    first.settle();
}

#[test]
fn the_command_before_a_run_is_told_what_was_pushed_and_no_secret() {
    let mut ground = Ground::new();
    let said = ground.folder.path().join("said");
    let script = format!("env > {}", said.display());
    ground.config.triggers[0].prepare = ["sh", "-c", &script].map(str::to_owned).into();
    let door = ground.open();
    door.github("id-1", &push("release/2", COMMIT)).run();
    let env = std::fs::read_to_string(&said).unwrap();
    for line in [
        format!("PILOTHOUSE_COMMIT={COMMIT}"),
        "PILOTHOUSE_BRANCH=release/2".to_owned(),
        "PILOTHOUSE_REPOSITORY=acme/shop".to_owned(),
    ] {
        assert!(env.lines().any(|known| known == line), "{line}: {env}");
    }
    assert!(!env.contains(SECRET), "{env}");
    ground.settle();
}

#[test]
fn what_is_built_from_git_is_built_of_the_commit_that_was_pushed() {
    let mut ground = Ground::new();
    let context = ground.folder.path().join("context");
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .args(["-c", "user.name=Ann", "-c", "user.email=ann@acme.test", "-C"])
            .arg(&context)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "The first"]);
    let (pushed, short) = (
        git(&["rev-parse", "HEAD"]),
        git(&["rev-parse", "--short", "HEAD"]),
    );
    git(&["commit", "-q", "--allow-empty", "-m", "The second"]);
    let build = ground.config.services[0].build.as_mut().unwrap();
    build.git = Some("main".to_owned());
    build.tags = vec!["{git.short}-of-{git.branch}".to_owned()];
    let mut unit = Test::new("unit", ground.config.hosts[0].name.clone());
    unit.image = TestImage::Target("tests".to_owned());
    unit.push = Some("registry.invalid/shop-tests:{git.branch}".to_owned());
    let shop = &mut ground.config.services[0];
    shop.tests = vec![unit];
    shop.pipeline = vec![vec![Slot::Build], vec![Slot::Test("unit".to_owned())]];
    ground.config.triggers[0].run = RunKind::Pipeline;
    let door = ground.open();
    door.github("id-1", &push("main", &pushed)).run();
    // One that this machine has not fetched is not replaced by another.
    door.refuses(&door.github("id-2", &push("main", COMMIT)), 500, "failed");
    let runs = ground.settle();
    assert_eq!(runs.len(), 1);
    assert!(
        runs[0].image.starts_with(&format!("shop:{short}-of-main")),
        "{}",
        runs[0].image
    );
    let plan = runs::disk::state::read_run_file(&ground.state().dir(&runs[0].id))
        .unwrap()
        .plan;
    assert_eq!(plan.test_pushes(), ["registry.invalid/shop-tests:main"]);
}

#[test]
fn of_two_services_in_one_repository_each_gets_its_run() {
    let mut ground = Ground::new();
    ground.add("worker", "acme/shop", &["main"], SECRET);
    ground.add("docs", "acme/shop", &["docs"], SECRET);
    let door = ground.open();
    let answer = door.github("id-1", &push("main", COMMIT));
    let started: Vec<Value> = answer.json()["started"].as_array().unwrap().clone();
    let services: Vec<&str> = started
        .iter()
        .map(|run| run["service"].as_str().unwrap())
        .collect();
    assert_eq!(services, ["shop", "worker"]);
    door.refuses(&door.github("id-1", &push("main", COMMIT)), 409, "replayed");
    assert_eq!(ground.settle().len(), 2);
}

#[test]
fn fifty_deliveries_at_once_are_fifty_runs_and_each_twice_is_still_fifty() {
    let ground = Ground::new();
    let door = ground.open();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..100)
            .map(|number| {
                let door = &door;
                let commit = format!("{:040x}", 1 + number % 50);
                scope.spawn(move || door.github(&format!("id-{}", number % 50), &push("main", &commit)))
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    // More than wait at once are told to come again.
    let again = answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.status == 503);
    let again: Vec<Answer> = again
        .map(|(at, _)| {
            door.github(
                &format!("id-{}", at % 50),
                &push("main", &format!("{:040x}", 1 + at % 50)),
            )
        })
        .collect();
    let started = count(202) + again.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(started, 50, "{answers:?} {again:?}");
    assert_eq!(ground.settle().len(), 50);
    assert_eq!(door.counted("taken", "started"), 50);
}

#[test]
fn what_is_too_large_is_refused_by_its_word_and_by_its_bytes() {
    let ground = Ground::new();
    let limits = Limits {
        max_body: 64 << 10,
        ..ground.limits()
    };
    let door = ground.open_with(limits);
    let mut stream = door.connect();
    stream
        .write_all(b"POST /hook HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000000\r\n\r\n")
        .unwrap();
    door.refuses(&answer(stream), 413, "too large");
    let mut stream = door.connect();
    stream
        .write_all(b"POST /hook HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    // Exactly one byte too many: nothing is left unread when the answer comes.
    let piece = format!("{:x}\r\n{}\r\n", 32 << 10, " ".repeat(32 << 10));
    stream.write_all(piece.repeat(2).as_bytes()).unwrap();
    stream.write_all(b"1\r\n \r\n").unwrap();
    door.refuses(&answer(stream), 413, "too large");
    let head = format!("POST /hook HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(64 << 10));
    let mut stream = door.connect();
    drop(stream.write_all(head.as_bytes()));
    let refused = answer(stream);
    assert!(matches!(refused.status, 0 | 431), "{refused:?}");
    let mut padded = push("main", COMMIT);
    padded["padding"] = json!(" ".repeat(60 << 10));
    door.github("id-1", &padded).run();
    ground.settle();
}

#[test]
fn who_is_slow_holds_up_nobody_for_long() {
    let ground = Ground::new();
    let limits = Limits {
        head: Duration::from_secs(2),
        body: Duration::from_secs(2),
        connections: 2,
        ..ground.limits()
    };
    let door = ground.open_with(limits);
    let mut slow: Vec<TcpStream> = (0..6).map(|_| door.connect()).collect();
    for (at, stream) in slow.iter_mut().enumerate() {
        let head = if at % 2 == 0 {
            "POST /hook HTTP/1.1\r\nX-Slow: "
        } else {
            "POST /hook HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n{"
        };
        stream.write_all(head.as_bytes()).unwrap();
    }
    // All places are taken by them, and still it is answered.
    door.github("id-1", &push("main", COMMIT)).run();
    let answers: Vec<Answer> = slow.into_iter().map(answer).collect();
    for (at, answer) in answers.iter().enumerate() {
        let expected: &[u16] = if at % 2 == 0 { &[0, 408] } else { &[408] };
        assert!(expected.contains(&answer.status), "{at}: {answer:?}");
    }
    assert_eq!(door.counted("refused", "too slow"), 6);
    ground.settle();
}

#[test]
fn a_protected_host_a_weak_secret_a_missing_one_or_a_second_listener_is_refused_at_the_start() {
    let refused = |ground: &Ground| match ground.try_open(ground.limits()) {
        Err(fault) => format!("{fault} {}", fault.hint.clone().unwrap_or_default()),
        Ok(_) => panic!("it opened"),
    };
    let mut ground = Ground::new();
    ground.config.triggers.clear();
    assert!(refused(&ground).contains("[services.trigger]"));
    let mut ground = Ground::new();
    let text = "[[hosts]]\nname = \"nowhere\"\nurl = \"unix:///nobody.sock\"\nprotected = true\n[[services]]\nname = \"shop\"\n\
                image = \"shop\"\n[services.deploy]\nhosts = [\"nowhere\"]\n";
    let file = ground.folder.path().join("protected.toml");
    std::fs::write(&file, text).unwrap();
    let request = pilothouse::config::Request {
        explicit: Some(file),
        env: &|_| None,
    };
    let protected = pilothouse::config::load(&request).unwrap();
    (ground.config.hosts, ground.config.services) = (protected.hosts, protected.services);
    for run in [RunKind::Pipeline, RunKind::Deploy, RunKind::Push] {
        ground.config.triggers[0].run = run;
        let words = refused(&ground);
        assert!(
            words.contains("nowhere is protected") && words.contains("confirm = true"),
            "{words}"
        );
    }
    ground.config.triggers[0].confirm = true;
    drop(ground.open());
    ground.config.triggers[0].environment = Some("staging".to_owned());
    let words = refused(&ground);
    assert!(words.contains("staging"), "{words}");
    ground.config.triggers[0].environment = None;
    ground.config.triggers[0].secret = Secret::Env("NOT_SET".to_owned());
    assert!(refused(&ground).contains("NOT_SET"));
    // Where it builds counts as much as where it deploys.
    let mut ground = Ground::new();
    ground.config.hosts[0].protected = true;
    for run in [RunKind::Build, RunKind::Push] {
        ground.config.triggers[0].run = run;
        assert!(refused(&ground).contains("nowhere is protected"));
    }
    let mut ground = Ground::new();
    ground.add("api", "acme/api", &["main"], "hunter2");
    let words = refused(&ground);
    assert!(words.contains("guessed") && !words.contains("hunter2"), "{words}");
    let ground = Ground::new();
    let door = ground.open();
    assert!(refused(&ground).contains("another `pilothouse listen`"));
    drop(door);
}

#[test]
fn the_protected_host_of_an_environment_wants_consent_too() {
    let mut ground = Ground::new();
    let text = "[[hosts]]\nname = \"nowhere\"\nurl = \"unix:///nobody.sock\"\n[[hosts]]\nname = \"prod\"\nurl = \"unix:///prod.sock\"\n\
                protected = true\n[[services]]\nname = \"shop\"\nimage = \"shop\"\n[services.deploy]\nhosts = [\"nowhere\"]\n\
                [services.environments.production.deploy]\nhosts = [\"prod\"]\n";
    let file = ground.folder.path().join("environments.toml");
    std::fs::write(&file, text).unwrap();
    let request = pilothouse::config::Request {
        explicit: Some(file),
        env: &|_| None,
    };
    let read = pilothouse::config::load(&request).unwrap_or_else(|faults| panic!("{faults:?}"));
    (ground.config.hosts, ground.config.services) = (read.hosts, read.services);
    ground.config.triggers[0].run = RunKind::Deploy;
    drop(ground.open());
    ground.config.triggers[0].environment = Some("production".to_owned());
    match ground.try_open(ground.limits()) {
        Err(fault) => assert!(fault.why.contains("prod is protected"), "{fault}"),
        Ok(_) => panic!("it opened"),
    }
}

/// Anything that a sender without the secret might put together.
fn forgery() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![
        Just("X-Hub-Signature-256"),
        Just("X-Gitlab-Token"),
        Just("webhook-signature"),
        Just("webhook-id"),
        Just("webhook-timestamp"),
        Just("X-GitHub-Event"),
        Just("X-Gitlab-Event"),
        Just("X-GitHub-Delivery"),
        Just("Content-Type"),
        Just("Transfer-Encoding"),
    ];
    let value = prop_oneof![
        Just("sha256=".to_owned() + &"0".repeat(64)),
        Just("push".to_owned()),
        Just("v1,AAAA".to_owned()),
        Just("application/json".to_owned()),
        Just("chunked".to_owned()),
        "[ -~]{0,80}",
    ];
    let body = prop_oneof![
        Just(push("main", COMMIT).to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..300),
    ];
    let request = (prop::collection::vec((header, value), 0..8), body).prop_map(|(headers, body)| {
        let mut request = format!(
            "POST /hook HTTP/1.1\r\nHost: here\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.extend([name, ": ", &value, "\r\n"]);
        }
        [request.as_bytes(), b"\r\n", &body].concat()
    });
    prop_oneof![4 => request, 1 => prop::collection::vec(any::<u8>(), 0..400)]
}

#[test]
fn nothing_without_the_secret_starts_anything_or_ends_the_listener() {
    let ground = Ground::new();
    let limits = Limits {
        head: Duration::from_secs(2),
        body: Duration::from_secs(2),
        ..ground.limits()
    };
    let door = ground.open_with(limits);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    runner
        .run(&forgery(), |bytes| {
            let mut stream = door.connect();
            drop(stream.write_all(&bytes));
            drop(stream.shutdown(std::net::Shutdown::Write));
            let answer = answer(stream);
            prop_assert!(!(200..300).contains(&answer.status), "{answer:?}");
            Ok(())
        })
        .unwrap();
    assert_eq!(ground.runs().len(), 0);
    assert_eq!(door.counted("taken", "started"), 0);
    door.github("id-1", &push("main", COMMIT)).run();
    ground.settle();
}

/// Runs `pilothouse listen` as a person would; ends it by SIGTERM.
#[test]
fn the_program_itself_listens_until_it_is_told_to_end_and_writes_no_secret_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let text = format!(
        "[[hosts]]\nname = \"nowhere\"\nurl = \"unix://{0}/nobody.sock\"\n[[services]]\nname = \"shop\"\nimage = \"shop\"\n\
         [services.build]\ncontext = \".\"\n[services.trigger]\nrepository = \"acme/shop\"\nbranches = [\"main\"]\nrun = \"build\"\n\
         secret = {{ env = \"SHOP_HOOK\" }}\n[log]\nlevel = \"trace\"\n",
        home.display()
    );
    std::fs::write(home.join("config.toml"), text).unwrap();
    std::fs::write(home.join("Dockerfile"), "FROM scratch\n").unwrap();
    let command = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pilothouse"));
        command
            .arg("--config")
            .arg(home.join("config.toml"))
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", home)
            .env("SHOP_HOOK", SECRET)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command
    };
    let refused = command(&["--read-only", "listen"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("read-only"),
        "{refused:?}"
    );
    let mut child = command(&["listen", "--address", "127.0.0.1:0"]).spawn().unwrap();
    let mut first = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut first).unwrap();
    let address = first
        .trim()
        .strip_prefix("http://")
        .and_then(|rest| rest.strip_suffix("/hook"));
    let door = Door {
        address: address.unwrap_or_else(|| panic!("{first:?}")).parse().unwrap(),
        stop: CancellationToken::new(),
        told: Arc::default(),
        thread: None,
    };
    let run = door.github("id-1", &push("main", COMMIT)).run();
    let wrong = push("main", COMMIT).to_string();
    door.post(&github("id-2", "push", "not the secret", &wrong), &wrong);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let words = String::from_utf8(ended.stderr).unwrap();
    assert!(
        words.contains("1 wrongly signed") && words.contains("continue"),
        "{words}"
    );
    let followed = command(&["follow", run.as_str()]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&followed.stderr).contains("nobody.sock"),
        "{followed:?}"
    );
    let mut looked = 0;
    look(home, &mut |path, bytes| {
        looked += 1;
        let has = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!has, "the secret is in {}", path.display());
    });
    assert!(looked > 4, "{looked} files");
    assert!(!words.contains(SECRET));
}

fn look(folder: &Path, see: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            look(&path, see);
        } else if path.is_file() {
            see(&path, &std::fs::read(&path).unwrap());
        }
    }
}
