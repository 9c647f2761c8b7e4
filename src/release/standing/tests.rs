use std::sync::Arc;

use super::*;
use crate::domain::container::Health;
use crate::domain::units::Stamp;

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

const UP: State = State::Running { since: None };

fn exited(code: i32) -> State {
    State::Exited {
        code,
        at: None,
        oom: false,
    }
}

/// `labels`: `release=r42 run=1`
fn container(id: &str, state: State, labels: &str) -> Container {
    let said = labels.split_whitespace().filter_map(|word| word.split_once('='));
    let mut labels: BTreeMap<String, String> = said
        .map(|(key, value)| (format!("pilothouse.{key}"), value.to_owned()))
        .collect();
    labels.insert(label::SERVICE.to_owned(), "shop".to_owned());
    Container {
        id: ContainerId::parse(id).unwrap(),
        name: format!("shop.{id}").into(),
        image: "shop".into(),
        image_id: None,
        command: "".into(),
        created: Stamp::default(),
        state,
        health: Health::Unchecked,
        ports: Vec::new(),
        labels: Arc::new(labels),
    }
}

/// One replica is wanted on `web-1` and on `web-2`; what is given is on web-1, web-2, web-3.
fn judged(fleet: &[Option<Vec<Container>>; 3]) -> (Standing, Vec<(String, Part)>) {
    let names = ["web-1", "web-2", "web-3"].map(host);
    let seen: Vec<Place<'_>> = names
        .iter()
        .zip(fleet)
        .map(|(host, containers)| Place {
            host,
            reached: containers.is_some(),
            containers: containers.iter().flatten().collect(),
            adopted: Vec::new(),
            strangers: Vec::new(),
        })
        .collect();
    let wanted = Wanted {
        hosts: &names[..2],
        replicas: 1,
        image: "shop",
    };
    let (standing, parts) = judge(Some(wanted), &seen);
    let parts = parts.into_iter().map(|(id, part)| (id.to_string(), part));
    (standing, parts.collect())
}

fn r(number: u32) -> ReleaseNumber {
    ReleaseNumber(number)
}

#[test]
fn one_release_everywhere_with_an_older_one_kept_is_converged() {
    let there = |up: &str, kept: &str| {
        Some(vec![
            container(up, UP, "release=r42"),
            container(kept, exited(137), "release=r41"),
            container(&format!("{up}0"), State::Created, "role=ledger"),
        ])
    };
    let (standing, parts) = judged(&[there("a1", "a2"), there("b1", "b2"), Some(Vec::new())]);
    assert_eq!(standing, Standing::Converged { release: r(42) });
    let of = |id: &str| parts.iter().find(|(of, _)| of == id).map(|(_, part)| *part);
    assert_eq!(of("a1"), Some(Part::Active));
    assert_eq!(of("b2"), Some(Part::Retained));
    assert_eq!(of("a10"), None, "a ledger has no part in it");
}

#[test]
fn hosts_on_different_releases_are_split_and_an_unreached_one_is_not_down() {
    let one = |id: &str, release: &str| Some(vec![container(id, UP, &format!("release={release}"))]);
    let (standing, _) = judged(&[one("a1", "r41"), one("b1", "r42"), Some(Vec::new())]);
    assert_eq!(standing.to_string(), "r41 on web-1; r42 on web-2");
    assert_eq!(standing.word(), "SPLIT");
    let (standing, parts) = judged(&[one("a1", "r42"), None, Some(Vec::new())]);
    assert_eq!(
        standing,
        Standing::Unknown {
            release: Some(r(42)),
            hosts: vec![host("web-2")]
        }
    );
    assert_eq!(parts.len(), 1);
    assert_eq!(judged(&[None, None, None]).0.word(), "UNKNOWN");
    assert_eq!(
        judged(&[Some(vec![]), Some(vec![]), Some(vec![])]).0,
        Standing::Absent
    );
}

#[test]
fn who_holds_the_lock_is_in_progress_and_what_the_run_made_is_a_candidate() {
    let lock = || container("c1", State::Created, "role=lock run=7 actor=ops-b");
    let (standing, parts) = judged(&[
        Some(vec![
            lock(),
            container("a1", exited(0), "release=r41 run=1"),
            container("a2", UP, "release=r42 run=7"),
        ]),
        Some(vec![
            container("b1", UP, "release=r41 run=1"),
            container("b2", State::Created, "release=r42 run=7"),
        ]),
        Some(Vec::new()),
    ]);
    assert_eq!(standing.to_string(), "run 7 of ops-b is in progress");
    let expected = [
        ("a1", Part::Failed),
        ("a2", Part::Candidate),
        ("b1", Part::Active),
        ("b2", Part::Candidate),
    ];
    assert_eq!(parts, expected.map(|(id, part)| (id.to_owned(), part)));
}

