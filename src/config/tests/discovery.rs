//! The daemons of a machine without configuration.

use super::{Machine, USER};
use crate::domain::endpoint::Endpoint;

#[test]
fn without_configuration_docker_host_is_taken_with_its_certificates() {
    let machine = Machine::new()
        .with_env("DOCKER_HOST", "tcp://10.0.0.7")
        .with_env("DOCKER_TLS_VERIFY", "1");
    assert!(
        machine.faults().contains("ca.pem is missing"),
        "{}",
        machine.faults()
    );
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        machine.write(&format!("home/ann/.docker/{name}"), b"");
    }
    let config = machine.load().unwrap();
    assert_eq!(config.hosts[0].name.as_str(), "10.0.0.7");
    let Endpoint::Tcp {
        port: 2376,
        tls: Some(tls),
        ..
    } = &config.hosts[0].endpoint
    else {
        panic!("{:?}", config.hosts);
    };
    assert_eq!(tls.key, machine.path("home/ann/.docker/key.pem"));
    let pipe = Machine::new().with_env("DOCKER_HOST", "npipe:////./pipe/docker_engine");
    assert!(
        pipe.faults().starts_with("DOCKER_HOST: a Windows pipe"),
        "{}",
        pipe.faults()
    );
}

fn with_context(machine: Machine) -> Machine {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(b"prod");
    let id: String = digest
        .iter()
        .fold(String::new(), |id, byte| id + &format!("{byte:02x}"));
    let meta = r#"{"Name":"prod","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://10.0.0.9:2376","SkipTLSVerify":false}}}"#;
    let machine = machine.with_file(&format!("home/ann/.docker/contexts/meta/{id}/meta.json"), meta);
    ["ca.pem", "cert.pem", "key.pem"]
        .iter()
        .fold(machine, |machine, name| {
            machine.with_file(&format!("home/ann/.docker/contexts/tls/{id}/docker/{name}"), "")
        })
}

#[test]
fn the_current_context_is_taken_and_a_host_may_name_one() {
    let machine = with_context(Machine::new())
        .with_file("home/ann/.docker/config.json", r#"{"currentContext":"prod"}"#);
    let config = machine.load().unwrap();
    assert_eq!(config.hosts[0].name.as_str(), "prod");
    assert!(matches!(
        config.hosts[0].endpoint,
        Endpoint::Tcp {
            port: 2376,
            tls: Some(_),
            ..
        }
    ));
    let named = with_context(Machine::new()).with_file(USER, "[[hosts]]\nname = \"p\"\ncontext = \"prod\"\n");
    assert!(matches!(
        named.load().unwrap().hosts[0].endpoint,
        Endpoint::Tcp { tls: Some(_), .. }
    ));
    let unknown = with_context(Machine::new()).with_env("DOCKER_CONTEXT", "prd");
    let faults = unknown.faults();
    assert!(
        faults.contains("no Docker context \"prd\"") && faults.contains("there are prod"),
        "{faults}"
    );
}

#[test]
fn every_socket_that_is_there_is_found_each_daemon_once() {
    let machine = Machine::new();
    assert_eq!(
        machine.load().unwrap().hosts[0].name.as_str(),
        "local",
        "said to be down rather than nothing"
    );
    let runtime = machine.path("run/user/1000").display().to_string();
    let machine = machine
        .with_env("XDG_RUNTIME_DIR", &runtime)
        .with_file("run/podman/podman.sock", "")
        .with_file("run/user/1000/docker.sock", "");
    std::fs::create_dir_all(machine.path("var/run")).unwrap();
    std::os::unix::fs::symlink(
        "../../run/podman/podman.sock",
        machine.path("var/run/docker.sock"),
    )
    .unwrap();
    let config = machine.load().unwrap();
    let names: Vec<&str> = config.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["local", "rootless"]);
}

#[test]
fn the_users_own_sockets_are_found_without_a_word_of_the_environment() {
    let folder = format!("run/user/{}", rustix::process::geteuid().as_raw());
    let machine = Machine::new()
        .with_file(&format!("{folder}/docker.sock"), "")
        .with_file(&format!("{folder}/podman/podman.sock"), "");
    let names = |machine: &Machine| -> Vec<String> {
        let hosts = machine.load().unwrap().hosts;
        hosts.iter().map(|host| host.name.to_string()).collect()
    };
    assert_eq!(names(&machine), ["rootless", "podman-user"]);
    // `su` leaves the variable of who was there before.
    let somebodys = machine.path("run/user/somebody").display().to_string();
    let machine = machine.with_env("XDG_RUNTIME_DIR", &somebodys);
    assert_eq!(names(&machine), ["rootless", "podman-user"]);
}
