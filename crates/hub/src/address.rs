//! Addresses on the web, and whether a redirect from one to another is followed.

use std::fmt;
use std::net::IpAddr;

use ureq::http::Uri;

use crate::error::{Error, Result};

/// An http or https address without user and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    secure: bool,
    /// In lower case; an IPv6 address in brackets.
    host: String,
    port: u16,
    /// From the first slash, with the query; empty or as it came.
    path: String,
}

impl Address {
    /// Reads an absolute address. The problem repeats nothing of it: it may hold a password.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        let text = text.split('#').next().unwrap_or_default();
        let uri: Uri = text.parse().map_err(|_| "not an address")?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("not an address with http:// or https://"),
        };
        let authority = uri.authority().ok_or("an address without a host")?;
        if authority.as_str().contains('@') {
            return Err("an address with a user or password");
        }
        if authority.host().is_empty() {
            return Err("an address without a host");
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => default_port(secure),
            _ => authority.port_u16().ok_or("an address with a wrong port")?,
        };
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        Ok(Self {
            secure,
            host: authority.host().to_lowercase(),
            port,
            path: if text.ends_with('/') {
                path
            } else {
                path.trim_end_matches('/')
            }
            .to_owned(),
        })
    }

    /// This address with `path`, which begins with a slash, behind its own.
    pub(crate) fn below(&self, path: &str) -> Self {
        Self {
            path: format!("{}{path}", self.path),
            ..self.clone()
        }
    }

    /// Where a redirect leads.
    ///
    /// # Errors
    /// [`Error::Redirect`] if that is no address, has a user in it, or goes from https to http.
    pub(crate) fn redirected(&self, location: &str) -> Result<Self> {
        let refuse = |problem| Error::Redirect {
            url: self.to_string(),
            to: shown(location),
            problem,
        };
        let absolute = location
            .split_once(':')
            .is_some_and(|(scheme, _)| !scheme.contains(['/', '?']));
        let to = if absolute {
            Self::parse(location)
        } else if let Some(rest) = location.strip_prefix("//") {
            Self::parse(&format!("{}://{rest}", self.scheme()))
        } else if location.starts_with('/') {
            Self::parse(&format!("{}{location}", self.origin()))
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            Self::parse(&format!("{}{folder}/{location}", self.origin()))
        };
        let to = to.map_err(refuse)?;
        if self.secure && !to.secure {
            return Err(refuse("from https to http"));
        }
        Ok(to)
    }

    /// Whether scheme, host and port are the same: the place that may see the token.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether this is the machine itself.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    fn origin(&self) -> String {
        let port = match self.port {
            port if port == default_port(self.secure) => String::new(),
            port => format!(":{port}"),
        };
        format!("{}://{}{port}", self.scheme(), self.host)
    }

    /// Without the query, which may hold a signature.
    pub(crate) fn plain(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{}{path}", self.origin())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// What a server wrote, short and without control characters and signatures.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN: usize = 200;
    let text = text.split('?').next().unwrap_or_default();
    text.chars()
        .take(SHOWN)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Address {
        Address::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    #[test]
    fn addresses_are_read_and_written() {
        for text in [
            "https://huggingface.co",
            "http://127.0.0.1:8080/a/b?c=d",
            "https://[::1]:444/x",
            "https://h/a/",
        ] {
            assert_eq!(at(text).to_string(), text);
        }
        assert_eq!(
            at("HTTPS://Host.Example:443/A#b").to_string(),
            "https://host.example/A"
        );
        assert_eq!(
            at("https://h").below("/api/x").to_string(),
            "https://h/api/x"
        );
        assert_eq!(
            at("https://h/hub").below("/api/x").to_string(),
            "https://h/hub/api/x"
        );
        for bad in [
            "",
            "h",
            "/x",
            "file:///etc/passwd",
            "https://",
            "https://u:p@h/",
            "https://h:99999/",
            "https://a b/",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn redirects_are_relative_or_absolute() {
        let from = at("https://h:8443/a/b?q=1");
        for (location, expected) in [
            ("/x?y=z", "https://h:8443/x?y=z"),
            ("c", "https://h:8443/a/c"),
            ("//other/x", "https://other/x"),
            ("https://other/x:y", "https://other/x:y"),
            ("/x:y", "https://h:8443/x:y"),
        ] {
            assert_eq!(
                from.redirected(location).expect(location).to_string(),
                expected
            );
        }
        for location in [
            "http://h:8443/x",
            "http://127.0.0.1/x",
            "file:///x",
            "https://h@evil/",
            "javascript:x",
            "/a b",
        ] {
            let error = from.redirected(location).expect_err(location);
            assert!(matches!(error, Error::Redirect { .. }), "{error}");
        }
        let error = from
            .redirected("http://cdn/x?signature=1")
            .expect_err("downgrade")
            .to_string();
        assert!(
            error.contains("from https to http") && !error.contains("signature"),
            "{error}"
        );
        assert!(at("http://h/").redirected("https://h/x").is_ok());
    }

    #[test]
    fn the_token_stays_with_its_origin() {
        let hub = at("https://huggingface.co");
        assert!(hub.same_origin(&at("https://HUGGINGFACE.co:443/x")));
        for other in [
            "http://huggingface.co",
            "https://huggingface.co:444",
            "https://cdn.huggingface.co",
            "https://huggingface.co.evil",
        ] {
            assert!(!hub.same_origin(&at(other)), "{other}");
        }
    }

    #[test]
    fn loopback_is_this_machine() {
        for text in [
            "http://localhost",
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://[::1]/",
        ] {
            assert!(at(text).is_loopback(), "{text}");
        }
        for text in [
            "http://localhost.example",
            "http://10.0.0.1",
            "http://128.0.0.1",
        ] {
            assert!(!at(text).is_loopback(), "{text}");
        }
    }
}
