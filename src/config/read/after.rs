//! `after`: the services whose images this one's is based on.
//! Read when all services are known; a cycle is reported with its members.

use super::super::after::After;
use super::super::fault::Wrong;
use super::super::nearest::nearest;
use super::super::section::Value;
use super::super::service::Service;
use super::Names;
use crate::domain::ids::ServiceName;

/// `after` of each service that has one. `names`: also of services that have a fault of their own.
pub(super) fn read(said: &[(ServiceName, Value<'_>)], services: &[Service], names: &Names) -> After {
    let mut after = After::default();
    for (service, value) in said {
        let builds = |name: &ServiceName| {
            let known = services.iter().find(|known| known.name == *name);
            known.is_none_or(|known| known.build.is_some())
        };
        if !builds(service) {
            let wrong = format!("{service} has no [services.build]: it is not based on an image");
            value.fault(Wrong::new(wrong).hint("remove `after`, or add [services.build]"));
            continue;
        }
        for item in value.list().unwrap_or_default() {
            let Some(on) = item.parsed(|text| one(text, service, names)) else {
                continue;
            };
            if !builds(&on) {
                item.fault(Wrong::new(format!(
                    "{on} has no [services.build]: it builds no image"
                )));
            } else if !after.of(service).contains(&on) {
                after.stands(service.clone(), on);
            }
        }
    }
    for (service, value) in said {
        // A cycle is said once, at the first of its names.
        if let Some(way) = after.cycle(service)
            && way.iter().min() == Some(service)
        {
            let way: Vec<&str> = way.iter().map(ServiceName::as_str).collect();
            let wrong = format!("{service} depends on itself: {}", way.join(" depends on "));
            value.fault(Wrong::new(wrong).hint("remove one of these `after` entries"));
        }
    }
    after
}

fn one(text: &str, service: &ServiceName, names: &Names) -> Result<ServiceName, Wrong> {
    let name = ServiceName::parse(text).map_err(|fault| Wrong::new(fault.to_string()))?;
    let known = || names.0.keys().map(String::as_str);
    if name == *service {
        return Err(Wrong::new(format!("{service} depends on itself"))
            .hint("name the service whose image it is based on"));
    }
    if known().any(|known| known == text) {
        return Ok(name);
    }
    let others: Vec<&str> = known().filter(|known| *known != service.as_str()).collect();
    Err(
        Wrong::new(format!("there is no service {text}")).hint(match nearest(text, known()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if others.is_empty() => "there is no other service in the configuration".to_owned(),
            None => format!("there is {}", others.join(", ")),
        }),
    )
}
