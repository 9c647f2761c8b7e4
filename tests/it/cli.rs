//! The command line as used by scripts: exit codes, stdout and stderr.
//! The program runs as its own process with its own home and an empty environment.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::fake_daemon::{FakeDaemon, Move, answer, chunk, stream_head};
use super::fake_docker::{log_frame, well, well_but};

struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Runs `pilothouse` with an empty home and `config` as its configuration.
fn run(home: &Path, config: &str, arguments: &[&str]) -> Ran {
    let file = home.join("config.toml");
    std::fs::write(&file, config).unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_pilothouse"))
        .args(["--config", file.to_str().unwrap()])
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran {
        code: status.code().unwrap(),
        out: text(stdout),
        err: text(stderr),
    }
}

const NOBODY_HOME: &str = "[[hosts]]\nname = \"gone\"\nurl = \"unix:///nowhere/docker.sock\"\n";

fn check(ran: &Ran, code: i32, out: &[&str], err: &[&str]) {
    assert_eq!(ran.code, code, "stdout: {}\nstderr: {}", ran.out, ran.err);
    for wanted in out {
        assert!(ran.out.contains(wanted), "no {wanted:?} in stdout: {}", ran.out);
    }
    for wanted in err {
        assert!(ran.err.contains(wanted), "no {wanted:?} in stderr: {}", ran.err);
    }
}

#[test]
fn a_fault_of_the_configuration_names_file_line_and_column_and_exits_2() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(
        home.path(),
        "[[hosts]]\nname = \"a\"\nurl = \"unix:///a\"\ntagz = []\n",
        &["hosts"],
    );
    check(&ran, 2, &[], &["config.toml:4:1", "tagz", "tags"]);
}

#[test]
fn every_fault_of_the_configuration_is_said_at_once() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(
        home.path(),
        "[[hosts]]\nname = \"a b\"\nurl = \"gopher://a\"\n",
        &["hosts"],
    );
    check(&ran, 2, &[], &["a b", "gopher"]);
}

#[test]
fn an_unknown_command_or_host_is_a_usage_error() {
    let home = tempfile::tempdir().unwrap();
    check(&run(home.path(), NOBODY_HOME, &["dance"]), 2, &[], &["dance"]);
    check(
        &run(home.path(), NOBODY_HOME, &["--host", "web-9", "ps"]),
        2,
        &[],
        &["web-9", "gone"],
    );
    check(
        &run(home.path(), NOBODY_HOME, &["deploy", "nowhere", "--yes"]),
        2,
        &[],
        &["nowhere", "no such service"],
    );
    check(
        &run(home.path(), NOBODY_HOME, &["deploy", "Bad.Name"]),
        2,
        &[],
        &["Bad.Name"],
    );
}

#[test]
fn a_host_that_is_not_there_is_named_on_stderr_and_exits_3() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(home.path(), NOBODY_HOME, &["hosts", "--json"]);
    check(
        &ran,
        3,
        &["\"name\": \"gone\""],
        &["gone", "/nowhere/docker.sock"],
    );
    let rows: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert!(rows[0]["fault"]["why"].is_string(), "{rows}");
}

#[test]
fn help_tells_the_exit_codes_and_hides_what_only_the_program_calls() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(home.path(), "", &["--help"]);
    check(&ran, 0, &["Exit codes: 0 done", "rollback", "recover"], &[]);
    assert!(!ran.out.contains("__run"), "{}", ran.out);
}

#[test]
fn keys_lists_every_command_with_the_users_changes() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(home.path(), "[keys]\ndeploy = [\"f9\"]\n", &["keys"]);
    check(&ran, 0, &["deploy", "F9", "rollback"], &[]);
}

#[test]
fn completions_and_the_manual_page_are_whole() {
    let home = tempfile::tempdir().unwrap();
    check(
        &run(home.path(), "", &["completions", "bash"]),
        0,
        &["_pilothouse()", "unlock"],
        &[],
    );
    check(
        &run(home.path(), "", &["man"]),
        0,
        &[".SH KEYS", "deploy", ".TH"],
        &[],
    );
}

