//! Files kept in memory: a container's layer, a volume, an image.
//! Paths have no leading slash; the root itself is always there.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tree(BTreeMap<String, Node>);

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// Seconds since the epoch.
    pub(super) modified: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Folder,
    File(Bytes),
    Link(String),
}

impl Node {
    pub(super) fn folder() -> Self {
        Self {
            kind: Kind::Folder,
            mode: 0o755,
            uid: 0,
            gid: 0,
            modified: 0,
        }
    }

    pub(super) fn file(content: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::File(content.into()),
            mode: 0o644,
            ..Self::folder()
        }
    }

    pub(super) fn size(&self) -> u64 {
        match &self.kind {
            Kind::File(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Kind::Folder | Kind::Link(_) => 0,
        }
    }
}

/// `/a/./b/../c/` → `a/c`
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// The folder that holds it, and its own name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        clean(name)
    } else {
        clean(&format!("{folder}/{name}"))
    }
}

impl Tree {
    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.0.get(path)
    }

    pub(super) fn is_folder(&self, path: &str) -> bool {
        path.is_empty() || matches!(self.0.get(path), Some(node) if node.kind == Kind::Folder)
    }

    /// With the folders above it.
    pub(super) fn put(&mut self, path: &str, node: Node) {
        let mut folder = split(path).0;
        while !folder.is_empty() {
            self.0.entry(folder.to_owned()).or_insert_with(Node::folder);
            folder = split(folder).0;
        }
        if !path.is_empty() {
            self.0.insert(path.to_owned(), node);
        }
    }

    /// Everything at and below it.
    pub(super) fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.0.retain(|key, _| key != path && !key.starts_with(&below));
    }

    /// At and below, in order; the whole tree for the root.
    pub(super) fn under<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        self.0
            .iter()
            .filter(move |(key, _)| {
                path.is_empty()
                    || key
                        .strip_prefix(path)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .map(|(key, node)| (key.as_str(), node))
    }

    /// The names directly in a folder.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        self.under(folder)
            .filter_map(|(key, _)| {
                let rest = if folder.is_empty() {
                    key
                } else {
                    key.strip_prefix(folder)?.strip_prefix('/')?
                };
                (!rest.contains('/')).then(|| rest.to_owned())
            })
            .collect()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.values().map(Node::size).sum()
    }

    pub(super) fn overlay(&mut self, upper: &Self) {
        self.0
            .extend(upper.0.iter().map(|(path, node)| (path.clone(), node.clone())));
    }

    /// Unpacks a tar below `folder`; says what was wrong with it.
    pub(super) fn unpack(&mut self, folder: &str, tar: &[u8]) -> Result<(), String> {
        let mut archive = tar::Archive::new(tar);
        for entry in archive.entries().map_err(|error| error.to_string())? {
            let mut entry = entry.map_err(|error| error.to_string())?;
            let header = entry.header().clone();
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = join(folder, &name);
            let kind = match header.entry_type() {
                tar::EntryType::Directory => Kind::Folder,
                tar::EntryType::Symlink => Kind::Link(
                    entry
                        .link_name_bytes()
                        .map(|target| String::from_utf8_lossy(&target).into_owned())
                        .unwrap_or_default(),
                ),
                tar::EntryType::Link => {
                    let target = entry
                        .link_name_bytes()
                        .map(|target| join(folder, &String::from_utf8_lossy(&target)));
                    match target.and_then(|target| self.0.get(&target).cloned()) {
                        Some(node) => node.kind,
                        None => continue,
                    }
                }
                tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                    let mut content = Vec::new();
                    entry
                        .read_to_end(&mut content)
                        .map_err(|error| error.to_string())?;
                    Kind::File(content.into())
                }
                _ => continue,
            };
            if kind == Kind::Folder && self.is_folder(&path) {
                continue;
            }
            let node = Node {
                kind,
                mode: header.mode().unwrap_or(0o644) & 0o7777,
                uid: header.uid().unwrap_or(0),
                gid: header.gid().unwrap_or(0),
                modified: header.mtime().unwrap_or(0),
            };
            self.put(&path, node);
        }
        Ok(())
    }

    /// What is at `path` as a tar whose names begin with its last part, as Docker's GET archive gives it.
    pub(super) fn pack(&self, path: &str, named: &str) -> std::io::Result<Vec<u8>> {
        let mut builder = tar::Builder::new(Vec::new());
        if !named.is_empty() && self.is_folder(path) && self.get(path).is_none() {
            append(&mut builder, named, &Node::folder())?;
        }
        for (key, node) in self.under(path) {
            let rest = if path.is_empty() {
                key
            } else {
                key.strip_prefix(path).unwrap_or(key).trim_start_matches('/')
            };
            let name = match (named.is_empty(), rest.is_empty()) {
                (true, _) => rest.to_owned(),
                (false, true) => named.to_owned(),
                (false, false) => format!("{named}/{rest}"),
            };
            append(&mut builder, &name, node)?;
        }
        builder.into_inner()
    }
}

fn append(builder: &mut tar::Builder<Vec<u8>>, name: &str, node: &Node) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(node.mode);
    header.set_uid(node.uid);
    header.set_gid(node.gid);
    header.set_mtime(node.modified);
    header.set_size(node.size());
    match &node.kind {
        Kind::Folder => {
            header.set_entry_type(tar::EntryType::Directory);
            builder.append_data(&mut header, format!("{name}/"), std::io::empty())
        }
        Kind::File(bytes) => {
            header.set_entry_type(tar::EntryType::Regular);
            builder.append_data(&mut header, name, bytes.as_ref())
        }
        Kind::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, name, target)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_the_same() {
        let mut tree = Tree::default();
        tree.put("data/ledger/one", Node::file("first"));
        tree.put(
            "data/link",
            Node {
                kind: Kind::Link("ledger/one".to_owned()),
                ..Node::folder()
            },
        );
        let tar = tree.pack("data", "data").unwrap();
        let mut other = Tree::default();
        other.unpack("", &tar).unwrap();
        assert_eq!(
            other.get("data/ledger/one").unwrap().kind,
            Kind::File("first".into())
        );
        assert_eq!(
            other.get("data/link").unwrap().kind,
            Kind::Link("ledger/one".to_owned())
        );
    }

    #[test]
    fn paths_cannot_climb_above_the_root() {
        assert_eq!(clean("/../../etc/./x/../passwd"), "etc/passwd");
    }
}
