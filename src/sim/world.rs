//! Everything one simulated host has, and what will happen to it next.
//! Sets nothing going by itself: `settle` brings it up to the time it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::behaviour::Behaviour;
use super::container::{Container, Health};
use super::events::Events;
use super::exec::Exec;
use super::http::{Refused, bad, missing};
use super::images::Images;
use super::networks::Network;
use super::registry::Registry;
use super::scenario::HostTraits;
use super::tree::Tree;
use super::volumes::Volume;
use crate::domain::units::Stamp;

#[derive(Debug)]
pub(super) struct World {
    pub(super) traits: HostTraits,
    pub(super) daemon_id: String,
    /// The host's time of what happens at the moment.
    pub(super) now: Stamp,
    /// Events have moments of their own, in order.
    last_moment: Stamp,
    pub(super) rng: fastrand::Rng,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) images: Images,
    pub(super) volumes: BTreeMap<String, Volume>,
    pub(super) networks: Vec<Network>,
    /// Folders of the host that containers mount, by path.
    pub(super) binds: BTreeMap<String, Tree>,
    pub(super) execs: BTreeMap<String, Exec>,
    pub(super) events: Events,
    agenda: BTreeMap<(Stamp, u64), (String, u64, Deed)>,
    planned: u64,
    /// Behaviours by the value of the label `sim.behaviour`.
    pub(super) behaviours: BTreeMap<String, Behaviour>,
    pub(super) disk_full: bool,
    /// The only one that is reached from here.
    pub(super) registry: Option<Arc<Registry>>,
    /// Something changed since it was last asked.
    touched: bool,
}

/// What is planned for a container.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    End {
        code: i32,
        oom: bool,
    },
    /// The grace after the stop signal is over.
    GraceOver,
    Revive,
    Health {
        to: Health,
        streak: u32,
    },
    /// Nothing was found to change for a long while: look again.
    LookAtHealth,
}

