//! Maps keys to commands per pane: the defaults of the command table, changed by the user's `[keys]`.
//! Reports all faults in `[keys]` at once; the valid entries still apply.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use crokey::{KeyCombination, KeyCombinationFormat};

use super::command::Command;
use super::place::{PaneId, Place};
use crate::domain::fault::Fault;

#[derive(Clone, Debug)]
pub struct Keymap {
    /// The keys of each command, in the table's order.
    keys: BTreeMap<Command, Vec<KeyCombination>>,
    /// The commands of each key.
    meanings: HashMap<KeyCombination, Vec<Command>>,
}

/// A fault in the keys of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFault {
    /// Its name in the configuration.
    pub command: String,
    pub fault: Fault,
}

impl KeyFault {
    fn new(command: &str, why: impl std::fmt::Display) -> Self {
        Self {
            command: command.to_owned(),
            fault: Fault::new(format!("read keys.{command}"), why),
        }
    }

    fn hint(self, hint: &str) -> Self {
        Self {
            fault: self.fault.hint(hint),
            ..self
        }
    }
}

impl Default for Keymap {
    fn default() -> Self {
        Self::from_keys(defaults())
    }
}

impl Keymap {
    /// The defaults with the user's changes; a configured command has exactly the keys given, possibly none.
    #[must_use]
    pub fn new(changes: &BTreeMap<String, Vec<String>>) -> (Self, Vec<KeyFault>) {
        let mut keys = defaults();
        let mut faults = Vec::new();
        for (name, texts) in changes {
            let Some(command) = Command::named(name) else {
                faults.push(
                    KeyFault::new(name, "there is no such command")
                        .hint("`pilothouse keys` lists all commands"),
                );
                continue;
            };
            let mut own = Vec::new();
            for text in texts {
                match parse(text) {
                    Ok(key) => own.push(key),
                    Err(_) => faults.push(
                        KeyFault::new(name, format!("{text:?} is not a key"))
                            .hint("write `x`, `ctrl-x`, `shift-x`, `f5`, `enter`"),
                    ),
                }
            }
            keys.insert(command, own);
        }
        faults.extend(collisions(&keys));
        (Self::from_keys(keys), faults)
    }

    fn from_keys(keys: BTreeMap<Command, Vec<KeyCombination>>) -> Self {
        let mut meanings: HashMap<KeyCombination, Vec<Command>> = HashMap::new();
        for (command, combinations) in &keys {
            for key in combinations {
                meanings.entry(*key).or_default().push(*command);
            }
        }
        Self { keys, meanings }
    }

    /// The command of the key in this pane.
    #[must_use]
    pub fn meaning(&self, pane: PaneId, key: KeyCombination) -> Option<Command> {
        let could = self.meanings.get(&key.normalized())?;
        let in_place = |place: &Place| could.iter().copied().find(|command| command.place() == *place);
        pane.places().iter().find_map(in_place)
    }

    /// A command of the key in another pane, if it has none in this one.
    #[must_use]
    pub fn elsewhere(&self, key: KeyCombination) -> Option<Command> {
        self.meanings.get(&key.normalized())?.first().copied()
    }

    /// All keys of a command, as people write them.
    #[must_use]
    pub fn keys_of(&self, command: Command) -> Vec<String> {
        self.keys
            .get(&command)
            .map(|keys| keys.iter().map(|key| written(*key)).collect())
            .unwrap_or_default()
    }

    /// The keys of the command in this pane.
    #[must_use]
    pub fn keys_in(&self, pane: PaneId, command: Command) -> Vec<String> {
        let keys = self.keys.get(&command).map(Vec::as_slice).unwrap_or_default();
        keys.iter()
            .filter(|key| self.meaning(pane, **key) == Some(command))
            .map(|key| written(*key))
            .collect()
    }

    /// The key to show for a command in this pane.
    #[must_use]
    pub fn shown(&self, pane: PaneId, command: Command) -> Option<String> {
        let keys = self.keys.get(&command)?;
        keys.iter()
            .find(|key| self.meaning(pane, **key) == Some(command))
            .map(|key| written(*key))
    }
}

