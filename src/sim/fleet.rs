//! A simulated fleet that lives: one engine a host, each on a socket of its own.
//! Belongs to the runtime it was started on; dropping it ends every engine.

use std::io;
use std::path::Path;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::Clock;
use super::container::Phase;
use super::engine::Engine;
use super::faults::EngineHandle;
use super::http::Refused;
use super::images::{Image, Layer};
use super::registry::Registry;
use super::scenario::{Condition, ContainerPlan, HostPlan, ImagePlan, Scenario};
use super::tree::{Node, Tree, clean};
use super::world::{World, text};
use crate::config::registry::Account;
use crate::config::service::Secret;
use crate::config::{self, Config, Service};
use crate::domain::container::label;
use crate::domain::endpoint::Endpoint;

/// A running fleet.
#[derive(Debug)]
pub struct Fleet {
    config: Config,
    engines: Vec<EngineHandle>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Fleet {
    /// Makes the scenario live: `<dir>/<host>.sock` for each host. `dir` must be there, and be ours alone.
    pub fn start(scenario: Scenario, dir: &Path) -> io::Result<Self> {
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        // From here on an early return ends what was begun.
        let mut fleet = Self {
            config: configuration(
                &scenario.hosts,
                scenario.services,
                scenario.registry.as_deref(),
                dir,
            ),
            engines: Vec::new(),
            tasks,
            shutdown,
        };
        for (path, content) in &scenario.files {
            let path = dir.join(path);
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(path, content)?;
        }
        let registry = scenario.registry.map(Registry::new);
        if registry.is_some() {
            std::fs::write(dir.join(PASSWORD), "opens-nothing-but-the-simulated-registry\n")?;
        }
        for (number, host) in scenario.hosts.iter().enumerate() {
            let seed = super::chatter::mix(scenario.seed, u64::try_from(number).unwrap_or(0) + 1);
            let clock = Clock::start();
            let mut world = World::new(
                host.traits.clone(),
                scenario.behaviours.clone(),
                seed,
                clock.now(),
            );
            world.registry.clone_from(&registry);
            populate(&mut world, host)?;
            let engine = Engine::new(
                host.name.to_string(),
                dir.join(format!("{}.sock", host.name)),
                clock,
                world,
                fleet.tasks.clone(),
                fleet.shutdown.clone(),
            );
            engine.listen()?;
            let handle = EngineHandle::new(engine);
            if let Some(outages) = host.outages {
                handle.keep_dropping(outages);
            }
            fleet.engines.push(handle);
        }
        Ok(fleet)
    }

    /// Hosts and services, as if a file had said them.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    #[must_use]
    pub fn engine(&self, name: &str) -> Option<&EngineHandle> {
        self.engines.iter().find(|engine| engine.name() == name)
    }

    pub fn engines(&self) -> impl Iterator<Item = &EngineHandle> {
        self.engines.iter()
    }

    /// Ends every engine and waits until all their tasks are gone.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// With a login of its own nobody looks for one on this machine.
const PASSWORD: &str = "registry-password";

fn configuration(
    hosts: &[HostPlan],
    mut services: Vec<Service>,
    registry: Option<&str>,
    dir: &Path,
) -> Config {
    let registries = registry.map(|address| config::Registry {
        address: address.to_owned(),
        login: Some(Account {
            username: "demo".to_owned(),
            password: Secret::File(dir.join(PASSWORD)),
        }),
    });
    let hosts = hosts
        .iter()
        .map(|host| config::Host {
            name: host.name.clone(),
            endpoint: Endpoint::Unix(dir.join(format!("{}.sock", host.name))),
            tags: host.tags.clone(),
            protected: host.protected,
            concurrency: None,
            address: None,
        })
        .collect();
    for service in &mut services {
        let environments = service.environments.iter_mut();
        let builds = environments.filter_map(|other| other.service.build.as_mut());
        for build in service.build.as_mut().into_iter().chain(builds) {
            build.context = dir.join(&build.context);
        }
    }
    Config {
        hosts,
        services,
        registries: registries.into_iter().collect(),
        state: config::StateDir {
            dir: Some(dir.join("state")),
            ..config::StateDir::default()
        },
        ..Config::default()
    }
}

fn populate(world: &mut World, host: &HostPlan) -> io::Result<()> {
    for image in &host.images {
        plant_image(world, image)?;
    }
    for network in &host.networks {
        world.add_network(network, &serde_json::Value::Null);
    }
    for plan in &host.containers {
        plant(world, plan)
            .map_err(|refused| io::Error::other(format!("{}: {}", plan.name, refused.message)))?;
    }
    world.events.forget();
    Ok(())
}

pub(super) fn plant_image(world: &mut World, plan: &ImagePlan) -> io::Result<()> {
    let mut tree = Tree::default();
    for (path, content) in &plan.files {
        let mut node = Node::file(content.clone());
        node.mode = 0o755;
        tree.put(&clean(path), node);
    }
    let image = Image::sized(
        &plan.config,
        "2026-09-01T08:00:00Z",
        "",
        vec![Layer::new(tree)?],
        plan.size,
    );
    let id = world.images.add(image);
    world.images.tag(&id, &plan.reference);
    Ok(())
}

/// Makes a container that has been there for a while; says its id.
pub(super) fn plant(world: &mut World, plan: &ContainerPlan) -> Result<String, Refused> {
    let image = text(&plan.asked, "Image");
    if !image.is_empty() && world.images.find(image).is_none() {
        let made = ImagePlan {
            size: 60 << 20,
            ..ImagePlan::new(image, &["/app/server"])
        };
        plant_image(world, &made).map_err(|error| super::http::broken(error.to_string()))?;
    }
    let id = world.create_container(Some(&plan.name), &plan.asked)?;
    let now = world.now;
    if let Ok(container) = world.container_mut(&id) {
        let digest = serde_json::json!(container.image_id);
        let labels = container
            .config
            .get_mut("Labels")
            .and_then(|labels| labels.as_object_mut());
        if let Some(labels) = labels.filter(|labels| labels.contains_key(label::SCHEMA)) {
            labels.entry(label::DIGEST).or_insert(digest);
        }
        container.created = now.minus(plan.age);
        container.planted.clone_from(&plan.behaviour);
    }
    if plan.condition == Condition::Created {
        return Ok(id);
    }
    let started = now.minus(plan.age);
    // Whether its ports are free was another day's question.
    world.run(&id);
    world.backdate(&id, started);
    match &plan.condition {
        Condition::Created | Condition::Running => {}
        Condition::Paused => world.pause(&id, true)?,
        Condition::Exited { code, ago, oom } => {
            if let Ok(container) = world.container_mut(&id) {
                container.no_restart = true;
            }
            world.end(&id, *code, *oom);
            let ended = now.minus(*ago);
            if let Ok(container) = world.container_mut(&id) {
                container.finished = ended;
                container.phase = Phase::Exited;
                if let Some(life) = container.lives.back_mut() {
                    life.ended = Some(ended);
                }
            }
        }
    }
    Ok(id)
}
