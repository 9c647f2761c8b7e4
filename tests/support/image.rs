//! Images made from the machine's static busybox, in `docker save` form: nothing is pulled.
//! Always the same bytes, so that every daemon has them under one id.

use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

/// What every daemon of the fleet has: `sh` and all applets of busybox, runs `sh`.
pub(crate) const BUSYBOX: &str = "busybox:real";

/// Applets that the tests' scripts use, as links to busybox.
const APPLETS: &[&str] = &[
    "sh", "ash", "cat", "echo", "printf", "sleep", "seq", "head", "tail", "wc", "tr", "dd", "yes", "kill",
    "ls", "mkdir", "rm", "mv", "cp", "touch", "stty", "tty", "id", "env", "true", "false", "test", "date",
    "nc", "httpd", "wget", "ip", "ps", "top", "hostname", "od", "md5sum", "usleep", "nproc", "grep", "sed",
    "awk", "find",
];

/// The bytes of a `docker save` archive that holds busybox under [`BUSYBOX`].
pub(crate) fn busybox() -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    for folder in ["bin/", "tmp/", "etc/", "root/", "proc/", "sys/", "dev/"] {
        let mut header = header(tar::EntryType::Directory, 0, 0o755);
        if folder == "tmp/" {
            header.set_mode(0o1777);
        }
        layer.append_data(&mut header, folder, &[][..]).unwrap();
    }
    let program = std::fs::read(busybox_path()).expect("busybox-static is installed");
    put(&mut layer, "bin/busybox", 0o755, &program);
    put(
        &mut layer,
        "etc/passwd",
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\n",
    );
    put(&mut layer, "etc/group", 0o644, b"root:x:0:\n");
    for applet in APPLETS {
        let mut header = header(tar::EntryType::Symlink, 0, 0o777);
        layer
            .append_link(&mut header, format!("bin/{applet}"), "busybox")
            .unwrap();
    }
    save(&layer.into_inner().unwrap(), BUSYBOX)
}

/// Debian's own redis with its libraries and busybox beside it, as `redis:real`; its data lie in a volume.
pub(crate) fn redis() -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    let program = std::fs::read("/usr/bin/redis-server").expect("redis-server is installed");
    put(&mut layer, "bin/redis-server", 0o755, &program);
    put(
        &mut layer,
        "bin/cat",
        0o755,
        &std::fs::read(busybox_path()).unwrap(),
    );
    let listed = std::process::Command::new("ldd")
        .arg("/usr/bin/redis-server")
        .output()
        .unwrap();
    // `libm.so.6 => /lib/…/libm.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`
    for path in String::from_utf8_lossy(&listed.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        put(
            &mut layer,
            path.trim_start_matches('/'),
            0o755,
            &std::fs::read(path).unwrap(),
        );
    }
    for folder in ["data/", "tmp/", "proc/", "sys/", "dev/", "etc/"] {
        layer
            .append_data(&mut header(tar::EntryType::Directory, 0, 0o777), folder, &[][..])
            .unwrap();
    }
    let config = json!({
        "Cmd": ["redis-server", "--save", "", "--protected-mode", "no", "--bind", "0.0.0.0", "--dir", "/data"],
        "Env": ["PATH=/bin"], "Volumes": { "/data": {} }, "ExposedPorts": { "6379/tcp": {} },
    });
    save_with(&layer.into_inner().unwrap(), "redis:real", &config)
}

/// A web server and nothing else, not even a shell, as `httpd:bare`: serves `/www` on port 8080.
pub(crate) fn bare_httpd() -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    let program = std::fs::read(busybox_path()).expect("busybox-static is installed");
    put(&mut layer, "httpd", 0o755, &program);
    let config = json!({ "Entrypoint": ["/httpd"], "Cmd": ["-f", "-p", "8080", "-h", "/www"] });
    save_with(&layer.into_inner().unwrap(), "httpd:bare", &config)
}

/// One layer and a name as `docker load` reads them.
fn save(layer: &[u8], name: &str) -> Vec<u8> {
    let config = json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"], "StopSignal": "SIGKILL" });
    save_with(layer, name, &config)
}

fn save_with(layer: &[u8], name: &str, running: &serde_json::Value) -> Vec<u8> {
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": running,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(layer))] },
        "history": [{ "created": "2026-01-01T00:00:00Z", "created_by": "tests/support/image.rs" }],
    })
    .to_string();
    let config_name = format!("{}.json", hex(config.as_bytes()));
    let manifest =
        json!([{ "Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"] }]).to_string();
    let mut archive = tar::Builder::new(Vec::new());
    put(&mut archive, &config_name, 0o644, config.as_bytes());
    put(&mut archive, "layer.tar", 0o644, layer);
    put(&mut archive, "manifest.json", 0o644, manifest.as_bytes());
    archive.into_inner().unwrap()
}

fn put(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) {
    let mut header = header(tar::EntryType::Regular, bytes.len() as u64, mode);
    archive.append_data(&mut header, path, bytes).unwrap();
}

fn header(kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(1_767_225_600);
    header
}

fn busybox_path() -> &'static Path {
    ["/bin/busybox", "/usr/bin/busybox"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists())
        .expect("busybox-static is installed")
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
}
