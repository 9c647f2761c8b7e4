//! `listen`: receives webhooks until this process is told to end.
//! Started runs are printed on stdout, one line each; everything else on stderr.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::args::Listen;
use super::out::{self, Exit};
use super::setup::WithState;
use crate::domain::fault::Fault;
use crate::listen::{Limits, Listener};

pub(super) async fn listen(setup: &WithState<'_>, asked: &Listen) -> Exit {
    match open(setup, asked).await {
        Ok(listener) => served(listener).await,
        Err(fault) => {
            out::fault(&fault);
            Exit::Failed
        }
    }
}

async fn open(setup: &WithState<'_>, asked: &Listen) -> Result<Listener, Fault> {
    setup.may_change("listen for webhooks")?;
    let mut config = setup.config.clone();
    if let Some(address) = asked.address {
        config.listen.address = address;
    }
    if !config.listen.address.ip().is_loopback() {
        out::words(&format!(
            "{} is not a loopback address: this is plain HTTP, and GitLab's token would be sent unencrypted; \
             put a proxy with TLS before it",
            config.listen.address
        ));
    }
    let limits = Limits::of(&config.listen);
    Listener::open(
        config,
        setup.state.clone(),
        limits,
        &super::env,
        Arc::new(out::words),
    )
    .await
}

async fn served(listener: Listener) -> Exit {
    let stop = CancellationToken::new();
    let ended = stop.clone();
    let signals = async move {
        let ends = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
        ]
        .map(signal);
        let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = ends else {
            out::words("could not listen for signals: only SIGKILL stops this process");
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
        ended.cancel();
    };
    // Ends with the runtime.
    tokio::spawn(signals);
    out::line(&format!("http://{}/hook", listener.address()));
    for line in listener.described() {
        out::words(&format!("  {line}"));
    }
    listener.serve(stop).await;
    out::words("no longer listening; runs already started continue");
    Exit::Done
}
