use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
    let (archive, sent) = taken(Arc::new(context).send()).await;
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
    let (archive, sent) = taken(Arc::new(context).send()).await;
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
    let context = Context::look(folder.path(), Path::new("Dockerfile")).unwrap();
    let upload = Arc::new(context).send();
    drop(upload.pieces);
    assert!(matches!(upload.walk.await.unwrap(), Err(Stopped::Unwanted)));
    assert!(upload.bytes.load(Ordering::Relaxed) < 1 << 20);
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_read_is_a_fault_and_one_that_grows_is_cut() {
    let folder = folder(&[("log", "12345")]);
    let read = |promised| {
        let mut contents = Contents::default();
        let origin = Origin::Path(folder.path().join("log"));
        let mut bytes = contents.open(&origin, promised).unwrap();
        let mut text = String::new();
        let outcome = bytes.read_to_string(&mut text);
        (outcome.is_ok(), text, bytes.failed())
    };
    let (fine, text, _) = read(3);
    assert!(fine && text == "123");
    let (fine, _, failed) = read(9);
    assert!(!fine && failed.unwrap().to_string().contains("truncated"));
}

#[tokio::test]
async fn what_may_not_be_read_is_named_with_what_helps() {
    let folder = folder(&[("secret", "x")]);
    let secret = folder.path().join("secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    let context = Context::look(folder.path(), Path::new("Dockerfile")).unwrap();
    let (_, sent) = taken(Arc::new(context).send()).await;
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

/// What a walk names, by a builder's wishes.
fn named(context: &Context, excludes: &[&str], only: &[&str]) -> Vec<String> {
    let filter = Filter {
        ignore: Ignore::of(excludes.iter().map(|text| (*text).to_owned())).unwrap(),
        only: only.iter().map(|text| (*text).to_owned()).collect(),
    };
    let mut named = Vec::new();
    context
        .walk_with(&filter, &mut |entry| {
            named.push(entry.path);
            Ok(())
        })
        .unwrap();
    named
}

#[test]
fn a_builder_gets_what_it_follows_with_the_way_there_and_all_where_that_is_not_plain() {
    let folder = folder(&[("a/b/c", ""), ("a/d", ""), ("e/f", ""), ("log", "")]);
    std::os::unix::fs::symlink("a", folder.path().join("link")).unwrap();
    let context = Context::look(folder.path(), Path::new("Dockerfile")).unwrap();
    assert_eq!(named(&context, &[], &["a/b"]), ["a", "a/b", "a/b/c"]);
    assert_eq!(named(&context, &["a"], &["Dockerfile", "a"]), ["Dockerfile"]);
    let all = named(&context, &["log"], &[]);
    assert_eq!(all.len(), 8, "{all:?}");
    for only in ["link/b", "*.md", ".", "link"] {
        assert_eq!(named(&context, &["log"], &[only]), all, "{only}");
    }
}

/// A repository with one commit of these files, and that commit.
fn repository(files: &[(&str, &str)]) -> (tempfile::TempDir, String) {
    let folder = folder(files);
    git(folder.path(), &["init", "-q", "-b", "main"]);
    git(folder.path(), &["add", "-A"]);
    git(folder.path(), &["commit", "-q", "-m", "one"]);
    let commit = git(folder.path(), &["rev-parse", "HEAD"]);
    (folder, commit)
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let done = std::process::Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-C"])
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

#[tokio::test]
async fn of_a_commit_a_dockerfile_and_an_ignore_file_are_read_through_their_links() {
    let (folder, _) = repository(&[
        ("docker/of/App", "# syntax=x/y:1\nFROM scratch\n"),
        ("secret", "x"),
    ]);
    let root = folder.path();
    let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, root.join(name)).unwrap();
    std::fs::write(root.join("docker/ignored"), "secret\n").unwrap();
    link("docker/of", "here");
    link("here/../of/App", "Linked");
    link("docker/ignored", ".dockerignore");
    link("Round", "Round");
    link("../../outside", "Out");
    link("/etc/passwd", "Absolute");
    git(root, &["add", "-A"]);
    git(root, &["commit", "-q", "-m", "two"]);
    let second = git(root, &["rev-parse", "HEAD"]);
    for dockerfile in ["Linked", "here/App", "docker/of/App"] {
        let context = Context::look_at(root, &second, Path::new(dockerfile))
            .await
            .unwrap();
        assert_eq!(context.syntax(), Some("x/y:1"), "{dockerfile}");
        let (archive, _) = taken(Arc::new(context).send()).await;
        assert!(
            !listed(&archive).contains(&"secret 644 1".to_owned()),
            "{dockerfile}"
        );
    }
    let build = crate::config::service::Build {
        git: Some(second.clone()),
        dockerfile: "Linked".into(),
        ..crate::config::service::Build::new(
            crate::domain::ids::HostName::parse("builder").unwrap(),
            root.to_owned(),
            std::time::Duration::from_mins(1),
        )
    };
    let text = Context::dockerfile(&build).await.unwrap();
    assert!(text.ends_with("FROM scratch\n"), "{text}");
    for (dockerfile, why) in [
        ("Round", "circular link"),
        ("Out", "points outside the context"),
        ("Absolute", "points outside the context"),
    ] {
        let fault = Context::look_at(root, &second, Path::new(dockerfile))
            .await
            .unwrap_err();
        assert!(fault.why.contains(why), "{fault}");
    }
    // What is kept out by nobody knows what is not sent.
    std::fs::remove_file(root.join(".dockerignore")).unwrap();
    link("../outside", ".dockerignore");
    git(root, &["commit", "-qam", "three"]);
    let third = git(root, &["rev-parse", "HEAD"]);
    let fault = Context::look_at(root, &third, Path::new("Dockerfile"))
        .await
        .unwrap_err();
    assert!(fault.why.contains("points outside the context"), "{fault}");
}

#[tokio::test]
async fn a_commit_is_sent_exactly_whatever_the_work_tree_holds() {
    let (folder, first) = repository(&[
        ("a.b", "one\r\n"),
        ("a/x", "deep"),
        ("a/empty", ""),
        ("dropped", "by its attribute"),
        (".gitattributes", "dropped export-ignore\n*.b text eol=lf\n"),
        (".dockerignore", "secret\nlogs\n!logs/keep\n"),
        ("secret", "x"),
        ("logs/keep", "kept"),
        ("logs/other", "x"),
    ]);
    let root = folder.path();
    std::fs::set_permissions(root.join("a/x"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("a/x", root.join("link")).unwrap();
    git(root, &["add", "-A"]);
    git(root, &["commit", "-q", "-m", "two"]);
    let second = git(root, &["rev-parse", "HEAD"]);
    // The work tree: changed, gone, new, other patterns.
    std::fs::write(root.join("a/x"), "changed").unwrap();
    std::fs::remove_dir_all(root.join("logs")).unwrap();
    std::fs::write(root.join("new"), "").unwrap();
    std::fs::write(root.join(".dockerignore"), "**").unwrap();

    let context = Context::look_at(root, &second, Path::new("Dockerfile"))
        .await
        .unwrap();
    let (archive, sent) = taken(Arc::new(context).send()).await;
    sent.unwrap();
    assert_eq!(
        listed(&archive),
        [
            ".dockerignore 644 23",
            ".gitattributes 644 38",
            "Dockerfile 644 12",
            "a/ 755 0",
            "a/empty 644 0",
            "a/x 755 4",
            "a.b 644 4",
            "dropped 644 16",
            "link 777 0",
            "logs/ 755 0",
            "logs/keep 644 4",
        ]
    );
    let older = Context::look_at(root, &first, Path::new("Dockerfile"))
        .await
        .unwrap();
    let (archive, _) = taken(Arc::new(older).send()).await;
    assert!(listed(&archive).contains(&"a/x 644 4".to_owned()));
    // A folder of it, also where the work tree has it no more.
    let nowhere = Context::look_at(&root.join("logs"), &second, Path::new("keep"))
        .await
        .unwrap();
    assert_eq!(named(&nowhere, &[], &[]), ["keep", "other"]);
    let fault = Context::look_at(&root.join("none"), &second, Path::new("Dockerfile"))
        .await
        .unwrap_err();
    assert!(fault.to_string().contains("/none as of "), "{fault}");
    let fault = Context::look_at(root, &second, Path::new("new"))
        .await
        .unwrap_err();
    assert!(fault.why.contains("the commit has no such file"), "{fault}");
}

#[tokio::test]
async fn a_submodule_is_refused_by_name_unless_it_is_ignored() {
    let (folder, commit) = repository(&[]);
    let root = folder.path();
    let pointer = format!("160000,{commit},libs/inner");
    git(root, &["update-index", "--add", "--cacheinfo", &pointer]);
    git(root, &["commit", "-q", "-m", "two"]);
    let commit = git(root, &["rev-parse", "HEAD"]);
    let context = Context::look_at(root, &commit, Path::new("Dockerfile"))
        .await
        .unwrap();
    assert_eq!(named(&context, &["libs"], &[]), ["Dockerfile"]);
    let (_, sent) = taken(Arc::new(context).send()).await;
    let Err(Stopped::Fault(fault)) = sent else {
        panic!("{sent:?}");
    };
    assert!(
        fault.what.contains("libs/inner") && fault.why.contains("submodule"),
        "{fault}"
    );
}
