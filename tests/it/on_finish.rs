//! Notifications of results: real commands, a real webhook on loopback, real TLS. They never change the run's result.
//! The runs use an unreachable host, so that they close at once.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use pilothouse::config::service::Secret;
use pilothouse::config::{Config, Request, StateDir, finish, load};
use pilothouse::domain::exit::Exit;
use pilothouse::domain::ids::RunId;
use pilothouse::domain::plan::RunRequest;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus, RunView};
use pilothouse::release::plan::Actor;
use pilothouse::runs::{self, State};
use serde_json::Value;
use sha2::Sha256;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::certified::{certificate, certified};

const SECRET: &str = "correct horse battery";
const LIMIT: Duration = Duration::from_mins(1);

struct Ground {
    folder: tempfile::TempDir,
    config: Config,
    program: PathBuf,
}

impl Ground {
    /// `on_finish` as a file says it.
    fn new(on_finish: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "on_finish = {on_finish}\n[[hosts]]\nname = \"nowhere\"\nurl = \"unix://{0}/nobody.sock\"\n[[services]]\n\
             name = \"shop\"\nimage = \"shop\"\n[services.build]\ncontext = \".\"\n",
            folder.path().display()
        );
        let file = folder.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        let request = Request {
            explicit: Some(file),
            env: &|_| None,
        };
        Self {
            config: load(&request).unwrap_or_else(|faults| panic!("{faults:?}")),
            folder,
            program: PathBuf::from(env!("CARGO_BIN_EXE_pilothouse")),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn state(&self) -> State {
        let dir = StateDir {
            dir: Some(self.path("state")),
            ..StateDir::default()
        };
        State::open(&dir, &|_| None)
            .unwrap()
            .with_program(self.program.clone())
    }

    /// Runs a build to its end; it was reverted whatever became of the telling.
    fn run(&self) -> RunId {
        let request: RunRequest = serde_json::from_value(serde_json::json!({
            "kind": RunKind::Build, "service": "shop", "reason": "a test",
        }))
        .unwrap();
        let actor = Actor {
            login: "ops-a".to_owned(),
            machine: "bastion-1".to_owned(),
            via: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let state = self.state();
        runtime.block_on(async {
            let run = runs::launch(&state, &self.config, &request, actor).await.unwrap();
            let exit = tokio::time::timeout(LIMIT, runs::follow(&state, &run, |_| {})).await;
            assert_eq!(exit.unwrap().unwrap(), Exit::Unreachable);
            run
        })
    }

    /// What the run's output says of the telling, once a line contains `word`.
    fn said(&self, run: &RunId, word: &str) -> Vec<String> {
        let end = Instant::now() + LIMIT;
        loop {
            let view = runs::view(&self.state(), run).unwrap();
            assert!(closed_as_reverted(&view), "{:?}", view.status);
            let lines: Vec<String> = view
                .output
                .into_iter()
                .filter(|line| line.stage == "on_finish")
                .map(|line| line.text)
                .collect();
            if lines.iter().any(|line| line.contains(word)) {
                return lines;
            }
            assert!(Instant::now() < end, "waited in vain for {word:?}: {lines:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn closed_as_reverted(view: &RunView) -> bool {
    matches!(
        view.status,
        RunStatus::Closed {
            outcome: Outcome::Reverted { .. },
            ..
        }
    )
}

/// One request as it came.
#[derive(Debug)]
struct Told {
    head: String,
    body: Vec<u8>,
}

impl Told {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Takes so many requests and answers each with its status; `secure` wraps a connection in TLS.
fn server(answers: &'static [&'static str], secure: Option<Arc<ServerConfig>>) -> (u16, Receiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for status in answers {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            let request = match &secure {
                None => served(stream, status),
                Some(config) => {
                    let tls = ServerConnection::new(Arc::clone(config)).unwrap();
                    served(StreamOwned::new(tls, stream), status)
                }
            };
            // A connection that broke (a certificate that was refused) told nothing.
            if let Some(request) = request {
                drop(tell.send(request));
            }
        }
    });
    (port, told)
}

fn served(stream: impl Read + Write, status: &str) -> Option<Told> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut told = Told {
        head,
        body: Vec::new(),
    };
    let length = told.header("content-length")?.parse().ok()?;
    told.body.resize(length, 0);
    stream.read_exact(&mut told.body).ok()?;
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.get_mut().write_all(answer.as_bytes()).ok()?;
    stream.get_mut().flush().ok()?;
    Some(told)
}

#[test]
fn a_command_is_given_the_result_and_what_it_prints_is_kept() {
    let ground = Ground::new(
        "{ command = [\"sh\", \"-c\", \"cat > told.json; echo sent $PILOTHOUSE_RESULT of $PILOTHOUSE_RUN\"] }",
    );
    let run = ground.run();
    let lines = ground.said(&run, "sent");
    assert_eq!(lines, [format!("sent reverted of {run}")]);
    let text = std::fs::read(ground.state().dir(&run).join("told.json")).unwrap();
    let told: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        (&told["result"], &told["exit"], &told["schema"]),
        (&"reverted".into(), &3.into(), &1.into())
    );
    assert!(told["why"].as_str().unwrap().contains("nobody.sock"), "{told}");
    assert_eq!(
        (&told["run"]["id"], &told["run"]["actor"]),
        (&run.as_str().into(), &"ops-a".into())
    );
    assert_eq!(told["run"]["output"], Value::Array(Vec::new()));
}

#[test]
fn a_command_that_fails_or_never_ends_is_tried_twice_and_changes_nothing() {
    let ground = Ground::new("{ command = [\"sh\", \"-c\", \"echo no mail today; exit 7\"] }");
    let run = ground.run();
    ground.said(&run, "exit code 7");
    let end = Instant::now() + LIMIT;
    while ground
        .said(&run, "exit code 7")
        .iter()
        .filter(|line| line.contains("exit code 7"))
        .count()
        < 2
    {
        assert!(Instant::now() < end, "it was tried once only");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ground = Ground::new("{ command = [\"sleep\", \"1000\"], timeout = \"1s\" }");
    let run = ground.run();
    ground.said(&run, "still running after 1 s");
}

#[test]
fn a_web_hook_is_told_once_signed_as_github_signs() {
    let (port, told) = server(&["204 No Content"], None);
    let mut ground = Ground::new(&format!(
        "{{ url = \"http://127.0.0.1:{port}/hooks/ops?room=1\" }}"
    ));
    let file = ground.path("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    if let Some(finish) = &mut ground.config.on_finish_of_all
        && let finish::Tell::Hook(hook) = &mut finish.tell
    {
        hook.secret = Some(Secret::File(file.clone()));
    }
    let run = ground.run();
    let told = told.recv_timeout(LIMIT).unwrap();
    assert!(
        told.head.starts_with("POST /hooks/ops?room=1 HTTP/1.1\r\n"),
        "{}",
        told.head
    );
    assert_eq!(told.header("X-Pilothouse-Delivery"), Some(run.as_str()));
    assert_eq!(told.header("Content-Type"), Some("application/json"));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(&told.body);
    let digits: Vec<String> = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        told.header("X-Hub-Signature-256"),
        Some(format!("sha256={}", digits.concat()).as_str())
    );
    assert_eq!(told.json()["run"]["id"], run.as_str());
    let lines = ground.said(&run, "notified");
    assert_eq!(lines, [format!("notified http://127.0.0.1:{port}")]);
    for entry in std::fs::read_dir(ground.state().dir(&run)).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
    }
}

#[test]
fn a_hook_that_is_busy_is_told_again_and_one_that_refuses_is_not() {
    let (port, told) = server(&["503 Service Unavailable", "200 OK"], None);
    let ground = Ground::new(&format!("{{ url = \"http://localhost:{port}/\" }}"));
    let run = ground.run();
    let lines = ground.said(&run, "notified http");
    assert!(lines[0].contains("503"), "{lines:?}");
    assert_eq!((told.iter().count(), lines.len()), (2, 2), "{lines:?}");
    let (port, told) = server(&["404 Not Found"], None);
    let ground = Ground::new(&format!("{{ url = \"http://127.0.0.1:{port}/\" }}"));
    let run = ground.run();
    let lines = ground.said(&run, "404");
    assert_eq!((told.iter().count(), lines.len()), (1, 1), "{lines:?}");
}

#[test]
fn a_secret_address_that_does_not_answer_or_does_not_resolve_is_said_without_being_repeated() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut ground = Ground::new("{ url = { file = \"url\" }, timeout = \"1s\" }");
    let url = format!("http://127.0.0.1:{port}/hooks/T0PSECRETPATH");
    std::fs::write(ground.path("url"), &url).unwrap();
    let run = ground.run();
    let lines = ground.said(&run, "did not answer within 1 s");
    assert!(lines[0].contains(&format!("127.0.0.1:{port}")), "{lines:?}");
    std::fs::write(ground.path("url"), "http://elsewhere.example/T0PSECRETPATH").unwrap();
    let other = ground.run();
    ground.said(&other, "is not encrypted");
    ground.config.on_finish_of_all = None;
    for run in [run, other] {
        for entry in std::fs::read_dir(ground.state().dir(&run)).unwrap() {
            let text = String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned();
            assert!(!text.contains("T0PSECRETPATH"), "{text}");
        }
    }
}