/// A key as it is written: `d`, `R` (which is `shift-r`), `ctrl-s`.
pub fn parse(text: &str) -> Result<KeyCombination, crokey::ParseKeyError> {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(only), None) if only.is_uppercase() => crokey::parse(&format!("shift-{only}")),
        _ => crokey::parse(text),
    }
    .map(KeyCombination::normalized)
}

fn defaults() -> BTreeMap<Command, Vec<KeyCombination>> {
    let normalized = |key: &KeyCombination| key.normalized();
    Command::ALL
        .iter()
        .map(|command| (*command, command.default_keys().iter().map(normalized).collect()))
        .collect()
}

/// Two commands of one place on one key: the later one could never be used.
fn collisions(keys: &BTreeMap<Command, Vec<KeyCombination>>) -> Vec<KeyFault> {
    let mut seen: HashMap<(KeyCombination, &'static str), Command> = HashMap::new();
    let mut faults = Vec::new();
    for (command, combinations) in keys {
        for key in combinations {
            // Where something can be selected both count.
            let place = match command.place() {
                Place::Fleet => Place::Everywhere,
                other => other,
            };
            if let Some(first) = seen.insert((*key, place.title()), *command) {
                let why = format!("{} is already used for {}", written(*key), first.name());
                faults.push(KeyFault::new(command.name(), why));
            }
        }
    }
    faults
}

/// A key as people write it: `d`, `R`, `Ctrl-s`, `Enter`.
#[must_use]
pub fn written(key: KeyCombination) -> String {
    static FORMAT: LazyLock<KeyCombinationFormat> =
        LazyLock::new(|| KeyCombinationFormat::default().with_implicit_shift());
    match FORMAT.to_string(key) {
        text if text == "BackTab" => "Shift-Tab".to_owned(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crokey::key;

    fn changes(name: &str, keys: &[&str]) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([(name.to_owned(), keys.iter().map(ToString::to_string).collect())])
    }

    #[test]
    fn no_two_commands_of_one_place_share_a_default_key() {
        assert_eq!(Keymap::new(&BTreeMap::new()).1, []);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = Command::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), Command::ALL.len());
    }

    #[test]
    fn a_key_means_something_else_in_logs() {
        let keymap = Keymap::default();
        assert_eq!(keymap.meaning(PaneId::Services, key!(t)), Some(Command::Test));
        assert_eq!(keymap.meaning(PaneId::Logs, key!(t)), Some(Command::Timestamps));
        assert_eq!(keymap.meaning(PaneId::Logs, key!(d)), Some(Command::Deploy));
    }

    #[test]
    fn a_remapped_command_has_exactly_its_new_keys() {
        let (keymap, faults) = Keymap::new(&changes("deploy", &["ctrl-x"]));
        assert_eq!(faults, []);
        assert_eq!(keymap.meaning(PaneId::Services, key!(d)), None);
        assert_eq!(
            keymap.meaning(PaneId::Services, key!(ctrl - x)),
            Some(Command::Deploy)
        );
        assert_eq!(keymap.keys_of(Command::Deploy), ["Ctrl-x"]);
    }

    #[test]
    fn faults_name_the_command_the_key_and_who_has_it() {
        let faults = |name: &str, key: &str| Keymap::new(&changes(name, &[key])).1;
        assert!(faults("deplyo", "d")[0].fault.to_string().contains("deplyo"));
        let hidden = faults("deploy", "q");
        assert!(hidden[0].fault.to_string().contains("quit"), "{hidden:?}");
        assert!(
            faults("deploy", "ctrl-nonsense")[0]
                .fault
                .to_string()
                .contains("nonsense")
        );
        assert!(faults("deploy", "b")[0].fault.to_string().contains("build"));
    }

    #[test]
    fn a_capital_letter_is_the_key_with_shift() {
        assert_eq!(parse("R").ok(), Some(key!(shift - r)));
        assert_eq!(parse("r").ok(), Some(key!(r)));
    }

    #[test]
    fn keys_are_written_as_people_write_them() {
        let shown = [
            key!(d),
            key!(shift - r),
            key!(ctrl - s),
            key!(enter),
            key!('/'),
            key!(space),
        ]
        .map(written);
        assert_eq!(shown, ["d", "R", "Ctrl-s", "Enter", "/", "Space"]);
    }
}
