//! Refusals before anything is changed: the thing, the host, the reason, the remedy.
//! Pure: facts in, refusals out.

use pilothouse::config::service::{Batch, Mount, Order, Publish, Rolling, Strategy};
use pilothouse::domain::fault::Fault;
use pilothouse::domain::host::EngineKind;
use pilothouse::domain::ids::HostName;
use pilothouse::domain::run::RunKind;
use pilothouse::domain::units::Stamp;
use pilothouse::release::decision::Facts;
use pilothouse::release::facts::{LedgerSeen, LockSeen, TakenPort};
use pilothouse::release::plan::Plan;
use pilothouse::release::preflight;
use pilothouse::release::replica::{Policy, Up};

use super::world::{World, host, plan};

pub(super) struct Ground {
    plan: Plan,
    pub(super) facts: Facts,
}

impl Ground {
    pub(super) fn new() -> Self {
        let mut plan = plan(RunKind::Deploy, 1, 2, &Strategy::Recreate);
        plan.service.deploy.as_mut().unwrap().replicas = 1;
        let world = World::new(1, 2);
        let facts = plan
            .targets
            .iter()
            .map(|name| (name.clone(), world.facts(name)))
            .collect();
        Self { plan, facts }
    }

    pub(super) fn refusals(&self) -> Vec<Fault> {
        let order: Vec<HostName> = self.plan.targets.clone();
        preflight::refusals(&self.plan, &order, &self.facts).all()
    }

    /// Exactly one, with these words.
    fn refused(&self, words: &[&str]) {
        let found = self.refusals();
        let [only] = found.as_slice() else {
            panic!("{words:?}: {found:?}")
        };
        let text = format!("{only} {}", only.hint.clone().unwrap_or_default());
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
    }

    pub(super) fn spec(&mut self) -> &mut pilothouse::config::service::Spec {
        &mut self.plan.service.deploy.as_mut().unwrap().spec
    }
}

#[test]
fn nothing_speaks_against_a_plain_release() {
    assert_eq!(Ground::new().refusals(), []);
}

#[test]
fn an_image_of_another_architecture_is_refused_where_it_would_run() {
    let mut ground = Ground::new();
    ground.facts.get_mut(&host(2)).unwrap().engine.arch = "arm64".to_owned();
    ground.refused(&["on web-2", "the image is for amd64, the host is arm64"]);
}

#[test]
fn a_port_that_is_taken_is_refused_with_by_whom() {
    let mut ground = Ground::new();
    ground.spec().ports = vec![Publish {
        address: Some("127.0.0.1".to_owned()),
        outside: 8080,
        inside: 80,
        protocol: "tcp".to_owned(),
    }];
    let taken = |address: &str, protocol: &str| TakenPort {
        address: address.to_owned(),
        port: 8080,
        protocol: protocol.to_owned(),
        by: "old-shop".to_owned(),
    };
    let facts = ground.facts.get_mut(&host(1)).unwrap();
    facts.taken = vec![taken("0.0.0.0", "udp"), taken("10.0.0.1", "tcp")];
    assert_eq!(ground.refusals(), [], "another protocol, another address");
    ground.facts.get_mut(&host(1)).unwrap().taken = vec![taken("0.0.0.0", "tcp")];
    ground.refused(&["on web-1", "port 8080/tcp is taken by old-shop"]);
}

#[test]
fn a_network_or_a_volume_that_is_not_there_is_refused_with_how_to_make_it() {
    let mut ground = Ground::new();
    ground.spec().networks = vec!["edge".to_owned()];
    ground.facts.get_mut(&host(1)).unwrap().networks = ["edge".to_owned()].into();
    ground.refused(&[
        "on web-2",
        "there is no network edge",
        "docker network create edge",
    ]);
    let mut ground = Ground::new();
    ground.spec().volumes = vec![Mount {
        source: "data".to_owned(),
        target: "/data".to_owned(),
        read_only: false,
    }];
    ground.facts.get_mut(&host(2)).unwrap().volumes = ["data".to_owned()].into();
    ground.refused(&["on web-1", "there is no volume data", "docker volume create data"]);
}

#[test]
fn a_volume_of_the_image_without_a_mount_would_start_empty_unless_that_is_meant() {
    let mut ground = Ground::new();
    for facts in ground.facts.values_mut() {
        facts.image.as_mut().unwrap().volumes = vec!["/var/lib/data".to_owned()];
    }
    let found = ground.refusals();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].why.contains("VOLUME /var/lib/data"), "{found:?}");
    ground.spec().ephemeral = true;
    assert_eq!(ground.refusals(), []);
    ground.spec().ephemeral = false;
    let memory = ("/var/lib/data".to_owned(), String::new());
    ground.spec().options.tmpfs = [memory].into();
    assert_eq!(
        ground.refusals(),
        [],
        "a place in memory is a mount, and empty on purpose"
    );
}

#[test]
fn several_replicas_that_write_to_one_volume_are_refused_unless_that_is_meant() {
    for strategy in [
        Strategy::Recreate,
        Strategy::Rolling(Rolling {
            batch: Batch::Count(1),
            order: Order::StopFirst,
            on_failure: pilothouse::config::service::OnFailure::Revert,
            canary: None,
        }),
    ] {
        let mut ground = Ground::new();
        ground.spec().volumes = vec![Mount {
            source: "/srv/data".to_owned(),
            target: "/data".to_owned(),
            read_only: false,
        }];
        ground.plan.service.deploy.as_mut().unwrap().strategy = strategy;
        assert_eq!(ground.refusals(), [], "one on each host is one writer");
        ground.plan.service.deploy.as_mut().unwrap().replicas = 2;
        ground.refused(&[
            "2 replicas on each host would write to /srv/data (at /data) at once",
            "shared = true",
        ]);
        ground.plan.service.deploy.as_mut().unwrap().shared = true;
        assert_eq!(ground.refusals(), []);
    }
}

