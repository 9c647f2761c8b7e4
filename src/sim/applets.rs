//! The commands of the simulated shell.

use std::time::Duration;

use super::behaviour::OnTerm;
use super::clock::rfc3339;
use super::shell::Shell;
use super::tree::Kind;

/// What is found in `$PATH` of every simulated container.
pub(super) const NAMES: [&str; 43] = [
    ":", "[", "apk", "apt-get", "ash", "bash", "busybox", "cat", "cd", "chmod", "chown", "cp", "curl",
    "date", "df", "echo", "env", "exec", "exit", "export", "false", "grep", "head", "hostname", "id", "kill",
    "ls", "mkdir", "mv", "printf", "ps", "pwd", "rm", "set", "sh", "sleep", "stty", "test", "touch", "trap",
    "true", "uname", "whoami",
];

/// Folders that every image has, though no file of them is kept.
const USUAL: [&str; 17] = [
    "bin", "dev", "etc", "home", "lib", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv", "sys",
    "tmp", "usr", "var",
];

pub(super) fn is_usual_folder(path: &str) -> bool {
    USUAL.contains(&path)
        || matches!(
            path,
            "var/lib" | "var/log" | "usr/bin" | "usr/lib" | "usr/share" | "var/run"
        )
}

pub(super) fn run(shell: &mut Shell<'_>, name: &str, arguments: &[String]) {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    shell_code(shell, name, &words, arguments);
}

fn shell_code(shell: &mut Shell<'_>, name: &str, words: &[&str], arguments: &[String]) {
    let before = shell.code;
    shell.code = 0;
    match name {
        "sh" | "ash" | "bash" => interpreter(shell, words, arguments),
        "busybox" | "exec" => {
            shell.execute(arguments);
            if name == "exec" && shell.is_going() && !arguments.is_empty() {
                let code = shell.code;
                shell.exit(code);
            }
        }
        "echo" => {
            let words = words
                .strip_prefix(&["-n"])
                .or(words.strip_prefix(&["-e"]))
                .unwrap_or(words);
            let text = words.join(" ");
            shell.out(&text);
        }
        "printf" => printf(shell, words),
        "sleep" => sleep(shell, words),
        "exit" => {
            let code = words.first().and_then(|word| word.parse().ok()).unwrap_or(before);
            shell.exit(code);
        }
        "false" => shell.code = 1,
        "test" | "[" => shell.code = i32::from(!holds(shell, words)),
        "trap" => trap(shell, words),
        "kill" => kill(shell, words),
        "cd" => {
            let to = shell.path(words.first().copied().unwrap_or("/"));
            shell.folder = format!("/{to}");
        }
        "pwd" => {
            let folder = shell.folder.clone();
            shell.out(&folder);
        }
        "env" => {
            let text: Vec<String> = shell
                .variables
                .iter()
                .filter(|(name, _)| name.chars().any(|c| c.is_ascii_uppercase()))
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            shell.out(&text.join("\n"));
        }
        "export" => {
            for (name, value) in words.iter().filter_map(|word| word.split_once('=')) {
                shell.variables.insert(name.to_owned(), value.to_owned());
            }
        }
        "hostname" => {
            let name = shell.stage.hostname.clone();
            shell.out(&name);
        }
        "whoami" => shell.out("root"),
        "id" => shell.out(if words == ["-u"] {
            "0"
        } else {
            "uid=0(root) gid=0(root) groups=0(root)"
        }),
        "uname" => shell.out(if words.is_empty() {
            "Linux"
        } else {
            "Linux 6.1.0-18-amd64 x86_64 GNU/Linux"
        }),
        "date" => {
            let now = rfc3339(shell.stage.now.plus(shell.at));
            shell.out(&now);
        }
        "ps" => ps(shell),
        "df" => df(shell),
        "head" => super::proc::head(shell, words),
        "grep" => super::proc::grep(shell, words),
        "ls" => ls(shell, words),
        "cat" => cat(shell, words),
        "rm" => {
            for word in words.iter().filter(|word| !word.starts_with('-')) {
                let path = shell.path(word);
                shell.played.tree.remove(&path);
            }
        }
        "cp" | "mv" => copy(shell, words, name == "mv"),
        "mkdir" | "touch" => make(shell, words, name == "mkdir"),
        "stty" if words == ["size"] => {
            let rows = shell.variables.get("LINES").cloned().unwrap_or("24".to_owned());
            let columns = shell.variables.get("COLUMNS").cloned().unwrap_or("80".to_owned());
            shell.out(&format!("{rows} {columns}"));
        }
        "curl" => {
            shell.err("curl: (6) Could not resolve host: no network in the simulation");
            shell.code = 6;
        }
        "apk" | "apt-get" => shell.out(&format!("{name}: nothing to do in the simulation")),
        // `true`, `:`, `set`, `chmod`, `chown`: nothing to see.
        _ => {}
    }
}

