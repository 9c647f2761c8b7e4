//! Keeps the lock of one host alive: renewed every 20 s, and given up for lost when that failed for 30 s.
//! Beside the steps, so that a long one does not let it run out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::hands::Hands;
use super::step::lock;
use crate::domain::ids::HostName;

const RENEW: Duration = Duration::from_secs(20);
/// After a renewal failed it is tried again soon.
const AGAIN: Duration = Duration::from_secs(2);
/// A daemon that hangs answers nothing: the next attempt must not wait for it.
const LIMIT: Duration = Duration::from_secs(5);
/// Others may take the lock 60 s later: far enough away for what is under way to end.
const LOST: Duration = Duration::from_secs(30);

/// Ends when the lock was given back or the host was lost.
pub async fn keep(hands: Arc<Hands>, host: HostName, lost: mpsc::Sender<(HostName, String)>) {
    let mut renewed = Instant::now();
    let mut pause = RENEW;
    loop {
        tokio::time::sleep(pause).await;
        let Some((daemon, id)) = hands.lock_of(&host) else {
            return;
        };
        let stage = hands.stage();
        let why = match tokio::time::timeout(LIMIT, lock::renew(&daemon, &id, &stage)).await {
            Ok(Ok(())) => {
                renewed = Instant::now();
                pause = RENEW;
                continue;
            }
            Ok(Err(failure)) => failure.fault.to_string(),
            Err(_elapsed) => format!("{host} did not answer for {} s", LIMIT.as_secs()),
        };
        pause = AGAIN;
        if renewed.elapsed() >= LOST {
            let why = format!("its lease could not be renewed for {} s: {why}", LOST.as_secs());
            if lost.send((host, why)).await.is_err() {
                tracing::debug!("the run ended meanwhile");
            }
            return;
        }
    }
}
