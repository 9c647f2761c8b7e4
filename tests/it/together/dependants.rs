//! Dependent services, built by one command: each after the service it depends on has succeeded.

use pilothouse::domain::ids::RunId;
use pilothouse::domain::run::{Outcome, RunStatus};
use pilothouse::release::record::Entry;

use super::Desk;

/// `base`, `lib` on it, `app` on both.
fn stack() -> Desk {
    let service = |name: &str, after: &str| {
        format!(
            "[[services]]\nname = \"{name}\"\nimage = \"{name}\"\n{after}\n[services.build]\nhost = \"host-1\"\n\
             context = \"{{dir}}/{name}\"\ntag = \"v{{run.number}}\"\n"
        )
    };
    let text = [
        service("app", "after = [\"lib\", \"base\"]"),
        service("lib", "after = [\"base\"]"),
        service("base", ""),
    ];
    let desk = Desk::new(1, &text.concat());
    dockerfile(&desk, "base", "FROM sim/box:1\nRUN sleep 0.2");
    dockerfile(&desk, "lib", "FROM base:last-build\nRUN echo lib");
    dockerfile(&desk, "app", "FROM lib:last-build\nRUN echo app");
    desk
}

fn dockerfile(desk: &Desk, name: &str, text: &str) {
    let folder = desk.dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Dockerfile"), format!("{text}\n")).unwrap();
}

#[tokio::test]
async fn what_stands_on_it_is_built_behind_it_although_nobody_stays() {
    let desk = stack();
    let said = desk
        .run(&["build", "base", "--with-dependants", "--detach"])
        .await
        .exits(0);
    let runs: Vec<RunId> = said.out.lines().map(|id| RunId::parse(id).unwrap()).collect();
    let mut before = None;
    for (run, service) in runs.iter().zip(["base", "lib", "app"]) {
        assert_eq!(desk.ended(run).await, 0, "{:#?}", desk.view(run));
        assert_eq!(desk.view(run).unwrap().service.as_str(), service);
        let records = desk.records(run);
        let is_step = |entry: &Entry| matches!(entry, Entry::Intent(_));
        let began = records
            .iter()
            .find(|record| is_step(&record.entry))
            .map(|record| record.at);
        assert!(
            began > before,
            "{service} began before what it stands on had ended"
        );
        before = records.last().map(|record| record.at);
    }
    assert_eq!(runs.len(), 3);
    let waited = desk
        .records(&runs[2])
        .into_iter()
        .find_map(|record| match record.entry {
            Entry::Waits { text } => Some(text),
            _ => None,
        });
    let waited = waited.expect("it is said for whom it waits");
    assert!(
        waited.contains("of lib") || waited.contains("of base"),
        "{waited}"
    );
}

#[tokio::test]
async fn what_it_stands_on_failed_and_nothing_behind_it_begins() {
    let desk = stack();
    dockerfile(&desk, "base", "FROM sim/box:1\nRUN exit 3");
    let said = desk
        .run(&["build", "base", "--with-dependants", "--json"])
        .await
        .exits(1);
    let views = said.json();
    assert_eq!(views.as_array().unwrap().len(), 3);
    for service in ["lib", "app"] {
        assert!(
            said.err.contains(&format!(
                "build {service}: everything is as before: it was not started: run "
            )),
            "{service}: {}",
            said.err
        );
    }
    assert!(
        said.err.contains("of base, which it depends on, failed"),
        "{}",
        said.err
    );
    let ids = views
        .as_array()
        .unwrap()
        .iter()
        .map(|view| view["id"].as_str().unwrap());
    for id in ids.skip(1) {
        let records = desk.records(&RunId::parse(id).unwrap());
        assert!(
            !records
                .iter()
                .any(|record| matches!(record.entry, Entry::Intent(_)))
        );
    }
}

#[tokio::test]
async fn the_base_alone_is_what_is_built_unless_more_is_said_and_the_plan_says_who_stands_on_it() {
    let desk = stack();
    let plan = desk.run(&["build", "base", "--dry-run"]).await.exits(0);
    assert!(plan.out.contains("lib, app: --with-dependants"), "{}", plan.out);
    let all = desk
        .run(&["build", "base", "--with-dependants", "--dry-run"])
        .await
        .exits(0);
    let (lib, app) = (all.out.find("build lib"), all.out.find("build app"));
    assert!(lib.is_some() && lib < app, "{}", all.out);
    desk.run(&["build", "base"]).await.exits(0);
    let runs = desk.run(&["runs", "--json"]).await.exits(0).json();
    assert_eq!(runs.as_array().unwrap().len(), 1);
    let none = desk.run(&["build", "app", "--with-dependants"]).await.exits(2);
    assert!(none.err.contains("after = [\"app\"]"), "{}", none.err);
    let test = desk.run(&["test", "base", "--with-dependants"]).await;
    assert_ne!(test.code, Some(0));
}

#[tokio::test]
async fn one_that_waits_for_what_it_stands_on_is_cancelled_alone_and_the_next_is_not_begun() {
    let desk = stack();
    dockerfile(&desk, "base", "FROM sim/box:1\nRUN sleep 5");
    let said = desk
        .run(&["build", "base", "--with-dependants", "--detach"])
        .await
        .exits(0);
    let runs: Vec<RunId> = said.out.lines().map(|id| RunId::parse(id).unwrap()).collect();
    desk.until(&runs[1], "it waits", |view| view.waiting.is_some())
        .await;
    desk.run(&["cancel", runs[1].as_str()]).await.exits(0);
    assert_eq!(desk.ended(&runs[1]).await, 130);
    assert_eq!(desk.ended(&runs[0]).await, 0);
    assert_eq!(desk.ended(&runs[2]).await, 1);
    assert!(matches!(
        desk.view(&runs[2]).unwrap().status,
        RunStatus::Closed {
            outcome: Outcome::Reverted { .. },
            ..
        }
    ));
}

#[tokio::test]
async fn one_of_them_that_is_in_progress_locks_all_of_them_out() {
    let desk = stack();
    dockerfile(&desk, "app", "FROM sim/box:1\nRUN sleep 30");
    let holder = desk.begin(&["build", "app"]).await;
    desk.until(&holder, "it is in progress", |view| {
        view.waiting.is_none() && view.is_open()
    })
    .await;
    let all = ["build", "base", "--with-dependants", "--no-wait"];
    let said = desk.run(&all).await.exits(4);
    assert!(said.err.contains("(after base)"), "{}", said.err);
    let plan = desk
        .run(&[&all[..], &["--dry-run", "--json"]].concat())
        .await
        .exits(4)
        .json();
    assert_eq!(
        (
            plan["refusals"].as_array().unwrap().len(),
            plan["locked"].as_array().unwrap().len()
        ),
        (0, 1)
    );
    desk.run(&["cancel", holder.as_str()]).await.exits(0);
    assert_eq!(desk.ended(&holder).await, 130);
}
