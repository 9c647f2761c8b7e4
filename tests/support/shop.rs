//! A service that is built from its own context, tested, and deployed to real daemons.

use std::fs;

use pilothouse::config::Host;
use pilothouse::domain::ids::HostName;

use super::program::Program;

/// A main script that only stays.
pub(crate) const STAYS: &str = "exec sleep 1000";

/// Built on the one host, released to the others; three releases are kept. [`write`] says what it is.
pub(crate) fn configure(program: &Program, hosts: &[Host], builder: &HostName, targets: &[&HostName]) {
    let targets: Vec<String> = targets
        .iter()
        .map(|name| format!("{:?}", name.as_str()))
        .collect();
    program.configure(
        hosts,
        &format!(
            "[[services]]\nname = \"shop\"\nimage = \"shop\"\n\
             [services.build]\nhost = \"{builder}\"\ncontext = \"{}/context\"\ntag = \"{{time}}\"\n\
             [[services.tests]]\nname = \"unit\"\ncommand = [\"sh\", \"/test.sh\"]\n\
             [services.deploy]\nhosts = [{}]\nkeep = 3\nstop_grace = \"1s\"\n\
             health = {{ for = \"1s\", within = \"20s\" }}\n",
            program.dir().display(),
            targets.join(", ")
        ),
    );
    fs::create_dir(program.dir().join("context")).unwrap();
}

/// The next build's version, what its containers do, and its test.
pub(crate) fn write(program: &Program, version: &str, main: &str, test: &str) {
    let put = |name: &str, text: &str| fs::write(program.dir().join("context").join(name), text).unwrap();
    put(
        "Dockerfile",
        "FROM busybox:real\nCOPY version main.sh test.sh /\nCMD [\"sh\", \"/main.sh\"]\n",
    );
    put("version", version);
    put("main.sh", main);
    put("test.sh", test);
}
