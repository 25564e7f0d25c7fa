//! The variables that Python's `huggingface_hub` knows too: where the cache is, which server, whose token.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address::Address;
use crate::error::{Error, Result};
use crate::proxy::Proxies;
use crate::variables::Variables;

/// The server that counts without `HF_ENDPOINT`.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// Seconds of silence that are too many.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the environment says.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `HF_HUB_CACHE`, or `hub` in `HF_HOME`.
    pub(crate) cache: PathBuf,
    /// `HF_ENDPOINT`
    pub(crate) endpoint: Address,
    /// The variable that forbids the network, if one does.
    pub(crate) offline: Option<&'static str>,
    token: TokenSource,
    pub(crate) proxies: Proxies,
    pub(crate) authorities: Authorities,
    /// `HF_HUB_ETAG_TIMEOUT`: for answers about files.
    pub(crate) answer_timeout: Duration,
    /// `HF_HUB_DOWNLOAD_TIMEOUT`: for the next bytes of a file.
    pub(crate) read_timeout: Duration,
    /// Not `HF_HUB_DISABLE_SYMLINKS`
    pub(crate) symlinks: bool,
    /// Wait this long before the second attempt, then twice as long each time.
    pub(crate) first_pause: Duration,
}

/// Who vouches for servers, if not the system's authorities: variables and what they name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Authorities {
    pub(crate) file: Option<(&'static str, PathBuf)>,
    pub(crate) folder: Option<(&'static str, PathBuf)>,
}

/// What lets a user in. It is shown nowhere.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[derive(Clone, Debug)]
enum TokenSource {
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN`
    None,
    Variable(&'static str, Token),
    File(PathBuf),
}

impl Variables<'_> {
    /// The variables of OpenSSL, and the older ones of Python's requests.
    fn authorities(&self) -> Result<Authorities> {
        let mut file = None;
        for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
            let path = self.path(name)?.map(|path| (name, path));
            file = file.or(path);
        }
        let folder = self
            .path("SSL_CERT_DIR")?
            .map(|path| ("SSL_CERT_DIR", path));
        Ok(Authorities { file, folder })
    }

    fn token(&self, home: &Path) -> Result<TokenSource> {
        if self.is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")? {
            return Ok(TokenSource::None);
        }
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            if let Some(token) = self.text(name)?.and_then(|text| clean(&text)) {
                check_token(name, &token)?;
                return Ok(TokenSource::Variable(name, token));
            }
        }
        let file = self.path("HF_TOKEN_PATH")?;
        Ok(TokenSource::File(
            file.unwrap_or_else(|| home.join("token")),
        ))
    }
}

/// A token without the line feeds of a file.
fn clean(text: &str) -> Option<Token> {
    let text = text.replace(['\r', '\n'], "");
    Some(text.trim())
        .filter(|text| !text.is_empty())
        .map(|text| Token(text.to_owned()))
}

fn check_token(variable: &'static str, token: &Token) -> Result<()> {
    if token.as_str().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Error::Environment {
        variable,
        problem: "expected a token of visible ASCII characters, as made at https://huggingface.co/settings/tokens"
            .to_owned(),
    })
}

impl Environment {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// [`Error::Environment`] if one of them cannot be used.
    pub fn of_process() -> Result<Self> {
        Self::read(&|name| std::env::var_os(name), std::env::home_dir())
    }

    /// Reads variables by `get`; `home` is the user's folder.
    ///
    /// # Errors
    /// [`Error::Environment`] if one of them cannot be used.
    pub fn read(get: &dyn Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Result<Self> {
        let variables = Variables { get, home };
        let hugging_face = match (
            variables.path("HF_HOME")?,
            variables.path("XDG_CACHE_HOME")?,
        ) {
            (Some(home), _) => home,
            (None, Some(caches)) => caches.join("huggingface"),
            (None, None) => {
                let home = variables.home.as_ref().ok_or(Error::Environment {
                    variable: "HF_HOME",
                    problem: "expected the folder for downloads, since this user has no home"
                        .to_owned(),
                })?;
                home.join(".cache/huggingface")
            }
        };
        let cache = match variables.path("HF_HUB_CACHE")? {
            Some(cache) => Some(cache),
            None => variables.path("HUGGINGFACE_HUB_CACHE")?,
        };
        let mut offline = None;
        for name in ["TRANSFORMERS_OFFLINE", "HF_HUB_OFFLINE"] {
            if variables.is_true(name)? {
                offline = Some(name);
            }
        }
        let endpoint = variables.text("HF_ENDPOINT")?;
        let endpoint = endpoint
            .as_deref()
            .unwrap_or(DEFAULT_ENDPOINT)
            .trim_end_matches('/');
        Ok(Self {
            cache: cache.unwrap_or_else(|| hugging_face.join("hub")),
            endpoint: Address::parse(endpoint).map_err(|problem| Error::Environment {
                variable: "HF_ENDPOINT",
                problem: format!(
                    "{problem}: expected the address of a hub, for instance {DEFAULT_ENDPOINT}"
                ),
            })?,
            offline,
            token: variables.token(&hugging_face)?,
            proxies: Proxies::read(&|names| {
                for name in names {
                    if let Some(value) = variables.text(name)? {
                        return Ok(Some((*name, value)));
                    }
                }
                Ok(None)
            })?,
            authorities: variables.authorities()?,
            answer_timeout: variables.seconds("HF_HUB_ETAG_TIMEOUT", DEFAULT_TIMEOUT)?,
            read_timeout: variables.seconds("HF_HUB_DOWNLOAD_TIMEOUT", DEFAULT_TIMEOUT)?,
            symlinks: !variables.is_true("HF_HUB_DISABLE_SYMLINKS")?,
            first_pause: Duration::from_millis(500),
        })
    }

    /// The folder of downloaded models.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The server.
    pub fn endpoint(&self) -> String {
        self.endpoint.plain()
    }

    /// The variable that forbids the network, if one does.
    pub fn offline(&self) -> Option<&'static str> {
        self.offline
    }

    /// Whether there is a token.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn has_token(&self) -> Result<bool> {
        Ok(self.token()?.is_some())
    }

    /// Waits `pause` before the second attempt, and twice as long each time after that.
    #[must_use]
    pub fn with_first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// The token, from its variable or its file; no file is no token.
    pub(crate) fn token(&self) -> Result<Option<Token>> {
        match &self.token {
            TokenSource::None => Ok(None),
            TokenSource::Variable(_, token) => Ok(Some(token.clone())),
            TokenSource::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => {
                    let token = clean(&text);
                    token
                        .iter()
                        .try_for_each(|token| check_token("HF_TOKEN_PATH", token))?;
                    Ok(token)
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Error::io("read the token in", path)(error)),
            },
        }
    }

    /// Where a token is looked for, in words.
    pub(crate) fn token_place(&self) -> String {
        match &self.token {
            TokenSource::None => "nowhere, since HF_HUB_DISABLE_IMPLICIT_TOKEN is set".to_owned(),
            TokenSource::Variable(name, _) => (*name).to_owned(),
            TokenSource::File(path) => format!("HF_TOKEN or {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment> {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Environment::read(&get, Some("/home/me".into()))
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cache = |variables: &[(&str, &str)]| read(variables).expect("an environment").cache;
        for (variables, expected) in [
            (&[][..], "/home/me/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (
                &[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")],
                "/home/me/hf/hub",
            ),
            (
                &[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/old")],
                "/old",
            ),
            (
                &[("HF_HUB_CACHE", "/c"), ("HUGGINGFACE_HUB_CACHE", "/old")],
                "/c",
            ),
            (
                &[("HF_HOME", "$A/${B}_$/$NONE"), ("A", "/a"), ("B", "b")],
                "/a/b_$/$NONE/hub",
            ),
            (&[("HF_HOME", ""), ("HF_HUB_CACHE", "~")], "/home/me"),
        ] {
            assert_eq!(cache(variables), PathBuf::from(expected), "{variables:?}");
        }
    }

    #[test]
    fn offline_has_two_names() {
        let offline = |variables: &[(&str, &str)]| read(variables).expect("an environment").offline;
        assert_eq!(offline(&[]), None);
        assert_eq!(offline(&[("HF_HUB_OFFLINE", "0")]), None);
        assert_eq!(
            offline(&[("HF_HUB_OFFLINE", "yes")]),
            Some("HF_HUB_OFFLINE")
        );
        assert_eq!(
            offline(&[("TRANSFORMERS_OFFLINE", "1")]),
            Some("TRANSFORMERS_OFFLINE")
        );
    }

    #[test]
    fn tokens_are_found_and_never_shown() {
        let environment = read(&[("HF_TOKEN", " hf_secret\n")]).expect("an environment");
        let token = environment.token().expect("readable").expect("a token");
        assert_eq!(token.as_str(), "hf_secret");
        assert!(!format!("{environment:?}").contains("secret"));
        let error = read(&[("HF_TOKEN", "hf secret")])
            .expect_err("a blank")
            .to_string();
        assert!(
            error.starts_with("HF_TOKEN: ") && !error.contains("hf secret"),
            "{error}"
        );
        let off = read(&[("HF_TOKEN", "x"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]);
        assert!(
            off.expect("an environment")
                .token()
                .expect("readable")
                .is_none()
        );
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().to_str().expect("UTF-8");
        let environment = read(&[("HF_HOME", home)]).expect("an environment");
        assert!(environment.token().expect("no file").is_none());
        std::fs::write(folder.path().join("token"), "hf_file\n").expect("written");
        let token = environment.token().expect("readable").expect("a token");
        assert_eq!(token.as_str(), "hf_file");
    }

    #[test]
    fn bad_values_are_named() {
        for (name, value) in [
            ("HF_ENDPOINT", "huggingface.co"),
            ("HF_ENDPOINT", "ftp://x"),
            ("HF_ENDPOINT", "https://user:secret@x"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"),
            ("HF_HUB_ETAG_TIMEOUT", "0"),
            ("HTTPS_PROXY", "http://user:secret@"),
        ] {
            let error = read(&[(name, value)]).expect_err(name).to_string();
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let mirror =
            read(&[("HF_ENDPOINT", "https://mirror.example/hub/")]).expect("an environment");
        assert_eq!(mirror.endpoint.to_string(), "https://mirror.example/hub");
    }
}
