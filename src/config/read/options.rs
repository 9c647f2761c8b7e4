//! The keys of `[services.deploy]` for confinement, extra hosts, health check and logging.
//! Refuses what no daemon accepts; whether a daemon has a driver or capability is not checked here.

use std::collections::BTreeMap;

use super::super::fault::Wrong;
use super::super::options::{Log, Options};
use super::super::quantity::span;
use super::super::section::{Section, Value};
use super::super::test::HealthCheck;
use super::needs::check;
use super::stages::{name_of_option, pairs};
use super::testing::inside;

/// Docker's own limits for a check.
const MOST_RETRIES: u32 = 1_000;
const MOST_PIDS: u32 = 4_194_304;

/// What is not said stays as it is in `base`.
pub(super) fn read(section: &mut Section<'_>, base: Options) -> Options {
    let mut truth = |key, base| {
        let said = section.take(key).map(|value| value.truth().unwrap_or_default());
        said.unwrap_or(base)
    };
    let (read_only, no_new_privileges, init) = (
        truth("read_only", base.read_only),
        truth("no_new_privileges", base.no_new_privileges),
        truth("init", base.init),
    );
    let mut capabilities = |key, base| {
        let Some(value) = section.take(key) else {
            return base;
        };
        let items = value.list().unwrap_or_default();
        items.iter().filter_map(|item| item.parsed(capability)).collect()
    };
    let (cap_add, cap_drop) = (
        capabilities("cap_add", base.cap_add),
        capabilities("cap_drop", base.cap_drop),
    );
    Options {
        read_only,
        no_new_privileges,
        init,
        cap_add,
        cap_drop,
        tmpfs: section.take("tmpfs").map_or(base.tmpfs, |value| tmpfs(&value)),
        extra_hosts: section
            .take("extra_hosts")
            .map_or(base.extra_hosts, |value| extra_hosts(&value)),
        pids: section
            .take("pids")
            .map_or(base.pids, |value| value.whole(1..=MOST_PIDS)),
        working_dir: section
            .take("working_dir")
            .map_or(base.working_dir, |value| value.parsed(inside)),
        log: section.take("log").map_or(base.log, |value| log(&value)),
        healthcheck: section
            .take("healthcheck")
            .map_or(base.healthcheck, |value| healthcheck(&value)),
    }
}

/// `NET_ADMIN`, `CAP_NET_ADMIN`, `ALL`
pub(in crate::config) fn capability(text: &str) -> Result<String, Wrong> {
    let name = text.strip_prefix("CAP_").unwrap_or(text);
    if name.len() > 1 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
        return Ok(name.to_owned());
    }
    Err(Wrong::new(format!("{text:?} is not a capability")).hint("`NET_BIND_SERVICE`, `SYS_NICE`, `ALL`"))
}

/// `["/tmp", "/run:size=64m,mode=1777"]`
fn tmpfs(value: &Value<'_>) -> BTreeMap<String, String> {
    let place = |text: &str| {
        let (place, options) = text.split_once(':').unwrap_or((text, ""));
        Ok((inside(place)?, options.to_owned()))
    };
    let items = value.list().unwrap_or_default();
    items.iter().filter_map(|item| item.parsed(place)).collect()
}

/// `{ "db.internal" = "10.0.0.5", gateway = "host-gateway" }`
fn extra_hosts(value: &Value<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Some(mut section) = value.section("`extra_hosts`") else {
        return found;
    };
    for item in section.take_all() {
        let name = &item.key;
        if name.is_empty()
            || name.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '='))
        {
            item.fault(Wrong::new(format!("{name:?} cannot be the name of a host")));
        }
        let address = item.parsed(known_address);
        found.extend(address.map(|address| (name.clone(), address)));
    }
    section.finish();
    found
}

pub(in crate::config) fn known_address(text: &str) -> Result<String, Wrong> {
    if text == "host-gateway" || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{text:?} is not an address")).hint("`10.0.0.5`, `fd00::5` or `host-gateway`"))
}

/// `{ driver = "json-file", options = { max-size = "10m", max-file = "3" } }`
fn log(value: &Value<'_>) -> Option<Log> {
    let mut section = value.section("`log`")?;
    let driver = section
        .need("driver")
        .and_then(|value| value.word().map(str::to_owned));
    let options = match section.take("options") {
        Some(value) => pairs(&value, &name_of_option),
        None => Some(BTreeMap::new()),
    };
    section.finish();
    Some(Log {
        driver: driver?,
        options: options?,
    })
}

/// `{ command = ["wget", "-q", "http://localhost/"], interval = "10s" }`; `["NONE"]`: none, whatever the image says.
fn healthcheck(value: &Value<'_>) -> Option<HealthCheck> {
    let mut section = value.section("`healthcheck`")?;
    let test = section.need("command").and_then(|value| check(&value));
    let mut time = |key| match section.take(key) {
        Some(value) => value.parsed(span).map(Some),
        None => Some(None),
    };
    let (interval, timeout, start_period) = (time("interval"), time("timeout"), time("start_period"));
    let retries = match section.take("retries") {
        Some(value) => value.whole(1..=MOST_RETRIES).map(Some),
        None => Some(None),
    };
    section.finish();
    Some(HealthCheck {
        test: test?,
        interval: interval?,
        timeout: timeout?,
        start_period: start_period?,
        retries: retries?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_docker_s_words_with_or_without_their_prefix() {
        assert_eq!(capability("CAP_NET_ADMIN").unwrap(), "NET_ADMIN");
        assert_eq!(capability("ALL").unwrap(), "ALL");
        for text in ["", "net_admin", "CAP_", "NET ADMIN"] {
            assert!(capability(text).is_err(), "{text}");
        }
    }
}