#[test]
fn a_screen_without_a_terminal_is_refused_in_words() {
    let home = tempfile::tempdir().unwrap();
    check(&run(home.path(), NOBODY_HOME, &[]), 2, &[], &["terminal"]);
}

const IN_ENVIRONMENTS: &str = "[[hosts]]\nname = \"gone\"\nurl = \"unix:///nowhere/docker.sock\"\n\
[[services]]\nname = \"shop\"\nimage = \"shop\"\n[services.environments.staging.deploy]\nhosts = [\"gone\"]\n\
[services.environments.production.deploy]\nhosts = [\"gone\"]\n";

#[test]
fn an_environment_that_is_not_known_is_a_usage_error_that_names_the_known_ones() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| run(home.path(), IN_ENVIRONMENTS, arguments);
    let known = "it has staging, production";
    check(&run(&["deploy", "shop", "--env", "qa"]), 2, &[], &["qa", known]);
    check(&run(&["rollback", "shop.qa"]), 2, &[], &["qa", known]);
    check(
        &run(&["unlock", "shop.qa", "--reason", "x"]),
        2,
        &[],
        &["qa", known],
    );
    check(
        &run(&["deploy", "shop"]),
        2,
        &[],
        &["only runs in its environments", known],
    );
    check(
        &run(&["deploy", "cart.staging"]),
        2,
        &[],
        &["cart", "it has shop"],
    );
    let two = run(&["deploy", "shop.staging", "--env", "production"]);
    check(&two, 2, &[], &["shop.staging", "--env is production"]);
    // Known, and so it is tried: its host is not there.
    for known in [
        ["deploy", "shop.staging", "--yes"],
        ["deploy", "shop", "--env=staging"],
    ] {
        let ran = run(&known);
        check(&ran, 3, &[], &["nowhere"]);
    }
    check(
        &run(&["runs", "--service", "shop", "--env", "qa", "--json"]),
        0,
        &["[]"],
        &[],
    );
}

const SHOP: &str = "[[hosts]]\nname = \"gone\"\nurl = \"unix:///nowhere/docker.sock\"\n\
[[services]]\nname = \"shop\"\nimage = \"shop\"\npipeline = [\"deploy\"]\n\
[services.deploy]\nhosts = [\"gone\"]\n";

#[test]
fn with_a_host_that_does_not_answer_whatever_needs_it_exits_3() {
    let home = tempfile::tempdir().unwrap();
    for words in [
        "deploy shop --yes",
        "deploy shop --dry-run",
        "rollback shop --yes",
        "rollback shop --list",
        "pipeline shop --yes",
        "unlock shop --reason x",
        "recover",
    ] {
        let arguments: Vec<&str> = words.split(' ').collect();
        let ran = run(home.path(), SHOP, &arguments);
        check(&ran, 3, &[], &["/nowhere/docker.sock"]);
    }
}

#[test]
fn what_acts_on_hosts_is_refused_read_only() {
    let home = tempfile::tempdir().unwrap();
    for words in ["cancel run-1", "recover run-1", "unlock shop --reason x"] {
        let arguments: Vec<&str> = std::iter::once("--read-only").chain(words.split(' ')).collect();
        let ran = run(home.path(), SHOP, &arguments);
        check(&ran, 1, &[], &["--read-only"]);
    }
}

