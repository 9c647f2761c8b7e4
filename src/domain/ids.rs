//! Names and identifiers, each with its own type, validated where text is parsed.
//! A value of such a type is well-formed: short, printable, without separators.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::natural;

/// Longer names would not fit a table, a file name or a label.
const LONGEST_NAME: usize = 63;

/// A newtype over shared text whose `parse` admits only what `$admits` accepts; ordered by `$order`.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $admits:expr, $hint:literal, $order:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text; the fault names what was wrong and what is allowed.
            pub fn parse(text: &str) -> Result<Self, Fault> {
                let admits: fn(&str) -> bool = $admits;
                if admits(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(Fault::new(concat!("read the ", $what), format!("{text:?} is not allowed")).hint($hint))
                }
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                let order: fn(&str, &str) -> Ordering = $order;
                order(&self.0, &other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), &self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Fault;

            fn try_from(text: String) -> Result<Self, Fault> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    };
}

text_id!(
    /// A daemon's name in the configuration.
    HostName,
    "host name",
    |text| is_word(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')),
    "letters, digits, `.`, `-` and `_`, at most 63, beginning with a letter or a digit",
    natural::compare
);

text_id!(
    /// What is shipped; part of container names (`service.r42.1`), so it holds no dot.
    ServiceName,
    "service name",
    |text| is_word(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_')),
    "lower-case letters, digits, `-` and `_`, at most 63, beginning with a letter or a digit",
    natural::compare
);

text_id!(
    /// A container's full identifier as the daemon gave it (64 hex digits on Docker and Podman).
    ContainerId,
    "container id",
    |text| (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric()),
    "1 to 128 letters and digits",
    str::cmp
);

text_id!(
    /// An image's identifier on one daemon, `sha256:…`; after a push the digest takes its place.
    ImageId,
    "image id",
    |text| (1..=200).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == ':'),
    "`sha256:` and 64 hex digits",
    str::cmp
);

text_id!(
    /// What a registry calls an image by: the hash of its manifest, the same on every machine.
    Digest,
    "digest",
    |text| {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        hex.len() == 64 && hex.chars().all(|c| c.is_ascii_digit() || matches!(c, 'a'..='f'))
    },
    "`sha256:` and 64 hex digits",
    str::cmp
);

text_id!(
    /// One execution of a pipeline or a part of it; also the name of its directory. Sorts by time.
    RunId,
    "run id",
    |text| is_word(text, |c| c.is_ascii_alphanumeric() || c == '-'),
    "letters, digits and `-`, at most 63",
    str::cmp
);

impl ContainerId {
    /// The first twelve characters, as every Docker tool shows them.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl ImageId {
    /// The first twelve digits without the algorithm.
    #[must_use]
    pub fn short(&self) -> &str {
        let digits = self.0.strip_prefix("sha256:").unwrap_or(&self.0);
        digits.get(..12).unwrap_or(digits)
    }
}

impl Digest {
    /// The first twelve digits without the algorithm.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(7..19).unwrap_or(&self.0)
    }
}

/// One container of the whole fleet: ids are unique on a daemon only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContainerKey {
    pub host: HostName,
    pub id: ContainerId,
}

/// A release's number within a service and environment; shown as `r42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseNumber(pub u32);

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("r{}", self.0))
    }
}

fn is_word(text: &str, allowed: fn(char) -> bool) -> bool {
    text.len() <= LONGEST_NAME
        && text
            .chars()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_with_a_dot_is_refused_with_what_is_allowed() {
        let fault = ServiceName::parse("shop.eu").unwrap_err();
        assert!(fault.to_string().contains("shop.eu"), "{fault}");
        assert!(fault.hint.is_some());
    }

    #[test]
    fn a_short_id_is_twelve_characters_without_the_algorithm() {
        let id = ImageId::parse("sha256:0123456789abcdef").unwrap();
        assert_eq!(id.short(), "0123456789ab");
    }
}
