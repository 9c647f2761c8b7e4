//! Services of a compose file as dependencies of a test, as far as they apply to such a container.
//! Reads text, never a network or the environment; what is not supported is refused by name and line.
//! <https://github.com/compose-spec/compose-spec/blob/main/05-services.md>

mod yaml;
mod text;
mod service;
mod mounts;
mod replica;
mod places;
mod member;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::test::Need;
pub use member::{Member, member};
pub use replica::{Left, replica};
use service::{Draft, Waits};
use yaml::{Entry, Node, Tree};

/// What is wrong with a compose file, and on which line; 0 is the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposeFault {
    pub line: usize,
    /// From 1; 0 where only the line is known.
    pub column: usize,
    pub what: String,
}

impl std::fmt::Display for ComposeFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

fn fault(line: usize, what: impl Into<String>) -> ComposeFault {
    ComposeFault {
        line,
        column: 0,
        what: what.into(),
    }
}

/// What is wrong so far; nothing stops at the first.
type Faults = Vec<ComposeFault>;

/// The services of `text` that are `wanted` and those they depend on, in the order they are started.
/// Paths in it begin at `folder`. On failure every fault of what was looked at, never none.
pub fn needs(text: &str, folder: &Path, wanted: &[String], within: Duration) -> Result<Vec<Need>, Faults> {
    let root = yaml::read(text).map_err(|fault| vec![fault])?;
    let mut faults = Faults::new();
    let file = File::of(&root, folder, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut order = Order {
        file: &file,
        within,
        path: Vec::new(),
        done: Vec::new(),
        faults,
    };
    for name in wanted {
        order.visit(name, 0);
    }
    if order.faults.is_empty() {
        Ok(order.done)
    } else {
        order.faults.sort_by_key(|fault| fault.line);
        order.faults.dedup();
        Err(order.faults)
    }
}

/// The parts of a compose file that services refer to.
struct File<'t> {
    folder: &'t Path,
    services: &'t [Entry],
    /// Declared volumes by name, with the line of what makes one unusable.
    volumes: BTreeMap<&'t str, Option<(usize, String)>>,
}

impl<'t> File<'t> {
    fn of(root: &'t Tree, folder: &'t Path, faults: &mut Faults) -> Self {
        let mut file = Self {
            folder,
            services: &[],
            volumes: BTreeMap::new(),
        };
        let Node::Map(entries) = &root.node else {
            faults.push(fault(root.line, "a compose file begins with `services:`"));
            return file;
        };
        for entry in entries {
            match (entry.key.as_str(), &entry.value.node) {
                ("services", Node::Map(services)) => file.services = services,
                ("volumes", Node::Map(volumes)) => {
                    file.volumes = volumes
                        .iter()
                        .map(|entry| (entry.key.as_str(), unusable(entry)))
                        .collect();
                }
                ("services", _) => faults.push(fault(entry.line, "`services` is not a table")),
                ("include", _) => faults.push(fault(entry.line, "`include` is not supported")),
                // What only other programs read, and what a wanted service would have to name.
                _ => {}
            }
        }
        file
    }
}

/// A volume of the test's own is empty and local: what asks for another cannot be had.
fn unusable(volume: &Entry) -> Option<(usize, String)> {
    let Node::Map(settings) = &volume.value.node else {
        return None;
    };
    settings
        .iter()
        .find(|setting| !matches!(setting.key.as_str(), "name" | "labels"))
        .map(|setting| {
            (
                setting.line,
                format!("`{}` of the volume {}", setting.key, volume.key),
            )
        })
}

/// Dependencies before what depends on them.
struct Order<'f> {
    file: &'f File<'f>,
    within: Duration,
    /// Services that wait for the one being visited.
    path: Vec<String>,
    done: Vec<Need>,
    faults: Faults,
}

impl Order<'_> {
    fn visit(&mut self, name: &str, line: usize) {
        if self.done.iter().any(|need| need.name == name) {
            return;
        }
        if self.path.iter().any(|waiting| waiting == name) {
            let circle = format!("{} → {name}", self.path.join(" → "));
            self.faults
                .push(fault(line, format!("circular dependency: {circle}")));
            return;
        }
        let Some(entry) = self.file.services.iter().find(|entry| entry.key == name) else {
            let known: Vec<&str> = self
                .file
                .services
                .iter()
                .map(|entry| entry.key.as_str())
                .collect();
            let there = if known.is_empty() {
                "there is none".to_owned()
            } else {
                format!("there are {}", known.join(", "))
            };
            self.faults
                .push(fault(line, format!("no service is called {name:?}: {there}")));
            return;
        };
        let Draft { mut need, depends } = service::read(entry, self.file, &mut self.faults);
        need.within = self.within;
        self.path.push(name.to_owned());
        for (other, waits, line) in depends {
            self.visit(&other, line);
            if waits == Waits::Healthy
                && let Some(other) = self.done.iter_mut().find(|need| need.name == other)
            {
                other.ready = super::test::Ready::Health;
            }
        }
        self.path.pop();
        self.done.push(need);
    }
}

#[cfg(test)]
mod tests;
