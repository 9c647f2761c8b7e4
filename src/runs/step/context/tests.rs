use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A context folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files.iter().chain(&[("Dockerfile", "FROM scratch")]) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

async fn taken(mut upload: Upload) -> (Vec<u8>, Result<Sent, Stopped>) {
    let mut bytes = Vec::new();
    while let Some(piece) = upload.pieces.recv().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(_) => break,
        }
    }
    (bytes, upload.walk.await.unwrap())
}

/// Name, mode and size of what the archive holds.
fn listed(archive: &[u8]) -> Vec<String> {
    tar::Archive::new(archive)
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().display().to_string();
            format!("{path} {:o} {}", header.mode().unwrap(), header.size().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_file_sent_from_an_excluded_folder_brings_the_folder_along_with_its_mode() {
    let folder = folder(&[
        ("a/b/keep", "12"),
        ("a/b/other", ""),
        ("a/c", ""),
        (".dockerignore", "a\n!a/b/keep\n"),
    ]);
    std::fs::set_permissions(folder.path().join("a/b"), std::fs::Permissions::from_mode(0o750)).unwrap();
    let context = Context::look(folder.path(), Path::new("Dockerfile")).unwrap();
    let (archive, sent) = taken(context.send()).await;
    let listed = listed(&archive).join(", ");
    assert!(
        listed.contains("a/ 755 0, a/b/ 750 0, a/b/keep 644 2"),
        "{listed}"
    );
    assert!(!listed.contains("other") && !listed.contains("a/c"), "{listed}");
    assert_eq!(sent.unwrap().entries, 5);
}

#[tokio::test]
async fn names_longer_than_tar_knows_and_links_to_nowhere_go_along() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(150));
    let folder = folder(&[(&long, "x")]);
    std::os::unix::fs::symlink("t".repeat(200), folder.path().join("link")).unwrap();
    let context = Context::look(folder.path(), Path::new("Dockerfile")).unwrap();
    let (archive, sent) = taken(context.send()).await;
    assert_eq!(sent.unwrap().entries, 4);
    let names: Vec<String> = listed(&archive);
    assert!(names.iter().any(|entry| entry.starts_with(&long)), "{names:?}");
    let mut archive = tar::Archive::new(archive.as_slice());
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let link = entries
        .find(|entry| entry.path().unwrap() == Path::new("link"))
        .unwrap();
    assert_eq!(link.link_name().unwrap().unwrap(), Path::new(&"t".repeat(200)));
}

#[tokio::test]
async fn a_walk_that_nobody_takes_any_more_ends() {
    let folder = folder(&[]);
    std::fs::File::create(folder.path().join("big"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let upload = Context::look(folder.path(), Path::new("Dockerfile"))
        .unwrap()
        .send();
    drop(upload.pieces);
    assert!(matches!(upload.walk.await.unwrap(), Err(Stopped::Unwanted)));
    assert!(upload.bytes.load(Ordering::Relaxed) < 1 << 20);
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_read_is_a_fault_and_one_that_grows_is_cut() {
    let folder = folder(&[("log", "12345")]);
    let read = |promised| {
        let mut contents = Exactly {
            file: File::open(folder.path().join("log")).unwrap(),
            left: promised,
            failed: None,
        };
        let mut text = String::new();
        let outcome = contents.read_to_string(&mut text);
        (outcome.is_ok(), text, contents.failed)
    };
    let (fine, text, _) = read(3);
    assert!(fine && text == "123");
    let (fine, _, failed) = read(9);
    assert!(!fine && failed.unwrap().to_string().contains("shorter"));
}

#[tokio::test]
async fn what_may_not_be_read_is_named_with_what_helps() {
    let folder = folder(&[("secret", "x")]);
    let secret = folder.path().join("secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    let context = Context::look(folder.path(), Path::new("Dockerfile")).unwrap();
    let (_, sent) = taken(context.send()).await;
    if rustix::process::geteuid().is_root() {
        // Root reads everything.
        assert!(sent.is_ok());
        let Stopped::Fault(fault) = reading(&secret, &io::Error::from_raw_os_error(13)) else {
            panic!("a fault");
        };
        assert!(fault.hint.unwrap().contains(".dockerignore"));
        return;
    }
    let Err(Stopped::Fault(fault)) = sent else {
        panic!("{sent:?}");
    };
    assert!(
        fault.what.contains("secret") && fault.why == "permission denied",
        "{fault}"
    );
}
