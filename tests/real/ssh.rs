//! Daemons behind real sshd: reached through the user's own ssh, watched while the link is cut, and nothing left behind.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pilothouse::domain::endpoint::Ssh;
use pilothouse::domain::fault::Fault;
use pilothouse::domain::host::Reading;
use pilothouse::domain::ids::HostName;
use pilothouse::domain::units::Stamp;
use pilothouse::hosts::Unreached;
use pilothouse::hosts::ssh::{self, Tunnel, Way};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::support::fleet;
use crate::support::raw;
use crate::support::sshd::{Sshd, signal, user, with_word};
use crate::support::wait::until;

/// `ServerAliveInterval` 5 s, twice unanswered, and a little.
const NOTICED: Duration = Duration::from_secs(18);
/// `ControlPersist` of what was lent, and a little.
const UNUSED: Duration = Duration::from_secs(25);
/// A process that was told to end.
const ENDED: Duration = Duration::from_secs(5);

/// An address of the fleet's network that nobody has.
fn nobody_at() -> String {
    format!("{}.250", fleet::gateway().rsplit_once('.').unwrap().0)
}

fn name() -> HostName {
    HostName::parse("far").unwrap()
}

async fn open(ssh: &Ssh) -> Tunnel {
    Tunnel::open(&name(), ssh)
        .await
        .unwrap_or_else(|unreached| panic!("{:?}", unreached.fault()))
}

async fn refused(ssh: &Ssh) -> Fault {
    match Tunnel::open(&name(), ssh).await {
        Err(Unreached::Fault(fault)) => fault,
        Err(Unreached::NeedsPerson(fault)) => panic!("no person is needed: {fault:?}"),
        Ok(_) => panic!("it was reached"),
    }
}

async fn needs_person(ssh: &Ssh) -> Fault {
    match Tunnel::open(&name(), ssh).await {
        Err(Unreached::NeedsPerson(fault)) => fault,
        Err(Unreached::Fault(fault)) => panic!("a person is needed: {fault:?}"),
        Ok(_) => panic!("it was reached"),
    }
}

/// Only waits for what happens outside; the runtime goes on.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn answers(tunnel: &Tunnel) -> bool {
    let socket = tunnel.socket().to_owned();
    blocking(move || raw::answers(&socket)).await
}

async fn none_left(words: &[&str]) {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    blocking(move || {
        until(ENDED, format!("no ssh of {words:?} is left"), || {
            words.iter().all(|word| with_word(word).is_empty()).then_some(())
        });
    })
    .await;
}

