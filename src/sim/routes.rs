//! Who answers what: Docker's paths.

use std::sync::Arc;

use hyper::{Method, StatusCode};

use super::attach;
use super::build;
use super::containers;
use super::engine::Engine;
use super::events;
use super::exec;
use super::http::{Answer, Ask, Sent, empty, missing, ok, reply};
use super::logs;
use super::registry;
use super::stats;
use super::system;

pub(super) async fn answer(engine: &Arc<Engine>, mut ask: Ask) -> Answer {
    let path = ask.path.clone();
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let method = ask.method.clone();
    match (&method, words.as_slice()) {
        (&Method::GET | &Method::HEAD, ["_ping"]) => {
            let body = (method == Method::GET).then(|| "OK".into());
            Ok(reply(
                StatusCode::OK,
                "text/plain; charset=utf-8",
                Sent::Whole(body),
            ))
        }
        (&Method::GET, ["version"]) => system::version(&engine.world()),
        (&Method::GET, ["info"]) => system::info(engine, &engine.world()),
        (&Method::GET, ["events"]) => events::listen(engine, &ask),
        (&Method::GET, ["system", "df"]) => system::usage(&engine.world()),
        (_, ["containers", rest @ ..]) => container(engine, &method, rest, &mut ask).await,
        (_, ["networks", rest @ ..]) => network(engine, &method, rest, &mut ask).await,
        (_, ["volumes", rest @ ..]) => volume(engine, &method, rest, &mut ask).await,
        (_, ["exec", rest @ ..]) => exec(engine, &method, rest, &mut ask).await,
        (_, ["images", rest @ ..]) => image(engine, &method, rest, &mut ask).await,
        (&Method::GET, ["distribution", name @ .., "json"]) => registry::ask(engine, &name.join("/")),
        (&Method::POST, ["build"]) => build::answer(engine, &mut ask).await,
        _ => Err(missing("page not found")),
    }
}

