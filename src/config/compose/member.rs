//! Finds the service of a compose file that corresponds to a configured service, and its Compose project.
//! Uses names and images only; settings are read from the running containers.

use super::yaml::{self, Entry, Node};
use super::{ComposeFault, fault};
use crate::domain::reference::Reference;

/// A service of a compose file, as its containers are labelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where the file itself names it; otherwise it depends on the folder that Compose was called in.
    pub project: Option<String>,
    pub service: String,
}

/// The service of that name; without one, the only one that runs an image of the repository.
pub fn member(text: &str, name: &str, repository: &str) -> Result<Member, ComposeFault> {
    let root = yaml::read(text)?;
    let Node::Map(entries) = &root.node else {
        return Err(fault(root.line, "a compose file begins with `services:`"));
    };
    let of = |key: &str| entries.iter().find(|entry| entry.key == key);
    let project = of("name").and_then(text_of);
    let services = match of("services").map(|entry| &entry.value.node) {
        Some(Node::Map(services)) => services.as_slice(),
        Some(_) | None => &[],
    };
    let found = |service: &Entry| Member {
        project: project.clone().filter(|name| !name.contains('$')),
        service: service.key.clone(),
    };
    if let Some(service) = services.iter().find(|service| service.key == name) {
        return Ok(found(service));
    }
    let of_image: Vec<&Entry> = services
        .iter()
        .filter(|service| runs(service, repository))
        .collect();
    let names = |services: &mut dyn Iterator<Item = &Entry>| {
        let names: Vec<&str> = services.map(|service| service.key.as_str()).collect();
        names.join(", ")
    };
    match of_image.as_slice() {
        [only] => Ok(found(only)),
        [] => Err(fault(
            0,
            format!(
                "no service is called {name} or runs {repository}; there are: {}",
                names(&mut services.iter())
            ),
        )),
        several => Err(fault(
            0,
            format!(
                "no service is called {name}, and several run {repository}: {}",
                names(&mut several.iter().copied())
            ),
        )),
    }
}

fn runs(service: &Entry, repository: &str) -> bool {
    let Node::Map(settings) = &service.value.node else {
        return false;
    };
    settings
        .iter()
        .find(|setting| setting.key == "image")
        .and_then(text_of)
        .and_then(|image| Reference::parse(&image).ok())
        .is_some_and(|image| image.same_repository(repository))
}

fn text_of(entry: &Entry) -> Option<String> {
    match &entry.value.node {
        Node::Text(text) => Some(text.clone()),
        Node::Nothing | Node::List(_) | Node::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "name: web\nservices:\n  shop:\n    image: other\n  front:\n    image: reg:5000/shop:1\n  a:\n    image: twice:1\n  b:\n    image: twice:2\n";

    #[test]
    fn a_service_is_found_by_its_name_then_by_its_image_and_never_guessed() {
        let of = |name: &str, repository: &str| member(FILE, name, repository).map(|member| member.service);
        assert_eq!(of("shop", "reg:5000/shop"), Ok("shop".to_owned()));
        assert_eq!(of("store", "reg:5000/shop"), Ok("front".to_owned()));
        let none = of("store", "nothing").unwrap_err();
        assert_eq!(
            none.to_string(),
            "no service is called store or runs nothing; there are: shop, front, a, b"
        );
        assert!(
            of("x", "twice")
                .unwrap_err()
                .to_string()
                .ends_with("several run twice: a, b")
        );
        assert_eq!(member(FILE, "shop", "x").unwrap().project.as_deref(), Some("web"));
    }
}