fn interpreter(shell: &mut Shell<'_>, words: &[&str], arguments: &[String]) {
    let mut rest = arguments;
    while let Some((first, others)) = rest.split_first().filter(|(first, _)| first.starts_with('-')) {
        rest = others;
        if first.contains('c') {
            if let Some((script, arguments)) = rest.split_first() {
                shell.script(script, arguments);
            }
            return;
        }
    }
    match rest.split_first() {
        Some((file, arguments)) => {
            let path = shell.path(file);
            if let Some(Kind::File(bytes)) = shell.played.tree.get(&path).map(|node| node.kind.clone()) {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                shell.script(&text, arguments);
            } else {
                shell.err(&format!("sh: can't open '{file}': No such file or directory"));
                shell.code = 2;
            }
        }
        // Without a terminal its input is at an end at once.
        None => shell.code = i32::from(!words.is_empty()),
    }
}

fn printf(shell: &mut Shell<'_>, words: &[&str]) {
    let Some((format, values)) = words.split_first() else {
        shell.code = 1;
        return;
    };
    let mut text = String::new();
    let mut values = values.iter();
    let mut letters = format
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .chars()
        .collect::<Vec<_>>()
        .into_iter();
    while let Some(letter) = letters.next() {
        if letter == '%' {
            match letters.next() {
                Some('%') => text.push('%'),
                Some(_) => text.push_str(values.next().copied().unwrap_or_default()),
                None => {}
            }
        } else {
            text.push(letter);
        }
    }
    let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
    shell.out(&text);
}

fn sleep(shell: &mut Shell<'_>, words: &[&str]) {
    let Some(word) = words.first() else {
        shell.err("sleep: missing operand");
        shell.code = 1;
        return;
    };
    if matches!(*word, "infinity" | "inf") {
        shell.never_ends();
        return;
    }
    let unit = match word.chars().last() {
        Some('m') => 60.0,
        Some('h') => 3_600.0,
        Some('d') => 86_400.0,
        _ => 1.0,
    };
    let number = word.trim_end_matches(['s', 'm', 'h', 'd']).parse::<f64>();
    if let Ok(Ok(span)) = number.map(|number| Duration::try_from_secs_f64(number * unit)) {
        shell.at = shell.at.saturating_add(span);
    } else {
        shell.err(&format!("sleep: invalid number '{word}'"));
        shell.code = 1;
    }
}

fn trap(shell: &mut Shell<'_>, words: &[&str]) {
    let Some((action, signals)) = words.split_first() else {
        return;
    };
    let term = signals
        .iter()
        .any(|signal| super::signal::number(signal) == Some(15));
    if !term {
        return;
    }
    let code = action
        .rsplit("exit")
        .next()
        .filter(|_| action.contains("exit"))
        .map(|rest| rest.trim().parse().unwrap_or(0));
    shell.played.on_term = match code {
        Some(code) => OnTerm::Exits {
            after: Duration::ZERO,
            code,
        },
        None => OnTerm::Ignored,
    };
}

/// Only itself can be hit.
fn kill(shell: &mut Shell<'_>, words: &[&str]) {
    let signal = words
        .iter()
        .find_map(|word| super::signal::number(word.strip_prefix('-')?))
        .unwrap_or(15);
    if words.last().is_some_and(|word| *word == "1" || *word == "0") && signal == 9 {
        shell.exit(128 + signal);
    }
}

fn holds(shell: &Shell<'_>, words: &[&str]) -> bool {
    let words = words.strip_suffix(&["]"]).unwrap_or(words);
    let number = |word: &str| word.parse::<i64>().unwrap_or(0);
    match words {
        ["!", rest @ ..] => !holds(shell, rest),
        ["-f" | "-e" | "-r" | "-s" | "-x", path] => shell
            .played
            .tree
            .get(&shell.path(path))
            .is_some_and(|node| node.kind != Kind::Folder),
        ["-d", path] => {
            let path = shell.path(path);
            shell.played.tree.is_folder(&path) || is_usual_folder(&path)
        }
        ["-z", word] => word.is_empty(),
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        [left, "-eq", right] => number(left) == number(right),
        [left, "-ne", right] => number(left) != number(right),
        [left, "-gt", right] => number(left) > number(right),
        [left, "-lt", right] => number(left) < number(right),
        [left, "-ge", right] => number(left) >= number(right),
        [left, "-le", right] => number(left) <= number(right),
        [word] | ["-n", word] => !word.is_empty(),
        _ => false,
    }
}