#[test]
fn what_should_not_be_there_or_is_not_enough_is_drift_with_every_reason() {
    let (standing, parts) = judged(&[
        Some(vec![
            container("a1", UP, "release=r42 digest=d1 spec=s1"),
            container("a2", UP, "release=r41"),
            container("a3", State::Created, "release=r43"),
        ]),
        Some(vec![
            container("b1", UP, "release=r42 digest=d1 spec=s2"),
            container("b2", UP, "release=r42 digest=d1 spec=s2"),
        ]),
        Some(vec![container("c1", UP, "release=r42 digest=d1 spec=s1")]),
    ]);
    assert_eq!(
        standing.to_string().split("; ").collect::<Vec<_>>(),
        [
            "web-1: shop.a2 is running again next to r42",
            "web-1: shop.a3 is left over from an earlier run (created)",
            "web-2 runs 2 of 1 replicas",
            "web-3 runs r42 and is not in the configuration",
            "r42 has more than one specification: web-1, web-3 | web-2",
        ]
    );
    assert_eq!(parts[1], ("a2".to_owned(), Part::Revived));
    assert_eq!(parts[2], ("a3".to_owned(), Part::Orphan));
}

#[test]
fn with_a_replica_that_fell_it_is_not_converged_and_says_where_and_which() {
    let (standing, parts) = judged(&[
        Some(vec![container("a1", exited(1), "release=r42")]),
        Some(vec![container("b1", UP, "release=r42")]),
        Some(Vec::new()),
    ]);
    assert_eq!(standing.word(), "DRIFT");
    assert_eq!(
        standing.to_string(),
        "web-1 runs 0 of 1 replicas (shop.a1 exited)"
    );
    assert_eq!(parts[0].1, Part::Failed);
}

#[test]
fn what_is_down_everywhere_is_drift_of_what_ran_last_however_it_ended() {
    let ended = |code, at| State::Exited {
        code,
        at: Some(Stamp::from_seconds(at)),
        oom: false,
    };
    let (standing, parts) = judged(&[
        Some(vec![
            container("a1", ended(0, 2_000), "release=r42"),
            // It was rolled back from.
            container("a2", ended(137, 1_000), "release=r43"),
        ]),
        Some(Vec::new()),
        Some(Vec::new()),
    ]);
    let reasons = [
        "web-1 runs 0 of 1 replicas (shop.a1 exited)",
        "web-2 runs 0 of 1 replicas",
    ];
    let drift = Standing::Drift {
        release: r(42),
        reasons: reasons.map(str::to_owned).into(),
    };
    assert_eq!(standing, drift);
    let expected = [("a1", Part::Failed), ("a2", Part::Retained)];
    assert_eq!(parts, expected.map(|(id, part)| (id.to_owned(), part)));
    // What never ran was never released, and what left the configuration is in nobody's way.
    let created = || vec![container("a1", State::Created, "release=r42")];
    let (standing, _) = judged(&[Some(created()), Some(Vec::new()), Some(Vec::new())]);
    assert_eq!(standing, Standing::Absent);
    let elsewhere = vec![container("c1", exited(143), "release=r42")];
    let (standing, _) = judged(&[Some(Vec::new()), Some(Vec::new()), Some(elsewhere)]);
    assert_eq!(standing, Standing::Absent);
}

#[test]
fn where_a_host_is_not_reached_nothing_is_called_down() {
    let kept = || Some(vec![container("a1", exited(0), "release=r41")]);
    // r42's replica was removed on web-1; on web-2 it runs, for all that is known.
    let (standing, parts) = judged(&[kept(), None, None]);
    let unknown = Standing::Unknown {
        release: None,
        hosts: vec![host("web-2")],
    };
    assert_eq!(standing, unknown);
    assert_eq!(parts, [("a1".to_owned(), Part::Retained)]);
    let (standing, _) = judged(&[kept(), Some(Vec::new()), None]);
    assert_eq!(standing.word(), "DRIFT", "web-3 is not asked for");
}

