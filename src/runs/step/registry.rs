//! What push and pull have in common: layers in progress, and the meaning of a registry's refusal.
//! Temporary refusals are retried with growing delays; others are reported at once, with a remedy.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Progress;
use crate::domain::units::Bytes;
use crate::hosts::registry::{Line, Lines, Refusal};

/// A daemon pushes a large layer for minutes, and says so all the time.
const STALL_LIMIT: Duration = Duration::from_mins(5);
/// No image has more; what a daemon says beyond that is not kept.
const MOST_LAYERS: usize = 1_000;

/// How long a registry is waited for that may come to itself.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// Between one try and the next.
    pub(super) pauses: &'static [Duration],
    /// No new try after this, from the first on: the daemon has waited by itself before it gave up.
    pub(super) at_most: Duration,
}

impl Patience {
    /// Before try number `tries` (the second one is 1); `None`: it is enough. `jitter` is from 0 to 1.
    pub(super) fn pause(self, tries: usize, since: Duration, jitter: f64) -> Option<Duration> {
        let pause = self.pauses.get(tries.checked_sub(1)?)?;
        (since < self.at_most).then(|| pause.mul_f64(1.0 + jitter / 4.0))
    }
}

/// What a refusal means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// The next try may go well.
    pub(super) may_pass: bool,
    pub(super) why: String,
    pub(super) hint: Option<String>,
}

/// What may be wrong with a registry for a moment, as Docker's daemon words it.
const PASSING: &[&str] = &[
    "toomanyrequests",
    "too many requests",
    "http 429",
    "unexpected http status: 5",
    "http 50",
    "service unavailable",
    "bad gateway",
    "internal server error",
    "gateway time",
    "connection reset",
    "connection refused",
    "broken pipe",
    "eof",
    "timeout",
    "deadline exceeded",
    "timed out",
    "no route to host",
    "network is unreachable",
    "server misbehaving",
    "try again",
    "use of closed network connection",
];

/// In the words of the registry that the daemon passes on.
pub(super) fn judge(refusal: &Refusal, registry: &str, has_login: bool) -> Judged {
    let said = refusal.words.trim();
    let words = said.to_lowercase();
    let has = |part: &str| words.contains(part);
    let never = |why: String, hint: String| Judged {
        may_pass: false,
        why,
        hint: Some(hint),
    };
    if refusal.is_silence {
        return Judged {
            may_pass: false,
            why: format!("the daemon did not finish: {said}"),
            hint: None,
        };
    }
    if has("x509") || has("certificate") {
        return never(
            said.to_owned(),
            format!(
                "the daemon does not trust {registry}: put its CA into /etc/docker/certs.d/{registry}/ca.crt there"
            ),
        );
    }
    if has("server gave http response to https client") {
        return never(
            said.to_owned(),
            format!("{registry} does not use TLS: allow it in that daemon's `insecure-registries`"),
        );
    }
    if has("no such host") || has("name or service not known") {
        return never(
            said.to_owned(),
            format!("can the daemon's machine resolve {registry}?"),
        );
    }
    if has("no basic auth credentials")
        || has("unauthorized")
        || has("authentication required")
        || has("http 401")
    {
        return if has_login {
            never(
                format!("{registry} refused the login ({said})"),
                "is the password right? check it with `docker login`".to_owned(),
            )
        } else {
            never(
                format!("{registry} requires a login ({said})"),
                format!("`docker login {registry}`, or a username and a password in [[registries]]"),
            )
        };
    }
    if has("denied") || has("forbidden") || has("http 403") {
        return never(
            format!("{registry} denied it ({said})"),
            if has_login {
                "the login is valid, but has no permission for this on the repository".to_owned()
            } else {
                format!("`docker login {registry}`, or a username and a password in [[registries]]")
            },
        );
    }
    if has("manifest unknown") || has("name unknown") || has("not known to registry") || has("not found") {
        return Judged {
            may_pass: false,
            why: format!("{registry} has no such image ({said})"),
            hint: None,
        };
    }
    Judged {
        may_pass: PASSING.iter().any(|part| has(part)),
        why: said.to_owned(),
        hint: None,
    }
}

/// Reads a push or a pull to its end, telling of its layers; the last line that named a digest is kept.
pub(super) async fn read(
    mut lines: Lines,
    progress: &mut dyn Progress,
) -> Result<Option<crate::domain::ids::Digest>, Refusal> {
    let mut layers = Layers::default();
    let mut digest = None;
    loop {
        let line = match tokio::time::timeout(STALL_LIMIT, lines.next()).await {
            Ok(line) => line?,
            Err(_elapsed) => {
                return Err(Refusal {
                    words: format!("no progress for {} min", STALL_LIMIT.as_secs() / 60),
                    status: None,
                    is_silence: false,
                });
            }
        };
        let Some(line) = line else { return Ok(digest) };
        digest = line.digest.clone().or(digest);
        layers.take(&line, progress);
    }
}

#[derive(Default)]
struct Layers {
    /// In short, as the daemon calls them: bytes done and in all, and whether it is through.
    all: BTreeMap<String, Layer>,
    told: Option<Instant>,
}

#[derive(Default)]
struct Layer {
    current: u64,
    total: u64,
    is_done: bool,
}

/// How often "2 of 7 layers" is said anew.
const TOLD_EVERY: Duration = Duration::from_millis(500);

