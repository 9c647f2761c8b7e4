//! Whether the image of a release has room where it is not yet: looked at before the key is confirmed.
//! Changes nothing, so that where a command in a container would have to be run it only says that it does not know.

use crate::config::Host;
use crate::domain::ids::{HostName, ImageId};
use crate::domain::order::Access;
use crate::domain::plan::PlanView;
use crate::hosts::{Daemon, connect};
use crate::release::plan::Plan;
use crate::runs::step::room::{self, Room};
use crate::runs::step::survey;

/// Of an image that is on some host by now: what is still to be built or pulled has no size.
pub(super) async fn look(plan: &Plan, hosts: &[Host], view: &mut PlanView) {
    let id = view.image_id.as_deref().and_then(|id| ImageId::parse(id).ok());
    let Some(id) = id.filter(|_| plan.is_release() && !plan.builds()) else {
        return;
    };
    let mut having: Option<Daemon> = None;
    let mut lacking: Vec<(HostName, Daemon)> = Vec::new();
    for host in hosts {
        // Who does not answer is said elsewhere.
        let Ok(daemon) = connect(host, Access::ReadOnly).await else {
            continue;
        };
        match survey::image(&daemon, id.as_str()).await {
            Ok(Some(_)) => having = Some(daemon),
            Ok(None) if plan.targets.contains(&host.name) => lacking.push((host.name.clone(), daemon)),
            Ok(None) | Err(_) => {}
        }
    }
    let Some(from) = having else { return };
    for (name, to) in lacking {
        let room = room::room(&from, &to, &id).await;
        view.refusals.extend(room.fault(&view.image, &name));
        match room {
            Room::Enough { size, free } => view
                .order
                .push(format!("up to {size} come to {name}, where {free} are free")),
            Room::Unknown { why } => view.warnings.push(format!(
                "whether there is room for the image on {name} is not known: {why}"
            )),
            Room::TooLittle { .. } => {}
        }
    }
}
