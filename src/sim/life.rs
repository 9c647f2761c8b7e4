//! How containers start, end, are revived by their policies and after a crash of their daemon.
//! The rules are Docker 20.10's as they were measured.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::behaviour::OnTerm;
use super::container::{Container, Health, LIVES_KEPT, Life, Phase};
use super::http::{Refused, bad, broken, conflict};
use super::shell;
use super::signal;
use super::world::{Deed, World};
use crate::domain::units::Stamp;

/// A container that lived this long is started again without waiting longer each time.
const LONG_LIFE: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How a daemon went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downfall {
    /// SIGKILL or a crash: containers are found dead, `unless-stopped` stays down.
    Killed,
    /// In order: containers are stopped, and come back by their policies.
    Stopped,
}

impl World {
    /// `Ok(false)`: it runs already.
    pub(super) fn start(&mut self, id: &str) -> Result<bool, Refused> {
        let container = self.container(id)?;
        match container.phase {
            Phase::Running => return Ok(false),
            Phase::Paused => {
                return Err(conflict("cannot start a paused container, try unpause instead"));
            }
            Phase::Created | Phase::Exited | Phase::Restarting => {}
        }
        if self.disk_full {
            return Err(broken(format!(
                "mkdir /var/lib/docker/fuse-overlayfs/{id}/work: no space left on device"
            )));
        }
        if let Err(refused) = self.startable(id) {
            if let Ok(container) = self.container_mut(id) {
                refused.message.clone_into(&mut container.error);
                if container.phase == Phase::Restarting {
                    container.phase = Phase::Exited;
                }
                container.exit_code = if refused.status == hyper::StatusCode::BAD_REQUEST {
                    127
                } else {
                    128
                };
            }
            self.touch();
            return Err(refused);
        }
        if let Ok(container) = self.container_mut(id) {
            container.stopped_by_hand = false;
            container.restarts = 0;
            container.quick_ends = 0;
        }
        self.run(id);
        Ok(true)
    }

    /// Begins a life.
    pub(super) fn run(&mut self, id: &str) {
        self.attach_networks(id);
        let now = self.now;
        let seed = self.rng.u64(..);
        let pid = self.rng.u32(2_000..32_000);
        let behaviour = self.behaviour_of(id);
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        container.behaviour = behaviour;
        container.phase = Phase::Running;
        container.started = now;
        container.exit_code = 0;
        container.oom = false;
        container.error.clear();
        container.pid = pid;
        container.no_restart = false;
        container.ordered_health = None;
        container.failing_streak = 0;
        container.life += 1;
        if container.lives.len() == LIVES_KEPT {
            container.lives.pop_front();
        }
        container.lives.push_back(Life {
            started: now,
            ended: None,
            words: Vec::new(),
            seed,
            conduct: Arc::new(container.behaviour.clone()),
        });
        container.health = if container.check().is_some() {
            Health::Starting
        } else {
            Health::Unchecked
        };
        let ends = container.behaviour.ends.clone();
        self.emit_container(id, "start", &[]);
        if let Some(ending) = ends {
            self.plan(
                now.plus(ending.after),
                id,
                Deed::End {
                    code: ending.code,
                    oom: ending.oom,
                },
            );
        }
        self.plan_health(id);
    }

    fn startable(&self, id: &str) -> Result<(), Refused> {
        for name in self.container(id)?.networks.keys() {
            self.network(name)?;
        }
        self.ports_free(id)?;
        self.runnable(id)
    }

    /// Is there something to execute?
    fn runnable(&self, id: &str) -> Result<(), Refused> {
        let container = self.container(id)?;
        let argv = container.argv();
        let word = argv.first().map(String::as_str).unwrap_or_default();
        if self.has_conduct(container) || shell::knows(&self.tree(&container.place("/").0), word) {
            return Ok(());
        }
        let why = if word.contains('/') {
            format!("stat {word}: no such file or directory")
        } else {
            "executable file not found in $PATH".to_owned()
        };
        Err(bad(format!(
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"{word}\": {why}: unknown"
        )))
    }

    /// Published ports are each container's alone while it runs.
    fn ports_free(&self, id: &str) -> Result<(), Refused> {
        let container = self.container(id)?;
        let mine = super::ports::published(container);
        for other in self
            .containers
            .values()
            .filter(|other| other.is_up() && other.id != container.id)
        {
            for theirs in super::ports::published(other) {
                if let Some(port) = mine.iter().find(|port| port.clashes(&theirs)) {
                    return Err(broken(format!(
                        "driver failed programming external connectivity on endpoint {} ({}): Bind for {}:{} failed: port is already allocated",
                        container.name,
                        super::networks::endpoint_id(container),
                        port.address,
                        port.outside
                    )));
                }
            }
        }
        Ok(())
    }

