//! An image reference, parsed: registry, repository, tag, digest.
//! Text only; which image it refers to is known to daemons and registries.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::ids::Digest;

/// The registry of names without one.
pub const HUB: &str = "docker.io";

/// An image reference: `registry:5000/shop:v3`, `shop@sha256:…`.
/// <https://github.com/distribution/reference>
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |why: &str| {
            Fault::new("read the image's name", format!("{text:?} {why}"))
                .hint("`registry:5000/shop:v3` or `registry:5000/shop@sha256:…`")
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            Some(_) | None => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(fault("has an invalid tag"));
        }
        let is_name = |text: &str| {
            !text.is_empty()
                && text.len() <= 255
                && !text.starts_with('/')
                && !text.ends_with('/')
                && !text.contains("//")
                && text.chars().all(|c| {
                    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '[' | ']')
                })
        };
        if !is_name(repository) {
            return Err(fault("is not an image name"));
        }
        Ok(Self {
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// `registry:5000/shop`
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The registry it is pushed to and pulled from: `registry:5000`; `docker.io` if the name has none.
    #[must_use]
    pub fn registry(&self) -> &str {
        registry_of(&self.repository)
    }

    /// The same repository, by digest: what a push binds an image to.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self {
            repository: self.repository.clone(),
            tag: None,
            digest: Some(digest),
        }
    }

    /// The same repository under this tag.
    pub fn tagged(&self, tag: &str) -> Result<Self, Fault> {
        Self::parse(&format!("{}:{tag}", self.repository))
    }

    /// `registry:5000/shop@3f2a91c01b2c`, for people.
    #[must_use]
    pub fn short(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{}", self.repository, digest.short()),
            None => self.to_string(),
        }
    }

    /// Whether both have the same repository, in any notation (`shop` is `docker.io/library/shop`).
    #[must_use]
    pub fn same_repository(&self, other: &str) -> bool {
        familiar(&self.repository) == familiar(other)
    }
}

/// The registry that a repository's name begins with.
#[must_use]
pub fn registry_of(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        Some(_) | None => HUB,
    }
}

/// The names people use for Docker Hub.
fn familiar(repository: &str) -> &str {
    let rest = repository.strip_prefix("docker.io/").unwrap_or(repository);
    rest.strip_prefix("library/").unwrap_or(rest)
}

/// Whether a registry accepts it as a tag.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=128).contains(&text.len()) && text.chars().all(is_inside) && !text.starts_with(['.', '-'])
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({self})")
    }
}

impl TryFrom<String> for Reference {
    type Error = Fault;

    fn try_from(text: String) -> Result<Self, Fault> {
        Self::parse(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "0a".repeat(32))
    }

    #[test]
    fn a_name_is_taken_apart_and_put_together_again() {
        let digest = digest();
        for (text, registry, tag, has_digest) in [
            ("shop".to_owned(), HUB, None, false),
            ("team/shop:v3".to_owned(), HUB, Some("v3"), false),
            ("registry:5000/shop".to_owned(), "registry:5000", None, false),
            (
                "registry:5000/a/b:v3".to_owned(),
                "registry:5000",
                Some("v3"),
                false,
            ),
            ("localhost/shop:x".to_owned(), "localhost", Some("x"), false),
            (format!("r.example/shop@{digest}"), "r.example", None, true),
            (
                format!("r.example/shop:v3@{digest}"),
                "r.example",
                Some("v3"),
                true,
            ),
        ] {
            let read = Reference::parse(&text).unwrap();
            assert_eq!(read.registry(), registry, "{text}");
            assert_eq!(read.tag(), tag, "{text}");
            assert_eq!(read.digest().is_some(), has_digest, "{text}");
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            ":v3",
            "shop:",
            "shop:-x",
            "shop@sha256:00",
            "a b",
            "a//b",
            "/a",
            "shop:v1\n",
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_hub_is_the_same_however_it_is_written() {
        let shop = Reference::parse("docker.io/library/busybox:1").unwrap();
        assert!(shop.same_repository("busybox"));
        assert!(!shop.same_repository("registry:5000/busybox"));
    }
}
