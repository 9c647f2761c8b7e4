//! Serves `BuildKit`'s requests during a build, by gRPC on a connection opened for it: context, secrets, logins.
//! Serves one build and stores nothing; names that are not configured are refused.

use std::convert::Infallible;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use bollard_buildkit_proto::health::HealthCheckResponse;
use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard_buildkit_proto::moby::filesync::v1::{CredentialsRequest, CredentialsResponse};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioExecutor;
use tokio_util::task::AbortOnDropHandle;

use super::super::context::{Context, Skipped};
use super::grpc::{self, Body, Code, Status};
use super::sync;
use crate::domain::fault::Fault;
use crate::domain::reference::HUB;
use crate::hosts::Daemon;
use crate::hosts::builder::BuildRefused;
use crate::hosts::registry::Login;
use crate::runs::begin::logins::Logins;
use crate::runs::begin::secrets::Secrets;

/// The host name for which `BuildKit` requests Docker Hub's login.
const HUBS_HOST: &str = "registry-1.docker.io";

const CHECK: &str = "/grpc.health.v1.Health/Check";
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
const CONTEXT: &str = "/moby.filesync.v1.FileSync/DiffCopy";

/// The patterns of an ignore file come as headers, as do the paths that a Dockerfile copies.
const LONGEST_HEADERS: u32 = 8 << 20;

/// Of what the builder says and was not taken yet, bytes; half of it may be the weight of its many small frames.
const WINDOW: u32 = 16 << 20;

/// Everything one build may request.
pub(super) struct Larder {
    pub(super) context: Arc<Context>,
    pub(super) secrets: Secrets,
    pub(super) logins: Logins,
    /// Bytes of the context sent so far.
    pub(super) sent: Arc<AtomicU64>,
    report: Mutex<Report>,
}

/// Things to report after the build.
#[derive(Default)]
pub(super) struct Report {
    /// Why the context could not be sent, which explains the builder's error.
    pub(super) fault: Option<Fault>,
    pub(super) skipped: Skipped,
}

impl Larder {
    pub(super) fn new(context: Arc<Context>, secrets: Secrets, logins: Logins) -> Self {
        Self {
            context,
            secrets,
            logins,
            sent: Arc::new(AtomicU64::new(0)),
            report: Mutex::new(Report::default()),
        }
    }

    pub(super) fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token stands as a secret without a name, as `docker build` itself answers.
    fn credentials(&self, host: &str) -> CredentialsResponse {
        let registry = if host == HUBS_HOST { HUB } else { host };
        let (username, secret) = match self.logins.get(registry) {
            Some(Some(Login::Password { username, password })) => (username.clone(), password.clone()),
            Some(Some(Login::Token(token))) => (String::new(), token.clone()),
            Some(None) | None => Default::default(),
        };
        CredentialsResponse { username, secret }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        match request.uri().path() {
            CHECK => grpc::reply(&HealthCheckResponse {
                status: ServingStatus::Serving.into(),
            }),
            SECRET => match grpc::read::<GetSecretRequest>(request).await {
                Ok(wanted) => match self.secrets.get(&wanted.id) {
                    Some(value) => grpc::reply(&GetSecretResponse {
                        data: value.clone().into_bytes(),
                    }),
                    None => grpc::refuse(Status::new(
                        Code::NotFound,
                        format!("secret {} is not in [services.build] secrets", wanted.id),
                    )),
                },
                Err(status) => grpc::refuse(status),
            },
            CREDENTIALS => match grpc::read::<CredentialsRequest>(request).await {
                // No login is an answer, too: the registry may be open.
                Ok(wanted) => grpc::reply(&self.credentials(&wanted.host)),
                Err(status) => grpc::refuse(status),
            },
            CONTEXT => sync::serve(self, request),
            other => grpc::refuse(Status::new(
                Code::Unimplemented,
                format!("{other} is not offered"),
            )),
        }
    }
}

/// The connection; it closes when this is dropped.
pub(super) struct Session {
    pub(super) id: String,
    larder: Arc<Larder>,
    _serving: AbortOnDropHandle<()>,
}

impl Session {
    pub(super) async fn open(daemon: &Daemon, larder: Larder) -> Result<Self, BuildRefused> {
        let larder = Arc::new(larder);
        let id: String = std::iter::repeat_with(fastrand::alphanumeric).take(25).collect();
        let mut headers = vec![
            ("X-Docker-Expose-Session-Uuid", id.clone()),
            ("X-Docker-Expose-Session-Name", "pilothouse".to_owned()),
            ("X-Docker-Expose-Session-Sharedkey", shared_key(&larder.context)),
        ];
        headers.extend(
            [CHECK, SECRET, CREDENTIALS, CONTEXT]
                .map(|method| ("X-Docker-Expose-Session-Grpc-Method", method.to_owned())),
        );
        let stream = daemon.session(&headers).await?;
        let served = Arc::clone(&larder);
        let serving = async move {
            let service = service_fn(move |request| {
                let larder = Arc::clone(&served);
                async move { Ok::<_, Infallible>(larder.answer(request).await) }
            });
            let serving = http2::Builder::new(TokioExecutor::new())
                .max_header_list_size(LONGEST_HEADERS)
                .initial_connection_window_size(WINDOW)
                .serve_connection(stream, service);
            if let Err(error) = serving.await {
                tracing::info!(?error, "the builder's session ended");
            }
        };
        Ok(Self {
            id,
            larder,
            _serving: AbortOnDropHandle::new(tokio::spawn(serving)),
        })
    }

    pub(super) fn larder(&self) -> &Larder {
        &self.larder
    }
}

/// The builder keeps what it was sent under this, so that the next build sends what changed. Another machine's folder of
/// the same name, and another revision, are another context.
fn shared_key(context: &Context) -> String {
    use sha2::{Digest as _, Sha256};
    let machine = rustix::system::uname();
    let digest = Sha256::digest(format!(
        "{} {}",
        machine.nodename().to_string_lossy(),
        context.identity()
    ));
    digest.iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}