    /// It ended, whoever wanted it; its policy decides what follows.
    pub(super) fn end(&mut self, id: &str, code: i32, oom: bool) {
        let now = self.now;
        let Some(container) = self.containers.get_mut(id).filter(|container| container.is_up()) else {
            return;
        };
        container.life += 1;
        container.finished = now;
        container.exit_code = code;
        container.oom = oom;
        container.pid = 0;
        container.paused_at = None;
        container.health = match container.health {
            Health::Unchecked => Health::Unchecked,
            Health::Starting | Health::Healthy | Health::Unhealthy => Health::Unhealthy,
        };
        let lived = container.started.until(now);
        let by_itself = container
            .behaviour
            .ends
            .as_ref()
            .filter(|ending| ending.code == code);
        let words = by_itself.map(|ending| ending.words.clone()).unwrap_or_default();
        if let Some(life) = container.lives.back_mut() {
            life.ended = Some(now);
            life.words = words;
        }
        container.phase = Phase::Exited;
        let revives = !container.no_restart && wants_restart(container);
        let wait = if lived >= LONG_LIFE {
            container.quick_ends = 0;
            FIRST_WAIT
        } else {
            let wait = FIRST_WAIT * 2_u32.saturating_pow(container.quick_ends.min(10));
            container.quick_ends += 1;
            wait.min(LONGEST_WAIT)
        };
        if revives {
            container.phase = Phase::Restarting;
        }
        let remove = container
            .host
            .get("AutoRemove")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        for exec in self.execs.values_mut().filter(|exec| exec.container == id) {
            exec.finish(137);
        }
        if oom {
            self.emit_container(id, "oom", &[]);
        }
        self.emit_container(id, "die", &[("exitCode", &code.to_string())]);
        self.detach_networks(id);
        if revives {
            self.plan(now.plus(wait), id, Deed::Revive);
        } else if remove {
            self.destroy(id);
        }
        self.touch();
    }

    pub(super) fn revive(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        container.restarts += 1;
        if self.startable(id).is_ok() {
            self.run(id);
        } else if let Some(container) = self.containers.get_mut(id) {
            container.phase = Phase::Exited;
        }
    }

    /// Asks it to end; when it has not by the end of the grace, it is killed. Does not wait.
    pub(super) fn begin_stop(&mut self, id: &str, grace: Duration) -> Result<(), Refused> {
        let now = self.now;
        let container = self.container_mut(id)?;
        let id = container.id.clone();
        container.stopped_by_hand = true;
        container.no_restart = true;
        if container.phase == Phase::Restarting {
            container.phase = Phase::Exited;
            container.life += 1;
            self.touch();
            return Ok(());
        }
        if !container.is_up() {
            return Ok(());
        }
        let signal = container.stop_signal();
        let end = ends_by(container, signal).filter(|(after, _)| *after <= grace);
        self.emit_container(&id, "kill", &[("signal", &signal.to_string())]);
        match end {
            Some((after, code)) => self.plan(now.plus(after), &id, Deed::End { code, oom: false }),
            None => self.plan(now.plus(grace), &id, Deed::GraceOver),
        }
        Ok(())
    }

    pub(super) fn kill(&mut self, id: &str, signal: i32) -> Result<(), Refused> {
        let now = self.now;
        let container = self.container_mut(id)?;
        let id = container.id.clone();
        if !container.is_up() {
            return Err(conflict(format!("Container {id} is not running")));
        }
        container.stopped_by_hand = true;
        let declared = super::world::text(&container.config, "StopSignal");
        if signal == 9 || declared.is_empty() || signal::number(declared) == Some(signal) {
            container.no_restart = true;
        }
        let end = ends_by(container, signal);
        self.emit_container(&id, "kill", &[("signal", &signal.to_string())]);
        if let Some((after, code)) = end {
            if after.is_zero() {
                self.end(&id, code, false);
            } else {
                self.plan(now.plus(after), &id, Deed::End { code, oom: false });
            }
        }
        Ok(())
    }

    pub(super) fn pause(&mut self, id: &str, pause: bool) -> Result<(), Refused> {
        let now = self.now;
        let container = self.container_mut(id)?;
        let id = container.id.clone();
        let (phase, action) = match (container.phase, pause) {
            (Phase::Running, true) => (Phase::Paused, "pause"),
            (Phase::Paused, false) => (Phase::Running, "unpause"),
            (Phase::Paused, true) => {
                return Err(conflict(format!("Container {id} is already paused")));
            }
            (Phase::Restarting, true) => {
                return Err(conflict(format!(
                    "Container {id} is restarting, wait until the container is running"
                )));
            }
            (Phase::Created | Phase::Exited, true) => {
                return Err(conflict(format!("Container {id} is not running")));
            }
            (_, false) => return Err(broken(format!("Container {id} is not paused"))),
        };
        container.phase = phase;
        container.paused_at = pause.then_some(now);
        self.emit_container(&id, action, &[]);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str, force: bool, volumes: bool) -> Result<(), Refused> {
        let container = self.container(id)?;
        let id = container.id.clone();
        let say = |state: &str, first: &str| {
            conflict(format!(
                "You cannot remove a {state} container {id}. {first} before attempting removal or force remove"
            ))
        };
        let (name, mounts) = (container.name.clone(), container.mounts.clone());
        match container.phase {
            Phase::Running if !force => return Err(say("running", "Stop the container")),
            Phase::Restarting if !force => return Err(say("restarting", "Stop the container")),
            Phase::Paused if !force => {
                return Err(say("paused", "Unpause and then stop the container"));
            }
            Phase::Running | Phase::Paused => self.kill(&id, 9)?,
            Phase::Created | Phase::Exited | Phase::Restarting => {}
        }
        tracing::trace!(%name, "removed from the simulated engine");
        self.destroy(&id);
        if volumes {
            for mount in mounts {
                self.drop_anonymous(&mount.source);
            }
        }
        Ok(())
    }

