//! Protected hosts require the name for every kind of change; all dead runs are recovered with one confirmation.

use pilothouse::domain::run::RunView;

use super::Desk;

const SHOP: &str = r#"
[[services]]
name = "shop"
image = "sim/box"
[[services.tests]]
name = "unit"
host = "host-1"
command = ["true"]
[services.deploy]
hosts = ["host-1"]
command = ["sh", "-c", "trap 'exit 0' TERM; sleep infinity"]
health = { for = "5s", within = "40s" }
stop_grace = "1s"
"#;

fn protect(desk: &Desk) {
    let text = std::fs::read_to_string(desk.config_file()).unwrap();
    let text = text.replace(
        "name = \"host-1\"\nurl",
        "name = \"host-1\"\nprotected = true\nurl",
    );
    std::fs::write(desk.config_file(), text).unwrap();
}

fn at_gate(view: &RunView) -> bool {
    let gate = view.stages.iter().find(|stage| stage.name == "gate");
    gate.is_some_and(|stage| format!("{:?}", stage.cells).contains("Running"))
}

#[tokio::test]
async fn a_test_an_unlock_and_a_recovery_on_a_protected_host_want_the_name() {
    let desk = Desk::new(1, SHOP);
    let test = ["test", "shop", "--tag", "1", "--yes"];
    desk.run(&test).await.exits(0);
    let run = desk.begin(&["deploy", "shop", "--tag", "1", "--yes"]).await;
    desk.until(&run, "it is at its gate", at_gate).await;
    desk.kill(&run);
    protect(&desk);
    let unlock = ["unlock", "shop", "--reason", "x"];
    for words in [&test[..], &unlock, &["recover"], &["recover", run.as_str()]] {
        let said = desk.run(words).await.exits(2);
        assert!(
            said.err.contains("host-1 is protected: use --confirm shop"),
            "{said:?}"
        );
    }
    desk.run(&["recover", "--confirm", "shop"]).await.exits(1);
    desk.run(&["test", "shop", "--tag", "1", "--confirm", "shop"])
        .await
        .exits(0);
    let said = desk
        .run(&[&unlock[..], &["--confirm", "shop"]].concat())
        .await
        .exits(0);
    assert!(said.err.contains("shop is not locked"), "{said:?}");
    let said = desk
        .run(&["deploy", "shop", "--tag", "1", "--dry-run"])
        .await
        .exits(0);
    assert!(said.out.contains("sim/box:1  sha256:"), "{said:?}");
}

#[tokio::test]
async fn without_an_id_all_dead_runs_are_recovered_and_the_worst_end_counts() {
    let cart = SHOP.replace("\"shop\"", "\"cart\"");
    let desk = Desk::new(1, &format!("{SHOP}{cart}"));
    let mut runs = Vec::new();
    for service in ["shop", "cart"] {
        let run = desk.begin(&["deploy", service, "--tag", "1", "--yes"]).await;
        desk.until(&run, "it is at its gate", at_gate).await;
        desk.kill(&run);
        runs.push(run);
    }
    let said = desk.run(&["recover", "--json"]).await.exits(1);
    assert_eq!(said.json().as_array().map(Vec::len), Some(2), "{said:?}");
    for run in runs {
        assert_eq!(desk.ended(&run).await, 1);
    }
    let said = desk.run(&["recover"]).await.exits(0);
    assert!(said.err.contains("nothing to recover"), "{said:?}");
}
