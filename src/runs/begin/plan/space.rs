//! Whether the image of a release has space where it is not yet: looked at before the key is confirmed.
//! Changes nothing, so that where a command in a container would have to be run it only says that it does not know.

use std::collections::BTreeMap;

use super::image_of;
use crate::domain::ids::HostName;
use crate::domain::plan::PlanView;
use crate::hosts::Daemon;
use crate::release::decision::Facts;
use crate::release::plan::Plan;
use crate::runs::begin::readers::Readers;
use crate::runs::step::space::{self, Space};
use crate::runs::step::survey;

/// Of an image that is on some host by now: what is still to be built or pulled has no size. Asked is only where the look
/// at the hosts did not list it.
pub(super) async fn look(plan: &Plan, facts: &Facts, readers: &mut Readers<'_>, view: &mut PlanView) {
    let Some(id) = image_of(view).filter(|_| plan.is_release() && !plan.builds()) else {
        return;
    };
    let mut having: Option<HostName> = None;
    let mut lacking: Vec<(&HostName, Daemon)> = Vec::new();
    for (name, seen) in facts {
        if seen.images.contains(&id) {
            having = Some(name.clone());
        } else if plan.targets.contains(name)
            && let Some(daemon) = readers.daemon(name).await
        {
            match survey::image(&daemon, id.as_str()).await {
                Ok(Some(_)) => having = Some(name.clone()),
                Ok(None) => lacking.push((name, daemon)),
                Err(_) => {}
            }
        }
    }
    if lacking.is_empty() {
        return;
    }
    let Some(name) = having else { return };
    let Some(from) = readers.daemon(&name).await else {
        return;
    };
    let mut unknown: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, to) in lacking {
        let space = space::space(&from, &to, &id).await;
        view.refusals.extend(space.fault(&view.image, name));
        match space {
            Space::Enough { size, free } => view
                .order
                .push(format!("up to {size} come to {name}, where {free} are free")),
            Space::Unknown { why } => unknown.entry(why).or_default().push(name.as_str()),
            Space::TooLittle { .. } => {}
        }
    }
    for (why, hosts) in unknown {
        let hosts = hosts.join(", ");
        view.warnings.push(format!(
            "whether there is room for the image on {hosts} is not known: {why}"
        ));
    }
}
