//! Running containers of a service that belong to no release, and adopted containers that are gone.
//! Describes them in words; the caller decides what they mean for the state of the service.

use super::{Place, Standing, replicas};
use crate::domain::container::{Container, label};
use crate::domain::ids::{ContainerId, ReleaseNumber};
use crate::release::adopt;

/// Does it run an image of this repository without having been released?
#[must_use]
pub fn is_of(container: &Container, repository: &str) -> bool {
    container.state.is_running()
        && container.label(label::SERVICE).is_none()
        && container.label(label::ROLE).is_none()
        && adopt::is_of(&container.image, repository)
}

pub(super) fn nobodys(place: &Place<'_>) -> Vec<String> {
    let words = |stranger: &&Container| {
        format!(
            "{}: {} runs its image without belonging to a release",
            place.host, stranger.name
        )
    };
    place.strangers.iter().map(words).collect()
}

/// What was adopted as this release and is not there any more, in whatever state.
pub(super) fn missed(place: &Place<'_>, release: ReleaseNumber) -> Vec<String> {
    let there = |id: &ContainerId| place.containers.iter().any(|container| container.id == *id);
    let of_release = place.adopted.iter().filter(|adopted| adopted.release == release);
    let gone = of_release.flat_map(|adopted| adopted.containers.iter().filter(|(id, _)| !there(id)));
    gone.map(|(_, name)| format!("{}: {name}, adopted as {release}, is gone", place.host))
        .collect()
}

/// Nothing runs that was released, and the latest that is known of was adopted and is gone.
pub(super) fn gone(places: &[&Place<'_>]) -> Option<(ReleaseNumber, Vec<String>)> {
    let adopted = places.iter().flat_map(|place| &place.adopted);
    let latest = adopted.map(|adopted| adopted.release).max()?;
    let known = places.iter().flat_map(|place| replicas(place));
    if known.filter_map(Container::release).any(|other| other > latest) {
        return None;
    }
    let mut reasons: Vec<String> = places.iter().flat_map(|place| missed(place, latest)).collect();
    if reasons.is_empty() {
        return None;
    }
    reasons.extend(places.iter().flat_map(|place| nobodys(place)));
    Some((latest, reasons))
}

/// Released once, running still, and this configuration does not know the service any more.
pub(super) fn unconfigured(standing: Standing) -> Standing {
    let said = "it runs, but is not in this configuration".to_owned();
    match standing {
        Standing::Converged { release } => Standing::Drift {
            release,
            reasons: vec![said],
        },
        Standing::Drift { release, mut reasons } => {
            reasons.push(said);
            Standing::Drift { release, reasons }
        }
        other @ (Standing::Absent
        | Standing::Unreleased { .. }
        | Standing::InProgress { .. }
        | Standing::Split { .. }
        | Standing::Unknown { .. }) => other,
    }
}
