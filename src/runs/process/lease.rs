//! Renews the lease of one host's lock every 20 s, and gives the host up if that has failed for 30 s.
//! Runs beside the steps, so that a long step neither lets the lease expire nor continues under another run's lock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::hands::Hands;
use crate::domain::ids::HostName;
use crate::release::record::{Failure, FailureKind};
use crate::release::run::Fact;
use crate::runs::step::fence::{LOST, uptime};
use crate::runs::step::{lease, lock};

const RENEW: Duration = Duration::from_secs(20);
/// How often to check the lock, so that a process that was suspended or cut off soon notices that it was taken over.
const LOOK: Duration = Duration::from_secs(5);
/// The delay after a failed renewal.
const AGAIN: Duration = Duration::from_secs(2);
/// A daemon that hangs answers nothing: the next attempt must not wait for it. One that is busy has two of them, begun
/// before the lease runs out.
const LIMIT: Duration = Duration::from_secs(8);

/// Ends when the lock is released, is taken over, or the host is lost.
pub async fn keep(hands: Arc<Hands>, host: HostName, losses: mpsc::Sender<Fact>) {
    let mut pause = LOOK;
    loop {
        tokio::time::sleep(pause).await;
        let Ok(fence) = hands.fence_of(&host) else {
            return;
        };
        let (daemon, id) = (&fence.daemon, fence.lock.clone());
        let is_due = fence.renewed.age() + LOOK > RENEW;
        let stage = hands.stage();
        let begun = uptime();
        let work = async {
            lock::is_ours(daemon, &fence.subject, &id).await?;
            if is_due {
                lease::renew(daemon, &id, &stage).await?;
                fence.renewed.renew(begun);
            }
            Ok::<(), Failure>(())
        };
        let loss = match tokio::time::timeout(LIMIT, work).await {
            Ok(Ok(())) => {
                pause = LOOK;
                continue;
            }
            Ok(Err(failure)) if failure.kind == FailureKind::Fenced => {
                // Unless we gave it back ourselves just now.
                match hands.lock_of(&host) {
                    Some((_, now)) if now == id => Fact::Taken(host.clone(), failure.fault.why),
                    Some(_) => continue,
                    None => return,
                }
            }
            outcome => {
                let why = match outcome {
                    Ok(Err(failure)) => failure.fault.to_string(),
                    Ok(Ok(())) | Err(_) => format!("{host} did not answer for {} s", LIMIT.as_secs()),
                };
                pause = AGAIN;
                if fence.renewed.age() < LOST {
                    continue;
                }
                let why = format!("its lease could not be renewed for {} s: {why}", LOST.as_secs());
                Fact::HostLost(host.clone(), why)
            }
        };
        if losses.send(loss).await.is_err() {
            tracing::debug!("the run ended meanwhile");
        }
        return;
    }
}