#[test]
fn over_tls_only_a_certificate_that_is_trusted_is_told_anything() {
    let ca = certificate("ca.pem");
    let (port, told) = server(&["200 OK"], Some(certified()));
    let ground = Ground::new(&format!(
        "{{ url = \"https://localhost:{port}/x\", ca = \"{}\" }}",
        ca.display()
    ));
    let run = ground.run();
    ground.said(&run, "notified https://localhost");
    assert_eq!(
        told.recv_timeout(LIMIT).unwrap().json()["run"]["id"],
        run.as_str()
    );

    // Nobody vouches for it: not told, and not tried again.
    let (port, told) = server(&["200 OK"], Some(certified()));
    let mut ground = Ground::new(&format!("{{ url = \"https://127.0.0.1:{port}/x\" }}"));
    let system = ground.path("system.pem");
    ground.program = with_authorities(&ground, &certificate("leaf.pem"), &system);
    let run = ground.run();
    let lines = ground.said(&run, "hint: set `ca`");
    assert!(lines[0].contains("certificate"), "{lines:?}");
    assert_eq!(told.iter().count(), 0);

    // The system does.
    let (port, told) = server(&["200 OK"], Some(certified()));
    let mut ground = Ground::new(&format!("{{ url = \"https://127.0.0.1:{port}/x\" }}"));
    let system = ground.path("system.pem");
    ground.program = with_authorities(&ground, &ca, &system);
    let run = ground.run();
    ground.said(&run, "notified https://127.0.0.1");
    assert_eq!(
        told.recv_timeout(LIMIT).unwrap().json()["run"]["id"],
        run.as_str()
    );
}

/// The program where the system trusts just these.
fn with_authorities(ground: &Ground, trusted: &Path, system: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::copy(trusted, system).unwrap();
    let path = ground.path("program");
    let script = format!(
        "#!/bin/sh\nSSL_CERT_FILE={} exec '{}' \"$@\"\n",
        system.display(),
        env!("CARGO_BIN_EXE_pilothouse")
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}
