//! How a service is replaced and when it is good, as it is written in `[services.deploy]`.

use super::super::service::{Batch, Deploy, HttpProbe, OnFailure, Order, Probe, Rolling, Strategy};
use super::*;

fn text(deploy: &str) -> String {
    format!(
        "[[hosts]]\nname = \"a\"\nurl = \"unix:///a\"\n[[hosts]]\nname = \"b\"\nurl = \"unix:///b\"\n[[services]]\n\
         name = \"shop\"\nimage = \"shop\"\n[services.deploy]\nhosts = [\"a\", \"b\"]\n{deploy}\n"
    )
}

fn deploy(lines: &str) -> Deploy {
    loaded(&text(lines)).services[0].deploy.clone().unwrap()
}

#[test]
fn a_rolling_deploy_has_a_batch_an_order_a_canary_and_a_way_to_fail() {
    assert_eq!(deploy("").strategy, Strategy::Recreate);
    assert_eq!(
        deploy("strategy = \"rolling\"").strategy,
        Strategy::Rolling(Rolling::default())
    );
    let whole = "strategy = \"rolling\"\nbatch = \"25%\"\norder = \"start-first\"\non_failure = \"pause\"\ncanary = \"b\"\nbake = \"30s\"";
    let deploy = deploy(whole);
    assert_eq!(
        deploy.strategy,
        Strategy::Rolling(Rolling {
            batch: Batch::Percent(25),
            order: Order::StartFirst,
            on_failure: OnFailure::Pause,
            canary: Some(HostName::parse("b").unwrap()),
        })
    );
    assert_eq!(deploy.bake, Duration::from_secs(30));
    let written = serde_json::to_string(&deploy).unwrap();
    assert_eq!(serde_json::from_str::<Deploy>(&written).unwrap(), deploy);
}

#[test]
fn what_cannot_be_meant_is_said() {
    for (lines, word) in [
        ("strategy = \"blue\"", "it may be `recreate` or `rolling`"),
        ("batch = 2", "`batch` has no effect with the strategy `recreate`"),
        (
            "strategy = \"recreate\"\ncanary = \"a\"",
            "`canary` has no effect",
        ),
        ("strategy = \"rolling\"\nbatch = 0", "`batch` must be from 1"),
        (
            "strategy = \"rolling\"\nbatch = \"0%\"",
            "\"0%\" is not a batch size",
        ),
        ("strategy = \"rolling\"\nbatch = \"150%\"", "is not a batch size"),
        (
            "strategy = \"rolling\"\ncanary = \"c\"",
            "\"c\" is not one of its hosts",
        ),
        (
            "strategy = \"rolling\"\norder = \"both\"",
            "`stop-first` or `start-first`",
        ),
        ("health = { http = \"/x\", tcp = 80 }", "only one of"),
        ("health = { http = \"healthz\" }", "is not a path"),
        ("health = { http = \"/a b\" }", "escape them"),
        (
            "health = { http = \"/x\", ca = \"ca.pem\" }",
            "`ca` has no effect with http",
        ),
        ("health = { port = 80 }", "`port` has no effect with no probe"),
        ("health = { tcp = 0 }", "`tcp` must be from 1"),
        ("health = { tcp = 80, times = 0 }", "`times` must be from 1"),
        (
            "health = { http = \"/x\", host = \"a:80\" }",
            "is not a host name",
        ),
        (
            "health = { http = \"/x\", status = 700 }",
            "`status` must be from 100",
        ),
    ] {
        let faults = faults_of(&text(lines));
        assert!(faults.contains(word), "{lines}: {faults}");
    }
}

#[test]
fn an_environment_that_is_replaced_otherwise_does_not_inherit_what_belongs_to_waves() {
    let config = loaded(&text(
        "strategy = \"rolling\"\nbatch = 2\ncanary = \"a\"\n[services.environments.one.deploy]\nstrategy = \"recreate\"\n\
         [services.environments.two.deploy]\nhosts = [\"b\"]",
    ));
    let strategy = |n: usize| {
        let environment = &config.services[0].environments[n];
        environment.service.deploy.clone().unwrap().strategy
    };
    assert_eq!(strategy(0), Strategy::Recreate);
    assert_eq!(
        strategy(1),
        Strategy::Rolling(Rolling {
            batch: Batch::Count(2),
            ..Rolling::default()
        })
    );
}

#[test]
fn a_probe_is_of_one_kind_with_what_belongs_to_it() {
    let gate = deploy("health = { https = \"/up?x=1\", port = 8443, host = \"shop.example\", ca = \"ca.pem\", status = 204, times = 3, timeout = \"1s\" }").gate;
    let Some(Probe::Http(HttpProbe {
        tls,
        path,
        port,
        host,
        status,
    })) = gate.probe
    else {
        panic!("{gate:?}")
    };
    assert!(tls.unwrap().ca.unwrap().is_absolute());
    assert_eq!(
        (path.as_str(), port, host.as_deref(), status),
        ("/up?x=1", 8443, Some("shop.example"), Some(204))
    );
    assert_eq!((gate.times, gate.timeout), (3, Duration::from_secs(1)));
    let gate = deploy("health = { tcp = 5432 }").gate;
    assert_eq!(gate.probe, Some(Probe::Tcp(5432)));
    assert_eq!(deploy("").gate.probe, None);
}
