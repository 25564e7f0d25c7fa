//! Requests: redirects by our rules, the token for its origin alone, attempts with pauses.

use std::io::Read;
use std::sync::OnceLock;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{HeaderMap, Request, header};

use crate::address::{Address, shown};
use crate::environment::{Environment, Token};
use crate::error::{Error, Result};
use crate::status;
use crate::tls;

/// Attempts without progress before we give up.
pub(crate) const ATTEMPTS: u32 = 4;
/// A server that asks for a longer pause is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const REDIRECTS: usize = 10;
/// Bytes of an answer in JSON.
const LONGEST_ANSWER: u64 = 32 << 20;

/// A connection to one hub.
pub(crate) struct Client<'a> {
    environment: &'a Environment,
    token: Option<Token>,
    plain: Agent,
    secure: OnceLock<std::result::Result<Agent, String>>,
}

/// What came back, below status 400.
pub(crate) struct Response {
    pub(crate) url: Address,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: ureq::Body,
}

impl Response {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A header as a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.trim().parse().ok()
    }

    pub(crate) fn reader(self) -> impl Read {
        self.body.into_reader()
    }
}

/// Which redirects of a request are followed.
#[derive(Clone, Copy, PartialEq)]
enum Follow {
    All,
    /// Until an answer says which file it is about (`X-Linked-Etag`).
    UntilLinked,
}

impl<'a> Client<'a> {
    /// # Errors
    /// If there is a token that cannot be read.
    pub(crate) fn new(environment: &'a Environment) -> Result<Self> {
        Ok(Self {
            environment,
            token: environment.token()?,
            plain: agent(environment, None),
            secure: OnceLock::new(),
        })
    }

    pub(crate) fn endpoint(&self) -> &Address {
        &self.environment.endpoint
    }

    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(crate) fn environment(&self) -> &Environment {
        self.environment
    }

