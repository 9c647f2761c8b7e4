//! Whether a release's image fits on the hosts that lack it, checked before the plan is confirmed.
//! Changes nothing: if the answer needs a command in a container, it is reported as unknown.

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

/// Checks images that exist on some host; an image still to be built or pulled has no known size. Only hosts that lack it
/// are checked.
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
            Space::Enough { size, free } => view.order.push(format!(
                "up to {size} are transferred to {name}, which has {free} free"
            )),
            Space::Unknown { why } => unknown.entry(why).or_default().push(name.as_str()),
            Space::TooLittle { .. } => {}
        }
    }
    for (why, hosts) in unknown {
        let hosts = hosts.join(", ");
        view.warnings.push(format!(
            "it is unknown whether there is room for the image on {hosts}: {why}"
        ));
    }
}
