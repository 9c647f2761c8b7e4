//! `[services.trigger]` and `[listen]` as they are written, and what is said where they are wrong.

use super::*;
use crate::domain::run::RunKind;

const SHOP: &str = "[[services]]\nname = \"shop\"\nimage = \"shop\"\n[services.build]\nhost = \"builder\"\n[services.trigger]\n";

fn with(trigger: &str) -> String {
    format!("{HOSTS}{SHOP}{trigger}")
}

#[test]
fn a_trigger_is_read_with_its_defaults() {
    let least = "repository = \"acme/shop\"\nbranches = [\"main\"]\nsecret = { env = \"SHOP_HOOK\" }\n";
    let config = loaded(&with(least));
    let [trigger] = config.triggers.as_slice() else {
        panic!("{:?}", config.triggers)
    };
    assert_eq!(trigger.service.as_str(), "shop");
    assert_eq!((trigger.run, trigger.confirm), (RunKind::Pipeline, false));
    assert_eq!((&trigger.environment, trigger.prepare.len()), (&None, 0));
    assert_eq!(config.private_variables(), ["SHOP_HOOK"]);
    let all =
        format!("{least}run = \"build\"\nenvironment = \"staging\"\nprepare = [\"true\"]\nconfirm = true\n");
    let config = loaded(&with(&all));
    let trigger = &config.triggers[0];
    assert_eq!((trigger.run, trigger.confirm), (RunKind::Build, true));
    assert_eq!(trigger.environment.as_deref(), Some("staging"));
    assert_eq!(trigger.prepare, ["true"]);
}

#[test]
fn what_is_wrong_with_a_trigger_is_said_at_its_place() {
    let faults = faults_of(&with(
        "repository = \"https://github.com/acme/shop\"\nbranches = [\"rel ease\", \"[a\"]\nrun = \"deploy\"\nsecret = \"hunter2\"\n\
         branch = \"main\"\n",
    ));
    for word in [
        "is an address",
        "\"rel ease\" is neither a branch",
        "the service has no [services.deploy]",
        "must not be written in the file",
        "unknown key `branch`",
        "did you mean `branches`?",
    ] {
        assert!(faults.contains(word), "{word}: {faults}");
    }
    assert!(!faults.contains("hunter2"), "{faults}");
    let faults = faults_of(&with("branches = []\n"));
    for word in [
        "has no `repository`",
        "no push would start a run",
        "has no `secret`",
    ] {
        assert!(faults.contains(word), "{word}: {faults}");
    }
}

#[test]
fn a_command_before_a_run_is_refused_in_a_file_that_others_may_write() {
    let text =
        with("repository = \"a/b\"\nbranches = [\"**\"]\nsecret = { env = \"X\" }\nprepare = [\"true\"]\n");
    let machine = Machine::new().with_file(USER, &text);
    let file = machine.path(USER);
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o664)).unwrap();
    assert!(machine.faults().contains("other users may write"));
}

#[test]
fn where_hooks_come_in_is_an_address_with_its_port() {
    let config = loaded(&format!(
        "{HOSTS}[listen]\naddress = \"[::1]:80\"\nmax_body = \"1M\"\n"
    ));
    assert_eq!(
        (config.listen.address.port(), config.listen.max_body),
        (80, 1 << 20)
    );
    for (line, word) in [
        ("address = \"localhost\"", "not an address with a port"),
        ("max_body = \"1K\"", "from `64K` to `25M`"),
        ("port = 80", "unknown key `port`"),
    ] {
        let faults = faults_of(&format!("{HOSTS}[listen]\n{line}\n"));
        assert!(faults.contains(word), "{line}: {faults}");
    }
}
