//! Files put into and taken out of containers as tar, through their mounts, running or not.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::applets::is_usual_folder;
use super::clock::rfc3339;
use super::container::Container;
use super::http::{Answer, Ask, Refused, Reply, Sent, bad, broken, empty, missing, refused, reply};
use super::tree::{Kind, Node, Tree, clean, join, split};
use super::world::{Place, World};
use crate::domain::units::Stamp;

fn asked_path(ask: &Ask) -> Result<String, Refused> {
    match ask.query("path") {
        None | Some("") => Err(bad("bad parameter: pathcannot be empty")),
        Some(path) => Ok(path.to_owned()),
    }
}

impl World {
    /// What is at this path, through the mounts.
    fn look(&self, container: &Container, path: &str) -> Option<Node> {
        let (place, rest) = container.place(path);
        let tree = self.tree(&place);
        let whole = clean(path);
        tree.get(&rest).cloned().or_else(|| {
            let mount = container.mounts.iter().any(|mount| {
                let target = clean(&mount.target);
                target == whole
                    || target
                        .strip_prefix(&whole)
                        .is_some_and(|rest| rest.starts_with('/'))
            });
            (whole.is_empty() || mount || is_usual_folder(&whole) || tree.is_folder(&rest)).then(Node::folder)
        })
    }

    pub(super) fn get_archive(&mut self, name: &str, ask: &Ask, only_look: bool) -> Answer {
        let path = asked_path(ask)?;
        let container = self.container(name)?;
        let id = container.id.clone();
        let Some(node) = self.look(container, &path) else {
            return Err(missing(format!(
                "Could not find the file {path} in container {name}"
            )));
        };
        let whole = clean(&path);
        let last = split(&whole).1;
        let mut answer: Reply = if only_look {
            empty(StatusCode::OK)
        } else {
            let (place, rest) = container.place(&path);
            let named = if last.is_empty() { "." } else { last };
            let tar = self
                .tree(&place)
                .pack(&rest, named)
                .map_err(|error| broken(error.to_string()))?;
            reply(
                StatusCode::OK,
                "application/x-tar",
                Sent::Whole(Some(Bytes::from(tar))),
            )
        };
        let stat = base64(stat(last, &node).to_string().as_bytes());
        if let Ok(value) = HeaderValue::from_str(&stat) {
            answer.headers_mut().insert("X-Docker-Container-Path-Stat", value);
        }
        if !only_look {
            self.emit_container(&id, "archive-path", &[]);
        }
        Ok(answer)
    }

    pub(super) fn put_archive(&mut self, name: &str, ask: &Ask, tar: &[u8]) -> Answer {
        let path = asked_path(ask)?;
        let container = self.container(name)?;
        let id = container.id.clone();
        match self.look(container, &path) {
            None => {
                return Err(missing(format!(
                    "Could not find the file {path} in container {name}"
                )));
            }
            Some(node) if node.kind != Kind::Folder => {
                return Err(bad("extraction point is not a directory"));
            }
            Some(_) => {}
        }
        if self.disk_full {
            return Err(broken(
                "Error processing tar file(exit status 1): write /.tmp: no space left on device",
            ));
        }
        let is_fixed = container.host.get("ReadonlyRootfs") == Some(&Value::Bool(true));
        if is_fixed && matches!(container.place(&path).0, Place::Own(_)) {
            return Err(bad("container rootfs is marked read-only"));
        }
        let mut unpacked = Tree::default();
        unpacked
            .unpack("", tar)
            .map_err(|_words| broken("Error processing tar file(exit status 1): unexpected EOF"))?;
        let folder = clean(&path);
        for (inside, node) in unpacked.under("") {
            let container = self.container(&id)?;
            let target = format!("/{}", join(&folder, inside));
            let (place, rest) = container.place(&target);
            let read_only = container.mounts.iter().any(|mount| {
                !mount.writable
                    && clean(&target)
                        .strip_prefix(&clean(&mount.target))
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            if read_only {
                return Err(refused(
                    StatusCode::FORBIDDEN,
                    "mounted volume is marked read-only",
                ));
            }
            if let Some(tree) = self.tree_mut(&place)
                && !(node.kind == Kind::Folder && tree.is_folder(&rest))
            {
                tree.put(&rest, node.clone());
            }
        }
        self.emit_container(&id, "extract-to-dir", &[]);
        Ok(empty(StatusCode::OK))
    }
}

/// As the header has it; the mode is Go's.
fn stat(name: &str, node: &Node) -> Value {
    let (kind, size, target) = match &node.kind {
        Kind::Folder => (1_u32 << 31, 4_096, ""),
        Kind::File(_) => (0, node.size(), ""),
        Kind::Link(target) => (1 << 27, 0, target.as_str()),
    };
    let modified = Stamp::from_seconds(i64::try_from(node.modified.max(1)).unwrap_or(1));
    json!({
        "name": if name.is_empty() { "/" } else { name },
        "size": size,
        "mode": kind | node.mode,
        "mtime": rfc3339(modified),
        "linkTarget": target,
    })
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4_usize {
            if place > group.len() {
                text.push('=');
                continue;
            }
            let index = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or(0);
            text.push(LETTERS.get(index).copied().map_or('=', char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        let coded: Vec<String> = ["", "a", "ab", "abc", "abcd"]
            .map(|text| base64(text.as_bytes()))
            .into();
        assert_eq!(coded, ["", "YQ==", "YWI=", "YWJj", "YWJjZA=="]);
    }
}