async fn container(engine: &Arc<Engine>, method: &Method, path: &[&str], ask: &mut Ask) -> Answer {
    match (method, path) {
        (&Method::GET, ["json"]) => engine.world().list(ask),
        (&Method::POST, ["create"]) => {
            let asked = ask.json().await?;
            engine.world().create(ask.query("name"), &asked)
        }
        (&Method::POST, ["prune"]) => containers::prune(engine, ask),
        (&Method::GET, [name, "json"]) => engine.world().inspect(name).map(|value| ok(&value)),
        (&Method::GET, [name, "top"]) => containers::top(engine, name),
        (&Method::POST, [name, "start"]) => containers::start(engine, name),
        (&Method::POST, [name, "stop"]) => containers::stop(engine, name, ask).await,
        (&Method::POST, [name, "restart"]) => containers::restart(engine, name, ask).await,
        (&Method::POST, [name, "kill"]) => containers::kill(engine, name, ask),
        (&Method::POST, [name, verb @ ("pause" | "unpause")]) => {
            engine.world().pause(name, *verb == "pause")?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (&Method::POST, [name, "rename"]) => {
            let to = ask.query("name").unwrap_or_default();
            engine.world().rename(name, to)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (&Method::POST, [name, "update"]) => {
            let asked = ask.json().await?;
            engine.world().update_policy(name, &asked).map(|value| ok(&value))
        }
        (&Method::GET, [name, "logs"]) => logs::answer(engine, name, ask),
        (&Method::GET, [name, "stats"]) => stats::answer(engine, name, ask),
        (&Method::POST, [name, "attach"]) => attach::answer(engine, name, ask),
        (&Method::POST, [name, "resize"]) => containers::resize(engine, name),
        (&Method::POST, [name, "exec"]) => {
            let asked = ask.json().await?;
            engine.world().create_exec(name, &asked)
        }
        (&Method::GET | &Method::HEAD, [name, "archive"]) => {
            engine.world().get_archive(name, ask, *method == Method::HEAD)
        }
        (&Method::PUT, [name, "archive"]) => {
            let tar = ask.bytes().await?;
            engine.world().put_archive(name, ask, &tar)
        }
        (&Method::POST, [name, "wait"]) => containers::wait(engine, name, ask),
        (&Method::DELETE, [name]) => {
            engine.world().remove(name, ask.flag("force"), ask.flag("v"))?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Err(missing("page not found")),
    }
}

async fn exec(engine: &Arc<Engine>, method: &Method, path: &[&str], ask: &mut Ask) -> Answer {
    match (method, path) {
        (&Method::GET, [id, "json"]) => engine.world().inspect_exec(id),
        (&Method::POST, [id, "start"]) => exec::start(engine, id, ask).await,
        (&Method::POST, [id, "resize"]) => engine.world().resize_exec(id, ask),
        _ => Err(missing("page not found")),
    }
}

async fn network(engine: &Arc<Engine>, method: &Method, path: &[&str], ask: &mut Ask) -> Answer {
    match (method, path) {
        (&Method::GET, []) => engine.world().list_networks(&ask.filters()?),
        (&Method::POST, ["create"]) => {
            let asked = ask.json().await?;
            engine.world().create_network(&asked)
        }
        (&Method::POST, ["prune"]) => engine.world().prune_networks(&ask.filters()?),
        (&Method::GET, [name]) => engine.world().inspect_network(name),
        (&Method::DELETE, [name]) => engine.world().remove_network(name),
        (&Method::POST, [name, "connect"]) => {
            let asked = ask.json().await?;
            engine.world().connect(name, &asked)
        }
        (&Method::POST, [name, "disconnect"]) => {
            let asked = ask.json().await?;
            engine.world().disconnect(name, &asked)
        }
        _ => Err(missing("page not found")),
    }
}

async fn volume(engine: &Arc<Engine>, method: &Method, path: &[&str], ask: &mut Ask) -> Answer {
    match (method, path) {
        (&Method::GET, []) => engine.world().list_volumes(&ask.filters()?),
        (&Method::POST, ["create"]) => {
            let asked = ask.json().await?;
            engine.world().create_volume(&asked)
        }
        (&Method::POST, ["prune"]) => engine.world().prune_volumes(&ask.filters()?),
        (&Method::GET, [name]) => engine.world().inspect_volume(name),
        (&Method::DELETE, [name]) => engine.world().remove_volume(name),
        _ => Err(missing("page not found")),
    }
}

async fn image(engine: &Arc<Engine>, method: &Method, path: &[&str], ask: &mut Ask) -> Answer {
    // A repository has slashes of its own: the verb is the last word.
    match (method, path) {
        (&Method::GET, ["json"]) => engine.world().list_images(&ask.filters()?, ask.flag("all")),
        (&Method::GET, ["get"]) => engine.world().save_images(ask.all("names")),
        (&Method::GET, [name @ .., "get"]) => engine.world().save_images(&[name.join("/")]),
        (&Method::POST, ["load"]) => {
            let tar = ask.bytes().await?;
            engine.world().load_images(&tar)
        }
        (&Method::POST, ["create"]) if ask.query("fromSrc").is_none() => registry::pull(engine, ask),
        (&Method::POST, ["create"]) => {
            let body = ask.bytes().await?;
            engine.world().import_image(ask, &body)
        }
        (&Method::POST, [name @ .., "push"]) => registry::push(engine, &name.join("/"), ask),
        (&Method::POST, ["prune"]) => engine.world().prune_images(&ask.filters()?),
        (&Method::GET, [name @ .., "json"]) => engine.world().inspect_image(&name.join("/")),
        (&Method::POST, [name @ .., "tag"]) => engine.world().tag_image(
            &name.join("/"),
            ask.query("repo").unwrap_or_default(),
            ask.query("tag").unwrap_or_default(),
        ),
        (&Method::DELETE, name) if !name.is_empty() => {
            engine.world().remove_image(&name.join("/"), ask.flag("force"))
        }
        _ => Err(missing("page not found")),
    }
}
