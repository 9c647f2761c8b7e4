//! `after`: what may stand on what, and what is said where it may not.

use super::*;

/// Services with a build each, as `name after…`.
fn services(lines: &[(&str, &str)]) -> String {
    let service = |(name, after): &(&str, &str)| {
        let after = if after.is_empty() {
            String::new()
        } else {
            format!("after = [{after}]\n")
        };
        format!(
            "[[services]]\nname = \"{name}\"\nimage = \"{name}\"\n{after}[services.build]\nhost = \"builder\"\n"
        )
    };
    format!("{HOSTS}{}", lines.iter().map(service).collect::<String>())
}

#[test]
fn what_stands_on_an_image_is_known_in_the_order_in_which_it_is_built() {
    let config = loaded(&services(&[
        ("app", "\"lib\", \"base\""),
        ("lib", "\"base\", \"base\""),
        ("base", ""),
    ]));
    let base = ServiceName::parse("base").unwrap();
    let names = config.after.dependants(&base);
    assert_eq!(
        names.iter().map(ServiceName::as_str).collect::<Vec<_>>(),
        ["lib", "app"]
    );
    assert_eq!(config.after.of(&names[0]), [base]);
}

#[test]
fn an_unknown_name_and_one_that_makes_no_image_are_said_at_their_places() {
    let text = services(&[("base", ""), ("app", "\"bsae\", \"idle\", \"app\", 3")])
        + "[[services]]\nname = \"idle\"\nimage = \"idle\"\nafter = [\"base\"]\n";
    let faults = faults_of(&text);
    let line = text.lines().position(|line| line.contains("bsae")).unwrap() + 1;
    for word in [
        format!("file:{line}:10: `after`: there is no service bsae"),
        "did you mean `base`?".to_owned(),
        "idle has no [services.build]: it builds no image".to_owned(),
        "`after`: app depends on itself".to_owned(),
        "`after` must be a string, not".to_owned(),
        "idle has no [services.build]: it is not based on an image".to_owned(),
    ] {
        assert!(faults.contains(&word), "{word}: {faults}");
    }
}

#[test]
fn a_cycle_is_said_once_with_its_way() {
    let faults = faults_of(&services(&[
        ("lib", "\"app\""),
        ("app", "\"base\""),
        ("base", "\"lib\""),
        ("web", "\"base\""),
    ]));
    assert!(
        faults.contains("app depends on itself: app depends on base depends on lib depends on app"),
        "{faults}"
    );
    assert_eq!(faults.matches("depends on itself").count(), 1, "{faults}");
}