impl World {
    pub(super) fn new(
        traits: HostTraits,
        behaviours: BTreeMap<String, Behaviour>,
        seed: u64,
        now: Stamp,
    ) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let daemon_id = daemon_id(&mut rng);
        let mut world = Self {
            traits,
            daemon_id,
            now,
            last_moment: Stamp(0),
            rng,
            containers: BTreeMap::new(),
            images: Images::default(),
            volumes: BTreeMap::new(),
            networks: Vec::new(),
            binds: BTreeMap::new(),
            execs: BTreeMap::new(),
            events: Events::default(),
            agenda: BTreeMap::new(),
            planned: 0,
            behaviours,
            disk_full: false,
            registry: None,
            touched: false,
        };
        world.make_default_networks();
        world
    }

    /// 64 hex digits.
    pub(super) fn new_id(&mut self) -> String {
        let [a, b] = [(); 2].map(|()| self.rng.u128(..));
        format!("{a:032x}{b:032x}")
    }

    /// The present, a little later than the last event.
    pub(super) fn next_moment(&mut self) -> Stamp {
        self.last_moment = Stamp(self.now.0.max(self.last_moment.0.saturating_add(1_000)));
        // A clock put back: events follow it.
        if self.last_moment.0 > self.now.0.saturating_add(1_000_000_000) {
            self.last_moment = self.now;
        }
        self.last_moment
    }

    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    pub(super) fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    pub(super) fn plan(&mut self, at: Stamp, id: &str, deed: Deed) {
        let Some(container) = self.containers.get(id) else {
            return;
        };
        self.planned += 1;
        self.agenda
            .insert((at, self.planned), (id.to_owned(), container.life, deed));
        self.touched = true;
    }

    /// When something happens next.
    pub(super) fn next_deed(&self) -> Option<Stamp> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Everything that was due by `now` has then happened, each at its own time.
    pub(super) fn settle(&mut self, now: Stamp) {
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), (id, life, deed)) = entry.remove_entry();
            if self
                .containers
                .get(&id)
                .is_none_or(|container| container.life != life)
            {
                continue;
            }
            self.now = at;
            self.carry_out(&id, deed);
        }
        self.now = now;
    }

    fn carry_out(&mut self, id: &str, deed: Deed) {
        match deed {
            Deed::End { code, oom } => self.end(id, code, oom),
            Deed::GraceOver => {
                self.emit_container(id, "kill", &[("signal", "9")]);
                self.end(id, 137, false);
            }
            Deed::Revive => self.revive(id),
            Deed::Health { to, streak } => self.set_health(id, to, streak),
            Deed::LookAtHealth => self.plan_health(id),
        }
    }

    /// By id, name or the beginning of an id.
    pub(super) fn find(&self, text: &str) -> Result<String, Refused> {
        if self.containers.contains_key(text) {
            return Ok(text.to_owned());
        }
        let name = text.strip_prefix('/').unwrap_or(text);
        if let Some(container) = self.containers.values().find(|container| container.name == name) {
            return Ok(container.id.clone());
        }
        let mut matching = self
            .containers
            .range(text.to_owned()..)
            .take_while(|(id, _)| id.starts_with(text));
        match (matching.next(), matching.next()) {
            (Some((id, _)), None) if !text.is_empty() => Ok(id.clone()),
            (Some(_), Some(_)) => Err(bad(format!("Multiple IDs found with provided prefix: {text}"))),
            _ => Err(missing(format!("No such container: {text}"))),
        }
    }

    pub(super) fn container(&self, text: &str) -> Result<&Container, Refused> {
        let id = self.find(text)?;
        self.containers
            .get(&id)
            .ok_or_else(|| missing(format!("No such container: {text}")))
    }

    pub(super) fn container_mut(&mut self, text: &str) -> Result<&mut Container, Refused> {
        let id = self.find(text)?;
        self.containers
            .get_mut(&id)
            .ok_or_else(|| missing(format!("No such container: {text}")))
    }

    /// All files of a place, the image's below a container's own.
    pub(super) fn tree(&self, place: &Place) -> Tree {
        match place {
            Place::Volume(name) => self
                .volumes
                .get(name)
                .map(|volume| volume.files.clone())
                .unwrap_or_default(),
            Place::Bind(path) => self.binds.get(path).cloned().unwrap_or_default(),
            Place::Own(id) => {
                let Some(container) = self.containers.get(id) else {
                    return Tree::default();
                };
                let mut tree = self.images.files(&container.image_id);
                tree.overlay(&container.files);
                tree
            }
        }
    }

    /// As its processes see it: with what is mounted.
    pub(super) fn whole_tree(&self, container: &Container) -> Tree {
        let mut tree = self.tree(&container.place("/").0);
        for mount in &container.mounts {
            let (place, _) = container.place(&mount.target);
            let target = super::tree::clean(&mount.target);
            tree.put(&target, super::tree::Node::folder());
            for (path, node) in self.tree(&place).under("") {
                tree.put(&super::tree::join(&target, path), node.clone());
            }
        }
        tree
    }

    pub(super) fn tree_mut(&mut self, place: &Place) -> Option<&mut Tree> {
        match place {
            Place::Volume(name) => self.volumes.get_mut(name).map(|volume| &mut volume.files),
            Place::Bind(path) => Some(self.binds.entry(path.clone()).or_default()),
            Place::Own(id) => self.containers.get_mut(id).map(|container| &mut container.files),
        }
    }
}

/// Where files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Own(String),
    Volume(String),
    Bind(String),
}

/// `HBPU:HPC3:…`: twelve groups of four.
fn daemon_id(rng: &mut fastrand::Rng) -> String {
    const DIGITS: [char; 32] = [
        'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T',
        'U', 'V', 'W', 'X', 'Y', 'Z', '2', '3', '4', '5', '6', '7',
    ];
    let groups: Vec<String> = (0..12)
        .map(|_| (0..4).filter_map(|_| rng.choice(DIGITS)).collect())
        .collect();
    groups.join(":")
}

/// A value's text, or nothing.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
