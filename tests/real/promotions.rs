//! Promotion between environments through a real registry: the image that was pushed once runs everywhere, by its digest.

use std::fs;

use serde_json::Value;

use super::registry_runs::{Shop, output, replica};
use crate::support::registry::Registry;

#[test]
fn what_runs_in_staging_is_pulled_by_its_digest_in_production_whatever_was_built_since() {
    let shop = Shop::new(Registry::open(), None);
    let environments = format!(
        "[services.environments.staging]\ndeploy.hosts = [\"{}\"]\n\
         [services.environments.production]\ndeploy.hosts = [\"{}\"]\n[state]",
        shop.daemons[0].name(),
        shop.daemons[1].name()
    );
    let config = fs::read_to_string(shop.program.config()).unwrap();
    fs::write(shop.program.config(), config.replace("[state]", &environments)).unwrap();
    shop.run(&["build", "shop"]).exits(0);
    shop.run(&["push", "shop"]).exits(0);
    let pinned = format!(
        "{}/team/shop@{}",
        shop.registry.address(),
        shop.digest("v1").unwrap()
    );
    shop.run(&["deploy", "shop.staging", "--yes"]).exits(0);
    assert_eq!(replica(&shop.daemons[0]).1, pinned);

    shop.write("two", "exit 0");
    shop.run(&["build", "shop"]).exits(0);
    shop.run(&["push", "shop"]).exits(0);
    let newer = shop.daemons[0].ask(
        "GET",
        &format!("/images/{}/team/shop:last-build/json", shop.registry.address()),
        &Value::Null,
    )["Id"]
        .clone();
    let plan = shop
        .run(&["promote", "shop", "staging", "production", "--dry-run"])
        .exits(0);
    assert!(plan.out.contains("pulled by"), "{}", plan.out);
    shop.run(&["promote", "shop", "staging", "production", "--yes"])
        .exits(0);
    let (staging, production) = (replica(&shop.daemons[0]), replica(&shop.daemons[1]));
    assert_eq!(production, staging);
    assert_eq!(production.1, pinned);
    assert_ne!(newer, production.0.as_str());
    let kept = output(&shop);
    let pulled = format!("{} pulled {pinned}", shop.daemons[1].name());
    assert!(kept.contains(&pulled), "{kept}");
}
