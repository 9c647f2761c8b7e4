//! What a simulated container sees of its host below `/proc`: as much as load and memory are read from.
//! Believable figures that move; nothing is measured.

use super::shell::Shell;

/// Counters of the processors count these, proc(5).
const TICKS: f64 = 100.0;

/// The whole text of a file below `/proc`, without its last line end.
pub(super) fn file(shell: &Shell<'_>, path: &str) -> Option<String> {
    match path {
        "proc/stat" => Some(processors(shell)),
        "proc/meminfo" => Some(memory(shell)),
        _ => None,
    }
}

/// A host has its own level around which its load swings within minutes.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counters of a simulation"
)]
fn processors(shell: &Shell<'_>) -> String {
    let stage = &shell.stage;
    let now = stage.now.plus(shell.at).0 as f64 / 1e9;
    let level = f64::from(stage.level % 40) / 100.0 + 0.08;
    // The integral of level × (1 + sin(now / 20) / 2).
    let busy = level * (now - 10.0 * (now / 20.0).cos());
    let ticks = |seconds: f64| (seconds * TICKS * f64::from(stage.cores)) as u64;
    let (busy, all) = (ticks(busy), ticks(now));
    let (user, system) = (busy * 3 / 4, busy / 4);
    let idle = all.saturating_sub(busy);
    format!("cpu  {user} 0 {system} {idle} 0 0 0 0 0 0\nctxt 1")
}

fn memory(shell: &Shell<'_>) -> String {
    let total = shell.stage.memory / 1024;
    let used = 30 + u64::from(shell.stage.level % 45);
    let available = total / 100 * (100 - used);
    format!(
        "MemTotal: {total} kB\nMemFree: {} kB\nMemAvailable: {available} kB",
        available / 2
    )
}

/// `head -n 1 FILE`
pub(super) fn head(shell: &mut Shell<'_>, words: &[&str]) {
    let (count, paths) = match words {
        ["-n", count, paths @ ..] => (count.parse().unwrap_or(10), paths),
        paths => (10, paths),
    };
    for path in paths {
        let from = shell.path(path);
        match text(shell, &from) {
            Some(text) => {
                let lines: Vec<&str> = text.lines().take(count).collect();
                shell.out(&lines.join("\n"));
            }
            None => missing(shell, "head", path),
        }
    }
}

/// `grep [-E] PATTERN FILE`
pub(super) fn grep(shell: &mut Shell<'_>, words: &[&str]) {
    let plain: Vec<&&str> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let [pattern, path] = plain.as_slice() else {
        shell.code = 2;
        return;
    };
    let from = shell.path(path);
    let (Ok(pattern), Some(text)) = (regex::Regex::new(pattern), text(shell, &from)) else {
        missing(shell, "grep", path);
        return;
    };
    let found: Vec<&str> = text.lines().filter(|line| pattern.is_match(line)).collect();
    if found.is_empty() {
        shell.code = 1;
    } else {
        shell.out(&found.join("\n"));
    }
}

fn text(shell: &Shell<'_>, path: &str) -> Option<String> {
    use super::tree::Kind;
    match shell.played.tree.get(path).map(|node| &node.kind) {
        Some(Kind::File(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => file(shell, path),
    }
}

fn missing(shell: &mut Shell<'_>, name: &str, path: &str) {
    shell.err(&format!("{name}: {path}: No such file or directory"));
    shell.code = 1;
}
