//! What `COPY` brings into an image: files and folders of a context, at their places.

use super::tree::{Tree, clean, join, split};

/// The last path is the target; `folder` is the working directory. An error is in Docker's words.
pub(super) fn brought(source: &Tree, folder: &str, word: &str, paths: &[&String]) -> Result<Tree, String> {
    let Some((target, sources)) = paths.split_last() else {
        return Err(format!("{word} requires at least two arguments"));
    };
    let place = if target.starts_with('/') {
        clean(target)
    } else {
        join(&clean(folder), target)
    };
    let into_folder = target.ends_with('/') || target.as_str() == "." || sources.len() > 1;
    let mut tree = Tree::default();
    for wanted in sources {
        let found = matching(source, &clean(wanted));
        if found.is_empty() {
            return Err(format!(
                "{word} failed: file not found in build context or excluded by .dockerignore: stat {}: file does not exist",
                wanted.trim_start_matches("./")
            ));
        }
        for path in found {
            let is_folder = source.is_folder(&path);
            for (key, node) in source.under(&path) {
                let inside = key.strip_prefix(&path).unwrap_or(key).trim_start_matches('/');
                let to = match (is_folder, into_folder) {
                    (true, _) => join(&place, inside),
                    (false, true) => join(&place, split(&path).1),
                    (false, false) => place.clone(),
                };
                tree.put(&to, node.clone());
            }
        }
    }
    Ok(tree)
}

/// Files and folders that a source names, `*` in its last part included.
fn matching(tree: &Tree, wanted: &str) -> Vec<String> {
    if !wanted.contains('*') {
        let there = wanted.is_empty() || tree.get(wanted).is_some();
        return there.then(|| wanted.to_owned()).into_iter().collect();
    }
    let (folder, pattern) = split(wanted);
    let (before, after) = pattern.split_once('*').unwrap_or((pattern, ""));
    tree.names(folder)
        .into_iter()
        .filter(|name| {
            name.starts_with(before) && name.ends_with(after) && name.len() >= before.len() + after.len()
        })
        .map(|name| join(folder, &name))
        .collect()
}
