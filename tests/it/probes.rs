//! Probes from this machine: a real server on loopback, plain and over TLS with its own name and authority.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use pilothouse::config::service::{HttpProbe, ProbeTls};
use pilothouse::runs::step::probe;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::certified::{certificate, certified};

const LIMIT: Duration = Duration::from_mins(1);

/// Answers everybody with this status, also over TLS.
fn server(status: &'static str, secure: Option<Arc<ServerConfig>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            match &secure {
                None => {
                    if stream.read(&mut request).is_ok() {
                        // Whoever asked may be gone.
                        drop(stream.write_all(answer.as_bytes()));
                    }
                }
                Some(config) => {
                    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                    let mut stream = StreamOwned::new(connection, stream);
                    if stream.read(&mut request).is_ok() {
                        drop(stream.write_all(answer.as_bytes()));
                        stream.conn.send_close_notify();
                        drop(stream.flush());
                    }
                }
            }
        }
    });
    port
}

fn asked(port: u16) -> HttpProbe {
    HttpProbe {
        tls: None,
        path: "/healthz".to_owned(),
        port,
        host: None,
        status: None,
    }
}

#[tokio::test]
async fn what_is_answered_decides_and_is_the_reason() {
    let port = server("204 No Content", None);
    assert_eq!(probe::from_here("127.0.0.1", &asked(port), LIMIT).await, Ok(()));
    let strict = HttpProbe {
        status: Some(200),
        ..asked(port)
    };
    assert_eq!(
        probe::from_here("127.0.0.1", &strict, LIMIT).await,
        Err("it answered 204".to_owned())
    );
    let port = server("503 Busy", None);
    assert_eq!(
        probe::from_here("127.0.0.1", &asked(port), LIMIT).await,
        Err("it answered 503".to_owned())
    );
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    assert_eq!(
        probe::from_here("127.0.0.1", &asked(port), Duration::from_millis(200)).await,
        Err("no answer within 0.2 s".to_owned())
    );
    drop(silent);
    let refused = probe::from_here("127.0.0.1", &asked(port), LIMIT)
        .await
        .unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
}

#[tokio::test]
async fn over_tls_the_name_that_is_asked_for_must_be_the_certificates_and_its_authority_ours() {
    let port = server("200 OK", Some(certified()));
    let secure = |host: &str, ca: Option<&str>| HttpProbe {
        tls: Some(ProbeTls {
            ca: ca.map(certificate),
        }),
        host: Some(host.to_owned()),
        ..asked(port)
    };
    let ask = async |probe: HttpProbe| probe::from_here("127.0.0.1", &probe, LIMIT).await;
    assert_eq!(ask(secure("localhost", Some("ca.pem"))).await, Ok(()));
    let other = ask(secure("other.example", Some("ca.pem"))).await.unwrap_err();
    assert!(other.contains("other.example"), "{other}");
    let unknown = ask(secure("localhost", None)).await;
    assert!(unknown.is_err(), "no authority that is known");
    let absent = ask(secure("localhost", Some("absent.pem"))).await.unwrap_err();
    assert!(absent.contains("absent.pem"), "{absent}");
}
