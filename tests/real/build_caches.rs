//! Layers from an image in a registry as build cache, and images for a requested platform.

use std::collections::BTreeMap;

use pilothouse::config::service::{Build, Builder};
use pilothouse::domain::ids::ImageId;
use pilothouse::domain::reference::Reference;
use pilothouse::hosts::registry::Login;
use pilothouse::runs::begin::logins::Logins;
use pilothouse::runs::step::build::{self, Order};
use pilothouse::runs::step::push::{self, Pushing};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::steps::{Told, built, connect, context, left, nothing_left, plan};
use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::image::BUSYBOX;
use crate::support::registry::{PASSWORD, Registry, USER};

const BOTH: [Builder; 2] = [Builder::Classic, Builder::BuildKit];

fn login() -> Login {
    Login::Password {
        username: USER.to_owned(),
        password: PASSWORD.to_owned(),
    }
}

async fn image(daemon: &Daemon, plan: &Build, tag: &str, logins: &Logins, told: &Told) -> ImageId {
    let order = Order {
        build: plan,
        tags: &[tag.to_owned()],
        labels: &BTreeMap::new(),
        secrets: &BTreeMap::new(),
        logins,
    };
    let (daemon, never) = (connect(daemon).await, CancellationToken::new());
    build::build(&daemon, order, &mut told.clone(), &never)
        .await
        .unwrap()
}

#[tokio::test]
async fn steps_of_an_image_in_a_guarded_registry_are_cached_on_a_daemon_that_never_built_it() {
    let daemons = fleet::lease(2);
    let registry = Registry::guarded();
    daemons[1].trust(registry.address());
    let cache = format!("{}/team/shop:main", registry.address());
    let logins = Logins::from([(registry.address().to_owned(), Some(login()))]);
    let mark = format!("cache mark {}", std::process::id());
    let folder = context(&format!("FROM {BUSYBOX}\nCOPY . /ctx\nRUN echo {mark}\n"));
    let mut first = plan(&daemons[0], &folder);
    first
        .args
        .insert("BUILDKIT_INLINE_CACHE".to_owned(), "1".to_owned());
    let id = image(&daemons[0], &first, &cache, &logins, &Told::default()).await;
    let reference = Reference::parse(&cache).unwrap();
    let pushing = Pushing {
        image: &id,
        references: &[reference],
        login: Some(&login()),
    };
    let from = connect(&daemons[0]).await;
    push::push(&from, pushing, &mut Told::default(), &CancellationToken::new())
        .await
        .unwrap();

    let mut second = plan(&daemons[1], &folder);
    second.cache_from = vec![cache];
    let cached = |told: &Told| {
        let lines = told.lines();
        let found = lines.iter().filter(|line| line.ends_with("CACHED"));
        found.count()
    };
    daemons[1].ask("POST", "/build/prune?all=1", &Value::Null);
    // Nobody there: it is said, and built.
    let nobody = Told::default();
    image(&daemons[1], &second, "shop:one", &Logins::new(), &nobody).await;
    assert_eq!(cached(&nobody), 0, "{:?}", nobody.lines());
    let refused = |line: &str| line.contains("no basic auth credentials") || line.contains("401");
    assert!(
        nobody
            .lines()
            .iter()
            .any(|line| line.contains("ERROR") && refused(line)),
        "{:?}",
        nobody.lines()
    );
    assert!(
        nobody.lines().iter().any(|line| line.ends_with(&mark)),
        "{:?}",
        nobody.lines()
    );
    daemons[1].ask("DELETE", "/images/shop:one?force=1", &Value::Null);
    daemons[1].ask("POST", "/build/prune?all=1", &Value::Null);
    let told = Told::default();
    image(&daemons[1], &second, "shop:one", &logins, &told).await;
    assert_eq!(cached(&told), 2, "{:?}", told.lines());
}

