//! `networks = ["edge", { name = "db", aliases = ["shop-api"] }]`: the networks of a replica, and its aliases.
//! Probes and tests use the first one.

use std::collections::BTreeMap;

use super::super::fault::Wrong;
use super::super::section::Value;
use super::spec::is_name;

/// The names in their order, and the aliases where there are any.
pub(super) fn read(value: &Value<'_>) -> (Vec<String>, BTreeMap<String, Vec<String>>) {
    let mut names: Vec<String> = Vec::new();
    let mut aliases = BTreeMap::new();
    for item in value.list().unwrap_or_default() {
        let mut others = Vec::new();
        let name = if item.is_text() {
            item.parsed(network)
        } else if let Some(mut section) = item.section("a network") {
            let name = section.need("name").and_then(|value| value.parsed(network));
            let said = section.take("aliases").and_then(|value| value.list());
            others.extend(
                said.unwrap_or_default()
                    .iter()
                    .filter_map(|item| item.parsed(alias)),
            );
            section.finish();
            name
        } else {
            None
        };
        let Some(name) = name else { continue };
        if names.contains(&name) {
            item.fault(Wrong::new(format!("a second network {name}")));
        }
        if !others.is_empty() {
            aliases.insert(name.clone(), others);
        }
        names.push(name);
    }
    (names, aliases)
}

fn network(text: &str) -> Result<String, Wrong> {
    if is_name(text) && text.len() > 1 {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("{text:?} is not a network name")).hint("letters, digits, `_`, `.`, `-`"))
    }
}

fn alias(text: &str) -> Result<String, Wrong> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("{text:?} is not a network alias")).hint("letters, digits, `_`, `.`, `-`"))
    }
}