fn ps(shell: &mut Shell<'_>) {
    let main = shell.stage.argv.join(" ");
    shell.out(&format!(
        "PID   USER     TIME  COMMAND\n    1 root      0:07 {main}\n   41 root      0:00 ps"
    ));
}

fn df(shell: &mut Shell<'_>) {
    let (total, used) = (shell.stage.disk_total, shell.stage.disk_used);
    let free = total.saturating_sub(used);
    let percent = (used * 100).div_ceil(total.max(1));
    shell.out(&format!(
        "Filesystem           1024-blocks    Used Available Capacity Mounted on\noverlay              {total} {used} {free}  {percent}% /"
    ));
}

fn ls(shell: &mut Shell<'_>, words: &[&str]) {
    let long = words
        .iter()
        .any(|word| word.starts_with('-') && word.contains('l'));
    let asked = words
        .iter()
        .find(|word| !word.starts_with('-'))
        .copied()
        .unwrap_or(".");
    let path = shell.path(asked);
    let tree = &shell.played.tree;
    let mut names: Vec<String> = match tree.get(&path).map(|node| &node.kind) {
        Some(Kind::File(_) | Kind::Link(_)) => vec![asked.to_owned()],
        _ if tree.is_folder(&path) || is_usual_folder(&path) => tree.names(&path),
        _ => {
            shell.err(&format!("ls: {asked}: No such file or directory"));
            shell.code = 1;
            return;
        }
    };
    if path.is_empty() {
        names.extend(USUAL.iter().map(|name| (*name).to_owned()));
    }
    names.sort();
    names.dedup();
    let lines: Vec<String> = names
        .into_iter()
        .map(|name| {
            if !long {
                return name;
            }
            let node = tree.get(&super::tree::join(&path, &name));
            let folder = node.is_none_or(|node| node.kind == Kind::Folder);
            format!(
                "{}    1 root     root     {:>9} Nov 20 09:12 {name}",
                if folder { "drwxr-xr-x" } else { "-rw-r--r--" },
                node.map_or(4_096, super::tree::Node::size),
            )
        })
        .collect();
    if !lines.is_empty() {
        shell.out(&lines.join("\n"));
    }
}

fn cat(shell: &mut Shell<'_>, words: &[&str]) {
    for word in words {
        let path = shell.path(word);
        let name = shell.stage.hostname.clone();
        match (
            shell.played.tree.get(&path).map(|node| node.kind.clone()),
            path.as_str(),
        ) {
            (Some(Kind::File(bytes)), _) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                shell.out(text.strip_suffix('\n').unwrap_or(&text));
            }
            (None, "etc/hostname") => shell.out(&name),
            (None, "proc/net/tcp" | "proc/net/tcp6") => sockets(shell, path.ends_with('6')),
            (None, "etc/os-release") => shell.out("PRETTY_NAME=\"Pilothouse simulation\"\nID=simulated"),
            (None, path) if super::proc::file(shell, path).is_some() => {
                let text = super::proc::file(shell, path).unwrap_or_default();
                shell.out(&text);
            }
            _ => {
                shell.err(&format!("cat: can't open '{word}': No such file or directory"));
                shell.code = 1;
            }
        }
    }
}

/// The kernel's table: every port that is listened on, for everybody.
fn sockets(shell: &mut Shell<'_>, sixth: bool) {
    let head = "  sl  local_address rem_address   st tx_queue rx_queue".to_owned();
    let ports = shell.stage.listening.iter().enumerate().filter(|_| !sixth);
    let rows = ports
        .map(|(number, port)| format!("{number:4}: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000"));
    let text = std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n");
    shell.out(&text);
}

fn copy(shell: &mut Shell<'_>, words: &[&str], moves: bool) {
    let plain: Vec<&&str> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let [from, to] = plain.as_slice() else {
        shell.code = 1;
        return;
    };
    let (source, mut target) = (shell.path(from), shell.path(to));
    let Some(node) = shell.played.tree.get(&source).cloned() else {
        shell.err(&format!("cp: can't stat '{from}': No such file or directory"));
        shell.code = 1;
        return;
    };
    if shell.played.tree.is_folder(&target) || is_usual_folder(&target) {
        target = super::tree::join(&target, super::tree::split(&source).1);
    }
    shell.played.tree.put(&target, node);
    shell.played.written.push(target);
    if moves {
        shell.played.tree.remove(&source);
    }
}

fn make(shell: &mut Shell<'_>, words: &[&str], folder: bool) {
    for word in words.iter().filter(|word| !word.starts_with('-')) {
        let path = shell.path(word);
        if shell.played.tree.get(&path).is_none() {
            let node = if folder {
                super::tree::Node::folder()
            } else {
                super::tree::Node::file("")
            };
            shell.played.tree.put(&path, node);
            shell.played.written.push(path);
        }
    }
}
