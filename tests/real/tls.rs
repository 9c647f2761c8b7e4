//! A daemon with mutual TLS: connected with valid certificates, and clear messages for others.

use std::path::PathBuf;

use pilothouse::config;
use pilothouse::domain::endpoint::{Endpoint, Tls};
use pilothouse::domain::fault::Fault;
use pilothouse::domain::order::Access;
use pilothouse::hosts::connect;

use crate::support::certificates::{Authority, Leaf, Validity, text};
use crate::support::daemon::Daemon;
use crate::support::fleet;

/// A daemon with TLS on port 2376 in place of the plain one, and the authority of its clients.
fn serve_tls(daemon: &Daemon, authority: &Authority, server: &Leaf) {
    daemon.stop();
    daemon.start_with(&[
        "-H",
        &format!("tcp://{}:2376", daemon.address()),
        "--tlsverify",
        "--tlscacert",
        text(&authority.ca()),
        "--tlscert",
        text(&server.cert),
        "--tlskey",
        text(&server.key),
    ]);
}

fn host(daemon: &Daemon, ca: PathBuf, client: &Leaf) -> config::Host {
    daemon.host_at(Endpoint::Tcp {
        host: daemon.address().to_owned(),
        port: 2376,
        tls: Some(Tls {
            ca,
            cert: client.cert.clone(),
            key: client.key.clone(),
        }),
    })
}

async fn refused(host: &config::Host) -> Fault {
    match connect(host, Access::Full).await {
        Ok(_) => panic!("it was reached"),
        Err(unreached) => unreached.fault(),
    }
}

fn assert_says(fault: &Fault, words: &str) {
    let said = format!("{fault} / {}", fault.hint.as_deref().unwrap_or("no hint"));
    assert!(fault.why.contains(words), "wanted {words:?}: {said}");
    assert!(fault.hint.is_some(), "{said}");
}

#[tokio::test]
async fn a_daemon_behind_tls_is_reached_when_both_sides_are_proven_and_refused_otherwise() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let authority = Authority::new(fleet::folder("authority"));
    let other = Authority::new(fleet::folder("stranger"));
    let names = format!("IP:{}", daemon.address());
    let server = authority.leaf("server", &names, Validity::Now);
    let client = authority.leaf("client", "DNS:client", Validity::Now);
    serve_tls(daemon, &authority, &server);

    let reached = connect(&host(daemon, authority.ca(), &client), Access::Full)
        .await
        .unwrap();
    assert_eq!(
        reached.engine().installation().unwrap().hostname,
        daemon.name().as_str()
    );
    assert!(reached.read().ping().await.is_ok());

    let stranger = refused(&host(daemon, other.ca(), &client)).await;
    assert_says(&stranger, "signed by another authority");

    let foreign = other.leaf("client", "DNS:client", Validity::Now);
    assert_says(
        &refused(&host(daemon, authority.ca(), &foreign)).await,
        "certificate",
    );

    let old = authority.leaf("old-client", "DNS:client", Validity::Over);
    assert_says(&refused(&host(daemon, authority.ca(), &old)).await, "certificate");

    let mut plain = host(daemon, authority.ca(), &client);
    plain.endpoint = Endpoint::Tcp {
        host: daemon.address().to_owned(),
        port: 2376,
        tls: None,
    };
    assert_says(&refused(&plain).await, "requires TLS");

    let mut by_name = host(daemon, authority.ca(), &client);
    let renewed = authority.leaf("server-2", "DNS:elsewhere", Validity::Now);
    serve_tls(daemon, &authority, &renewed);
    assert_says(&refused(&by_name).await, "another name");

    let expired = authority.leaf("server-3", &names, Validity::Over);
    serve_tls(daemon, &authority, &expired);
    assert_says(&refused(&by_name).await, "has expired");

    by_name.endpoint = host(daemon, PathBuf::from("/nowhere/ca.pem"), &client).endpoint;
    let missing = refused(&by_name).await;
    assert!(missing.to_string().contains("/nowhere/ca.pem"), "{missing}");
}

/// The same daemon behind `[::1]`: what is said there is passed on unread.
fn on_ipv6(to: String) -> u16 {
    let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for asked in listener.incoming() {
            let (mut here, mut there) = (asked.unwrap(), std::net::TcpStream::connect(&to).unwrap());
            let (mut back, mut from) = (here.try_clone().unwrap(), there.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut here, &mut there));
            std::thread::spawn(move || std::io::copy(&mut from, &mut back));
        }
    });
    port
}

#[tokio::test]
async fn a_daemon_behind_tls_is_reached_by_an_ipv6_address() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let authority = Authority::new(fleet::folder("authority-6"));
    let server = authority.leaf("server", "IP:::1", Validity::Now);
    let client = authority.leaf("client", "DNS:client", Validity::Now);
    serve_tls(daemon, &authority, &server);
    let port = on_ipv6(format!("{}:2376", daemon.address()));
    let mut host = host(daemon, authority.ca(), &client);
    let Endpoint::Tcp {
        host: named,
        port: at,
        ..
    } = &mut host.endpoint
    else {
        unreachable!("it is behind TLS")
    };
    // As a URL has it.
    (*named, *at) = ("[::1]".to_owned(), port);
    let reached = connect(&host, Access::Full).await.unwrap();
    assert_eq!(
        reached.engine().installation().unwrap().hostname,
        daemon.name().as_str()
    );
}
