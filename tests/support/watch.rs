//! The hosts' actors as the control room uses them: their facts applied to a fleet, orders answered, log lines kept.
//! Waits for conditions; prints the fleet if one is not reached.

use std::collections::BTreeMap;
use std::time::Duration;

use pilothouse::config;
use pilothouse::domain::container::Container;
use pilothouse::domain::event::Event;
use pilothouse::domain::fault::Fault;
use pilothouse::domain::fleet::{Fleet, Row};
use pilothouse::domain::host::Link;
use pilothouse::domain::ids::{ContainerId, ContainerKey, HostName};
use pilothouse::domain::logs::{FollowId, LogLine, LogRange, Reached, Stream};
use pilothouse::domain::order::{Access, Order, OrderId, Verb};
use pilothouse::domain::units::Stamp;
use pilothouse::hosts::{self, Hosts};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Nothing that these tests wait for takes longer on a busy machine of two cores.
const LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct Watch {
    hosts: Hosts,
    shutdown: CancellationToken,
    facts: mpsc::Receiver<Event>,
    bulk: mpsc::Receiver<Event>,
    pub(crate) fleet: Fleet,
    orders: u64,
    /// Follows that were left: what still comes of them is nobody's.
    left: Vec<FollowId>,
    done: BTreeMap<OrderId, Result<(), Fault>>,
    /// In the order in which they came, notices apart.
    pub(crate) lines: Vec<LogLine>,
    pub(crate) notices: Vec<String>,
    pub(crate) skipped: u64,
}

impl Watch {
    pub(crate) fn start(hosts: Vec<config::Host>, access: Access) -> Self {
        let fleet = Fleet::new(hosts.iter().map(|host| host.name.clone()), Stamp(0));
        let (facts_in, facts) = mpsc::channel(1024);
        let (bulk_in, bulk) = mpsc::channel(64);
        let shutdown = CancellationToken::new();
        Self {
            hosts: hosts::start(hosts, access, facts_in, bulk_in, shutdown.clone()),
            shutdown,
            facts,
            bulk,
            fleet,
            orders: 0,
            left: Vec::new(),
            done: BTreeMap::new(),
            lines: Vec::new(),
            notices: Vec::new(),
            skipped: 0,
        }
    }

    /// Takes facts in until `seen` gives a value.
    pub(crate) async fn until<T>(&mut self, what: &str, mut seen: impl FnMut(&Self) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(value) = seen(self) {
                return value;
            }
            let event = tokio::select! {
                event = self.facts.recv() => event,
                event = self.bulk.recv() => event,
                () = tokio::time::sleep_until(end) => panic!("waited {LIMIT:?} in vain: {what}\n{}", self.shown()),
            };
            self.take(event.expect("the actors live"));
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Host(host, event) => self.fleet.apply(&host, event),
            Event::Logs(id, _) if self.left.contains(&id) => {}
            Event::Logs(_, batch) => {
                self.skipped += batch.skipped;
                for line in batch.lines {
                    match line.stream {
                        Stream::Notice => self.notices.push(line.text.into()),
                        Stream::Out | Stream::Err | Stream::Console => self.lines.push(line),
                    }
                }
            }
            Event::Done(id, result) => drop(self.done.insert(id, result)),
            Event::Output(..)
            | Event::Run(_)
            | Event::Unreadable(..)
            | Event::OlderRuns(_)
            | Event::LeftLocks(_)
            | Event::Planned(..) => {}
        }
    }

    /// Statistics of exactly these are wanted.
    pub(crate) fn sample(&mut self, host: &HostName, ids: Vec<ContainerId>) {
        self.orders += 1;
        let host = host.clone();
        self.hosts
            .order(OrderId(self.orders), Order::Watch { host, ids })
            .expect("orders are taken");
    }

    /// Gives an order and waits for its answer.
    pub(crate) async fn order(&mut self, order: Order) -> Result<(), Fault> {
        self.orders += 1;
        let id = OrderId(self.orders);
        let what = format!("an answer to {order:?}");
        self.hosts.order(id, order)?;
        self.until(&what, |watch| watch.done.get(&id).cloned()).await
    }

    /// Tries a lost host now; answered by what it brings.
    pub(crate) fn retry(&mut self, host: &HostName) {
        self.orders += 1;
        self.hosts
            .order(OrderId(self.orders), Order::Retry(host.clone()))
            .expect("orders are taken");
    }

    pub(crate) async fn act(&mut self, target: &ContainerKey, verb: Verb) -> Result<(), Fault> {
        let target = target.clone();
        self.order(Order::Act { target, verb }).await
    }

    pub(crate) fn follow(&mut self, targets: Vec<ContainerKey>, range: LogRange) {
        self.orders += 1;
        let id = FollowId(self.orders);
        self.hosts
            .order(OrderId(self.orders), Order::Follow { id, targets, range })
            .expect("orders are taken");
    }

    /// Ends the last follow, of one container, as a view does that nobody sees; what is still on its way is not taken.
    pub(crate) fn leave(&mut self) -> Reached {
        let id = FollowId(self.orders);
        self.left.push(id);
        self.orders += 1;
        self.hosts
            .order(OrderId(self.orders), Order::Unfollow(id))
            .expect("orders are taken");
        let mut reached = Reached::default();
        for line in &self.lines {
            reached.line(line.stream, line.at);
        }
        reached
    }

    pub(crate) async fn until_link(&mut self, host: &HostName, wanted: fn(&Link) -> bool) -> Link {
        let what = format!("another link of {host}");
        self.until(&what, |watch| {
            let link = &watch.fleet.host(host)?.link;
            wanted(link).then(|| link.clone())
        })
        .await
    }

    pub(crate) async fn until_listed(&mut self) {
        self.until("every host is listed", |watch| {
            watch.fleet.hosts().all(|(_, entry)| entry.listed).then_some(())
        })
        .await;
    }

    /// Waits until the container's row is as wanted.
    pub(crate) async fn until_row(
        &mut self,
        key: &ContainerKey,
        what: &str,
        wanted: impl Fn(&Container) -> bool,
    ) -> Container {
        self.until(what, |watch| {
            let row = watch.fleet.row(key)?;
            wanted(&row.container).then(|| row.container.clone())
        })
        .await
    }

    pub(crate) fn row(&self, key: &ContainerKey) -> &Row {
        self.fleet.row(key).expect("the row is there")
    }

    /// The texts of the lines so far.
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|line| &*line.text).collect()
    }

    /// Everything ends, as when the room is left.
    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        drop((self.facts, self.bulk));
        tokio::time::timeout(LIMIT, self.hosts.join())
            .await
            .expect("the actors end when they are told to");
    }

    fn shown(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for (name, entry) in self.fleet.hosts() {
            writeln!(text, "{name}: {:?}", entry.link).unwrap();
            for row in entry.rows() {
                let Container {
                    name, state, health, ..
                } = &row.container;
                writeln!(text, "  {name}: {state:?} {health:?}").unwrap();
            }
        }
        let last = self.lines.len().saturating_sub(5);
        writeln!(
            text,
            "{} lines, the last: {:?}",
            self.lines.len(),
            &self.lines[last..]
        )
        .unwrap();
        writeln!(text, "notices: {:?}; answers: {:?}", self.notices, self.done).unwrap();
        text
    }
}
