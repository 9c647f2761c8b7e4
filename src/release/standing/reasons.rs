//! What is not as labels and configuration say, where one release runs or should: every reason, in words.
//! Tells it; that it makes a drift is decided by who asks.

use std::collections::{BTreeMap, BTreeSet};

use super::{Part, View, Wanted, joined};
use crate::domain::container::label;
use crate::domain::ids::{HostName, ReleaseNumber};

pub(super) fn reasons(wanted: Option<Wanted<'_>>, views: &[View<'_>], release: ReleaseNumber) -> Vec<String> {
    let mut found = Vec::new();
    for view in views {
        let host = view.host;
        for (container, part) in &view.parts {
            let name = &container.name;
            match part {
                Part::Revived => found.push(format!("{host}: {name} is running again next to {release}")),
                Part::Orphan => found.push(format!(
                    "{host}: {name} is left over from an earlier run ({})",
                    container.state.word()
                )),
                Part::Active | Part::Candidate | Part::Retained | Part::Failed => {}
            }
        }
        let Some(wanted) = wanted else { continue };
        let running = view.count(Part::Active);
        let asked = usize::try_from(wanted.replicas).unwrap_or(usize::MAX);
        if !wanted.hosts.contains(host) {
            if let Some(release) = view.active.filter(|_| running > 0) {
                found.push(format!("{host} runs {release} and is not in the configuration"));
            }
        } else if running != asked {
            let fallen: Vec<String> = view
                .parts
                .iter()
                .filter(|(_, part)| *part == Part::Failed)
                .map(|(container, _)| format!("{} {}", container.name, container.state.word()))
                .collect();
            let fallen = match fallen.as_slice() {
                [] => String::new(),
                some => format!(" ({})", some.join(", ")),
            };
            found.push(format!("{host} runs {running} of {asked} replicas{fallen}"));
        }
    }
    for (key, what) in [(label::DIGEST, "image"), (label::SPEC, "specification")] {
        let of_release = views.iter().flat_map(|view| {
            let active = view.parts.iter().filter(|(_, part)| *part == Part::Active);
            active.filter_map(|(container, _)| Some((container.label(key)?, view.host)))
        });
        let mut by_value: BTreeMap<&str, BTreeSet<&HostName>> = BTreeMap::new();
        for (value, host) in of_release {
            by_value.entry(value).or_default().insert(host);
        }
        if by_value.len() > 1 {
            let groups: Vec<String> = by_value
                .into_values()
                .map(|hosts| joined(&hosts.into_iter().cloned().collect::<Vec<_>>()))
                .collect();
            found.push(format!(
                "{release} has more than one {what}: {}",
                groups.join(" | ")
            ));
        }
    }
    found
}
