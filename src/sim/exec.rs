//! Processes started in a running container beside its main one: created, started, looked at.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::container::words;
use super::engine::Engine;
use super::http::{Answer, Ask, Refused, bad, conflict, empty, json_reply, missing, ok, stream, switching};
use super::logs::frame;
use super::session::{self, Ends};
use super::world::World;

/// One exec, from its creation until it is forgotten with its container.
#[derive(Debug)]
pub(super) struct Exec {
    /// The container's id.
    pub(super) container: String,
    pub(super) state: ExecState,
    pub(super) argv: Vec<String>,
    pub(super) environment: Vec<String>,
    pub(super) folder: String,
    pub(super) tty: bool,
    /// Standard input, output and error are wanted.
    attached: [bool; 3],
    pid: u32,
    /// Rows and columns.
    pub(super) size: (u16, u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExecState {
    Created,
    Running,
    Ended(i32),
}

impl Exec {
    pub(super) fn finish(&mut self, code: i32) {
        if self.state == ExecState::Running {
            self.state = ExecState::Ended(code);
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, ExecState::Ended(_))
    }
}

impl World {
    pub(super) fn create_exec(&mut self, name: &str, asked: &Value) -> Answer {
        let container = self.container(name)?;
        let argv = words(asked.get("Cmd"));
        if argv.is_empty() {
            return Err(bad("No exec command specified"));
        }
        if !container.is_up() {
            return Err(conflict(format!("Container {} is not running", container.id)));
        }
        if container.paused_at.is_some() {
            return Err(conflict(format!(
                "Container {name} is paused, unpause the container before exec"
            )));
        }
        let flag = |key: &str| asked.get(key).and_then(Value::as_bool).unwrap_or(false);
        let container = container.id.clone();
        let said = argv.join(" ");
        let exec = Exec {
            container: container.clone(),
            state: ExecState::Created,
            argv,
            environment: words(asked.get("Env")),
            folder: super::world::text(asked, "WorkingDir").to_owned(),
            tty: flag("Tty"),
            attached: ["AttachStdin", "AttachStdout", "AttachStderr"].map(flag),
            pid: 0,
            size: (24, 80),
        };
        let id = self.new_id();
        self.execs.insert(id.clone(), exec);
        self.emit_container(&container, &format!("exec_create: {said}"), &[("execID", &id)]);
        Ok(json_reply(StatusCode::CREATED, &json!({ "Id": id })))
    }

    fn exec(&self, id: &str) -> Result<&Exec, Refused> {
        self.execs
            .get(id)
            .ok_or_else(|| missing(format!("No such exec instance: {id}")))
    }

    pub(super) fn inspect_exec(&self, id: &str) -> Answer {
        let exec = self.exec(id)?;
        let (first, rest) = exec
            .argv
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let [stdin, stdout, stderr] = exec.attached;
        Ok(ok(&json!({
            "ID": id,
            "Running": exec.state == ExecState::Running,
            "ExitCode": match exec.state { ExecState::Ended(code) => json!(code), _ => Value::Null },
            "ProcessConfig": {
                "tty": exec.tty, "entrypoint": first, "arguments": rest, "privileged": false,
            },
            "OpenStdin": stdin,
            "OpenStderr": stderr,
            "OpenStdout": stdout,
            "CanRemove": false,
            "ContainerID": exec.container,
            "DetachKeys": "",
            "Pid": exec.pid,
        })))
    }

    pub(super) fn resize_exec(&mut self, id: &str, ask: &Ask) -> Answer {
        self.exec(id)?;
        let number = |key: &str| ask.query(key).and_then(|text| text.parse().ok()).unwrap_or(0);
        match self.execs.get_mut(id) {
            Some(exec) if exec.state == ExecState::Running => {
                exec.size = (number("h"), number("w"));
                Ok(empty(StatusCode::OK))
            }
            _ => Err(missing("no such exec")),
        }
    }

    /// It ended; whoever waits learns of it.
    pub(super) fn end_exec(&mut self, id: &str, code: i32) {
        let Some(exec) = self.execs.get_mut(id).filter(|exec| exec.is_open()) else {
            return;
        };
        exec.state = ExecState::Ended(code);
        let container = exec.container.clone();
        self.emit_container(
            &container,
            "exec_die",
            &[("execID", id), ("exitCode", &code.to_string())],
        );
    }
}

pub(super) async fn start(engine: &Arc<Engine>, id: &str, ask: &mut Ask) -> Answer {
    let asked = ask.json().await?;
    let detached = asked.get("Detach").and_then(Value::as_bool).unwrap_or(false);
    let (again, tty, stdin) = {
        let mut world = engine.world();
        let pid = world.rng.u32(2_000..32_000);
        let exec = world.exec(id)?;
        let again = exec.state != ExecState::Created;
        let (container, said) = (exec.container.clone(), exec.argv.join(" "));
        let (tty, stdin) = (exec.tty, exec.attached[0]);
        if !world
            .containers
            .get(&container)
            .is_some_and(super::container::Container::is_up)
        {
            return Err(conflict(format!("Container {container} is not running")));
        }
        if !again {
            if let Some(exec) = world.execs.get_mut(id) {
                exec.state = ExecState::Running;
                exec.pid = pid;
            }
            world.emit_container(&container, &format!("exec_start: {said}"), &[("execID", id)]);
        }
        (again, tty, stdin)
    };
    let (ends, reply) = if detached {
        (Ends::nowhere(), empty(StatusCode::OK))
    } else {
        connect(engine, ask)
    };
    let (engine, id) = (Arc::clone(engine), id.to_owned());
    let owner = Arc::clone(&engine);
    owner.spawn(async move {
        if again {
            let mut bytes = Vec::new();
            let words = format!("Error: Exec command {id} has already run\r\n");
            frame(&mut bytes, super::behaviour::Stream::Err, words.as_bytes());
            ends.send(bytes).await;
            return;
        }
        let code = session::run(&engine, &id, ends, tty, stdin).await;
        engine.world().end_exec(&id, code);
    });
    Ok(reply)
}

/// The two ends of the connection: bare after an upgrade, an ordinary answer otherwise.
pub(super) fn connect(engine: &Arc<Engine>, ask: &mut Ask) -> (Ends, super::http::Reply) {
    const RAW: &str = "application/vnd.docker.raw-stream";
    match ask.upgrade.take() {
        None => {
            let (pieces, reply) = stream(RAW);
            (Ends::only_out(pieces), reply)
        }
        Some(upgrade) => {
            let (ends, far) = Ends::pair();
            engine.spawn(async move {
                match upgrade.await {
                    Ok(upgraded) => far.carry(upgraded).await,
                    Err(error) => tracing::trace!(%error, "the client did not take the connection"),
                }
            });
            (ends, switching(RAW))
        }
    }
}
