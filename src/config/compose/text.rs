//! Text values of a compose file: substitutes `${…}` and parses lists and tables of them.
//! The environment is never used: a run must not depend on who starts it.

use std::time::Duration;

use super::Faults;
use super::yaml::{Node, Tree};
use crate::config::quantity;

/// The text of a value, with its defaults put in.
pub(super) fn text(tree: &Tree, what: &str, faults: &mut Faults) -> Option<String> {
    let Node::Text(raw) = &tree.node else {
        faults.push(tree.fault(format!("`{what}` is not a string")));
        return None;
    };
    match filled(raw) {
        Ok(text) => Some(text),
        Err(name) => {
            faults.push(tree.fault(format!("`{what}` takes {name} from the environment, which is not used: `${{{name}:-…}}` gives a default"),
            ));
            None
        }
    }
}

/// `${NAME:-default}` → `default`, `$$` → `$`; the name of the first without a default otherwise.
fn filled(raw: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            text.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let Some((inner, after)) = after.split_once('}') else {
                return Err(after.to_owned());
            };
            let length = inner
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(inner.len());
            let (name, default) = inner.split_at_checked(length).unwrap_or((inner, ""));
            let default = default.strip_prefix(":-").or_else(|| default.strip_prefix('-'));
            match default.filter(|default| !default.contains('$')) {
                Some(default) => text.push_str(default),
                None => return Err(name.to_owned()),
            }
            rest = after;
        } else {
            let name: String = after
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if name.is_empty() {
                text.push('$');
                rest = after;
            } else {
                return Err(name);
            }
        }
    }
    text.push_str(rest);
    Ok(text)
}

/// A list of texts.
pub(super) fn texts(tree: &Tree, what: &str, faults: &mut Faults) -> Vec<String> {
    let Node::List(items) = &tree.node else {
        faults.push(tree.fault(format!("`{what}` is not a list")));
        return Vec::new();
    };
    items.iter().filter_map(|item| text(item, what, faults)).collect()
}

/// One text, or a list of them.
pub(super) fn one_or_more(tree: &Tree, what: &str, faults: &mut Faults) -> Vec<String> {
    match &tree.node {
        Node::Text(_) => text(tree, what, faults).into_iter().collect(),
        Node::Nothing | Node::List(_) | Node::Map(_) => texts(tree, what, faults),
    }
}

/// Arguments: a list as it is, a text as a shell would split it.
pub(super) fn argv(tree: &Tree, what: &str, faults: &mut Faults) -> Vec<String> {
    if let Node::Text(_) = &tree.node {
        let Some(line) = text(tree, what, faults) else {
            return Vec::new();
        };
        return shlex::split(&line).unwrap_or_else(|| {
            faults.push(tree.fault(format!("a quote in `{what}` is not closed")));
            Vec::new()
        });
    }
    texts(tree, what, faults)
}

/// `1m30s`
pub(super) fn span(tree: &Tree, what: &str, faults: &mut Faults) -> Option<Duration> {
    let text = text(tree, what, faults)?;
    let span = quantity::span(&text);
    if let Err(wrong) = &span {
        faults.push(tree.fault(format!("`{what}`: {}", wrong.what)));
    }
    span.ok()
}

/// `64m`, or bytes without a unit.
pub(super) fn bytes(tree: &Tree, what: &str, faults: &mut Faults) -> Option<u64> {
    let text = text(tree, what, faults)?;
    if let Ok(bytes) = text.parse() {
        return Some(bytes);
    }
    let size = quantity::size(&text);
    if let Err(wrong) = &size {
        faults.push(tree.fault(format!("`{what}`: {}", wrong.what)));
    }
    size.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_put_in_and_what_has_none_is_named() {
        assert_eq!(filled("a ${X:-b} ${Y-c} $$HOME $ 5").unwrap(), "a b c $HOME $ 5");
        assert_eq!(filled("${SECRET}").unwrap_err(), "SECRET");
        assert_eq!(filled("x$SECRET/y").unwrap_err(), "SECRET");
        assert_eq!(filled("${SECRET:?must be set}").unwrap_err(), "SECRET");
        assert_eq!(filled("${A:-${B}}").unwrap_err(), "A");
        assert!(filled("${never").is_err());
    }
}