#[test]
fn two_hosts_that_are_one_daemon_are_refused() {
    let mut ground = Ground::new();
    let info = ground.facts[&host(1)].engine.info.clone();
    ground.facts.get_mut(&host(2)).unwrap().engine.info = info;
    ground.refused(&["on web-1", "web-2 is the same daemon"]);
    assert!(
        ground.refusals()[0]
            .hint
            .as_ref()
            .unwrap()
            .contains("/etc/docker/key.json")
    );
}

#[test]
fn an_engine_that_is_too_old_or_cannot_do_it_is_refused() {
    let mut ground = Ground::new();
    ground.facts.get_mut(&host(1)).unwrap().engine.api = "1.39".to_owned();
    ground.refused(&["its API 1.39 is too old, 1.40 is needed"]);
    let mut ground = Ground::new();
    ground.facts.get_mut(&host(2)).unwrap().engine.kind = EngineKind::Podman;
    ground.refused(&["on web-2", "Podman cannot change a container's restart policy"]);
}

#[test]
fn what_nobody_released_and_what_would_not_come_up_again_is_refused() {
    let mut ground = Ground::new();
    ground.facts.get_mut(&host(1)).unwrap().strangers = vec!["shop-by-hand".to_owned()];
    ground.refused(&[
        "on web-1",
        "shop-by-hand runs this service's image and does not belong to a release",
        "pilothouse adopt shop --from shop-by-hand registers it as a release",
    ]);

    let mut world = World::new(1, 2);
    world.deployed(1);
    let ground = || {
        let mut ground = Ground::new();
        ground.facts = [1, 2].map(|n| (host(n), world.facts(&host(n)))).into();
        ground
    };
    let mut beside = ground();
    beside.facts.get_mut(&host(1)).unwrap().strangers = vec!["shop-by-hand".to_owned()];
    beside.refused(&[
        "on web-1",
        "stop and remove it: a release of the service runs there",
    ]);
    let mut stays_down = ground();
    stays_down.facts.get_mut(&host(2)).unwrap().replicas[0].policy = Policy::UnlessStopped;
    stays_down.refused(&["on web-2", "unless-stopped", "docker update --restart=always"]);
    let mut paused = ground();
    paused.facts.get_mut(&host(1)).unwrap().replicas[0].state = Up::Paused;
    paused.refused(&["is paused", "unpause it first"]);
    let mut newer = ground();
    newer.facts.get_mut(&host(1)).unwrap().ledger = LedgerSeen::Newer { schema: 9 };
    newer.refused(&["on web-1", "newer Pilothouse (schema 9)"]);
}

#[test]
fn a_lock_is_refused_with_who_holds_it_and_one_that_was_left_with_how_to_recover_it() {
    let lock = |renewed: i64| LockSeen {
        id: pilothouse::domain::ids::ContainerId::parse("aa").unwrap(),
        name: "pilothouse.lock.shop".to_owned(),
        run: "run-9".to_owned(),
        actor: "ops-b".to_owned(),
        machine: "bastion-2".to_owned(),
        kind: None,
        reason: Some("fix basket".to_owned()),
        since: Stamp::from_seconds(1_000),
        renewed: Stamp::from_seconds(renewed),
        renewed_there: None,
        now: Stamp::from_seconds(2_000),
        now_here: Stamp::default(),
        watched: std::time::Duration::ZERO,
        grace: std::time::Duration::ZERO,
        stage: Some("gate".to_owned()),
    };
    let mut ground = Ground::new();
    ground.facts.get_mut(&host(1)).unwrap().locks = vec![lock(1_990)];
    ground.refused(&["it is locked", "ops-b on bastion-2", "\"fix basket\"", "at gate"]);
    ground.facts.get_mut(&host(1)).unwrap().locks = vec![lock(1_900)];
    ground.refused(&["left unfinished", "pilothouse recover run-9"]);
    // By its lock on the other host it lives.
    ground.facts.get_mut(&host(2)).unwrap().locks = vec![lock(1_990)];
    let refusals = preflight::refusals(&ground.plan, &ground.plan.targets, &ground.facts);
    assert_eq!(refusals.others, []);
    let hints: Vec<_> = refusals
        .locked
        .iter()
        .map(|fault| fault.hint.as_deref())
        .collect();
    assert_eq!(hints, [None, Some("wait for it, or follow it on its machine")]);
}

#[test]
fn side_by_side_is_refused_for_what_only_one_may_have() {
    let mut ground = Ground::new();
    let deploy = ground.plan.service.deploy.as_mut().unwrap();
    deploy.strategy = Strategy::Rolling(Rolling {
        batch: Batch::Count(1),
        order: Order::StartFirst,
        ..Rolling::default()
    });
    deploy.spec.volumes = vec![Mount {
        source: "/srv/data".to_owned(),
        target: "/data".to_owned(),
        read_only: false,
    }];
    ground.refused(&[
        "side by side",
        "both would write to /srv/data (at /data)",
        "stop-first",
    ]);
    ground.spec().volumes[0].read_only = true;
    assert_eq!(ground.refusals(), []);
}
