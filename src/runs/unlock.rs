//! A person's word against a lock: removed on every host of the service or its environment, with a reason.
//! Not while its holder renews it; what the run left is told, not undone; who did it and why goes into the ledgers.

use super::step::{ledger, lock};
use crate::config::Config;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::order::Access;
use crate::hosts::{Unreached, connect};
use crate::release::ledger::Unlocked;
use crate::release::plan::Actor;
use crate::release::subject::Subject;

/// What was removed, in words: host, holder, age.
pub async fn unlock(
    config: &Config,
    subject: &Subject,
    reason: &str,
    by: &Actor,
) -> Result<Vec<(HostName, String)>, Fault> {
    let what = || format!("unlock {subject}");
    let known = config.service_in(&subject.service, subject.environment.as_deref())?;
    let deploy = known.deploy.as_ref().ok_or_else(|| {
        let fault = Fault::new(what(), "it is not deployed anywhere");
        if known.environments.is_empty() {
            return fault;
        }
        fault.hint(known.environment_words())
    })?;
    let mut found = Vec::new();
    for name in &deploy.hosts {
        let host = config
            .host(name)
            .ok_or_else(|| Fault::new(what(), format!("the configuration has no host {name}")))?;
        let daemon = connect(host, Access::Full).await.map_err(Unreached::fault)?;
        for seen in lock::seen(&daemon, subject)
            .await
            .map_err(|failure| failure.fault)?
        {
            if !seen.is_stale() {
                return Err(
                    Fault::new(format!("{} on {name}", what()), seen.described()).hint(format!(
                        "it is renewed: pilothouse cancel {} ends it in order",
                        seen.run
                    )),
                );
            }
            found.push((daemon.clone(), seen));
        }
    }
    let mut removed = Vec::new();
    for (daemon, seen) in found {
        tracing::warn!(host = %daemon.name(), run = seen.run, by = by.login, reason, "unlocked by hand");
        lock::remove(&daemon, &seen.id)
            .await
            .map_err(|failure| failure.fault)?;
        let unlocked = Unlocked {
            at: super::pen::now(),
            by: by.login.clone(),
            machine: by.machine.clone(),
            why: reason.to_owned(),
            unlocked: seen.run.clone(),
        };
        let mut words = seen.described();
        // A ledger that cannot be written is no reason to keep the lock, and none to be silent.
        if let Err(failure) = ledger::note(&daemon, subject, unlocked).await {
            words = format!("{words}; the reason is not in its ledger: {}", failure.fault);
        }
        removed.push((daemon.name().clone(), words));
    }
    Ok(removed)
}
