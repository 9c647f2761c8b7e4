//! An adoption in words for the plan page: which containers become the release, and what the next deploy would change.
//! Names the settings that differ, never their current values.

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
        view.order
            .push(format!("{host} records {} as {release}", names.join(" and ")));
    }
    view.order.push(format!(
        "commit; no container is changed. The next deploy stops {release}, and R can start it again"
    ));
    view.undo = vec!["before the commit: the records are removed again".to_owned()];
    let Some(deploy) = plan.deploy() else { return };
    let mut changes = spec::changed_names(&decision.spec, &deploy.spec);
    let wanted = usize::try_from(deploy.replicas).unwrap_or(usize::MAX);
    let other = decision.wake.iter().filter(|(_, ids)| ids.len() != wanted);
    changes.extend(other.map(|(host, ids)| format!("replicas on {host} {} → {wanted}", ids.len())));
    if changes.is_empty() {
        view.changes = vec!["the next deploy changes nothing: it runs as configured".to_owned()];
    } else {
        view.changes = vec!["none now; the next deploy would apply the configuration:".to_owned()];
        view.changes.append(&mut changes);
    }
    let lacks = decision
        .adopted
        .as_ref()
        .map_or(&[][..], |adopted| &adopted.lacks);
    if !lacks.is_empty() {
        view.warnings.push(format!(
            "{release} is a rollback target only while its containers exist; it cannot be created again, because these are not recorded: {}",
            lacks.join(", ")
        ));
    }
}