/// An event stream: its head has come back, then it stays open.
async fn event_stream(tunnel: &Tunnel) -> UnixStream {
    let mut stream = UnixStream::connect(tunnel.socket()).await.unwrap();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: docker\r\n\r\n")
        .await
        .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

#[tokio::test]
async fn fifty_streams_cross_one_connection_and_nothing_is_left_when_it_is_dropped() {
    let daemons = fleet::lease(1);
    let sshd = Sshd::start(&daemons[0], 2201, "", &[&user().path("key")]);
    let host = sshd.host("fifty", "");
    let tunnel = open(&host).await;
    assert_eq!(tunnel.way(), Way::Forwarded);
    let streams = futures_util::future::join_all((0..50).map(|_| event_stream(&tunnel))).await;
    assert_eq!(with_word(&host.host).len(), 1, "one ssh");
    assert_eq!(sshd.sessions().len(), 1, "one login");
    assert!(answers(&tunnel).await);
    let socket = tunnel.socket().to_owned();
    assert!(socket.as_os_str().len() < 100);
    drop((streams, tunnel));
    none_left(&[&host.host]).await;
    assert!(!raw::answers(&socket));
}

#[tokio::test]
async fn a_jump_host_is_passed_and_its_ssh_ends_with_ours() {
    let daemons = fleet::lease(2);
    let key = user().path("key");
    let jump = Sshd::start(&daemons[0], 2202, "", &[&key]);
    let far = Sshd::start(&daemons[1], 2202, "", &[&key]);
    let over = jump.host("jump", "");
    let host = far.host("behind", &format!("ProxyJump {}", over.host));
    let tunnel = open(&host).await;
    assert!(answers(&tunnel).await);
    assert_eq!(with_word(&over.host).len(), 1, "the jump is an ssh of its own");
    drop(tunnel);
    none_left(&[&host.host, &over.host]).await;
}

#[tokio::test]
async fn a_cut_link_is_noticed_and_said() {
    let daemons = fleet::lease(1);
    let sshd = Sshd::start(&daemons[0], 2203, "", &[&user().path("key")]);
    let tunnel = open(&sshd.host("cut", "")).await;
    daemons[0].cut_link();
    let began = Instant::now();
    let fault = tokio::time::timeout(NOTICED, tunnel.closed())
        .await
        .expect("noticed in time");
    daemons[0].mend_link();
    assert!(fault.why.contains("not responding"), "{fault:?}");
    assert!(began.elapsed() > Duration::from_secs(3));
}

#[tokio::test]
async fn a_killed_session_is_noticed_at_once_and_a_stopped_one_in_time() {
    let daemons = fleet::lease(1);
    let sshd = Sshd::start(&daemons[0], 2204, "", &[&user().path("key")]);
    let host = sshd.host("killed", "");
    let tunnel = open(&host).await;
    for session in sshd.sessions() {
        signal(session, Signal::KILL);
    }
    let fault = tokio::time::timeout(ENDED, tunnel.closed())
        .await
        .expect("noticed at once");
    let ends = ["closed by remote host", "Connection reset", "Broken pipe"];
    assert!(ends.iter().any(|end| fault.why.contains(end)), "{fault:?}");
    let tunnel = open(&host).await;
    for session in sshd.sessions() {
        signal(session, Signal::STOP);
    }
    tokio::time::timeout(NOTICED, tunnel.closed())
        .await
        .expect("noticed in time");
}

#[tokio::test]
async fn where_sockets_are_not_forwarded_sessions_carry_eight_streams_and_the_ninth_waits() {
    let daemons = fleet::lease(1);
    let sshd = Sshd::start(
        &daemons[0],
        2205,
        "AllowStreamLocalForwarding no",
        &[&user().path("key")],
    );
    let host = sshd.host("sessions", "");
    let tunnel = open(&host).await;
    assert_eq!(tunnel.way(), Way::Sessions);
    assert_eq!(tunnel.streams(), Some(8));
    let mut streams = futures_util::future::join_all((0..8).map(|_| event_stream(&tunnel))).await;
    let ninth = event_stream(&tunnel);
    let mut ninth = Box::pin(ninth);
    assert!(
        tokio::time::timeout(Duration::from_millis(500), &mut ninth)
            .await
            .is_err(),
        "it waits"
    );
    drop(streams.pop());
    tokio::time::timeout(ENDED, ninth)
        .await
        .expect("one was free again");
    assert_eq!(with_word(&host.host).len(), 1, "still one connection");
    drop(streams);
    drop(tunnel);
    none_left(&[&host.host]).await;
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_told_by_docker_s_words_on_the_far_side() {
    let daemons = fleet::lease(1);
    let sshd = Sshd::start(&daemons[0], 2206, "", &[&user().path("key")]);
    let mut host = sshd.host("nosocket", "");
    host.socket = "/run/no such.sock".into();
    let fault = refused(&host).await;
    assert!(
        fault
            .why
            .starts_with("logged in, but /run/no such.sock does not answer:"),
        "{fault:?}"
    );
    assert!(fault.hint.unwrap().contains("is the daemon running there"));
    none_left(&[&host.host]).await;
}

#[tokio::test]
async fn a_key_with_a_passphrase_needs_a_person_whose_connection_is_used_then() {
    let daemons = fleet::lease(1);
    let locked = user().key("locked", "secret");
    let sshd = Sshd::start(&daemons[0], 2207, "", &[&locked]);
    let host = sshd.host("locked", &format!("IdentityFile {}", locked.display()));
    let fault = needs_person(&host).await;
    assert!(fault.why.contains("Permission denied (publickey)"), "{fault:?}");
    assert!(fault.hint.unwrap().contains("passphrase"));
    // What a person types at the lent terminal comes from a helper here.
    let mut lent = ssh::lend(&host).unwrap();
    lent.env("SSH_ASKPASS", user().askpass("secret"))
        .env("SSH_ASKPASS_REQUIRE", "force")
        .stdin(Stdio::null());
    // A run is started and the host is tried while the person still types: neither takes from them what they make.
    drop(ssh::hand_on());
    needs_person(&host).await;
    assert!(lent.status().unwrap().success());
    let first = open(&host).await;
    let second = open(&host).await;
    assert!(answers(&first).await);
    assert_eq!(
        sshd.sessions().len(),
        1,
        "both go over the one connection that was lent"
    );
    drop(first);
    assert!(answers(&second).await);
    // A run is a process of its own; it goes on when this program ends.
    let mut run = holder(&host, ssh::hand_on());
    let socket = socket_of(&mut run);
    drop(second);
    ssh::leave(&host);
    assert!(raw::answers(&socket));
    assert_eq!(sshd.sessions().len(), 1, "still the same");
    run.kill().unwrap();
    run.wait().unwrap();
    let word = host.host.clone();
    blocking(move || {
        until(UNUSED, "what was lent ends by itself", || {
            with_word(&word).is_empty().then_some(())
        });
    })
    .await;
}

#[tokio::test]
async fn the_user_s_own_control_master_is_used_where_that_is_asked_for() {
    let daemons = fleet::lease(1);
    let sshd = Sshd::start(&daemons[0], 2208, "", &[&user().path("key")]);
    let control = user().path("cm-%C");
    let mut host = sshd.host("master", &format!("ControlPath {}", control.display()));
    host.reuse_master = true;
    let fault = needs_person(&host).await;
    assert!(fault.hint.unwrap().contains("ssh -fNM"));
    // What Enter runs then.
    assert!(
        ssh::lend(&host)
            .unwrap()
            .stdin(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    let tunnel = open(&host).await;
    assert!(answers(&tunnel).await);
    assert_eq!(sshd.sessions().len(), 1);
    let ended = tunnel.closed();
    drop(tunnel);
    drop(ended);
    let mut check = user().ssh();
    assert!(
        check
            .args(["-O", "check", &host.host])
            .status()
            .unwrap()
            .success(),
        "theirs stays"
    );
    let tunnel = open(&host).await;
    assert!(
        user()
            .ssh()
            .args(["-O", "exit", &host.host])
            .status()
            .unwrap()
            .success()
    );
    tokio::time::timeout(ENDED, tunnel.closed())
        .await
        .expect("their master ended");
}

#[tokio::test]
async fn a_host_key_that_is_unknown_or_changed_is_never_accepted() {
    let daemons = fleet::lease(1);
    let key = user().path("key");
    let first = Sshd::start(&daemons[0], 2209, "", &[&key]);
    let host = first.host("changed", "");
    drop(first);
    let second = Sshd::start_unknown(&daemons[0], 2209, "", &[&key]);
    let fault = refused(&host).await;
    assert!(fault.why.contains("has changed"), "{fault:?}");
    assert!(fault.hint.unwrap().contains("known_hosts:"));
    let unknown = second.host(
        "unknown",
        &format!("UserKnownHostsFile {}", user().path("none").display()),
    );
    let fault = refused(&unknown).await;
    assert!(fault.why.contains("Host key verification failed"), "{fault:?}");
    assert!(fault.hint.unwrap().contains(&format!("ssh {}", unknown.host)));
    assert!(
        !user().path("none").exists(),
        "nothing was written to the known hosts"
    );
}

#[tokio::test]
async fn what_ssh_says_of_a_host_that_cannot_be_reached_is_said_with_what_helps() {
    let daemons = fleet::lease(1);
    let sshd = Sshd::start(&daemons[0], 2210, "", &[&user().key("other", "")]);
    let denied = refused(&sshd.host("denied", "")).await;
    assert!(denied.why.contains("Permission denied (publickey)"), "{denied:?}");
    assert!(denied.hint.unwrap().contains("ssh-add -l"));
    let nobody = refused(&user().host("nobody", daemons[0].address(), 2999, "")).await;
    assert!(nobody.why.contains("Connection refused"), "{nobody:?}");
    let nameless = refused(&user().host("nameless", "no-such-host.invalid", 22, "")).await;
    assert!(
        nameless.why.contains("Could not resolve hostname"),
        "{nameless:?}"
    );
    let away = refused(&user().host("away", &nobody_at(), 22, "ConnectTimeout 1")).await;
    assert!(
        away.why.contains("timed out") || away.why.contains("No route"),
        "{away:?}"
    );
    for fault in [nobody, nameless, away] {
        assert!(fault.hint.is_some(), "{fault:?}");
    }
}

#[tokio::test]
async fn the_host_s_figures_are_read_in_one_session_of_the_same_connection() {
    let daemons = fleet::lease(1);
    let sshd = Sshd::start(&daemons[0], 2211, "", &[&user().path("key")]);
    let host = sshd.host("load", "");
    let tunnel = open(&host).await;
    let mut load = tunnel.load(Ok("/")).unwrap();
    let first = load.read(Stamp(1)).await.unwrap();
    assert!(matches!(first.cpu, Reading::Unknown { .. }));
    assert!(matches!(first.memory, Reading::Known((used, total)) if used < total));
    assert!(
        matches!(first.disk, Reading::Known((used, total)) if used < total),
        "{first:?}"
    );
    let second = load.read(Stamp(2)).await.unwrap();
    assert!(
        matches!(second.cpu, Reading::Known(percent) if (0.0..=100.0).contains(&percent)),
        "{second:?}"
    );
    let unknown = || "nobody knows".to_owned();
    let mut rootless = tunnel.load(Err(unknown())).unwrap();
    let without = rootless.read(Stamp(3)).await.unwrap();
    assert_eq!(without.disk, Reading::Unknown { why: unknown() });
    assert!(matches!(without.memory, Reading::Known(_)), "{without:?}");
    drop(rootless);
    assert_eq!(with_word(&host.host).len(), 1);
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1, "one login");
}

/// Not a test of its own: the process that the next one kills.
#[tokio::test]
async fn helper_that_holds_a_tunnel_until_it_is_killed() {
    let Ok(host) = std::env::var("PILOTHOUSE_TEST_TUNNEL") else {
        return;
    };
    let bin = std::path::PathBuf::from(std::env::var("PILOTHOUSE_TEST_SSH").unwrap());
    ssh::use_tools(ssh::Tools {
        pilothouse: env!("CARGO_BIN_EXE_pilothouse").into(),
        ssh: bin,
    });
    let host = Ssh {
        user: None,
        host,
        port: None,
        socket: "/var/run/docker.sock".into(),
        reuse_master: false,
    };
    let tunnel = Tunnel::open(&name(), &host).await;
    println!(
        "{}",
        tunnel
            .as_ref()
            .map_or_else(|_| "failed".into(), |t| t.socket().display().to_string())
    );
    std::future::pending::<()>().await;
}

fn holder(host: &Ssh, more: Option<(&str, String)>) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "ssh::helper_that_holds_a_tunnel_until_it_is_killed",
            "--nocapture",
        ])
        .env("PILOTHOUSE_TEST_TUNNEL", &host.host)
        .env("PILOTHOUSE_TEST_SSH", user().bin().join("ssh"))
        .env_remove("XDG_RUNTIME_DIR")
        .envs(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn socket_of(child: &mut std::process::Child) -> std::path::PathBuf {
    use std::io::{BufRead as _, BufReader};
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines
        .map_while(Result::ok)
        .find(|line| line.contains("/pilothouse-"));
    let line = line.expect("it has a tunnel");
    line.split("... ").last().unwrap().into()
}

#[tokio::test]
async fn kill_9_of_the_program_leaves_no_ssh_and_the_next_one_sweeps_its_sockets() {
    let daemons = fleet::lease(2);
    let key = user().path("key");
    let jump = Sshd::start(&daemons[0], 2212, "", &[&key]);
    let far = Sshd::start(&daemons[1], 2212, "", &[&key]);
    let over = jump.host("kill-jump", "");
    let host = far.host("kill-behind", &format!("ProxyJump {}", over.host));
    let mut child = holder(&host, None);
    let socket = socket_of(&mut child);
    assert!(raw::answers(&socket));
    child.kill().unwrap();
    child.wait().unwrap();
    none_left(&[&host.host, &over.host]).await;
    let folder = socket.parent().unwrap().to_owned();
    assert!(folder.exists(), "nobody was there to remove it");
    let mut next = holder(&host, None);
    let other = socket_of(&mut next);
    assert!(!folder.exists(), "swept");
    assert!(other.exists());
    next.kill().unwrap();
    next.wait().unwrap();
    none_left(&[&host.host, &over.host]).await;
}

#[tokio::test]
async fn kill_9_while_a_jump_host_says_nothing_leaves_no_ssh() {
    let daemons = fleet::lease(1);
    let silent = std::net::TcpListener::bind((fleet::gateway(), 0)).unwrap();
    let over = user().host(
        "mute-jump",
        &fleet::gateway(),
        silent.local_addr().unwrap().port(),
        "",
    );
    let host = user().host(
        "mute-behind",
        daemons[0].address(),
        22,
        &format!("ProxyJump {}", over.host),
    );
    let mut child = holder(&host, None);
    let words = [over.host.clone(), host.host.clone()];
    blocking(move || {
        until(ENDED, "the jump's ssh runs", || {
            words.iter().all(|word| !with_word(word).is_empty()).then_some(())
        });
    })
    .await;
    let (_held, _) = silent.accept().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    none_left(&[&host.host, &over.host]).await;
}