#[test]
fn of_two_releases_that_ended_in_the_same_hour_none_is_called_the_last() {
    let ended = |at| State::Exited {
        code: 0,
        at: Some(Stamp::from_seconds(at)),
        oom: false,
    };
    let of = |at_41, at_42| {
        let there = vec![
            container("a1", ended(at_41), "release=r41"),
            container("a2", ended(at_42), "release=r42"),
        ];
        judged(&[Some(there), Some(Vec::new()), Some(Vec::new())]).0
    };
    assert_eq!(of(7_200, 7_200), Standing::Absent);
    for (at_41, at_42, last) in [(7_200, 3_600, 41), (3_600, 7_200, 42)] {
        let standing = of(at_41, at_42);
        assert!(
            matches!(standing, Standing::Drift { release, .. } if release == r(last)),
            "{standing:?}"
        );
    }
}

#[test]
fn a_service_that_left_the_configuration_is_told_of_and_without_any_configuration_nobody_is_blamed() {
    let name = host("web-1");
    let running = [container("a1", UP, "release=r42")];
    let seen = [HostSeen {
        host: &name,
        reached: true,
        containers: running.iter().collect(),
        adopted: &[],
    }];
    let other = Service {
        name: crate::domain::ids::ServiceName::parse("other").unwrap(),
        image: "other".to_owned(),
        build: None,
        tests: Vec::new(),
        stages: Vec::new(),
        deploy: None,
        pipeline: Vec::new(),
        environments: Vec::new(),
    };
    let of = |services: &[Service]| {
        let shop = Group::Service {
            name: crate::domain::ids::ServiceName::parse("shop").unwrap(),
            environment: None,
        };
        judge_all(services, &seen).remove(&shop).unwrap().standing
    };
    assert_eq!(
        of(&[other]).to_string(),
        "it runs, but is not in this configuration"
    );
    assert_eq!(of(&[]), Standing::Converged { release: r(42) });
}

/// Whatever labels say: what is converged is on every host that it is asked for, and no other release runs.
mod arbitrary {
    use proptest::prelude::*;

    use super::*;

    fn labels() -> impl Strategy<Value = String> {
        let release = prop_oneof![
            8 => Just("release=r42".to_owned()),
            2 => Just("release=r41".to_owned()),
            1 => "release=\\PC{0,12}",
            1 => "release=r[0-9]{1,12}",
        ];
        let rest = prop_oneof![
            4 => Just(String::new()),
            1 => Just(" role=lock run=7 actor=ops-b".to_owned()),
            1 => Just(" role=ledger".to_owned()),
            2 => " (run|role|previous|schema|replica)=\\PC{0,8}"
        ];
        (release, rest).prop_map(|(release, rest)| release + &rest)
    }

    fn state() -> impl Strategy<Value = State> {
        prop_oneof![
            8 => Just(UP),
            1 => Just(exited(0)),
            1 => Just(exited(1)),
            1 => Just(State::Restarting { code: None, since: None }),
            1 => Just(State::Created),
            1 => Just(State::Dead),
            1 => Just(State::Paused { since: None }),
        ]
    }

    fn there() -> impl Strategy<Value = Option<Vec<(State, String)>>> {
        prop::option::weighted(0.9, prop::collection::vec((state(), labels()), 0..3))
    }

    proptest! {
        // One in some forty is converged.
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn nothing_is_converged_that_is_not(fleet in prop::array::uniform3(there())) {
            let mut number = 0;
            let fleet = fleet.map(|host| {
                host.map(|all| {
                    all.iter()
                        .map(|(state, labels)| {
                            number += 1;
                            container(&format!("c{number}"), state.clone(), labels)
                        })
                        .collect::<Vec<_>>()
                })
            });
            if let (Standing::Converged { release }, _) = judged(&fleet) {
                for (at, host) in fleet.iter().enumerate() {
                    // The third is not asked for: what is not known of it is in nobody's way.
                    let Some(containers) = host else {
                        prop_assert_eq!(at, 2, "an unreached host is not known");
                        continue;
                    };
                    let is_lock = |container: &Container| container.label(label::ROLE) == Some("lock");
                    prop_assert!(!containers.iter().any(is_lock), "somebody is at it: {containers:?}");
                    let is_up = |container: &&Container| {
                        container.state.is_running() || matches!(container.state, State::Restarting { .. })
                    };
                    let up: Vec<ReleaseNumber> = containers
                        .iter()
                        .filter(|container| !container.is_housekeeping())
                        .filter(is_up)
                        .filter_map(Container::release)
                        .collect();
                    let asked: &[ReleaseNumber] = if at == 2 { &[] } else { &[release] };
                    prop_assert_eq!(up, asked, "{:?}", containers);
                }
            }
        }
    }
}
