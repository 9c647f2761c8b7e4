//! The content of an authenticated delivery: a push of a commit to a branch of a repository, by somebody.
//! Reads the few fields that are needed, as documented by GitHub and GitLab; text from outside is truncated and cleaned here.
//!
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads#push>,
//! <https://docs.gitlab.com/user/project/integrations/webhook_events/#push-events>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::proof::Proven;
use super::verdict::Refusal;

/// A longer id is no id; git's own limit of a branch is shorter, too.
const LONGEST: usize = 255;
/// Names of people, for the history.
const LONGEST_NAME: usize = 48;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) forge: Forge,
    /// As the forge numbers it.
    pub(super) id: String,
    pub(super) event: Event,
    /// What must never come twice: the id, and what else of it cannot be changed by who has only seen it.
    pub(super) marks: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forge {
    GitHub,
    GitLab,
}

impl Forge {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::GitLab => "GitLab",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Ping,
    Push(Push),
    /// Of a tag, or one that removes the branch: nothing to build.
    NoBranch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Push {
    pub(super) repository: String,
    pub(super) branch: String,
    /// In full.
    pub(super) commit: String,
    /// Who pushed, as the forge calls them.
    pub(super) pusher: String,
}

/// Both forges call these the same.
#[derive(Deserialize)]
struct Common {
    #[serde(rename = "ref")]
    reference: String,
    after: String,
    #[serde(default)]
    deleted: bool,
}

#[derive(Deserialize)]
struct OfGitHub {
    #[serde(flatten)]
    common: Common,
    repository: Repository,
    pusher: Pusher,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct Pusher {
    name: String,
}

#[derive(Deserialize)]
struct OfGitLab {
    #[serde(flatten)]
    common: Common,
    object_kind: String,
    project: Project,
    #[serde(default)]
    user_username: String,
    #[serde(default)]
    user_name: String,
}

#[derive(Deserialize)]
struct Project {
    path_with_namespace: String,
}

/// `body` is what was proven by `proven`.
pub(super) fn read(headers: &HeaderMap, body: &[u8], proven: &Proven) -> Result<Delivery, Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let content = header("content-type").unwrap_or_default();
    let kind = content.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::NotJson);
    }
    let id = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| header(name))
            .filter(|id| is_word(id))
            .map(str::to_owned)
            .ok_or(Refusal::Malformed)
    };
    match proven {
        Proven::Body => {
            let id = id(&["x-github-delivery"])?;
            let event = match header("x-github-event") {
                Some("push") => of_github(body)?,
                Some("ping") => Event::Ping,
                Some(_) => return Err(Refusal::UnknownEvent),
                None => return Err(Refusal::Malformed),
            };
            // The signature covers the body only: with another id it would be the same delivery.
            let body = STANDARD.encode(Sha256::digest(body));
            Ok(Delivery {
                forge: Forge::GitHub,
                marks: vec![format!("github id {id}"), format!("github body {body}")],
                id,
                event,
            })
        }
        Proven::BodyAndId { .. } | Proven::Token => {
            let id = match proven {
                Proven::BodyAndId { id } if is_word(id) => id.clone(),
                Proven::BodyAndId { .. } => return Err(Refusal::Malformed),
                Proven::Body | Proven::Token => id(&["idempotency-key", "x-gitlab-event-uuid"])?,
            };
            let event = match header("x-gitlab-event") {
                Some("Push Hook" | "System Hook") => of_gitlab(body)?,
                Some("Tag Push Hook") => Event::NoBranch,
                Some(_) => return Err(Refusal::UnknownEvent),
                None => return Err(Refusal::Malformed),
            };
            Ok(Delivery {
                forge: Forge::GitLab,
                marks: vec![format!("gitlab id {id}")],
                id,
                event,
            })
        }
    }
}

fn of_github(body: &[u8]) -> Result<Event, Refusal> {
    let seen: OfGitHub = serde_json::from_slice(body).map_err(|_quoting| Refusal::Malformed)?;
    event(seen.common, seen.repository.full_name, &seen.pusher.name)
}

fn of_gitlab(body: &[u8]) -> Result<Event, Refusal> {
    let seen: OfGitLab = serde_json::from_slice(body).map_err(|_quoting| Refusal::Malformed)?;
    if seen.object_kind != "push" {
        return Err(Refusal::UnknownEvent);
    }
    let pusher = if seen.user_username.is_empty() {
        &seen.user_name
    } else {
        &seen.user_username
    };
    event(seen.common, seen.project.path_with_namespace, pusher)
}

fn event(common: Common, repository: String, pusher: &str) -> Result<Event, Refusal> {
    let is_commit =
        |text: &str| matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_commit(&common.after) || !is_word(&repository) {
        return Err(Refusal::Malformed);
    }
    let is_removed = common.deleted || common.after.bytes().all(|byte| byte == b'0');
    let Some(branch) = common
        .reference
        .strip_prefix("refs/heads/")
        .filter(|_| !is_removed)
    else {
        return if common.reference.starts_with("refs/") {
            Ok(Event::NoBranch)
        } else {
            Err(Refusal::Malformed)
        };
    };
    if !is_word(branch) {
        return Err(Refusal::Malformed);
    }
    Ok(Event::Push(Push {
        repository,
        branch: branch.to_owned(),
        commit: common.after,
        pusher: name(pusher),
    }))
}

