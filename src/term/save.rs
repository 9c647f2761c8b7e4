//! Saves text to a new file of the user.
//! Never overwrites a file; the new one is readable by its owner only.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::app::effect::Save;
use crate::domain::fault::Fault;

/// Blocks: not to be called on the runtime's own thread.
pub fn save(save: &Save, home: Option<&Path>) -> Result<(), Fault> {
    let path = at_home(&save.path, home);
    let what = || format!("save to {}", path.display());
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(save.text.as_bytes()));
    written.map_err(|fault| match fault.kind() {
        io::ErrorKind::AlreadyExists => {
            Fault::new(what(), "a file of that name exists").hint("give another name")
        }
        _ => Fault::new(what(), fault),
    })
}

fn at_home(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let wish = Save {
            path: PathBuf::from("~/shop.log"),
            text: "one\n".to_owned(),
        };
        save(&wish, Some(dir.path())).unwrap();
        let again = Save {
            text: "two\n".to_owned(),
            ..wish.clone()
        };
        assert!(save(&again, Some(dir.path())).unwrap_err().hint.is_some());
        assert_eq!(
            std::fs::read_to_string(dir.path().join("shop.log")).unwrap(),
            "one\n"
        );
    }
}
