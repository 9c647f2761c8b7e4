//! `on_finish` as it is written, for one service and for all.

use super::super::finish::{Hook, HookUrl, Tell};
use super::*;
use crate::domain::ids::ServiceName;

const TWO: &str =
    "[[services]]\nname = \"shop\"\nimage = \"shop\"\n[[services]]\nname = \"api\"\nimage = \"api\"\n";

fn of(config: &Config, service: &str) -> Option<Tell> {
    let name = ServiceName::parse(service).unwrap();
    config.on_finish(&name).map(|finish| finish.tell.clone())
}

#[test]
fn what_a_service_says_comes_before_what_is_said_for_all() {
    let config = loaded(&format!(
        "on_finish = {{ command = [\"notify\"] }}\n{HOSTS}{TWO}\
         on_finish = {{ url = \"https://chat.example/hook\", secret = {{ env = \"HOOK\" }}, ca = \"ca.pem\", timeout = \"5s\" }}\n"
    ));
    assert_eq!(
        of(&config, "shop"),
        Some(Tell::Command(vec!["notify".to_owned()]))
    );
    let Some(Tell::Hook(Hook { url, ca, .. })) = of(&config, "api") else {
        panic!("{:?}", of(&config, "api"))
    };
    assert_eq!(url, HookUrl::Open("https://chat.example/hook".to_owned()));
    assert!(ca.unwrap().is_absolute());
    assert_eq!(config.private_variables(), ["HOOK"]);
    let kept = loaded(&format!(
        "on_finish = {{ url = {{ env = \"URL\" }} }}\n{HOSTS}{TWO}"
    ));
    assert_eq!(kept.private_variables(), ["URL"]);
    assert_eq!(of(&loaded(&format!("{HOSTS}{TWO}")), "shop"), None);
}

#[test]
fn what_is_wrong_with_it_is_said() {
    for (text, word) in [
        ("{}", "either a `command` or a `url`"),
        (
            "{ command = [\"x\"], url = \"https://x\" }",
            "either a `command` or a `url`",
        ),
        ("{ command = \"notify me\" }", "must be a list of arguments"),
        (
            "{ command = [\"x\"], secret = { env = \"X\" } }",
            "`secret` is only allowed with a `url`",
        ),
        ("{ url = \"http://chat.example\" }", "is not encrypted"),
        (
            "{ url = \"https://x\", secret = \"hunter2\" }",
            "must not be written in the file",
        ),
        ("{ url = \"https://x\", timeout = \"1h\" }", "from `1s` to `2m`"),
        (
            "{ url = \"https://x\", method = \"PUT\" }",
            "unknown key `method`",
        ),
    ] {
        let faults = faults_of(&format!("on_finish = {text}\n{HOSTS}"));
        assert!(
            faults.contains(word) && !faults.contains("hunter2"),
            "{text}: {faults}"
        );
    }
}