#[test]
fn a_service_of_which_nothing_is_listed_has_its_state_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(home.path(), SHOP, &["ps"]);
    check(&ran, 3, &[], &["shop: UNKNOWN, gone unreachable"]);
    let ran = run(home.path(), SHOP, &["ps", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(rows[0]["service"]["state"], "unknown", "{rows}");
    let other = run(home.path(), SHOP, &["ps", "--json", "cart"]);
    check(&other, 3, &["[]"], &[]);
    // As the control room filters: in upper or lower case, each word by itself.
    let same = run(home.path(), SHOP, &["ps", "--json", "OP sh"]);
    check(&same, 3, &["unknown"], &[]);
    let inverted = run(home.path(), SHOP, &["ps", "--json", "!SHOP"]);
    check(&inverted, 3, &["[]"], &[]);
}

#[test]
fn what_a_command_cannot_use_cannot_be_typed() {
    let home = tempfile::tempdir().unwrap();
    let refused = [
        ["build", "shop", "--tag=v9"],
        ["build", "shop", "--image=shop:v9"],
        ["test", "shop", "--revision=main"],
        ["test", "shop", "--with-dependants"],
        ["deploy", "shop", "--revision=main"],
        ["deploy", "shop", "--with-dependants"],
        ["push", "shop", "--env=staging"],
    ];
    for arguments in refused {
        let ran = run(home.path(), SHOP, &arguments);
        let option = arguments[2].split('=').next().unwrap();
        check(&ran, 2, &[], &["unexpected argument", option]);
    }
    let help = |command| run(home.path(), SHOP, &[command, "--help"]).out;
    let takes = |command, option| help(command).contains(option);
    assert!(!takes("deploy", "--revision") && takes("deploy", "--image"));
    assert!(takes("build", "--with-dependants") && !takes("build", "--image"));
    assert!(takes("pipeline", "--revision") && takes("pipeline", "--tag"));
}

#[test]
fn faults_of_the_keys_are_said_with_all_the_others() {
    let home = tempfile::tempdir().unwrap();
    let config = format!("{NOBODY_HOME}tagz = []\n[keys]\ndeploy = [\"no key\"]\ndance = [\"x\"]\n");
    let ran = run(home.path(), &config, &["hosts"]);
    let said = [
        "config.toml:4:1",
        "tagz",
        "config.toml:6:",
        "\"no key\" is not a key",
        "config.toml:7:",
        "`dance`: there is no such command",
    ];
    check(&ran, 2, &[], &said);
}

#[test]
fn a_run_whose_journal_is_damaged_is_named_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let config = format!(
        "{NOBODY_HOME}[state]\ndir = \"{}/state\"\n",
        home.path().display()
    );
    check(&run(home.path(), &config, &["runs"]), 0, &["RUN"], &[]);
    let dir = home.path().join("state/runs/20260102-000000-aaaaa");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("journal.ndjson"), "no journal\n").unwrap();
    let told = [
        "read line 1 of the journal",
        "20260102-000000-aaaaa",
        "pilothouse recover",
    ];
    check(&run(home.path(), &config, &["runs"]), 0, &["RUN"], &told);
    let of_it = run(home.path(), &config, &["runs", "20260102-000000-aaaaa"]);
    check(&of_it, 1, &[], &told);
}

fn at(daemon: &FakeDaemon, also: &str) -> String {
    format!(
        "[[hosts]]\nname = \"a\"\nurl = \"unix://{}\"\n{also}",
        daemon.socket().display()
    )
}

const LOOPING: &str = r#"[
{"Id":"abc1","Names":["/web"],"Image":"shop","Created":1,"State":"restarting","Status":"Restarting (1) 5 seconds ago"},
{"Id":"abc2","Names":["/old"],"Image":"shop","Created":1,"State":"exited","Status":"Exited (1) 2 weeks ago"}]"#;

/// The same while a daemon of this test answers.
async fn beside(home: &Path, config: &str, arguments: &'static [&'static str]) -> Ran {
    let (home, config) = (home.to_path_buf(), config.to_owned());
    let ran = tokio::task::spawn_blocking(move || run(&home, &config, arguments));
    ran.await.unwrap()
}

