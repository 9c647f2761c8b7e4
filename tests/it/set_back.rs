//! A daemon whose clock is set back while it is watched: its rows keep changing.
//! Log lines are tested in `hosts::logs::seen`: a simulated container writes none until its earlier time is reached.

use std::time::Duration;

use pilothouse::config::Host;
use pilothouse::domain::container::State;
use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::event::{Event, HostEvent};
use pilothouse::domain::ids::{ContainerKey, HostName};
use pilothouse::domain::order::{Access, Order, OrderId, Verb};
use pilothouse::hosts::{self, Hosts};
use pilothouse::sim::{ContainerPlan, Fleet, Scenario};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Far less than the clock is set back by where that is told.
const LIMIT: Duration = Duration::from_secs(40);

struct Watched {
    fleet: Fleet,
    hosts: Hosts,
    facts: mpsc::Receiver<Event>,
    _bulk: mpsc::Receiver<Event>,
    stop: CancellationToken,
    key: ContainerKey,
    _folder: tempfile::TempDir,
}

impl Watched {
    /// One host, one container.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut scenario = Scenario::empty(1);
        scenario.hosts[0]
            .containers
            .push(ContainerPlan::new("web", "demo/web:1"));
        let fleet = Fleet::start(scenario, folder.path()).unwrap();
        let host = Host {
            name: HostName::parse("host-1").unwrap(),
            endpoint: Endpoint::Unix(fleet.engine("host-1").unwrap().socket().to_owned()),
            tags: Vec::new(),
            protected: false,
            concurrency: None,
            address: None,
        };
        let (facts_in, mut facts) = mpsc::channel(64);
        let (bulk_in, bulk) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let hosts = hosts::start(vec![host.clone()], Access::Full, facts_in, bulk_in, stop.clone());
        let id = loop {
            if let Event::Host(_, HostEvent::Listed(rows)) = facts.recv().await.unwrap() {
                break rows[0].id.clone();
            }
        };
        let key = ContainerKey { host: host.name, id };
        Self {
            fleet,
            hosts,
            facts,
            _bulk: bulk,
            stop,
            key,
            _folder: folder,
        }
    }

    fn set_clock_back(&self, seconds: i64) {
        self.fleet.engine("host-1").unwrap().skew_clock(-seconds);
    }

    fn act(&self, number: u64, verb: Verb) {
        let target = self.key.clone();
        let order = Order::Act { target, verb };
        self.hosts.order(OrderId(number), order).unwrap();
    }

    async fn until_state(&mut self, what: &str, wanted: impl Fn(&State) -> bool) {
        let seen = async {
            loop {
                match self.facts.recv().await.unwrap() {
                    Event::Host(_, HostEvent::Changed(row)) if wanted(&row.state) => return,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(LIMIT, seen).await.expect(what);
    }

    async fn end(self) {
        self.stop.cancel();
        drop(self.facts);
        self.hosts.join().await;
        self.fleet.stop().await;
    }
}

#[tokio::test]
async fn rows_go_on_changing_as_events_tell() {
    let mut watched = Watched::start().await;
    watched.act(1, Verb::Pause);
    watched
        .until_state("paused", |state| matches!(state, State::Paused { .. }))
        .await;
    watched.set_clock_back(600);
    watched.act(2, Verb::Unpause);
    watched
        .until_state("running", |state| matches!(state, State::Running { .. }))
        .await;
    watched.act(3, Verb::Kill);
    watched
        .until_state("killed", |state| matches!(state, State::Exited { code: 137, .. }))
        .await;
    watched.end().await;
}
