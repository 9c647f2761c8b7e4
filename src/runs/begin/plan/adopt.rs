//! An adoption in words, for the plan page: which containers become the release, and what the next deploy would change.
//! Names what differs; what a value is that runs is nobody's to read here.

use crate::domain::plan::PlanView;
use crate::release::decision::{Decision, Facts};
use crate::release::plan::Plan;
use crate::release::spec;

pub(super) fn describe(plan: &Plan, facts: &Facts, decision: &Decision, view: &mut PlanView) {
    let release = decision.release;
    for (host, ids) in &decision.wake {
        let candidates = facts.get(host).into_iter().flat_map(|seen| &seen.sought);
        let names: Vec<&str> = candidates
            .flat_map(|sought| &sought.found)
            .filter(|one| ids.contains(&one.replica.id))
            .map(|one| one.replica.name.as_str())
            .collect();
        view.order.push(format!(
            "{host} remembers that {} is {release}",
            names.join(" and ")
        ));
    }
    view.order.push(format!(
        "commit; nothing is stopped, started, renamed or changed. {release} is what the next deploy stops and R wakes"
    ));
    view.undo = vec!["until the commit the hosts forget it again".to_owned()];
    let Some(deploy) = plan.deploy() else { return };
    let mut changes = spec::changed_names(&decision.spec, &deploy.spec);
    let wanted = usize::try_from(deploy.replicas).unwrap_or(usize::MAX);
    let other = decision.wake.iter().filter(|(_, ids)| ids.len() != wanted);
    changes.extend(other.map(|(host, ids)| format!("replicas on {host} {} → {wanted}", ids.len())));
    if changes.is_empty() {
        view.changes = vec!["none by the next deploy: it runs as configured".to_owned()];
    } else {
        view.changes = vec!["now none; the next deploy would make it as configured:".to_owned()];
        view.changes.append(&mut changes);
    }
    let lacks = decision
        .adopted
        .as_ref()
        .map_or(&[][..], |adopted| &adopted.lacks);
    if !lacks.is_empty() {
        view.warnings.push(format!(
            "{release} can be gone back to while its containers are there; made again it cannot be: not written down are {}",
            lacks.join(", ")
        ));
    }
}
