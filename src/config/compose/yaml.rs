//! YAML as strings, lists and tables with line numbers, without converting to numbers or booleans.
//! `1.10` stays `1.10` and `yes` stays `yes`, as compose files mean them where a string is expected.

use saphyr::{MarkedYaml, ScalarStyle, YamlData, YamlLoader};
use saphyr_parser::Parser;

use super::{ComposeFault, fault};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) line: usize,
    /// From 1.
    pub(super) column: usize,
    pub(super) node: Node,
}

impl Tree {
    pub(super) fn fault(&self, what: impl Into<String>) -> ComposeFault {
        ComposeFault {
            column: self.column,
            ..fault(self.line, what)
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Nothing,
    Text(String),
    List(Vec<Tree>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) key: String,
    pub(super) value: Tree,
}

impl Entry {
    pub(super) fn fault(&self, what: impl Into<String>) -> ComposeFault {
        ComposeFault {
            column: self.column,
            ..fault(self.line, what)
        }
    }
}

/// Deeper is no compose file.
const DEEPEST: usize = 40;

pub(super) fn read(text: &str) -> Result<Tree, ComposeFault> {
    let mut loader: YamlLoader<'_, MarkedYaml<'_>> = YamlLoader::default();
    loader.early_parse(false);
    // What is missing at the end is missed behind it.
    let last = text.lines().count().max(1);
    let broken = |error: &saphyr::ScanError| fault(error.marker().line().min(last), error.info());
    Parser::new_from_str(text)
        .load(&mut loader, true)
        .map_err(|error| broken(&error))?;
    if let Some(error) = loader.error() {
        return Err(broken(error));
    }
    let documents = loader.into_documents();
    match documents.as_slice() {
        [one] => tree(one, 0),
        [] => Err(fault(0, "it is empty")),
        [_, second, ..] => Err(fault(second.span.start.line(), "a second document begins here")),
    }
}

fn tree(yaml: &MarkedYaml<'_>, depth: usize) -> Result<Tree, ComposeFault> {
    let line = yaml.span.start.line();
    let column = yaml.span.start.col().saturating_add(1);
    if depth > DEEPEST {
        return Err(fault(line, "it is nested too deeply"));
    }
    let node = match &yaml.data {
        YamlData::Representation(text, style, _) => {
            let plain = matches!(style, ScalarStyle::Plain);
            if plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL") {
                Node::Nothing
            } else {
                Node::Text(text.clone().into_owned())
            }
        }
        YamlData::Sequence(items) => Node::List(
            items
                .iter()
                .map(|item| tree(item, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        YamlData::Mapping(entries) => {
            let mut found = Vec::new();
            for (key, value) in entries {
                let key = match tree(key, depth + 1)? {
                    Tree {
                        node: Node::Text(key),
                        line,
                        column,
                    } => (key, line, column),
                    other => return Err(fault(other.line, "a key is not a string")),
                };
                found.push(Entry {
                    key: key.0,
                    line: key.1,
                    column: key.2,
                    value: tree(value, depth + 1)?,
                });
            }
            Node::Map(merged(found)?)
        }
        YamlData::Tagged(tag, _) => return Err(fault(line, format!("the tag {tag} is not supported"))),
        YamlData::Value(_) | YamlData::Alias(_) | YamlData::BadValue => {
            return Err(fault(line, "this value is not supported"));
        }
    };
    Ok(Tree { line, column, node })
}

/// `<<: *defaults`, one table or a list of them: what stands here comes first.
fn merged(entries: Vec<Entry>) -> Result<Vec<Entry>, ComposeFault> {
    let (merges, mut own): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| entry.key == "<<");
    for merge in merges {
        let tables = match merge.value.node {
            Node::List(tables) => tables,
            Node::Nothing | Node::Text(_) | Node::Map(_) => vec![merge.value],
        };
        for table in tables {
            let Node::Map(entries) = table.node else {
                return Err(fault(merge.line, "`<<` is not a table"));
            };
            for entry in entries {
                if own.iter().all(|known| known.key != entry.key) {
                    own.push(entry);
                }
            }
        }
    }
    Ok(own)
}