#[tokio::test]
async fn the_json_of_ps_is_flat_and_its_times_can_be_read() {
    let daemon = FakeDaemon::start(|request, _| well(request));
    let home = tempfile::tempdir().unwrap();
    let ran = beside(home.path(), &at(&daemon, ""), &["ps", "--json"]).await;
    let rows: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let row = &rows[0];
    assert_eq!(row["state"], "running", "{rows}");
    assert_eq!(row["created"], "1970-01-01T00:00:01Z", "{rows}");
    assert_eq!(row["group"]["kind"], "none", "{rows}");
    assert!(row["since"].as_str().unwrap().ends_with('Z'), "{rows}");
}

#[tokio::test]
async fn a_container_in_a_restart_loop_is_listed_without_all() {
    let daemon = well_but("/containers/json", vec![Move::Send(answer(200, LOOPING))]);
    let home = tempfile::tempdir().unwrap();
    let ran = beside(home.path(), &at(&daemon, ""), &["ps"]).await;
    check(&ran, 0, &["web", "restarting"], &[]);
    assert!(!ran.out.contains("old"), "{}", ran.out);
}

#[tokio::test]
async fn a_list_does_not_wait_for_what_only_info_tells() {
    let words = r#"{"message":"not asked for"}"#;
    let daemon = well_but("/info", vec![Move::Send(answer(500, words))]);
    let home = tempfile::tempdir().unwrap();
    check(
        &beside(home.path(), &at(&daemon, ""), &["ps"]).await,
        0,
        &["web"],
        &[],
    );
    assert_eq!(daemon.count("GET /info"), 0, "{:?}", daemon.requests());
    let told = "runs are refused there: GET /info: not asked for";
    check(
        &beside(home.path(), &at(&daemon, ""), &["check"]).await,
        0,
        &[told],
        &[],
    );
}

#[tokio::test]
async fn what_cannot_be_kept_on_disk_stops_only_what_begins_or_reads_runs() {
    let daemon = FakeDaemon::start(|request, _| {
        if request.starts_with("GET /containers/json") && request.contains("filters") {
            vec![Move::Send(answer(200, "[]"))]
        } else {
            well(request)
        }
    });
    let home = tempfile::tempdir().unwrap();
    // Neither the log's folder nor the one of the runs can be made.
    std::fs::write(home.path().join(".local"), "").unwrap();
    let config = format!(
        "[[hosts]]\nname = \"only-host\"\nurl = \"unix://{}\"\n[[services]]\nname = \"shop\"\nimage = \"shop\"\n\
         [services.deploy]\nhosts = [\"only-host\"]\n",
        daemon.socket().display()
    );
    for (asks, said) in [
        (&["ps"][..], &["only-host", "web"][..]),
        (&["hosts"], &["only-host"]),
        (&["check"], &["only-host"]),
        (&["unlock", "shop", "--reason", "a test"], &[]),
    ] {
        let ran = beside(home.path(), &config, asks).await;
        check(
            &ran,
            0,
            said,
            &["could not write the log", "could not use the state folder"],
        );
    }
    for reads in [
        &["runs"][..],
        &["follow", "20261122-100000-aaaaa"],
        &["cancel", "20261122-100000-aaaaa"],
    ] {
        let ran = beside(home.path(), &config, reads).await;
        check(
            &ran,
            2,
            &[],
            &["could not use the state folder", ".local", "[state] dir"],
        );
        assert!(!ran.err.contains("without"), "{}", ran.err);
    }
}

#[tokio::test]
async fn a_word_that_fits_nothing_hides_no_log_of_the_others() {
    let log = vec![
        Move::Send(stream_head()),
        Move::Send(chunk(&log_frame(1, "hello"))),
        Move::Send(chunk(b"")),
    ];
    let daemon = well_but("/containers/abc1/logs", log);
    let home = tempfile::tempdir().unwrap();
    let both = &["logs", "web", "nobody"];
    let ran = beside(home.path(), &at(&daemon, ""), both).await;
    check(&ran, 2, &["hello"], &["could not find \"nobody\"", "ps --all"]);
    let ran = beside(home.path(), &at(&daemon, NOBODY_HOME), both).await;
    check(&ran, 3, &["hello"], &["could not find \"nobody\"", "gone"]);
}
