//! `on_finish = { command = […] }` or `{ url = "https://…" }`: who is notified when a run ends.
//! A secret URL has the same sources as other secrets.

use std::time::Duration;

use super::super::fault::Wrong;
use super::super::finish::{Hook, HookUrl, OnFinish, Tell, hook_url};
use super::super::quantity::span;
use super::super::section::Value;
use super::custom::refuse_of_others;
use super::secrets::secret;
use super::stages::command;

const USUAL: Duration = Duration::from_secs(10);
/// The run's process waits so long, twice.
const LIMITS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(2);

pub(super) fn read(value: &Value<'_>) -> Option<OnFinish> {
    let mut section = value.section("`on_finish`")?;
    let (argv, url) = (section.take("command"), section.take("url"));
    let (signed, ca) = (section.take("secret"), section.take("ca"));
    let timeout = match section.take("timeout") {
        Some(value) => value.parsed(limit),
        None => Some(USUAL),
    };
    section.finish();
    let tell = match (argv, url) {
        (Some(argv), None) => {
            refuse_of_others(&argv);
            for extra in [signed, ca].iter().flatten() {
                extra.fault(Wrong::new(format!(
                    "`{}` is only allowed with a `url`",
                    extra.key
                )));
            }
            Tell::Command(command(&argv)?)
        }
        (None, Some(url)) => {
            let url = if url.is_text() {
                HookUrl::Open(url.parsed(|text| match hook_url(text) {
                    Ok(_) => Ok(text.to_owned()),
                    Err(why) => Err(Wrong::new(why)),
                })?)
            } else {
                HookUrl::Kept(secret(&url)?)
            };
            Tell::Hook(Hook {
                url,
                secret: match signed {
                    Some(value) => Some(secret(&value)?),
                    None => None,
                },
                ca: match ca {
                    Some(value) => Some(value.path()?),
                    None => None,
                },
            })
        }
        (Some(_), Some(_)) | (None, None) => {
            value.fault(
                Wrong::new("`on_finish` is either a `command` or a `url`")
                    .hint("{ command = [\"notify\"] } or { url = \"https://…\" }"),
            );
            return None;
        }
    };
    Some(OnFinish {
        tell,
        timeout: timeout?,
    })
}

fn limit(text: &str) -> Result<Duration, Wrong> {
    let limit = span(text)?;
    if LIMITS.contains(&limit) {
        Ok(limit)
    } else {
        Err(Wrong::new(format!("{text:?} is out of bounds")).hint("from `1s` to `2m`"))
    }
}
