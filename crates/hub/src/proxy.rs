//! Which proxy an address is asked through: the usual variables, read as curl and Python read them.

use crate::address::Address;
use crate::error::{Error, Result};

/// What the variables say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    https: Option<ureq::Proxy>,
    http: Option<ureq::Proxy>,
    /// Hosts that are asked directly.
    direct: Vec<String>,
}

/// Finds the first of these variables that is set: its name and value.
type Find<'a> = &'a dyn Fn(&[&'static str]) -> Result<Option<(&'static str, String)>>;

impl Proxies {
    /// # Errors
    /// [`Error::Environment`] if a variable holds no address of a proxy; it is not repeated, since it may hold a password.
    pub(crate) fn read(find: Find<'_>) -> Result<Self> {
        let proxy = |names: &[&'static str]| -> Result<Option<ureq::Proxy>> {
            let Some((variable, value)) = find(names)? else {
                return Ok(None);
            };
            ureq::Proxy::new(value.trim())
                .map(Some)
                .map_err(|_| Error::Environment {
                    variable,
                    problem:
                        "expected the address of a proxy, for instance http://proxy.example:3128"
                            .to_owned(),
                })
        };
        let direct = find(&["no_proxy", "NO_PROXY"])?;
        Ok(Self {
            https: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            http: proxy(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])?,
            direct: direct
                .map(|(_, value)| value)
                .unwrap_or_default()
                .split([',', ' '])
                .map(|host| host.trim().to_lowercase())
                .filter(|host| !host.is_empty())
                .collect(),
        })
    }

    /// The proxy for an address; none for this machine and for the hosts in `NO_PROXY`.
    pub(crate) fn of(&self, address: &Address) -> Option<ureq::Proxy> {
        if address.is_loopback() || self.direct.iter().any(|rule| matches(rule, address)) {
            return None;
        }
        if address.is_secure() {
            self.https.clone()
        } else {
            self.http.clone()
        }
    }
}

/// Whether a rule of `NO_PROXY` names the address: `*`, a host, a domain with or without its dot, each with or without
/// a port.
fn matches(rule: &str, address: &Address) -> bool {
    if rule == "*" {
        return true;
    }
    let (name, port) = match rule.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() && !name.ends_with(':') => {
            (name, port.parse().ok())
        }
        _ => (rule, None),
    };
    if port.is_some_and(|port: u16| port != address.port()) {
        return false;
    }
    let name = name.trim_start_matches("*.").trim_start_matches('.');
    let host = address.host();
    let before = host.strip_suffix(name);
    before.is_some_and(|before| !name.is_empty() && (before.is_empty() || before.ends_with('.')))
        || host.trim_matches(['[', ']']) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(variables: &[(&'static str, &str)], address: &str) -> Option<String> {
        let find = |names: &[&'static str]| {
            let set = names
                .iter()
                .find_map(|name| variables.iter().find(|(known, _)| known == name));
            Ok(set.map(|(name, value)| (*name, (*value).to_owned())))
        };
        let proxies = Proxies::read(&find).expect("proxies");
        let address = Address::parse(address).expect("an address");
        proxies
            .of(&address)
            .map(|proxy| format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn the_scheme_chooses_the_proxy() {
        let both = [("HTTPS_PROXY", "http://a:1"), ("HTTP_PROXY", "b:2")];
        assert_eq!(proxy(&both, "https://h").as_deref(), Some("a:1"));
        assert_eq!(proxy(&both, "http://h").as_deref(), Some("b:2"));
        assert_eq!(proxy(&both[1..], "https://h"), None);
        let all = [("ALL_PROXY", "socks5://s:3"), ("https_proxy", "c:4")];
        assert_eq!(proxy(&all, "https://h").as_deref(), Some("c:4"));
        assert_eq!(proxy(&all, "http://h").as_deref(), Some("s:3"));
    }

    #[test]
    fn some_hosts_are_asked_directly() {
        let with = |rules: &'static str, host: &str| {
            proxy(
                &[("HTTPS_PROXY", "a:1"), ("NO_PROXY", rules)],
                &format!("https://{host}"),
            )
            .is_none()
        };
        for (rules, host) in [
            ("*", "h"),
            ("h", "h"),
            ("x, H", "h"),
            ("example.com", "a.example.com"),
            (".example.com", "a.example.com"),
            ("*.example.com", "a.example.com"),
            ("h:8443", "h:8443"),
            ("10.0.0.1", "10.0.0.1"),
            ("", "127.0.0.1"),
            ("::2", "[::2]"),
        ] {
            assert!(with(rules, host), "{rules:?} and {host}");
        }
        for (rules, host) in [
            ("", "h"),
            ("h:8443", "h"),
            ("example.com", "badexample.com"),
            ("a.example.com", "example.com"),
            (".", "h"),
        ] {
            assert!(!with(rules, host), "{rules:?} and {host}");
        }
    }
}
