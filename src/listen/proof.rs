//! Authenticates a delivery by GitHub's signature, GitLab's signature, or GitLab's token, in constant time.
//! Works on bytes only; they are parsed after they are authenticated.
//!
//! <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>,
//! <https://docs.gitlab.com/user/project/integrations/webhooks/>, <https://www.standardwebhooks.com>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::HeaderMap;
use sha2::Sha256;

use crate::domain::fault::Fault;
use crate::domain::units::Stamp;

/// What a signing token of GitLab begins with.
const SIGNING: &str = "whsec_";
/// A clock may be wrong by so many seconds; an older delivery is one that somebody kept.
const FRESH: u64 = 300;
/// A sender that changes its key signs with both of them.
const MOST_SIGNATURES: usize = 8;
/// Shorter ones can be guessed.
const SHORTEST: usize = 8;

/// What a configured secret is for.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// GitHub signs with it, GitLab sends it as its token.
    Shared(Vec<u8>),
    /// GitLab signs with it: then nothing less is taken.
    Signing(Vec<u8>),
}

impl Key {
    /// The fault never holds the secret.
    pub(super) fn parse(secret: &str) -> Result<Self, Fault> {
        let what = "use the webhook's secret";
        if let Some(text) = secret.strip_prefix(SIGNING) {
            return match STANDARD.decode(text) {
                Ok(key) if key.len() >= SHORTEST => Ok(Self::Signing(key)),
                Ok(_) | Err(_) => Err(Fault::new(
                    what,
                    "it begins like a GitLab signing token, but is not one",
                )),
            };
        }
        if secret.len() < SHORTEST {
            return Err(Fault::new(
                what,
                format!("it is shorter than {SHORTEST} bytes: it could be guessed"),
            )
            .hint("openssl rand -hex 32"));
        }
        Ok(Self::Shared(secret.as_bytes().to_vec()))
    }
}

/// How a delivery was proven, with what of it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proven {
    /// GitHub's signature: the body, and no header.
    Body,
    /// GitLab's signature.
    BodyAndId { id: String },
    /// GitLab's token: who knows it sent this, and could have written anything.
    Token,
}

/// What a delivery brings to prove itself.
#[derive(Debug)]
pub(super) struct Proof<'h> {
    /// Decoded; empty where it is no signature at all.
    github: Option<Vec<u8>>,
    signed: Option<Signed<'h>>,
    token: Option<&'h [u8]>,
}

#[derive(Debug)]
struct Signed<'h> {
    id: &'h str,
    timestamp: &'h str,
    signatures: Vec<Vec<u8>>,
}

