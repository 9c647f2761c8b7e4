//! What tests and the demo do to one simulated engine from outside: faults, its containers' fates.
//! Everything takes effect at once; connections notice as they would with a real daemon.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;

use super::behaviour::Stream;
use super::container::Health;
use super::engine::{Engine, Failure};
use super::fleet::plant;
use super::life::Downfall;
use super::scenario::{ContainerPlan, Outages};

/// One engine of a fleet, held from outside.
#[derive(Clone, Debug)]
pub struct EngineHandle(Arc<Engine>);

/// There is no such container, or the engine refuses: in Docker's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl EngineHandle {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self(engine)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.0.socket
    }

    #[must_use]
    pub fn daemon_id(&self) -> String {
        self.0.world().daemon_id.clone()
    }

    /// Gives this engine another one's id, as on a machine cloned with its Docker.
    pub fn share_id(&self, id: &str) {
        id.clone_into(&mut self.0.world().daemon_id);
    }

    // What goes wrong with the daemon and the way to it.

    /// Stops answering, as under SIGSTOP: connections are taken, streams fall silent. `false` lets it go on.
    pub fn hang(&self, hung: bool) {
        self.0.lines.hang(hung);
    }

    #[must_use]
    pub fn is_hung(&self) -> bool {
        self.0.lines.is_hung()
    }

    /// Breaks every connection there is; new ones are taken.
    pub fn cut_connections(&self) {
        self.0.lines.cut_all();
    }

    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.lines.count()
    }

    /// Cannot be reached: every connection breaks, new ones are refused. Its containers run on.
    pub fn refuse(&self) {
        self.0.die();
    }

    /// Can be reached again after [`Self::refuse`].
    pub fn accept(&self) -> io::Result<()> {
        self.0.listen()
    }

    /// SIGKILL: gone without a word, the socket's file stays.
    pub fn kill(&self) {
        self.0.die();
    }

    /// The daemon's process begins again and finds its containers as that downfall left them.
    pub fn boot(&self, after: Downfall) -> io::Result<()> {
        self.0.world().boot(after);
        self.0.listen()
    }

    /// [`Self::kill`] and [`Self::boot`] in one.
    pub fn restart(&self, how: Downfall) -> io::Result<()> {
        self.0.die();
        self.boot(how)
    }

    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.is_up()
    }

    /// Answers the next `times` requests of this method (`*` any) whose path contains `path` with 500 and this message.
    pub fn fail(&self, method: &str, path: &str, times: u32, message: &str) {
        self.0.faults().failures.push(Failure {
            method: method.to_owned(),
            path: path.to_owned(),
            times,
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: message.to_owned(),
        });
    }

    /// What [`Self::fail`] would still have refused is let through.
    pub fn forgive(&self) {
        self.0.faults().failures.clear();
    }

    /// Every answer comes so much later.
    pub fn slow(&self, by: Duration) {
        self.0.faults().slow = by;
    }

    /// Nothing can be written any more.
    pub fn fill_disk(&self, full: bool) {
        self.0.world().disk_full = full;
    }

    /// Puts the host's clock wrong; what happened before keeps its time.
    pub fn skew_clock(&self, seconds: i64) {
        self.0.clock.set_skew(seconds.saturating_mul(1_000_000_000));
        self.0.world().touch();
    }

    /// The last requests, oldest first: `POST /containers/…/start`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.0.faults().requests.iter().cloned().collect()
    }

    // What happens to its containers.

    /// Puts a container there; says its id.
    pub fn add(&self, plan: &ContainerPlan) -> Result<String, Refusal> {
        plant(&mut self.0.world(), plan).map_err(|refused| Refusal(refused.message))
    }

    /// Takes it away, running or not.
    pub fn remove(&self, name: &str) -> Result<(), Refusal> {
        self.0
            .world()
            .remove(name, true, false)
            .map_err(|refused| Refusal(refused.message))
    }

    fn with<T>(
        &self,
        name: &str,
        act: impl FnOnce(&mut super::world::World, &str) -> T,
    ) -> Result<T, Refusal> {
        let mut world = self.0.world();
        let id = world.find(name).map_err(|refused| Refusal(refused.message))?;
        Ok(act(&mut world, &id))
    }

    /// Ends by itself with this code; its policy decides what follows.
    pub fn die(&self, name: &str, code: i32) -> Result<(), Refusal> {
        self.with(name, |world, id| world.end(id, code, false))
    }

    /// Is killed by the kernel for memory.
    pub fn run_out_of_memory(&self, name: &str) -> Result<(), Refusal> {
        self.with(name, |world, id| world.end(id, 137, true))
    }

    /// Its health check finds this from now on, until it is started again.
    pub fn set_health(&self, name: &str, healthy: bool) -> Result<(), Refusal> {
        self.with(name, |world, id| {
            if let Ok(container) = world.container_mut(id) {
                container.ordered_health = Some(healthy);
            }
            let to = if healthy {
                Health::Healthy
            } else {
                Health::Unhealthy
            };
            world.set_health(id, to, u32::from(!healthy) * 3);
        })
    }

    /// Writes lines to its log.
    pub fn print(&self, name: &str, text: &str) -> Result<(), Refusal> {
        self.with(name, |world, id| {
            let now = world.next_moment();
            if let Ok(container) = world.container_mut(id) {
                container.say(now, Stream::Out, text);
            }
            world.touch();
        })
    }

    /// Its inspection, as Docker would answer it.
    pub fn inspect(&self, name: &str) -> Result<Value, Refusal> {
        self.0
            .world()
            .inspect(name)
            .map_err(|refused| Refusal(refused.message))
    }

    /// Names of all containers, sorted.
    #[must_use]
    pub fn containers(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .0
            .world()
            .containers
            .values()
            .map(|container| container.name.clone())
            .collect();
        names.sort();
        names
    }

    /// How many containers were asked to stop and are up still, whoever asked.
    #[must_use]
    pub fn stops_under_way(&self) -> usize {
        let world = self.0.world();
        let containers = world.containers.values();
        containers
            .filter(|container| container.is_up() && container.no_restart)
            .count()
    }

    pub(super) fn keep_dropping(&self, outages: Outages) {
        let engine = Arc::clone(&self.0);
        self.0.spawn_outside(async move {
            tokio::time::sleep(outages.first).await;
            loop {
                engine.die();
                tokio::time::sleep(outages.length).await;
                if let Err(error) = engine.listen() {
                    tracing::warn!(host = %engine.name, %error, "a simulated host stays away");
                    return;
                }
                tokio::time::sleep(outages.every).await;
            }
        });
    }
}