    pub(super) fn destroy(&mut self, id: &str) {
        self.emit_container(id, "destroy", &[]);
        self.containers.remove(id);
        self.execs.retain(|_, exec| exec.container != id);
    }

    /// The daemon's process begins: containers are found as it left them, and started by their policies.
    pub(super) fn boot(&mut self, after: Downfall) {
        self.events.forget();
        self.execs.clear();
        let now = self.now;
        let mut revived = Vec::new();
        for container in self.containers.values_mut() {
            let was_up = container.is_up() || container.phase == Phase::Restarting;
            container.life += 1;
            if container.is_up() {
                let orderly = ends_by(container, container.stop_signal());
                container.exit_code = match (after, orderly) {
                    (Downfall::Stopped, Some((_, code))) => code,
                    (Downfall::Stopped, None) | (Downfall::Killed, _) => 137,
                };
                container.finished = now;
                container.oom = false;
                if let Some(life) = container.lives.back_mut() {
                    life.ended = Some(now);
                }
            }
            if was_up {
                container.phase = Phase::Exited;
                container.pid = 0;
                for attached in container.networks.values_mut() {
                    attached.address = None;
                }
                container.stopped_by_hand |= after == Downfall::Killed;
            }
            if container.phase == Phase::Exited && wants_restart(container) {
                revived.push(container.id.clone());
            }
        }
        for id in revived {
            if let Some(container) = self.containers.get_mut(&id) {
                container.quick_ends = 0;
            }
            if self.startable(&id).is_ok() {
                self.run(&id);
            }
        }
        self.touch();
    }

    /// Moves a container's past into the past: a fleet that begins has been there for a while.
    pub(super) fn backdate(&mut self, id: &str, started: Stamp) {
        if let Some(container) = self.containers.get_mut(id) {
            container.started = started;
            if let Some(life) = container.lives.back_mut() {
                life.started = started;
            }
            if container.health == Health::Starting {
                container.health = Health::Healthy;
            }
        }
        self.plan_health(id);
    }

    pub(super) fn update_policy(&mut self, id: &str, update: &Value) -> Result<Value, Refused> {
        let container = self.container_mut(id)?;
        let id = container.id.clone();
        for key in ["Memory", "NanoCpus", "CpuShares", "PidsLimit", "MemorySwap"] {
            if let Some(value) = update.get(key).filter(|value| value.as_i64().unwrap_or(0) != 0)
                && let Some(host) = container.host.as_object_mut()
            {
                host.insert(key.to_owned(), value.clone());
            }
        }
        if let Some(policy) = update.get("RestartPolicy") {
            let name = super::world::text(policy, "Name");
            let tries = policy
                .get("MaximumRetryCount")
                .and_then(Value::as_i64)
                .unwrap_or(0);
            if !name.is_empty() || tries != 0 {
                super::create::check_policy(name, tries)?;
                if let Some(host) = container.host.as_object_mut() {
                    host.insert(
                        "RestartPolicy".to_owned(),
                        json!({"Name": name, "MaximumRetryCount": tries}),
                    );
                }
            }
        }
        self.emit_container(&id, "update", &[]);
        Ok(json!({ "Warnings": null }))
    }
}

/// Would its policy start it again after this end?
fn wants_restart(container: &Container) -> bool {
    match container.policy() {
        ("always", _) => true,
        ("unless-stopped", _) => !container.stopped_by_hand,
        ("on-failure", tries) => container.exit_code != 0 && (tries == 0 || container.restarts < tries),
        _ => false,
    }
}

/// After how long and with which code this signal ends it, if it does.
fn ends_by(container: &Container, signal: i32) -> Option<(Duration, i32)> {
    if signal == 9 {
        return Some((Duration::ZERO, 137));
    }
    if !signal::is_fatal(signal) {
        return None;
    }
    match container.behaviour.on_term {
        OnTerm::Exits { after, code } if signal == container.stop_signal() || signal == 15 => {
            Some((after, code))
        }
        OnTerm::Exits { .. } | OnTerm::Ignored => None,
    }
}