/// Neither empty nor long, and nothing in it that could move a cursor or begin a line.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn name(text: &str) -> String {
    let name: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_NAME)
        .collect();
    if name.trim().is_empty() {
        "somebody".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const COMMIT: &str = "3f2a91c0d4e5f60718293a4b5c6d7e8f90a1b2c3";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers
    }

    fn github(event: &str, body: &Value) -> Result<Delivery, Refusal> {
        let headers = headers(&[
            ("x-github-event", event),
            ("x-github-delivery", "72d3162e-cc78-11e3"),
        ]);
        read(&headers, body.to_string().as_bytes(), &Proven::Body)
    }

    fn push(reference: &str) -> Value {
        json!({
            "ref": reference, "before": "0".repeat(40), "after": COMMIT, "created": false, "deleted": false,
            "repository": { "id": 1, "full_name": "acme/shop" }, "pusher": { "name": "ann", "email": "a@acme.test" },
        })
    }

    #[test]
    fn a_push_of_github_is_a_commit_on_a_branch_by_somebody() {
        let delivery = github("push", &push("refs/heads/release/1.4")).unwrap();
        assert_eq!(
            delivery.event,
            Event::Push(Push {
                repository: "acme/shop".to_owned(),
                branch: "release/1.4".to_owned(),
                commit: COMMIT.to_owned(),
                pusher: "ann".to_owned(),
            })
        );
        assert_eq!(delivery.marks.len(), 2);
        let tag = github("push", &push("refs/tags/v1")).unwrap();
        assert_eq!(tag.event, Event::NoBranch);
        let mut gone = push("refs/heads/main");
        gone["after"] = json!("0".repeat(40));
        assert_eq!(github("push", &gone).unwrap().event, Event::NoBranch);
        assert_eq!(
            github("ping", &json!({ "zen": "Keep it logically awesome." }))
                .unwrap()
                .event,
            Event::Ping
        );
        assert_eq!(
            github("issues", &push("refs/heads/main")),
            Err(Refusal::UnknownEvent)
        );
        // `create` has a short `ref`: with the event's header changed it is still no push.
        assert_eq!(github("push", &push("main")), Err(Refusal::Malformed));
        assert_eq!(
            github("push", &json!({ "ref": "refs/heads/main" })),
            Err(Refusal::Malformed)
        );
        assert_eq!(
            github("push", &push("refs/heads/a\u{1b}[2Jb")),
            Err(Refusal::Malformed)
        );
    }

    #[test]
    fn a_push_of_gitlab_is_read_by_its_own_names() {
        let body = json!({
            "object_kind": "push", "event_name": "push", "ref": "refs/heads/main", "after": COMMIT, "checkout_sha": COMMIT,
            "user_name": "Ann \u{7}Lee", "project": { "path_with_namespace": "acme/web/shop" },
        });
        let pairs = [("x-gitlab-event", "Push Hook"), ("idempotency-key", "f5e5f430")];
        let read = |body: &Value| read(&headers(&pairs), body.to_string().as_bytes(), &Proven::Token);
        let delivery = read(&body).unwrap();
        let Event::Push(push) = delivery.event else {
            panic!("{delivery:?}")
        };
        assert_eq!(
            (push.repository.as_str(), push.pusher.as_str()),
            ("acme/web/shop", "Ann Lee")
        );
        assert_eq!(delivery.id, "f5e5f430");
        let mut note = body;
        note["object_kind"] = json!("note");
        assert_eq!(read(&note), Err(Refusal::UnknownEvent));
    }

    #[test]
    fn a_form_is_told_from_json_and_a_delivery_without_an_id_from_one_with() {
        let mut form = headers(&[("x-github-event", "push"), ("x-github-delivery", "1")]);
        form.insert(
            "content-type",
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        assert_eq!(
            read(&form, b"payload=%7B%7D", &Proven::Body),
            Err(Refusal::NotJson)
        );
        let nameless = headers(&[("x-github-event", "push")]);
        let body = push("refs/heads/main").to_string();
        assert_eq!(
            read(&nameless, body.as_bytes(), &Proven::Body),
            Err(Refusal::Malformed)
        );
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            Just(json!("refs/heads/main")),
            Just(json!(COMMIT)),
        ];
        let names = prop_oneof![
            Just("ref".to_owned()),
            Just("after".to_owned()),
            Just("repository".to_owned()),
            Just("full_name".to_owned()),
            Just("pusher".to_owned()),
            Just("name".to_owned()),
            Just("deleted".to_owned()),
            ".{0,6}",
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(names.clone(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_was_signed_is_read_or_refused_and_what_is_read_is_clean(
            body in anything(),
            event in "(push|ping|Push Hook|[ -~]{0,12})",
            id in "[ -~]{0,40}",
            proven in prop_oneof![Just(Proven::Body), Just(Proven::Token)],
        ) {
            let pairs = [
                ("x-github-event", event.as_str()), ("x-github-delivery", id.as_str()),
                ("x-gitlab-event", event.as_str()), ("idempotency-key", id.as_str()),
            ];
            if let Ok(Delivery { event: Event::Push(push), id, .. }) =
                read(&headers(&pairs), body.to_string().as_bytes(), &proven)
            {
                for text in [&push.repository, &push.branch, &push.commit, &push.pusher, &id] {
                    prop_assert!(!text.is_empty() && text.len() <= 4 * LONGEST);
                    prop_assert!(!text.contains(char::is_control));
                }
            }
        }

        #[test]
        fn bytes_that_are_no_json_are_malformed(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let headers = headers(&[("x-github-event", "push"), ("x-github-delivery", "1")]);
            prop_assert_eq!(read(&headers, &body, &Proven::Body), Err(Refusal::Malformed));
        }
    }
}
