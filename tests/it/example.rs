//! `config.example.toml` is the contract of the configuration: it loads as it is and with each example enabled,
//! contains every key, and shows the real defaults.

use std::path::PathBuf;

use pilothouse::config::{Config, ConfigFault, Listen, Looks, OwnLog, Request, StateDir, load};

const EXAMPLE: &str = include_str!("../../config.example.toml");

/// An example within the file: `#: name`, then lines that begin with `# `.
struct Block {
    name: String,
    /// Of its lines without the first.
    lines: std::ops::Range<usize>,
}

fn blocks() -> Vec<Block> {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let starts = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| Some((at, line.strip_prefix("#: ")?)));
    starts
        .map(|(at, name)| {
            let length = lines[at + 1..]
                .iter()
                .take_while(|line| line.starts_with("# "))
                .count();
            Block {
                name: name.to_owned(),
                lines: at + 1..at + 1 + length,
            }
        })
        .collect()
}

/// The file with the lines of these blocks opened.
fn opened(blocks: &[&Block]) -> String {
    let open = |at: usize| blocks.iter().any(|block| block.lines.contains(&at));
    EXAMPLE
        .lines()
        .enumerate()
        .map(|(at, line)| {
            if open(at) {
                line.strip_prefix("# ").unwrap()
            } else {
                line
            }
        })
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn loaded(text: &str) -> Result<Config, Vec<ConfigFault>> {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    let compose = "services: { web: { image: shop, depends_on: [db], user: \"7\" } }";
    std::fs::write(folder.path().join("compose.yaml"), compose).unwrap();
    let home = folder.path().display().to_string();
    let env = |name: &str| (name == "HOME").then(|| home.clone());
    load(&Request {
        explicit: Some(file),
        env: &env,
    })
}

fn must_load(text: &str, what: &str) -> Config {
    loaded(text).unwrap_or_else(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{what}:\n{}", faults.join("\n"))
    })
}

#[test]
fn the_example_loads_as_it_is_and_shows_the_defaults() {
    let config = must_load(EXAMPLE, "as it is");
    assert_eq!(config.looks, Looks::default());
    assert_eq!(config.log, OwnLog::default());
    assert_eq!(config.state, StateDir::default());
    assert_eq!(config.listen, Listen::default());
    let least = "[[hosts]]\nname = \"local\"\nurl = \"unix:///var/run/docker.sock\"\n[[services]]\nname = \"shop\"\nimage = \"shop\"\n\
                 [services.build]\n[[services.tests]]\nname = \"unit\"\n[services.deploy]\nhosts = [\"local\"]\n";
    let least = must_load(least, "the least");
    assert_eq!(config.hosts, least.hosts);
    let (shown, mut bare) = (config.services[0].clone(), least.services[0].clone());
    // These have no default that could be shown: examples stand there.
    bare.build.as_mut().unwrap().context = shown.build.as_ref().unwrap().context.clone();
    bare.tests[0].command = shown.tests[0].command.clone();
    let (spec, example) = (
        &mut bare.deploy.as_mut().unwrap().spec,
        &shown.deploy.as_ref().unwrap().spec,
    );
    spec.command = example.command.clone();
    spec.ports = example.ports.clone();
    assert_eq!(shown, bare);
}

#[test]
fn every_example_in_it_loads_alone_and_all_together() {
    let blocks = blocks();
    assert!(blocks.len() >= 10, "{}", blocks.len());
    for block in &blocks {
        assert!(!block.lines.is_empty(), "{} is empty", block.name);
        let text = opened(&[block]);
        assert_ne!(
            must_load(&text, &block.name),
            must_load(EXAMPLE, "as it is"),
            "{} changes nothing",
            block.name
        );
    }
    must_load(&opened(&blocks.iter().collect::<Vec<_>>()), "all together");
}

#[test]
fn every_key_that_is_known_stands_in_it() {
    // A key that nobody knows makes each table name those that it does.
    let all = blocks();
    let text = opened(&all.iter().collect::<Vec<_>>());
    let probed: String = text
        .lines()
        .flat_map(|line| {
            let probe = line.starts_with('[') && !line.contains("keys]") && !line.contains("secrets]");
            [line, "\n", if probe { "qqqqqqqqqqqqqqqq = 1\n" } else { "" }]
        })
        .collect();
    let faults = loaded(&format!("qqqqqqqqqqqqqqqq = 1\n{probed}")).unwrap_err();
    let mut known = 0;
    for hint in faults.iter().filter_map(|fault| fault.hint.as_deref()) {
        for key in hint.split('`').skip(1).step_by(2) {
            known += 1;
            let stands = text.lines().any(|line| {
                line.starts_with(&format!("{key} =")) || (line.starts_with('[') && line.contains(key))
            });
            assert!(stands, "`{key}` is not in config.example.toml");
        }
    }
    assert!(known > 50, "{known} keys");
}
