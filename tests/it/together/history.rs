//! The history, from the ledgers of the hosts and from the runs of this machine, with filters.

use std::collections::BTreeSet;

use serde_json::Value;

use super::queue::SHOP;
use super::{Desk, Said, finish};

async fn by(desk: &Desk, person: &str, arguments: &[&str]) -> Said {
    let mut command = desk.command(arguments);
    command.env("PILOTHOUSE_ACTOR", person);
    finish(command).await
}

/// `deploy done r1→r2 by anna` of each, newest first.
fn told(said: &Said) -> Vec<String> {
    let words = |one: &Value| {
        let text = |key: &str| one[key].as_str().unwrap_or("–").to_owned();
        format!(
            "{} {} {} by {}",
            text("kind"),
            text("result"),
            one["to"],
            text("actor")
        )
    };
    said.json().as_array().unwrap().iter().map(words).collect()
}

fn kinds(said: &Said) -> Vec<String> {
    let kind = |one: &Value| one["kind"].as_str().unwrap().to_owned();
    said.json().as_array().unwrap().iter().map(kind).collect()
}

/// Two deploys, one that is undone, a rollback; and a test, which no ledger knows.
async fn lived() -> Desk {
    let desk = Desk::new(2, SHOP);
    let deploy = ["deploy", "shop", "--tag", "1", "--yes"];
    by(&desk, "anna", &deploy).await.exits(0);
    by(&desk, "ben", &[&deploy[..], &["--reason", "a fix"]].concat())
        .await
        .exits(0);
    desk.configure(&SHOP.replace("sleep infinity", "exit 7"));
    by(&desk, "ben", &deploy).await.exits(1);
    desk.configure(SHOP);
    by(&desk, "anna", &["rollback", "shop", "--yes"]).await.exits(0);
    by(&desk, "carl", &["test", "shop", "--tag", "1"]).await.exits(0);
    desk
}

#[tokio::test]
async fn any_bastion_reads_the_same_history_from_the_hosts_and_filters_it() {
    let desk = lived().await;
    let all = [
        "rollback committed 1 by anna",
        "deploy reverted 3 by ben",
        "deploy committed 2 by ben",
        "deploy committed 1 by anna",
    ];
    let here = desk.run(&["history", "shop", "--json"]).await.exits(0);
    assert_eq!(told(&here), all);
    // A home of its own, and nothing in it.
    let elsewhere = desk.dir().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let mut other = desk.command(&["history", "--json"]);
    other.env("HOME", &elsewhere);
    assert_eq!(finish(other).await.exits(0).json(), here.json());
    let first = &here.json()[0];
    let hosts: BTreeSet<&str> = first["told_by"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(hosts, BTreeSet::from(["host-1", "host-2"]));

    for (filter, wanted) in [
        (&["--by", "ben"][..], &all[1..3]),
        (&["--kind", "rollback"], &all[..1]),
        (&["--result", "reverted"], &all[1..2]),
        (&["--since", "1h"], &all[..]),
        (&["--since", "2020-01-01", "-n", "2"], &all[..2]),
        (&["--by", "nobody"], &[]),
        (
            &["--result", "done", "--by", "anna", "--kind", "deploy"],
            &all[3..],
        ),
    ] {
        let said = desk
            .run(&[&["history", "shop", "--json"], filter].concat())
            .await
            .exits(0);
        assert_eq!(told(&said), wanted, "{filter:?}");
    }
    let table = desk.run(&["history", "shop"]).await.exits(0);
    for word in ["r1 → r2", "a fix", "reverted", "host-1", "ben@"] {
        assert!(table.out.contains(word), "{word}: {}", table.out);
    }
    for wrong in ["yesterday", "2999-01-01"] {
        desk.run(&["history", "shop", "--since", wrong]).await.exits(2);
    }
    desk.run(&["history", "mail"]).await.exits(2);

    // One host away: the other's copy counts, and who did not answer is said.
    desk.fleet.engine("host-2").unwrap().refuse();
    let half = desk.run(&["history", "shop", "--json"]).await.exits(3);
    assert!(half.err.contains("host-2"), "{}", half.err);
    assert_eq!(told(&half), all);
    let one = desk
        .run(&["--host", "host-1", "history", "shop", "--json"])
        .await
        .exits(0);
    assert_eq!(told(&one), all);
}

#[tokio::test]
async fn runs_are_filtered_by_time_person_result_kind_and_host() {
    let desk = lived().await;
    let all = ["test", "rollback", "deploy", "deploy", "deploy"];
    for (filter, wanted) in [
        (&[][..], &all[..]),
        (&["--by", "carl"], &all[..1]),
        (&["--kind", "deploy"], &all[2..]),
        (&["--result", "reverted"], &all[2..3]),
        (
            &["--since", "30m", "--result", "done"],
            &["test", "rollback", "deploy", "deploy"],
        ),
        (&["--since", "2020-06-01T12:00", "-n", "3"], &all[..3]),
        (&["--host", "host-2"], &all[1..]),
        (&["--service", "shop", "--by", "ben"], &["deploy", "deploy"]),
        (&["--result", "dead"], &[]),
    ] {
        let said = desk.run(&[&["runs", "--json"], filter].concat()).await.exits(0);
        assert_eq!(kinds(&said), wanted, "{filter:?}");
    }
}