    /// A document, of at most [`LONGEST_ANSWER`] bytes.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        url: &Address,
        about: &status::About<'_>,
    ) -> Result<T> {
        self.persist(|| {
            let response = self.send("GET", url, None, Follow::All, about)?;
            let mut bytes = Vec::new();
            let read = response.reader().take(LONGEST_ANSWER + 1).read_to_end(&mut bytes);
            read.map_err(|error| network(url, &ureq::Error::from(error)))?;
            if bytes.len() as u64 > LONGEST_ANSWER {
                return Err(Error::Answer {
                    url: url.plain(),
                    problem: format!("expected an answer of at most {LONGEST_ANSWER} bytes, found more"),
                });
            }
            serde_json::from_slice(&bytes).map_err(|error| Error::Answer {
                url: url.plain(),
                problem: format!("expected the answer of a hub in JSON, found something else ({error}): check HF_ENDPOINT"),
            })
        })
    }

    /// The headers of a file.
    pub(crate) fn head(&self, url: &Address, about: &status::About<'_>) -> Result<Response> {
        self.persist(|| self.send("HEAD", url, None, Follow::UntilLinked, about))
    }

    /// A file from byte `start` on. One attempt.
    pub(crate) fn get(
        &self,
        url: &Address,
        start: u64,
        about: &status::About<'_>,
    ) -> Result<Response> {
        self.send(
            "GET",
            url,
            Some(start).filter(|start| *start > 0),
            Follow::All,
            about,
        )
    }

    /// Tries until it works, fails for good, or has failed [`ATTEMPTS`] times.
    fn persist<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let mut failures = 0;
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(error) => failures = self.pause(failures, error)?,
            }
        }
    }

    /// Waits after a failure, and counts it.
    ///
    /// # Errors
    /// With the failure itself if no other attempt is due.
    pub(crate) fn pause(&self, failures: u32, error: Error) -> Result<u32> {
        let failures = failures + 1;
        if !error.is_transient() || failures >= ATTEMPTS {
            return Err(match error {
                Error::Network { url, problem, .. } => Error::Network {
                    url,
                    problem,
                    attempts: failures,
                },
                other => other,
            });
        }
        let usual = self.environment.first_pause * 2_u32.pow(failures - 1);
        let asked = match &error {
            Error::Status { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        if asked > LONGEST_PAUSE {
            return Err(error);
        }
        std::thread::sleep(usual.max(asked));
        Ok(failures)
    }

    fn send(
        &self,
        method: &str,
        url: &Address,
        start: Option<u64>,
        follow: Follow,
        about: &status::About<'_>,
    ) -> Result<Response> {
        let mut address = url.clone();
        for _ in 0..=REDIRECTS {
            let response = self.exchange(method, &address, start)?;
            let location = response.header("location");
            let linked =
                follow == Follow::UntilLinked && response.headers.contains_key("x-linked-etag");
            match (response.status, location) {
                (300..400, Some(location)) if !linked => address = address.redirected(location)?,
                (200..400, _) => return Ok(response),
                _ => return Err(status::error(self, &response, about)),
            }
        }
        Err(Error::Redirect {
            url: url.plain(),
            to: shown(&address.plain()),
            problem: "and on, more than ten times",
        })
    }

    fn exchange(&self, method: &str, address: &Address, start: Option<u64>) -> Result<Response> {
        let mut request = Request::builder().method(method).uri(address.to_string());
        if let Some(start) = start {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        if let Some(token) = &self.token
            && address.same_origin(self.endpoint())
        {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.as_str()));
        }
        let request = request.body(()).map_err(|_| Error::Answer {
            url: address.plain(),
            problem: "expected an address that can be asked for".to_owned(),
        })?;
        let agent = self.agent(address)?;
        let timeout = match method {
            "HEAD" => self.environment.answer_timeout,
            _ => self.environment.read_timeout,
        };
        let request = agent
            .configure_request(request)
            .timeout_connect(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .timeout_per_read(Some(timeout))
            .proxy(self.environment.proxies.of(address))
            .build();
        let (parts, body) = agent
            .run(request)
            .map_err(|error| network(address, &error))?
            .into_parts();
        Ok(Response {
            url: address.clone(),
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }

    /// Certificates are read when the first secure connection needs them.
    fn agent(&self, address: &Address) -> Result<&Agent> {
        if !address.is_secure() {
            return Ok(&self.plain);
        }
        let secure = self.secure.get_or_init(|| {
            Ok(agent(
                self.environment,
                Some(tls::config(&self.environment.authorities)?),
            ))
        });
        secure.as_ref().map_err(|problem| Error::Secure {
            url: address.plain(),
            problem: problem.clone(),
        })
    }
}

fn agent(environment: &Environment, tls: Option<ureq::tls::TlsConfig>) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent(concat!("albert/", env!("CARGO_PKG_VERSION")))
        // Compressed answers have other lengths than files.
        .accept_encoding("identity")
        .timeout_resolve(Some(environment.answer_timeout));
    if let Some(tls) = tls {
        config = config.tls_config(tls);
    }
    config.build().new_agent()
}

/// A failure on the way.
pub(crate) fn network(url: &Address, error: &ureq::Error) -> Error {
    let problem = match error {
        ureq::Error::HostNotFound => format!("no host of the name {}", url.host()),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::Rustls(error) => return insecure(url, error),
        // What rustls does not accept comes through the stream.
        ureq::Error::Io(error)
            if error.kind() == std::io::ErrorKind::InvalidData && url.is_secure() =>
        {
            return insecure(url, error);
        }
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            "no answer in time".to_owned()
        }
        error => error.to_string(),
    };
    Error::Network {
        url: url.plain(),
        problem,
        attempts: 1,
    }
}

fn insecure(url: &Address, error: &dyn std::error::Error) -> Error {
    Error::Secure {
        url: url.plain(),
        problem: format!(
            "no secure connection: {error}; for a server or proxy with a certificate of its own, name its authority in \
             SSL_CERT_FILE"
        ),
    }
}
