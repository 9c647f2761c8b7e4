//! `[[registries]]`: where images are pushed to and pulled from.
//! Connects to none; access without TLS is a setting of each daemon.

use super::super::fault::Wrong;
use super::super::registry::{Account, Registry};
use super::super::section::Section;
use super::Names;
use super::secrets::secret;
use crate::domain::reference::{HUB, registry_of};

pub(super) fn read(section: &mut Section<'_>, names: &mut Names) -> Option<Registry> {
    let address = section.need("address").and_then(|value| {
        let address = value.parsed(address)?;
        names.claim("registry", &address, &value);
        Some(address)
    });
    let username = section.take("username");
    let password = section.take("password");
    let login = match (username, password) {
        (None, None) => None,
        (Some(username), Some(password)) => {
            let (username, password) = (username.word(), secret(&password));
            Some(Account {
                username: username?.to_owned(),
                password: password?,
            })
        }
        (Some(value), None) => {
            value.fault(Wrong::new("`username` has no `password`").hint(
                "`password = { command = [\"pass\", \"registry\"] }`, { env = \"…\" } or { file = \"…\" }; \
                 or neither: then `docker login` counts",
            ));
            return None;
        }
        (None, Some(value)) => {
            value.fault(Wrong::new("`password` has no `username`"));
            return None;
        }
    };
    Some(Registry {
        address: address?,
        login,
    })
}

/// As it stands before the first `/` of an image's name.
fn address(text: &str) -> Result<String, Wrong> {
    let wrong = |what: &str| Wrong::new(format!("{text:?} {what}"));
    let bare = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .map(|rest| rest.split('/').next().unwrap_or_default());
    if let Some(bare) = bare {
        return Err(wrong("is a URL").hint(format!(
            "\"{bare}\", as images' names begin; a registry without TLS is allowed to each daemon by its \
             `insecure-registries`"
        )));
    }
    if matches!(text, "index.docker.io" | "registry-1.docker.io") {
        return Err(wrong("is another name of Docker Hub").hint(format!("\"{HUB}\"")));
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if text.is_empty() || !text.chars().all(is_allowed) || registry_of(&format!("{text}/x")) != text {
        return Err(wrong("is not a registry address").hint("\"registry.internal:5000\", \"docker.io\""));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_an_images_name_begins_with() {
        for text in [
            "registry.internal:5000",
            "docker.io",
            "10.0.0.1:5000",
            "localhost",
            "[::1]:5000",
        ] {
            assert_eq!(address(text).unwrap(), text);
        }
        for text in [
            "",
            "registry",
            "registry.internal/team",
            "registry.internal:5000/",
            "a b.c",
        ] {
            assert!(address(text).is_err(), "{text}");
        }
        let url = address("https://registry.internal:5000/v2/").unwrap_err();
        assert!(url.hint.unwrap().contains("\"registry.internal:5000\""));
        assert!(
            address("index.docker.io")
                .unwrap_err()
                .hint
                .unwrap()
                .contains("docker.io")
        );
    }
}