impl<'h> Proof<'h> {
    /// `None`: it brings nothing.
    pub(super) fn of(headers: &'h HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let github = text("x-hub-signature-256").map(|text| {
            text.strip_prefix("sha256=")
                .and_then(|hex| hex::decode(hex).ok())
                .unwrap_or_default()
        });
        let signed = text("webhook-signature").map(|text| Signed {
            id: self::text(headers, "webhook-id"),
            timestamp: self::text(headers, "webhook-timestamp"),
            signatures: text
                .split(' ')
                .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
                .take(MOST_SIGNATURES)
                .collect(),
        });
        let token = headers
            .get("x-gitlab-token")
            .map(hyper::header::HeaderValue::as_bytes);
        (github.is_some() || signed.is_some() || token.is_some()).then_some(Self {
            github,
            signed,
            token,
        })
    }

    /// `None`: not with this key. A signature that does not hold is never made good by a token beside it.
    pub(super) fn with(&self, key: &Key, body: &[u8], now: Stamp) -> Option<Proven> {
        match (key, &self.github, &self.signed) {
            (Key::Shared(key), Some(signature), _) => holds(key, &[body], signature).then_some(Proven::Body),
            (Key::Shared(key), None, _) => {
                // Two tags under one key are equal when the texts are: compared in constant time, whatever their lengths.
                let expected = tag(key, &[key])?.finalize().into_bytes();
                holds(key, &[self.token?], &expected).then_some(Proven::Token)
            }
            (Key::Signing(key), _, Some(signed)) => {
                let sent: i64 = signed.timestamp.parse().ok()?;
                let is_fresh = now.seconds().abs_diff(sent) <= FRESH;
                let parts: [&[u8]; 5] = [
                    signed.id.as_bytes(),
                    b".",
                    signed.timestamp.as_bytes(),
                    b".",
                    body,
                ];
                let holds = signed
                    .signatures
                    .iter()
                    .any(|signature| holds(key, &parts, signature));
                (holds && is_fresh && !signed.id.is_empty()).then(|| Proven::BodyAndId {
                    id: signed.id.to_owned(),
                })
            }
            (Key::Signing(_), _, None) => None,
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn tag(key: &[u8], parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac)
}

fn holds(key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
    tag(key, parts).is_some_and(|mac| mac.verify_slice(signature).is_ok())
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    const NOW: Stamp = Stamp(1_795_265_000_000_000_000);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    fn proven(pairs: &[(&'static str, &str)], key: &str, body: &str) -> Option<Proven> {
        let headers = headers(pairs);
        Proof::of(&headers)?.with(&Key::parse(key).unwrap(), body.as_bytes(), NOW)
    }

    /// The example of GitHub's own documentation.
    #[test]
    fn githubs_own_example_holds_and_nothing_near_it_does() {
        let (key, body) = ("It's a Secret to Everybody", "Hello, World!");
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let with = |signature: &str, key, body| proven(&[("x-hub-signature-256", signature)], key, body);
        assert_eq!(with(good, key, body), Some(Proven::Body));
        assert_eq!(
            with(&good.to_uppercase().replace("SHA", "sha"), key, body),
            Some(Proven::Body)
        );
        for (signature, key, body) in [
            (good, "It's a Secret to Nobody", body),
            (good, key, "Hello, World?"),
            (good.get(..good.len() - 2).unwrap(), key, body),
            (good.strip_prefix("sha256=").unwrap(), key, body),
            ("sha256=", key, body),
            ("", key, body),
        ] {
            assert_eq!(with(signature, key, body), None, "{signature}");
        }
    }

    #[test]
    fn a_token_beside_a_wrong_signature_is_not_looked_at() {
        let key = "a shared secret";
        assert_eq!(proven(&[("x-gitlab-token", key)], key, "{}"), Some(Proven::Token));
        assert_eq!(proven(&[("x-gitlab-token", "a shared secreT")], key, "{}"), None);
        assert_eq!(proven(&[("x-gitlab-token", "")], key, "{}"), None);
        let both = [("x-gitlab-token", key), ("x-hub-signature-256", "sha256=00")];
        assert_eq!(proven(&both, key, "{}"), None);
    }

    #[test]
    fn a_signing_token_wants_a_fresh_signature_over_id_time_and_body() {
        let key = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let now = NOW.seconds().to_string();
        let raw = b"0123456789abcdef0123456789abcdef";
        let sign = |id: &str, time: &str, body: &str| {
            let parts = [id.as_bytes(), b".", time.as_bytes(), b".", body.as_bytes()];
            let mac = tag(raw, &parts).unwrap().finalize().into_bytes();
            format!("v1,{}", STANDARD.encode(mac))
        };
        let with = |id: &str, time: &str, signature: &str| {
            let pairs = [
                ("webhook-id", id),
                ("webhook-timestamp", time),
                ("webhook-signature", signature),
                ("x-gitlab-token", key),
            ];
            proven(&pairs, key, "{}")
        };
        let good = sign("id-1", &now, "{}");
        let told = Some(Proven::BodyAndId {
            id: "id-1".to_owned(),
        });
        assert_eq!(with("id-1", &now, &good), told);
        assert_eq!(with("id-1", &now, &format!("v1,AAAA v2,xx {good}")), told);
        assert_eq!(with("id-2", &now, &good), None);
        let stale = (NOW.seconds() - 301).to_string();
        assert_eq!(with("id-1", &stale, &sign("id-1", &stale, "{}")), None);
        assert_eq!(with("", &now, &sign("", &now, "{}")), None);
        // The token alone is less than what was configured.
        assert_eq!(proven(&[("x-gitlab-token", key)], key, "{}"), None);
    }

    #[test]
    fn a_secret_that_can_be_guessed_or_is_broken_is_refused_without_being_shown() {
        for text in ["pw-1234", "whsec_", "whsec_!!!not-base64", ""] {
            let fault = Key::parse(text).err().unwrap();
            assert!(text.is_empty() || !format!("{fault:?}").contains(text), "{fault}");
        }
    }
}
