//! Requests that act on containers and wait for what they do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::json;

use super::container::Phase;
use super::engine::Engine;
use super::http::{Answer, Ask, Refused, bad, empty, ok, stream};
use super::signal;
use super::world::World;

pub(super) fn start(engine: &Engine, name: &str) -> Answer {
    let mut world = engine.world();
    let id = world.find(name)?;
    let begun = world.start(&id)?;
    Ok(empty(if begun {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_MODIFIED
    }))
}

fn grace(world: &World, id: &str, ask: &Ask) -> Result<Duration, Refused> {
    let container = world.container(id)?;
    Ok(match ask.query("t").map(str::parse::<i64>) {
        None => container.stop_grace(),
        Some(Ok(seconds)) => u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs),
        Some(Err(error)) => return Err(bad(error.to_string())),
    })
}

/// Until it does not run any more.
async fn is_down(engine: &Engine, id: &str) {
    let mut pulse = engine.pulse();
    loop {
        let up = engine
            .world()
            .containers
            .get(id)
            .is_some_and(super::container::Container::is_up);
        if !up || pulse.changed().await.is_err() {
            return;
        }
    }
}

pub(super) async fn stop(engine: &Engine, name: &str, ask: &Ask) -> Answer {
    let id = {
        let mut world = engine.world();
        let id = world.find(name)?;
        let container = world.container(&id)?;
        if !container.is_up() && container.phase != Phase::Restarting {
            return Ok(empty(StatusCode::NOT_MODIFIED));
        }
        let grace = grace(&world, &id, ask)?;
        world.begin_stop(&id, grace)?;
        id
    };
    is_down(engine, &id).await;
    engine.world().emit_container(&id, "stop", &[]);
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn restart(engine: &Engine, name: &str, ask: &Ask) -> Answer {
    let (id, up) = {
        let mut world = engine.world();
        let id = world.find(name)?;
        let grace = grace(&world, &id, ask)?;
        let up = world.container(&id)?.is_up();
        if up {
            world.begin_stop(&id, grace)?;
        }
        (id, up)
    };
    if up {
        is_down(engine, &id).await;
        engine.world().emit_container(&id, "stop", &[]);
    }
    let mut world = engine.world();
    world.start(&id)?;
    world.emit_container(&id, "restart", &[]);
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) fn kill(engine: &Engine, name: &str, ask: &Ask) -> Answer {
    let asked = ask.query("signal").unwrap_or("KILL");
    let signal = signal::number(asked).ok_or_else(|| bad(format!("Invalid signal: {asked}")))?;
    let mut world = engine.world();
    let id = world.find(name)?;
    world.kill(&id, signal).map_err(|refused| Refused {
        message: format!("Cannot kill container: {name}: {}", refused.message),
        ..refused
    })?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) fn wait(engine: &Arc<Engine>, name: &str, ask: &Ask) -> Answer {
    let condition = match ask.query("condition").unwrap_or_default() {
        "next-exit" => Condition::NextExit,
        "removed" => Condition::Removed,
        // 20.10 takes any other word for the usual one.
        _ => Condition::NotRunning,
    };
    let (id, life) = {
        let world = engine.world();
        let container = world.container(name)?;
        (container.id.clone(), lives_ended(container))
    };
    let (pieces, reply) = stream("application/json");
    let engine = Arc::clone(engine);
    let owner = Arc::clone(&engine);
    owner.spawn(async move {
        let mut pulse = engine.pulse();
        let (mut code, mut why) = (0, String::new());
        loop {
            {
                let world = engine.world();
                let container = world.containers.get(&id);
                let over = match (container, condition) {
                    (None, _) => true,
                    (Some(container), Condition::NotRunning) => {
                        !container.is_up() && container.phase != Phase::Restarting
                    }
                    (Some(container), Condition::NextExit) => lives_ended(container) > life,
                    (Some(_), Condition::Removed) => false,
                };
                if let Some(container) = container {
                    code = container.exit_code;
                    why.clone_from(&container.error);
                }
                if over {
                    break;
                }
            }
            tokio::select! {
                () = pieces.closed() => return,
                changed = pulse.changed() => if changed.is_err() { return },
            }
        }
        let error = if why.is_empty() {
            serde_json::Value::Null
        } else {
            json!({ "Message": why })
        };
        let answer = json!({"Error": error, "StatusCode": code}).to_string() + "\n";
        // A client that left does not need it.
        if pieces.send(Bytes::from(answer)).await.is_err() {
            tracing::trace!("nobody waits any more");
        }
    });
    Ok(reply)
}

#[derive(Clone, Copy)]
enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

/// Grows with every end: lives are counted at their starts and at their ends.
fn lives_ended(container: &super::container::Container) -> u64 {
    if container.is_up() {
        container.life.saturating_sub(1)
    } else {
        container.life
    }
}

pub(super) fn prune(engine: &Engine, ask: &Ask) -> Answer {
    let filters = ask.filters()?;
    let mut world = engine.world();
    let gone: Vec<String> = world
        .containers
        .values()
        .filter(|container| matches!(container.phase, Phase::Created | Phase::Exited))
        .filter(|container| filters.admits_labels(container.labels()))
        .map(|container| container.id.clone())
        .collect();
    for id in &gone {
        world.destroy(id);
    }
    Ok(ok(&json!({
        "ContainersDeleted": if gone.is_empty() { serde_json::Value::Null } else { json!(gone) },
        "SpaceReclaimed": 0,
    })))
}

/// Has a terminal's size no bearing on: what is simulated draws nothing.
pub(super) fn resize(engine: &Engine, name: &str) -> Answer {
    let world = engine.world();
    let container = world.container(name)?;
    if container.is_up() {
        Ok(empty(StatusCode::OK))
    } else {
        Err(super::http::conflict(format!(
            "Container {} is not running",
            container.id
        )))
    }
}

pub(super) fn top(engine: &Engine, name: &str) -> Answer {
    let world = engine.world();
    let container = world.container(name)?;
    if !container.is_up() {
        return Err(super::http::conflict(format!(
            "Container {} is not running",
            container.id
        )));
    }
    Ok(ok(&json!({
        "Titles": ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"],
        "Processes": [[
            "root", container.pid.to_string(), (container.pid - 20).to_string(), "0", "09:12", "?",
            "00:00:07", container.argv().join(" "),
        ]],
    })))
}