impl Layers {
    fn take(&mut self, line: &Line, progress: &mut dyn Progress) {
        let Some(id) = &line.layer else {
            if !line.status.is_empty() {
                progress.line(&line.status);
            }
            return;
        };
        // A pull begins with the tag in the layer's place.
        if line.status.starts_with("Pulling from") {
            progress.line(&format!("{} {id}", line.status));
            return;
        }
        if self.all.len() >= MOST_LAYERS && !self.all.contains_key(id) {
            return;
        }
        let layer = self.all.entry(id.clone()).or_default();
        if line.total > 0 {
            (layer.current, layer.total) = (line.current.min(line.total), line.total);
        }
        let is_done = [
            "Pushed",
            "Layer already exists",
            "Mounted from",
            "Pull complete",
            "Already exists",
        ]
        .iter()
        .any(|word| line.status.starts_with(word));
        if is_done && !layer.is_done {
            layer.is_done = true;
            layer.current = layer.total;
            progress.line(&format!("{id}: {}", line.status));
        } else if line.status.starts_with("Retrying") {
            progress.text(&format!("{id}: {}", line.status.to_lowercase()));
            return;
        }
        let is_time = self.told.is_none_or(|at| at.elapsed() >= TOLD_EVERY);
        if is_done || is_time {
            self.told = Some(Instant::now());
            progress.text(&self.words());
        }
    }

    /// `2 of 7 layers, 120 M of 340 M`
    fn words(&self) -> String {
        let done = self.all.values().filter(|layer| layer.is_done).count();
        let (current, total) = self.all.values().fold((0_u64, 0_u64), |(current, total), layer| {
            (
                current.saturating_add(layer.current),
                total.saturating_add(layer.total),
            )
        });
        let count = format!("{done} of {} layers", self.all.len());
        if total == 0 {
            count
        } else {
            format!("{count}, {} of {}", Bytes(current), Bytes(total))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(words: &str) -> Refusal {
        Refusal {
            words: words.to_owned(),
            status: None,
            is_silence: false,
        }
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let passing = [
            "received unexpected HTTP status: 503 Service Unavailable",
            "toomanyrequests: You have reached your rate limit",
            "error parsing HTTP 429 response body: invalid character 's'",
            "Put \"http://r:5000/v2/shop/manifests/v1\": read tcp 10.0.0.1:4: read: connection reset by peer",
            "Get \"http://r:5000/v2/\": dial tcp 10.0.0.1:5000: connect: connection refused",
            "unexpected EOF",
            "net/http: TLS handshake timeout",
        ];
        for words in passing {
            assert!(judge(&refusal(words), "r:5000", true).may_pass, "{words}");
        }
        let lasting = [
            "no basic auth credentials",
            "unauthorized: authentication required",
            "denied: requested access to the resource is denied",
            "error parsing HTTP 403 response body: invalid character '<'",
            "manifest unknown: manifest unknown",
            "Get \"https://r:5000/v2/\": x509: certificate signed by unknown authority",
            "Get \"https://r:5000/v2/\": http: server gave HTTP response to HTTPS client",
            "Get \"https://r:5000/v2/\": dial tcp: lookup r: no such host",
            "something else",
        ];
        for words in lasting {
            assert!(!judge(&refusal(words), "r:5000", true).may_pass, "{words}");
        }
    }

    #[test]
    fn a_refused_login_is_said_otherwise_than_a_missing_one() {
        let unauthorized = refusal("unauthorized: authentication required");
        let with = judge(&unauthorized, "r:5000", true);
        let without = judge(&unauthorized, "r:5000", false);
        assert!(with.why.contains("refused the login"), "{with:?}");
        assert!(without.why.contains("requires a login"), "{without:?}");
        assert!(without.hint.unwrap().contains("docker login r:5000"));
    }

    #[test]
    fn tries_come_to_an_end_by_number_and_by_time() {
        const PATIENCE: Patience = Patience {
            pauses: &[Duration::from_secs(1), Duration::from_secs(2)],
            at_most: Duration::from_secs(10),
        };
        assert_eq!(
            PATIENCE.pause(1, Duration::ZERO, 0.0),
            Some(Duration::from_secs(1))
        );
        assert_eq!(
            PATIENCE.pause(2, Duration::ZERO, 1.0),
            Some(Duration::from_millis(2500))
        );
        assert_eq!(PATIENCE.pause(3, Duration::ZERO, 0.0), None);
        assert_eq!(PATIENCE.pause(1, Duration::from_secs(10), 0.0), None);
    }

    #[test]
    fn layers_are_counted_and_each_end_is_a_line() {
        let mut told: Vec<String> = Vec::new();
        let mut layers = Layers::default();
        let line = |layer: &str, status: &str, current, total| Line {
            status: status.to_owned(),
            layer: Some(layer.to_owned()),
            current,
            total,
            digest: None,
        };
        for line in [
            line("aaa", "Pushing", 1 << 20, 4 << 20),
            line("bbb", "Layer already exists", 0, 0),
            line("bbb", "Layer already exists", 0, 0),
        ] {
            layers.take(&line, &mut told);
        }
        assert_eq!(told, ["bbb: Layer already exists"]);
        assert!(
            layers.words().starts_with("1 of 2 layers, "),
            "{}",
            layers.words()
        );
    }
}
