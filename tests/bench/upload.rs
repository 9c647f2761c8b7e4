//! Sending a build context to the daemon: this program and `docker build`, in turns, with the same folder.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::desk::Desk;
use super::pipelines;
use super::stage::Stage;
use super::table::{Table, median_and_worst};

const ROUNDS: usize = 3;
/// Large files, and many small ones.
const LARGE: (usize, usize) = (16, 48 << 20);
const SMALL: (usize, usize) = (4_000, 16 << 10);

pub(crate) fn measure(stage: &Stage, table: &mut Table) {
    let context = stage.folder.join("context");
    fill(&context);
    let mebibytes = (LARGE.0 * LARGE.1 + SMALL.0 * SMALL.1) as f64 / f64::from(1 << 20);
    // The classic builder takes all of a context before its first step; BuildKit takes what is copied.
    for (builder, dockerfile) in [
        ("classic", "FROM scratch\nLABEL of=upload\n"),
        ("buildkit", "FROM scratch\nCOPY . /\n"),
    ] {
        std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        let work = format!(
            "build context of {mebibytes:.0} MiB in {} files, {builder}",
            LARGE.0 + SMALL.0
        );
        let desk = Desk::new(
            stage,
            &format!(
                "[[services]]\nname = \"upload\"\nimage = \"upload\"\n[services.build]\ncontext = \"{}\"\nbuilder = \"{builder}\"\n",
                context.display()
            ),
        );
        let (mut ours, mut docker) = (Vec::new(), Vec::new());
        let mut trouble = String::new();
        for _ in 0..ROUNDS {
            for (command, speeds) in [
                (desk.command(&["build", "upload"]), &mut ours),
                (docker_build(stage, &context, builder), &mut docker),
            ] {
                match timed(stage, command) {
                    Ok(seconds) => speeds.push(mebibytes / seconds),
                    Err(words) => trouble = words,
                }
            }
        }
        let (ours, _) = median_and_worst(&mut ours);
        let (docker, _) = median_and_worst(&mut docker);
        let share = format!("{:.0} % of docker build's; aim ≥ 80 %", ours / docker * 100.0);
        table.row(&work, "pilothouse", format!("{ours:.0} MiB/s"), &share);
        table.row(&work, "docker build", format!("{docker:.0} MiB/s"), &trouble);
    }
}

/// What cannot be compressed, so that nobody is faster for having tried.
fn fill(context: &Path) {
    let mut random = std::fs::File::open("/dev/urandom").unwrap();
    for (folder, (count, size)) in [("large", LARGE), ("small", SMALL)] {
        let folder = context.join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut bytes = vec![0; size];
        for number in 0..count {
            random.read_exact(&mut bytes).unwrap();
            std::fs::write(folder.join(format!("{number}")), &bytes).unwrap();
        }
    }
}

fn docker_build(stage: &Stage, context: &Path, builder: &str) -> Command {
    // The one of Debian's docker.io has BuildKit built in; a newer one needs a plugin for it.
    let debians = Path::new("/usr/bin/docker");
    let mut command = Command::new(if debians.exists() {
        debians
    } else {
        Path::new("docker")
    });
    command
        .args(["build", "-q", "-t", "upload:docker"])
        .arg(context)
        .env("DOCKER_HOST", stage.docker_host())
        .env("DOCKER_BUILDKIT", if builder == "buildkit" { "1" } else { "0" });
    command
}

/// Nothing of an earlier build is on the daemon when it begins.
fn timed(stage: &Stage, mut command: Command) -> Result<f64, String> {
    for name in ["upload:docker", "upload:last-build"] {
        drop(
            stage
                .daemon()
                .try_ask("DELETE", &format!("/images/{name}?force=1"), &Value::Null),
        );
    }
    stage.daemon().ask("POST", "/build/prune?all=1", &Value::Null);
    pipelines::settle();
    let begun = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|fault| format!("not measured: {fault}"))?;
    if output.status.success() {
        return Ok(begun.elapsed().as_secs_f64());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    Err(format!("failed: {}", words.chars().take(200).collect::<String>()))
}
