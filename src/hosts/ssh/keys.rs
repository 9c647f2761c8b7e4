//! Whether a refused login could work with a passphrase or a touch: looks for keys that are encrypted or on a security key.
//! Uses the key files that `ssh -G` names on this machine; decrypts none and opens no connection.

use std::path::PathBuf;
use std::time::Duration;

use super::command::Commands;
use super::words::Keys;

/// `ssh -G` reads files and may run the user's `Match exec` commands.
const ASKING: Duration = Duration::from_secs(3);

/// The keys of the host and of the jump hosts before it.
pub(super) async fn look(commands: &Commands<'_>) -> Keys {
    let Some(own) = settings(commands, None).await else {
        return Keys::Open;
    };
    let jumps = value(&own, "proxyjump").unwrap_or_default();
    let mut found = Keys::Open;
    let mut all = vec![own.clone()];
    for jump in jumps
        .split(',')
        .filter(|jump| !jump.is_empty() && *jump != "none")
    {
        all.extend(settings(commands, Some(jump)).await);
    }
    for file in all.iter().flat_map(|settings| identities(settings)) {
        // A file that is not there, or may not be read, could not have helped.
        match tokio::fs::read_to_string(&file)
            .await
            .map_or(Keys::Open, |text| kind(&text))
        {
            Keys::Locked => return Keys::Locked,
            Keys::Touch => found = Keys::Touch,
            Keys::Open => {}
        }
    }
    found
}

/// What `ssh -G` prints.
pub(super) async fn settings(commands: &Commands<'_>, of: Option<&str>) -> Option<String> {
    let mut command = tokio::process::Command::from(commands.settings(of));
    command.stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(ASKING, command.output()).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// One value of `ssh -G`: its names are in lower case.
pub(super) fn value<'a>(settings: &'a str, name: &str) -> Option<&'a str> {
    settings
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
}

fn identities(settings: &str) -> impl Iterator<Item = PathBuf> {
    settings
        .lines()
        .filter_map(|line| line.strip_prefix("identityfile "))
        .map(|path| match path.strip_prefix("~/") {
            Some(rest) => {
                directories::BaseDirs::new().map_or_else(PathBuf::new, |dirs| dirs.home_dir().join(rest))
            }
            None => PathBuf::from(path),
        })
}

/// OpenSSH's own format begins with the cipher's name (`PROTOCOL.key`): base64 of `openssh-key-v1\0` and `none`.
fn kind(file: &str) -> Keys {
    const CLEAR: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";
    /// `sk-ssh-ed25519@openssh.com` and `sk-ecdsa-sha2-nistp256@openssh.com` with their lengths, where the public half begins.
    const TOUCH: [&str; 2] = [
        "ABpzay1zc2gtZWQyNTUxOUBvcGVuc3NoLmNvb",
        "ACJzay1lY2RzYS1zaGEyLW5pc3RwMjU2QG9wZW5zc2guY29t",
    ];
    let mut lines = file.lines();
    let is_own = lines
        .next()
        .is_some_and(|line| line.contains("BEGIN OPENSSH PRIVATE KEY"));
    let first = lines.next().unwrap_or_default();
    let body: String = file.lines().skip(1).collect();
    if is_own && !first.starts_with(CLEAR) || file.contains("ENCRYPTED") {
        Keys::Locked
    } else if TOUCH.iter().any(|mark| body.contains(mark)) {
        Keys::Touch
    } else {
        Keys::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_key_is_told_by_its_head() {
        let open = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n";
        let locked = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABCqYBZ+Ge\n";
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n";
        assert_eq!(
            [open, locked, old].map(kind),
            [Keys::Open, Keys::Locked, Keys::Locked]
        );
    }

    #[test]
    fn a_value_is_found_by_its_whole_name() {
        let settings = "proxyjumper x\nproxyjump a,b\n";
        assert_eq!(value(settings, "proxyjump"), Some("a,b"));
    }

    /// Heads that `ssh-keygen -y` reads as keys on a device.
    #[test]
    fn a_key_on_a_device_is_told_by_its_public_half_across_lines() {
        let ed25519 = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAASgAAABpzay1zc2\ngtZWQyNTUxOUBvcGVuc3NoLmNvbQAAACDXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo\n";
        let ecdsa = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAfwAAACJzay1lY2\nRzYS1zaGEyLW5pc3RwMjU2QG9wZW5zc2guY29tAAAACG5pc3RwMjU2AAAAQQRrF9Hy4SxC\n";
        assert_eq!([ed25519, ecdsa].map(kind), [Keys::Touch, Keys::Touch]);
    }
}