#[tokio::test]
async fn the_classic_builder_takes_layers_of_an_image_that_is_there() {
    let daemons = fleet::lease(2);
    let folder = context(&format!("FROM {BUSYBOX}\nRUN echo {}\n", std::process::id()));
    let mut plan = plan(&daemons[0], &folder);
    plan.builder = Builder::Classic;
    let id = image(&daemons[0], &plan, "shop:cache", &Logins::new(), &Told::default()).await;
    let (from, to) = (connect(&daemons[0]).await, connect(&daemons[1]).await);
    pilothouse::runs::step::image::transfer(&from, &to, &id, &mut Told::default(), &CancellationToken::new())
        .await
        .unwrap();
    daemons[1].ask(
        "POST",
        &format!("/images/{}/tag?repo=shop&tag=cache", id.as_str()),
        &Value::Null,
    );
    plan.cache_from = vec!["shop:cache".to_owned()];
    let told = Told::default();
    let again = image(&daemons[1], &plan, "shop:one", &Logins::new(), &told).await;
    assert_eq!(again, id);
    assert!(
        told.lines().iter().any(|line| line.contains("Using cache")),
        "{:?}",
        told.lines()
    );
}

#[tokio::test]
async fn the_hosts_own_platform_is_built_and_another_is_refused_in_words_that_say_why() {
    let daemons = fleet::lease(1);
    let (own, foreign) = if cfg!(target_arch = "aarch64") {
        ("linux/arm64", "linux/amd64")
    } else {
        ("linux/amd64", "linux/arm64")
    };
    let folder = context(&format!("FROM {BUSYBOX}\nRUN true\n"));
    for builder in BOTH {
        let mut plan = plan(&daemons[0], &folder);
        plan.builder = builder;
        plan.platform = Some(own.to_owned());
        let never = CancellationToken::new();
        let id = built(&daemons[0], &plan, &Told::default(), &never).await.unwrap();
        for name in ["shop:one", "registry.internal:5000/shop:two"] {
            daemons[0].ask("DELETE", &format!("/images/{name}?force=1"), &Value::Null);
        }
        drop(id);
        plan.platform = Some(foreign.to_owned());
        let fault = built(&daemons[0], &plan, &Told::default(), &never)
            .await
            .unwrap_err();
        let hint = fault.hint.clone().unwrap_or_default();
        assert!(
            hint.contains(own) && hint.contains(foreign),
            "{builder:?}: {fault:?}"
        );
        // Layers without a name are the builder's cache.
        let named: Vec<_> = left(&daemons[0])
            .into_iter()
            .filter(|left| !left.contains("<none>"))
            .collect();
        assert!(named.is_empty(), "{builder:?}: {named:?}");
    }
}

#[tokio::test]
async fn what_runs_nothing_is_built_for_another_platform_or_said_to_be_of_the_wrong_one() {
    let daemons = fleet::lease(1);
    let foreign = if cfg!(target_arch = "aarch64") {
        "amd64"
    } else {
        "arm64"
    };
    let folder = context("FROM scratch\nCOPY . /\n");
    for builder in BOTH {
        let mut plan = plan(&daemons[0], &folder);
        plan.builder = builder;
        plan.platform = Some(format!("linux/{foreign}"));
        let never = CancellationToken::new();
        match (builder, built(&daemons[0], &plan, &Told::default(), &never).await) {
            (Builder::BuildKit, built) => {
                let id = built.unwrap();
                let image = daemons[0].ask("GET", &format!("/images/{}/json", id.as_str()), &Value::Null);
                assert_eq!(image["Architecture"], foreign);
                for name in ["shop:one", "registry.internal:5000/shop:two"] {
                    daemons[0].ask("DELETE", &format!("/images/{name}?force=1"), &Value::Null);
                }
            }
            (_, Ok(id)) => {
                let image = daemons[0].ask("GET", &format!("/images/{}/json", id.as_str()), &Value::Null);
                assert_eq!(image["Architecture"], foreign);
            }
            (_, Err(fault)) => {
                assert!(
                    fault.why.contains(&format!("not for linux/{foreign}")),
                    "{fault:?}"
                );
                nothing_left(&daemons[0]);
            }
        }
    }
}
