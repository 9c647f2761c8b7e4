//! Whether an image fits on a host, on a real daemon with a small disk; checked before anything is transferred.

use std::path::PathBuf;

use pilothouse::domain::order::Access;
use pilothouse::domain::run::RunKind;
use pilothouse::runs;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::releases::Bench;
use crate::support::releases::reverted::why;
use crate::support::{fleet, image};

/// The data of the daemon lie on a file system of so many MiB, until this is dropped.
struct Small<'d> {
    daemon: &'d Daemon,
    place: PathBuf,
}

impl<'d> Small<'d> {
    fn new(daemon: &'d Daemon, mebibytes: u32) -> Self {
        let place = fleet::folder("disk");
        let file = place.with_extension("image");
        let (at, file) = (place.display(), file.display());
        // Where there are no loop devices, memory is as small.
        let line = format!(
            "truncate -s {mebibytes}M {file} && mkfs.ext4 -q -F {file} && mount -o loop {file} {at} \
             || mount -t tmpfs -o size={mebibytes}m tmpfs {at}"
        );
        let mounted = daemon.inside("sh").args(["-c", &line]).output().unwrap();
        assert!(mounted.status.success(), "{mounted:?}");
        daemon.stop();
        daemon.start_with(&[&format!("--data-root={at}")]);
        daemon.load_busybox();
        Self { daemon, place }
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        self.daemon.stop();
        let unmounted = self.daemon.inside("umount").arg(&self.place).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted until its namespace goes", self.place.display());
        }
    }
}

/// An image of one file of so many MiB, which shares no layer with any other.
async fn import(daemon: &Daemon, tag: &str, mebibytes: usize) {
    use futures_util::TryStreamExt as _;
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    let content = vec![0; mebibytes << 20];
    header.set_size(content.len() as u64);
    archive
        .append_data(&mut header, "big", content.as_slice())
        .unwrap();
    let options = bollard::query_parameters::CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo("busybox")
        .tag(tag)
        .build();
    let body = bollard::body_full(archive.into_inner().unwrap().into());
    let made: Vec<_> = daemon
        .docker()
        .create_image(Some(options), Some(body), None)
        .try_collect()
        .await
        .unwrap();
    assert!(!made.is_empty());
}

#[tokio::test]
async fn an_image_that_cannot_fit_is_refused_with_figures_before_it_is_sent_and_one_that_does_is_brought() {
    let daemons = fleet::lease(2);
    let small = Small::new(&daemons[1], 220);
    let hosts: Vec<_> = daemons.iter().map(Daemon::host).collect();
    let bench = Bench::on(hosts.clone(), image::BUSYBOX);
    let of = |image: &str| {
        let mut other = Bench::on(hosts.clone(), image);
        other.state = bench.state.clone();
        other
    };
    // Its replica is what `df` is run in.
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    import(&daemons[0], "big", 400).await;
    let big = of("busybox:big");
    let words = format!("bring the image busybox:big to {}: it needs ", daemons[1].name());
    let view = big
        .is_undone(&before, &[&words, " free on the disk of Docker's data"])
        .await;
    println!("{}", why(&view));
    let journal = bench.journal(&view.id);
    assert!(!journal.contains("\"intent\":{\"stage\":\"create\""), "{journal}");
    let there = daemons[1].ask("GET", "/images/json", &Value::Null);
    assert_eq!(there.as_array().unwrap().len(), 1, "{there}");
    // A plan changes nothing, and runs nothing in a container: over a socket it does not know, and says so.
    let request = big.request(RunKind::Deploy);
    let plan = runs::plan(&bench.state, &bench.config, &request, Access::Full)
        .await
        .unwrap();
    assert!(
        plan.warnings.iter().any(|line| line.contains(&format!(
            "it is unknown whether there is room for the image on {}",
            daemons[1].name()
        ))),
        "{:?}",
        plan.warnings
    );

    // What fits is brought; that nothing can run in it is another matter.
    import(&daemons[0], "little", 10).await;
    let (exit, view) = of("busybox:little").run(RunKind::Deploy).await;
    assert_eq!(exit, 1, "{}", bench.journal(&view.id));
    let said: Vec<&str> = view.output.iter().map(|line| line.text.as_str()).collect();
    assert!(
        said.iter()
            .any(|line| line.contains(" to transfer, ") && line.ends_with(" free")),
        "{said:?}"
    );
    let there = daemons[1].ask("GET", "/images/json", &Value::Null);
    assert_eq!(there.as_array().unwrap().len(), 2, "{there}");
    drop(small);
}
